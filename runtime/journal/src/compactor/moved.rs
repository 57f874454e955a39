//! Where frames stand after a compaction.

use crate::index::{BatchPlace, Place, SnapshotPlace};
use crate::store::Delta;
use swarm_actors::journal::Tag;

/// What became of the frames of some segments that were compacted into one.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// The keys of the segments that are gone, in order.
    pub(crate) from: Vec<u64>,
    /// The key of the one that has taken their place.
    pub(crate) to: u64,
    /// In the order of the places before, with the offsets after; frames that did not live are not in it.
    frames: Vec<(Place, u64)>,
    /// Whose frames they are or were, in order.
    pub(crate) streams: Vec<u64>,
    /// Tagged events, with the places of before.
    pub(crate) tags: Vec<(Tag, u64, Place)>,
    /// Tagged events that did not live.
    pub(crate) dead_tags: Vec<(Tag, u64)>,
}

/// Where a frame is that was somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Where it was, as far as is known here.
    AsBefore,
    /// Here now.
    Now(Place),
    /// Nowhere: nobody needed it.
    Gone,
}

impl Moved {
    /// Of these segments, into that one.
    pub(crate) fn new(from: Vec<u64>, to: u64) -> Self {
        Self {
            from,
            to,
            ..Self::default()
        }
    }

    /// Notes a frame that lives, in the order of the log.
    pub(crate) fn note(&mut self, before: Place, offset: u64) {
        self.frames.push((before, offset));
    }

    /// Puts what was noted into the order in which it is looked up.
    pub(crate) fn finish(&mut self) {
        self.streams.sort_unstable();
        self.streams.dedup();
    }

    /// Where what was at `place` is now.
    pub(crate) fn find(&self, place: Place) -> Whereabouts {
        if self.from.binary_search(&place.segment).is_err() {
            return Whereabouts::AsBefore;
        }
        match self
            .frames
            .binary_search_by_key(&place, |(before, _)| *before)
        {
            Ok(at) => Whereabouts::Now(Place {
                segment: self.to,
                offset: self.frames[at].1,
            }),
            Err(_) => Whereabouts::Gone,
        }
    }

    /// The same place, or where it is now. Of what is gone the place of before: nobody asks for it.
    pub(crate) fn place(&self, place: Place) -> Place {
        match self.find(place) {
            Whereabouts::Now(now) => now,
            Whereabouts::AsBefore | Whereabouts::Gone => place,
        }
    }

    /// Brings the places of batches up to date. Whether any changed.
    pub(crate) fn batches(&self, places: &mut [BatchPlace]) -> bool {
        let mut is_changed = false;
        for batch in places {
            if let Whereabouts::Now(now) = self.find(Place::of(*batch)) {
                batch.segment = now.segment as u32;
                batch.offset = now.offset as u32;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Whether all of these batches are gone.
    pub(crate) fn are_gone(&self, places: &[BatchPlace]) -> bool {
        places
            .iter()
            .all(|batch| self.find(Place::of(*batch)) == Whereabouts::Gone)
    }

    /// Brings the place of a snapshot up to date.
    pub(crate) fn snapshot(&self, snapshot: &mut SnapshotPlace) {
        snapshot.place = self.place(snapshot.place);
    }

    /// Brings a checkpoint up to date that was made before.
    pub(crate) fn delta(&self, delta: &mut Delta) {
        for (_, _, places) in &mut delta.places {
            self.batches(places);
        }
        for (_, snapshots) in &mut delta.snapshots {
            snapshots.iter_mut().for_each(|s| self.snapshot(s));
        }
        // What is gone is gone from the store already, and is not to come back.
        delta
            .tags
            .retain(|(_, _, place)| self.find(*place) != Whereabouts::Gone);
        for (_, _, place) in &mut delta.tags {
            *place = self.place(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_somewhere_else_stays_there_and_what_was_not_noted_is_gone() {
        let at = |segment, offset| Place { segment, offset };
        let mut moved = Moved::new(vec![256, 512], 257);
        moved.note(at(256, 576), 576);
        moved.note(at(512, 700), 640);
        moved.finish();
        assert_eq!(moved.find(at(256, 576)), Whereabouts::Now(at(257, 576)));
        assert_eq!(moved.find(at(512, 700)), Whereabouts::Now(at(257, 640)));
        assert_eq!(moved.find(at(512, 576)), Whereabouts::Gone);
        assert_eq!(moved.find(at(257, 576)), Whereabouts::AsBefore);
        assert_eq!(moved.find(at(768, 576)), Whereabouts::AsBefore);
    }
}
