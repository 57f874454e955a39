//! The probe that is under way, and what peer links say about members.

use super::changes::Exit;
use super::core::Membership;
use super::event::{Decision, DownCause, LinkProbe, LinkVerdict};
use super::wire::State;
use super::{Peer, swim};
use crate::identity::NodeId;
use foca::{Header, Message};
use std::time::Duration;

/// The most link probes that wait for a verdict. When full, no further one begins: the packet probes go on.
const LINK_PROBES_MAX: usize = 64;

/// The member that foca is probing.
#[derive(Debug)]
pub(super) struct Probing {
    peer: Peer,
    number: u8,
    is_answered: bool,
    /// The host refused a connection: the fault is not ours.
    is_refused: bool,
    relays: u32,
    receipts: u32,
}

/// Why a peer link is probed.
pub(super) enum Purpose {
    /// The member did not answer packets.
    Fallback(Peer),
    /// A link to it was reset.
    Lost(Peer),
    /// Another node says that its host refuses connections.
    Verify { suspect: Peer, incarnation: u16 },
    /// A new process wants its name.
    Admission { holder: Peer, state: Box<State> },
}

impl Membership {
    /// Notes which probe foca begins, and whom it asks to relay.
    pub(super) fn watch_probe(&mut self, header: &Header<Peer>) {
        match &header.message {
            Message::Ping(number) => {
                self.probing = Some(Probing {
                    peer: header.dst.clone(),
                    number: *number,
                    is_answered: false,
                    is_refused: false,
                    relays: 0,
                    receipts: 0,
                });
            }
            Message::PingReq { probe_number, .. } => {
                // From a relay that is itself suspected no receipt is expected.
                let is_suspected = self.suspicions.contains_key(&header.dst.place());
                if let Some(probing) = &mut self.probing
                    && probing.number == *probe_number
                    && !is_suspected
                {
                    probing.relays += 1;
                }
            }
            _ => {}
        }
    }

    /// Notes an answer to the probe under way.
    pub(super) fn watch_answer(&mut self, header: &Header<Peer>) {
        let Some(probing) = &mut self.probing else {
            return;
        };
        let answers = match &header.message {
            Message::Ack(number) => *number == probing.number && header.src == probing.peer,
            Message::ForwardedAck { probe_number, .. } => *probe_number == probing.number,
            _ => false,
        };
        if answers && !probing.is_answered {
            probing.is_answered = true;
            self.health.better();
        }
    }

    pub(super) fn watch_receipt(&mut self, probe: u8) {
        if let Some(probing) = &mut self.probing
            && probing.number == probe
        {
            probing.receipts += 1;
        }
    }

    /// The direct answer is late: while foca asks relays, the peer link is tried.
    pub(super) fn fall_back(&mut self, probed: &Peer) {
        let is_waiting = self
            .probing
            .as_ref()
            .is_some_and(|probing| probing.peer == *probed && !probing.is_answered);
        if is_waiting && self.active_incarnation(probed).is_some() {
            let left = self
                .parameters
                .probe_period
                .saturating_sub(self.parameters.probe_timeout);
            let within = left * self.health.factor();
            self.probe_link(probed.clone(), within, Purpose::Fallback(probed.clone()));
        }
    }

    /// A probe's period is over. If nobody answered, relays that did not even confirm our request speak against us, not against the member.
    pub(super) fn conclude_probe(&mut self) {
        let Some(probing) = self.probing.take() else {
            return;
        };
        if probing.is_answered || probing.is_refused {
            return;
        }
        let unheard = probing.relays.saturating_sub(probing.receipts);
        self.health
            .worse(if probing.relays == 0 { 1 } else { unheard });
    }

    /// Takes the probe under way for answered, because this node could not have heard the answer, or heard it over a link.
    pub(super) fn void_probe(&mut self) {
        let Some(probing) = &mut self.probing else {
            return;
        };
        if probing.is_answered {
            return;
        }
        probing.is_answered = true;
        let (peer, number) = (probing.peer.clone(), probing.number);
        let Some(incarnation) = self.active_incarnation(&peer) else {
            return;
        };
        if let Some(bytes) = swim::answer(peer, incarnation, self.me().clone(), number) {
            self.swim.receive(&bytes);
        }
    }

    pub(super) fn probe_link(&mut self, peer: Peer, within: Duration, purpose: Purpose) {
        if self.link_probes.len() >= LINK_PROBES_MAX {
            return;
        }
        self.link_probe_counter += 1;
        let probe = LinkProbe(self.link_probe_counter);
        self.link_probes.insert(probe, purpose);
        self.out.push(Decision::ProbeLink {
            probe,
            peer,
            within,
        });
    }

    pub(super) fn link_lost(&mut self, node: &NodeId) {
        let record = self.swim.active().find(|m| m.id().node() == node);
        if let Some(peer) = record.map(|record| record.id().clone()) {
            let within = self.parameters.probe_timeout;
            self.probe_link(peer.clone(), within, Purpose::Lost(peer));
        }
    }

    pub(super) fn link_verdict(&mut self, probe: LinkProbe, verdict: LinkVerdict) {
        let Some(purpose) = self.link_probes.remove(&probe) else {
            return;
        };
        match purpose {
            Purpose::Fallback(peer) | Purpose::Lost(peer) => match found(&peer, verdict) {
                Found::Lives => self.lives(&peer),
                Found::Gone => self.gone(&peer),
                Found::Nothing => {}
            },
            Purpose::Verify {
                suspect,
                incarnation,
            } => match found(&suspect, verdict) {
                Found::Lives => self.warn_over_link(&suspect),
                Found::Gone => {
                    let me = self.me().boot();
                    self.suspect(&suspect, incarnation, Some(me), true, true);
                }
                Found::Nothing => {}
            },
            Purpose::Admission { holder, state } => match found(&holder, verdict) {
                Found::Lives => self.refuse_name(&holder, &state, true),
                Found::Nothing => self.refuse_name(&holder, &state, false),
                Found::Gone => {
                    if let Some(incarnation) = self.active_incarnation(&holder) {
                        let exit = Exit::Down(DownCause::Replaced);
                        self.end(&holder, incarnation, exit, true);
                    }
                    self.admit(*state);
                }
            },
        }
    }

    fn lives(&mut self, peer: &Peer) {
        let is_probed = self
            .probing
            .as_ref()
            .is_some_and(|probing| probing.peer == *peer);
        if is_probed {
            self.void_probe();
        }
        self.warn_over_link(peer);
    }

    fn gone(&mut self, peer: &Peer) {
        if let Some(probing) = &mut self.probing
            && probing.peer == *peer
        {
            if probing.is_answered {
                return;
            }
            probing.is_refused = true;
        }
        self.suspect_refused(peer);
    }
}

enum Found {
    Lives,
    Gone,
    Nothing,
}

/// What a verdict says about the process `peer`: another process at its address says as much as nobody there.
fn found(peer: &Peer, verdict: LinkVerdict) -> Found {
    match verdict {
        LinkVerdict::Answered { boot } if boot == peer.boot() => Found::Lives,
        LinkVerdict::Answered { .. } | LinkVerdict::Refused => Found::Gone,
        LinkVerdict::Silent => Found::Nothing,
    }
}
