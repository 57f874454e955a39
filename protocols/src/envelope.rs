//! The envelope around a message that leaves its node.

use crate::{Address, Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that this build writes. A reader refuses versions that it does not know.
pub const ENVELOPE_VERSION: u16 = 1;

/// How many extensions an envelope carries at most.
const EXTENSIONS_MAX: usize = 16;
/// How many bytes all values of the extensions have together at most.
const EXTENSION_BYTES_MAX: usize = 4096;

/// Which messages go first. Low still gets at least one of sixteen turns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Priority {
    /// Before all else that is not control.
    Critical,
    /// Before ordinary messages.
    High,
    /// The default.
    #[default]
    Normal,
    /// Behind the others, but never starved.
    Low,
}

/// W3C trace context, as the `traceparent` header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The span that caused this message.
    pub span_id: u64,
    /// The trace flags; bit 0 is `sampled`.
    pub flags: u8,
}

/// Values that travel with a message unread through what does not know their key: tenant, policy hash, security context.
/// At most 16 keys and 4096 bytes of values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Name, Vec<u8>>", into = "BTreeMap<Name, Vec<u8>>")]
pub struct Extensions(BTreeMap<Name, Vec<u8>>);

/// Why an extension was not added. The map is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// There are as many keys as an envelope carries.
    #[error("an envelope carries at most {EXTENSIONS_MAX} extensions")]
    TooMany,
    /// The values together would be larger than an envelope carries.
    #[error("the extensions of an envelope have at most {EXTENSION_BYTES_MAX} bytes, not {bytes}")]
    TooLarge {
        /// How many bytes they would have had.
        bytes: usize,
    },
}

impl Extensions {
    /// Sets `key`, replacing what it held.
    ///
    /// # Errors
    /// [`ExtensionError`] when a bound would be passed; nothing was changed.
    pub fn set(&mut self, key: Name, value: Vec<u8>) -> Result<(), ExtensionError> {
        if !self.0.contains_key(&key) && self.0.len() == EXTENSIONS_MAX {
            return Err(ExtensionError::TooMany);
        }
        let others: usize = self
            .0
            .iter()
            .filter(|(k, _)| **k != key)
            .map(|(_, v)| v.len())
            .sum();
        let bytes = others + value.len();
        if bytes > EXTENSION_BYTES_MAX {
            return Err(ExtensionError::TooLarge { bytes });
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// What `key` holds.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// All keys and values, in order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &[u8])> {
        self.0.iter().map(|(k, v)| (k, v.as_slice()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<Name, Vec<u8>>> for Extensions {
    type Error = ExtensionError;
    fn try_from(map: BTreeMap<Name, Vec<u8>>) -> Result<Self, ExtensionError> {
        if map.len() > EXTENSIONS_MAX {
            return Err(ExtensionError::TooMany);
        }
        let bytes = map.values().map(Vec::len).sum();
        if bytes > EXTENSION_BYTES_MAX {
            return Err(ExtensionError::TooLarge { bytes });
        }
        Ok(Self(map))
    }
}

impl From<Extensions> for BTreeMap<Name, Vec<u8>> {
    fn from(extensions: Extensions) -> Self {
        extensions.0
    }
}

/// A message and all that is needed to bring it to its receiver, as it crosses a wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`ENVELOPE_VERSION`] of the writer.
    pub version: u16,
    /// Unique for each message: the same message sent again keeps it.
    pub id: u128,
    /// Who sent it, where it was an agent.
    pub sender: Option<Address>,
    /// Whom it is for.
    pub receiver: Address,
    /// Which messages it may overtake.
    pub priority: Priority,
    /// After this time, in milliseconds since 1970 UTC, it is not to be handled any more.
    pub expires_at: Option<i64>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// What the body is: a media type such as `application/json`, or the name of a native message type.
    pub content_type: String,
    /// The message itself.
    pub body: Vec<u8>,
    /// What travels along unread.
    pub extensions: Extensions,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Name {
        Name::new(text).expect("valid")
    }

    #[test]
    fn extensions_are_bounded_in_count_and_bytes() {
        let mut extensions = Extensions::default();
        assert_eq!(
            extensions.set(key("big"), vec![0; 4097]),
            Err(ExtensionError::TooLarge { bytes: 4097 })
        );
        for n in 0..16 {
            extensions
                .set(key(&format!("k{n}")), vec![1])
                .expect("within bounds");
        }
        assert_eq!(
            extensions.set(key("one-more"), vec![]),
            Err(ExtensionError::TooMany)
        );
        extensions
            .set(key("k3"), vec![2, 2])
            .expect("replacing is no new key");
        assert_eq!(extensions.get("k3"), Some(&[2, 2][..]));
    }

    #[test]
    fn an_envelope_carries_unknown_extensions_through_a_decode_and_encode() {
        let mut extensions = Extensions::default();
        extensions
            .set(key("tenant"), b"t1".to_vec())
            .expect("within bounds");
        let envelope = Envelope {
            version: ENVELOPE_VERSION,
            id: 7,
            sender: None,
            receiver: Address(1),
            priority: Priority::High,
            expires_at: Some(5),
            trace: None,
            content_type: "application/json".into(),
            body: b"{}".to_vec(),
            extensions,
        };
        let bytes = postcard::to_allocvec(&envelope).expect("serializes");
        let back: Envelope = postcard::from_bytes(&bytes).expect("parses");
        assert_eq!(back, envelope);
    }
}
