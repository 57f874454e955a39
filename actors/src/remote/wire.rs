//! What nodes tell each other about agents: one postcard value behind a version byte.

use super::scratch;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;
use swarm_protocols::{AclMessage, ExitReason, Extensions, Incarnation, Priority, TraceContext};

/// The version that this build writes. A reader refuses those that it does not know.
pub(super) const VERSION: u8 = 1;

/// One thing that one node tells another.
#[derive(Serialize, Deserialize)]
pub(super) enum Note<'a> {
    /// A message.
    #[serde(borrow)]
    Letter(LetterNote<'a>),
    /// The answer to an ask, encoded, or why there is none.
    Answer {
        ask: u64,
        #[serde(borrow)]
        outcome: Result<Opaque<'a>, Failure>,
    },
    /// Tell the sender of the end of the receiver's present life.
    Monitor { id: u64 },
    /// No longer.
    Demonitor { id: u64 },
    /// The end of the sender's life, to the receiver that monitored it.
    Down {
        id: u64,
        incarnation: Incarnation,
        reason: ExitReason,
    },
    /// Link the sender's and the receiver's present lives.
    Link,
    /// No longer.
    Unlink,
    /// The end of the sender's life, to the receiver that is linked with it.
    Exit {
        incarnation: Incarnation,
        reason: ExitReason,
    },
    /// End the receiver with this reason, as `exit/2`.
    Order { reason: ExitReason },
    /// Tell this node of restarts and the end of the receiver.
    Watch,
    /// No longer.
    Unwatch,
    /// The sender was restarted.
    Restarted { incarnation: Incarnation },
    /// The sender has ended for good.
    Ended { reason: ExitReason },
}

/// A message on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct LetterNote<'a> {
    pub(super) priority: Priority,
    /// How long it may still wait, in milliseconds.
    pub(super) expires_in_ms: Option<u64>,
    pub(super) trace: Option<TraceContext>,
    pub(super) extensions: Option<Extensions>,
    #[serde(borrow)]
    pub(super) content: Content<'a>,
}

/// What a message says.
#[derive(Serialize, Deserialize)]
pub(super) enum Content<'a> {
    /// ACL, and the ask that it is, if somebody waits for the answer.
    Acl { message: Acl<'a>, ask: Option<u64> },
    /// A native message: the name and version of its type, and what its codec made of it.
    Typed {
        #[serde(borrow)]
        name: Cow<'a, str>,
        version: u16,
        #[serde(borrow)]
        body: Opaque<'a>,
    },
}

impl Content<'_> {
    /// How many bytes it takes, nearly; 0 where that is not known before it is encoded.
    fn len(&self) -> usize {
        match self {
            Self::Acl { .. } => 0,
            Self::Typed { name, body, .. } => name.len() + body.0.len(),
        }
    }
}

/// An ACL message: one of somebody else's on its way out, and one that can be handed on where it is read. Behind a pointer, as it is many
/// times as large as what is said of any other.
pub(super) enum Acl<'a> {
    Lent(&'a AclMessage),
    Read(Arc<AclMessage>),
}

impl Acl<'_> {
    pub(super) fn into_message(self) -> Arc<AclMessage> {
        match self {
            Self::Lent(message) => Arc::new(message.clone()),
            Self::Read(message) => message,
        }
    }
}

impl Serialize for Acl<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lent(message) => message.serialize(to),
            Self::Read(message) => message.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Acl<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        AclMessage::deserialize(from).map(|message| Self::Read(Arc::new(message)))
    }
}

/// Bytes that are not this format's affair. Written and read in one go; a list of numbers, which is the same on the wire, is not.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Opaque<'a>(
    #[serde(borrow, serialize_with = "in_one_go")] pub(super) Cow<'a, [u8]>,
);

fn in_one_go<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

impl<T: Into<Vec<u8>>> From<T> for Opaque<'_> {
    fn from(bytes: T) -> Self {
        Self(Cow::Owned(bytes.into()))
    }
}

/// Why an ask has no answer, as it crosses the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Failure {
    NoProc,
    Crashed(ExitReason),
    NoReply,
    Refused,
    Full,
    Unreadable,
}

/// Beyond this it is worth more not to copy it than to have nothing but it in memory.
const COPIED_BYTES: usize = 4096;

pub(super) fn encode(note: &Note<'_>) -> Bytes {
    let mut buffer = match note {
        Note::Letter(letter) if letter.content.len() > COPIED_BYTES => {
            Vec::with_capacity(letter.content.len() + 256)
        }
        _ => scratch::take(),
    };
    buffer.push(VERSION);
    // Plain data into a growing buffer: this does not fail, and an empty body is refused where it arrives.
    let buffer = postcard::to_extend(note, buffer).unwrap_or_default();
    if buffer.len() > COPIED_BYTES {
        return buffer.into();
    }
    let body = Bytes::copy_from_slice(&buffer);
    scratch::keep(buffer);
    body
}

/// Why bytes are no note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("made by a version that this node does not know")]
    Version,
    #[error("malformed")]
    Malformed,
}

pub(super) fn decode(body: &[u8]) -> Result<Note<'_>, Unreadable> {
    match body.split_first() {
        Some((&VERSION, note)) => match postcard::take_from_bytes(note) {
            Ok((note, [])) => Ok(note),
            Ok(_) | Err(_) => Err(Unreadable::Malformed),
        },
        Some(_) => Err(Unreadable::Version),
        None => Err(Unreadable::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_version_and_trailing_bytes_are_refused() {
        let mut bytes = encode(&Note::Monitor { id: 3 }).to_vec();
        assert!(matches!(decode(&bytes), Ok(Note::Monitor { id: 3 })));
        bytes.push(0);
        assert_eq!(decode(&bytes).err(), Some(Unreadable::Malformed));
        bytes[0] = VERSION + 1;
        assert_eq!(decode(&bytes).err(), Some(Unreadable::Version));
        assert_eq!(decode(&[]).err(), Some(Unreadable::Malformed));
    }

    #[test]
    fn opaque_bytes_are_on_the_wire_what_a_list_of_numbers_is() {
        let bytes: Vec<u8> = (0..200).collect();
        assert_eq!(
            postcard::to_stdvec(&Opaque::from(bytes.clone())).ok(),
            postcard::to_stdvec(&bytes).ok()
        );
    }

    proptest! {
        #[test]
        fn whatever_bytes_arrive_decoding_ends_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut versioned = vec![VERSION];
            versioned.extend(bytes);
            drop(decode(&versioned));
        }
    }
}
