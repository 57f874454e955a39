//! What the writer, the indexer and all readers of one journal share.

use crate::compactor::{Moved, Progress};
use crate::files::Files;
use crate::index::{Index, Place, SnapshotPlace};
use crate::options::Options;
use crate::segment::Segment;
use crate::store::{Delta, Store};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use swarm_actors::journal::{Damage, JournalError, SnapshotMeta};

/// How many readers by position are remembered.
const RESTING_MAX: usize = 64;

pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) options: Options,
    /// Lock order: resting, index, segments, store, moved; none is held while a file is read or written.
    pub(crate) index: RwLock<Index>,
    pub(crate) segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    pub(crate) store: RwLock<Option<Arc<Store>>>,
    stopped: RwLock<Option<Arc<JournalError>>>,
    queued: AtomicUsize,
    /// How many groups were written.
    pub(crate) groups: AtomicU64,
    /// Whether any stream is damaged. Never becomes false again.
    has_damage: AtomicBool,
    /// Where readers by position have come to: behind that position, from that place on.
    resting: Mutex<VecDeque<(u64, Place)>>,
    /// It ends as if it were killed.
    pub(crate) is_abandoned: AtomicBool,
    /// What was compacted last, as long as there are places that do not know of it.
    pub(crate) moved: RwLock<Option<Arc<Moved>>>,
    /// How many batches and snapshots died since the log was last looked through.
    pub(crate) died: AtomicU64,
    /// How many copy the log's files, or read them as files: none is removed meanwhile.
    pub(crate) copies: AtomicUsize,
    /// Held while somebody compacts.
    pub(crate) compaction: Mutex<Progress>,
}

impl Shared {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        options: Options,
        index: Index,
        segments: BTreeMap<u64, Arc<Segment>>,
        store: Option<Arc<Store>>,
    ) -> Self {
        let died = index.known.iter().filter(|k| k.head.truncated_batch > 0);
        let died = AtomicU64::new(died.count() as u64);
        let has_damage = index.known.iter().any(|known| known.damage.is_some());
        Self {
            files,
            options,
            has_damage: AtomicBool::new(has_damage),
            resting: Mutex::default(),
            index: RwLock::new(index),
            segments: RwLock::new(segments),
            store: RwLock::new(store),
            stopped: RwLock::new(None),
            queued: AtomicUsize::new(0),
            groups: AtomicU64::new(0),
            is_abandoned: AtomicBool::new(false),
            moved: RwLock::new(None),
            died,
            copies: AtomicUsize::new(0),
            compaction: Mutex::default(),
        }
    }

    /// Takes room in the queue. False when there is not enough.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let before = self.queued.fetch_add(bytes, Ordering::AcqRel);
        // One that is larger than the whole queue may go alone.
        if before > 0 && before + bytes > self.options.queue_bytes {
            self.release(bytes);
            return false;
        }
        true
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn usable(&self) -> Result<(), JournalError> {
        match &*self.stopped.read() {
            Some(why) => Err(JournalError::Stopped(why.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn stop(&self, why: JournalError) {
        self.stopped.write().get_or_insert(Arc::new(why));
    }

    /// To be called before damage is noted in the index.
    pub(crate) fn is_damaged(&self) {
        self.has_damage.store(true, Ordering::Release);
    }

    /// The nearest place behind which positions beyond `after` stand, as far as a reader has come.
    pub(crate) fn resting_place(&self, after: u64) -> Option<Place> {
        let resting = self.resting.lock();
        let segments = self.segments.read();
        let behind = resting.iter().filter(|(position, place)| {
            *position <= after && segments.contains_key(&place.segment)
        });
        behind.max().map(|(_, place)| *place)
    }

    /// Notes how far a reader by position has come, in place of the reader that rested longest ago.
    pub(crate) fn rest(&self, position: u64, place: Place) {
        let mut resting = self.resting.lock();
        resting.retain(|(known, _)| *known != position);
        resting.push_back((position, place));
        if resting.len() > RESTING_MAX {
            resting.pop_front();
        }
    }

    pub(crate) fn damage(&self, number: u64) -> Option<Box<Damage>> {
        if !self.has_damage.load(Ordering::Acquire) {
            return None;
        }
        let index = self.index.read();
        let known = index.known.get((number as usize).checked_sub(1)?)?;
        known.damage.clone()
    }

    pub(crate) fn snapshots(&self, number: u64) -> Vec<SnapshotMeta> {
        let index = self.index.read();
        let known = index.known.get(number as usize - 1);
        known
            .and_then(|known| known.snapshots.as_ref())
            .map_or_else(Vec::new, |snapshots| {
                snapshots.values().rev().map(|place| place.meta).collect()
            })
    }

    /// What the store has yet to learn of these streams; their states are the writer's to add.
    pub(crate) fn delta(&self, dirty: &[u64]) -> Delta {
        let index = self.index.read();
        let mut delta = Delta::default();
        for number in dirty {
            let Some(known) = index.known.get(*number as usize - 1) else {
                continue;
            };
            if !known.places.is_empty() {
                delta
                    .places
                    .push((*number, known.places_from, known.places.clone()));
            }
            if let Some(snapshots) = &known.snapshots {
                let places: Vec<SnapshotPlace> = snapshots.values().copied().collect();
                delta.snapshots.push((*number, places));
            }
        }
        delta.tags = index
            .tags
            .iter()
            .map(|((tag, position), place)| (tag.clone(), *position, *place))
            .collect();
        delta
    }

    /// Brings all places in memory up to date.
    pub(crate) fn relocate(&self, moved: &Moved) {
        // So many at a time that who waits for the index does not wait long.
        const AT_ONCE: usize = 1024;
        for streams in moved.streams.chunks(AT_ONCE) {
            let mut index = self.index.write();
            for number in streams {
                let Some(known) = index.by_number(*number) else {
                    continue;
                };
                moved.batches(&mut known.places);
                let saved = known.snapshots.iter_mut().flat_map(BTreeMap::values_mut);
                saved.for_each(|snapshot| moved.snapshot(snapshot));
            }
        }
        for tags in moved.tags.chunks(AT_ONCE) {
            let mut index = self.index.write();
            for (tag, position, _) in tags {
                if let Some(place) = index.tags.get_mut(&(tag.clone(), *position)) {
                    *place = moved.place(*place);
                }
            }
        }
        for tags in moved.dead_tags.chunks(AT_ONCE) {
            let mut index = self.index.write();
            for dead in tags {
                index.tags.remove(dead);
            }
        }
    }

    /// Where the snapshots of these streams stand.
    pub(crate) fn saved(&self, streams: &[u64]) -> Vec<(u64, Vec<SnapshotPlace>)> {
        let index = self.index.read();
        let saved = streams.iter().filter_map(|number| {
            let known = index.known.get(*number as usize - 1)?;
            let places = known.snapshots.as_ref()?.values().copied();
            Some((*number, places.collect()))
        });
        saved.collect()
    }

    /// The store has learned it: memory need not hold it any more.
    pub(crate) fn settle(&self, delta: &Delta) {
        let mut index = self.index.write();
        for (number, first, places) in &delta.places {
            if let Some(known) = index.by_number(*number)
                && known.places_from == *first
            {
                known.places.drain(..places.len().min(known.places.len()));
                known.places_from += places.len() as u64;
                known.places.shrink_to(8);
            }
        }
        for (tag, position, _) in &delta.tags {
            index.tags.remove(&(tag.clone(), *position));
        }
    }
}
