//! Waits for a future where a thread may block: replay and snapshots, beside the agents.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks until the future is ready: for what is done beside the agents, on a thread that may block. A future that is ready at
/// once, as those of deciders are, costs a poll. One that needs a runtime to make progress must not be waited for on its only
/// thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    if let Poll::Ready(value) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        return value;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[test]
    fn a_future_that_yields_is_polled_until_it_is_ready() {
        let mut left = 3;
        let value = wait(poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(7);
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        assert_eq!(value, 7);
    }
}
