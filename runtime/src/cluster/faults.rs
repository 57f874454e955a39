//! Faults on whole nodes, on purpose: killed, cut off, paused. A node suffers them only if it was started to allow it.

use super::member::{Cluster, Inner};
use super::orders;
use super::replicate::ORDER_LIMIT;
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::time::Duration;
use swarm_protocols::Name;

/// How long a node takes to answer before it suffers what it has agreed to.
const BEFORE: Duration = Duration::from_millis(100);
/// The longest cut or pause.
pub const FAULT_LIMIT: Duration = Duration::from_secs(3600);

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeFault {
    /// Its process ends at once, without a word.
    Kill,
    /// Its links and its gossip carry nothing for so long.
    Cut(Duration),
    /// Its process stands still for so long (SIGSTOP, SIGCONT).
    Pause(Duration),
}

/// Why nothing was done to a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFaultError {
    /// It was not started to allow it.
    #[error("node {0} does not allow it")]
    NotAllowed(Name),
    /// It did not answer: whether it was done is not known.
    #[error("node {0} did not answer")]
    NoAnswer(Name),
    /// Longer than an hour.
    #[error("a cut or a pause takes at most an hour")]
    TooLong,
}

impl Cluster {
    /// Lets this node suffer faults on purpose from now on.
    pub fn allow_faults(&self) {
        self.0
            .allows_faults
            .store(true, std::sync::atomic::Ordering::Release);
    }

    /// Has a node suffer a fault, this one or another member. Returns when it has agreed.
    ///
    /// # Errors
    /// [`NodeFaultError`].
    pub async fn inflict(&self, node: &Name, fault: NodeFault) -> Result<(), NodeFaultError> {
        if let NodeFault::Cut(duration) | NodeFault::Pause(duration) = fault
            && duration > FAULT_LIMIT
        {
            return Err(NodeFaultError::TooLong);
        }
        let agreed = if *node == self.me().name {
            Some(suffer(&self.0, fault))
        } else {
            let order = orders::order(orders::SUFFER, &fault);
            let asked = self.0.requests.ask(&self.0.links, node, order, ORDER_LIMIT);
            let answered = asked.await.ok();
            answered.and_then(|answered| orders::read::<bool>(&answered.body))
        };
        match agreed {
            Some(true) => Ok(()),
            Some(false) => Err(NodeFaultError::NotAllowed(node.clone())),
            None => Err(NodeFaultError::NoAnswer(node.clone())),
        }
    }
}

/// Suffers it, a moment later. False when this node does not allow it.
pub(super) fn suffer(member: &Inner, fault: NodeFault) -> bool {
    if !member
        .allows_faults
        .load(std::sync::atomic::Ordering::Acquire)
    {
        return false;
    }
    tracing::warn!(?fault, "a fault on purpose");
    let switch = member.switch.clone();
    member.runtime.spawn(async move {
        tokio::time::sleep(BEFORE).await;
        match fault {
            NodeFault::Kill => std::process::abort(),
            NodeFault::Cut(duration) => switch.cut(duration.min(FAULT_LIMIT)).await,
            NodeFault::Pause(duration) => pause(duration.min(FAULT_LIMIT)),
        }
    });
    true
}

/// A process that stands still cannot wake itself: another one does it.
fn pause(duration: Duration) {
    let process = std::process::id();
    let script = format!(
        "kill -STOP {process}; sleep {}; kill -CONT {process}",
        duration.as_secs_f64()
    );
    std::thread::spawn(move || {
        let shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Err(error) = shell {
            tracing::error!(%error, "this node cannot be paused");
        }
    });
}
