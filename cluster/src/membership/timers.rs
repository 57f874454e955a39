//! What is due when. The core keeps its own timers and tells only the earliest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Timers in order of time, and of arming within one instant. A timer is never cancelled: whoever it reaches checks whether it still means something.
///
/// Bounded by what arms them: a fixed number of periodic ones, one for each member that is down, and one for each change of a suspicion.
#[derive(Debug)]
pub(super) struct Timers<T> {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    due: BTreeMap<u64, T>,
    counter: u64,
}

impl<T> Timers<T> {
    pub(super) fn new() -> Self {
        Self {
            order: BinaryHeap::new(),
            due: BTreeMap::new(),
            counter: 0,
        }
    }

    pub(super) fn arm(&mut self, at: Duration, what: T) {
        self.counter += 1;
        self.order.push(Reverse((at, self.counter)));
        self.due.insert(self.counter, what);
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    /// The earliest timer, if it is due at `now`, with the time it was armed for.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Duration, T)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((at, id)) = self.order.pop()?;
        self.due.remove(&id).map(|what| (at, what))
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_of_time_and_then_of_arming() {
        let mut timers = Timers::new();
        let second = Duration::from_secs(1);
        timers.arm(second * 2, 'c');
        timers.arm(second, 'a');
        timers.arm(second, 'b');
        assert_eq!(timers.next(), Some(second));
        assert_eq!(timers.pop(Duration::ZERO), None);
        let order: Vec<_> =
            std::iter::from_fn(|| timers.pop(second * 9).map(|(_, what)| what)).collect();
        assert_eq!(order, ['a', 'b', 'c']);
        assert_eq!(timers.len(), 0);
    }
}
