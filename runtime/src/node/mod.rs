//! The node: one tree of agents, started from a manifest, and its life from the first start to the last stop.
//!
//! A program puts the parts together in this order: read the [`Manifest`], resolve the
//! [`Settings`](crate::config::Settings), open the data folder, make the [`Node`], start the
//! [`ApiServer`](crate::api::ApiServer) (so that a start that hangs can be looked at), start the tree, say that it is ready,
//! wait with [`run_until_stopped`], stop the API.

mod apply;
mod blueprint;
mod components;
mod conversations;
mod durable;
mod kept;
mod past;
mod placed;
mod registry;
mod signals;
mod tools;
mod tree;
mod upgrades;

pub use apply::{Applied, ApplyError};
pub use conversations::NoCaller;
pub use past::{
    Historian, Moment, PastEvent, PastEvents, PastRefused, PastState, history, state_at,
};
pub use placed::{PlacedNode, PlacedView, WeakNode};
pub use registry::{Behaviours, Components, durable_specs_of, specs_of};
pub use signals::{Ended, StopOrder, run_until_stopped};
pub use tools::McpRefused;
pub use tree::{BadAgent, compile_all};
pub use upgrades::{UpgradeFault, Upgrades};

use crate::api::types::{NodeState, Time};
use crate::cluster::{Answerer, Cluster};
use crate::fipa::{Counters, Counts};
use crate::manifest::Manifest;
use crate::placement::PlacementHandle;
use blueprint::{Blueprint, Draft};
use parking_lot::{Mutex, RwLock};
use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use swarm_actors::conversation::ConversationBook;
use swarm_actors::durable::Durability;
use swarm_actors::journal::{Journal, Seq};
use swarm_actors::platform::{Platform, PlatformOptions};
use swarm_actors::{System, SystemOptions, Watchdog};
use swarm_cluster::partition::Side;
use swarm_cluster::placement::Labels;
use swarm_journal::{DiskJournal, directory_in};
use swarm_protocols::{ExitReason, Name, Path};
use swarm_supervisors::{StartError, SupervisorRef};
use swarm_tools::Tools;
use swarm_tools::mcp::McpStatus;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tools::NodeTools;

/// How long the node's own agents may take to stop, behind the users' tree. They have nothing to clean up.
const SERVICES_STOP_DEADLINE: Duration = Duration::from_secs(1);

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name.
    pub name: Name,
    /// The tree that it runs.
    pub manifest: Manifest,
    /// What the manifest's behaviours stand for; the same that it was checked with.
    pub behaviours: Behaviours,
    /// The data folder; none for a node that lives for one command.
    pub data: Option<PathBuf>,
    /// What it is labelled with.
    pub labels: Labels,
    /// The file with the keys that seal what its journal holds; none: nothing is sealed.
    pub journal_keys: Option<PathBuf>,
    /// How many agents it has at most; none: any number.
    pub agents_max: Option<u32>,
    /// What addresses, jitter and the agents' random numbers follow from; none for a random one.
    pub seed: Option<u64>,
    /// For simulations: the wall clock at its start, in milliseconds since 1970 UTC, from where it goes on with tokio's clock. Nothing runs
    /// on a thread of its own then. None for the machine's.
    pub simulated_wall_ms: Option<u64>,
}

impl NodeOptions {
    /// A node without a data folder.
    #[must_use]
    pub fn new(name: Name, manifest: Manifest, behaviours: Behaviours) -> Self {
        Self {
            name,
            manifest,
            behaviours,
            data: None,
            journal_keys: None,
            labels: Labels::new(),
            agents_max: None,
            seed: None,
            simulated_wall_ms: None,
        }
    }
}

/// One running node. Cheap to clone; when the last clone goes, the tree is killed.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    name: Name,
    manifest: RwLock<Arc<Manifest>>,
    /// What its supervisors look after.
    blueprint: Blueprint,
    labels: Labels,
    agents_max: Option<u32>,
    /// The text of the manifest that was applied last.
    applied: Mutex<Option<Arc<str>>>,
    /// What tells the tree apart that it was started with.
    base: u64,
    /// One manifest is applied at a time: that takes as long as stops and starts.
    applying: tokio::sync::Mutex<()>,
    /// What runs its placed children, once the tree has been started.
    placement: OnceLock<PlacementHandle>,
    behaviours: Behaviours,
    tools: NodeTools,
    data: Option<PathBuf>,
    journal_keys: Option<PathBuf>,
    boot_id: String,
    started_at: Time,
    system: System,
    conversations: ConversationBook,
    /// The AMS and the DF, once they were started.
    platform: OnceLock<Platform>,
    /// The runtime of the agents, which is not the one of the API.
    agents: Handle,
    phase: Mutex<Phase>,
    /// Told when the phase has changed.
    changed: Notify,
    /// The root of the latest tree. Kept here because the system lets go of it when a stop begins, and a stop may have to
    /// be cut short.
    root: Mutex<Option<SupervisorRef>>,
    /// What its FIPA transport counts, once it has one.
    fipa: Mutex<Option<Arc<Counters>>>,
    /// Its place in a cluster, once it has one.
    cluster: OnceLock<Cluster>,
    /// Who answers what other members ask.
    answerer: Mutex<Option<Weak<dyn Answerer>>>,
}

/// What the node is about. Whether the tree has failed while it was running, the system knows.
#[derive(Clone, Debug)]
enum Phase {
    /// The tree was never started.
    New,
    Starting,
    Running {
        /// What did not come up although the tree did.
        alarms: Vec<String>,
    },
    /// The tree did not start.
    Failed {
        reason: String,
    },
    Draining,
    Stopped,
}

/// Why the tree was not started.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartTreeError {
    /// It runs, is being started or being stopped. Nothing was changed.
    #[error("the tree is {0}, not failed")]
    NotFailed(NodeState),
    /// It did not start: what had been started was stopped again. May be tried again.
    #[error("the tree did not start: {0}")]
    Failed(String),
}

/// Why a node has no journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoJournal {
    /// It has no data folder to keep one in.
    #[error("this node has no data folder, so it has no journal")]
    NoData,
    /// There is none, because nothing durable has run.
    #[error("this node has no journal: nothing durable has run on it")]
    NeverUsed,
    /// It cannot be opened.
    #[error("{0}")]
    Failed(String),
}

/// How a stop went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whether everything ended in order. Otherwise the deadline passed and the rest was killed.
    pub in_order: bool,
    /// What the root ended with; none when no tree was running.
    pub reason: Option<ExitReason>,
}

impl Node {
    /// A node whose tree is not started yet. Its agents will run on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(options: NodeOptions) -> Self {
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
        Self(Arc::new(Inner {
            system: System::new(SystemOptions {
                agents_max: options.agents_max,
                wall_origin_ms: options.simulated_wall_ms,
                watchdog: match options.simulated_wall_ms {
                    None => Watchdog::Thread,
                    Some(_) => Watchdog::Task,
                },
                ..SystemOptions::new(options.name.clone(), seed)
            }),
            conversations: ConversationBook::default(),
            name: options.name,
            tools: NodeTools::new(&options.manifest.tools),
            base: kept::base_of(&options.manifest.root),
            manifest: RwLock::new(Arc::new(options.manifest)),
            blueprint: Blueprint::default(),
            labels: options.labels,
            agents_max: options.agents_max,
            applied: Mutex::new(None),
            applying: tokio::sync::Mutex::new(()),
            placement: OnceLock::new(),
            behaviours: options.behaviours.for_a_node(),
            data: options.data,
            journal_keys: options.journal_keys,
            boot_id: format!("{:016x}", fastrand::u64(..)),
            started_at: Time::now(),
            platform: OnceLock::new(),
            agents: Handle::current(),
            phase: Mutex::new(Phase::New),
            changed: Notify::new(),
            root: Mutex::new(None),
            cluster: OnceLock::new(),
            answerer: Mutex::new(None),
            fipa: Mutex::new(None),
        }))
    }

    /// Starts the AMS and the DF, beside the tree. Once in a node's life.
    ///
    /// # Errors
    /// [`StartTreeError::Failed`]: why they did not start. Nothing else was changed.
    pub async fn start_platform(&self, options: PlatformOptions) -> Result<(), StartTreeError> {
        let system = self.0.system.clone();
        let task = self
            .0
            .agents
            .spawn(async move { Platform::start(&system, options).await });
        let cut_off = |_| StartTreeError::Failed("the start was cut off".to_owned());
        let failed = |error: StartError| StartTreeError::Failed(error.to_string());
        let platform = task.await.map_err(cut_off)?.map_err(failed)?;
        // Two that were started are refused above: services run once.
        let _ = self.0.platform.set(platform);
        Ok(())
    }

    /// The AMS and the DF, where they were started.
    #[must_use]
    pub fn platform(&self) -> Option<&Platform> {
        self.0.platform.get()
    }

    /// Starts the tree: the first time, or again after it failed. Runs on the agents' runtime, whoever calls, and goes on
    /// when the caller stops waiting.
    ///
    /// # Errors
    /// [`StartTreeError`].
    pub async fn start_tree(&self) -> Result<(), StartTreeError> {
        let node = self.clone();
        let task = self
            .0
            .agents
            .spawn(async move { node.start_tree_here().await });
        match task.await {
            Ok(started) => started,
            Err(_) => Err(StartTreeError::Failed("the start was cut off".to_owned())),
        }
    }

    async fn start_tree_here(&self) -> Result<(), StartTreeError> {
        let again = {
            let mut phase = self.0.phase.lock();
            let state = self.state_in(&phase).0;
            if !matches!(*phase, Phase::New) && state != NodeState::TreeFailed {
                return Err(StartTreeError::NotFailed(state));
            }
            !matches!(std::mem::replace(&mut *phase, Phase::Starting), Phase::New)
        };
        let alarm = (!again).then(|| self.take_up_kept()).flatten();
        // On the agents' runtime, as calls of their tools are.
        self.0.tools.start();
        // A start that is dropped undoes what it has begun.
        let started = tokio::select! {
            biased;
            () = self.phase_is(|phase| !matches!(phase, Phase::Starting)) => None,
            started = self.start_supervisors() => Some(started),
        };
        let started = started.map(|started| {
            started.map(|mut alarms| {
                alarms.extend(alarm);
                alarms
            })
        });
        let outcome = self.conclude_start(started, again);
        self.0.changed.notify_waiters();
        if outcome.is_ok() {
            self.place_children().await;
        }
        outcome
    }

    /// What a start of the tree has come to; none when it was given up.
    fn conclude_start(
        &self,
        started: Option<Result<Vec<String>, String>>,
        again: bool,
    ) -> Result<(), StartTreeError> {
        let mut phase = self.0.phase.lock();
        let (next, outcome) = match started {
            _ if !matches!(*phase, Phase::Starting) => {
                let state = self.state_in(&phase).0;
                drop(phase);
                // A stop came meanwhile and has the last word, also over a tree that was done at the same moment.
                self.kill_root();
                return Err(StartTreeError::NotFailed(state));
            }
            None => unreachable!("the start was given up because the phase had changed"),
            Some(Ok(alarms)) => {
                for alarm in &alarms {
                    tracing::error!(%alarm, "incomplete tree");
                }
                tracing::info!(node = %self.0.name, again, "tree started");
                (Phase::Running { alarms }, Ok(()))
            }
            Some(Err(reason)) => {
                tracing::error!(node = %self.0.name, again, %reason, "tree did not start");
                let error = StartTreeError::Failed(reason.clone());
                (Phase::Failed { reason }, Err(error))
            }
        };
        *phase = next;
        outcome
    }

    fn set_phase(&self, phase: Phase) {
        *self.0.phase.lock() = phase;
        self.0.changed.notify_waiters();
    }

    /// Resolves once the phase is as wanted.
    async fn phase_is(&self, wanted: impl Fn(&Phase) -> bool) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if wanted(&self.0.phase.lock()) {
                return;
            }
            changed.await;
        }
    }

    async fn start_supervisors(&self) -> Result<Vec<String>, String> {
        let Inner {
            behaviours,
            blueprint,
            system,
            ..
        } = &*self.0;
        let manifest = self.manifest();
        tree::reserve(&manifest.root, behaviours).map_err(|bad| bad.to_string())?;
        if tree::needs_journal(&manifest.root, behaviours) {
            self.open_disk().await?;
        }
        let draft = Draft::of(&manifest.root, behaviours, system, self.tools())
            .map_err(|bad| bad.to_string())?;
        blueprint.hold_nothing();
        blueprint.take_over(draft);
        match system.start_tree(blueprint.init(Path::root())).await {
            Ok(root) => {
                *self.0.root.lock() = Some(root);
                Ok(tree::start_instances(system, &manifest.root).await)
            }
            Err(StartError::Failed(reason)) => Err(reason.to_string()),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Stops the tree in order, at most for `deadline`; what is left then is killed. A node that is stopped stays so.
    pub async fn stop(&self, deadline: Duration) -> Stopped {
        self.set_phase(Phase::Draining);
        tracing::info!(node = %self.0.name, ?deadline, "stopping");
        let system = self.0.system.clone();
        let task = self.0.agents.spawn(async move {
            let reason = system.stop_tree(deadline).await;
            system.stop_services(SERVICES_STOP_DEADLINE).await;
            reason
        });
        let reason = task.await.unwrap_or(Some(ExitReason::Killed));
        self.0.tools.stop().await;
        self.set_phase(Phase::Stopped);
        let in_order = !matches!(reason, Some(ExitReason::Killed));
        tracing::info!(node = %self.0.name, in_order, "stopped");
        Stopped { in_order, reason }
    }

    /// Kills the tree: no cleanup code runs.
    pub fn kill(&self) {
        self.set_phase(Phase::Stopped);
        self.kill_root();
    }

    fn kill_root(&self) {
        if let Some(root) = self.0.root.lock().take() {
            root.kill();
        }
    }

    /// Where the node is in its life, and why, where there is something to say.
    #[must_use]
    pub fn state(&self) -> (NodeState, Option<String>) {
        self.state_in(&self.0.phase.lock())
    }

    fn state_in(&self, phase: &Phase) -> (NodeState, Option<String>) {
        match phase {
            Phase::New | Phase::Starting => (NodeState::Starting, None),
            Phase::Running { .. } => match self.0.system.tree_failure() {
                Some(reason) => (NodeState::TreeFailed, Some(reason.to_string())),
                None => (NodeState::Running, None),
            },
            Phase::Failed { reason } => (NodeState::TreeFailed, Some(reason.clone())),
            Phase::Draining => (NodeState::Draining, None),
            Phase::Stopped => (NodeState::Stopped, None),
        }
    }

    /// What is wrong although the tree runs.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let mut all = match &*self.0.phase.lock() {
            Phase::Running { alarms } => alarms.clone(),
            _ => Vec::new(),
        };
        if let (Side::Lesser, missing) = self.side() {
            let missing: Vec<&str> = missing.iter().map(Name::as_str).collect();
            let missing = missing.join(", ");
            all.push(format!(
                "lesser side of a partition, waiting for: {missing}"
            ));
        }
        all
    }

    /// Resolves with the reason once the tree has failed, at its start or while it was running.
    pub async fn tree_failed(&self) -> String {
        let mut events = self.0.system.events().subscribe();
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let (NodeState::TreeFailed, reason) = self.state() {
                return reason.unwrap_or_default();
            }
            tokio::select! {
                () = changed => {}
                // The failure of a running tree is an event. Which one this is does not matter: the state tells.
                event = events.recv() => if matches!(event, Err(RecvError::Closed)) {
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    /// Runs something on the agents' runtime.
    pub(crate) fn spawn_beside_agents(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.agents.spawn(work);
    }

    /// Its place in a cluster, where it has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.0.cluster.get()
    }

    /// Makes it a member of a cluster. Once: later calls change nothing and give false.
    pub fn enter(&self, cluster: Cluster) -> bool {
        if let Some(answerer) = self.0.answerer.lock().clone() {
            cluster.answer_with(answerer);
        }
        self.0.cluster.set(cluster).is_ok()
    }

    /// Has other members' requests answered by this one, now or once the node is a member.
    pub(crate) fn answer_members_with<A: Answerer>(&self, answerer: &Arc<A>) {
        let weak: Weak<A> = Arc::downgrade(answerer);
        *self.0.answerer.lock() = Some(weak.clone());
        if let Some(cluster) = self.cluster() {
            cluster.answer_with(weak);
        }
    }

    /// Its agents.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// What its FIPA transport has done; none where it has not been started.
    #[must_use]
    pub fn fipa_counts(&self) -> Option<Counts> {
        self.0.fipa.lock().as_ref().map(|counters| counters.read())
    }

    pub(crate) fn count_fipa(&self, counters: Arc<Counters>) {
        *self.0.fipa.lock() = Some(counters);
    }

    /// The tools that it offers, and the records of their calls. An agent gets an [`Access`](swarm_tools::Access) to them
    /// with the grants that it has.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.0.tools.registry
    }

    /// What changes the code of its WebAssembly agents; none in a program without such agents.
    #[must_use]
    pub fn upgrades(&self) -> Option<&dyn Upgrades> {
        self.0.behaviours.upgrades()
    }

    /// The MCP servers that its manifest declares: what is known of each, or why it was not started.
    #[must_use]
    pub fn mcp_servers(&self) -> Vec<Result<(Name, McpStatus), McpRefused>> {
        self.0.tools.servers()
    }

    /// Its journal, where it is open: one with durable agents has it, and one that was asked for it.
    #[must_use]
    pub fn journal(&self) -> Option<Arc<dyn Journal>> {
        let durability = self.0.behaviours.durability().get()?;
        Some(durability.journal().clone())
    }

    /// How far each projection is behind the journal, by name.
    #[must_use]
    pub fn projection_lags(&self) -> Vec<(String, u64)> {
        let durability = self.0.behaviours.durability().get();
        durability.map_or_else(Vec::new, Durability::lags)
    }

    /// The journal on disk that it has, where it has one: opened if it was not, and never made.
    ///
    /// # Errors
    /// [`NoJournal`]. Nothing was changed; may be tried again.
    pub async fn existing_journal(&self) -> Result<DiskJournal, NoJournal> {
        let data = self.0.data.as_deref().ok_or(NoJournal::NoData)?;
        if self.journal().is_none() && !directory_in(data).join("log").is_dir() {
            return Err(NoJournal::NeverUsed);
        }
        self.open_journal().await?;
        let disk = self.0.behaviours.disk().get();
        disk.cloned().ok_or(NoJournal::NoData)
    }

    /// What happened to the durable agent at `path`. May block on a disk.
    ///
    /// # Errors
    /// [`PastRefused`].
    pub fn history(
        &self,
        journal: &dyn Journal,
        path: &Path,
        from: Seq,
        limit: usize,
    ) -> Result<PastEvents, PastRefused> {
        let Inner {
            manifest,
            behaviours,
            ..
        } = &*self.0;
        past::history(
            &manifest.read().clone(),
            behaviours,
            journal,
            path,
            from,
            limit,
        )
    }

    /// What the state of the durable agent at `path` was. May block on a disk.
    ///
    /// # Errors
    /// [`PastRefused`].
    pub fn state_at(
        &self,
        journal: &dyn Journal,
        path: &Path,
        moment: Moment,
    ) -> Result<PastState, PastRefused> {
        let Inner {
            manifest,
            behaviours,
            ..
        } = &*self.0;
        past::state_at(&manifest.read().clone(), behaviours, journal, path, moment)
    }

    /// Its journal, opened in the data folder if it was not.
    ///
    /// # Errors
    /// [`NoJournal`]. Nothing was changed; may be tried again.
    pub async fn open_journal(&self) -> Result<Arc<dyn Journal>, NoJournal> {
        self.open_disk().await.map_err(NoJournal::Failed)?;
        self.journal().ok_or(NoJournal::NoData)
    }

    pub(super) async fn open_disk(&self) -> Result<(), String> {
        let Inner {
            behaviours,
            data,
            journal_keys,
            ..
        } = &*self.0;
        durable::open(behaviours, data.as_deref(), journal_keys.as_deref()).await
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// What it was told to run.
    #[must_use]
    pub fn manifest(&self) -> Arc<Manifest> {
        self.0.manifest.read().clone()
    }

    /// What it is labelled with.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> Option<&FilePath> {
        self.0.data.as_deref()
    }

    /// Random per process start.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.0.boot_id
    }

    /// When it was made.
    #[must_use]
    pub fn started_at(&self) -> Time {
        self.0.started_at
    }

    /// Whether a supervisor is known at `path`.
    #[must_use]
    pub fn is_supervisor(&self, path: &Path) -> bool {
        self.0
            .system
            .actors()
            .iter()
            .any(|actor| actor.kind == "supervisor" && &actor.path == path)
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.0.name)
            .field("state", &self.state().0)
            .finish_non_exhaustive()
    }
}
