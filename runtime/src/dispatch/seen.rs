//! Which ids were seen, in bounded memory.

use super::job::JobId;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// How many ids one generation remembers: as many as a table of 2^20 places takes before it grows.
const GENERATION_IDS: usize = (1 << 20) / 8 * 7;

/// Remembers at least the last 917 504 ids, in at most 20 MB: two generations of 64-bit hashes, of which the older is
/// forgotten when the younger is full.
///
/// An id that repeats one further back is taken for a new one. Two different ids are taken for the same with a chance of
/// one in ten million millions per id, which is the price of not keeping the ids themselves.
#[derive(Default)]
pub struct RecentIds {
    young: Hashes,
    old: Hashes,
}

/// Set of hashes; they are not hashed again.
pub(super) type Hashes = HashSet<u64, BuildHasherDefault<Already>>;

impl RecentIds {
    /// Notes `id`; false when it is among those remembered.
    pub fn insert(&mut self, id: &JobId) -> bool {
        let hash = hash_of(id);
        if self.old.contains(&hash) || !self.young.insert(hash) {
            return false;
        }
        if self.young.len() >= GENERATION_IDS {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        true
    }
}

/// The same in every run, so that a result file can be compared with.
pub(super) fn hash_of(id: &JobId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Takes a hash for what it is.
#[derive(Clone, Copy, Default)]
pub(super) struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut ids = RecentIds::default();
        assert!(ids.insert(&JobId::text("a")));
        assert!(ids.insert(&JobId::Number(1)));
        assert!(ids.insert(&JobId::text("1")));
        assert!(!ids.insert(&JobId::text("a")));
    }

    #[test]
    fn the_last_many_ids_are_remembered_and_the_oldest_forgotten() {
        let mut ids = RecentIds::default();
        let many = 2 * i128::try_from(GENERATION_IDS).unwrap();
        for id in 0..many {
            assert!(ids.insert(&JobId::Number(id)));
        }
        assert!(!ids.insert(&JobId::Number(many - 1)));
        assert!(!ids.insert(&JobId::Number(many / 2)));
        assert!(ids.insert(&JobId::Number(0)));
    }
}
