//! Asking: a message with a place for its answer, and a wait that ends as soon as there can be none.

use crate::sync_plain::{Mutex, MutexGuard};
use crate::system::System;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    /// The agent's node was lost, or cannot be reached. The outcome is unknown: the request may have been handled. Retry only what
    /// may be done twice.
    #[error("the agent's node cannot be reached; the request may have been handled")]
    Unreachable,
}

enum State<T> {
    Waiting(Option<Waker>),
    Answered(Result<T, AskError>),
    Taken,
    /// The asker is on another node: the answer goes there.
    Forward(Forward<T>),
}

type Forward<T> = Box<dyn FnOnce(Result<T, AskError>) + Send>;

pub(crate) struct Slot<T> {
    place: Mutex<Place<T>>,
    /// There is an answer, so that it no longer matters how many ports there are.
    is_settled: AtomicBool,
    /// How many could still answer: each [`ReplyTo`], [`Staged`] and [`AskHold`]. When the last goes without an answer, there
    /// will be none.
    ports: AtomicU32,
}

struct Place<T> {
    state: State<T>,
    /// The answer of a turn that is not committed yet.
    staged: Option<T>,
}

/// The asker's side as the cell sees it.
pub(crate) trait AskSlot: Send + Sync {
    /// Ends the wait without an answer, unless there is one.
    fn fail(&self, error: AskError);

    /// One of those that could have answered is gone.
    fn let_go(&self);

    /// The turn that staged an answer was committed.
    fn publish(&self);

    /// It was not.
    fn unstage(&self);

    /// Whether nobody waits any more.
    fn is_over(&self) -> bool;

    /// Where an ACL answer goes, if this asker waits for one.
    fn acl_port(&self) -> Option<ReplyTo<AclMessage>> {
        None
    }
}

/// The asker of an ACL message, as the letter carries it. While the letter lives the answer may still come.
pub(crate) struct AclAsker(pub(crate) ReplyTo<AclMessage>);

impl AskSlot for AclAsker {
    fn fail(&self, error: AskError) {
        if let Some(slot) = &self.0.0 {
            slot.fail(error);
        }
    }

    // Its port goes when it is dropped.
    fn let_go(&self) {}

    // Answers are staged with ports.
    fn publish(&self) {}

    fn unstage(&self) {}

    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    fn acl_port(&self) -> Option<ReplyTo<AclMessage>> {
        Some(self.0.clone())
    }
}

impl<T> Slot<T> {
    fn settle(&self, answer: Result<T, AskError>) {
        let place = self.place.lock();
        self.settle_in(place, answer);
    }

    /// Only the first answer counts. A later one is dropped without the lock, as it is the agent's own code.
    fn settle_in(&self, mut place: MutexGuard<'_, Place<T>>, answer: Result<T, AskError>) {
        match &mut place.state {
            State::Waiting(waker) => {
                let waker = waker.take();
                place.state = State::Answered(answer);
                self.is_settled.store(true, Ordering::Release);
                drop(place);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Forward(_) => {
                let forward = std::mem::replace(&mut place.state, State::Taken);
                self.is_settled.store(true, Ordering::Release);
                drop(place);
                if let State::Forward(forward) = forward {
                    forward(answer);
                }
            }
            State::Answered(_) | State::Taken => {
                drop(place);
                drop(answer);
            }
        }
    }

    fn port_goes(&self) {
        if !self.is_settled.load(Ordering::Acquire)
            && self.ports.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.settle(Err(AskError::NoReply));
        }
    }
}

impl<T: Send> AskSlot for Slot<T> {
    fn fail(&self, error: AskError) {
        self.settle(Err(error));
    }

    fn let_go(&self) {
        self.port_goes();
    }

    fn publish(&self) {
        let mut place = self.place.lock();
        if let Some(answer) = place.staged.take() {
            self.settle_in(place, Ok(answer));
        }
    }

    fn unstage(&self) {
        let staged = self.place.lock().staged.take();
        drop(staged);
    }

    fn is_over(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }
}

/// An answer that its turn has given and that becomes real when the turn is committed. Dropped before that, there was none.
pub(crate) struct Staged(Option<Arc<dyn AskSlot>>);

impl Staged {
    pub(crate) fn publish(mut self) {
        if let Some(slot) = self.0.take() {
            slot.publish();
            slot.let_go();
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.unstage();
            slot.let_go();
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
        Self::of(asker)
    }
}

impl AskHold {
    pub(crate) fn of(slot: impl AskSlot + 'static) -> Self {
        Self(Arc::new(slot))
    }

    /// One of several holds on a slot. Each lets go of it once.
    pub(crate) fn on(slot: Arc<dyn AskSlot>) -> Self {
        Self(slot)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl Drop for AskHold {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// Where the answer to an ask goes. Dropping the last one without an answer ends the ask with [`AskError::NoReply`].
pub struct ReplyTo<T>(
    // There until it is staged or dropped.
    Option<Arc<Slot<T>>>,
);

impl<T: Send + 'static> ReplyTo<T> {
    /// Answers at once. Inside a turn use [`Turn::reply`](crate::Turn::reply), which holds the answer back until the turn
    /// has ended well. Only the first answer counts.
    pub fn send(self, value: T) {
        if let Some(slot) = &self.0 {
            slot.settle(Ok(value));
        }
    }

    /// A place whose answer goes to `forward`, for an asker on another node; and the runtime's hold on it.
    pub(crate) fn forwarding(
        forward: impl FnOnce(Result<T, AskError>) + Send + 'static,
    ) -> (Self, AskHold) {
        let slot = Slot::with_ports(2);
        slot.place.lock().state = State::Forward(Box::new(forward));
        let slot = Arc::new(slot);
        (Self(Some(slot.clone())), AskHold(slot))
    }

    pub(crate) fn fail(&self, error: AskError) {
        if let Some(slot) = &self.0 {
            slot.settle(Err(error));
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|slot| AskSlot::is_over(&**slot))
    }

    /// Lays the answer beside the place where it will count, so that the commit has nothing to allocate or to copy. Handed
    /// back where another turn's answer lies there already.
    pub(crate) fn stage(mut self, value: T) -> Result<Staged, (Self, T)> {
        let Some(slot) = self.0.take() else {
            return Ok(Staged(None));
        };
        let mut place = slot.place.lock();
        if place.staged.is_some() {
            drop(place);
            self.0 = Some(slot);
            return Err((self, value));
        }
        place.staged = Some(value);
        drop(place);
        Ok(Staged(Some(slot)))
    }
}

impl<T> Clone for ReplyTo<T> {
    fn clone(&self) -> Self {
        if let Some(slot) = &self.0 {
            slot.ports.fetch_add(1, Ordering::Relaxed);
        }
        Self(self.0.clone())
    }
}

impl<T> Drop for ReplyTo<T> {
    fn drop(&mut self) {
        if let Some(slot) = &self.0 {
            slot.port_goes();
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

/// A port for the message, the answer for the asker.
pub(crate) fn ask_pair<T>() -> (ReplyTo<T>, Answer<T>) {
    let slot = Arc::new(Slot::with_ports(1));
    (ReplyTo(Some(slot.clone())), Answer(slot))
}

/// The same with the hold for the letter.
pub(crate) fn held_ask_pair<T: Send + 'static>() -> (ReplyTo<T>, AskHold, Answer<T>) {
    let slot = Arc::new(Slot::with_ports(2));
    let hold = AskHold(slot.clone());
    (ReplyTo(Some(slot.clone())), hold, Answer(slot))
}

impl<T> Slot<T> {
    fn with_ports(ports: u32) -> Self {
        Self {
            place: Mutex::new(Place {
                state: State::Waiting(None),
                staged: None,
            }),
            is_settled: AtomicBool::new(false),
            ports: AtomicU32::new(ports),
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut place = self.0.place.lock();
        match &mut place.state {
            State::Waiting(waker) => {
                match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Answered(_) => match std::mem::replace(&mut place.state, State::Taken) {
                State::Answered(answer) => Poll::Ready(answer),
                State::Waiting(_) | State::Taken | State::Forward(_) => {
                    unreachable!("just seen to be answered")
                }
            },
            State::Taken | State::Forward(_) => Poll::Ready(Err(AskError::NoReply)),
        }
    }
}

impl<T> Drop for Answer<T> {
    /// Who no longer waits is no longer answered.
    fn drop(&mut self) {
        if !self.0.is_settled.load(Ordering::Acquire) {
            let mut place = self.0.place.lock();
            let before = std::mem::replace(&mut place.state, State::Taken);
            self.0.is_settled.store(true, Ordering::Release);
            drop(place);
            // An answer that has just come is the answerer's own code when it is dropped.
            drop(before);
        }
    }
}

impl<T> Answer<T> {
    /// Waits for the answer, at most `within`.
    pub(crate) async fn within(mut self, system: &System, within: Duration) -> Result<T, AskError> {
        let mut alarm = None;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut self).poll(cx) {
                return Poll::Ready(answer);
            }
            // Most answers come before an alarm would be worth setting, but this asker sleeps from here on.
            let alarm = alarm.get_or_insert_with(|| system.alarm(within));
            alarm.poll(cx).map(|()| Err(AskError::Timeout { within }))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn now<T>(answer: Answer<T>) -> Option<Result<T, AskError>> {
        answer.now_or_never()
    }

    #[test]
    fn a_staged_answer_counts_from_its_publication_on() {
        let (port, hold, mut answer) = held_ask_pair();
        let staged = port
            .stage(7)
            .unwrap_or_else(|_| panic!("the place is free"));
        assert_eq!((&mut answer).now_or_never(), None);
        staged.publish();
        drop(hold);
        assert_eq!(now(answer), Some(Ok(7)));
    }

    #[test]
    fn a_staged_answer_that_is_dropped_was_none() {
        let (port, hold, answer) = held_ask_pair();
        drop(port.stage(7).ok());
        hold.fail(AskError::Crashed(ExitReason::Killed));
        assert_eq!(
            now(answer),
            Some(Err(AskError::Crashed(ExitReason::Killed))),
            "the crash, and not a missing reply"
        );
        let (port, answer) = ask_pair();
        drop(port.stage(7).ok());
        assert_eq!(now(answer), Some(Err(AskError::NoReply)));
    }

    #[test]
    fn the_first_answer_that_becomes_real_counts() {
        let (port, answer) = ask_pair();
        let staged = port
            .clone()
            .stage(1)
            .unwrap_or_else(|_| panic!("the place is free"));
        let (port, value) = port.stage(2).err().expect("another lies there");
        port.send(value);
        staged.publish();
        assert_eq!(now(answer), Some(Ok(2)));
    }

    #[test]
    fn a_port_that_goes_after_the_answer_changes_nothing() {
        let (port, answer) = ask_pair();
        let other = port.clone();
        port.send(3);
        drop(other);
        assert_eq!(now(answer), Some(Ok(3)));
    }
}
