//! The top of a tree.

use crate::child::{Child, Disposition, StartChild, StartError};
use crate::env::Env;
use crate::spec::SupervisorInit;
use crate::supervisor::handle::SupervisorRef;
use crate::supervisor::link::{Above, Given, Link, StartKey, Target};
use crate::supervisor::start::SupervisorChild;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Incarnation, Path, Pid};
use tokio::sync::watch;

/// The top of a running tree, held by what stands above it. Dropping it kills the tree, as the end of a parent does.
#[derive(Debug)]
pub struct Root {
    supervisor: SupervisorRef,
    ended: watch::Receiver<Option<ExitReason>>,
}

/// Starts a tree: the supervisor at `/` and, in order, everything below it.
///
/// # Errors
/// Why it did not start; whatever had been started was stopped again, in reverse order.
pub async fn start_root(env: Env, init: impl SupervisorInit) -> Result<Root, StartError> {
    start_root_at(env, Path::root(), init).await
}

/// Starts a tree whose top is called `path` instead of `/`: one beside another, with names that cannot meet.
///
/// # Errors
/// As [`start_root`].
pub async fn start_root_at(
    env: Env,
    path: Path,
    init: impl SupervisorInit,
) -> Result<Root, StartError> {
    start_top(env, path, &SupervisorChild::new(init)).await
}

#[cfg(feature = "scenario")]
pub(crate) async fn start_root_child(env: Env, start: &dyn StartChild) -> Result<Root, StartError> {
    start_top(env, Path::root(), start).await
}

async fn start_top(env: Env, path: Path, start: &dyn StartChild) -> Result<Root, StartError> {
    let (ended, end) = watch::channel(None);
    let above = Arc::new(Above {
        supervisor: Pid {
            address: env.address(),
            incarnation: Incarnation(1),
        },
        env,
        to: Target::Root(ended),
    });
    let link = Link::new(above, path, StartKey::default(), Given::default());
    let started = start.start(link).await?;
    let Some(supervisor) = started.child.supervisor() else {
        unreachable!("the start function of a root makes a supervisor");
    };
    Ok(Root {
        supervisor,
        ended: end,
    })
}

impl Root {
    /// The supervisor at the top.
    #[must_use]
    pub fn supervisor(&self) -> SupervisorRef {
        self.supervisor.clone()
    }

    /// Stops the tree in order and returns the reason of its end. Takes as long as the shutdown times of its children add up to;
    /// for a deadline put a time-out around it and drop the root.
    pub async fn shutdown(&self) -> ExitReason {
        self.supervisor.signal();
        self.wait().await
    }

    /// Waits until the tree ended, and returns why.
    pub async fn wait(&self) -> ExitReason {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(ExitReason::Killed),
            Err(_) => self.ended.borrow().clone().unwrap_or(ExitReason::Killed),
        }
    }

    /// Why the tree ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitReason> {
        self.ended.borrow().clone()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.supervisor.kill();
        self.supervisor.settle(Disposition::Removed);
    }
}
