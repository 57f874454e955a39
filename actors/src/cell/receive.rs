//! A cell as those see it who know its message type.

use super::*;
use std::collections::VecDeque;

impl<A: Agent> Cell<A> {
    #[cold]
    fn bounce(
        &self,
        why: NotTaken,
        letter: Letter<A::Message>,
        when_full: Option<WhenFull>,
    ) -> Result<(), Bounced<A::Message>> {
        let mut letter = Some(letter);
        let pushed = match why {
            NotTaken::Full => self.push_when_full(&mut letter, when_full),
            refused => Err(refused.why()),
        };
        pushed.map_err(|why| Bounced { why, letter })
    }

    fn push_when_full(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        if !self.core.full_is_reported.swap(true, Ordering::Relaxed) {
            let capacity = self.mailbox().capacity();
            self.core
                .system
                .event(Some(&self.core), What::MailboxFull { capacity });
            self.core.system.look_at_full(self.weak());
        }
        if when_full.unwrap_or_else(|| self.plan().mailbox.when_full) != WhenFull::DropOldest {
            return Err(NotSent::Full);
        }
        // By `try_lock`, as the sender may hold its own seat's lock.
        let Some(mut seat) = self.seat.try_lock() else {
            return Err(NotSent::Full);
        };
        let pushed = self.mailbox().push_dropping_oldest(&mut seat.ready, letter);
        drop(seat);
        let (wake, dropped) = pushed.map_err(NotTaken::why)?;
        self.wake(wake);
        if let Some(dropped) = dropped {
            self.bury_letter(dropped, DeathCause::DroppedOldest);
        }
        Ok(())
    }
}

impl<A: Agent> Receive<A::Message> for Cell<A> {
    fn post(
        &self,
        mut letter: Letter<A::Message>,
        when_full: Option<WhenFull>,
    ) -> Result<(), Bounced<A::Message>> {
        if let Err(why) = self.admit(&letter) {
            let letter = Some(letter);
            return Err(Bounced { why, letter });
        }
        letter.at_ms = self.core.system.coarse_ms();
        match self.mailbox().push(letter) {
            Ok(wake) => {
                self.wake(wake);
                Ok(())
            }
            Err((why, letter)) => self.bounce(why, letter, when_full),
        }
    }

    fn push(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        let Some(own) = letter.take() else {
            return Ok(());
        };
        match self.mailbox().push(own) {
            Ok(wake) => {
                self.wake(wake);
                Ok(())
            }
            Err((why, own)) => self.bounce(why, own, when_full).map_err(|bounced| {
                *letter = bounced.letter;
                bounced.why
            }),
        }
    }

    fn push_all(&self, letters: &mut VecDeque<Letter<A::Message>>) {
        let wake = self.mailbox().push_all(letters);
        self.wake(wake);
    }

    fn push_over(&self, letter: &mut Option<Letter<A::Message>>) -> Result<(), NotSent> {
        let pushed = {
            let mut seat = self.seat.lock();
            self.mailbox().push_dropping_oldest(&mut seat.ready, letter)
        };
        let (wake, dropped) = pushed.map_err(NotTaken::why)?;
        self.wake(wake);
        if let Some(dropped) = dropped {
            self.bury_letter(dropped, DeathCause::DroppedOldest);
        }
        Ok(())
    }

    fn wait(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        let (wake, ticket) = self.mailbox().wait(letter, waker).map_err(NotTaken::why)?;
        self.wake(wake);
        Ok(ticket)
    }

    fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.mailbox().poll_ticket(ticket, waker)
    }

    fn cancel(&self, ticket: u64) -> Option<Letter<A::Message>> {
        let (letter, wake) = self.mailbox().cancel(ticket);
        self.wake(wake);
        letter
    }

    fn reserve(&self) -> Result<Reservation, NotSent> {
        self.mailbox().reserve().map_err(NotTaken::why)
    }

    fn unreserve(&self, reservation: Reservation) {
        let wake = self.mailbox().unreserve(reservation);
        self.wake(wake);
    }

    fn push_reserved(
        &self,
        reservation: Reservation,
        letter: &mut Option<Letter<A::Message>>,
    ) -> Result<(), NotSent> {
        let wake = self
            .mailbox()
            .push_reserved(reservation, letter)
            .map_err(NotTaken::why)?;
        self.wake(wake);
        Ok(())
    }

    fn admit(&self, letter: &Letter<A::Message>) -> Result<(), NotSent> {
        let hooks = self.core.system.hooks();
        if hooks.admission.is_empty() {
            return Ok(());
        }
        let admission = Admission {
            receiver: &self.core.path,
            sender: letter.sender.address(),
            kind: letter.body.kind(),
            priority: letter.priority,
            acl: match &letter.body {
                Body::Acl(acl) => Some(acl),
                _ => None,
            },
            extensions: letter.extra.as_ref().map(|extra| &extra.extensions),
        };
        for hook in &hooks.admission {
            hook.admit(&admission).map_err(NotSent::Rejected)?;
        }
        Ok(())
    }

    fn when_full(&self) -> WhenFull {
        self.plan().mailbox.when_full
    }

    fn bury(&self, letter: Letter<A::Message>, cause: DeathCause) {
        self.bury_letter(letter, cause);
    }

    fn to_any(self: Arc<Self>) -> Arc<dyn AnyCell> {
        self
    }
}
