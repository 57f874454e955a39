//! Asking: a message with a place for its answer, and a wait that ends as soon as there can be none.

use crate::alarms::Alarms;
use crate::sync_plain::Mutex;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason};

/// Why an ask has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AskError {
    /// The time is up. The outcome is unknown: the request may still be handled. Retry only what may be done twice.
    #[error("no answer within {within:?}; the request may still be handled")]
    Timeout {
        /// How long the asker waited.
        within: Duration,
    },
    /// The agent has ended, or there is none. Nothing was handled.
    #[error("there is no such agent any more")]
    NoProc,
    /// The life that handled the request ended in that turn; its effects were discarded. Retrying reaches the next life.
    #[error("the agent ended while it handled the request: {0}")]
    Crashed(ExitReason),
    /// The agent let go of the request without answering it.
    #[error("the agent did not answer")]
    NoReply,
    /// The agent takes no messages now: it is stopped or being drained. Nothing was handled.
    #[error("the agent takes no messages now")]
    Refused,
    /// The mailbox had no room. Nothing was handled; retry later.
    #[error("the agent's mailbox is full")]
    Full,
    /// An agent cannot wait for itself.
    #[error("an agent cannot ask itself")]
    ToSelf,
}

enum State<T> {
    Waiting(Option<Waker>),
    Answered(Result<T, AskError>),
    Taken,
}

pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    /// How many [`ReplyTo`] there are. When the last goes without an answer, there will be none.
    ports: AtomicU32,
}

/// The asker's side as the cell sees it.
pub(crate) trait AskSlot: Send + Sync {
    /// Ends the wait without an answer, unless there is one.
    fn fail(&self, error: AskError);

    /// One of those that could have answered is gone.
    fn let_go(&self);

    /// Where an ACL answer goes, if this asker waits for one.
    fn acl_port(&self) -> Option<ReplyTo<AclMessage>> {
        None
    }
}

/// The asker of an ACL message, as the letter carries it. While the letter lives the answer may still come.
pub(crate) struct AclAsker(pub(crate) ReplyTo<AclMessage>);

impl AskSlot for AclAsker {
    fn fail(&self, error: AskError) {
        self.0.0.fail(error);
    }

    // Its port goes when it is dropped.
    fn let_go(&self) {}

    fn acl_port(&self) -> Option<ReplyTo<AclMessage>> {
        Some(self.0.clone())
    }
}

impl<T> Slot<T> {
    fn settle(&self, answer: Result<T, AskError>) {
        let mut state = self.state.lock();
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Answered(answer);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T: Send> AskSlot for Slot<T> {
    fn fail(&self, error: AskError) {
        self.settle(Err(error));
    }

    fn let_go(&self) {
        if self.ports.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settle(Err(AskError::NoReply));
        }
    }
}

/// The runtime's own hold on an ask, in the letter and then with the turn. While it lasts, a port that the behaviour drops
/// (by panicking, say) is not yet the last one, so that the asker learns of the crash and not of a missing reply.
pub(crate) struct AskHold(Arc<dyn AskSlot>);

impl AskHold {
    pub(crate) fn fail(&self, error: AskError) {
        self.0.fail(error);
    }

    pub(crate) fn acl_port(&self) -> Option<ReplyTo<AclMessage>> {
        self.0.acl_port()
    }
}

impl From<AclAsker> for AskHold {
    fn from(asker: AclAsker) -> Self {
        Self(Arc::new(asker))
    }
}

impl Drop for AskHold {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// Where the answer to an ask goes. Dropping the last one without an answer ends the ask with [`AskError::NoReply`].
pub struct ReplyTo<T>(Arc<Slot<T>>);

impl<T: Send + 'static> ReplyTo<T> {
    /// Answers at once. Inside a turn use [`Turn::reply`](crate::Turn::reply), which holds the answer back until the turn
    /// has ended well. Only the first answer counts.
    pub fn send(self, value: T) {
        self.0.settle(Ok(value));
    }

    pub(crate) fn hold(&self) -> AskHold {
        self.0.ports.fetch_add(1, Ordering::Relaxed);
        AskHold(self.0.clone())
    }
}

impl<T> Clone for ReplyTo<T> {
    fn clone(&self) -> Self {
        self.0.ports.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for ReplyTo<T> {
    fn drop(&mut self) {
        if self.0.ports.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.settle(Err(AskError::NoReply));
        }
    }
}

impl<T> std::fmt::Debug for ReplyTo<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// The asker's side: a future of the answer.
pub(crate) struct Answer<T>(Arc<Slot<T>>);

pub(crate) fn ask_pair<T>() -> (ReplyTo<T>, Answer<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(State::Waiting(None)),
        ports: AtomicU32::new(1),
    });
    (ReplyTo(slot.clone()), Answer(slot))
}

impl<T> Future for Answer<T> {
    type Output = Result<T, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock();
        match &mut *state {
            State::Waiting(waker) => {
                match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Answered(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Answered(answer) => Poll::Ready(answer),
                State::Waiting(_) | State::Taken => unreachable!("just seen to be answered"),
            },
            State::Taken => Poll::Ready(Err(AskError::NoReply)),
        }
    }
}

impl<T> Answer<T> {
    /// Waits for the answer, at most `within`.
    pub(crate) async fn within(mut self, alarms: &Alarms, within: Duration) -> Result<T, AskError> {
        let mut alarm = None;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut self).poll(cx) {
                return Poll::Ready(answer);
            }
            // Most answers come before an alarm would be worth setting, but this asker sleeps from here on.
            let alarm = alarm.get_or_insert_with(|| alarms.set(within));
            alarm.poll(cx).map(|()| Err(AskError::Timeout { within }))
        })
        .await
    }
}
