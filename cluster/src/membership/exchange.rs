//! Push/pull: two nodes tell each other everything over a peer link. It repairs lost news, heals partitions, and is how a node joins.

use super::core::{Membership, Phase};
use super::event::{Change, Contact, Decision};
use super::probing::Purpose;
use super::wire::{self, Entry, Exchange, State, Told};
use super::{MemberState, Peer, swim};
use crate::identity::{BootId, NodeId};
use foca::{Member, State as SwimState};
use std::net::SocketAddr;
use std::time::Duration;

/// The most contacts that are tried.
const CONTACTS_MAX: usize = 16;
/// How often another contact is tried.
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// Whom a joining node asks.
#[derive(Debug, Default)]
pub(super) struct Join {
    contacts: Vec<SocketAddr>,
    tried: usize,
}

impl Membership {
    pub(super) fn begin_join(&mut self, contacts: Vec<SocketAddr>) {
        let mine = self.me().address();
        self.join = Join {
            contacts: contacts
                .into_iter()
                .filter(|address| *address != mine)
                .take(CONTACTS_MAX)
                .collect(),
            tried: 0,
        };
        self.phase = Phase::Joining;
        self.try_join();
    }

    pub(super) fn try_join(&mut self) {
        if self.phase != Phase::Joining || self.join.contacts.is_empty() {
            return;
        }
        let contact = self.join.contacts[self.join.tried % self.join.contacts.len()];
        self.join.tried = self.join.tried.wrapping_add(1);
        let bytes = wire::encode_exchange(&Exchange::Push(self.state()));
        self.out.push(Decision::SendLink {
            to: Contact::Address(contact),
            bytes,
        });
        self.arm_join(self.now + JOIN_RETRY);
    }

    pub(super) fn seek(&mut self, contact: SocketAddr) {
        if matches!(self.phase, Phase::Member | Phase::Alone) && contact != self.me().address() {
            let bytes = wire::encode_exchange(&Exchange::Push(self.state()));
            let to = Contact::Address(contact);
            self.out.push(Decision::SendLink { to, bytes });
        }
    }

    /// A message of membership over a link with `from`.
    pub(super) fn link(&mut self, from: &NodeId, bytes: &[u8]) {
        let Ok(exchange) = wire::decode_exchange(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        if self.denied.contains(from.boot) {
            self.counters.denied += 1;
            return;
        }
        if self.phase == Phase::Leaving {
            return;
        }
        match exchange {
            Exchange::Push(state) | Exchange::Pull(state) if state.from.node() != from => {
                self.counters.forged += 1;
            }
            Exchange::Push(state) => self.pushed(state),
            Exchange::Pull(state) => self.pulled(&state),
            Exchange::NameTaken { by, answers } => self.name_taken(&by, answers),
            Exchange::Suspected {
                generation,
                incarnation,
            } => {
                if generation == self.me().generation() {
                    self.hear_of_own_suspicion(incarnation);
                }
            }
        }
    }

    /// Views that differ although this one has stood still for a while: something was lost, so everything is exchanged.
    pub(super) fn compare_views(&mut self, with: &Peer, digest: u64) {
        let is_due = self
            .exchanged_at
            .is_none_or(|at| self.now.saturating_sub(at) >= self.exchange_interval());
        if digest != self.digest()
            && is_due
            && self.settled_for() >= self.parameters.settle
            && self.active_incarnation(with).is_some()
        {
            self.push_to(with);
        }
    }

    /// Beyond 32 members an exchange is rarer, so that its load on one node does not grow with the cluster.
    fn exchange_interval(&self) -> Duration {
        let doublings = (self.size() / 32).max(1).ilog2();
        self.parameters.exchange_interval * (doublings + 1)
    }

    fn push_to(&mut self, peer: &Peer) {
        self.exchanged_at = Some(self.now);
        self.counters.exchanges += 1;
        self.send_exchange(peer, &Exchange::Push(self.state()));
    }

    fn send_exchange(&mut self, to: &Peer, exchange: &Exchange) {
        self.out.push(Decision::SendLink {
            to: Contact::Node(to.node().clone(), to.address()),
            bytes: wire::encode_exchange(exchange),
        });
    }

    fn state(&self) -> State {
        let entries = self
            .swim
            .records()
            .take(wire::EXCHANGE_MEMBERS_MAX)
            .map(|record| Entry {
                peer: record.id().clone(),
                incarnation: record.incarnation(),
                told: match self.state_of(record) {
                    MemberState::Alive => Told::Alive,
                    MemberState::Suspect => Told::Suspect,
                    MemberState::Down => Told::Down,
                    MemberState::Left => Told::Left,
                },
            })
            .collect();
        State {
            from: self.me().clone(),
            incarnation: self.incarnation,
            entries,
            denied: self.denied.iter().collect(),
        }
    }

    /// Somebody pushes its view. If its name is somebody else's here, that one is asked first.
    fn pushed(&mut self, state: State) {
        if state.from.name() == self.me().name() {
            let me = self.me().clone();
            if state.from.boot() != me.boot() {
                self.refuse_name(&me, &state, true);
            }
            return;
        }
        let holder = self
            .swim
            .record(&state.from)
            .filter(|record| {
                record.id().boot() != state.from.boot() && swim::is_active(record.state())
            })
            .map(|record| record.id().clone());
        match holder {
            None => self.admit(state),
            Some(holder) => {
                let within = self.parameters.probe_timeout;
                let purpose = Purpose::Admission {
                    holder: holder.clone(),
                    state: Box::new(state),
                };
                self.probe_link(holder, within, purpose);
            }
        }
    }

    pub(super) fn admit(&mut self, state: State) {
        let from = state.from.clone();
        self.merge(&state, true);
        self.send_exchange(&from, &Exchange::Pull(self.state()));
    }

    pub(super) fn refuse_name(&mut self, holder: &Peer, state: &State, answers: bool) {
        let refusal = Exchange::NameTaken {
            by: holder.clone(),
            answers,
        };
        self.send_exchange(&state.from, &refusal);
    }

    fn pulled(&mut self, state: &State) {
        let is_joining = self.phase == Phase::Joining;
        let before = self.me().clone();
        // A node that joins learns what the others know already: it has nothing to pass on.
        self.merge(state, !is_joining);
        if is_joining {
            self.phase = Phase::Member;
            if *self.me() != before {
                self.push_to(&state.from);
            }
            let members = self.size();
            self.tell(Change::Joined { members });
        }
    }

    fn name_taken(&mut self, by: &Peer, answers: bool) {
        if by.name() != self.me().name() || by.boot() == self.me().boot() {
            return;
        }
        if answers && self.phase == Phase::Joining {
            self.phase = Phase::Alone;
        }
        self.tell(Change::NameTaken {
            by: by.node().clone(),
            address: by.address(),
            answers,
        });
    }

    /// Takes over what the other side knows. A verdict of the other side counts as one more that suspects: after a partition it is a verdict
    /// on half of the members, and each of them gets the time to object.
    fn merge(&mut self, state: &State, pass_on: bool) {
        for boot in &state.denied {
            self.deny(*boot);
        }
        let mut updates = vec![Member::new(
            state.from.clone(),
            state.incarnation,
            SwimState::Alive,
        )];
        let mut suspects = Vec::new();
        for entry in &state.entries {
            self.weigh(entry, state.from.boot(), &mut updates, &mut suspects);
        }
        self.digest_changes();
        self.swim.apply(updates, pass_on);
        self.drain();
        let suspected: Vec<Peer> = self.suspicions.values().map(|s| s.peer.clone()).collect();
        self.forget_refuted(&suspected);
        for (peer, incarnation, by) in suspects {
            self.suspect(&peer, incarnation, by, false, false);
        }
    }

    fn weigh(
        &mut self,
        entry: &Entry,
        from: BootId,
        updates: &mut Vec<Member<Peer>>,
        suspects: &mut Vec<(Peer, u16, Option<BootId>)>,
    ) {
        let peer = &entry.peer;
        if peer.name() == self.me().name() {
            return self.weigh_own(entry);
        }
        if self.denied.contains(peer.boot()) || self.has_left(peer) {
            return;
        }
        let known = self.swim.record(peer);
        let is_same = known.is_some_and(|record| record.id() == peer);
        let is_active = known.is_some_and(|record| swim::is_active(record.state()));
        let is_behind = known.is_some_and(|record| record.id().beats(peer));
        match entry.told {
            Told::Alive if (is_same || is_behind) && !is_active => {
                // We think it is down, the other side does not: it hears of that by the answer to this.
                self.swim.announce(peer.clone());
            }
            Told::Alive | Told::Suspect => {
                updates.push(Member::new(
                    peer.clone(),
                    entry.incarnation,
                    SwimState::Alive,
                ));
                if entry.told == Told::Suspect {
                    // It may have been told: that is no further witness.
                    suspects.push((peer.clone(), entry.incarnation, None));
                }
            }
            Told::Down if is_same && is_active => {
                suspects.push((peer.clone(), entry.incarnation, Some(from)));
            }
            Told::Left if is_same && is_active => self.hear_of_leave(peer),
            // Whoever is gone and was not known here need not be known.
            Told::Down | Told::Left => {}
        }
    }

    /// What the other side says about this node's name.
    fn weigh_own(&mut self, entry: &Entry) {
        let me = self.me().clone();
        if entry.peer == me {
            let state = match entry.told {
                Told::Alive => SwimState::Alive,
                Told::Suspect => SwimState::Suspect,
                Told::Down | Told::Left => SwimState::Down,
            };
            self.hear_of_self(&Member::new(me, entry.incarnation, state));
        } else if entry.peer.boot() != me.boot() {
            let is_active = matches!(entry.told, Told::Alive | Told::Suspect);
            if self.phase == Phase::Joining && entry.peer.beats(&me) {
                // The one before us is gone, or we had not been let in. We go above it.
                if let Some(generation) = entry.peer.generation().checked_add(1) {
                    self.swim.rename(me.at_generation(generation));
                    self.drain();
                }
            } else if is_active {
                self.rival(&entry.peer);
            }
        }
    }
}
