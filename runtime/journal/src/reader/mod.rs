//! Reading: a stream's batches, events by position or tag, snapshots. Every frame is checked again whenever it is read.

mod positions;
mod replay;

pub(crate) use positions::{positions, tagged};
pub(crate) use replay::replay;

use crate::compactor::Whereabouts;
use crate::files::File;
use crate::frame::{HEAD_BYTES, Head as FrameHead, head_at};
use crate::index::{Place, SnapshotBody};
use crate::shared::Shared;
use swarm_actors::journal::{Damage, JournalError, Seq, Snapshot, StreamName};

/// Of who reads here and there: most frames are shorter.
const SMALL_READ: usize = 1 << 10;
const LARGE_READ: usize = 256 << 10;
/// How far behind what was read the next frame may be for a large read to be worth it.
const NEAR: u64 = 4 << 10;

/// Reads frames of one segment after the other; what it has read once it has at hand for the next ones.
pub(crate) struct FrameReader<'a> {
    shared: &'a Shared,
    segment: Option<(u64, Box<dyn File>)>,
    salt: u32,
    block: Vec<u8>,
    block_at: u64,
}

/// How often a reader looks again for what was compacted while it read. Each time a whole compaction has come between.
const MOVES_MAX: u32 = 8;

/// A frame could not be read.
enum Bad {
    Journal(JournalError),
    Frame(&'static str),
    /// Its segment is not there: compacted since the place was looked up, if it is not damage.
    Moved,
    /// It is in a segment that was compacted, and nobody needed it.
    Gone,
}

impl Bad {
    /// What it is when looking again does not help.
    fn what(&self) -> &'static str {
        match self {
            Self::Frame(what) => what,
            Self::Journal(_) | Self::Moved | Self::Gone => "the segment is not there",
        }
    }
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            segment: None,
            salt: 0,
            block: Vec::new(),
            block_at: 0,
        }
    }

    fn seat(&mut self, segment: u64) -> Result<(), Bad> {
        if self
            .segment
            .as_ref()
            .is_some_and(|(first, _)| *first == segment)
        {
            return Ok(());
        }
        let found = self.shared.segments.read().get(&segment).cloned();
        let found = found.ok_or(Bad::Moved)?;
        self.salt = found.salt();
        let file = found
            .file(&*self.shared.files)
            .map_err(|error| match error {
                JournalError::Vanished { .. } => Bad::Moved,
                error => Bad::Journal(error),
            })?;
        self.segment = Some((segment, file));
        self.block.clear();
        self.block_at = 0;
        Ok(())
    }

    /// Makes sure that `length` bytes from `offset` on are at hand, if the file has them.
    fn want(&mut self, offset: u64, length: usize) -> Result<(), Bad> {
        let has = self.block_at + self.block.len() as u64;
        if offset >= self.block_at && offset + length as u64 <= has {
            return Ok(());
        }
        let Some((_, file)) = &self.segment else {
            return Ok(());
        };
        // Who reads on close behind reads on further; who jumps, as a stream among many others does, reads what it came for.
        let is_near = offset >= self.block_at && offset < has + NEAR && has > 0;
        let ahead = if is_near { LARGE_READ } else { SMALL_READ };
        self.block.resize(length.max(ahead), 0);
        let read = file
            .read_at(offset, &mut self.block)
            .map_err(Bad::Journal)?;
        self.block.truncate(read);
        self.block_at = offset;
        Ok(())
    }

    fn at_hand(&self, offset: u64) -> &[u8] {
        let at = offset
            .checked_sub(self.block_at)
            .map_or(usize::MAX, |at| at as usize);
        self.block.get(at..).unwrap_or_default()
    }

    /// Where the frame that was at `place` is.
    fn find(&mut self, place: Place) -> Result<Place, Bad> {
        match self.seat(place.segment) {
            Err(Bad::Moved) => {
                let moved = self.shared.moved.read().clone();
                let found = moved.map_or(Whereabouts::AsBefore, |moved| moved.find(place));
                match found {
                    Whereabouts::AsBefore => Err(Bad::Moved),
                    Whereabouts::Gone => Err(Bad::Gone),
                    Whereabouts::Now(place) => self.seat(place.segment).map(|()| place),
                }
            }
            seated => seated.map(|()| place),
        }
    }

    fn frame(&mut self, place: Place) -> Result<(FrameHead, &[u8]), Bad> {
        let place = self.find(place)?;
        self.want(place.offset, HEAD_BYTES)?;
        let head = head_at(self.at_hand(place.offset), self.salt, place.offset);
        let head = head.ok_or(Bad::Frame("there is no sound frame"))?;
        let length = HEAD_BYTES + head.body_len as usize;
        self.want(place.offset, length)?;
        match self.at_hand(place.offset).get(HEAD_BYTES..length) {
            Some(body) if crc32c::crc32c(body) == head.body_sum => Ok((head, body)),
            _ => Err(Bad::Frame("the sum of the frame does not match")),
        }
    }
}

fn place_text(shared: &Shared, place: Place) -> String {
    let name = shared
        .segments
        .read()
        .get(&place.segment)
        .map(|s| s.name.clone());
    let name = name.unwrap_or_else(|| format!("segment {}", place.segment));
    format!("{} at {}", shared.files.path(&name).display(), place.offset)
}

/// One snapshot.
pub(crate) fn snapshot(
    shared: &Shared,
    stream: &StreamName,
    seq: Seq,
) -> Result<Option<Snapshot>, JournalError> {
    shared.usable()?;
    for _ in 0..MOVES_MAX {
        if let Some(found) = snapshot_if_at_rest(shared, stream, seq, false)? {
            return Ok(found);
        }
    }
    snapshot_if_at_rest(shared, stream, seq, true).map(Option::unwrap_or_default)
}

/// The same; `None` when the log was compacted meanwhile, unless this is the last attempt.
fn snapshot_if_at_rest(
    shared: &Shared,
    stream: &StreamName,
    seq: Seq,
    is_last: bool,
) -> Result<Option<Option<Snapshot>>, JournalError> {
    let found = {
        let index = shared.index.read();
        let known = index.get(stream).map(|(_, known)| known);
        known
            .and_then(|known| known.snapshots.as_ref())
            .and_then(|snapshots| snapshots.get(&seq.0))
            .copied()
    };
    let Some(at) = found else {
        return Ok(Some(None));
    };
    let damaged = |what: &str| Damage {
        stream: Some(stream.clone()),
        seq: Some(seq),
        place: place_text(shared, at.place),
        what: what.to_owned(),
    };
    let mut reader = FrameReader::new(shared);
    match reader.frame(at.place) {
        Ok((_, body)) => match postcard::from_bytes::<SnapshotBody<'_>>(body) {
            Ok(body) if body.meta == at.meta => Ok(Some(Some(Snapshot {
                stream: stream.clone(),
                meta: body.meta,
                note: body.note.0.to_vec(),
                payload: body.payload.0.to_vec(),
            }))),
            _ => Err(damaged("it is not the snapshot that was saved").into()),
        },
        Err(Bad::Journal(error)) => Err(error),
        Err(Bad::Moved | Bad::Gone) if !is_last => Ok(None),
        Err(bad) => Err(damaged(bad.what()).into()),
    }
}
