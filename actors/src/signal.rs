//! What an agent learns of other actors: DOWN, EXIT, watch events and group changes, and what becomes of its name. They are user
//! messages: they arrive in order, behind what the dead one sent before.

use crate::reference::AnyRef;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Pid};

/// Names one monitor; unique within the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonitorId(pub u64);

/// A monitored life has ended. Arrives once per monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Down {
    /// The monitor that this fires.
    pub monitor: MonitorId,
    /// Who has ended.
    pub pid: Pid,
    /// Why; `noproc` when it was not alive when the monitor was set.
    pub reason: ExitReason,
}

/// A linked life has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// Who has ended, or who sent the exit.
    pub pid: Pid,
    /// Why.
    pub reason: ExitReason,
}

/// Something happened to a watched cell. A watch is bound to the address and survives restarts.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The watched cell.
    pub address: Address,
    /// What happened.
    pub event: WatchEvent,
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// The cell has begun a new life.
    Restarted {
        /// Which.
        incarnation: Incarnation,
    },
    /// The cell has ended and is not restarted by its supervisor.
    Ended {
        /// Why.
        reason: ExitReason,
    },
}

/// A member joined or left a monitored group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange {
    /// The group.
    pub group: Name,
    /// The member.
    pub address: Address,
    /// How often it is a member now; 0 when it has left.
    pub count: u32,
    /// Whether this was a join.
    pub joined: bool,
}

/// What becomes of this agent's registered name in the cluster, where two agents claim one. Arrives in this order: `Conflict`, then either
/// `Lost` or `Regained`; each once per conflict. There are no such news without a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum NameNews {
    /// Another agent has the name now, on every node. What was told to this one stays with it; it has time to hand over.
    Conflict {
        /// The name.
        name: Name,
        /// Who has it.
        winner: AnyRef,
        /// How long this agent has. Earlier if it says that it is done ([`Turn::handed_over`](crate::Turn::handed_over)).
        within: Duration,
    },
    /// The name is lost in the cluster, and this agent goes on with it on its own node alone ([`OnNameConflict::KeepLocal`](crate::OnNameConflict)).
    Lost {
        /// The name.
        name: Name,
        /// Who has it.
        winner: AnyRef,
    },
    /// The winner is gone: this agent claims the name for the cluster again.
    Regained {
        /// The name.
        name: Name,
    },
}

pub(crate) enum Signal {
    Down(Down),
    Exit(Exit),
    Watch(Watched),
    Group(GroupChange),
    Name(NameNews),
}
