//! The inbox: what senders share, under one lock.

use super::lanes::Lanes;
use super::line::Line;
use super::{Gate, Wake};
use std::task::Waker;

/// The inbox holds something. Up exactly as long as it does.
pub(super) const HINT_MAIL: u8 = 1;
/// The inbox holds something that is not of normal priority: merge it before the next letter is picked.
pub(super) const HINT_URGENT: u8 = 2;
/// Senders are waiting for room. Up exactly as long as they are.
pub(super) const HINT_WAITERS: u8 = 4;
/// The consumer has to register its waker: it is new, or was waiting for something else.
pub(super) const HINT_UNREGISTERED: u8 = 8;

/// The fields are in the order in which a push meets them.
#[repr(C)]
pub(super) struct Inbox<T> {
    /// What the consumer has been told: [`Back::hints`](super::Back) as it was last written.
    pub(super) hints: u8,
    pub(super) gate: Gate,
    pub(super) consumer: Consumer,
    /// An injected fault: there seems to be no room.
    pub(super) is_clogged: bool,
    pub(super) capacity: u32,
    /// Counted letters accepted so far, plus reservations.
    pub(super) pushed: u64,
    /// What `popped` was when it was last looked at.
    pub(super) popped_seen: u64,
    pub(super) line: Option<Box<Line<T>>>,
    pub(super) lanes: Lanes<T>,
    /// The consumer's, while it is there. Stays from one wake-up to the next, as a task's waker does not change.
    pub(super) waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Consumer {
    /// Nobody consumes; the next letter is to bring a consumer.
    Absent,
    /// Nobody may consume until [`release`](super::Mailbox::release).
    Held,
    /// It runs, or has registered its waker and waits.
    Present,
}

impl<T> Inbox<T> {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            hints: HINT_UNREGISTERED,
            gate: Gate::Closed,
            consumer: Consumer::Held,
            is_clogged: false,
            capacity,
            pushed: 0,
            popped_seen: 0,
            line: None,
            lanes: Lanes::new(),
            waker: None,
        }
    }

    #[inline]
    pub(super) fn nobody_waits(&self) -> bool {
        self.line.as_ref().is_none_or(|line| line.is_empty())
    }

    pub(super) fn line(&mut self) -> &mut Line<T> {
        self.line.get_or_insert_with(|| Box::new(Line::new()))
    }

    /// What has to be done so that the consumer looks.
    pub(super) fn wake(&mut self) -> Wake {
        match self.consumer {
            Consumer::Absent => {
                self.consumer = Consumer::Present;
                Wake::Absent
            }
            // Without a waker it has not looked yet, and will.
            Consumer::Present => self.waker.clone().map_or(Wake::None, Wake::Parked),
            Consumer::Held => Wake::None,
        }
    }
}
