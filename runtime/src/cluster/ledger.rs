//! What every member keeps a copy of: tokens, names that were thrown out, and the gossip keys.
//!
//! A pure value. Two copies merge into one that both would have become, whichever comes first: tokens by union (revoked wins, the higher
//! count of uses wins, as only a token's home counts them), evictions by the latest word on each name, keys by the latest epoch. So copies
//! that hear of each other agree, and a member that was away catches up with one exchange.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_cluster::gossip::GossipKey;
use swarm_cluster::security::TokenStore;
use swarm_protocols::Name;

/// How many names are remembered; the oldest word goes first.
const DENIED_MAX: usize = 4096;

/// The last word on a name: thrown out, or let in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Word {
    /// When, in milliseconds since 1970 UTC by the clock of whoever said it, and never before the word that it follows.
    at_ms: u64,
    is_denied: bool,
}

/// The keys of gossip, the one in use first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Grows with each step of a rotation.
    pub(super) epoch: u64,
    pub(super) keys: Vec<[u8; 32]>,
}

impl Keys {
    pub(super) fn step(&self, keys: Vec<[u8; 32]>) -> Self {
        Self {
            epoch: self.epoch + 1,
            keys,
        }
    }

    pub(super) fn gossip_keys(&self) -> impl Iterator<Item = GossipKey> {
        self.keys.iter().map(|key| GossipKey::new(*key))
    }
}

/// One copy.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) tokens: TokenStore,
    words: BTreeMap<Name, Word>,
    pub(super) keys: Keys,
}

impl Ledger {
    pub(super) fn of(keys: Vec<[u8; 32]>) -> Self {
        Self {
            keys: Keys { epoch: 1, keys },
            ..Self::default()
        }
    }

    /// What a node needs that joins; the rest it hears by comparing.
    pub(super) fn of_keys(keys: &Keys) -> Self {
        Self {
            keys: keys.clone(),
            ..Self::default()
        }
    }

    /// Takes over what the other copy knows better. `now` in seconds since 1970 UTC: tokens that are over for a day are not taken.
    pub(super) fn merge(&mut self, other: Self, now: u64) {
        self.tokens.merge(other.tokens, now);
        for (name, word) in other.words {
            self.say(name, word);
        }
        if other.keys > self.keys && !other.keys.keys.is_empty() {
            self.keys = other.keys;
        }
    }

    fn say(&mut self, name: Name, word: Word) {
        let known = self.words.entry(name).or_insert(word);
        *known = word.max(*known);
        while self.words.len() > DENIED_MAX {
            let oldest = self.words.iter().min_by_key(|(_, word)| **word);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.words.remove(&oldest);
        }
    }

    fn next_word(&self, name: &Name, now_ms: u64, is_denied: bool) -> Word {
        let last = self.words.get(name).map_or(0, |word| word.at_ms);
        Word {
            at_ms: now_ms.max(last + 1),
            is_denied,
        }
    }

    /// No member has a link with a node of this name from now on.
    pub(super) fn deny(&mut self, name: &Name, now_ms: u64) {
        let word = self.next_word(name, now_ms, true);
        self.say(name.clone(), word);
    }

    /// A node of this name was let in with a token. False when nothing stood against it.
    pub(super) fn readmit(&mut self, name: &Name, now_ms: u64) -> bool {
        if !self.is_denied(name) {
            return false;
        }
        let word = self.next_word(name, now_ms, false);
        self.say(name.clone(), word);
        true
    }

    pub(super) fn is_denied(&self, name: &Name) -> bool {
        self.words.get(name).is_some_and(|word| word.is_denied)
    }

    /// Equal for equal copies.
    pub(super) fn digest(&self) -> u64 {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_cluster::security::TokenTerms;

    fn name(text: &str) -> Name {
        Name::new(text).expect("valid")
    }

    fn both_ways(a: &Ledger, b: &Ledger) -> Ledger {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b.clone(), 100);
        ba.merge(a.clone(), 100);
        assert_eq!(ab.digest(), ba.digest());
        ab
    }

    #[test]
    fn copies_that_hear_of_each_other_agree_whoever_is_first() {
        let base = Ledger::of(vec![[1; 32]]);
        let (mut a, mut b) = (base.clone(), base);
        a.deny(&name("n3"), 5_000);
        // A clock that is behind does not take the word back.
        let mut after = a.clone();
        assert!(after.readmit(&name("n3"), 10));
        assert!(!both_ways(&a, &after).is_denied(&name("n3")));
        let terms = TokenTerms {
            expires: 1000,
            uses: None,
            makes_voters: false,
        };
        let made = a.tokens.create(7, [3; 32], terms, &name("n1"), 10);
        let id = made.expect("makes one").id;
        b.tokens
            .create(7, [3; 32], terms, &name("n2"), 10)
            .expect("makes one");
        b.keys = b.keys.step(vec![[1; 32], [2; 32]]);
        let merged = both_ways(&a, &b);
        assert_eq!(merged.tokens.list().len(), 2);
        assert_eq!(merged.keys.keys.len(), 2);
        assert!(merged.is_denied(&name("n3")));
        let mut revoked = merged.clone();
        assert!(revoked.tokens.revoke(id));
        let again = both_ways(&merged, &revoked);
        let info = again.tokens.list().into_iter().find(|info| info.id == id);
        assert!(info.expect("is there").is_revoked);
    }

    #[test]
    fn of_two_rotations_at_once_one_wins_everywhere() {
        let base = Ledger::of(vec![[1; 32]]);
        let (mut a, mut b) = (base.clone(), base);
        a.keys = a.keys.step(vec![[1; 32], [2; 32]]);
        b.keys = b.keys.step(vec![[1; 32], [3; 32]]);
        assert_eq!(both_ways(&a, &b).keys, b.keys);
    }
}
