//! The event stream: what happens in a system, as typed events with a bounded history.

use crate::sync_plain::Mutex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Incarnation, Name, Path};
use tokio::sync::broadcast;

/// How many events are kept for who asks later; the oldest go first.
pub const EVENT_HISTORY_DEFAULT: usize = 4096;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its number; the first is 1, and there are no gaps.
    pub seq: u64,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// To whom: a place in the tree, where it has one.
    pub path: Option<Path>,
    /// Which life of it.
    pub incarnation: Option<Incarnation>,
    /// What.
    pub what: What,
}

/// What kinds of things happen. Names are stable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    // Life cycle.
    /// An actor has begun a life.
    Started,
    /// An actor's start failed.
    StartFailed {
        /// Why.
        reason: ExitReason,
    },
    /// A life has ended.
    Exited {
        /// Why.
        reason: ExitReason,
    },
    /// A supervisor gave up: more restarts than its intensity allows.
    Escalated {
        /// What it gave up with.
        reason: ExitReason,
    },
    /// A root supervisor ended; the node lives on.
    TreeFailed {
        /// Why.
        reason: ExitReason,
    },
    /// An agent was paused.
    Paused,
    /// A paused agent goes on.
    Resumed,
    /// A turn holds its worker beyond the deadline without ever yielding.
    Stuck {
        /// For how long it was seen to, in milliseconds.
        for_ms: u64,
    },
    // Communication.
    /// A message could not be delivered, or its turn failed for good.
    DeadLetter {
        /// Its number in the dead-letter store.
        id: u64,
        /// Why, as one word.
        reason: Cow<'static, str>,
    },
    /// A mailbox reached its bound. Told once until it was half empty again.
    MailboxFull {
        /// The bound.
        capacity: u32,
    },
    /// An agent joined a group.
    Joined {
        /// Which.
        group: Name,
    },
    /// An agent left a group.
    Left {
        /// Which.
        group: Name,
    },
    // Performance.
    /// A turn took longer than the deadline and was cut off.
    TurnCut {
        /// The deadline, in milliseconds.
        deadline_ms: u64,
    },
    /// An agent went to sleep: its shell is gone until the next message.
    Asleep,
    /// Something that a program embedding Swarm wants to tell.
    Custom {
        /// Its name.
        name: String,
        /// What it says.
        detail: String,
    },
}

impl What {
    /// The kind's name, as it stands in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::StartFailed { .. } => "start-failed",
            Self::Exited { .. } => "exited",
            Self::Escalated { .. } => "escalated",
            Self::TreeFailed { .. } => "tree-failed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Stuck { .. } => "stuck",
            Self::DeadLetter { .. } => "dead-letter",
            Self::MailboxFull { .. } => "mailbox-full",
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::TurnCut { .. } => "turn-cut",
            Self::Asleep => "asleep",
            Self::Custom { .. } => "custom",
        }
    }

    /// Which of the three classes it belongs to: `life-cycle`, `communication` or `performance`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Started
            | Self::StartFailed { .. }
            | Self::Exited { .. }
            | Self::Escalated { .. }
            | Self::TreeFailed { .. }
            | Self::Paused
            | Self::Resumed
            | Self::Custom { .. } => "life-cycle",
            Self::DeadLetter { .. } | Self::Joined { .. } | Self::Left { .. } => "communication",
            Self::MailboxFull { .. } | Self::Stuck { .. } | Self::TurnCut { .. } | Self::Asleep => {
                "performance"
            }
        }
    }
}

struct History {
    ring: VecDeque<Arc<Event>>,
    capacity: usize,
    next: u64,
}

/// The stream of a system's events.
pub struct EventStream {
    history: Mutex<History>,
    live: broadcast::Sender<Arc<Event>>,
}

impl EventStream {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            history: Mutex::new(History {
                ring: VecDeque::new(),
                capacity,
                next: 1,
            }),
            live: broadcast::channel(1024).0,
        }
    }

    pub(crate) fn publish(
        &self,
        at_ms: u64,
        path: Option<Path>,
        incarnation: Option<Incarnation>,
        what: What,
    ) {
        let mut history = self.history.lock();
        let event = Arc::new(Event {
            seq: history.next,
            at_ms,
            path,
            incarnation,
            what,
        });
        history.next += 1;
        if history.ring.len() == history.capacity {
            history.ring.pop_front();
        }
        history.ring.push_back(event.clone());
        // Under the lock, so that subscribers see the order of the numbers. Sending neither blocks nor waits; a slow
        // subscriber loses the oldest and is told how many.
        if self.live.receiver_count() > 0 {
            let _ = self.live.send(event);
        }
    }

    /// The kept events with a number above `seq`, oldest first, at most `limit`.
    #[must_use]
    pub fn since(&self, seq: u64, limit: usize) -> Vec<Arc<Event>> {
        let history = self.history.lock();
        let first = history.ring.front().map_or(history.next, |e| e.seq);
        let skip =
            usize::try_from(seq.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        history
            .ring
            .iter()
            .skip(skip)
            .take(limit)
            .cloned()
            .collect()
    }

    /// The latest `count` events, oldest first.
    #[must_use]
    pub fn latest(&self, count: usize) -> Vec<Arc<Event>> {
        let history = self.history.lock();
        let skip = history.ring.len().saturating_sub(count);
        history.ring.iter().skip(skip).cloned().collect()
    }

    /// The number of the newest event; 0 when there was none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.history.lock().next - 1
    }

    /// Follows the stream from now on. A receiver that falls more than 1024 events behind is told so by
    /// `RecvError::Lagged`, and can read what it missed with [`EventStream::since`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_bounded_and_numbered_without_gaps() {
        let stream = EventStream::new(3);
        for _ in 0..5 {
            stream.publish(0, None, None, What::Started);
        }
        let seqs = |events: Vec<Arc<Event>>| events.iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(stream.since(0, 10)), vec![3, 4, 5]);
        assert_eq!(seqs(stream.since(3, 1)), vec![4]);
        assert_eq!(seqs(stream.since(5, 10)), Vec::<u64>::new());
        assert_eq!(seqs(stream.latest(2)), vec![4, 5]);
        assert_eq!(stream.last_seq(), 5);
    }
}
