//! The bytes of a batch. Frozen: version 1 of the form is what the golden bytes below say.
//!
//! A batch is one postcard value. postcard is not self-describing, so the order of the fields is the form: whatever changes
//! here needs a new [`RECORD_VERSION`] and a reader for the old one. A batch holds the sum (CRC32C) of the batch before it
//! in its stream; its own sum, over these bytes, is what the next one holds. So one missing or altered batch is found by
//! reading on.

use super::{Append, EventData};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The version of the form that this writes.
pub const RECORD_VERSION: u8 = 1;

/// Bytes that are borrowed from what is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

/// One event of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// What kind of event it is.
    pub type_id: u32,
    /// Which version of that kind's form the payload has.
    pub version: u16,
    /// What it can be found by.
    #[serde(borrow)]
    pub tags: Vec<&'a str>,
    /// What is known of it beside its payload.
    pub meta: Bytes<'a>,
    /// The event itself.
    pub payload: Bytes<'a>,
}

/// Up to where a stream is truncated, and what its first remaining batch must follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Events up to here are not read any more.
    pub seq: u64,
    /// Batches up to here hold nothing that lives.
    pub batch: u64,
    /// The sum of that batch.
    pub hash: u32,
    /// The position of the stream's last event up to there.
    pub position: u64,
}

/// What one append wrote, or a truncation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch<'a> {
    /// Its number in its stream, from 1.
    pub batch: u64,
    /// The sum of the batch before it; 0 for the first.
    pub previous: u32,
    /// The number of its first event, or of the next one to come.
    pub first_seq: u64,
    /// The position of its first event, or of the next one to come.
    pub position: u64,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose write it was.
    pub epoch: u64,
    /// The command that it is the effect of.
    pub command: Option<u128>,
    /// When the stream's owner wants to be woken after it.
    pub wake_at_ms: Option<u64>,
    /// A truncation.
    pub cut: Option<Cut>,
    /// The events.
    #[serde(borrow)]
    pub events: Vec<Event<'a>>,
    /// What else the turn decided.
    pub facts: Bytes<'a>,
}

/// Bytes that are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no batch of version {RECORD_VERSION}")]
pub struct NoBatch;

impl<'a> Batch<'a> {
    /// Reads a batch. Takes any bytes.
    ///
    /// # Errors
    /// [`NoBatch`] when they are not exactly one batch.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, NoBatch> {
        match postcard::take_from_bytes::<Self>(bytes) {
            Ok((batch, [])) => Ok(batch),
            Ok(_) | Err(_) => Err(NoBatch),
        }
    }

    /// Puts its bytes behind those that are in `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // The only error of this is a writer that is full, which a vector never is.
        let _ = postcard::to_io(self, out);
    }

    /// The number of its last event; one below the first when it has none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        (self.first_seq + self.events.len() as u64).saturating_sub(1)
    }

    pub(super) fn events_of(append: &Append) -> Vec<Event<'_>> {
        append.events.iter().map(Event::of).collect()
    }
}

impl<'a> Event<'a> {
    fn of(data: &'a EventData) -> Self {
        Self {
            type_id: data.type_id,
            version: data.version,
            tags: data.tags.iter().map(super::Tag::as_str).collect(),
            meta: Bytes(&data.meta),
            payload: Bytes(&data.payload),
        }
    }
}

/// The sum of a batch's bytes: CRC32C.
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;

        impl<'de> de::Visitor<'de> for Borrowed {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_bytes(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golden() -> (Batch<'static>, Vec<u8>) {
        let batch = Batch {
            batch: 2,
            previous: 0x0102_0304,
            first_seq: 5,
            position: 300,
            at_ms: 1_700_000_000_000,
            epoch: 1,
            command: Some(7),
            wake_at_ms: Some(0),
            cut: None,
            events: vec![Event {
                type_id: 9,
                version: 1,
                tags: vec!["a"],
                meta: Bytes(b"m"),
                payload: Bytes(b"pay"),
            }],
            facts: Bytes(b"f"),
        };
        let bytes = [
            2, 0x84, 0x86, 0x88, 8, 5, 0xac, 2, 0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31, 1, 1, 7, 1, 0,
            0, 1, 9, 1, 1, 1, b'a', 1, b'm', 3, b'p', b'a', b'y', 1, b'f',
        ];
        (batch, bytes.to_vec())
    }

    #[test]
    fn the_form_of_version_1_is_frozen() {
        let (batch, bytes) = golden();
        let mut out = Vec::new();
        batch.encode(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(Batch::decode(&bytes), Ok(batch));
    }

    #[test]
    fn bytes_behind_a_batch_are_no_batch() {
        let (_, mut bytes) = golden();
        bytes.push(0);
        assert_eq!(Batch::decode(&bytes), Err(NoBatch));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_tried(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Batch::decode(&bytes);
        }
    }
}
