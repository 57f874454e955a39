//! Delivering what a cell has committed and could not deliver at once.

use crate::agent::Agent;
use crate::cell::Cell;
use crate::dead_letters::DeathCause;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Delivers what the outgoing queue holds, waiting for room at the receivers, each at most the system's send limit.
/// Control flags but those `ignored` interrupt it. True when all is delivered.
pub(crate) async fn flush<A: Agent>(cell: &Arc<Cell<A>>, epoch: u64, ignored: u8) -> bool {
    if cell.has_delivered(epoch) {
        return true;
    }
    // Boxed: few turns have to wait, and what waits is large.
    Box::pin(flush_all(cell, epoch, ignored)).await
}

impl<A: Agent> Cell<A> {
    fn has_delivered(&self, epoch: u64) -> bool {
        let seat = self.seat.lock();
        seat.epoch == epoch && seat.outgoing.is_empty()
    }
}

async fn flush_all<A: Agent>(cell: &Arc<Cell<A>>, epoch: u64, ignored: u8) -> bool {
    loop {
        let limit = cell.core.system.send_limit();
        let first = poll_fn(|cx| flush_first(cell, epoch, ignored, cx));
        match tokio::time::timeout(limit, first).await {
            Ok(Flushed::One) => {}
            Ok(Flushed::All) => return true,
            Ok(Flushed::Interrupted) => return false,
            Err(_) => {
                let mut seat = cell.seat.lock();
                if seat.epoch != epoch {
                    return false;
                }
                if let Some(mut out) = seat.outgoing.pop_front() {
                    drop(seat);
                    out.abandon(DeathCause::Overloaded);
                }
            }
        }
    }
}

enum Flushed {
    One,
    All,
    Interrupted,
}

fn flush_first<A: Agent>(
    cell: &Cell<A>,
    epoch: u64,
    ignored: u8,
    cx: &mut Context<'_>,
) -> Poll<Flushed> {
    let mut seat = cell.seat.lock();
    if seat.epoch != epoch {
        return Poll::Ready(Flushed::Interrupted);
    }
    let Some(first) = seat.outgoing.front_mut() else {
        return Poll::Ready(Flushed::All);
    };
    if first.poll(cx).is_ready() {
        seat.outgoing.pop_front();
        return Poll::Ready(Flushed::One);
    }
    // So that a stop is seen at once. Letters that come meanwhile wake it for nothing; that is cheap enough.
    if !cell.mailbox().park(cx.waker(), ignored) {
        return Poll::Ready(Flushed::Interrupted);
    }
    Poll::Pending
}
