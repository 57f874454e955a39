//! From a message to bytes.

use super::date::spell;
use super::spelling::{is_user_name, is_writable_expression, is_writable_url, is_writable_word};
use super::{BASE64, JADE_ENCODING};
use crate::acl::codec::{EmitError, Limits};
use crate::acl::{AclMessage, Aid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How a message is written where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// How content is written that no literal can hold.
    pub bytes: BytesForm,
}

/// The form of content that is not UTF-8, or that is not ASCII and ends in a backslash. (ASCII that ends in a backslash is
/// a byte-length string in both: everybody counts it alike.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BytesForm {
    /// A byte-length string, `#3"…`: what the standard has. JADE counts characters, not bytes, and misreads it.
    #[default]
    LengthPrefixed,
    /// Base64 and the parameter `X-JADE-Encoding`: what JADE has.
    JadeBase64,
}

/// Writes a message, with nothing in front of its parenthesis and nothing behind. Reading it gives an identical message.
///
/// # Errors
/// [`EmitError`], see there.
pub fn emit(message: &AclMessage, writing: Writing) -> Result<Vec<u8>, EmitError> {
    let content = message.content.as_deref();
    let mut writer = Writer {
        out: Vec::with_capacity(256 + content.map_or(0, |content| content.len() + 16)),
        depth_left: Limits::default().depth_max,
    };
    writer.message(message, writing)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    depth_left: usize,
}

impl Writer {
    fn message(&mut self, message: &AclMessage, writing: Writing) -> Result<(), EmitError> {
        self.open("")?;
        self.raw(message.performative.as_str());
        if let Some(sender) = &message.sender {
            self.raw(" :sender ");
            self.aid(sender)?;
        }
        self.aid_set(" :receiver ", &message.receiver)?;
        self.aid_set(" :reply-to ", &message.reply_to)?;
        if let Some(content) = &message.content {
            self.content(content, writing.bytes);
        }
        self.expression(" :reply-with ", message.reply_with.as_deref());
        self.expression(" :in-reply-to ", message.in_reply_to.as_deref());
        self.expression(" :encoding ", message.encoding.as_deref());
        self.expression(" :language ", message.language.as_deref());
        self.expression(" :ontology ", message.ontology.as_deref());
        if let Some(time) = message.reply_by {
            self.raw(" :reply-by ");
            self.raw(&spell(time));
        }
        if let Some(protocol) = &message.protocol {
            self.raw(" :protocol ");
            self.word(protocol);
        }
        self.expression(" :conversation-id ", message.conversation_id.as_deref());
        for (name, value) in &message.user_parameters {
            let is_reserved =
                writing.bytes == BytesForm::JadeBase64 || value.eq_ignore_ascii_case(BASE64);
            if is_reserved && name.eq_ignore_ascii_case(JADE_ENCODING) {
                return Err(EmitError::ReservedParameter);
            }
            self.user_defined(name, value)?;
        }
        self.close();
        Ok(())
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn open(&mut self, keyword: &str) -> Result<(), EmitError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(EmitError::TooDeep {
            limit: Limits::default().depth_max,
        })?;
        self.raw("(");
        self.raw(keyword);
        Ok(())
    }

    fn close(&mut self) {
        self.depth_left += 1;
        self.raw(")");
    }

    fn aid_set(&mut self, name: &str, aids: &[Aid]) -> Result<(), EmitError> {
        if aids.is_empty() {
            return Ok(());
        }
        self.raw(name);
        self.open("set")?;
        self.aids(aids)
    }

    /// Agent identifiers and the closing parenthesis.
    fn aids(&mut self, aids: &[Aid]) -> Result<(), EmitError> {
        for aid in aids {
            self.raw(" ");
            self.aid(aid)?;
        }
        self.close();
        Ok(())
    }

    fn aid(&mut self, aid: &Aid) -> Result<(), EmitError> {
        if aid.name.is_empty() {
            return Err(EmitError::NoName);
        }
        self.open("agent-identifier :name ")?;
        self.word(&aid.name);
        if !aid.addresses.is_empty() {
            self.raw(" :addresses ");
            self.open("sequence")?;
            for address in &aid.addresses {
                if !is_writable_url(address) {
                    return Err(EmitError::Address(address.clone()));
                }
                self.raw(" ");
                self.raw(address);
            }
            self.close();
        }
        if !aid.resolvers.is_empty() {
            self.raw(" :resolvers ");
            self.open("sequence")?;
            self.aids(&aid.resolvers)?;
        }
        for (name, value) in &aid.user_slots {
            self.user_defined(name, value)?;
        }
        self.close();
        Ok(())
    }

    fn user_defined(&mut self, name: &str, value: &str) -> Result<(), EmitError> {
        if !is_user_name(name) {
            return Err(EmitError::UserName(name.to_owned()));
        }
        self.raw(" :");
        self.raw(name);
        self.expression(" ", Some(value));
        Ok(())
    }

    fn expression(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.raw(name);
        if is_writable_expression(value) {
            self.raw(value);
        } else {
            self.string(value.as_bytes());
        }
    }

    fn word(&mut self, text: &str) {
        if is_writable_word(text) {
            self.raw(text);
        } else {
            self.string(text.as_bytes());
        }
    }

    fn content(&mut self, content: &[u8], form: BytesForm) {
        let has_literal = content.last() != Some(&b'\\') && std::str::from_utf8(content).is_ok();
        if !has_literal && form == BytesForm::JadeBase64 && !content.is_ascii() {
            self.raw(" :");
            self.raw(JADE_ENCODING);
            self.raw(" Base64 :content \"");
            self.raw(&STANDARD.encode(content));
            self.raw("\"");
            return;
        }
        self.raw(" :content ");
        if has_literal {
            push_literal(&mut self.out, content);
        } else {
            push_byte_string(&mut self.out, content);
        }
    }

    fn string(&mut self, text: &[u8]) {
        push_string(&mut self.out, text);
    }
}

/// Adds a literal, or a byte-length string where a backslash at the end would swallow the quote.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    if text.last() == Some(&b'\\') {
        push_byte_string(out, text);
    } else {
        push_literal(out, text);
    }
}

fn push_literal(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
        out.extend_from_slice(&rest[..quote]);
        out.extend_from_slice(b"\\\"");
        rest = &rest[quote + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn push_byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("#{}\"", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}
