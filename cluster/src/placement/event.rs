//! What can happen to placement, and what is decided.

use super::assign::NoPlace;
use super::standing::{Declared, Edition};
use crate::identity::{BootId, NodeId};
use std::time::Duration;
use swarm_protocols::Path;

/// The numbers that placement goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementParameters {
    /// How long nobody may have come or gone before children are moved.
    pub stable_after: Duration,
    /// How many children a node may start or give away per second; up to that many at once.
    pub moves_per_second: u32,
    /// How long changes of what a node holds are gathered before the others are told.
    pub gather: Duration,
    /// After how long what was not acknowledged is said again.
    pub repeat: Duration,
    /// How long a child that did not start is left alone the first time; doubles with each further time.
    pub retry_min: Duration,
    /// The longest that it is left alone.
    pub retry_max: Duration,
}

impl Default for PlacementParameters {
    fn default() -> Self {
        Self {
            stable_after: Duration::from_secs(5),
            moves_per_second: 100,
            gather: Duration::from_millis(100),
            repeat: Duration::from_secs(1),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is a member (membership's `Alive`).
    Up {
        /// Which.
        node: NodeId,
    },
    /// A node is none any more (`Down` or `Left`).
    Down {
        /// Which process.
        boot: BootId,
    },
    /// A message of placement came from a member.
    Message {
        /// The process that sent it.
        from: BootId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// This node's manifest declares this now. What is no longer declared is stopped.
    Declared {
        /// Which manifest it is.
        edition: Edition,
        /// What it declares; more than [`DECLARED_MAX`](super::DECLARED_MAX) are cut off.
        declared: Vec<Declared>,
        /// How many placed agents this node takes; none: any number.
        room: Option<u32>,
    },
    /// This node is to give away what it holds, and takes nothing more.
    Drain,
    /// This node may run nothing that is placed: it left, or is on the lesser side of a partition. What it holds is stopped at once.
    Suspend,
    /// Nothing may be started or given away until it is known who goes on.
    Hold,
    /// The end of [`Event::Suspend`] and [`Event::Hold`].
    Resume,
    /// A child runs that was to be started.
    Started {
        /// Which.
        path: Path,
    },
    /// It did not start, or is no longer there although nobody stopped it.
    NotStarted {
        /// Which.
        path: Path,
    },
    /// A child is gone that was to be stopped.
    Stopped {
        /// Which.
        path: Path,
    },
    /// The time that [`Placement::next_wake`](super::Placement::next_wake) named has come.
    Tick,
}

/// What is to be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start a child here; answer with [`Event::Started`] or [`Event::NotStarted`].
    Start {
        /// Which.
        path: Path,
    },
    /// Stop a child here in order; answer with [`Event::Stopped`], in any case.
    Stop {
        /// Which.
        path: Path,
        /// The node that it belongs to now, where it goes on.
        to: Option<NodeId>,
    },
    /// Send a message to a member. Losing it is allowed.
    Say {
        /// To whom.
        to: NodeId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A child belongs nowhere any more; told by the first of the live nodes only, and once until that changes.
    Nowhere {
        /// Which.
        path: Path,
        /// Why.
        why: NoPlace,
    },
}
