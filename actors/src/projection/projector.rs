//! A projection and where it has come to.

use crate::durable::{decode, encode};
use crate::journal::{
    AppendError, Criteria, Journal, JournalError, NameRefused, Position, Receipt, Recorded, Seq,
    Snapshot, SnapshotMeta, StreamName, Tag,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A view is saved when so many events were applied since the last time.
pub const SAVE_AFTER_EVENTS: u64 = 10_000;

/// The type of the snapshots that hold a view.
const VIEW: u32 = 2;

/// What a developer writes: what an event does to a view. It must be the same function of its arguments always.
pub trait Projection: Send + Sync + Sized + 'static {
    /// What is read out of the events; its default is the view before any. At most 16 MiB as bytes.
    type View: Default + Serialize + DeserializeOwned + Send + 'static;

    /// The version of the view's form, and of what events do to it. With another one the view is made anew.
    const VERSION: u16 = 1;

    /// Only events that carry this tag; all, by default.
    fn tag(&self) -> Option<Tag> {
        None
    }

    /// Applies an event. What it does not know it leaves alone.
    fn apply(&self, view: &mut Self::View, event: &Recorded);
}

/// How far a projection is behind its journal. Cheap to clone; read by whoever shows metrics.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<AtomicU64>);

impl Lag {
    /// How many positions lie between the journal's end and what is in the view.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a projection cannot be read, fed or saved. Its view is as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProjectionFailed {
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] NameRefused),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The view was not saved: it is what it is in memory only, and is read out of events again after a crash.
    #[error("the view was not saved: {0}")]
    NotSaved(#[from] AppendError),
}

/// A projection at work. Its methods may block on a disk.
pub struct Projector<P: Projection> {
    projection: P,
    stream: StreamName,
    view: P::View,
    offset: Position,
    since_saved: u64,
    lag: Lag,
}

/// What is saved: the view, and the position up to where events are in it.
#[derive(Serialize, Deserialize)]
struct Saved<V> {
    offset: u64,
    view: V,
}

impl<P: Projection> Projector<P> {
    /// The projection of that name (of the characters of [`StreamName`]), with the view that was saved last, if there is one of
    /// this version.
    ///
    /// # Errors
    /// [`ProjectionFailed`]. A view that cannot be read is no error: an older one is taken, or it is made anew.
    pub fn open(
        projection: P,
        name: &str,
        journal: &dyn Journal,
        lag: Lag,
    ) -> Result<Self, ProjectionFailed> {
        let stream = StreamName::new(&format!("projection/{name}"))?;
        let mut projector = Self {
            projection,
            view: P::View::default(),
            offset: Position(0),
            since_saved: 0,
            lag,
            stream,
        };
        for meta in journal.snapshots(&projector.stream)? {
            if meta.type_id != VIEW || meta.version != P::VERSION {
                continue;
            }
            let read = journal.snapshot(&projector.stream, meta.seq);
            if let Ok(Some(snapshot)) = read
                && let Some(saved) = decode::<Saved<P::View>>(&snapshot.payload)
            {
                projector.view = saved.view;
                projector.offset = Position(saved.offset);
                break;
            }
        }
        projector.measure(journal);
        Ok(projector)
    }

    /// What is in the view.
    #[must_use]
    pub fn view(&self) -> &P::View {
        &self.view
    }

    /// Events up to this position are in the view.
    #[must_use]
    pub fn offset(&self) -> Position {
        self.offset
    }

    /// Applies up to `limit` events that are not in the view yet, and says how many there were. When it is fewer, the view is up
    /// to date with what the journal held when it was called.
    ///
    /// # Errors
    /// [`ProjectionFailed::Journal`]: some of the events may have been applied; the offset says which.
    pub fn feed(&mut self, journal: &dyn Journal, limit: usize) -> Result<usize, ProjectionFailed> {
        // What is written from here on is for the next time.
        let last = journal.last_position();
        let tag = self.projection.tag();
        let events = journal.read_positions(self.offset, tag.as_ref(), limit)?;
        let count = events.len();
        for event in &events {
            self.projection.apply(&mut self.view, event);
            self.offset = event.position;
        }
        // Events without the tag, and truncated ones, are passed over.
        if count < limit {
            self.offset = self.offset.max(last);
        }
        self.since_saved += count as u64;
        self.measure(journal);
        Ok(count)
    }

    /// Whether enough has changed for the view to be saved.
    #[must_use]
    pub fn is_save_due(&self) -> bool {
        self.since_saved >= SAVE_AFTER_EVENTS
    }

    /// Saves view and offset in one. Two are kept.
    ///
    /// # Errors
    /// In the receipt.
    pub fn save(&mut self, journal: &dyn Journal, now_ms: u64) -> Receipt<(), AppendError> {
        let saved = Saved {
            offset: self.offset.0,
            view: &self.view,
        };
        let payload = match encode(&saved) {
            Ok(payload) => payload,
            // Only a type that cannot be postcard at all; the journal refuses what is too large.
            Err(_) => return AppendError::Journal(JournalError::Unknown).into(),
        };
        self.since_saved = 0;
        let snapshot = Snapshot {
            stream: self.stream.clone(),
            meta: SnapshotMeta {
                seq: Seq(self.offset.0),
                batch: 0,
                at_ms: now_ms,
                type_id: VIEW,
                version: P::VERSION,
            },
            note: Vec::new(),
            payload,
        };
        let saving = journal.save_snapshot(snapshot);
        // The journal does this after the save, or not at all.
        if let Ok(known) = journal.snapshots(&self.stream)
            && let Some(second) = known.get(1)
        {
            drop(journal.delete_snapshots(&self.stream, Criteria::up_to(second.seq)));
        }
        saving
    }

    /// Begins with the first event again. What was saved is deleted.
    pub fn rebuild(&mut self, journal: &dyn Journal) {
        // Should that not reach the disk, the old view is there after a crash: right as well, and up to where it says.
        drop(journal.delete_snapshots(&self.stream, Criteria::default()));
        self.view = P::View::default();
        self.offset = Position(0);
        self.since_saved = 0;
        self.measure(journal);
    }

    fn measure(&self, journal: &dyn Journal) {
        let lag = journal.last_position().0.saturating_sub(self.offset.0);
        self.lag.0.store(lag, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Append, EventData, MemoryJournal};
    use std::collections::BTreeMap;

    /// How often each stream was written, and the positions in the order in which they came.
    struct Counts(Option<Tag>);

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct View {
        counts: BTreeMap<String, u64>,
        positions: Vec<u64>,
    }

    impl Projection for Counts {
        type View = View;

        fn tag(&self) -> Option<Tag> {
            self.0.clone()
        }

        fn apply(&self, view: &mut View, event: &Recorded) {
            *view.counts.entry(event.stream.to_string()).or_default() += 1;
            view.positions.push(event.position.0);
        }
    }

    async fn write(journal: &MemoryJournal, count: u64, tag: Option<&Tag>) {
        for n in 0..count {
            let stream = StreamName::new(&format!("s{}", n % 3)).expect("a name");
            let event = EventData {
                tags: tag.into_iter().cloned().collect(),
                ..EventData::default()
            };
            let append = Append::new(stream, vec![event]);
            journal.append(append).await.expect("written");
        }
    }

    fn open(journal: &MemoryJournal, tag: Option<Tag>) -> (Projector<Counts>, Lag) {
        let lag = Lag::default();
        let projector = Projector::open(Counts(tag), "counts", journal, lag.clone());
        (projector.expect("it opens"), lag)
    }

    #[tokio::test]
    async fn after_a_crash_no_event_is_applied_twice_and_none_left_out() {
        let journal = MemoryJournal::new();
        for round in 1..=20_u64 {
            // Whatever of the feeding was not saved is lost with this one.
            let (mut projector, _) = open(&journal, None);
            write(&journal, 10, None).await;
            projector.feed(&journal, 7).expect("fed");
            if round.is_multiple_of(2) {
                projector.save(&journal, round).await.expect("saved");
            }
            projector.feed(&journal, 1000).expect("fed");
            let expected: Vec<u64> = (1..=round * 10).collect();
            assert_eq!(projector.view().positions, expected);
        }
        let stream = StreamName::new("projection/counts").expect("a name");
        assert!(journal.snapshots(&stream).expect("read").len() <= 3);
    }

    #[tokio::test]
    async fn the_lag_is_what_is_not_in_the_view() {
        let journal = MemoryJournal::new();
        write(&journal, 30, None).await;
        let (mut projector, lag) = open(&journal, None);
        assert_eq!(lag.get(), 30);
        assert_eq!(projector.feed(&journal, 20).expect("fed"), 20);
        assert_eq!(lag.get(), 10);
        assert_eq!(projector.feed(&journal, 20).expect("fed"), 10);
        assert_eq!(lag.get(), 0);
        projector.rebuild(&journal);
        assert_eq!((lag.get(), projector.view()), (30, &View::default()));
        projector.feed(&journal, 1000).expect("fed");
        assert_eq!(projector.view().counts["s0"], 10);
    }

    #[tokio::test]
    async fn with_a_tag_other_events_are_passed_over_and_cost_no_lag() {
        let journal = MemoryJournal::new();
        let tag = Tag::new("t").expect("a tag");
        write(&journal, 5, Some(&tag)).await;
        write(&journal, 5, None).await;
        let (mut projector, lag) = open(&journal, Some(tag));
        projector.feed(&journal, 1000).expect("fed");
        assert_eq!(projector.view().positions, [1, 2, 3, 4, 5]);
        assert_eq!(lag.get(), 0);
    }
}
