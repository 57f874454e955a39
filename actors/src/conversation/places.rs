//! Where other sides are, by the names that they have here.

use crate::reference::AnyRef;
use crate::sync_plain::Mutex;
use ahash::{AHashMap, AHashSet};
use std::collections::BTreeSet;
use swarm_protocols::{Address, SmolStr};

/// How many places are remembered by name. When there are more they are looked up again, one by one.
const PLACES_MAX: usize = 8_192;

/// What all lives of one protocol actor know of places: a side of another node, or one without a registered name, is found by what was
/// said when its conversation began, and by nothing else.
#[derive(Default)]
pub(super) struct Places(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_name: AHashMap<SmolStr, AnyRef>,
    /// Protocol actors of other nodes, by their own word.
    keepers: AHashSet<Address>,
}

impl Places {
    pub(super) fn get(&self, name: &str) -> Option<AnyRef> {
        self.0.lock().by_name.get(name).cloned()
    }

    /// Remembers a place. When there is no room, all others are forgotten first.
    pub(super) fn note(&self, name: SmolStr, place: AnyRef) {
        let mut known = self.0.lock();
        let forgotten = match known.by_name.len() >= PLACES_MAX {
            true => std::mem::take(&mut *known),
            false => Known::default(),
        };
        let before = known.by_name.insert(name, place);
        drop(known);
        // The last reference to an agent may be among them: not to be let go under the lock.
        drop((forgotten, before));
    }

    /// Remembers that conversations with this agent of another node outlive its crash.
    pub(super) fn note_keeper(&self, address: Address) {
        let mut known = self.0.lock();
        if known.keepers.len() >= PLACES_MAX {
            known.keepers.clear();
        }
        known.keepers.insert(address);
    }

    pub(super) fn is_keeper(&self, address: Address) -> bool {
        self.0.lock().keepers.contains(&address)
    }

    /// Forgets an agent that has ended.
    pub(super) fn forget(&self, address: Address) {
        for name in self.names_of(address) {
            let place = self.0.lock().by_name.remove(&name);
            drop(place);
        }
        self.0.lock().keepers.remove(&address);
    }

    /// The names of an agent, in order.
    pub(super) fn names_of(&self, address: Address) -> BTreeSet<SmolStr> {
        let known = self.0.lock();
        let own = known.by_name.iter();
        let own = own.filter(|(_, place)| place.address() == address);
        own.map(|(name, _)| name.clone()).collect()
    }
}
