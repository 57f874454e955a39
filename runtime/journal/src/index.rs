//! What is known of every stream: its state, where its batches stand, its snapshots, its damage. Built by reading frames; the
//! same whether they are read at opening or were just written.

use crate::frame::{Frame, Kind};
use crate::scan::{Lost, Sink};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_actors::journal::record::{Batch, Bytes};
use swarm_actors::journal::rules::Stream;
use swarm_actors::journal::{Damage, Head, Seq, SnapshotMeta, StreamName, Tag};

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The segment's key.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchPlace {
    /// The segment's key.
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) first_seq: u64,
}

/// Where a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotPlace {
    pub(crate) meta: SnapshotMeta,
    pub(crate) place: Place,
}

/// What is known of one stream.
pub(crate) struct Known {
    pub(crate) head: Head,
    /// The batch that `places` begins with.
    pub(crate) places_from: u64,
    /// Where batches stand that the store behind the log does not know of yet, without a gap.
    pub(crate) places: Vec<BatchPlace>,
    pub(crate) snapshots: Option<BTreeMap<u64, SnapshotPlace>>,
    pub(crate) damage: Option<Box<Damage>>,
    /// Whether the store behind the log knows all of it.
    pub(crate) is_dirty: bool,
}

/// The body of a snapshot frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct SnapshotBody<'a> {
    pub(crate) meta: SnapshotMeta,
    #[serde(borrow)]
    pub(crate) note: Bytes<'a>,
    pub(crate) payload: Bytes<'a>,
}

/// All streams. A stream's number is its place in the list, from 1.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) known: Vec<Known>,
    pub(crate) numbers: BTreeMap<StreamName, u64>,
    /// Where tagged events stand that the store behind the log does not know of yet.
    pub(crate) tags: BTreeMap<(Tag, u64), Place>,
    pub(crate) next_position: u64,
    /// Behind what was written last.
    pub(crate) end: Place,
}

impl Place {
    /// Where a batch stands.
    pub(crate) fn of(batch: BatchPlace) -> Self {
        Self {
            segment: u64::from(batch.segment),
            offset: u64::from(batch.offset),
        }
    }
}

impl Known {
    pub(crate) fn new(name: StreamName) -> Self {
        Self {
            head: Stream::new(name).head(),
            places_from: 1,
            places: Vec::new(),
            snapshots: None,
            damage: None,
            is_dirty: false,
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.head.last_batch > 0
    }

    pub(crate) fn place(&mut self, batch: u64, place: BatchPlace) {
        if self.places.is_empty() {
            self.places_from = batch;
        }
        self.places.push(place);
    }
}

impl Index {
    pub(crate) fn get(&self, name: &StreamName) -> Option<(u64, &Known)> {
        let number = *self.numbers.get(name)?;
        Some((number, self.known.get(number as usize - 1)?))
    }

    pub(crate) fn by_number(&mut self, number: u64) -> Option<&mut Known> {
        self.known.get_mut((number as usize).checked_sub(1)?)
    }

    pub(crate) fn add(&mut self, number: u64, name: &StreamName) {
        while (self.known.len() as u64) < number {
            let unknown = format!("stream#{}", self.known.len() + 1);
            let unknown = StreamName::new(&unknown).unwrap_or_else(|_| name.clone());
            self.known.push(Known::new(unknown));
        }
        if let Some(known) = self.by_number(number) {
            known.head.stream = name.clone();
        }
        self.numbers.insert(name.clone(), number);
    }
}

/// Reads frames into an index and the writer's streams. Used at opening and by whoever looks at a stopped journal.
pub(crate) struct Reading<'a> {
    pub(crate) index: &'a mut Index,
    pub(crate) streams: &'a mut Vec<Stream>,
    pub(crate) segment: u64,
    pub(crate) place: String,
    /// Streams whose first batches are gone, and what those were: to be licensed by a truncation.
    pub(crate) unlicensed: &'a mut BTreeMap<u64, (u64, u32)>,
    pub(crate) unknown: &'a mut Vec<Unknown>,
    pub(crate) frames: u64,
    /// Whether the streams came out of the store: a crash between its heads and its mark leaves heads that are ahead.
    pub(crate) is_resumed: bool,
    /// Batches that are missing between others of their stream.
    pub(crate) missing: &'a mut u64,
}

/// Frames that were lost, of nobody knows whom.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    pub(crate) at: Place,
    /// How many, at least.
    pub(crate) count: u64,
    pub(crate) damage: Damage,
}

/// The longest stream list that a damaged number may make us keep.
const STREAM_NUMBER_GAP_MAX: u64 = 1 << 24;

impl Reading<'_> {
    fn stream(&mut self, number: u64) -> Option<&mut Stream> {
        let known = self.index.known.len() as u64;
        if number == 0 || number > known + STREAM_NUMBER_GAP_MAX {
            return None;
        }
        while (self.streams.len() as u64) < number {
            let n = self.streams.len() as u64 + 1;
            let name = match self.index.by_number(n) {
                Some(known) => known.head.stream.clone(),
                None => {
                    let name = StreamName::new(&format!("stream#{n}")).ok()?;
                    self.index.add(n, &name);
                    name
                }
            };
            self.streams.push(Stream::new(name));
        }
        self.streams.get_mut(number as usize - 1)
    }

    fn named(&mut self, number: u64, body: &[u8]) {
        let name = std::str::from_utf8(body)
            .ok()
            .and_then(|text| StreamName::new(text).ok());
        let Some(name) = name else {
            return;
        };
        if self
            .stream(number)
            .is_some_and(|stream| stream.name() != &name)
        {
            let stale = format!("stream#{number}");
            self.index.numbers.remove(stale.as_str());
            self.index.add(number, &name);
            if let Some(stream) = self.stream(number) {
                stream.rename(name);
            }
        } else {
            self.index.numbers.entry(name).or_insert(number);
        }
    }

    fn batch(&mut self, frame: &Frame<'_>) {
        let number = frame.head.stream;
        let place = format!("{} at {}", self.place, frame.offset);
        let is_resumed = self.is_resumed;
        let Ok(batch) = Batch::decode(frame.body) else {
            self.lost_of(number, 0, frame.offset, "a frame that holds no batch");
            return;
        };
        let Some(stream) = self.stream(number) else {
            return;
        };
        if is_resumed && batch.batch <= stream.last_batch() {
            let is_same = batch.batch < stream.last_batch() || frame.head.body_sum == stream.hash();
            self.known_already(frame, &batch, is_same);
            return;
        }
        let mut damage = None;
        let mut gap = None;
        let mut missing = 0;
        if !stream.exists() && batch.batch > 1 {
            stream.begin_at(&batch);
            gap = Some((batch.batch - 1, batch.previous));
        } else if let Err(found) = stream.follows(&batch, || place) {
            damage = Some(found);
            missing = batch.batch.saturating_sub(stream.last_batch() + 1);
            stream.begin_at(&batch);
        }
        stream.apply(&batch, frame.head.body_sum);
        let head = stream.head();
        *self.missing += missing;
        if let Some(gap) = gap {
            self.unlicensed.insert(number, gap);
        }
        self.index.next_position = self
            .index
            .next_position
            .max(batch.position + batch.events.len() as u64);
        for (event, position) in batch.events.iter().zip(batch.position..) {
            for tag in event.tags.iter().filter_map(|tag| Tag::new(tag).ok()) {
                let place = Place {
                    segment: self.segment,
                    offset: frame.offset,
                };
                self.index.tags.insert((tag, position), place);
            }
        }
        let at = BatchPlace {
            segment: self.segment as u32,
            offset: frame.offset as u32,
            first_seq: batch.first_seq,
        };
        if let Some(known) = self.index.by_number(number) {
            if damage.is_some() {
                known.places.clear();
            }
            known.place(batch.batch, at);
            known.head = head;
            known.is_dirty = true;
            if let Some(damage) = damage {
                known.damage.get_or_insert(Box::new(damage));
            }
        }
    }

    /// A batch that the store's head has in it.
    fn known_already(&mut self, frame: &Frame<'_>, batch: &Batch<'_>, is_same: bool) {
        let number = frame.head.stream;
        if !is_same {
            self.lost_of(
                number,
                batch.first_seq,
                frame.offset,
                "it is not what was written last",
            );
        }
        let at = BatchPlace {
            segment: self.segment as u32,
            offset: frame.offset as u32,
            first_seq: batch.first_seq,
        };
        if let Some(known) = self.index.by_number(number) {
            known.place(batch.batch, at);
            known.is_dirty = true;
        }
        let end = batch.position + batch.events.len() as u64;
        self.index.next_position = self.index.next_position.max(end);
    }

    fn snapshot(&mut self, frame: &Frame<'_>) {
        let Ok(body) = postcard::from_bytes::<SnapshotBody<'_>>(frame.body) else {
            return;
        };
        let place = SnapshotPlace {
            meta: body.meta,
            place: Place {
                segment: self.segment,
                offset: frame.offset,
            },
        };
        self.stream(frame.head.stream);
        if let Some(known) = self.index.by_number(frame.head.stream) {
            known.is_dirty = true;
            known
                .snapshots
                .get_or_insert_default()
                .insert(body.meta.seq.0, place);
        }
    }

    fn deleted(&mut self, frame: &Frame<'_>) {
        let numbers: Vec<u64> = postcard::from_bytes(frame.body).unwrap_or_default();
        if let Some(known) = self.index.by_number(frame.head.stream) {
            known.is_dirty = true;
            if let Some(snapshots) = &mut known.snapshots {
                snapshots.retain(|seq, _| !numbers.contains(seq));
            }
        }
    }

    fn lost_of(&mut self, number: u64, seq: u64, offset: u64, what: &str) {
        let place = format!("{} at {offset}", self.place);
        let Some(stream) = self.stream(number) else {
            return;
        };
        let seq = if seq == 0 {
            stream.head().last_seq.0 + 1
        } else {
            seq
        };
        let damage = Damage {
            stream: Some(stream.name().clone()),
            seq: Some(Seq(seq)),
            place,
            what: what.to_owned(),
        };
        if let Some(known) = self.index.by_number(number) {
            known.damage.get_or_insert(Box::new(damage));
        }
    }
}

impl Sink for Reading<'_> {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        match frame.head.kind {
            Kind::Name => self.named(frame.head.stream, frame.body),
            Kind::Batch => self.batch(frame),
            Kind::Snapshot => self.snapshot(frame),
            Kind::Deleted => self.deleted(frame),
            Kind::GroupEnd | Kind::Seal => {}
        }
    }

    fn lost(&mut self, lost: Lost) {
        // A snapshot that is gone costs a longer replay, and a name comes again in the next segment.
        for of in lost.of.iter().filter(|of| of.kind == Kind::Batch as u8) {
            self.lost_of(
                of.stream,
                of.seq,
                lost.offset,
                "what was written there is not there any more",
            );
        }
        if lost.unknown > 0 {
            self.unknown.push(Unknown {
                at: Place {
                    segment: self.segment,
                    offset: lost.offset,
                },
                count: lost.unknown,
                damage: Damage {
                    stream: None,
                    seq: None,
                    place: format!("{} at {}", self.place, lost.offset),
                    what: format!(
                        "{} frames are not there any more, and whose they were cannot be told",
                        lost.unknown
                    ),
                },
            });
        }
    }
}
