//! The tree and its lives: start, stop, restart, kill, drain.

use super::System;
use crate::events::What;
use crate::services::is_service;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Name, Path, Pid};
use swarm_supervisors::{CallError, StartError, SupervisorInit, SupervisorRef, start_root};

impl System {
    /// Starts the tree: the root supervisor at `/` and everything below it, in order.
    ///
    /// # Errors
    /// Why it did not start; what had been started was stopped again. [`StartError::AlreadyStarted`] while a tree runs.
    pub async fn start_tree(&self, init: impl SupervisorInit) -> Result<SupervisorRef, StartError> {
        let _starting = self.0.starting.lock().await;
        if let Some(tree) = self.tree() {
            return Err(StartError::AlreadyStarted(tree.pid()));
        }
        let root = Arc::new(start_root(self.env(), init).await?);
        let supervisor = root.supervisor();
        let before = self.0.tree.lock().replace(root.clone());
        drop(before);
        let weak = self.downgrade();
        let watch = Arc::downgrade(&root);
        let task = self.0.runtime.spawn(async move {
            let Some(root) = watch.upgrade() else { return };
            let reason = root.wait().await;
            // An ordered stop takes the root away first.
            if let Some(system) = weak.upgrade()
                && system
                    .0
                    .tree
                    .lock()
                    .as_ref()
                    .is_some_and(|tree| Arc::ptr_eq(tree, &root))
            {
                system.publish(Some(Path::root()), None, What::TreeFailed { reason });
            }
        });
        let mut background = self.0.background.lock();
        background.retain(|task| !task.is_finished());
        background.push(task);
        Ok(supervisor)
    }

    /// The root supervisor of the running tree.
    #[must_use]
    pub fn tree(&self) -> Option<SupervisorRef> {
        let tree = self.0.tree.lock();
        let root = tree.as_ref().filter(|root| root.ended().is_none())?;
        Some(root.supervisor())
    }

    /// Why the tree ended, where it ended without having been stopped.
    #[must_use]
    pub fn tree_failure(&self) -> Option<ExitReason> {
        self.0.tree.lock().as_ref().and_then(|root| root.ended())
    }

    /// Stops the tree in order, at most for `deadline`; what is still there then is killed. `None` when no tree runs.
    pub async fn stop_tree(&self, deadline: Duration) -> Option<ExitReason> {
        let root = self.0.tree.lock().take()?;
        match tokio::time::timeout(deadline, root.shutdown()).await {
            Ok(reason) => Some(reason),
            Err(_) => {
                root.supervisor().kill();
                Some(root.wait().await)
            }
        }
    }

    /// The supervisor at a place in the tree. Asks its way down from the root.
    pub async fn supervisor(&self, path: &Path) -> Option<SupervisorRef> {
        let (mut at, above) = if is_service(path) {
            (self.services()?, 1)
        } else {
            (self.tree()?, 0)
        };
        for segment in path.segments().skip(above) {
            let name = Name::new(segment).ok()?;
            at = at.which_child(name).await.ok()?.child?.supervisor()?;
        }
        Some(at)
    }

    /// Stops a child of the tree in order; its spec is kept. As `terminate_child`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stop(&self, path: &Path) -> Result<(), CallError> {
        let (supervisor, name) = self.above(path).await?;
        supervisor.terminate_child(name).await
    }

    /// Stops a child of the tree and starts it again from the same spec; does not count against the intensity.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn restart(&self, path: &Path) -> Result<Option<Pid>, CallError> {
        let (supervisor, name) = self.above(path).await?;
        Ok(supervisor.cycle_child(name).await?.pid)
    }

    /// Kills a child of the tree, or the root: no cleanup, and its supervisor decides.
    ///
    /// # Errors
    /// [`CallError::NotFound`].
    pub async fn kill(&self, path: &Path) -> Result<(), CallError> {
        if let Some(agent) = self.lookup(path) {
            agent.kill();
            return Ok(());
        }
        if path.is_root() {
            self.tree().ok_or(CallError::NotFound)?.kill();
            return Ok(());
        }
        let (supervisor, name) = self.above(path).await?;
        let child = supervisor
            .which_child(name)
            .await?
            .child
            .ok_or(CallError::NotFound)?;
        child.kill();
        Ok(())
    }

    /// Has an agent handle what is queued, refusing new messages, and then stops it.
    ///
    /// # Errors
    /// [`CallError`]; the agent goes on refusing messages then, until it is stopped or restarted.
    pub async fn drain(&self, path: &Path) -> Result<(), CallError> {
        let agent = self.lookup(path).ok_or(CallError::NotFound)?;
        agent.drain().await;
        self.stop(path).await
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        self.agents()
            .iter()
            .any(|agent| agent.pid() == pid && agent.is_alive())
    }

    /// The supervisor above a place in the tree, and the name of the child there.
    async fn above(&self, path: &Path) -> Result<(SupervisorRef, Name), CallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(CallError::NotFound);
        };
        let supervisor = self.supervisor(&parent).await.ok_or(CallError::NotFound)?;
        Ok((supervisor, name))
    }
}
