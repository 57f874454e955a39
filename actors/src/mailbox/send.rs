//! What senders do at a mailbox.

use super::inbox::{Consumer, HINT_MAIL, HINT_URGENT, HINT_WAITERS, Inbox};
use super::line::Standing;
use super::{Gate, Lanes, Mailbox, NotTaken, Posted, Reservation, UNCOUNTED_MAX, Wake, wake_all};
use std::collections::VecDeque;
use std::task::{Poll, Waker};

impl<T: Posted> Mailbox<'_, T> {
    /// Puts a letter in, or hands it back. Never waits. Senders that already wait go first.
    ///
    /// By value, as letters are large: from here it is copied once, into its lane.
    #[inline]
    pub(crate) fn push(&self, item: T) -> Result<Wake, (NotTaken, T)> {
        let is_counted = item.is_counted();
        let mut inbox = self.front.lock();
        if is_counted {
            if inbox.gate != Gate::Open {
                return Err((NotTaken::Refused(inbox.gate), item));
            }
            if !inbox.nobody_waits() || !self.has_room(&mut inbox) {
                return Err((NotTaken::Full, item));
            }
            inbox.pushed += 1;
        } else if inbox.gate == Gate::Closed || inbox.lanes.len() >= UNCOUNTED_MAX {
            return Err((NotTaken::Refused(Gate::Closed), item));
        }
        Ok(self.enter(&mut inbox, item))
    }

    /// Puts counted letters in, in their order, as long as they are taken; what is left was not. One lock for all, and one wake-up.
    pub(crate) fn push_all(&self, items: &mut VecDeque<T>) -> Wake {
        let mut inbox = self.front.lock();
        let mut wake = Wake::None;
        while inbox.gate == Gate::Open
            && inbox.nobody_waits()
            && !items.is_empty()
            && self.has_room(&mut inbox)
            && let Some(item) = items.pop_front()
        {
            inbox.pushed += 1;
            if self.put(&mut inbox, item) {
                wake = inbox.wake();
            }
        }
        wake
    }

    /// Keeps a place for a letter that is pushed later.
    pub(crate) fn reserve(&self) -> Result<Reservation, NotTaken> {
        let mut inbox = self.front.lock();
        if inbox.gate != Gate::Open {
            return Err(NotTaken::Refused(inbox.gate));
        }
        if !inbox.nobody_waits() || !self.has_room(&mut inbox) {
            return Err(NotTaken::Full);
        }
        inbox.pushed += 1;
        Ok(Reservation(()))
    }

    /// Puts a letter into the place that was kept for it.
    pub(crate) fn push_reserved(
        &self,
        Reservation(()): Reservation,
        item: &mut Option<T>,
    ) -> Result<Wake, NotTaken> {
        let mut inbox = self.front.lock();
        if inbox.gate != Gate::Open {
            inbox.pushed -= 1;
            return Err(NotTaken::Refused(inbox.gate));
        }
        Ok(self.accept(&mut inbox, item))
    }

    /// Gives a kept place back.
    pub(crate) fn unreserve(&self, Reservation(()): Reservation) -> Wake {
        let mut inbox = self.front.lock();
        inbox.pushed -= 1;
        let (woken, wake) = self.admit_and_wake(&mut inbox);
        drop(inbox);
        wake_all(woken);
        wake
    }

    /// Puts a letter in at the cost of the oldest one of the lowest priority, which is handed back. `ready` are the
    /// consumer's lanes, whose lock the caller holds.
    pub(crate) fn push_dropping_oldest(
        &self,
        ready: &mut Lanes<T>,
        item: &mut Option<T>,
    ) -> Result<(Wake, Option<T>), NotTaken> {
        let mut inbox = self.front.lock();
        if inbox.gate != Gate::Open {
            return Err(NotTaken::Refused(inbox.gate));
        }
        let mut dropped = None;
        if !self.has_room(&mut inbox) {
            // All together, so that the oldest of the lowest priority is found wherever it lies.
            ready.append(&mut inbox.lanes);
            self.lower(&mut inbox, HINT_MAIL | HINT_URGENT);
            dropped = ready.drop_oldest();
            if dropped.is_none() {
                // All of the bound is reserved: there is nothing to drop.
                return Err(NotTaken::Full);
            }
            self.count_popped();
        }
        inbox.pushed += 1;
        Ok((self.accept(&mut inbox, item), dropped))
    }

    /// Waits in line: the letter is taken over now and enters the mailbox when there is room and its turn has come; `waker`
    /// is woken then. The ticket is for [`Mailbox::poll_ticket`]; without one the letter has entered.
    pub(crate) fn wait(
        &self,
        item: &mut Option<T>,
        waker: &Waker,
    ) -> Result<(Wake, Option<u64>), NotTaken> {
        let mut inbox = self.front.lock();
        if inbox.gate != Gate::Open {
            return Err(NotTaken::Refused(inbox.gate));
        }
        if inbox.nobody_waits() && self.has_room(&mut inbox) {
            inbox.pushed += 1;
            return Ok((self.accept(&mut inbox, item), None));
        }
        let Some(item) = item.take() else {
            return Ok((Wake::None, None));
        };
        let ticket = inbox.line().join(item, waker.clone());
        let is_first_hint = inbox.hints == 0;
        if inbox.hints & HINT_WAITERS == 0 {
            self.set_resumption(&inbox);
            self.raise(&mut inbox, HINT_WAITERS);
        }
        // A consumer that has just made room and saw no hint is parked, or about to be.
        let wake = if is_first_hint && inbox.consumer == Consumer::Present {
            inbox.wake()
        } else {
            Wake::None
        };
        Ok((wake, Some(ticket)))
    }

    /// Whether the letter behind `ticket` has entered; `Err` when the gate was shut before that.
    pub(crate) fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        let mut inbox = self.front.lock();
        let gate = inbox.gate;
        match inbox.line().standing(ticket, waker) {
            Standing::Waiting => Poll::Pending,
            Standing::Entered => Poll::Ready(Ok(())),
            Standing::TurnedAway => Poll::Ready(Err(gate)),
        }
    }

    /// Leaves the line. Hands the letter back if it was still waiting.
    pub(crate) fn cancel(&self, ticket: u64) -> (Option<T>, Wake) {
        let mut inbox = self.front.lock();
        let Some(waiter) = inbox.line().leave(ticket) else {
            return (None, Wake::None);
        };
        // Those behind may fit now.
        let (woken, wake) = self.admit_and_wake(&mut inbox);
        drop(inbox);
        wake_all(woken);
        (Some(waiter.item), wake)
    }

    /// Wakes the consumer, so that it looks at `control`.
    pub(crate) fn wake_consumer(&self) -> Wake {
        self.front.lock().wake()
    }

    #[inline]
    fn accept(&self, inbox: &mut Inbox<T>, item: &mut Option<T>) -> Wake {
        match item.take() {
            Some(item) => self.enter(inbox, item),
            None => Wake::None,
        }
    }

    #[inline]
    fn enter(&self, inbox: &mut Inbox<T>, item: T) -> Wake {
        if self.put(inbox, item) {
            inbox.wake()
        } else {
            Wake::None
        }
    }
}
