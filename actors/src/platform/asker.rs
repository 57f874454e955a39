//! Who really sent a message, and what that one may change.

use crate::agent::Agent;
use crate::system::System;
use crate::turn::Turn;
use swarm_protocols::platform::Change;
use swarm_protocols::{AclMessage, Address, Aid};

/// Who asks, as far as the system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Whoever operates the node.
    Operator,
    /// An agent of this node, by its own address.
    Agent(Address),
    /// An agent of another platform, as the message that came from there has it.
    Abroad(Aid),
    /// Somebody who says to be who it is not, or nothing at all.
    Unknown,
}

impl Asker {
    /// Who sent the message of this turn.
    pub(super) fn of<A: Agent>(turn: &Turn<'_, A>, message: &AclMessage, platform: &str) -> Self {
        let Some(claimed) = &message.sender else {
            return Self::Unknown;
        };
        let is_ours = is_ours(claimed, platform, turn.system());
        match turn.sender() {
            Some(address) if is_ours && is_at(claimed, address, turn.system()) => {
                Self::Agent(address)
            }
            None if !is_ours => Self::Abroad(claimed.clone()),
            _ => Self::Unknown,
        }
    }

    /// Whether that agent is the one who asks.
    fn is(&self, agent: &Aid, platform: &str, system: &System) -> bool {
        match self {
            Self::Agent(address) => {
                is_ours(agent, platform, system) && is_at(agent, *address, system)
            }
            Self::Abroad(claimed) => agent == claimed,
            Self::Operator | Self::Unknown => false,
        }
    }
}

/// A platform that is named nowhere is this one.
pub(super) fn is_ours(agent: &Aid, platform: &str, system: &System) -> bool {
    agent.platform().is_none_or(|named| {
        named.eq_ignore_ascii_case(platform) || named.eq_ignore_ascii_case(system.node().as_str())
    })
}

fn is_at(agent: &Aid, address: Address, system: &System) -> bool {
    system
        .agent_of(agent)
        .is_some_and(|agent| agent.address() == address)
}

/// Who may change what. Asked for each change; must not block.
pub trait Rights: Send + Sync + 'static {
    /// Whether the DF takes entries about `agent` from `asker`. `is_self` says whether that is the asker itself.
    fn may_enter(&self, asker: &Asker, agent: &Aid, is_self: bool) -> bool;

    /// Whether the AMS brings that change of `agent` about for `asker`. `is_self` says whether that is the asker itself.
    fn may_change(&self, asker: &Asker, agent: &Aid, change: Change, is_self: bool) -> bool;
}

/// Each agent changes what is its own; agents of other platforms do so only in the DF, and only where their platform is
/// listed. Nobody resumes itself (fipa.md e.4). The operator may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAlone {
    /// The other platforms whose agents may have entries in the DF.
    pub platforms: Vec<String>,
}

impl Rights for OwnAlone {
    fn may_enter(&self, asker: &Asker, _: &Aid, is_self: bool) -> bool {
        match asker {
            Asker::Operator => true,
            Asker::Agent(_) => is_self,
            Asker::Abroad(claimed) => {
                let platform = claimed.platform().unwrap_or_default();
                let is_listed = |listed: &String| listed.eq_ignore_ascii_case(platform);
                is_self && self.platforms.iter().any(is_listed)
            }
            Asker::Unknown => false,
        }
    }

    fn may_change(&self, asker: &Asker, _: &Aid, change: Change, is_self: bool) -> bool {
        match (asker, change) {
            (Asker::Operator, _) => true,
            (Asker::Agent(_), Change::Suspend | Change::Terminate) => is_self,
            (Asker::Agent(_), Change::Resume) | (Asker::Abroad(_) | Asker::Unknown, _) => false,
        }
    }
}

/// One asker, with what is needed to tell whether an agent is that one.
pub(super) struct Asking<'a> {
    pub(super) asker: Asker,
    pub(super) platform: &'a str,
    pub(super) system: System,
}

impl Asking<'_> {
    pub(super) fn may_enter(&self, rights: &dyn Rights, agent: &Aid) -> bool {
        let is_self = self.asker.is(agent, self.platform, &self.system);
        rights.may_enter(&self.asker, agent, is_self)
    }

    pub(super) fn may_change(&self, rights: &dyn Rights, agent: &Aid, change: Change) -> bool {
        let is_self = self.asker.is(agent, self.platform, &self.system);
        rights.may_change(&self.asker, agent, change, is_self)
    }
}
