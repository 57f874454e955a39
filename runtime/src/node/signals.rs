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

#[cfg(test)]
mod tests {
    use super::super::{Behaviours, NodeOptions};
    use super::*;
    use crate::manifest::Manifest;
    use swarm_actors::{Agent, Failure, NoMessage, Turn};
    use swarm_protocols::{ExitReason, Name};
    use tokio::sync::mpsc;

    /// Never done with its cleanup.
    struct Clinging;

    impl Agent for Clinging {
        type Message = NoMessage;

        async fn handle(
            &mut self,
            _: &mut Turn<'_, Self>,
            message: NoMessage,
        ) -> Result<(), Failure> {
            match message {}
        }

        async fn terminate(&mut self, _: &ExitReason) {
            std::future::pending().await
        }
    }

    async fn node(manifest: &str) -> Node {
        let behaviours = Behaviours::new().with("clinging", "never stops", |_| Ok(|| Clinging));
        let manifest = Manifest::parse(manifest, &behaviours).expect("valid");
        let name = Name::new("n1").expect("a name");
        let node = Node::new(NodeOptions::new(name, manifest, behaviours));
        node.start_tree().await.expect("starts");
        node
    }

    const CLINGING: &str = "[agent.\"/a\"]\nbehaviour = \"clinging\"\nshutdown = \"infinity\"\n";

    /// Stops a node that gets so many signals at once.
    async fn stop(manifest: &str, deadline: Duration, signals: usize) -> Ended {
        let node = node(manifest).await;
        let (tell, mut told) = mpsc::channel(signals.max(1));
        for _ in 0..signals {
            tell.send(()).await.expect("room");
        }
        let order = StopOrder {
            deadline,
            exit_on_tree_failure: true,
        };
        let ended = stop_when_told(&node, order, async || {
            if told.recv().await.is_none() {
                pending::<()>().await;
            }
        });
        ended.await
    }

    #[tokio::test]
    async fn one_signal_stops_in_order() {
        let patient = Duration::from_secs(10);
        assert_eq!(stop("", patient, 1).await, Ended::InOrder);
    }

    #[tokio::test]
    async fn an_agent_that_never_stops_is_killed_at_the_deadline() {
        let short = Duration::from_millis(50);
        assert_eq!(stop(CLINGING, short, 1).await, Ended::AtDeadline);
    }

    #[tokio::test]
    async fn a_second_signal_stops_at_once() {
        let forever = Duration::from_secs(3600);
        assert_eq!(stop(CLINGING, forever, 2).await, Ended::Forced);
    }

    #[tokio::test]
    async fn a_failed_tree_ends_the_wait_where_it_should() {
        let node = node("").await;
        node.system().tree().expect("runs").kill();
        let order = StopOrder {
            deadline: Duration::from_secs(10),
            exit_on_tree_failure: true,
        };
        let ended = stop_when_told(&node, order, async || pending::<()>().await).await;
        assert_eq!(
            ended,
            Ended::TreeFailed {
                reason: "killed".to_owned()
            }
        );
    }
}
