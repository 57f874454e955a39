//! Letters from other nodes whose receiver has no room. Whatever comes for that receiver next waits behind them, so that order is
//! kept; their senders' windows bound how many there are.

use crate::sync_plain::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use swarm_protocols::{Address, Name};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub(super) type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Delivers something; what has to wait goes on in what it gives.
type Delivery = Box<dyn FnOnce() -> Option<Waiting> + Send>;

/// What waits, by receiver.
#[derive(Clone, Default)]
pub(super) struct Parking(Arc<Parked>);

#[derive(Default)]
struct Parked {
    queues: Mutex<BTreeMap<Address, Queue>>,
    /// Whether there are any. What one node sends is delivered by one task, so that it sees a queue that it has begun; and that is there
    /// until all in it was delivered.
    is_any: AtomicBool,
}

struct Queue {
    /// The one that waits for room, and the node that it is from. Shared with the task that polls it.
    head: Head,
    rest: VecDeque<(Name, Delivery)>,
    task: Option<JoinHandle<()>>,
}

type Head = Arc<Mutex<Option<(Name, Waiting)>>>;

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Parking {
    /// Whether something waits for room at that receiver.
    pub(super) fn is_waited_for(&self, receiver: Address) -> bool {
        self.0.is_any.load(Ordering::Acquire) && self.0.queues.lock().contains_key(&receiver)
    }

    /// Delivers now, or behind what waits for that receiver already.
    pub(super) fn deliver(
        &self,
        runtime: &Handle,
        from: &Name,
        receiver: Address,
        delivery: impl FnOnce() -> Option<Waiting> + Send + 'static,
    ) {
        {
            let mut queues = self.0.queues.lock();
            if let Some(queue) = queues.get_mut(&receiver) {
                queue.rest.push_back((from.clone(), Box::new(delivery)));
                return;
            }
        }
        let Some(waiting) = delivery() else { return };
        let head: Head = Arc::new(Mutex::new(Some((from.clone(), waiting))));
        let mut queues = self.0.queues.lock();
        self.0.is_any.store(true, Ordering::Release);
        let queue = queues.entry(receiver).or_insert_with(|| Queue {
            head: head.clone(),
            rest: VecDeque::new(),
            task: None,
        });
        if queue.task.is_some() {
            // Another node's letter began to wait meanwhile: this one waits behind it.
            let taken = head.lock().take();
            if let Some((from, waiting)) = taken {
                queue
                    .rest
                    .push_back((from, Box::new(move || Some(waiting))));
            }
            return;
        }
        queue.task = Some(runtime.spawn(run(self.clone(), receiver, head)));
    }

    /// Drops all that is from a node.
    pub(super) fn forget(&self, node: &Name) {
        let mut dropped = Vec::new();
        let mut waiting = Vec::new();
        {
            let mut queues = self.0.queues.lock();
            for queue in queues.values_mut() {
                let (theirs, others): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut queue.rest)
                    .into_iter()
                    .partition(|(from, _)| from == node);
                queue.rest = others;
                dropped.extend(theirs);
                let mut head = queue.head.lock();
                if head.as_ref().is_some_and(|(from, _)| from == node) {
                    waiting.extend(head.take());
                }
            }
        }
        // Letters go to the dead ones here, without any lock.
        drop((dropped, waiting));
    }

    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.0.queues.lock());
        drop(all);
    }

    /// The next one to deliver; with none the queue is gone.
    fn next(&self, receiver: Address) -> Option<(Name, Delivery)> {
        let mut queues = self.0.queues.lock();
        let next = queues.get_mut(&receiver)?.rest.pop_front();
        if next.is_none()
            && let Some(mut queue) = queues.remove(&receiver)
        {
            // The task ends by itself.
            queue.task = None;
            self.0.is_any.store(!queues.is_empty(), Ordering::Release);
        }
        next
    }
}

async fn run(parking: Parking, receiver: Address, head: Head) {
    loop {
        poll_fn(|cx| {
            let mut slot = head.lock();
            match slot.as_mut() {
                // Delivered, or dropped with its node.
                None => Poll::Ready(()),
                Some((_, waiting)) => waiting.as_mut().poll(cx).map(|()| *slot = None),
            }
        })
        .await;
        loop {
            let Some((from, delivery)) = parking.next(receiver) else {
                return;
            };
            if let Some(waiting) = delivery() {
                *head.lock() = Some((from, waiting));
                break;
            }
        }
    }
}
