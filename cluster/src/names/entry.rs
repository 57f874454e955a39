//! What a node writes about its agents.

use crate::identity::NodeId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use swarm_protocols::{Address, Name};

/// When a name was registered, on a clock that is never behind one that it has heard of: milliseconds in the upper 48 bits, a count below
/// (a hybrid logical clock, Kulkarni and others 2014).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp after this one, at a wall clock that says `millis`.
    #[must_use]
    pub fn next(self, millis: u64) -> Self {
        Self((millis << 16).max(self.0.saturating_add(1)))
    }
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Key {
    Name(Name),
    Member(Name, Address),
    /// What the directory facilitator has of the agent of this AID.
    Description(Arc<str>),
}

impl Key {
    /// How much of a message it takes, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Name(name) => name.as_str().len(),
            Self::Member(group, _) => group.as_str().len() + 16,
            Self::Description(agent) => agent.len(),
        }
    }
}

/// How much of a message an entry takes, about.
pub(super) fn bytes(key: &Key, value: Option<&Value>) -> usize {
    let value = match value {
        None => 0,
        Some(Value::Claim(_)) => 32,
        Some(Value::Count(_)) => 4,
        Some(Value::Description(text)) => text.len(),
    };
    16 + key.bytes() + value
}

/// What it says. An entry without a value says that there was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Value {
    Claim(Claim),
    /// How many times the agent is in the group; never 0.
    Count(u32),
    /// What was entered, as text; of no meaning here.
    Description(Arc<str>),
}

/// A claim to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The agent that is to have it.
    pub address: Address,
    /// Wins over a lower one, whenever it was made.
    pub priority: u8,
    /// When it was made; among equals the later wins.
    pub stamp: Stamp,
}

/// Who holds a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The agent.
    pub address: Address,
    /// The node that it lives on.
    pub node: NodeId,
}
