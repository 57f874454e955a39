//! The task.

use crate::api::types::NodeState;
use crate::cluster::{Cluster, Said};
use crate::node::{Node, WeakNode};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm_cluster::gossip::Notice;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::membership::{Change, MemberState};
use swarm_cluster::partition::{self, Partition, Side, Strategy};
use swarm_cluster::placement::{Decision, Event, NoPlace, Placement};
use swarm_cluster::transport::Service;
use swarm_protocols::{Name, Path};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::Instant;

/// How many events wait for the task. When full, who tells waits: there are as many as starts and stops under way, which are paced.
const EVENTS_MAX: usize = 256;
/// How often it is looked whether what should run here is there.
const AUDIT: Duration = Duration::from_secs(1);
/// How long a manifest that could not be taken over is left alone.
const CATCH_UP_PAUSE: Duration = Duration::from_secs(10);

/// How others speak to a node's placement. Cheap to clone; the task ends with the last one.
#[derive(Clone)]
pub(crate) struct PlacementHandle {
    core: Arc<Mutex<Placement>>,
    partition: Arc<Mutex<Partition>>,
    events: mpsc::Sender<Event>,
    changed: Arc<Notify>,
}

impl PlacementHandle {
    /// Tells the task something. Lost when it has ended with its node.
    pub(crate) async fn tell(&self, event: Event) {
        drop(self.events.send(event).await);
    }

    /// Looks at the core.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Placement) -> T) -> T {
        at(&self.core.lock())
    }

    /// On which side of a partition the node is, and who is missing.
    pub(crate) fn side(&self) -> (Side, Vec<Name>) {
        let partition = self.partition.lock();
        (partition.side(), partition.missing())
    }

    /// Waits until the core is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Placement) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if wanted(&self.core.lock()) {
                return;
            }
            changed.await;
        }
    }
}

/// Starts the task for a node, with what it declares now.
pub(crate) fn start(node: &Node) -> PlacementHandle {
    let cluster = node.cluster().cloned();
    let me = cluster.as_ref().map_or_else(
        || NodeId {
            name: node.name().clone(),
            boot: BootId(0),
        },
        |cluster| cluster.me().clone(),
    );
    let parameters = node.manifest().cluster.clone();
    let strategy = parameters.partition.strategy;
    let partition = Partition::new(&me, parameters.partition);
    let core = Placement::new(me, node.labels().clone(), parameters.placement);
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let handle = PlacementHandle {
        core: Arc::new(Mutex::new(core)),
        partition: Arc::new(Mutex::new(partition)),
        events: events.clone(),
        changed: Arc::default(),
    };
    let driver = Driver {
        node: node.downgrade(),
        core: handle.core.clone(),
        partition: handle.partition.clone(),
        strategy,
        is_reconciling: false,
        is_catching_up: Arc::default(),
        events: events.downgrade(),
        changed: handle.changed.clone(),
        notices: cluster.as_ref().and_then(|cluster| cluster.notices().ok()),
        said: cluster.as_ref().map(|c| c.attend(Service::Placement)),
        cluster,
        members: BTreeSet::new(),
        origin: Instant::now(),
    };
    node.spawn_beside_agents(driver.run(inbox));
    handle
}

pub(super) struct Driver {
    pub(super) node: WeakNode,
    pub(super) core: Arc<Mutex<Placement>>,
    pub(super) partition: Arc<Mutex<Partition>>,
    pub(super) strategy: Strategy,
    /// A partition has healed, and not everything is in its place yet.
    pub(super) is_reconciling: bool,
    /// A later manifest is being fetched from another node.
    is_catching_up: Arc<AtomicBool>,
    /// For starts and stops under way, to tell how they went. Weak, or the task would never end.
    events: mpsc::WeakSender<Event>,
    changed: Arc<Notify>,
    pub(super) cluster: Option<Cluster>,
    notices: Option<broadcast::Receiver<Notice>>,
    said: Option<Said>,
    /// Who is a member, as far as the core was told.
    members: BTreeSet<NodeId>,
    pub(super) origin: Instant,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        self.compare_members().await;
        // A node that waits for a quorum is on the lesser side from the start.
        if self.partition.lock().side() == Side::Lesser {
            self.handle(Event::Suspend);
        }
        let mut audit = tokio::time::interval(AUDIT);
        loop {
            let wakes = [
                self.core.lock().next_wake(),
                self.partition.lock().next_wake(),
            ];
            let wake = wakes.into_iter().flatten().min();
            let notice = async {
                match &mut self.notices {
                    Some(notices) => notices.recv().await,
                    None => pending().await,
                }
            };
            let said = async {
                match &mut self.said {
                    Some(said) => said.recv().await,
                    None => pending().await,
                }
            };
            let due = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(self.origin + wake).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                // In this order a run can be repeated.
                biased;
                notice = notice => match notice {
                    Ok(Notice::Change(change)) => self.heard(change),
                    Ok(Notice::Broadcast { .. }) => {}
                    Err(RecvError::Lagged(_)) => self.compare_members().await,
                    Err(RecvError::Closed) => {
                        self.notices = None;
                        self.handle(Event::Suspend);
                    }
                },
                said = said => match said {
                    Some((from, bytes)) => self.handle(Event::Message {
                        from: from.boot,
                        bytes: bytes.to_vec(),
                    }),
                    None => self.said = None,
                },
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = due => {
                    self.partition(partition::Event::Tick);
                    self.handle(Event::Tick);
                }
                _ = audit.tick() => {
                    if !self.audit().await {
                        return;
                    }
                    self.reconcile();
                    self.catch_up();
                }
            }
        }
    }

    /// Takes over a later manifest that another node runs, as after this one came late or was cut off.
    fn catch_up(&self) {
        let (Some(node), Some(cluster)) = (self.node.upgrade(), self.cluster.clone()) else {
            return;
        };
        let me = cluster.me().clone();
        let nodes = self.core.lock().nodes();
        let latest = nodes
            .into_iter()
            .filter(|(other, _)| *other != me)
            .max_by_key(|(_, standing)| standing.edition);
        let Some((from, standing)) = latest else {
            return;
        };
        let is_later = standing.edition.generation > 0 && standing.edition > node.edition();
        if !is_later || self.is_catching_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = self.is_catching_up.clone();
        node.clone().spawn_beside_agents(async move {
            if let Err(why) = node.fetch_manifest(&cluster, &from.name).await {
                tracing::warn!(from = %from.name, why, "the cluster's manifest was not taken over");
                drop(node);
                tokio::time::sleep(CATCH_UP_PAUSE).await;
            }
            busy.store(false, Ordering::Release);
        });
    }

    fn heard(&mut self, change: Change) {
        match change {
            Change::Alive { node, .. } => {
                self.members.insert(node.clone());
                self.partition(partition::Event::Up { node: node.clone() });
                self.handle(Event::Up { node });
            }
            Change::Down { node, .. } => self.gone(node, false),
            Change::Left { node } => self.gone(node, true),
            Change::Suspect { node } => self.partition(partition::Event::Suspect { node }),
            Change::Refuted { node } => self.partition(partition::Event::Refuted { node }),
            // Others take over what was here.
            Change::Departed | Change::Evicted => self.handle(Event::Suspend),
            Change::Renewed { .. } | Change::Joined { .. } | Change::NameTaken { .. } => {}
        }
    }

    fn gone(&mut self, node: NodeId, in_order: bool) {
        self.members.remove(&node);
        let boot = node.boot;
        self.partition(match in_order {
            true => partition::Event::Left { node },
            false => partition::Event::Down { node },
        });
        self.handle(Event::Down { boot });
    }

    /// Finds out who is a member now: at the start, and when notices were missed.
    async fn compare_members(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        let views = cluster.views().await;
        let left: BTreeSet<NodeId> = views
            .iter()
            .filter(|m| m.state == MemberState::Left)
            .map(|m| m.node.clone())
            .collect();
        let there: BTreeSet<NodeId> = views
            .into_iter()
            .filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect))
            .map(|m| m.node)
            .filter(|node| node != cluster.me())
            .collect();
        let before = std::mem::replace(&mut self.members, there.clone());
        for gone in before.difference(&there) {
            self.gone(gone.clone(), left.contains(gone));
        }
        for new in there.difference(&before) {
            self.partition(partition::Event::Up { node: new.clone() });
            self.handle(Event::Up { node: new.clone() });
        }
    }

    /// Compares what should run here with what does. False when the node is gone or stopping.
    async fn audit(&self) -> bool {
        let Some(node) = self.node.upgrade() else {
            return false;
        };
        match node.state().0 {
            NodeState::Draining | NodeState::Stopped => return false,
            NodeState::Starting => return true,
            NodeState::Running | NodeState::TreeFailed => {}
        }
        let running = self.core.lock().running_here();
        for path in running {
            if !node.has_placed(&path).await {
                self.handle(Event::NotStarted { path });
            }
        }
        true
    }

    pub(super) fn handle(&self, event: Event) {
        let now = self.origin.elapsed();
        let decisions = self.core.lock().handle(event, now);
        for decision in decisions {
            self.carry_out(decision);
        }
        self.changed.notify_waiters();
    }

    fn carry_out(&self, decision: Decision) {
        match decision {
            Decision::Say { to, bytes } => {
                if let Some(cluster) = &self.cluster {
                    cluster.say(&to.name, Service::Placement, bytes);
                }
            }
            Decision::Start { path } => self.start(path),
            Decision::Stop { path, to } => self.stop(path, to),
            Decision::Nowhere { path, why } => {
                let why = match why {
                    NoPlace::NoNode => "no live node has its labels and declares it",
                    NoPlace::NoRoom => "no node that may run it has room",
                };
                tracing::warn!(%path, why, "a placed child belongs nowhere");
                self.publish(path, "placement-nowhere", why);
            }
        }
    }

    fn start(&self, path: Path) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        let events = self.events.clone();
        node.clone().spawn_beside_agents(async move {
            let event = match node.start_placed(&path).await {
                Ok(()) => {
                    let system = node.system();
                    system.publish_custom(Some(path.clone()), "placement-started", "");
                    Event::Started { path }
                }
                Err(error) => {
                    let error = error.to_string();
                    tracing::warn!(%path, error, "a placed child did not start here");
                    let system = node.system();
                    system.publish_custom(Some(path.clone()), "placement-failed", &error);
                    Event::NotStarted { path }
                }
            };
            drop(node);
            tell(&events, event).await;
        });
    }

    fn stop(&self, path: Path, to: Option<NodeId>) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        let in_haste = self.core.lock().is_suspended();
        let events = self.events.clone();
        node.clone().spawn_beside_agents(async move {
            node.stop_placed(&path, in_haste).await;
            let to = to.map_or_else(String::new, |to| format!("goes on at {}", to.name));
            let system = node.system();
            system.publish_custom(Some(path.clone()), "placement-stopped", &to);
            drop(node);
            tell(&events, Event::Stopped { path }).await;
        });
    }

    fn publish(&self, path: Path, name: &str, detail: &str) {
        if let Some(node) = self.node.upgrade() {
            node.system().publish_custom(Some(path), name, detail);
        }
    }
}

async fn tell(events: &mpsc::WeakSender<Event>, event: Event) {
    if let Some(events) = events.upgrade() {
        drop(events.send(event).await);
    }
}
