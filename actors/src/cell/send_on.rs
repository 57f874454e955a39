//! A mailbox whose agent gives way to another: what is queued goes there.

use super::*;
use crate::outgoing::OutAcl;

impl<A: Agent> Cell<A> {
    /// Shuts the gate and sends what is queued to `to`. How many were sent on.
    pub(super) fn send_on_to(&self, to: &AnyRef) -> usize {
        let letters = {
            let mut seat = self.seat.lock();
            self.unstash(&mut seat);
            let turned_away = self.mailbox().set_gate(Gate::Refusing);
            let mut letters = self.mailbox().drain(&mut seat.ready);
            // Those that waited for room came last.
            letters.extend(turned_away);
            letters
        };
        let typed: Option<AgentRef<A::Message>> = to.typed();
        let mut sent_on: VecDeque<Box<dyn Outgoing>> = VecDeque::new();
        for letter in letters {
            match (&letter.body, &typed) {
                (Body::Message(_), Some(typed)) => {
                    sent_on.push_back(Box::new(OutLetter::new(typed.clone(), letter, None)));
                }
                (Body::Acl(_), _) => {
                    if let Some(letter) = Self::to_acl(letter) {
                        sent_on.push_back(Box::new(OutAcl::new(to.clone(), letter)));
                    }
                }
                // Its signals and timers are about its own life.
                (Body::Message(_) | Body::Signal(..) | Body::Timer(..), _) => {
                    self.bury_letter(letter, DeathCause::Refused);
                }
            }
        }
        let count = sent_on.len();
        if count > 0 {
            self.core.system.deliver_late(sent_on);
        }
        count
    }
}
