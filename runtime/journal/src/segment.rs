//! Segments: the files of the log, their names and their heads: 64 bytes, which stand there twice, so that one damaged place
//! does not make a whole segment unreadable.
//!
//! A segment covers a range of segment numbers: one, when it was written in the course of things, or several, when
//! compaction has put what lived in them together. Its name tells both and how often it was compacted:
//! `0000000005-0000000007-1.segment`. Of two that cover the same, the one compacted more often counts, and what it covers
//! otherwise is left over from a compaction that was cut off.

use crate::files::{File, Files};
use std::sync::Arc;
use swarm_actors::journal::{Damage, JournalError};

/// The format of segments that this reads and writes.
pub(crate) const SEGMENT_FORMAT: u32 = 1;
const HEAD: usize = 64;
const SECOND_HEAD_AT: u64 = 512;
/// Where the first frame stands.
pub(crate) const SEGMENT_HEAD_BYTES: u64 = SECOND_HEAD_AT + HEAD as u64;
const MAGIC: &[u8; 8] = b"SWARMLOG";
const SUFFIX: &str = ".segment";
/// Keys fit into 32 bits: 16 million segments, a petabyte.
pub(crate) const SEGMENT_NUMBER_MAX: u64 = (1 << 24) - 1;

/// What the head of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The journal's own random number: a segment of another one is not taken for one of this.
    pub(crate) journal: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How often it was compacted.
    pub(crate) generation: u32,
    /// The number that the journal's next frame had when it was begun.
    pub(crate) next_number: u64,
    /// The position that the journal's next event had when it was begun.
    pub(crate) next_position: u64,
}

/// A segment. Its file is opened by whoever reads it, for as long: a journal has more segments than a process may have open
/// files.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) identity: Identity,
    pub(crate) name: String,
}

impl Identity {
    pub(crate) fn name(&self) -> String {
        format!(
            "{:010}-{:010}-{}{SUFFIX}",
            self.first, self.last, self.generation
        )
    }

    pub(crate) fn salt(&self) -> u32 {
        crc32c::crc32c(&self.encode()[16..])
    }

    /// What places name the segment by, in the order of the log. What compaction makes of a segment has another key than the
    /// segment, so that a place of before is not taken for one of after.
    pub(crate) fn key(&self) -> u64 {
        (self.first << 8) | u64::from(self.generation & 0xff)
    }

    fn encode(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        head[16..24].copy_from_slice(&self.journal.to_le_bytes());
        head[24..32].copy_from_slice(&self.first.to_le_bytes());
        head[32..40].copy_from_slice(&self.last.to_le_bytes());
        head[40..48].copy_from_slice(&self.next_number.to_le_bytes());
        head[48..56].copy_from_slice(&self.next_position.to_le_bytes());
        head[56..60].copy_from_slice(&self.generation.to_le_bytes());
        let sum = crc32c::crc32c(&head[16..]);
        head[12..16].copy_from_slice(&sum.to_le_bytes());
        head
    }

    fn decode(head: &[u8; HEAD]) -> Option<Self> {
        let long = |at: usize| {
            head.get(at..at + 8)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        };
        let identity = Self {
            journal: long(16),
            first: long(24),
            last: long(32),
            next_number: long(40),
            next_position: long(48),
            generation: u32::from_le_bytes([head[56], head[57], head[58], head[59]]),
        };
        (identity.encode() == *head).then_some(identity)
    }
}

impl Segment {
    /// Makes a new one. It is durable when its file and its directory were synced.
    pub(crate) fn create(
        files: &dyn Files,
        identity: Identity,
        name: String,
    ) -> Result<(Arc<Self>, Box<dyn File>), JournalError> {
        let file = files.create(&name)?;
        let mut heads = [0; SEGMENT_HEAD_BYTES as usize];
        heads[..HEAD].copy_from_slice(&identity.encode());
        heads[SECOND_HEAD_AT as usize..].copy_from_slice(&identity.encode());
        file.write_at(0, &heads)?;
        Ok((Arc::new(Self { identity, name }), file))
    }

    /// Opens one. `None` when its head was never written: it was being made when the power went.
    pub(crate) fn open(files: &dyn Files, name: &str) -> Result<Option<Arc<Self>>, JournalError> {
        let file = files.open(name)?;
        let mut heads = [0; SEGMENT_HEAD_BYTES as usize];
        let read = file.read_at(0, &mut heads)?;
        let sound = [0, SECOND_HEAD_AT as usize].into_iter().find_map(|at| {
            let head = heads[at..at + HEAD].try_into().ok()?;
            Identity::decode(head).filter(|identity| identity.name() == name)
        });
        if let Some(identity) = sound {
            return Ok(Some(Arc::new(Self {
                identity,
                name: name.to_owned(),
            })));
        }
        if read < heads.len() || is_zero(&*file)? {
            return Ok(None);
        }
        let found = u32::from_le_bytes([heads[8], heads[9], heads[10], heads[11]]);
        if heads[..8] == *MAGIC && found != SEGMENT_FORMAT && found < 1000 {
            return Err(JournalError::Format {
                path: files.path(name),
                found,
                supported: SEGMENT_FORMAT,
            });
        }
        Err(Damage {
            stream: None,
            seq: None,
            place: format!("{} at 0", files.path(name).display()),
            what: "the head of the segment is not what was written".to_owned(),
        }
        .into())
    }

    pub(crate) fn salt(&self) -> u32 {
        self.identity.salt()
    }

    pub(crate) fn key(&self) -> u64 {
        self.identity.key()
    }

    pub(crate) fn file(&self, files: &dyn Files) -> Result<Box<dyn File>, JournalError> {
        files.open(&self.name)
    }

    pub(crate) fn length(&self, files: &dyn Files) -> Result<u64, JournalError> {
        self.file(files)?.length()
    }

    /// All bytes from `offset` on.
    pub(crate) fn read_from(
        &self,
        files: &dyn Files,
        offset: u64,
    ) -> Result<Vec<u8>, JournalError> {
        let file = self.file(files)?;
        let length = file.length()?.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn is_zero(file: &dyn File) -> Result<bool, JournalError> {
    let mut block = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        match file.read_at(at, &mut block)? {
            0 => return Ok(true),
            read if block[..read].iter().any(|b| *b != 0) => return Ok(false),
            read => at += read as u64,
        }
    }
}

/// What tells how the log was compacted so far: places are of use only as long as it stays the same.
pub(crate) fn layout<'a>(segments: impl Iterator<Item = &'a Segment>) -> u32 {
    segments
        .map(|segment| segment.identity)
        .filter(|identity| identity.generation > 0)
        .fold(0, |sum, identity| {
            crc32c::crc32c_append(sum, identity.name().as_bytes())
        })
}

/// What a name says: the range that is covered and the generation.
fn parse(name: &str) -> Option<(u64, u64, u32)> {
    let mut parts = name.strip_suffix(SUFFIX)?.split('-');
    let parsed = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    (parts.next().is_none() && parsed.0 <= parsed.1).then_some(parsed)
}

/// The segments of a directory, in order, and the files that a cut-off compaction has left over.
pub(crate) fn choose(names: &[String]) -> (Vec<String>, Vec<String>) {
    let mut all: Vec<_> = names
        .iter()
        .filter_map(|name| {
            parse(name).map(|(first, last, generation)| (first, last, generation, name))
        })
        .collect();
    let mut leftover: Vec<String> = names
        .iter()
        .filter(|name| name.ends_with(".new"))
        .cloned()
        .collect();
    let is_covered = |(first, last, generation, _): &(u64, u64, u32, &String)| {
        all.iter().any(|(f, l, g, _)| {
            f <= first && last <= l && (f, l, g) != (first, last, generation) && g > generation
        })
    };
    let covered: Vec<bool> = all.iter().map(is_covered).collect();
    let mut keep = covered.iter();
    all.retain(|(_, _, _, name)| {
        let is_covered = keep.next().copied().unwrap_or_default();
        if is_covered {
            leftover.push((*name).clone());
        }
        !is_covered
    });
    all.sort();
    let chosen = all
        .into_iter()
        .map(|(_, _, _, name)| name.clone())
        .collect();
    (chosen, leftover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_compacted_segment_covers_is_left_over() {
        let names = [
            "0000000001-0000000002-1.segment",
            "0000000001-0000000001-0.segment",
            "0000000002-0000000002-0.segment",
            "0000000003-0000000003-0.segment",
            "0000000003-0000000003-1.segment.new",
            "LOCK",
        ]
        .map(str::to_owned);
        let (chosen, leftover) = choose(&names);
        assert_eq!(chosen, [names[0].clone(), names[3].clone()]);
        assert_eq!(leftover.len(), 3);
    }

    #[test]
    fn a_head_is_read_as_it_was_written_and_not_otherwise() {
        let identity = Identity {
            journal: 5,
            first: 1,
            last: 2,
            generation: 3,
            next_number: 9,
            next_position: 8,
        };
        let mut head = identity.encode();
        assert_eq!(Identity::decode(&head), Some(identity));
        head[40] ^= 1;
        assert_eq!(Identity::decode(&head), None);
    }
}
