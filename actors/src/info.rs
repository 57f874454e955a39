//! What is shown of actors.

use crate::recorder::{CrashReport, FlightRecord};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Path};

/// What an actor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ActorState {
    /// It was stopped, or has not been started; its supervisor may start it.
    Stopped = 0,
    /// Its init runs.
    Starting = 1,
    /// It is alive and handles messages.
    Running = 2,
    /// It is alive, without a shell until its next message.
    Asleep = 3,
    /// It is alive and suspended.
    Paused = 4,
    /// It takes no new messages and handles those that it has.
    Draining = 5,
    /// Its life ended; its supervisor is about to decide or to start the next one.
    Restarting = 6,
    /// It has ended for good.
    Ended = 7,
}

impl ActorState {
    pub(crate) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Starting,
            2 => Self::Running,
            3 => Self::Asleep,
            4 => Self::Paused,
            5 => Self::Draining,
            6 => Self::Restarting,
            7 => Self::Ended,
            _ => Self::Stopped,
        }
    }

    /// The state as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Asleep => "asleep",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Restarting => "restarting",
            Self::Ended => "ended",
        }
    }

    /// Whether a life is going on.
    #[must_use]
    pub fn is_alive(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Asleep | Self::Paused | Self::Draining => true,
            Self::Stopped | Self::Restarting | Self::Ended => false,
        }
    }
}

/// A line in a list of actors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActorInfo {
    /// Its place in the tree.
    pub path: Path,
    /// What it is: `native`, `supervisor`, `ractor`, …
    pub kind: String,
    /// What it is doing.
    pub state: ActorState,
    /// On which node.
    pub node: Name,
    /// The groups that it is a member of.
    pub groups: Vec<Name>,
    /// How often it was restarted.
    pub restarts: u32,
    /// How many messages are queued.
    pub mailbox: u64,
    /// Its address.
    pub address: Address,
    /// Which life this is.
    pub incarnation: Incarnation,
    /// When the present life began, in milliseconds since 1970 UTC; 0 when there was none.
    pub began_ms: u64,
    /// How many turns it has had, over all lives.
    pub turns: u64,
    /// How long the oldest queued message has been waiting, in milliseconds, as far as that was noticed.
    pub mailbox_ms: u64,
}

/// All that can be shown of one agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActorDetail {
    /// What a list shows.
    pub info: ActorInfo,
    /// The Rust type of its behaviour.
    pub behaviour: String,
    /// The name under which it is registered.
    pub registered: Option<Name>,
    /// How many messages its mailbox holds at most.
    pub capacity: u32,
    /// How many senders wait for room.
    pub waiting_senders: usize,
    /// How many messages it has stashed.
    pub stashed: usize,
    /// How many timers it has.
    pub timers: usize,
    /// How many committed messages are on their way out.
    pub outgoing: usize,
    /// Whom it is linked with.
    pub links: Vec<Path>,
    /// What it is handling now.
    pub current: Option<FlightRecord>,
    /// Its last messages, oldest first.
    pub recorder: Vec<FlightRecord>,
    /// Why its last life ended, where one has.
    pub last_exit: Option<ExitReason>,
    /// Its latest crash.
    pub last_crash: Option<Arc<CrashReport>>,
}
