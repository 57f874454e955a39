//! Reading: a stream's batches, events by position or tag, snapshots. Every frame is checked again whenever it is read.

use crate::files::File;
use crate::frame::{HEAD_BYTES, Head as FrameHead, Kind, head_at};
use crate::index::{BatchPlace, Index, Place, SnapshotBody};
use crate::scan::{Lost, Sink, scan};
use crate::segment::SEGMENT_HEAD_BYTES;
use crate::shared::Shared;
use std::ops::ControlFlow;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{
    Damage, Head, JournalError, Position, Recorded, Seq, Snapshot, Start, StreamName, Tag,
};

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

/// A frame could not be read.
enum Bad {
    Journal(JournalError),
    Frame(&'static str),
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
        let found = found.ok_or(Bad::Frame("the segment is not there"))?;
        self.salt = found.salt();
        let file = found
            .file(&*self.shared.files)
            .map_err(|error| match error {
                JournalError::Vanished { .. } => Bad::Frame("the segment is not there"),
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

    fn frame(&mut self, place: Place) -> Result<(FrameHead, &[u8]), Bad> {
        self.seat(place.segment)?;
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

/// What a replay goes by.
struct Itinerary {
    number: u64,
    head: Head,
    first: u64,
    places: Vec<BatchPlace>,
}

/// [`Journal::replay`](swarm_actors::journal::Journal::replay).
pub(crate) fn replay(
    shared: &Shared,
    stream: &StreamName,
    start: Start,
    each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
) -> Result<Option<Head>, JournalError> {
    shared.usable()?;
    let Some(way) = itinerary(shared, stream, start)? else {
        return Ok(None);
    };
    let mut reader = FrameReader::new(shared);
    let mut previous = None;
    for (number, at) in (way.first..).zip(&way.places) {
        let place = Place {
            segment: u64::from(at.segment),
            offset: u64::from(at.offset),
        };
        let damaged = |what: &str| Damage {
            stream: Some(stream.clone()),
            seq: Some(Seq(at.first_seq.max(1))),
            place: place_text(shared, place),
            what: what.to_owned(),
        };
        let checked = match reader.frame(place) {
            Err(Bad::Journal(error)) => return Err(error),
            Err(Bad::Frame(what)) => Err(damaged(what)),
            Ok((head, body)) => match Batch::decode(body) {
                Ok(batch)
                    if head.stream == way.number
                        && batch.batch == number
                        && previous.is_none_or(|sum| sum == batch.previous) =>
                {
                    Ok((batch, head.body_sum))
                }
                _ => Err(damaged("it does not follow the batch before it")),
            },
        };
        match checked {
            Ok((batch, sum)) => {
                previous = Some(sum);
                if each(&batch).is_break() {
                    return Ok(Some(way.head));
                }
            }
            Err(damage) => return Err(note(shared, way.number, damage)),
        }
    }
    if previous.is_some_and(|sum| sum != way.head.hash) {
        let damage = Damage {
            stream: Some(stream.clone()),
            seq: Some(way.head.last_seq),
            place: "the end of the stream".to_owned(),
            what: "it does not end with what was written last".to_owned(),
        };
        return Err(note(shared, way.number, damage));
    }
    Ok(Some(way.head))
}

/// Damage is remembered: nothing is appended to a stream that cannot be read.
fn note(shared: &Shared, number: u64, damage: Damage) -> JournalError {
    shared.is_damaged();
    let mut index = shared.index.write();
    if let Some(known) = index.by_number(number) {
        known.damage.get_or_insert(Box::new(damage.clone()));
    }
    damage.into()
}

fn itinerary(
    shared: &Shared,
    stream: &StreamName,
    start: Start,
) -> Result<Option<Itinerary>, JournalError> {
    // First memory, then the store: what leaves memory meanwhile is in the store before.
    let (number, head, places_from, in_memory) = {
        let index = shared.index.read();
        let Some((number, known)) = index.get(stream) else {
            return Ok(None);
        };
        if let Some(damage) = &known.damage {
            return Err(JournalError::Damaged(damage.clone()));
        }
        if !known.exists() {
            return Ok(None);
        }
        (
            number,
            known.head.clone(),
            known.places_from,
            known.places.clone(),
        )
    };
    let from = match start {
        Start::AfterBatch(batch) => batch.max(head.truncated_batch) + 1,
        // The batch that holds the event is in memory, and what is before it is not wanted.
        Start::Event(seq) if in_memory.first().is_some_and(|p| p.first_seq <= seq.0) => {
            places_from.max(head.truncated_batch + 1)
        }
        Start::Event(_) => head.truncated_batch + 1,
    };
    let is_in_memory = places_from <= from;
    let (mut first, mut places) = (places_from, in_memory);
    if !is_in_memory && from <= head.last_batch {
        let stored = match &*shared.store.read() {
            Some(store) => store.places(number, from).ok().flatten(),
            None => None,
        };
        let joined = stored.and_then(|(stored_first, mut stored)| {
            stored.truncate(places_from.saturating_sub(stored_first) as usize);
            let is_whole =
                stored_first <= from && stored_first + stored.len() as u64 == places_from;
            stored.extend(&places);
            is_whole.then_some((stored_first, stored))
        });
        (first, places) = match joined {
            Some(joined) => joined,
            // The store does not know: the log does.
            None => search(shared, number)?,
        };
    }
    let reached = first + places.len() as u64;
    if from <= head.last_batch && (first > from || reached <= head.last_batch) {
        let missing = if first > from { from } else { reached };
        let damage = Damage {
            stream: Some(stream.clone()),
            seq: Some(Seq(places
                .last()
                .map_or(head.truncated.0 + 1, |p| p.first_seq))),
            place: "the log".to_owned(),
            what: format!("batch {missing} is not there"),
        };
        return Err(note(shared, number, damage));
    }
    let skip = match start {
        Start::AfterBatch(_) => from.saturating_sub(first) as usize,
        Start::Event(seq) => {
            let at = places
                .partition_point(|p| p.first_seq <= seq.0)
                .saturating_sub(1);
            at.max(from.saturating_sub(first) as usize)
        }
    };
    places.drain(..skip.min(places.len()));
    // What was written since the head was read is not part of this replay.
    let first = first + skip as u64;
    places.truncate((head.last_batch + 1).saturating_sub(first) as usize);
    Ok(Some(Itinerary {
        number,
        head,
        first,
        places,
    }))
}

/// Where a stream's batches stand, out of the log itself.
fn search(shared: &Shared, number: u64) -> Result<(u64, Vec<BatchPlace>), JournalError> {
    struct Search {
        number: u64,
        segment: u64,
        first: u64,
        places: Vec<BatchPlace>,
    }
    impl Sink for Search {
        fn frame(&mut self, frame: &crate::frame::Frame<'_>) {
            if frame.head.kind == Kind::Batch
                && frame.head.stream == self.number
                && let Ok(batch) = Batch::decode(frame.body)
            {
                if self.places.is_empty() || batch.batch != self.first + self.places.len() as u64 {
                    self.places.clear();
                    self.first = batch.batch;
                }
                self.places.push(BatchPlace {
                    segment: self.segment as u32,
                    offset: frame.offset as u32,
                    first_seq: batch.first_seq,
                });
            }
        }
        fn lost(&mut self, _: Lost) {}
    }
    let segments: Vec<_> = shared.segments.read().values().cloned().collect();
    let mut found = Search {
        number,
        segment: 0,
        first: 1,
        places: Vec::new(),
    };
    for segment in segments {
        found.segment = segment.identity.first;
        let bytes = segment.read_from(&*shared.files, SEGMENT_HEAD_BYTES)?;
        let first = segment.identity.next_number;
        scan(&segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut found);
    }
    Ok((found.first, found.places))
}

/// Events by position, out of the log in its order.
pub(crate) fn positions(
    shared: &Shared,
    after: Position,
    limit: usize,
) -> Result<Vec<Recorded>, JournalError> {
    shared.usable()?;
    let last = shared.index.read().next_position.saturating_sub(1);
    let mut found: Vec<Recorded> = Vec::new();
    let mut at = after.0;
    if at >= last || limit == 0 {
        return Ok(found);
    }
    let mut place = begin(shared, at + 1);
    // Who follows the log goes on where it was, and not at the beginning of the segment.
    if let Some(resting) = shared.resting_place(at) {
        place = place.max(resting);
    }
    let mut reader = FrameReader::new(shared);
    while at < last && found.len() < limit {
        match reader.frame(place) {
            Ok((head, body)) => {
                let end = place.offset + (HEAD_BYTES + body.len()) as u64;
                if head.kind == Kind::Batch
                    && let Ok(batch) = Batch::decode(body)
                    && !batch.events.is_empty()
                {
                    let index = shared.index.read();
                    found.extend(events_of(&index, head.stream, &batch, after.0));
                    drop(index);
                    if found.len() > limit {
                        // The next reader needs the rest of the batch.
                        found.truncate(limit);
                        break;
                    }
                    at = at.max(batch.position + batch.events.len() as u64 - 1);
                }
                place.offset = end;
                if head.kind == Kind::Seal && !next_segment(shared, &mut place) {
                    // Behind it nothing is ever written.
                    return Ok(found);
                }
            }
            Err(Bad::Journal(error)) => return Err(error),
            // A segment that was cut short by a kill ends without a seal in its old place, with one in its new: what ends
            // here is the last one, or it is damage.
            Err(Bad::Frame(what)) => {
                return Err(Damage {
                    stream: None,
                    seq: None,
                    place: place_text(shared, place),
                    what: format!("{what}, and position {} is to come", at + 1),
                }
                .into());
            }
        }
    }
    shared.rest(at, place);
    Ok(found)
}

fn begin(shared: &Shared, position: u64) -> Place {
    let segments = shared.segments.read();
    let segment = segments
        .values()
        .rev()
        .find(|s| s.identity.next_position <= position)
        .or_else(|| segments.values().next())
        .map_or(0, |s| s.identity.first);
    Place {
        segment,
        offset: SEGMENT_HEAD_BYTES,
    }
}

fn next_segment(shared: &Shared, place: &mut Place) -> bool {
    let segments = shared.segments.read();
    match segments.range(place.segment + 1..).next() {
        Some((first, _)) => {
            *place = Place {
                segment: *first,
                offset: SEGMENT_HEAD_BYTES,
            };
            true
        }
        None => false,
    }
}

fn events_of<'a>(
    index: &'a Index,
    number: u64,
    batch: &'a Batch<'a>,
    after: u64,
) -> impl Iterator<Item = Recorded> + 'a {
    let known = (number as usize)
        .checked_sub(1)
        .and_then(|n| index.known.get(n));
    known.into_iter().flat_map(move |known| {
        batch
            .recorded(&known.head.stream)
            .filter(move |event| event.position.0 > after && event.seq > known.head.truncated)
    })
}

/// Events by tag.
pub(crate) fn tagged(
    shared: &Shared,
    tag: &Tag,
    after: Position,
    limit: usize,
) -> Result<Vec<Recorded>, JournalError> {
    shared.usable()?;
    let mut places: Vec<(u64, Place)> = {
        let index = shared.index.read();
        let from = (tag.clone(), after.0.saturating_add(1));
        index
            .tags
            .range(from..=(tag.clone(), u64::MAX))
            .take(limit)
            .map(|((_, position), place)| (*position, *place))
            .collect()
    };
    if let Some(store) = &*shared.store.read() {
        let stored = store
            .tagged(tag, after.0, limit)
            .map_err(|e| JournalError::Io {
                operation: "read",
                path: shared.files.path("index"),
                message: e.to_string(),
            })?;
        places.extend(stored);
    }
    places.sort_unstable();
    places.dedup();
    let mut reader = FrameReader::new(shared);
    let mut found = Vec::new();
    for (position, place) in places {
        if found.len() == limit {
            break;
        }
        match reader.frame(place) {
            Ok((head, body)) => {
                if let Ok(batch) = Batch::decode(body) {
                    let index = shared.index.read();
                    let mut events = events_of(&index, head.stream, &batch, position - 1);
                    found.extend(events.find(|e| e.position.0 == position));
                }
            }
            Err(Bad::Journal(error)) => return Err(error),
            Err(Bad::Frame(what)) => {
                return Err(Damage {
                    stream: None,
                    seq: None,
                    place: place_text(shared, place),
                    what: format!("{what}; it held position {position}"),
                }
                .into());
            }
        }
    }
    Ok(found)
}

/// One snapshot.
pub(crate) fn snapshot(
    shared: &Shared,
    stream: &StreamName,
    seq: Seq,
) -> Result<Option<Snapshot>, JournalError> {
    shared.usable()?;
    let found = {
        let index = shared.index.read();
        let known = index.get(stream).map(|(_, known)| known);
        known
            .and_then(|known| known.snapshots.as_ref())
            .and_then(|snapshots| snapshots.get(&seq.0))
            .copied()
    };
    let Some(at) = found else {
        return Ok(None);
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
            Ok(body) if body.meta == at.meta => Ok(Some(Snapshot {
                stream: stream.clone(),
                meta: body.meta,
                note: body.note.0.to_vec(),
                payload: body.payload.0.to_vec(),
            })),
            _ => Err(damaged("it is not the snapshot that was saved").into()),
        },
        Err(Bad::Journal(error)) => Err(error),
        Err(Bad::Frame(what)) => Err(damaged(what).into()),
    }
}
