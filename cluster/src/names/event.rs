//! What can happen to names, and what is decided.

use super::entry::Holder;
use super::log::ENTRIES_MAX;
use super::wire::{AID_BYTES_MAX, DESCRIPTION_BYTES_MAX};
use crate::identity::{BootId, NodeId};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// How far a name reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// This node only. Nobody else hears of it, and other nodes may use the same one.
    Local,
    /// The whole cluster.
    Cluster,
}

/// The numbers that names go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesParameters {
    /// How long writes are gathered before the others are told.
    pub flush: Duration,
    /// How often a random member is asked whether it knows the same.
    pub check_interval: Duration,
    /// After what time an unanswered pull is taken for lost.
    pub pull_timeout: Duration,
    /// How long the loser of a conflict has to hand over before it is stopped.
    pub handover: Duration,
}

impl Default for NamesParameters {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(20),
            check_interval: Duration::from_secs(5),
            pull_timeout: Duration::from_secs(1),
            handover: Duration::from_secs(5),
        }
    }
}

/// Why a name was not registered. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Somebody else has it, as far as this node knows. Free again when that one gives it up or ends.
    #[error("the name {name} is held by {} on {}", holder.address, holder.node)]
    Taken {
        /// The name.
        name: Name,
        /// Who has it.
        holder: Holder,
    },
    /// This node has as many entries as one node may have. Unregister something first.
    #[error("this node has {ENTRIES_MAX} names, memberships and descriptions, which is the most")]
    Full,
    /// The AID or its description is longer than others are told of.
    #[error(
        "the description of {agent} is longer than {DESCRIPTION_BYTES_MAX} bytes, or its AID longer than {AID_BYTES_MAX}"
    )]
    TooLong {
        /// Of whom; cut to 64 characters.
        agent: String,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is a member (membership's `Alive`).
    Up {
        /// Which.
        node: NodeId,
    },
    /// A node is none any more (`Down` or `Left`). What it wrote is dropped; when it heals, it is fetched anew.
    Down {
        /// Which process.
        boot: BootId,
    },
    /// A message of names came from a member, over a link or by broadcast.
    Message {
        /// The process that sent it.
        from: BootId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The loser of a conflict has handed over.
    HandedOver {
        /// The name that it loses.
        name: Name,
        /// The loser.
        address: Address,
    },
    /// The time that [`Names::next_wake`](super::Names::next_wake) named has come.
    Tick,
}

/// What is to be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send a message over the peer link. Losing it is allowed.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Tell all members. At most [`BROADCAST_BYTES_MAX`](crate::membership::BROADCAST_BYTES_MAX) bytes. Losing it is allowed.
    Broadcast(Vec<u8>),
    /// Something changed that others want to know.
    Tell(NameChange),
}

/// A change of the tables as this node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameChange {
    /// A name of class cluster has another holder, or none.
    Held {
        /// The name.
        name: Name,
        /// Who has it now.
        holder: Option<Holder>,
    },
    /// An agent of this node loses its name to another one's, or came second. It is still running: tell it, and answer with
    /// [`Event::HandedOver`] when it is done.
    Conflict {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
        /// Who has the name on every node.
        winner: Holder,
        /// By when it has to have handed over.
        until: Duration,
    },
    /// The winner is gone: the agent here, which lost the name, was about to, or came second, has it again or may register it again.
    Regained {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
    },
    /// The agent here has handed over, or its time is up: it has the name no more. Once for each conflict that does not end otherwise.
    Lost {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
        /// Who has the name.
        winner: Holder,
    },
    /// How many times an agent is in a group.
    Group {
        /// The group.
        group: Name,
        /// The agent.
        address: Address,
        /// The node that it lives on.
        node: NodeId,
        /// How many times, 0 for no more.
        count: u32,
    },
    /// Another node has entered, changed or removed the description of an agent.
    Described {
        /// The agent's AID, as its node wrote it.
        agent: Arc<str>,
        /// The node that entered it.
        node: NodeId,
        /// What it entered; none when that is gone.
        description: Option<Arc<str>>,
    },
}

/// What was refused, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamesCounters {
    /// Messages that did not parse.
    pub malformed: u64,
    /// Messages of processes that are no members.
    pub strangers: u64,
    /// Conflicts that began with an agent of this node as the loser.
    pub conflicts: u64,
    /// Pulls that this node sent.
    pub pulls: u64,
}
