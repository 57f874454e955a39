//! The mailbox: lanes by priority, an exact bound, and waiting senders that are let in in batches.
//!
//! Two sides share it. Senders hold the *inbox* lock for a push. The one consumer (a cell's shell) owns a second set of
//! lanes, the *ready* ones, which it fills by swapping the inbox out whole, so that it meets the senders' lock once per
//! batch and not once per message. Ready lanes live outside of this type, under the lock of the cell's seat: when a shell
//! is fenced off, what it had taken but not begun is still there for the next one.
//!
//! The bound counts what is in both. `pushed` is written under the inbox lock; `popped` by the consumer alone. A sender
//! looks at `popped` only when the count that it last saw says full, so an uncontended push touches no line that the
//! consumer writes.

use crate::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, Waker};
use swarm_protocols::Priority;

/// Of how many turns low-priority mail gets at least one.
const LOW_SHARE: u8 = 16;
/// How many refusals are remembered for senders that were waiting.
const REFUSALS_MAX: usize = 16;

/// How long the inbox may get by signals and timers, whose own bounds are far below; beyond that they are dropped. Exits that
/// somebody sends without end are what this is for.
const UNCOUNTED_MAX: usize = 262_144;

/// The inbox holds something that is not of normal priority: merge it before the next letter is picked.
const HINT_URGENT: u8 = 1;
/// Senders are waiting for room.
const HINT_WAITERS: u8 = 2;

/// What can be put into a mailbox.
pub(crate) trait Posted {
    /// Which lane it belongs to.
    fn priority(&self) -> Priority;
    /// Whether it counts towards the bound. Signals and fired timers do not: monitors, links and timers have bounds of their own,
    /// and beyond [`UNCOUNTED_MAX`] they are dropped.
    fn is_counted(&self) -> bool;
}

/// Four queues, the three unusual ones only there once they are used.
pub(crate) struct Lanes<T> {
    normal: VecDeque<T>,
    others: Option<Box<Others<T>>>,
    len: usize,
}

struct Others<T> {
    critical: VecDeque<T>,
    high: VecDeque<T>,
    low: VecDeque<T>,
    turns_since_low: u8,
}

impl<T> Lanes<T> {
    pub(crate) const fn new() -> Self {
        Self {
            normal: VecDeque::new(),
            others: None,
            len: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn lane(&mut self, priority: Priority) -> &mut VecDeque<T> {
        if priority == Priority::Normal {
            return &mut self.normal;
        }
        let others = self.others.get_or_insert_with(|| {
            Box::new(Others {
                critical: VecDeque::new(),
                high: VecDeque::new(),
                low: VecDeque::new(),
                turns_since_low: 0,
            })
        });
        match priority {
            Priority::Critical => &mut others.critical,
            Priority::High => &mut others.high,
            Priority::Low => &mut others.low,
            Priority::Normal => unreachable!("handled above"),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, priority: Priority, item: T) {
        self.len += 1;
        self.lane(priority).push_back(item);
    }

    pub(crate) fn push_front(&mut self, priority: Priority, item: T) {
        self.len += 1;
        self.lane(priority).push_front(item);
    }

    /// Takes what is to be handled next: by priority, but low gets one of [`LOW_SHARE`].
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let item = match &mut self.others {
            None => {
                self.len -= 1;
                return self.normal.pop_front();
            }
            Some(others) => {
                let low_is_due = others.turns_since_low >= LOW_SHARE - 1 && !others.low.is_empty();
                let item = if low_is_due {
                    None
                } else {
                    others
                        .critical
                        .pop_front()
                        .or_else(|| others.high.pop_front())
                        .or_else(|| self.normal.pop_front())
                };
                match item {
                    Some(item) => {
                        others.turns_since_low = others.turns_since_low.saturating_add(1);
                        Some(item)
                    }
                    None => {
                        others.turns_since_low = 0;
                        others.low.pop_front()
                    }
                }
            }
        };
        self.len -= usize::from(item.is_some());
        item
    }

    /// Appends all of `from`, lane by lane.
    fn append(&mut self, from: &mut Lanes<T>) {
        if self.len == 0 && self.others.is_none() && from.others.is_none() {
            mem::swap(&mut self.normal, &mut from.normal);
        } else {
            self.normal.append(&mut from.normal);
            if let Some(others) = &mut from.others {
                for (priority, queue) in [
                    (Priority::Critical, &mut others.critical),
                    (Priority::High, &mut others.high),
                    (Priority::Low, &mut others.low),
                ] {
                    if !queue.is_empty() {
                        self.lane(priority).append(queue);
                    }
                }
            }
        }
        self.len += mem::take(&mut from.len);
    }

    /// Takes the oldest counted item of the lowest priority.
    fn drop_oldest(&mut self) -> Option<T>
    where
        T: Posted,
    {
        let mut lanes: [Option<&mut VecDeque<T>>; 4] = [None, Some(&mut self.normal), None, None];
        if let Some(others) = &mut self.others {
            lanes[0] = Some(&mut others.low);
            lanes[2] = Some(&mut others.high);
            lanes[3] = Some(&mut others.critical);
        }
        for lane in lanes.into_iter().flatten() {
            if let Some(at) = lane.iter().position(Posted::is_counted) {
                self.len -= 1;
                return lane.remove(at);
            }
        }
        None
    }

    /// The one that has been waiting longest at normal priority.
    pub(crate) fn oldest(&self) -> Option<&T> {
        self.normal.front()
    }

    /// Takes everything, in the order in which it would have been handled.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len);
        while let Some(item) = self.pop() {
            all.push(item);
        }
        all
    }

    /// Gives memory back that a burst has left behind.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 {
            self.normal = VecDeque::new();
            self.others = None;
        }
    }
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
    /// Nothing: the consumer is running, or nobody may consume now.
    None,
    /// Wake the parked consumer.
    Parked(Waker),
    /// There is no consumer: start one. The caller has the sole claim to do so.
    Absent,
}

enum Consumer {
    /// Nobody consumes; the next letter is to bring a consumer.
    Absent,
    /// Nobody may consume until [`Mailbox::release`].
    Held,
    Parked(Waker),
    Running,
}

struct Waiter<T> {
    ticket: u64,
    item: T,
    waker: Waker,
}

struct Inbox<T> {
    lanes: Lanes<T>,
    /// Counted letters accepted so far, plus reservations.
    pushed: u64,
    /// What `popped` was when it was last looked at.
    popped_seen: u64,
    capacity: u32,
    /// An injected fault: there seems to be no room.
    is_clogged: bool,
    gate: Gate,
    consumer: Consumer,
    ticket_next: u64,
    /// Made when somebody has to wait for the first time.
    line: Option<Box<Line<T>>>,
}

/// The senders that wait for room.
struct Line<T> {
    /// In order of ticket, which is the order of arrival.
    waiters: VecDeque<Waiter<T>>,
    /// Ranges of tickets that were turned away, the latest [`REFUSALS_MAX`]. A sender that was not polled over so many
    /// stops and starts of the receiver takes its letter for accepted; the letter itself is a dead letter all the same.
    refused: VecDeque<(u64, u64)>,
}

impl<T> Inbox<T> {
    fn nobody_waits(&self) -> bool {
        self.line
            .as_ref()
            .is_none_or(|line| line.waiters.is_empty())
    }

    fn line(&mut self) -> &mut Line<T> {
        self.line.get_or_insert_with(|| {
            Box::new(Line {
                waiters: VecDeque::new(),
                refused: VecDeque::new(),
            })
        })
    }
}

/// Why a letter was not taken. It is still where the sender had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The bound is reached.
    Full,
    /// The gate is not open.
    Refused(Gate),
}

pub(crate) struct Mailbox<T> {
    inbox: Mutex<Inbox<T>>,
    /// Counted letters that left the mailbox. Only who holds the ready lanes writes it.
    popped: AtomicU64,
    hints: AtomicU8,
    /// See `control` in the cell: non-zero means that the consumer has to look up before the next letter.
    pub(crate) control: AtomicU8,
}

/// A place kept for one letter. Must be used with [`Mailbox::push_reserved`] or given back with [`Mailbox::unreserve`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Reservation(());

impl<T: Posted> Mailbox<T> {
    /// A mailbox that holds `capacity` counted letters; nobody may consume from it yet.
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            inbox: Mutex::new(Inbox {
                lanes: Lanes::new(),
                pushed: 0,
                popped_seen: 0,
                capacity,
                is_clogged: false,
                gate: Gate::Closed,
                consumer: Consumer::Held,
                ticket_next: 0,
                line: None,
            }),
            popped: AtomicU64::new(0),
            hints: AtomicU8::new(0),
            control: AtomicU8::new(0),
        }
    }

    /// Puts a letter in, if it is taken; then `item` is empty. Never waits. Senders that already wait go first.
    ///
    /// Letters go in and out by reference to a slot: they are large, and each move would be a copy.
    #[inline]
    pub(crate) fn push(&self, item: &mut Option<T>) -> Result<Wake, NotTaken> {
        let Some(posted) = item else {
            return Ok(Wake::None);
        };
        let (is_counted, priority) = (posted.is_counted(), posted.priority());
        let mut inbox = self.inbox.lock();
        if is_counted {
            if inbox.gate != Gate::Open {
                return Err(NotTaken::Refused(inbox.gate));
            }
            if !inbox.nobody_waits() || !self.has_room(&mut inbox) {
                return Err(NotTaken::Full);
            }
            inbox.pushed += 1;
        } else if inbox.gate == Gate::Closed || inbox.lanes.len >= UNCOUNTED_MAX {
            return Err(NotTaken::Refused(Gate::Closed));
        }
        self.accept(&mut inbox, priority, item);
        Ok(inbox.wake())
    }

    /// Keeps a place for a letter that is pushed later.
    pub(crate) fn reserve(&self) -> Result<Reservation, NotTaken> {
        let mut inbox = self.inbox.lock();
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
        let mut inbox = self.inbox.lock();
        if inbox.gate != Gate::Open {
            inbox.pushed -= 1;
            return Err(NotTaken::Refused(inbox.gate));
        }
        let priority = item.as_ref().map_or(Priority::Normal, Posted::priority);
        self.accept(&mut inbox, priority, item);
        Ok(inbox.wake())
    }

    /// Gives a kept place back.
    pub(crate) fn unreserve(&self, Reservation(()): Reservation) -> Wake {
        let mut inbox = self.inbox.lock();
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
        let mut inbox = self.inbox.lock();
        if inbox.gate != Gate::Open {
            return Err(NotTaken::Refused(inbox.gate));
        }
        let mut dropped = None;
        if !self.has_room(&mut inbox) {
            // All together, so that the oldest of the lowest priority is found wherever it lies.
            ready.append(&mut inbox.lanes);
            self.lower_hint(HINT_URGENT);
            dropped = ready.drop_oldest();
            if dropped.is_none() {
                // All of the bound is reserved: there is nothing to drop.
                return Err(NotTaken::Full);
            }
            self.count_popped();
        }
        inbox.pushed += 1;
        let priority = item.as_ref().map_or(Priority::Normal, Posted::priority);
        self.accept(&mut inbox, priority, item);
        Ok((inbox.wake(), dropped))
    }

    /// Waits in line: the letter is taken over now and enters the mailbox when there is room and its turn has come.
    /// The ticket is for [`Mailbox::poll_ticket`]; without one the letter has entered.
    pub(crate) fn wait(
        &self,
        item: &mut Option<T>,
        waker: &Waker,
    ) -> Result<(Wake, Option<u64>), NotTaken> {
        let mut inbox = self.inbox.lock();
        if inbox.gate != Gate::Open {
            return Err(NotTaken::Refused(inbox.gate));
        }
        if inbox.nobody_waits() && self.has_room(&mut inbox) {
            inbox.pushed += 1;
            let priority = item.as_ref().map_or(Priority::Normal, Posted::priority);
            self.accept(&mut inbox, priority, item);
            return Ok((inbox.wake(), None));
        }
        let Some(item) = item.take() else {
            return Ok((Wake::None, None));
        };
        let ticket = inbox.ticket_next;
        inbox.ticket_next += 1;
        inbox.line().waiters.push_back(Waiter {
            ticket,
            item,
            waker: waker.clone(),
        });
        self.hints.fetch_or(HINT_WAITERS, Ordering::Relaxed);
        Ok((Wake::None, Some(ticket)))
    }

    /// Whether the letter behind `ticket` has entered; `Err` when the gate was shut before that.
    pub(crate) fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        let mut inbox = self.inbox.lock();
        let gate = inbox.gate;
        let line = inbox.line();
        if let Ok(at) = line.waiters.binary_search_by_key(&ticket, |w| w.ticket) {
            let waiter = &mut line.waiters[at];
            if !waiter.waker.will_wake(waker) {
                waiter.waker = waker.clone();
            }
            return Poll::Pending;
        }
        if line
            .refused
            .iter()
            .any(|(from, to)| (*from..*to).contains(&ticket))
        {
            Poll::Ready(Err(gate))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    /// Leaves the line. Hands the letter back if it was still waiting.
    pub(crate) fn cancel(&self, ticket: u64) -> (Option<T>, Wake) {
        let mut inbox = self.inbox.lock();
        let line = inbox.line();
        let Ok(at) = line.waiters.binary_search_by_key(&ticket, |w| w.ticket) else {
            return (None, Wake::None);
        };
        let waiter = line.waiters.remove(at);
        // Those behind may fit now.
        let (woken, wake) = self.admit_and_wake(&mut inbox);
        drop(inbox);
        wake_all(woken);
        (waiter.map(|waiter| waiter.item), wake)
    }

    /// Takes the next letter, or parks `waker` when there is none. The caller holds the lock that `ready` is under.
    #[inline]
    pub(crate) fn next(&self, ready: &mut Lanes<T>, waker: Option<&Waker>) -> Option<T> {
        let hints = self.hints.load(Ordering::Relaxed);
        if hints & HINT_URGENT != 0 {
            self.refill(ready);
        }
        if let Some(item) = self.take(ready) {
            if hints & HINT_WAITERS != 0 {
                self.admit_if_roomy();
            }
            return Some(item);
        }
        let mut inbox = self.inbox.lock();
        let woken = self.admit(&mut inbox);
        self.lower_hint(HINT_URGENT);
        ready.append(&mut inbox.lanes);
        // A control flag is raised before the consumer is woken under this lock: it is seen here, or the waker is.
        if ready.is_empty()
            && let Some(waker) = waker
            && self.control.load(Ordering::Acquire) == 0
        {
            inbox.consumer = Consumer::Parked(waker.clone());
        }
        drop(inbox);
        wake_all(woken);
        self.take(ready)
    }

    /// Parks without regard to letters; a letter or a control flag wakes. False when a flag outside of `ignored` is up.
    pub(crate) fn park(&self, waker: &Waker, ignored: u8) -> bool {
        let mut inbox = self.inbox.lock();
        if self.control.load(Ordering::Acquire) & !ignored != 0 {
            return false;
        }
        inbox.consumer = Consumer::Parked(waker.clone());
        true
    }

    /// The consumer leaves, if there is nothing for it to do. The next letter brings a new one.
    pub(crate) fn leave(&self, ready: &Lanes<T>) -> bool {
        let mut inbox = self.inbox.lock();
        let idle = ready.is_empty()
            && inbox.lanes.is_empty()
            && inbox.nobody_waits()
            && self.control.load(Ordering::Acquire) == 0;
        if idle {
            inbox.consumer = Consumer::Absent;
            inbox.lanes.shrink();
        }
        idle
    }

    /// Wakes the consumer, so that it looks at `control`.
    pub(crate) fn wake_consumer(&self) -> Wake {
        self.inbox.lock().wake()
    }

    /// Nobody may consume until [`Mailbox::release`]. Letters are still taken.
    pub(crate) fn hold(&self) {
        self.inbox.lock().consumer = Consumer::Held;
    }

    /// Consuming may begin. [`Wake::Absent`] when there is something to consume, and the caller has the claim.
    pub(crate) fn release(&self, ready: &Lanes<T>, eager: bool) -> Wake {
        let mut inbox = self.inbox.lock();
        let woken = self.admit(&mut inbox);
        inbox.consumer = Consumer::Absent;
        let wake = if eager
            || !ready.is_empty()
            || !inbox.lanes.is_empty()
            || self.control.load(Ordering::Acquire) != 0
        {
            inbox.wake()
        } else {
            Wake::None
        };
        drop(inbox);
        wake_all(woken);
        wake
    }

    /// The consumer is running: for a shell that goes on after it was held.
    pub(crate) fn resume_running(&self) {
        self.inbox.lock().consumer = Consumer::Running;
    }

    /// Opens the gate, or shuts it. Shutting turns the waiting senders away; their letters are handed back.
    pub(crate) fn set_gate(&self, gate: Gate) -> Vec<T> {
        let mut inbox = self.inbox.lock();
        inbox.gate = gate;
        if gate == Gate::Open || inbox.nobody_waits() {
            return Vec::new();
        }
        let to = inbox.ticket_next;
        let line = inbox.line();
        let from = line.waiters.front().map_or(0, |w| w.ticket);
        if line.refused.len() == REFUSALS_MAX {
            line.refused.pop_front();
        }
        line.refused.push_back((from, to));
        let waiters = mem::take(&mut line.waiters);
        self.lower_hint(HINT_WAITERS);
        drop(inbox);
        waiters
            .into_iter()
            .map(|waiter| {
                waiter.waker.wake();
                waiter.item
            })
            .collect()
    }

    /// Between two lives only.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        self.inbox.lock().capacity = capacity;
    }

    /// Pretends to be full, or no longer.
    pub(crate) fn clog(&self, on: bool) -> Wake {
        let mut inbox = self.inbox.lock();
        inbox.is_clogged = on;
        if on {
            return Wake::None;
        }
        let (woken, wake) = self.admit_and_wake(&mut inbox);
        drop(inbox);
        wake_all(woken);
        wake
    }

    pub(crate) fn gate(&self) -> Gate {
        self.inbox.lock().gate
    }

    /// Takes all letters out, in the order in which they would have been handled.
    pub(crate) fn drain(&self, ready: &mut Lanes<T>) -> Vec<T> {
        let mut inbox = self.inbox.lock();
        ready.append(&mut inbox.lanes);
        self.lower_hint(HINT_URGENT);
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
            self.inbox.lock().pushed += 1;
        }
        ready.push_front(item.priority(), item);
    }

    /// How many counted letters there are, reservations included.
    pub(crate) fn depth(&self) -> u64 {
        let inbox = self.inbox.lock();
        inbox.pushed - self.popped.load(Ordering::Acquire)
    }

    /// How many senders wait for room.
    pub(crate) fn waiting(&self) -> usize {
        let inbox = self.inbox.lock();
        inbox.line.as_ref().map_or(0, |line| line.waiters.len())
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.inbox.lock().capacity
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
        inbox.popped_seen = self.popped.load(Ordering::Acquire);
        inbox.pushed - inbox.popped_seen < capacity
    }

    /// Hints change under the inbox's lock only; a look first spares most of the exchanges.
    #[inline]
    fn lower_hint(&self, hint: u8) {
        if self.hints.load(Ordering::Relaxed) & hint != 0 {
            self.hints.fetch_and(!hint, Ordering::Relaxed);
        }
    }

    #[inline]
    fn accept(&self, inbox: &mut Inbox<T>, priority: Priority, item: &mut Option<T>) {
        if priority != Priority::Normal {
            self.hints.fetch_or(HINT_URGENT, Ordering::Relaxed);
        }
        if let Some(item) = item.take() {
            inbox.lanes.push_back(priority, item);
        }
    }

    /// Lets waiting senders in while there is room; hands back whom to wake.
    fn admit(&self, inbox: &mut Inbox<T>) -> Vec<Waker> {
        let mut woken = Vec::new();
        if inbox.nobody_waits() {
            self.lower_hint(HINT_WAITERS);
            return woken;
        }
        while !inbox.nobody_waits() && self.has_room(inbox) {
            let Some(waiter) = inbox.line().waiters.pop_front() else {
                break;
            };
            inbox.pushed += 1;
            self.accept(inbox, waiter.item.priority(), &mut Some(waiter.item));
            woken.push(waiter.waker);
        }
        if inbox.nobody_waits() {
            self.lower_hint(HINT_WAITERS);
        }
        woken
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

    /// Lets waiting senders in once half of the bound is free: one lock and one burst of wake-ups for many of them.
    #[cold]
    fn admit_if_roomy(&self) {
        let mut inbox = self.inbox.lock();
        let depth = inbox.pushed - self.popped.load(Ordering::Acquire);
        if depth > u64::from(inbox.capacity) / 2 {
            return;
        }
        let woken = self.admit(&mut inbox);
        drop(inbox);
        wake_all(woken);
    }

    fn refill(&self, ready: &mut Lanes<T>) {
        let mut inbox = self.inbox.lock();
        self.lower_hint(HINT_URGENT);
        ready.append(&mut inbox.lanes);
    }

    #[inline]
    fn take(&self, ready: &mut Lanes<T>) -> Option<T> {
        let item = ready.pop()?;
        if item.is_counted() {
            self.count_popped();
        }
        Some(item)
    }

    #[inline]
    fn count_popped(&self) {
        // One writer at a time: whoever holds the lock of the ready lanes.
        self.popped
            .store(self.popped.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

impl<T> Inbox<T> {
    #[inline]
    fn wake(&mut self) -> Wake {
        match mem::replace(&mut self.consumer, Consumer::Running) {
            Consumer::Absent => Wake::Absent,
            Consumer::Parked(waker) => Wake::Parked(waker),
            Consumer::Held => {
                self.consumer = Consumer::Held;
                Wake::None
            }
            Consumer::Running => Wake::None,
        }
    }
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, swarm_loom))]
mod loom_tests;
