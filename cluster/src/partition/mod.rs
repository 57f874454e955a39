//! What a node does when it cannot see all of the cluster: pure.
//!
//! [`Partition`] is a function of (state, event, now). It keeps the list of members that all agreed on last, and when some of them are gone
//! without a goodbye, and the view has not changed for a while, decides by its [`Strategy`] whether this side goes on. A crashed node and
//! one behind a cut look alike; so does what is decided. Strategies and the waiting follow Akka's split brain resolver (see the
//! operator's guide for what that is worth): each of them has a failure in which it decides wrongly, and none of them fences.
//!
//! What it refuses to do: to protect anything durable. That takes a lease.

mod core;
#[cfg(test)]
mod tests;

pub use self::core::Partition;

use crate::identity::NodeId;
use std::time::Duration;
use swarm_protocols::Name;

/// Which side of a partition goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Each one.
    #[default]
    None,
    /// The one with more than half of the members that were agreed on last; of two halves the one with the first member by name.
    KeepMajority,
    /// One with so many members at least. Safe only while there are fewer than twice as many nodes in all.
    StaticQuorum {
        /// How many.
        size: u32,
    },
}

/// The numbers that it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionParameters {
    /// Who goes on.
    pub strategy: Strategy,
    /// How long the view must not have changed, suspicions included, before it is decided. Long enough for each side to suspect all of
    /// the other: as many probe periods as there are members, up to ten.
    pub stable_after: Duration,
}

impl Default for PartitionParameters {
    fn default() -> Self {
        Self {
            strategy: Strategy::None,
            stable_after: Duration::from_secs(10),
        }
    }
}

/// Where this node finds itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nobody is missing.
    Whole,
    /// Somebody is missing, and it is not decided yet.
    Undecided,
    /// Somebody is missing, and this side goes on.
    Greater,
    /// This side does not go on: what is placed is stopped, names of class cluster are given up.
    Lesser,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is a member (membership's `Alive`), new, restarted or healed.
    Up {
        /// Which.
        node: NodeId,
    },
    /// A member does not answer.
    Suspect {
        /// Which.
        node: NodeId,
    },
    /// A suspect has spoken up.
    Refuted {
        /// Which.
        node: NodeId,
    },
    /// A member is gone without a goodbye.
    Down {
        /// Which.
        node: NodeId,
    },
    /// A member said goodbye.
    Left {
        /// Which.
        node: NodeId,
    },
    /// The time that [`Partition::next_wake`] named has come.
    Tick,
}

/// What is to be done and told. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Members are gone without a goodbye.
    Detected {
        /// All that are missing now, in order.
        missing: Vec<Name>,
        /// How many members were agreed on.
        agreed: usize,
    },
    /// This node is on that side now.
    Side(Side),
    /// Nobody is missing any more.
    Healed,
}
