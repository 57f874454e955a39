//! Frames: what a segment is made of. All numbers are little-endian.
//!
//! ```text
//!  0  magic 0x4a53   u16
//!  2  kind           u8
//!  3  version        u8     of the body's form
//!  4  head sum       u32    CRC32C of bytes 0..4 and 8..32, the segment's salt, and the frame's offset
//!  8  body sum       u32    CRC32C of the body
//! 12  body length    u32
//! 16  number         u64    of the frame in its journal: dense, but in compacted segments
//! 24  stream         u64    the stream's number in its journal; 0 in group ends and seals
//! 32  body
//! ```
//!
//! The salt and the offset are in the head's sum, so that bytes that merely look like a frame (in a payload, in what is left
//! of another segment) are not taken for one when a damaged place is searched for where it goes on.

use serde::{Deserialize, Serialize};

pub(crate) const HEAD_BYTES: usize = 32;
/// Version of all bodies.
pub(crate) const FRAME_VERSION: u8 = 1;
/// No body is longer than a snapshot and its names.
pub(crate) const BODY_BYTES_MAX: usize = (16 << 20) + (64 << 10);
const MAGIC: u16 = 0x4a53;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream's name: comes before its first frame in each segment.
    Name = 1,
    /// What one append wrote, or a truncation.
    Batch = 2,
    /// A snapshot.
    Snapshot = 3,
    /// Snapshots that are gone.
    Deleted = 4,
    /// The end of a group, with what is in it. A group without one was not written.
    GroupEnd = 5,
    /// The end of a segment.
    Seal = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Name,
            2 => Self::Batch,
            3 => Self::Snapshot,
            4 => Self::Deleted,
            5 => Self::GroupEnd,
            6 => Self::Seal,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) body_sum: u32,
    pub(crate) body_len: u32,
    pub(crate) number: u64,
    pub(crate) stream: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: Head,
    pub(crate) offset: u64,
    pub(crate) body: &'a [u8],
}

/// What a group's end says of one frame of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) kind: u8,
    pub(crate) stream: u64,
    /// The first event of a batch, the number of a snapshot, 0 of others.
    pub(crate) seq: u64,
}

/// Why there is no frame at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// Nothing but zeros from here on, or the end of the file.
    End,
    /// No head that is whole.
    BadHead,
    /// The head is whole, its body is not.
    BadBody(Head),
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

fn head_sum(head: &[u8], salt: u32, offset: u64) -> u32 {
    let mut sum = crc32c::crc32c(&head[..4]);
    sum = crc32c::crc32c_append(sum, &head[8..HEAD_BYTES]);
    sum = crc32c::crc32c_append(sum, &salt.to_le_bytes());
    crc32c::crc32c_append(sum, &offset.to_le_bytes())
}

/// Where frames are put one after the other, to be written at once.
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    salt: u32,
    /// Where in the segment the first byte comes.
    pub(crate) base: u64,
}

impl Buffer {
    pub(crate) fn new(salt: u32, base: u64) -> Self {
        Self {
            bytes: Vec::new(),
            salt,
            base,
        }
    }

    pub(crate) fn reset(&mut self, salt: u32, base: u64) {
        self.bytes.clear();
        self.salt = salt;
        self.base = base;
    }

    /// Puts a frame whose body `write` puts behind what is there; its offset in the segment and its body's sum.
    pub(crate) fn put(
        &mut self,
        kind: Kind,
        number: u64,
        stream: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> (u64, u32) {
        let at = self.bytes.len();
        let offset = self.base + at as u64;
        self.bytes.resize(at + HEAD_BYTES, 0);
        write(&mut self.bytes);
        let (head, body) = self.bytes[at..].split_at_mut(HEAD_BYTES);
        let body_sum = crc32c::crc32c(body);
        head[..2].copy_from_slice(&MAGIC.to_le_bytes());
        head[2] = kind as u8;
        head[3] = FRAME_VERSION;
        head[8..12].copy_from_slice(&body_sum.to_le_bytes());
        head[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[16..24].copy_from_slice(&number.to_le_bytes());
        head[24..32].copy_from_slice(&stream.to_le_bytes());
        let sum = head_sum(head, self.salt, offset);
        head[4..8].copy_from_slice(&sum.to_le_bytes());
        (offset, body_sum)
    }
}

/// Reads a frame's head. Takes any bytes.
pub(crate) fn head_at(bytes: &[u8], salt: u32, offset: u64) -> Option<Head> {
    let bytes = bytes.get(..HEAD_BYTES)?;
    if bytes[..2] != MAGIC.to_le_bytes() || bytes[3] != FRAME_VERSION {
        return None;
    }
    let kind = Kind::of(bytes[2])?;
    if word(bytes, 4) != head_sum(bytes, salt, offset) || word(bytes, 12) as usize > BODY_BYTES_MAX
    {
        return None;
    }
    Some(Head {
        kind,
        body_sum: word(bytes, 8),
        body_len: word(bytes, 12),
        number: long(bytes, 16),
        stream: long(bytes, 24),
    })
}

/// Reads the frame at `offset` of a segment, of which `bytes` are all from `base` on. Takes any bytes.
pub(crate) fn frame_at(
    bytes: &[u8],
    base: u64,
    salt: u32,
    offset: u64,
) -> Result<Frame<'_>, NoFrame> {
    let rest = bytes.get((offset - base) as usize..).unwrap_or_default();
    let Some(head) = head_at(rest, salt, offset) else {
        return Err(if rest.iter().all(|b| *b == 0) {
            NoFrame::End
        } else {
            NoFrame::BadHead
        });
    };
    match rest.get(HEAD_BYTES..HEAD_BYTES + head.body_len as usize) {
        Some(body) if crc32c::crc32c(body) == head.body_sum => Ok(Frame { head, offset, body }),
        _ => Err(NoFrame::BadBody(head)),
    }
}

/// The next offset behind `from` at which a whole head stands.
pub(crate) fn next_head(bytes: &[u8], base: u64, salt: u32, from: u64) -> Option<(u64, Head)> {
    let magic = MAGIC.to_le_bytes();
    let mut at = (from - base) as usize;
    while let Some(found) = bytes.get(at..)?.windows(2).position(|pair| pair == magic) {
        let offset = base + (at + found) as u64;
        if let Some(head) = head_at(&bytes[at + found..], salt, offset) {
            return Some((offset, head));
        }
        at += found + 1;
    }
    None
}

impl Frame<'_> {
    pub(crate) fn end(&self) -> u64 {
        self.offset + (HEAD_BYTES + self.body.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_found_only_where_it_was_written() {
        let mut buffer = Buffer::new(7, 100);
        let (first, _) = buffer.put(Kind::Name, 1, 2, |out| out.extend(b"name"));
        let (second, _) = buffer.put(Kind::Batch, 2, 2, |out| out.extend(b"body"));
        assert_eq!((first, second), (100, 136));
        let frame = frame_at(&buffer.bytes, 100, 7, second).expect("a frame");
        assert_eq!(
            (frame.body, frame.head.kind, frame.end()),
            (&b"body"[..], Kind::Batch, 172)
        );
        assert!(
            frame_at(&buffer.bytes, 100, 8, first).is_err(),
            "another segment's"
        );
        assert!(
            frame_at(&buffer.bytes, 0, 7, 0).is_err(),
            "at another offset"
        );
        assert_eq!(
            frame_at(&buffer.bytes, 100, 7, 172).map(|_| ()),
            Err(NoFrame::End)
        );
        buffer.bytes[33] ^= 1;
        assert!(
            matches!(frame_at(&buffer.bytes, 100, 7, first), Err(NoFrame::BadBody(head)) if head.stream == 2)
        );
        buffer.bytes[9] ^= 1;
        assert_eq!(
            frame_at(&buffer.bytes, 100, 7, first).map(|_| ()),
            Err(NoFrame::BadHead)
        );
        assert_eq!(
            next_head(&buffer.bytes, 100, 7, 101).map(|(at, _)| at),
            Some(136)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_tried(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0u64..200) {
            let _ = frame_at(&bytes, 0, 1, at);
            let _ = next_head(&bytes, 0, 1, at.min(bytes.len() as u64));
        }
    }
}
