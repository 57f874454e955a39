//! What foca says has changed, and what others are told of it.

use super::Peer;
use super::core::{Membership, Phase};
use super::event::{Arrival, Change, DownCause};
use foca::{Member, OwnedNotification, State, Timer};
use std::time::Duration;

/// The most members that are down or left that are remembered. When full, the one that is gone longest is forgotten.
const DEPARTED_MAX: usize = 4096;

/// How a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Down(DownCause),
    Left,
}

/// A member that is down or left.
#[derive(Clone, Debug)]
pub(super) struct Departed {
    pub(super) peer: Peer,
    pub(super) exit: Exit,
    pub(super) since: Duration,
}

impl Membership {
    pub(super) fn note(&mut self, note: OwnedNotification<Peer>) {
        self.digest_is_stale = true;
        match note {
            OwnedNotification::MemberUp(peer) => self.came(&peer),
            OwnedNotification::MemberDown(peer) => self.went(peer),
            OwnedNotification::Rename(old, new) => self.renamed(&old, &new),
            OwnedNotification::Rejoin(me) => {
                self.incarnation = 0;
                self.health.worse(1);
                self.tell(Change::Renewed {
                    node: me.node().clone(),
                    generation: me.generation(),
                });
            }
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Defunct => {}
        }
    }

    pub(super) fn came(&mut self, peer: &Peer) {
        self.suspicions.remove(&peer.place());
        let arrival = match self.departed.remove(&peer.place()) {
            None => Arrival::New,
            Some(before) if before.peer.boot() == peer.boot() => Arrival::Healed,
            Some(_) => Arrival::Restarted,
        };
        if self.phase == Phase::Alone {
            self.phase = Phase::Member;
        }
        if arrival == Arrival::Healed {
            self.healed.insert(peer.place(), self.now);
        }
        self.resize();
        self.tell(Change::Alive {
            node: peer.node().clone(),
            address: peer.address(),
            arrival,
        });
    }

    /// Those that came back long enough ago have heard by now what they missed.
    pub(super) fn trust_the_healed(&mut self) {
        if !self.healed.is_empty() {
            let (doubted, _) = self.parameters.suspicion(self.size());
            let now = self.now;
            self.healed
                .retain(|_, since| now.saturating_sub(*since) < doubted);
        }
    }

    pub(super) fn went(&mut self, peer: Peer) {
        self.healed.remove(&peer.place());
        self.suspicions.remove(&peer.place());
        self.resize();
        let node = peer.node().clone();
        let exit = self
            .exits
            .remove(&peer.place())
            .unwrap_or(Exit::Down(DownCause::Hearsay));
        self.remember_departed(peer, exit);
        self.tell(match exit {
            Exit::Left => Change::Left { node },
            Exit::Down(cause) => Change::Down { node, cause },
        });
    }

    pub(super) fn renamed(&mut self, old: &Peer, new: &Peer) {
        if self.departed.contains_key(&old.place()) {
            return; // foca says next that it is up.
        }
        let was_suspected = self.suspicions.remove(&old.place()).is_some();
        if old.boot() == new.boot() {
            if was_suspected {
                // Whoever was told of the suspicion waits for its end.
                let node = new.node().clone();
                self.tell(Change::Refuted { node });
            }
            return self.tell(Change::Renewed {
                node: new.node().clone(),
                generation: new.generation(),
            });
        }
        self.tell(Change::Down {
            node: old.node().clone(),
            cause: DownCause::Replaced,
        });
        self.tell(Change::Alive {
            node: new.node().clone(),
            address: new.address(),
            arrival: Arrival::Restarted,
        });
    }

    pub(super) fn remember_departed(&mut self, peer: Peer, exit: Exit) {
        let departed = Departed {
            peer,
            exit,
            since: self.now,
        };
        self.departed.insert(departed.peer.place(), departed);
        if self.departed.len() > DEPARTED_MAX
            && let Some(oldest) = self.departed.values().min_by_key(|d| d.since)
        {
            let oldest = oldest.peer.clone();
            self.forget(&oldest);
            self.swim.timer(Timer::RemoveDown(oldest));
        }
    }

    pub(super) fn forget(&mut self, peer: &Peer) {
        if self
            .departed
            .get(&peer.place())
            .is_some_and(|departed| departed.peer == *peer)
        {
            self.departed.remove(&peer.place());
        }
    }

    /// Tells foca and the world that `peer` is gone.
    pub(super) fn end(&mut self, peer: &Peer, incarnation: u16, exit: Exit, pass_on: bool) {
        self.drain();
        self.exits.insert(peer.place(), exit);
        self.swim.apply(
            vec![Member::new(peer.clone(), incarnation, State::Down)],
            pass_on,
        );
        self.drain();
        self.exits.remove(&peer.place());
    }

    pub(super) fn resize(&mut self) {
        let transmissions = self.parameters.transmissions(self.size());
        self.swim.set_transmissions(transmissions);
    }
}
