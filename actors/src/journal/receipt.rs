//! The answer to a write, which comes later.

use super::{AppendError, JournalError};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A future of a write's answer. Dropping it does not undo the write.
#[must_use = "whether it was written is known only from the answer"]
pub struct Receipt<T, E>(State<T, E>);

enum State<T, E> {
    Waiting(oneshot::Receiver<Result<T, E>>),
    Ready(Option<Result<T, E>>),
}

/// The side that answers. Dropped without an answer, the receipt ends with [`JournalError::Unknown`].
pub struct Answer<T, E>(oneshot::Sender<Result<T, E>>);

impl<T, E> Receipt<T, E> {
    /// A receipt and what answers it.
    pub fn pair() -> (Answer<T, E>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Answer(sender), Self(State::Waiting(receiver)))
    }

    /// One that is answered already.
    pub fn ready(answer: Result<T, E>) -> Self {
        Self(State::Ready(Some(answer)))
    }
}

impl<T, E> Answer<T, E> {
    /// Answers. Whether anybody still waits makes no difference.
    pub fn send(self, answer: Result<T, E>) {
        drop(self.0.send(answer));
    }
}

impl<T, E: From<JournalError>> Receipt<T, E> {
    /// Waits on this thread. Not for use inside an async task.
    ///
    /// # Errors
    /// The write's own.
    pub fn wait(self) -> Result<T, E> {
        match self.0 {
            State::Waiting(receiver) => receiver
                .blocking_recv()
                .unwrap_or_else(|_| Err(JournalError::Unknown.into())),
            State::Ready(answer) => answer.unwrap_or_else(|| Err(JournalError::Unknown.into())),
        }
    }
}

impl<T: Unpin, E: From<JournalError> + Unpin> Future for Receipt<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(cx)
                .map(|answer| answer.unwrap_or_else(|_| Err(JournalError::Unknown.into()))),
            State::Ready(answer) => Poll::Ready(
                answer
                    .take()
                    .unwrap_or_else(|| Err(JournalError::Unknown.into())),
            ),
        }
    }
}

impl<T> From<AppendError> for Receipt<T, AppendError> {
    fn from(error: AppendError) -> Self {
        Self::ready(Err(error))
    }
}
