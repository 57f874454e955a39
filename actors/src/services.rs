//! A second tree for what the node itself runs as agents: the directory facilitator, the agent management system.
//!
//! It stands beside the users' tree, below [`SERVICES_PATH`], so that neither can bring the other down, no name of one can meet
//! one of the other, and lists and counts of agents show users theirs.

use crate::reference::AnyRef;
use crate::system::System;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Path};
use swarm_supervisors::{Root, StartError, SupervisorInit, SupervisorRef, start_root_at};

/// The place of the node's own agents.
pub const SERVICES_PATH: &str = "/system";

/// The tree of the node's own agents, while there is one.
#[derive(Default)]
pub(crate) struct Services(Mutex<Option<Arc<Root>>>);

impl Services {
    /// Kills what runs.
    pub(crate) fn kill(&self) {
        let root = self.0.lock().take();
        if let Some(root) = root {
            root.supervisor().kill();
        }
    }
}

/// Whether a place belongs to the node's own agents.
#[must_use]
pub fn is_service(path: &Path) -> bool {
    path.as_str()
        .strip_prefix(SERVICES_PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl System {
    /// Starts the tree of the node's own agents, with its top at [`SERVICES_PATH`].
    ///
    /// # Errors
    /// Why it did not start; what had been started was stopped again. [`StartError::AlreadyStarted`] while one runs.
    ///
    /// # Panics
    /// Never: [`SERVICES_PATH`] is a path.
    pub async fn start_services(
        &self,
        init: impl SupervisorInit,
    ) -> Result<SupervisorRef, StartError> {
        if let Some(running) = self.services() {
            return Err(StartError::AlreadyStarted(running.pid()));
        }
        let path = Path::new(SERVICES_PATH).expect("it is a path");
        let root = start_root_at(self.env(), path, init).await?;
        let supervisor = root.supervisor();
        // Of two that were started at once the first one stays, and the other is killed by its drop.
        let mut slot = self.services_slot().0.lock();
        if let Some(running) = slot.as_ref().filter(|root| root.ended().is_none()) {
            return Err(StartError::AlreadyStarted(running.supervisor().pid()));
        }
        let before = slot.replace(Arc::new(root));
        drop(slot);
        drop(before);
        Ok(supervisor)
    }

    /// The top of the tree of the node's own agents, while it runs.
    #[must_use]
    pub fn services(&self) -> Option<SupervisorRef> {
        let services = self.services_slot().0.lock();
        let root = services.as_ref().filter(|root| root.ended().is_none())?;
        Some(root.supervisor())
    }

    /// Stops the node's own agents in order, at most for `deadline`; what is still there then is killed. `None` when none
    /// run.
    pub async fn stop_services(&self, deadline: Duration) -> Option<ExitReason> {
        let root = self.services_slot().0.lock().take()?;
        match tokio::time::timeout(deadline, root.shutdown()).await {
            Ok(reason) => Some(reason),
            Err(_) => {
                root.supervisor().kill();
                Some(root.wait().await)
            }
        }
    }

    /// The node's own agents.
    #[must_use]
    pub fn service_agents(&self) -> Vec<AnyRef> {
        let mut agents = self.cells_table().all();
        agents.retain(|agent| is_service(agent.path()));
        agents
    }
}
