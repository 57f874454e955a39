//! What the one consumer does at a mailbox. Where `ready` is an argument, the caller holds the lock that it is under.

use super::inbox::{Consumer, HINT_MAIL, HINT_UNREGISTERED, HINT_URGENT, HINT_WAITERS};
use super::{Lanes, Mailbox, Posted, Wake, wake_all};
use crate::sync::Ordering;
use std::task::Waker;

/// The waker that a consumer has registered, as it remembers it: a look at its own copy takes no lock.
#[derive(Default)]
pub(crate) struct Registered(Option<Waker>);

impl Registered {
    #[inline]
    fn is(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|known| known.will_wake(waker))
    }
}

impl<T: Posted> Mailbox<'_, T> {
    /// Takes the next letter. When there is none, `waker` is registered, and is woken when one comes, a sender waits or a
    /// control flag goes up that was not up when this was called.
    #[inline(always)]
    pub(crate) fn next(
        &self,
        ready: &mut Lanes<T>,
        registered: &mut Registered,
        waker: &Waker,
    ) -> Option<T> {
        let hints = self.back.hints.load(Ordering::Acquire);
        if hints & HINT_URGENT != 0 {
            self.refill(ready);
        }
        if let Some(item) = self.take(ready) {
            if hints & HINT_WAITERS != 0 && self.may_resume() {
                self.admit_if_roomy();
            }
            return Some(item);
        }
        if hints == 0 && registered.is(waker) {
            return None;
        }
        self.fetch(ready, registered, waker);
        self.take(ready)
    }

    /// Swaps the inbox out, and registers.
    fn fetch(&self, ready: &mut Lanes<T>, registered: &mut Registered, waker: &Waker) {
        let mut inbox = self.front.lock();
        let woken = self.admit_if_any(&mut inbox);
        ready.append(&mut inbox.lanes);
        let before = if inbox.hints & HINT_UNREGISTERED != 0 || !registered.is(waker) {
            registered.0 = Some(waker.clone());
            inbox.waker.replace(waker.clone())
        } else {
            None
        };
        self.lower(&mut inbox, HINT_MAIL | HINT_URGENT | HINT_UNREGISTERED);
        drop(inbox);
        drop(before);
        wake_all(woken);
    }

    /// Parks without regard to letters; a control flag wakes, and so may a letter. False when a flag outside of `ignored` is
    /// up.
    pub(crate) fn park(&self, waker: &Waker, ignored: u8) -> bool {
        let mut inbox = self.front.lock();
        if self.back.control.load(Ordering::Acquire) & !ignored != 0 {
            return false;
        }
        self.raise(&mut inbox, HINT_UNREGISTERED);
        let before = inbox.waker.replace(waker.clone());
        drop(inbox);
        drop(before);
        true
    }

    /// The consumer leaves, if there is nothing for it to do. The next letter brings a new one.
    pub(crate) fn leave(&self, ready: &Lanes<T>) -> bool {
        let mut inbox = self.front.lock();
        let idle = ready.is_empty()
            && inbox.lanes.is_empty()
            && inbox.nobody_waits()
            && self.back.control.load(Ordering::Acquire) == 0;
        if idle {
            inbox.lanes.shrink();
            let waker = self.set_consumer(&mut inbox, Consumer::Absent);
            drop(inbox);
            drop(waker);
        }
        idle
    }

    /// Nobody may consume until [`Mailbox::release`]. Letters are still taken.
    pub(crate) fn hold(&self) {
        let mut inbox = self.front.lock();
        let waker = self.set_consumer(&mut inbox, Consumer::Held);
        drop(inbox);
        drop(waker);
    }

    /// Consuming may begin. [`Wake::Absent`] when there is something to consume, and the caller has the claim.
    pub(crate) fn release(&self, ready: &Lanes<T>, eager: bool) -> Wake {
        let mut inbox = self.front.lock();
        let woken = self.admit(&mut inbox);
        let waker = self.set_consumer(&mut inbox, Consumer::Absent);
        let wake = if eager
            || !ready.is_empty()
            || !inbox.lanes.is_empty()
            || self.back.control.load(Ordering::Acquire) != 0
        {
            inbox.wake()
        } else {
            Wake::None
        };
        drop(inbox);
        drop(waker);
        wake_all(woken);
        wake
    }

    /// The consumer is there: for a shell that goes on after it was held. It has to register again.
    pub(crate) fn resume_running(&self) {
        let mut inbox = self.front.lock();
        let waker = self.set_consumer(&mut inbox, Consumer::Present);
        drop(inbox);
        drop(waker);
    }

    /// Takes all letters out, in the order in which they would have been handled.
    pub(crate) fn drain(&self, ready: &mut Lanes<T>) -> Vec<T> {
        let mut inbox = self.front.lock();
        ready.append(&mut inbox.lanes);
        self.lower(&mut inbox, HINT_MAIL | HINT_URGENT);
        drop(inbox);
        let all = ready.drain();
        for _ in all.iter().filter(|item| item.is_counted()) {
            self.count_popped();
        }
        all
    }

    /// Puts a letter back that was taken before, to be handled next at its priority.
    pub(crate) fn put_back(&self, ready: &mut Lanes<T>, item: T) {
        if item.is_counted() {
            // As if pushed again: `popped` never goes back, so that what a sender saw of it stays a lower bound.
            self.front.lock().pushed += 1;
        }
        ready.push_front(item.priority(), item);
    }

    #[inline]
    fn may_resume(&self) -> bool {
        self.back.popped.load(Ordering::Relaxed) >= self.back.resume_at.load(Ordering::Relaxed)
    }

    #[cold]
    fn admit_if_roomy(&self) {
        let mut inbox = self.front.lock();
        let depth = inbox.pushed - self.back.popped.load(Ordering::Acquire);
        if depth > u64::from(inbox.capacity) / 2 {
            // A letter was put back meanwhile.
            self.set_resumption(&inbox);
            return;
        }
        let woken = self.admit(&mut inbox);
        drop(inbox);
        wake_all(woken);
    }

    fn refill(&self, ready: &mut Lanes<T>) {
        let mut inbox = self.front.lock();
        ready.append(&mut inbox.lanes);
        self.lower(&mut inbox, HINT_MAIL | HINT_URGENT);
    }

    #[inline(always)]
    fn take(&self, ready: &mut Lanes<T>) -> Option<T> {
        let item = ready.pop()?;
        if item.is_counted() {
            self.count_popped();
        }
        Some(item)
    }

    #[inline]
    pub(super) fn count_popped(&self) {
        // One writer at a time: whoever holds the lock of the ready lanes.
        let popped = self.back.popped.load(Ordering::Relaxed) + 1;
        self.back.popped.store(popped, Ordering::Release);
    }
}
