//! Searches that go on in other directories (fipa.md e.1: federation).

use crate::acl::{AclMessage, Aid, Timestamp};
use crate::sl::management::{Action, DfAgentDescription};
use std::collections::{BTreeMap, VecDeque};

/// Which of the searches under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchKey(pub u64);

/// A search that waits for other directories.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// The message that is to be answered.
    pub(super) asked: AclMessage,
    pub(super) action: Action,
    pub(super) found: Vec<DfAgentDescription>,
    /// How many may be found in all.
    pub(super) wanted: usize,
    /// The directories that have not answered, by the number that their request bears.
    pub(super) waiting: BTreeMap<usize, Aid>,
    /// When it is answered with what there is.
    pub(super) deadline: Timestamp,
}

/// The mark of a request to another directory: its `reply-with`.
pub(super) fn mark(key: SearchKey, child: usize) -> String {
    format!("{}.{child}", key.0)
}

/// The search and the child that a mark belongs to.
pub(super) fn marked(mark: &str) -> Option<(SearchKey, usize)> {
    let (key, child) = mark.split_once('.')?;
    Some((SearchKey(key.parse().ok()?), child.parse().ok()?))
}

impl Search {
    /// Notes that a child has answered: by itself, or by an AMS that could not reach it. False for anybody else's message.
    pub(super) fn answered(&mut self, child: usize, answer: &AclMessage) -> bool {
        let is_its = self.waiting.get(&child).is_some_and(|asked| {
            answer.sender.as_ref() == Some(asked) || answer.is_delivery_failure()
        });
        if is_its {
            self.waiting.remove(&child);
        }
        is_its
    }

    /// Takes what a directory found; an agent that is known already is not taken twice.
    pub(super) fn take(&mut self, entries: Vec<DfAgentDescription>) {
        for entry in entries {
            if self.found.len() >= self.wanted {
                return;
            }
            if !self.found.iter().any(|known| known.name == entry.name) {
                self.found.push(entry);
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() || self.found.len() >= self.wanted
    }
}

/// Searches under way, and the marks of those that were served.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches {
    under_way: BTreeMap<SearchKey, Search>,
    last: u64,
    served: VecDeque<String>,
}

impl Searches {
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn next_key(&mut self) -> SearchKey {
        self.last += 1;
        SearchKey(self.last)
    }

    pub(super) fn put(&mut self, key: SearchKey, search: Search) {
        self.under_way.insert(key, search);
    }

    pub(super) fn get_mut(&mut self, key: SearchKey) -> Option<&mut Search> {
        self.under_way.get_mut(&key)
    }

    pub(super) fn take(&mut self, key: SearchKey) -> Option<Search> {
        self.under_way.remove(&key)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.under_way.values().map(|search| search.deadline).min()
    }

    pub(super) fn late(&self, now: Timestamp) -> Option<SearchKey> {
        let mut searches = self.under_way.iter();
        let late = searches.find(|(_, search)| search.deadline <= now);
        late.map(|(key, _)| *key)
    }

    /// Notes that a search with this mark is served here; false when one was before. The latest `max` marks are known.
    pub(super) fn serve(&mut self, search_id: &str, max: usize) -> bool {
        if self.served.iter().any(|served| served == search_id) {
            return false;
        }
        while self.served.len() >= max {
            self.served.pop_front();
        }
        self.served.push_back(search_id.to_owned());
        true
    }
}
