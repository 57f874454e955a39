//! What a durable agent is to be.

use super::agent::{DurableAgent, Shared};
use super::behaviour::DurableBehaviour;
use super::durability::Durability;
use super::reference::DurableRef;
use crate::spec::AgentSpec;
use crate::system::System;
use crate::testkit::TestSystem;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::NameError;
use swarm_supervisors::{Backoff, CallError, ChildSpec};

/// When a snapshot is taken, and what becomes of the history before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// After so many events since the last. Default 500.
    pub events: u64,
    /// After so many bytes of events since the last. Default 1 MiB.
    pub bytes: u64,
    /// When it falls asleep or is stopped in order, if there were at least so many events since the last. Default 50.
    pub at_rest: u64,
    /// Whether events that two snapshots replace are truncated. Default false: the history is kept.
    pub compacts: bool,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self {
            events: 500,
            bytes: 1 << 20,
            at_rest: 50,
            compacts: false,
        }
    }
}

/// After how long without a message a durable agent leaves memory.
const SLEEP_AFTER_DEFAULT: Duration = Duration::from_secs(60);

/// A spec for one durable agent, or for several that differ in id only.
pub struct DurableSpec<D: DurableBehaviour> {
    spec: AgentSpec<DurableAgent<D>>,
}

impl<D: DurableBehaviour> DurableSpec<D> {
    /// An agent called `id` below its supervisor, whose stream has its path as name. It leaves memory after a minute without a
    /// message. When its journal cannot be read at the moment it is restarted after 100 ms, then later and later, up to 30 s.
    ///
    /// # Errors
    /// [`NameError`] when `id` is not a name.
    pub fn new(id: &str, decider: D, durability: &Durability) -> Result<Self, NameError> {
        Self::with_snapshots(id, decider, durability, SnapshotPolicy::default())
    }

    /// The same with a snapshot policy of its own.
    ///
    /// # Errors
    /// [`NameError`] when `id` is not a name.
    pub fn with_snapshots(
        id: &str,
        decider: D,
        durability: &Durability,
        snapshots: SnapshotPolicy,
    ) -> Result<Self, NameError> {
        let shared = Arc::new(Shared::new(decider, durability.clone(), snapshots));
        let delay = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(30));
        let spec = AgentSpec::new(id, move || DurableAgent::new(shared.clone()))?
            .kind("durable")
            .restart_delay(delay)
            .sleep_after(SLEEP_AFTER_DEFAULT);
        Ok(Self { spec })
    }

    /// Changes what any agent's spec has: restart, mailbox, groups, deadline, …
    #[must_use]
    pub fn map(
        mut self,
        change: impl FnOnce(AgentSpec<DurableAgent<D>>) -> AgentSpec<DurableAgent<D>>,
    ) -> Self {
        self.spec = change(self.spec);
        self
    }

    /// The child spec for a supervisor's list.
    #[must_use]
    pub fn child(self, system: &System) -> ChildSpec {
        self.spec.child(system)
    }

    /// Child specs for `count` agents that share this spec: `id-1` to `id-count`.
    #[must_use]
    pub fn replicas(self, system: &System, count: u32) -> Vec<ChildSpec> {
        self.spec.replicas(system, count)
    }
}

impl TestSystem {
    /// Starts a durable agent below the root.
    ///
    /// # Errors
    /// As [`TestSystem::spawn`].
    pub async fn spawn_durable<D: DurableBehaviour>(
        &self,
        spec: DurableSpec<D>,
    ) -> Result<DurableRef<D>, CallError> {
        self.spawn(spec.spec).await.map(DurableRef::new)
    }
}
