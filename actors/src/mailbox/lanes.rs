//! Lanes: one queue per priority, and which of them is served next.

use super::Posted;
use std::collections::VecDeque;
use std::mem;
use swarm_protocols::Priority;

/// Of how many turns low-priority mail gets at least one.
const LOW_SHARE: u8 = 16;

/// Four queues, the three unusual ones only there once they are used.
pub(crate) struct Lanes<T> {
    normal: VecDeque<T>,
    others: Option<Box<Others<T>>>,
}

struct Others<T> {
    critical: VecDeque<T>,
    high: VecDeque<T>,
    low: VecDeque<T>,
    turns_since_low: u8,
}

impl<T> Others<T> {
    fn len(&self) -> usize {
        self.critical.len() + self.high.len() + self.low.len()
    }
}

impl<T> Lanes<T> {
    pub(crate) const fn new() -> Self {
        Self {
            normal: VecDeque::new(),
            others: None,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.len());
        self.normal.len() + others
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
        self.lane(priority).push_back(item);
    }

    pub(crate) fn push_front(&mut self, priority: Priority, item: T) {
        self.lane(priority).push_front(item);
    }

    /// Takes what is to be handled next: by priority, but low gets one of [`LOW_SHARE`].
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.others.is_none() {
            return self.normal.pop_front();
        }
        self.pop_by_priority()
    }

    #[inline(never)]
    fn pop_by_priority(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let others = self.others.as_mut()?;
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

    /// Appends all of `from`, lane by lane.
    pub(super) fn append(&mut self, from: &mut Lanes<T>) {
        if self.normal.is_empty() && self.others.is_none() && from.others.is_none() {
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
    }

    /// Takes the oldest counted item of the lowest priority.
    pub(super) fn drop_oldest(&mut self) -> Option<T>
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
        let mut all = Vec::with_capacity(self.len());
        while let Some(item) = self.pop() {
            all.push(item);
        }
        all
    }

    /// Gives memory back that a burst has left behind.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            self.normal = VecDeque::new();
            self.others = None;
        }
    }
}
