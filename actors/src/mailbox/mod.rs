//! The mailbox: lanes by priority, an exact bound, and waiting senders that are let in in batches.
//!
//! Two sides share it. Senders hold the *inbox* lock for a push. The one consumer (a cell's shell) owns a second set of
//! lanes, the *ready* ones, which it fills by swapping the inbox out whole, so that it meets the senders' lock once per
//! batch and not once per message. Ready lanes live outside of this type, under the lock of the cell's seat: when a shell
//! is fenced off, what it had taken but not begun is still there for the next one.
//!
//! The bound counts what is in both. `pushed` is written under the inbox lock; `popped` by the consumer alone. A sender
//! looks at `popped` only when the count that it last saw says full, so an uncontended push touches no line that the
//! consumer writes. For the same reason the two sides are two values, [`Front`] and [`Back`], which a cell keeps apart.
//!
//! The consumer parks without the lock: once its waker is registered, it waits when it has nothing and there are no hints.
//! Whoever raises the first hint wakes it after that; a task that is woken while it runs is polled once more, so the hint is
//! seen either by the poll that goes on or by the next one.

mod consume;
mod inbox;
mod lanes;
mod line;
mod send;

pub(crate) use consume::Registered;
pub(crate) use lanes::Lanes;

use crate::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use inbox::{Consumer, Inbox};
use std::task::Waker;
use swarm_protocols::Priority;

/// How long the inbox may get by signals and timers, whose own bounds are far below; beyond that they are dropped. Exits that
/// somebody sends without end are what this is for.
const UNCOUNTED_MAX: usize = 262_144;

/// What can be put into a mailbox.
pub(crate) trait Posted {
    /// Which lane it belongs to.
    fn priority(&self) -> Priority;
    /// Whether it counts towards the bound. Signals and fired timers do not: monitors, links and timers have bounds of their own,
    /// and beyond [`UNCOUNTED_MAX`] they are dropped.
    fn is_counted(&self) -> bool;
}

/// Whether a mailbox takes letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It does.
    Open,
    /// The agent is being drained, or was stopped: no new letters, but what is queued stays.
    Refusing,
    /// The agent has ended for good.
    Closed,
}

/// What a sender has to do so that its letter is seen.
#[derive(Debug)]
#[must_use]
pub(crate) enum Wake {
    /// Nothing: the consumer knows, or nobody may consume now.
    None,
    /// Wake the consumer.
    Parked(Waker),
    /// There is no consumer: start one. The caller has the sole claim to do so.
    Absent,
}

/// Why a letter was not taken. It is still where the sender had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The bound is reached.
    Full,
    /// The gate is not open.
    Refused(Gate),
}

/// A place kept for one letter. Must be used with [`Mailbox::push_reserved`] or given back with [`Mailbox::unreserve`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Reservation(());

impl Reservation {
    /// In a mailbox of another node: none, in truth.
    pub(crate) fn elsewhere() -> Self {
        Self(())
    }
}

/// The senders' side of a mailbox.
pub(crate) struct Front<T>(Mutex<Inbox<T>>);

/// What the consumer writes with each letter, and senders only when something changes for it.
pub(crate) struct Back {
    /// Counted letters that left the mailbox. Only who holds the lock of the ready lanes writes it.
    popped: AtomicU64,
    /// Up to where `popped` has to come until waiting senders are let in. Written under the inbox's lock.
    resume_at: AtomicU64,
    /// Written under the inbox's lock.
    hints: AtomicU8,
    /// See `control` in the cell: non-zero means that the consumer has to look up before the next letter.
    control: AtomicU8,
}

/// Both sides of a mailbox together.
pub(crate) struct Mailbox<'a, T> {
    front: &'a Mutex<Inbox<T>>,
    back: &'a Back,
}

impl<T> Front<T> {
    /// For `capacity` counted letters; nobody may consume yet.
    pub(crate) fn new(capacity: u32) -> Self {
        Self(Mutex::new(Inbox::new(capacity)))
    }

    #[inline]
    pub(crate) fn with<'a>(&'a self, back: &'a Back) -> Mailbox<'a, T> {
        Mailbox {
            front: &self.0,
            back,
        }
    }
}

impl Back {
    pub(crate) fn new() -> Self {
        Self {
            popped: AtomicU64::new(0),
            resume_at: AtomicU64::new(0),
            hints: AtomicU8::new(inbox::HINT_UNREGISTERED),
            control: AtomicU8::new(0),
        }
    }
}

impl<'a, T: Posted> Mailbox<'a, T> {
    /// Flags of the control lane. Whoever raises one wakes the consumer with [`Mailbox::wake_consumer`].
    #[inline]
    pub(crate) fn control(&self) -> &'a AtomicU8 {
        &self.back.control
    }

    pub(crate) fn gate(&self) -> Gate {
        self.front.lock().gate
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.front.lock().capacity
    }

    /// Between two lives only.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        self.front.lock().capacity = capacity;
    }

    /// How many counted letters there are, reservations included.
    pub(crate) fn depth(&self) -> u64 {
        let inbox = self.front.lock();
        inbox.pushed - self.back.popped.load(Ordering::Acquire)
    }

    /// How many senders wait for room.
    pub(crate) fn waiting(&self) -> usize {
        let inbox = self.front.lock();
        inbox.line.as_ref().map_or(0, |line| line.len())
    }

    /// Opens the gate, or shuts it. Shutting turns the waiting senders away; their letters are handed back.
    pub(crate) fn set_gate(&self, gate: Gate) -> Vec<T> {
        let mut inbox = self.front.lock();
        inbox.gate = gate;
        if gate == Gate::Open || inbox.nobody_waits() {
            return Vec::new();
        }
        let waiters = inbox.line().turn_away();
        self.lower(&mut inbox, inbox::HINT_WAITERS);
        drop(inbox);
        waiters
            .into_iter()
            .map(|waiter| {
                waiter.waker.wake();
                waiter.item
            })
            .collect()
    }

    /// Pretends to be full, or no longer.
    pub(crate) fn clog(&self, on: bool) -> Wake {
        let mut inbox = self.front.lock();
        inbox.is_clogged = on;
        if on {
            return Wake::None;
        }
        let (woken, wake) = self.admit_and_wake(&mut inbox);
        drop(inbox);
        wake_all(woken);
        wake
    }

    #[inline]
    fn has_room(&self, inbox: &mut Inbox<T>) -> bool {
        if inbox.is_clogged {
            return false;
        }
        let capacity = u64::from(inbox.capacity);
        if inbox.pushed - inbox.popped_seen < capacity {
            return true;
        }
        inbox.popped_seen = self.back.popped.load(Ordering::Acquire);
        inbox.pushed - inbox.popped_seen < capacity
    }

    /// Puts a letter into the inbox. True when the consumer has to be woken for it: it does not know of any mail yet.
    #[inline]
    fn put(&self, inbox: &mut Inbox<T>, item: T) -> bool {
        let priority = item.priority();
        inbox.lanes.push_back(priority, item);
        let urgent = if priority == Priority::Normal {
            0
        } else {
            inbox::HINT_URGENT
        };
        let had_mail = inbox.hints & inbox::HINT_MAIL != 0;
        self.raise(inbox, inbox::HINT_MAIL | urgent);
        !had_mail
    }

    /// Hints change under the inbox's lock only, so that the consumer's copy can simply be written.
    #[inline]
    fn raise(&self, inbox: &mut Inbox<T>, hints: u8) {
        if inbox.hints & hints != hints {
            inbox.hints |= hints;
            self.back.hints.store(inbox.hints, Ordering::Release);
        }
    }

    #[inline]
    fn lower(&self, inbox: &mut Inbox<T>, hints: u8) {
        if inbox.hints & hints != 0 {
            inbox.hints &= !hints;
            self.back.hints.store(inbox.hints, Ordering::Release);
        }
    }

    /// The consumer is gone, or a new one begins. The waker is handed back, to be dropped without the lock: it may hold the
    /// last of a task.
    #[must_use]
    fn set_consumer(&self, inbox: &mut Inbox<T>, consumer: Consumer) -> Option<Waker> {
        inbox.consumer = consumer;
        self.raise(inbox, inbox::HINT_UNREGISTERED);
        inbox.waker.take()
    }

    /// Lets waiting senders in while there is room; hands back whom to wake.
    fn admit(&self, inbox: &mut Inbox<T>) -> Vec<Waker> {
        let mut woken = Vec::new();
        while !inbox.nobody_waits() && self.has_room(inbox) {
            let Some(waiter) = inbox.line().next() else {
                break;
            };
            inbox.pushed += 1;
            self.put(inbox, waiter.item);
            woken.push(waiter.waker);
        }
        if inbox.nobody_waits() {
            self.lower(inbox, inbox::HINT_WAITERS);
        } else {
            self.set_resumption(inbox);
        }
        woken
    }

    /// The same; mostly there is nobody.
    #[inline]
    fn admit_if_any(&self, inbox: &mut Inbox<T>) -> Vec<Waker> {
        if inbox.hints & inbox::HINT_WAITERS == 0 {
            Vec::new()
        } else {
            self.admit(inbox)
        }
    }

    /// The same, from outside of the consumer, which has to see what came in.
    fn admit_and_wake(&self, inbox: &mut Inbox<T>) -> (Vec<Waker>, Wake) {
        let woken = self.admit(inbox);
        let wake = if woken.is_empty() {
            Wake::None
        } else {
            inbox.wake()
        };
        (woken, wake)
    }

    /// Senders that wait are let in once half of the bound is free: one lock and one burst of wake-ups for many of them.
    fn set_resumption(&self, inbox: &Inbox<T>) {
        let at = inbox.pushed.saturating_sub(u64::from(inbox.capacity) / 2);
        self.back.resume_at.store(at, Ordering::Relaxed);
    }
}

#[inline]
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, swarm_loom))]
mod loom_tests;
