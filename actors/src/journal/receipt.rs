//! The answer to a write, which comes later.

use super::{AppendError, JournalError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
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

impl<T: Unpin, E: From<JournalError> + Unpin> Receipt<T, E> {
    /// Waits on this thread. Inside an async task it holds the worker that long; await it there instead.
    ///
    /// # Errors
    /// The write's own.
    pub fn wait(mut self) -> Result<T, E> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park(),
            }
        }
    }
}

/// Wakes a thread that waits. (tokio's own way of waiting panics where a runtime runs.)
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_works_within_a_runtime_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let (answer, receipt) = Receipt::<u8, AppendError>::pair();
            let answering = thread::spawn(move || answer.send(Ok(7)));
            assert_eq!(receipt.wait().expect("an answer"), 7);
            answering.join().expect("no panic");
            let (answer, receipt) = Receipt::<u8, AppendError>::pair();
            drop(answer);
            assert!(
                receipt.wait().is_err(),
                "who is never answered does not wait for ever"
            );
        });
    }
}
