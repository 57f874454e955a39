//! One node's entries, as it wrote them or as far as they were copied.

use super::entry::{self, Key, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The most entries of one node.
pub(super) const ENTRIES_MAX: usize = 1 << 20;
/// Deleted entries that are kept whatever the number of living ones.
const DELETED_KEPT: usize = 1024;

/// Entries by key, each with the number of the write that made it what it is.
///
/// `version` and `floor` belong together: whoever has copied everything up to a version at or above `floor` needs only what was written
/// since. Below `floor` deletions have been forgotten, so a copy that is older (and not empty) has to be compared as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<Key, Slot>,
    by_version: BTreeMap<u64, Key>,
    deleted: BTreeSet<u64>,
    pub(super) version: u64,
    pub(super) floor: u64,
    comparison: Option<Comparison>,
}

/// A copy that is compared as a whole.
#[derive(Clone, Debug)]
struct Comparison {
    /// The original's version when it began, at least.
    start: u64,
    /// What came again so far.
    seen: BTreeSet<Key>,
}

#[derive(Clone, Debug)]
struct Slot {
    version: u64,
    value: Option<Value>,
}

/// One entry as it travels.
pub(super) type Written = (u64, Key, Option<Value>);

impl Log {
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.entries.get(key)?.value.as_ref()
    }

    /// The number of entries that were not deleted.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.deleted.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let living = self.entries.iter().filter(|(_, slot)| slot.value.is_some());
        living.map(|(key, _)| key)
    }

    /// The owner's write. False when it changes nothing.
    pub(super) fn write(&mut self, key: Key, value: Option<Value>) -> bool {
        if self.get(&key) == value.as_ref() {
            return false;
        }
        self.version += 1;
        self.put(self.version, key, value);
        self.forget_deleted(self.len().max(DELETED_KEPT));
        true
    }

    /// A copy of a write. False when this copy has it already, or has no room.
    pub(super) fn copy(&mut self, version: u64, key: Key, value: Option<Value>) -> bool {
        if let Some(comparison) = &mut self.comparison {
            comparison.seen.insert(key.clone());
        }
        match self.entries.get(&key) {
            Some(slot) if slot.version >= version => return false,
            None if self.entries.len() >= ENTRIES_MAX => return false,
            _ => {}
        }
        let changes = self.get(&key) != value.as_ref();
        self.put(version, key, value);
        changes
    }

    fn put(&mut self, version: u64, key: Key, value: Option<Value>) {
        if let Some(old) = self.entries.get(&key) {
            self.by_version.remove(&old.version);
            self.deleted.remove(&old.version);
        }
        if value.is_none() {
            self.deleted.insert(version);
        }
        self.by_version.insert(version, key.clone());
        self.entries.insert(key, Slot { version, value });
    }

    fn forget_deleted(&mut self, kept: usize) {
        while self.deleted.len() > kept
            && let Some(oldest) = self.deleted.first().copied()
        {
            self.forget_below(oldest + 1);
        }
    }

    /// Forgets what was deleted before `floor`.
    pub(super) fn forget_below(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        let kept = self.deleted.split_off(&floor);
        for version in std::mem::replace(&mut self.deleted, kept) {
            if let Some(key) = self.by_version.remove(&version) {
                self.entries.remove(&key);
            }
        }
    }

    /// What was written after `from`, in order, at most `count` entries of about `room` bytes together (one in any case); and up
    /// to which version that is complete.
    pub(super) fn since(&self, from: u64, count: usize, room: usize) -> (Vec<Written>, u64) {
        let mut written: Vec<Written> = Vec::new();
        let mut bytes = 0;
        for (version, key) in self.by_version.range(from.saturating_add(1)..) {
            let Some(slot) = self.entries.get(key) else {
                continue;
            };
            bytes += entry::bytes(key, slot.value.as_ref());
            if let Some((last, _, _)) = written.last()
                && (written.len() >= count || bytes > room)
            {
                let last = *last;
                return (written, last);
            }
            written.push((*version, key.clone(), slot.value.clone()));
        }
        (written, self.version)
    }

    /// Whether a part that begins behind `from`, of an original with this `floor`, leaves out deletions that this copy has not heard of.
    ///
    /// While a comparison runs, only what was deleted since its start can be missed.
    pub(super) fn misses_deletions(&self, from: u64, floor: u64) -> bool {
        let heard = match &self.comparison {
            None => from,
            Some(comparison) => from.max(comparison.start),
        };
        from > 0 && floor > heard + 1
    }

    /// Begins to compare this copy as a whole with an original that is at `start` at least: it goes on from nothing, and what does not come
    /// again by the end was deleted.
    pub(super) fn begin_comparison(&mut self, start: u64) {
        self.version = 0;
        let seen = BTreeSet::new();
        self.comparison = Some(Comparison { start, seen });
    }

    pub(super) fn is_comparing(&self) -> bool {
        self.comparison.is_some()
    }

    /// Ends the comparison and removes what was not seen.
    pub(super) fn end_comparison(&mut self) -> Vec<Key> {
        let Some(Comparison { seen, .. }) = self.comparison.take() else {
            return Vec::new();
        };
        let stale: Vec<Key> = self
            .entries
            .keys()
            .filter(|key| !seen.contains(key))
            .cloned()
            .collect();
        for key in &stale {
            if let Some(slot) = self.entries.remove(key) {
                self.by_version.remove(&slot.version);
                self.deleted.remove(&slot.version);
            }
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use swarm_protocols::{Address, Name};

    fn key(address: u128) -> Key {
        Key::Member(Name::new("g").expect("valid"), Address(address))
    }

    #[test]
    fn a_copy_gets_what_was_written_since_and_no_more() {
        let mut log = Log::default();
        for address in 0..5 {
            assert!(log.write(key(address), Some(Value::Count(1))));
        }
        assert!(!log.write(key(4), Some(Value::Count(1))));
        log.write(key(0), None);
        let (written, upto) = log.since(3, 2, usize::MAX);
        let versions: Vec<u64> = written.iter().map(|(version, _, _)| *version).collect();
        assert_eq!((versions, upto), (vec![4, 5], 5));
        let (written, upto) = log.since(5, 2, usize::MAX);
        assert_eq!((written.len(), upto, log.len()), (1, 6, 4));
        assert_eq!(log.since(u64::MAX, 9, usize::MAX).0, []);
    }

    #[test]
    fn a_part_ends_where_its_room_does_and_has_one_entry_at_least() {
        let mut log = Log::default();
        let text: Arc<str> = "x".repeat(100).into();
        for agent in ["a", "b", "c"] {
            let value = Value::Description(text.clone());
            log.write(Key::Description(agent.into()), Some(value));
        }
        let (written, upto) = log.since(0, 9, 250);
        assert_eq!((written.len(), upto), (2, 2));
        let (written, upto) = log.since(2, 9, 1);
        assert_eq!((written.len(), upto), (1, 3));
    }

    #[test]
    fn deletions_are_forgotten_in_order_and_raise_the_floor() {
        let mut log = Log::default();
        for address in 0..2000 {
            log.write(key(address), Some(Value::Count(1)));
            log.write(key(address), None);
        }
        assert_eq!(log.deleted.len(), DELETED_KEPT);
        assert_eq!(log.entries.len(), DELETED_KEPT);
        assert!(log.floor > 0 && log.floor < log.version);
    }

    #[test]
    fn a_comparison_removes_what_did_not_come_again() {
        let mut log = Log::default();
        for address in 0..3 {
            log.copy(address as u64 + 1, key(address), Some(Value::Count(1)));
        }
        log.begin_comparison(9);
        log.copy(1, key(0), Some(Value::Count(1)));
        log.copy(9, key(2), Some(Value::Count(2)));
        assert_eq!(log.end_comparison(), [key(1)]);
        assert_eq!(log.keys().count(), 2);
    }
}
