//! Which entry's lease ends when.

use crate::acl::{Aid, Timestamp};
use std::collections::BTreeSet;

/// Ends of leases, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(BTreeSet<(Timestamp, Aid)>);

impl Leases {
    pub(super) fn set(&mut self, agent: &Aid, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.0.insert((until, agent.clone()));
        }
    }

    pub(super) fn end(&mut self, agent: &Aid, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.0.remove(&(until, agent.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(until, _)| *until)
    }

    /// Whose lease is over, one at a time.
    pub(super) fn over(&mut self, now: Timestamp) -> Option<Aid> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, agent)| agent)
    }
}
