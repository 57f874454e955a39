//! How a node's process ends: asked once, it stops in order; asked twice, it stops now.

use super::Node;
use std::future::{Future, pending};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a running program waits for.
#[derive(Clone, Copy, Debug)]
pub struct StopOrder {
    /// How long an ordered stop may take.
    pub deadline: Duration,
    /// Whether a failed tree ends the program.
    pub exit_on_tree_failure: bool,
}

/// Why the wait is over. The tree has been stopped in each case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal came, and everything ended in order.
    InOrder,
    /// A signal came, and what was left at the deadline was killed.
    AtDeadline,
    /// A second signal came before the ordered stop was done; the rest was killed.
    Forced,
    /// The tree failed, and the program was to end then.
    TreeFailed {
        /// Why it failed.
        reason: String,
    },
}

/// Waits for SIGTERM or SIGINT, stops the tree in order, and stops it at once when a second one comes.
///
/// # Errors
/// When the system refuses to hand over signals; nothing was stopped.
pub async fn run_until_stopped(node: &Node, order: StopOrder) -> std::io::Result<Ended> {
    let mut signals = Signals::new()?;
    Ok(stop_when_told(node, order, async || signals.next().await).await)
}

/// The same with any source of signals.
async fn stop_when_told(node: &Node, order: StopOrder, mut told: impl AsyncFnMut()) -> Ended {
    let failed = async {
        if order.exit_on_tree_failure {
            node.tree_failed().await
        } else {
            pending().await
        }
    };
    tokio::select! {
        () = told() => {}
        reason = failed => {
            node.stop(order.deadline).await;
            return Ended::TreeFailed { reason };
        }
    }
    either(node.stop(order.deadline), told()).await.map_or_else(
        || {
            node.kill();
            Ended::Forced
        },
        |stopped| {
            if stopped.in_order {
                Ended::InOrder
            } else {
                Ended::AtDeadline
            }
        },
    )
}

/// What `work` results in, or none when `cut` was first.
async fn either<T>(work: impl Future<Output = T>, cut: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        result = work => Some(result),
        () = cut => None,
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
