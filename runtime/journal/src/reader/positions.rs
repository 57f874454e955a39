//! Events of all streams, by position or tag.

use super::{Bad, FrameReader, MOVES_MAX, place_text};
use crate::frame::{HEAD_BYTES, Kind};
use crate::index::{Index, Place};
use crate::segment::SEGMENT_HEAD_BYTES;
use crate::shared::Shared;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{Damage, JournalError, Position, Recorded, Tag};

/// Events by position, out of the log in its order.
pub(crate) fn positions(
    shared: &Shared,
    after: Position,
    limit: usize,
) -> Result<Vec<Recorded>, JournalError> {
    shared.usable()?;
    let (last, end) = {
        let index = shared.index.read();
        (index.next_position.saturating_sub(1), index.end)
    };
    let mut found: Vec<Recorded> = Vec::new();
    let (mut at, mut moves) = (after.0, 0);
    if at >= last || limit == 0 {
        return Ok(found);
    }
    // Who follows the log goes on where it was, and not at the beginning of the segment.
    let from = |at| begin(shared, at + 1).max(shared.resting_place(at).unwrap_or_default());
    let mut place = from(at);
    let mut reader = FrameReader::new(shared);
    while at < last && found.len() < limit && place < end {
        match reader.frame(place) {
            Ok((head, body)) => {
                let next = place.offset + (HEAD_BYTES + body.len()) as u64;
                if head.kind == Kind::Batch
                    && let Ok(batch) = Batch::decode(body)
                    && !batch.events.is_empty()
                {
                    let index = shared.index.read();
                    found.extend(events_of(&index, head.stream, &batch, at));
                    drop(index);
                    if found.len() > limit {
                        // The next reader needs the rest of the batch.
                        found.truncate(limit);
                        break;
                    }
                    at = at.max(batch.position + batch.events.len() as u64 - 1);
                }
                place.offset = next;
                if head.kind == Kind::Seal && !next_segment(shared, &mut place) {
                    // Behind it nothing is ever written.
                    return Ok(found);
                }
            }
            Err(Bad::Journal(error)) => return Err(error),
            Err(Bad::Moved | Bad::Gone) if moves < MOVES_MAX => {
                moves += 1;
                place = from(at);
            }
            // A segment that was cut short by a kill ends without a seal in its old place, with one in its new: what ends
            // here is the last one, or it is damage.
            Err(bad) => {
                return Err(Damage {
                    stream: None,
                    seq: None,
                    place: place_text(shared, place),
                    what: format!("{}, and position {} is to come", bad.what(), at + 1),
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
        .map_or(0, |s| s.key());
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
    let mut reader = FrameReader::new(shared);
    let (mut found, mut after, mut moves) = (Vec::new(), after.0, 0);
    'pages: while found.len() < limit {
        let page = tagged_page(shared, tag, after, limit)?;
        for (position, place) in page.places {
            match reader.tagged_event(position, place) {
                Ok(event) => found.extend(event),
                // It is truncated.
                Err(Bad::Gone) => {}
                Err(Bad::Moved) if moves < MOVES_MAX => {
                    moves += 1;
                    continue 'pages;
                }
                Err(Bad::Journal(error)) => return Err(error),
                Err(bad) => {
                    return Err(Damage {
                        stream: None,
                        seq: None,
                        place: place_text(shared, place),
                        what: format!("{}; it held position {position}", bad.what()),
                    }
                    .into());
                }
            }
            after = position;
            if found.len() == limit {
                break;
            }
        }
        if page.is_last {
            break;
        }
    }
    Ok(found)
}

/// Where tagged events stand, in order and without a gap.
struct TaggedPage {
    places: Vec<(u64, Place)>,
    /// Nothing is behind it.
    is_last: bool,
}

/// Out of memory and out of the store: of each the first so many, and of both together no more than up to where both are told.
fn tagged_page(
    shared: &Shared,
    tag: &Tag,
    after: u64,
    limit: usize,
) -> Result<TaggedPage, JournalError> {
    let in_memory: Vec<(u64, Place)> = {
        let index = shared.index.read();
        let from = (tag.clone(), after.saturating_add(1));
        let tagged = index.tags.range(from..=(tag.clone(), u64::MAX));
        let places = tagged.map(|((_, position), place)| (*position, *place));
        places.take(limit).collect()
    };
    let stored = match &*shared.store.read() {
        Some(store) => store
            .tagged(tag, after, limit)
            .map_err(|e| JournalError::Io {
                operation: "read",
                path: shared.files.path("index"),
                message: e.to_string(),
            })?,
        None => Vec::new(),
    };
    let ends = [&in_memory, &stored].into_iter().filter_map(|places| {
        let is_whole = places.len() < limit;
        places.last().filter(|_| !is_whole).map(|(at, _)| *at)
    });
    let up_to = ends.min();
    let mut places = in_memory;
    places.extend(stored);
    places.sort_unstable();
    places.dedup_by_key(|(position, _)| *position);
    places.retain(|(position, _)| up_to.is_none_or(|up_to| *position <= up_to));
    Ok(TaggedPage {
        places,
        is_last: up_to.is_none(),
    })
}

impl FrameReader<'_> {
    /// The event at a position, unless it is truncated.
    fn tagged_event(&mut self, position: u64, place: Place) -> Result<Option<Recorded>, Bad> {
        let shared = self.shared;
        let (head, body) = self.frame(place)?;
        let Ok(batch) = Batch::decode(body) else {
            return Ok(None);
        };
        let index = shared.index.read();
        let mut events = events_of(&index, head.stream, &batch, position - 1);
        Ok(events.find(|event| event.position.0 == position))
    }
}
