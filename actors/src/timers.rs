//! Timers: one service per system. It holds deadlines only; what a timer carries stays with its cell.

use crate::sync_plain::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Names one timer of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId(pub u64);

/// How many timers one agent may have at once.
pub const TIMERS_PER_AGENT_MAX: usize = 1024;

/// Who is told when a timer fires.
pub(crate) trait TimerTarget: Send + Sync {
    fn fired(&self, id: TimerId);
}

type Key = (Instant, u64);

struct Due {
    target: Weak<dyn TimerTarget>,
    id: TimerId,
}

/// Deadlines in order. Bounded by the agents' own bounds: each entry belongs to a timer of a living agent, and goes with it.
pub(crate) struct Timers {
    queue: Mutex<BTreeMap<Key, Due>>,
    earlier: Notify,
}

impl Timers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(BTreeMap::new()),
            earlier: Notify::new(),
        })
    }

    /// `id` is unique in the system and becomes part of the key, so that it can be cancelled by deadline and id.
    pub(crate) fn arm(&self, at: Instant, id: TimerId, target: Weak<dyn TimerTarget>) {
        let mut queue = self.queue.lock();
        let is_first = queue
            .first_key_value()
            .is_none_or(|((first, _), _)| at < *first);
        queue.insert((at, id.0), Due { target, id });
        drop(queue);
        if is_first {
            self.earlier.notify_one();
        }
    }

    pub(crate) fn disarm(&self, at: Instant, id: TimerId) {
        self.queue.lock().remove(&(at, id.0));
    }

    /// Fires what is due, for ever. Cancelled by dropping.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let (due, next) = self.take_due(Instant::now());
            for due in due {
                if let Some(target) = due.target.upgrade() {
                    target.fired(due.id);
                }
            }
            match next {
                None => self.earlier.notified().await,
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => {}
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }

    fn take_due(&self, now: Instant) -> (Vec<Due>, Option<Instant>) {
        let mut queue = self.queue.lock();
        let mut due = Vec::new();
        while let Some(entry) = queue.first_entry() {
            if entry.key().0 > now {
                let next = entry.key().0;
                return (due, Some(next));
            }
            due.push(entry.remove());
        }
        (due, None)
    }
}

/// A timer as its cell keeps it.
pub(crate) struct Armed<M> {
    pub(crate) at: Instant,
    pub(crate) what: Scheduled<M>,
}

/// What a timer brings.
pub(crate) enum Scheduled<M> {
    Once(M),
    /// The maker is out while it runs.
    Every(Duration, Option<Maker<M>>),
}

/// What makes the messages of a repeated timer.
pub(crate) type Maker<M> = Box<dyn FnMut() -> M + Send>;
