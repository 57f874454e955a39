//! From "it did not answer" to "it is down": suspicions, confirmations, verdicts, warnings to the suspect.

use super::Peer;
use super::changes::Exit;
use super::core::{Membership, News};
use super::event::{Change, Contact, Decision, DownCause};
use super::probing::Purpose;
use super::suspicion::Suspicion;
use super::swim;
use super::wire::{self, Exchange, Item};
use crate::identity::BootId;
use foca::{Member, State};

impl Membership {
    /// Notes that `by` suspects `suspect` (none: a rumour without a name). `refused`: the suspect's host refused `by` a connection.
    pub(super) fn suspect(
        &mut self,
        suspect: &Peer,
        incarnation: u16,
        by: Option<BootId>,
        refused: bool,
        first_hand: bool,
    ) {
        if suspect == self.me() {
            return self.hear_of_own_suspicion(incarnation);
        }
        let Some(record) = self.swim.record(suspect) else {
            return;
        };
        let is_current = record.id() == suspect
            && swim::is_active(record.state())
            && record.incarnation() <= incarnation;
        if !is_current {
            return;
        }
        if record.state() != State::Suspect || record.incarnation() < incarnation {
            let update = Member::new(suspect.clone(), incarnation, State::Suspect);
            self.swim.apply(vec![update], true);
            self.digest_changes();
        }
        self.note_suspicion(suspect, incarnation, by, refused, first_hand);
    }

    fn note_suspicion(
        &mut self,
        suspect: &Peer,
        incarnation: u16,
        by: Option<BootId>,
        refused: bool,
        first_hand: bool,
    ) {
        let size = self.size();
        let known = self.suspicions.get(&suspect.place());
        if !known.is_some_and(|s| s.peer == *suspect && s.incarnation == incarnation) {
            if known.is_none() {
                self.counters.suspicions += 1;
                self.tell(Change::Suspect {
                    node: suspect.node().clone(),
                });
            }
            let suspicion = Suspicion::new(suspect.clone(), incarnation, self.now);
            self.suspicions.insert(suspect.place(), suspicion);
        }
        let others = self.able_to_confirm(size);
        let Some(suspicion) = self.suspicions.get_mut(&suspect.place()) else {
            return;
        };
        suspicion.first_hand |= first_hand;
        if let Some(by) = by
            && suspicion.confirm(by, refused, &self.parameters)
        {
            let item = Item::Confirm {
                suspect: suspect.clone(),
                incarnation,
                by,
                refused,
            };
            self.spread
                .add(News::Confirm(suspect.boot(), by), item.encode());
        }
        let deadline = suspicion.deadline(size, others, self.health.factor(), &self.parameters);
        if suspicion.armed.is_none_or(|armed| deadline < armed) {
            suspicion.armed = Some(deadline);
            self.arm_suspicion(deadline, suspect, incarnation);
        }
    }

    /// How many members could confirm a suspicion that is held here: a member that is suspected itself confirms nothing, so nobody waits
    /// for it. The suspect is one of those that are suspected.
    fn able_to_confirm(&self, size: usize) -> usize {
        size.saturating_sub(1 + self.suspicions.len().max(1))
    }

    /// The suspect's host refused this node a connection: others are asked to try, and one that finds the same is enough.
    pub(super) fn suspect_refused(&mut self, suspect: &Peer) {
        let Some(incarnation) = self.active_incarnation(suspect) else {
            return;
        };
        let me = self.me().boot();
        self.suspect(suspect, incarnation, Some(me), true, true);
        let verify = Item::Verify {
            suspect: suspect.clone(),
            incarnation,
            by: me,
        };
        let items = [verify.encode()];
        for relay in self.choose(self.parameters.relays, |peer| peer != suspect) {
            self.send(relay, &items, &[]);
        }
    }

    /// Another node found that the suspect's host refuses connections, and asks this one to see for itself.
    pub(super) fn verify(&mut self, suspect: Peer, incarnation: u16, by: BootId) {
        if suspect == *self.me() {
            return self.hear_of_own_suspicion(incarnation);
        }
        if self.active_incarnation(&suspect) != Some(incarnation) {
            return;
        }
        self.suspect(&suspect, incarnation, Some(by), true, false);
        let within = self.parameters.probe_timeout;
        let purpose = Purpose::Verify {
            suspect: suspect.clone(),
            incarnation,
        };
        self.probe_link(suspect, within, purpose);
    }

    /// Begins the suspicions that foca learned of.
    pub(super) fn begin_rumoured(&mut self, rumoured: &[(Peer, u16)]) {
        for (suspect, incarnation) in rumoured {
            let is_suspect = self
                .swim
                .record(suspect)
                .is_some_and(|record| record.state() == State::Suspect);
            if is_suspect {
                self.suspect(suspect, *incarnation, None, false, false);
            }
        }
    }

    /// Forgets the suspicions of those in `heard_of` that were refuted.
    pub(super) fn forget_refuted(&mut self, heard_of: &[Peer]) {
        for peer in heard_of {
            let Some(suspicion) = self.suspicions.get(&peer.place()) else {
                continue;
            };
            let is_alive = self
                .swim
                .record(peer)
                .is_some_and(|record| record.state() == State::Alive);
            if is_alive {
                let node = suspicion.peer.node().clone();
                self.suspicions.remove(&peer.place());
                self.tell(Change::Refuted { node });
            }
        }
    }

    /// A suspicion's time is up, if nothing moved it.
    pub(super) fn judge(&mut self, suspect: &Peer, incarnation: u16) {
        let size = self.size();
        let others = self.able_to_confirm(size);
        let Some(suspicion) = self.suspicions.get_mut(&suspect.place()) else {
            return;
        };
        if suspicion.peer != *suspect || suspicion.incarnation != incarnation {
            return;
        }
        let deadline = suspicion.deadline(size, others, self.health.factor(), &self.parameters);
        if self.now < deadline {
            if suspicion.armed.is_none_or(|armed| armed <= self.now) {
                suspicion.armed = Some(deadline);
                self.arm_suspicion(deadline, suspect, incarnation);
            }
            return;
        }
        let cause = match suspicion.is_refused() {
            true => DownCause::Refused,
            false => DownCause::Silent,
        };
        let suspected_at = self
            .swim
            .record(suspect)
            .filter(|record| record.id() == suspect && record.state() == State::Suspect)
            .map(Member::incarnation);
        match suspected_at {
            Some(at) if at == incarnation => {
                self.end(suspect, incarnation, Exit::Down(cause), true);
            }
            // Of which this node was not told: it has its own time, or it would be a suspect for ever.
            Some(at) => self.note_suspicion(suspect, at, None, false, false),
            None => {
                self.forget_refuted(std::slice::from_ref(suspect));
                self.suspicions.remove(&suspect.place());
            }
        }
    }

    /// Lifeguard's buddy system: whoever is suspected is told so first.
    pub(super) fn buddy_warning(&self, to: &Peer) -> Option<Vec<u8>> {
        let suspicion = self.suspicions.get(&to.place())?;
        (suspicion.peer == *to).then(|| {
            Item::Suspected {
                generation: to.generation(),
                incarnation: suspicion.incarnation,
            }
            .encode()
        })
    }

    /// Tells a suspect over the link that still works.
    pub(super) fn warn_over_link(&mut self, suspect: &Peer) {
        let Some(suspicion) = self.suspicions.get(&suspect.place()) else {
            return;
        };
        let warning = Exchange::Suspected {
            generation: suspect.generation(),
            incarnation: suspicion.incarnation,
        };
        self.out.push(Decision::SendLink {
            to: Contact::Node(suspect.node().clone(), suspect.address()),
            bytes: wire::encode_exchange(&warning),
        });
    }

    pub(super) fn hear_of_own_suspicion(&mut self, incarnation: u16) {
        let me = self.me().clone();
        self.swim
            .apply(vec![Member::new(me, incarnation, State::Suspect)], true);
    }

    /// The incarnation of `peer` if it is a member in exactly this generation.
    pub(super) fn active_incarnation(&self, peer: &Peer) -> Option<u16> {
        self.swim
            .record(peer)
            .filter(|record| record.id() == peer && swim::is_active(record.state()))
            .map(Member::incarnation)
    }
}
