//! A whole request: envelope and message together.

use super::TransportEnvelope;
use super::multipart::{self, SplitError};
use super::xml::{self, ReadError, WriteError};
use crate::acl::string::{BytesForm, Writing};
use crate::acl::{
    AclMessage, Aid, Charset, EmitError, Fault, ParseError, Reading, Timestamp, bit_efficient,
    string,
};

/// The longest body that [`read`] needs to be given for a message within these limits: message, envelope and what is around
/// them.
#[must_use]
pub fn body_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max + xml::BYTES_MAX + 64 * 1024
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    /// Where it goes.
    pub envelope: TransportEnvelope,
    /// The message.
    pub message: AclMessage,
    /// The message's bytes as they came: what a second copy is known by.
    pub payload: &'a [u8],
}

/// A request that cannot be taken. Nothing was done with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body has not its two parts.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The envelope cannot be read.
    #[error(transparent)]
    Envelope(#[from] ReadError),
    /// The envelope says neither `to` nor `intended-receiver`.
    #[error("the envelope names no receiver")]
    NoReceiver,
    /// The envelope does not say in what form the message is.
    #[error("the envelope has no <acl-representation>")]
    NoRepresentation,
    /// The message is in a form that is not read here.
    #[error("the representation {0:?} is not supported: {string} or {bits}", string = string::REPRESENTATION, bits = bit_efficient::REPRESENTATION)]
    Representation(String),
    /// The message is in a charset that is not read here.
    #[error("the charset {0:?} is not supported: UTF-8, US-ASCII or ISO-8859-1")]
    Charset(String),
    /// The message cannot be read.
    #[error("the message, {0}")]
    Message(#[from] ParseError),
}

/// Reads a request's body.
///
/// A message that is not text in the charset it is said to be in is read as ISO-8859-1, in which everything is: its
/// addresses and labels are ASCII in practice, and its content is better mangled than lost.
///
/// # Errors
/// [`Refusal`].
pub fn read<'a>(
    content_type: &str,
    body: &'a [u8],
    reading: &Reading,
) -> Result<Incoming<'a>, Refusal> {
    let boundary = multipart::boundary(content_type)?;
    let [envelope, payload] = multipart::split(body, &boundary)?;
    let envelope = xml::read(envelope.body)?;
    if envelope.recipients().is_empty() {
        return Err(Refusal::NoReceiver);
    }
    let of_part = payload
        .content_type
        .and_then(|kind| multipart::parameter(kind.split_once(';')?.1, "charset"));
    let charset = match envelope.payload_encoding.as_ref().or(of_part.as_ref()) {
        None => Charset::Utf8,
        Some(name) => {
            let known = Charset::named(name);
            known.ok_or_else(|| Refusal::Charset(name.chars().take(40).collect()))?
        }
    };
    let Some(representation) = &envelope.acl_representation else {
        return Err(Refusal::NoRepresentation);
    };
    let parse = if representation.eq_ignore_ascii_case(string::REPRESENTATION) {
        string::parse
    } else if representation.eq_ignore_ascii_case(bit_efficient::REPRESENTATION) {
        bit_efficient::parse
    } else {
        let shown = representation.chars().take(80).collect();
        return Err(Refusal::Representation(shown));
    };
    let read_in = |charset| {
        let reading = Reading {
            charset,
            ..*reading
        };
        parse(payload.body, &reading)
    };
    let message = match read_in(charset) {
        Err(ParseError {
            fault: Fault::NotText(_),
            ..
        }) => read_in(Charset::Latin1)?,
        read => read?,
    };
    Ok(Incoming {
        envelope,
        message,
        payload: payload.body,
    })
}

/// What goes out: a body, and the content type that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The request's `Content-Type`.
    pub content_type: String,
    /// The request's body.
    pub body: Vec<u8>,
}

/// A message that cannot be sent. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The message has no string form.
    #[error(transparent)]
    Message(#[from] EmitError),
    /// A name or an address cannot stand in XML.
    #[error(transparent)]
    Envelope(#[from] WriteError),
    /// The boundary occurs in what is sent; another one will do.
    #[error("the boundary occurs in the message")]
    Boundary,
}

/// Writes a request for one receiver, as JADE needs it (fipa.md c.6): the string form in UTF-8, with an intended receiver,
/// and a quoted boundary.
///
/// # Errors
/// [`Unsendable`].
pub fn write(
    message: &AclMessage,
    receiver: &Aid,
    now: Timestamp,
    boundary: &str,
) -> Result<Outgoing, Unsendable> {
    let writing = Writing {
        bytes: BytesForm::JadeBase64,
    };
    let payload = string::emit(message, writing)?;
    let envelope = xml::write(&TransportEnvelope {
        to: vec![receiver.clone()],
        from: message.sender.clone(),
        acl_representation: Some(string::REPRESENTATION.to_owned()),
        payload_length: u64::try_from(payload.len()).ok(),
        payload_encoding: Some("UTF-8".to_owned()),
        date: Some(now),
        intended_receiver: vec![receiver.clone()],
        ..TransportEnvelope::default()
    })?;
    let is_free =
        multipart::is_free(boundary, &payload) && multipart::is_free(boundary, envelope.as_bytes());
    if !is_free {
        return Err(Unsendable::Boundary);
    }
    let kind = "application/text; charset=UTF-8";
    Ok(Outgoing {
        content_type: format!("multipart/mixed ; boundary=\"{boundary}\""),
        body: multipart::join(boundary, envelope.as_bytes(), kind, &payload),
    })
}
