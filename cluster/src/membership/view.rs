//! The members as this node sees them.

use super::Peer;
use super::changes::Exit;
use super::core::{Membership, Phase};
use crate::identity::NodeId;
use foca::{Member, State};
use std::net::SocketAddr;

/// A member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Which.
    pub node: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// Which life of its membership.
    pub generation: u64,
    /// SWIM's incarnation, raised by each refutation.
    pub incarnation: u16,
    /// How it is.
    pub state: MemberState,
}

/// How a member is, in this node's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It did not answer lately. It is still a member.
    Suspect,
    /// It is gone.
    Down,
    /// It said goodbye.
    Left,
}

impl Membership {
    /// Every member that this node knows, itself included, in order of names.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        let mut members: Vec<_> = self
            .swim
            .records()
            .map(|record| view(record.id(), record.incarnation(), self.state_of(record)))
            .collect();
        members.push(view(
            self.me(),
            self.incarnation,
            match self.phase {
                Phase::Leaving | Phase::Departed => MemberState::Left,
                _ => MemberState::Alive,
            },
        ));
        members.sort_by(|a, b| a.node.cmp(&b.node));
        members
    }

    pub(super) fn state_of(&self, record: &Member<Peer>) -> MemberState {
        match record.state() {
            State::Alive => MemberState::Alive,
            State::Suspect => MemberState::Suspect,
            State::Down => match self.departed.get(&record.id().place()).map(|d| d.exit) {
                Some(Exit::Left) => MemberState::Left,
                _ => MemberState::Down,
            },
        }
    }
}

fn view(peer: &Peer, incarnation: u16, state: MemberState) -> MemberView {
    MemberView {
        node: peer.node().clone(),
        address: peer.address(),
        generation: peer.generation(),
        incarnation,
        state,
    }
}
