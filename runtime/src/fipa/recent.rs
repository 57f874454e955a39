//! Second copies: the transport delivers at least once (fipa.md a.2 R9, c.5).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::{Duration, Instant};
use swarm_protocols::{Aid, DuplicateKey};

/// How many messages are remembered; beyond it the oldest is forgotten, and a copy of it would be taken.
const MESSAGES_MAX: usize = 8192;
/// How long. A sender that tries again does so at once.
const MEMORY: Duration = Duration::from_secs(60);

/// The messages of the last minute that have a reply-with.
///
/// Only what is equal byte by byte is a copy: JADE makes reply-with from a millisecond, so two notifications can have the
/// same. A hash stands for the bytes, 64 bits of a keyed one.
#[derive(Debug, Default)]
pub(super) struct Recent {
    hasher: RandomState,
    known: BTreeSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Recent {
    /// Whether it has come before. Remembers it.
    pub(super) fn is_copy(
        &mut self,
        key: &DuplicateKey,
        receivers: &[Aid],
        payload: &[u8],
        now: Instant,
    ) -> bool {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        receivers.hash(&mut hasher);
        payload.hash(&mut hasher);
        let hash = hasher.finish();
        while let Some(&(when, oldest)) = self.order.front() {
            let is_old = now.saturating_duration_since(when) > MEMORY;
            if !is_old && self.order.len() < MESSAGES_MAX {
                break;
            }
            self.order.pop_front();
            self.known.remove(&oldest);
        }
        let is_copy = !self.known.insert(hash);
        if !is_copy {
            self.order.push_back((now, hash));
        }
        is_copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocols::{AclMessage, Performative};

    fn key() -> DuplicateKey {
        let mut message = AclMessage::new(Performative::Inform);
        message.reply_with = Some("r1".into());
        message.duplicate_key().expect("it has a reply-with")
    }

    #[test]
    fn a_copy_is_known_for_a_minute_and_a_change_makes_another_message() {
        let mut recent = Recent::default();
        let now = Instant::now();
        let to = [Aid::named("a@p")];
        assert!(!recent.is_copy(&key(), &to, b"x", now));
        assert!(recent.is_copy(&key(), &to, b"x", now));
        assert!(!recent.is_copy(&key(), &to, b"y", now));
        assert!(!recent.is_copy(&key(), &[Aid::named("b@p")], b"x", now));
        let later = now + MEMORY + Duration::from_millis(1);
        assert!(!recent.is_copy(&key(), &to, b"x", later));
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        let now = Instant::now();
        for n in 0..2 * MESSAGES_MAX {
            assert!(!recent.is_copy(&key(), &[], &n.to_be_bytes(), now));
        }
        assert!(recent.order.len() <= MESSAGES_MAX && recent.known.len() <= MESSAGES_MAX);
        assert!(
            !recent.is_copy(&key(), &[], &0_usize.to_be_bytes(), now),
            "forgotten"
        );
    }
}
