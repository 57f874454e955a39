//! The window of a peer as those see it who handle its messages: what they let go of makes room for more.
//!
//! Every message ends here once, on whatever thread its turn ended, so this takes neither the link's lock nor wakes its driver for each:
//! what was released is noted in a ledger of its own, which the driver reads when it writes next.

use super::links::LaneState;
use crate::identity::BootId;
use crate::link::{Limits, MESSAGE_OVERHEAD, Message};
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;
use swarm_protocols::Address;

/// Which part of a bound is worth a frame of its own at once.
const MUCH: u32 = 8;

/// The epoch of a link in which something arrived ([`Link::epoch`](crate::link::Link::epoch)).
pub(super) type Epoch = (BootId, u32, u32);

/// Counts messages that arrived together against the window of the peer that sent them.
pub struct Window {
    lane: Arc<LaneState>,
    epoch: Epoch,
}

impl Window {
    pub(super) fn new(lane: Arc<LaneState>, epoch: Epoch) -> Arc<Self> {
        Arc::new(Self { lane, epoch })
    }

    /// A message with a body of `bytes` bytes is held no longer: `receiver` has handled it, or nobody ever will. To be called once for
    /// each message.
    pub fn release(&self, receiver: Address, bytes: usize) {
        let held = Held {
            epoch: self.epoch,
            receiver,
        };
        let weight = u32::try_from(bytes + MESSAGE_OVERHEAD).unwrap_or(u32::MAX);
        let wakes = self.lane.released.lock().note(held, weight);
        if wakes {
            self.lane.changed.notify_one();
        }
    }
}

/// Keeps a message in its sender's window until it is dropped: hold it until the receiver has the message, or nobody will.
pub struct Hold {
    window: Arc<Window>,
    receiver: Address,
    bytes: usize,
}

impl Hold {
    pub(super) fn new(window: Arc<Window>, message: &Message) -> Self {
        Self {
            window,
            receiver: message.receiver,
            bytes: message.body.len(),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.window.release(self.receiver, self.bytes);
    }
}

/// Whose messages they were that were released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) epoch: Epoch,
    pub(super) receiver: Address,
}

/// How many messages, and what they weighed.
type Sum = (u32, u32);

/// From where on it is worth a frame of its own at once, for one receiver.
struct Much(Sum);

impl Much {
    fn is_reached(&self, (messages, weight): Sum) -> bool {
        messages >= self.0.0 || weight >= self.0.1
    }
}

/// What was released since the driver looked last. No more entries than messages were held.
pub(super) struct Ledger {
    much: Much,
    much_in_all: usize,
    /// The receiver that let go of something last: mostly the next one as well.
    last: Option<(Held, Sum)>,
    others: BTreeMap<Held, Sum>,
    bytes: usize,
    /// The driver has been woken, and has not looked yet.
    is_told: bool,
    /// The driver looks by itself in a moment; only much is worth waking it.
    pub(super) is_timed: bool,
}

impl Ledger {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            much: Much((
                limits.receiver_messages / MUCH,
                limits.receiver_bytes / MUCH,
            )),
            much_in_all: (limits.link_bytes / MUCH) as usize,
            last: None,
            others: BTreeMap::new(),
            bytes: 0,
            is_told: false,
            is_timed: false,
        }
    }

    /// Notes one message. Whether the driver is to be woken.
    fn note(&mut self, held: Held, weight: u32) -> bool {
        self.bytes = self.bytes.saturating_add(weight as usize);
        let mut is_much = self.bytes >= self.much_in_all;
        match &mut self.last {
            Some((last, sum)) if *last == held => {
                add(sum, (1, weight));
                is_much |= self.much.is_reached(*sum);
            }
            last => {
                is_much |= self.much.is_reached((1, weight));
                if let Some((held, sum)) = last.replace((held, (1, weight))) {
                    let entry = self.others.entry(held).or_default();
                    add(entry, sum);
                    is_much |= self.much.is_reached(*entry);
                }
            }
        }
        if self.is_told || (self.is_timed && !is_much) {
            return false;
        }
        self.is_told = true;
        true
    }

    /// All of it, which is no longer here then.
    pub(super) fn take(&mut self) -> Taken {
        self.bytes = 0;
        self.is_told = false;
        let last = self.last.take();
        std::mem::take(&mut self.others).into_iter().chain(last)
    }
}

pub(super) type Taken =
    std::iter::Chain<btree_map::IntoIter<Held, Sum>, std::option::IntoIter<(Held, Sum)>>;

fn add(to: &mut Sum, (messages, weight): Sum) {
    to.0 = to.0.saturating_add(messages);
    to.1 = to.1.saturating_add(weight);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        link_bytes: 80_000,
        receiver_bytes: 8_000,
        receiver_messages: 80,
        flight_bytes: 1000,
    };

    fn held(receiver: u128) -> Held {
        Held {
            epoch: (BootId(1), 1, 1),
            receiver: Address(receiver),
        }
    }

    #[test]
    fn the_driver_is_woken_for_the_first_release_and_then_for_much() {
        let mut ledger = Ledger::new(&LIMITS);
        assert!(ledger.note(held(1), 10));
        assert!(!ledger.note(held(1), 10), "it has been told");
        assert_eq!(ledger.take().collect::<Vec<_>>(), [(held(1), (2, 20))]);
        ledger.is_timed = true;
        for _ in 0..9 {
            assert!(!ledger.note(held(1), 10), "it looks by itself");
        }
        assert!(ledger.note(held(1), 10), "ten messages are much");
        assert_eq!(ledger.take().count(), 1);
        assert!(ledger.note(held(1), 1000), "and so are a thousand bytes");
    }

    #[test]
    fn nothing_of_what_several_receivers_release_is_left_out() {
        let mut ledger = Ledger::new(&LIMITS);
        ledger.is_timed = true;
        let mut wakes = 0;
        for n in 0..30 {
            wakes += usize::from(ledger.note(held(n % 3), 10));
        }
        assert!(wakes <= 1);
        let taken: Vec<_> = ledger.take().collect();
        let messages: u32 = taken.iter().map(|(_, (messages, _))| messages).sum();
        let bytes: u32 = taken.iter().map(|(_, (_, bytes))| bytes).sum();
        assert_eq!((messages, bytes), (30, 300));
        assert_eq!(ledger.take().count(), 0);
    }

    #[test]
    fn much_is_noticed_whoever_else_releases_in_between() {
        let mut ledger = Ledger::new(&LIMITS);
        ledger.is_timed = true;
        let woken = (0..100).position(|n| ledger.note(held(n % 2), 10));
        assert!(woken.is_some_and(|n| n < 30), "{woken:?}");
    }
}
