//! The node's side of placement: its supervisors start and stop what belongs here.

use super::{Node, NodeState};
use crate::placement::{self, PlacementHandle};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_cluster::partition::Side;
use swarm_cluster::placement::{Edition, Event, Labels, NoPlace};
use swarm_protocols::{Name, Path};
use swarm_supervisors::CallError;

/// How long a placed agent may take to handle what is queued, before it is stopped with the rest unread.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long its stop may take, whatever its own shutdown says; then it is killed, so that every move ends.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A [`Node`] that does not keep it alive.
#[derive(Clone)]
pub struct WeakNode(Weak<super::Inner>);

impl WeakNode {
    /// The node, while it lives.
    #[must_use]
    pub fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

/// Placement as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacedView {
    /// What each live node that has said so has and holds; this one first.
    pub nodes: Vec<PlacedNode>,
    /// What belongs nowhere, and why.
    pub nowhere: BTreeMap<Path, NoPlace>,
    /// Whether all nodes agree, and everything runs where it belongs.
    pub is_settled: bool,
}

/// One node of a [`PlacedView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedNode {
    /// Its name.
    pub name: Name,
    /// What it is labelled with.
    pub labels: Labels,
    /// Whether it gives away what it has.
    pub is_draining: bool,
    /// How many placed agents it takes at most.
    pub room: Option<u32>,
    /// Which manifest it runs.
    pub edition: Edition,
    /// The placed children that it starts, runs or is stopping.
    pub holds: BTreeSet<Path>,
}

impl Node {
    /// A reference that does not keep it alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.0))
    }

    /// Has placement go by what the manifest declares now; the first time, starts it.
    pub(super) async fn place_children(&self) {
        let handle = self.0.placement.get_or_init(|| placement::start(self));
        handle.tell(self.declared_event()).await;
    }

    fn declared_event(&self) -> Event {
        let is_up = self.state().0 == NodeState::Running;
        let manifest = self.manifest();
        Event::Declared {
            edition: manifest.edition,
            declared: match is_up {
                true => placement::declared(&manifest.root),
                false => Vec::new(),
            },
            room: self.0.agents_max.map(|max| {
                let fixed = placement::fixed_agents(&manifest.root);
                max.saturating_sub(u32::try_from(fixed).unwrap_or(u32::MAX))
            }),
        }
    }

    /// Where placed children run, as far as this node knows. Empty before the tree was started.
    #[must_use]
    pub fn placed(&self) -> PlacedView {
        let Some(handle) = self.0.placement.get() else {
            return PlacedView::default();
        };
        handle.look(|core| PlacedView {
            nodes: core
                .nodes()
                .into_iter()
                .map(|(node, standing)| PlacedNode {
                    name: node.name,
                    labels: standing.labels,
                    is_draining: standing.is_draining,
                    room: standing.room,
                    edition: standing.edition,
                    holds: standing.holds,
                })
                .collect(),
            nowhere: core.nowhere().clone(),
            is_settled: core.is_settled(),
        })
    }

    /// Whether all nodes run one generation, and everything that is placed runs where it belongs, as far as this node knows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let handle = self.0.placement.get();
        handle.is_none_or(|handle| handle.look(|core| core.is_settled()))
    }

    /// On which side of a partition it is, and who is missing. Whole before the tree was started.
    #[must_use]
    pub fn side(&self) -> (Side, Vec<Name>) {
        let handle = self.0.placement.get();
        handle.map_or((Side::Whole, Vec::new()), PlacementHandle::side)
    }

    /// Gives away all placed children: other nodes start them when they are gone here. Takes no new ones from now on. Waits for
    /// `within` at most and gives how many are still here then.
    pub async fn drain_placed(&self, within: Duration) -> usize {
        let Some(handle) = self.0.placement.get() else {
            return 0;
        };
        handle.tell(Event::Drain).await;
        let empty = handle.until(|core| core.standing().is_draining && core.holds_nothing());
        // Late or not: what is left is told.
        drop(tokio::time::timeout(within, empty).await);
        handle.look(|core| core.standing().holds.len())
    }

    /// Starts a placed child below its supervisor.
    pub(crate) async fn start_placed(&self, path: &Path) -> Result<(), CallError> {
        let blueprint = &self.0.blueprint;
        blueprint.hold(path);
        let started = self.start_child_at(path).await;
        if started.is_err() {
            blueprint.let_go(path);
            // The supervisor knows it by now, stopped.
            self.stop_child_at(path).await;
        }
        started
    }

    /// Has the supervisor take over its part of the blueprint, and start one child of it. So the child is one of those that keep their
    /// cells when the supervisor is restarted.
    pub(super) async fn start_child_at(&self, path: &Path) -> Result<(), CallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(CallError::NotFound);
        };
        let system = self.system();
        let supervisor = system.supervisor(&parent).await.ok_or(CallError::NoProc)?;
        supervisor.reconfigure().await?;
        match supervisor.restart_child(name).await {
            // The supervisor began a life just now and has started it, or is about to.
            Ok(_) | Err(CallError::Running | CallError::Restarting) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Stops a placed child and forgets it: in order and after what is queued, unless it is in haste.
    pub(crate) async fn stop_placed(&self, path: &Path, in_haste: bool) {
        let system = self.system();
        if !in_haste
            && let Some(agent) = system.lookup(path)
            && agent.is_alive()
        {
            // What it has not handled by then becomes dead letters.
            drop(tokio::time::timeout(DRAIN_LIMIT, agent.drain()).await);
        }
        self.0.blueprint.let_go(path);
        self.stop_child_at(path).await;
    }

    /// Stops a child and has its supervisor forget it. Kills it where that takes too long.
    pub(super) async fn stop_child_at(&self, path: &Path) {
        let system = self.system();
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        // Without its supervisor it is gone as well.
        let Some(supervisor) = system.supervisor(&parent).await else {
            return;
        };
        let stop = supervisor.terminate_child(name.clone());
        if tokio::time::timeout(STOP_LIMIT, stop).await.is_err() {
            tracing::warn!(%path, "a child did not stop in time and is killed");
            // Its supervisor is still waiting for it: the kill ends that.
            drop(system.kill(path).await);
            drop(supervisor.terminate_child(name.clone()).await);
        }
        drop(supervisor.delete_child(name).await);
    }

    /// Whether a placed child is below its supervisor.
    pub(crate) async fn has_placed(&self, path: &Path) -> bool {
        let system = self.system();
        if system.lookup(path).is_some() {
            return true;
        }
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return false;
        };
        match system.supervisor(&parent).await {
            Some(supervisor) => supervisor.which_child(name).await.is_ok(),
            None => false,
        }
    }
}
