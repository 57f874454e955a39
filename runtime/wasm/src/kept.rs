//! What outlives a crash: each agent's small store of keys and values.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::System;
use swarm_protocols::Path;

/// One agent's keys and values. Changed at the commit of a turn only.
pub(crate) type Store = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// What a turn changes in a store: a value, or `None` for a key that goes.
pub(crate) type Draft = BTreeMap<String, Option<Vec<u8>>>;

/// The stores of all agents of one plan.
#[derive(Default)]
pub(crate) struct Stores {
    /// How many there are before those of agents that are gone for good are looked for.
    look_at: usize,
    stores: BTreeMap<Path, Store>,
}

impl Stores {
    /// The store of the agent at `path`, empty for a new one.
    pub(crate) fn of(&mut self, path: &Path, system: &System) -> Store {
        if let Some(store) = self.stores.get(path) {
            return store.clone();
        }
        if self.stores.len() >= self.look_at.max(64) {
            self.stores.retain(|path, _| system.lookup(path).is_some());
            self.look_at = self.stores.len() * 2;
        }
        let store = Store::default();
        self.stores.insert(path.clone(), store.clone());
        store
    }
}

/// Writes what a turn has changed.
pub(crate) fn apply(store: &Store, draft: Draft) {
    let mut store = store.lock();
    for (key, value) in draft {
        match value {
            Some(value) => store.insert(key, value),
            None => store.remove(&key),
        };
    }
}

/// What an entry takes of the host's memory besides its key and value; else very many that are empty would be free.
const ENTRY_BYTES: u64 = 64;

/// What one key with its value counts.
pub(crate) fn entry_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + ENTRY_BYTES
}

/// What all keys and values count.
pub(crate) fn bytes(store: &BTreeMap<String, Vec<u8>>) -> u64 {
    store
        .iter()
        .map(|(key, value)| entry_bytes(key, value))
        .sum()
}
