//! Opening a log: from the store's mark where there is one, else from its first byte; and saying what is damaged.

use crate::files::Files;
use crate::index::{Index, Known, Place, Reading, Unknown};
use crate::scan::{End, How, scan};
use crate::segment::{self, SEGMENT_HEAD_BYTES, Segment};
use crate::store::{Mark, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::journal::rules::Stream;
use swarm_actors::journal::{Damage, Head, JournalError, Seq};

/// What opening found.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) streams: Vec<Stream>,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    pub(crate) journal: Option<u64>,
    pub(crate) next_number: u64,
    /// How the last segment ends.
    pub(crate) end: Option<(u64, End)>,
    /// Damage that nobody can be named for.
    pub(crate) unknown: Vec<Unknown>,
    pub(crate) frames: u64,
    /// The log was compacted, and the store was not told: its places are of no use any more.
    pub(crate) is_store_of_another_layout: bool,
    missing: u64,
}

/// Whom to tell how far it is: bytes read so far, and all there are.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Reads the log. With a store, from its mark on; its heads also tell what the log must have.
pub(crate) fn recover(
    files: &dyn Files,
    store: Option<&Store>,
    progress: Progress<'_>,
) -> Result<Recovered, JournalError> {
    let segments = open_segments(files)?;
    if let Some(store) = store
        && let Ok(Some(mark)) = store.mark()
        && segments
            .values()
            .all(|s| s.identity.journal == mark.journal)
    {
        let is_as_noted = mark.layout == segment::layout(segments.values().map(|s| &**s));
        if is_as_noted
            && reaches(files, &segments, mark.place)?
            && let Some(mut recovered) = from_store(store, &mark)
        {
            recovered.segments = segments;
            recovered.read(files, Some(mark), progress)?;
            return Ok(recovered);
        }
        // The log ends before what the store was told is on disk, or was compacted since, or the store is no good.
        let mut recovered = Recovered::empty();
        recovered.segments = segments;
        recovered.read(files, None, progress)?;
        if let Ok(heads) = store.heads() {
            recovered.compare(&heads, &mark);
        }
        recovered.is_store_of_another_layout = !is_as_noted;
        return Ok(recovered);
    }
    let mut recovered = Recovered::empty();
    recovered.segments = segments;
    recovered.read(files, None, progress)?;
    Ok(recovered)
}

fn open_segments(files: &dyn Files) -> Result<BTreeMap<u64, Arc<Segment>>, JournalError> {
    let (names, _) = segment::choose(&files.list()?);
    let mut segments = BTreeMap::new();
    for (n, name) in names.iter().enumerate() {
        match Segment::open(files, name)? {
            Some(segment) => {
                segments.insert(segment.key(), segment);
            }
            // One whose head was never written can only be the last: it was being made.
            None if n + 1 == names.len() => {}
            None => {
                return Err(Damage {
                    stream: None,
                    seq: None,
                    place: format!("{} at 0", files.path(name).display()),
                    what: "the segment is empty".to_owned(),
                }
                .into());
            }
        }
    }
    Ok(segments)
}

/// Whether the log is as long as the store was told.
fn reaches(
    files: &dyn Files,
    segments: &BTreeMap<u64, Arc<Segment>>,
    place: Place,
) -> Result<bool, JournalError> {
    if place.segment == 0 {
        return Ok(true);
    }
    match segments.get(&place.segment) {
        Some(segment) => Ok(segment.length(files)? >= place.offset),
        None => Ok(false),
    }
}

fn from_store(store: &Store, mark: &Mark) -> Option<Recovered> {
    let mut recovered = Recovered::empty();
    let mut is_dense = true;
    store
        .streams(|number, stream| {
            is_dense &= number == recovered.streams.len() as u64 + 1;
            let mut known = Known::new(stream.name().clone());
            known.head = stream.head();
            known.places_from = known.head.last_batch + 1;
            recovered.index.known.push(known);
            recovered
                .index
                .numbers
                .insert(stream.name().clone(), number);
            recovered.streams.push(stream);
        })
        .ok()?;
    store
        .snapshots(|number, place| {
            if let Some(known) = recovered.index.by_number(number) {
                let snapshots = known.snapshots.get_or_insert_default();
                snapshots.insert(place.meta.seq.0, place);
            }
        })
        .ok()?;
    recovered.index.next_position = mark.next_position;
    recovered.next_number = mark.next_number;
    is_dense.then_some(recovered)
}

impl Recovered {
    fn empty() -> Self {
        Self {
            index: Index {
                next_position: 1,
                ..Index::default()
            },
            streams: Vec::new(),
            segments: BTreeMap::new(),
            journal: None,
            next_number: 1,
            end: None,
            unknown: Vec::new(),
            frames: 0,
            is_store_of_another_layout: false,
            missing: 0,
        }
    }

    fn read(
        &mut self,
        files: &dyn Files,
        mark: Option<Mark>,
        progress: Progress<'_>,
    ) -> Result<(), JournalError> {
        self.journal = self.segments.values().next().map(|s| s.identity.journal);
        let from = mark
            .map(|mark| mark.place)
            .filter(|place| place.segment > 0);
        let mut segments: Vec<Arc<Segment>> = self.segments.values().cloned().collect();
        if let Some(place) = from {
            segments.retain(|segment| segment.key() >= place.segment);
        }
        let mut all = 0;
        for segment in &segments {
            all += segment.length(files)?;
        }
        let (mut done, mut unlicensed) = (0, BTreeMap::new());
        for (n, segment) in segments.iter().enumerate() {
            let identity = segment.identity;
            let base = match from {
                Some(place) if place.segment == identity.key() => place.offset,
                _ => {
                    self.expect_number(files, segment);
                    SEGMENT_HEAD_BYTES
                }
            };
            let bytes = segment.read_from(files, base)?;
            let mut reading = Reading {
                index: &mut self.index,
                streams: &mut self.streams,
                segment: identity.key(),
                place: files.path(&segment.name).display().to_string(),
                unlicensed: &mut unlicensed,
                unknown: &mut self.unknown,
                frames: 0,
                is_resumed: mark.is_some(),
                missing: &mut self.missing,
            };
            let end = if bytes.is_empty() && base > SEGMENT_HEAD_BYTES {
                // The mark is at the very end of a sealed segment.
                End {
                    offset: base,
                    how: How::Sealed,
                    next_number: self.next_number,
                }
            } else {
                scan(segment, &bytes, base, self.next_number, &mut reading)
            };
            self.frames += reading.frames;
            let is_last = n + 1 == segments.len();
            if end.how == How::Torn && !is_last {
                self.lose(
                    Place {
                        segment: identity.key(),
                        offset: end.offset,
                    },
                    1,
                    format!("{} at {}", files.path(&segment.name).display(), end.offset),
                    "the segment breaks off, and a later one follows".to_owned(),
                );
            }
            if identity.generation == 0 {
                self.next_number = end.next_number;
            } else {
                self.next_number = self.next_number.max(end.next_number);
            }
            self.end = Some((identity.key(), end));
            done += bytes.len() as u64;
            progress(done, all);
        }
        self.license(&unlicensed);
        self.attribute();
        Ok(())
    }

    /// Each segment begins with the number that the one before it ended with: what is missing between them is told.
    fn expect_number(&mut self, files: &dyn Files, segment: &Segment) {
        let begins = segment.identity.next_number;
        let had_end = self.end.is_some();
        // Of a segment that lost its seal only the seal is missing, and nobody misses that.
        let is_sealed = self.end.is_some_and(|(_, end)| end.how == How::Sealed);
        let missing_is_seal = !is_sealed && begins == self.next_number + 1;
        if begins != self.next_number && (had_end || begins > 1) && !missing_is_seal {
            let is_compacted = self.end.is_none_or(|(first, _)| {
                self.segments
                    .get(&first)
                    .is_some_and(|s| s.identity.generation > 0)
            });
            if !(is_compacted && (had_end || segment.identity.generation > 0)) {
                let (next, count) = (
                    self.next_number,
                    begins.saturating_sub(self.next_number).max(1),
                );
                self.lose(
                    Place {
                        segment: segment.key(),
                        offset: 0,
                    },
                    count,
                    format!("before {}", files.path(&segment.name).display()),
                    format!(
                        "frames {next} to {} are not there",
                        begins.saturating_sub(1)
                    ),
                );
            }
        }
        self.next_number = begins;
        self.index.next_position = self.index.next_position.max(segment.identity.next_position);
    }

    /// A stream may begin behind its first batch only where a truncation says so.
    fn license(&mut self, unlicensed: &BTreeMap<u64, (u64, u32)>) {
        for (number, (before, hash)) in unlicensed {
            let Some(stream) = self.streams.get(*number as usize - 1) else {
                continue;
            };
            let cut = stream.cut();
            let is_licensed = cut.batch > *before || (cut.batch == *before && cut.hash == *hash);
            if is_licensed {
                continue;
            }
            let damage = Damage {
                stream: Some(stream.name().clone()),
                seq: Some(Seq(cut.seq + 1)),
                place: "the log".to_owned(),
                what: format!("batches {} to {before} are not there", cut.batch + 1),
            };
            if let Some(known) = self.index.by_number(*number) {
                known.damage.get_or_insert(Box::new(damage));
            }
        }
    }

    fn lose(&mut self, at: Place, count: u64, place: String, what: String) {
        let damage = Damage {
            stream: None,
            seq: None,
            place,
            what,
        };
        self.unknown.push(Unknown { at, count, damage });
    }

    /// What was lost of nobody knows whom is explained when as many batches are missing between others of their streams:
    /// then it is known whose they were.
    fn attribute(&mut self) {
        let lost: u64 = self.unknown.iter().map(|unknown| unknown.count).sum();
        if lost <= self.missing {
            self.unknown.clear();
        }
    }

    /// Every stream must reach as far as the store has seen it.
    fn compare(&mut self, heads: &[(u64, Head)], mark: &Mark) {
        for (number, stored) in heads {
            let found = self.index.numbers.get(&stored.stream).copied();
            let last = found
                .and_then(|n| self.index.by_number(n))
                .map_or((0, 0), |known| {
                    (known.head.last_batch, known.head.last_seq.0)
                });
            if last.0 >= stored.last_batch {
                continue;
            }
            if found.is_none() {
                let name = &stored.stream;
                while (self.streams.len() as u64) < *number {
                    self.streams.push(Stream::new(name.clone()));
                }
                self.index.add(*number, name);
            }
            let damage = Damage {
                stream: Some(stored.stream.clone()),
                seq: Some(Seq(last.1 + 1)),
                place: "the end of the log".to_owned(),
                what: format!(
                    "the log ends before batch {} of the stream, which was on disk",
                    stored.last_batch
                ),
            };
            if let Some(known) = self
                .index
                .numbers
                .get(&stored.stream)
                .copied()
                .and_then(|n| self.index.by_number(n))
            {
                known.head = stored.clone();
                known.damage.get_or_insert(Box::new(damage));
            }
        }
        // Of all that the store had seen it is known whose it was.
        self.unknown.retain(|unknown| unknown.at >= mark.place);
        self.next_number = self.next_number.max(mark.next_number);
        self.index.next_position = self.index.next_position.max(mark.next_position);
    }
}
