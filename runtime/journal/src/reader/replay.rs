//! One stream's batches, one after the other.

use super::{Bad, FrameReader, MOVES_MAX, place_text};
use crate::frame::Kind;
use crate::index::{BatchPlace, Place};
use crate::scan::{Lost, Sink, scan};
use crate::segment::SEGMENT_HEAD_BYTES;
use crate::shared::Shared;
use std::ops::ControlFlow;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{Damage, Head, JournalError, Seq, Start, StreamName};

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
    let Some(mut way) = itinerary(shared, stream, start)? else {
        return Ok(None);
    };
    let head = way.head.clone();
    let mut reader = FrameReader::new(shared);
    let (mut previous, mut number, mut moves) = (None, way.first, 0);
    while let Some(at) = way.places.get((number - way.first) as usize).copied() {
        let damaged = |what: &str| Damage {
            stream: Some(stream.clone()),
            seq: Some(Seq(at.first_seq.max(1))),
            place: place_text(shared, Place::of(at)),
            what: what.to_owned(),
        };
        let checked = match reader.frame(Place::of(at)) {
            Err(Bad::Journal(error)) => return Err(error),
            Err(Bad::Moved | Bad::Gone) if moves < MOVES_MAX => {
                moves += 1;
                way = go_on(shared, stream, number, &head)?;
                continue;
            }
            Err(bad) => Err(damaged(bad.what())),
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
                number += 1;
                if each(&batch).is_break() {
                    return Ok(Some(head));
                }
            }
            Err(damage) => return Err(note(shared, way.number, damage)),
        }
    }
    if previous.is_some_and(|sum| sum != head.hash) {
        let damage = Damage {
            stream: Some(stream.clone()),
            seq: Some(head.last_seq),
            place: "the end of the stream".to_owned(),
            what: "it does not end with what was written last".to_owned(),
        };
        return Err(note(shared, way.number, damage));
    }
    Ok(Some(head))
}

/// The rest of a replay from batch `number` on, up to where it was to go, when the log was compacted meanwhile.
fn go_on(
    shared: &Shared,
    stream: &StreamName,
    number: u64,
    head: &Head,
) -> Result<Itinerary, JournalError> {
    let way = itinerary(shared, stream, Start::AfterBatch(number - 1))?;
    match way {
        Some(mut way) if way.head.truncated_batch < number => {
            let wanted = (head.last_batch + 1).saturating_sub(way.first);
            way.places.truncate(wanted as usize);
            Ok(way)
        }
        _ => Err(JournalError::Io {
            operation: "read",
            path: shared.files.path("log"),
            message: format!("stream {stream} was truncated while it was read; read it again"),
        }),
    }
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
        found.segment = segment.key();
        let bytes = segment.read_from(&*shared.files, SEGMENT_HEAD_BYTES)?;
        let first = segment.identity.next_number;
        scan(&segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut found);
    }
    Ok((found.first, found.places))
}
