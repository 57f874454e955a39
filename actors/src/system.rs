//! The system: what the agents of one node share. Two systems can live in one process and know nothing of each other.

use crate::agent::Agent;
use crate::alarms::{Alarm, Alarms};
use crate::cell::Cell;
use crate::cell::core::CellCore;
use crate::dead_letters::{Corpse, DEAD_LETTERS_DEFAULT, DeadLetters, DeathCause, ReplayError};
use crate::events::{EVENT_HISTORY_DEFAULT, EventStream, What};
use crate::gateway::AclGateway;
use crate::groups::Groups;
use crate::hooks::Hooks;
use crate::info::{ActorInfo, ActorState};
use crate::letter::LetterKind;
use crate::outgoing::Outgoing;
use crate::recorder::CrashReport;
use crate::reference::{AgentRef, AnyCell, AnyRef};
use crate::registry::{Cells, Names};
use crate::remote::Remotes;
use crate::services::{Services, is_service};
use crate::signal::MonitorId;
use crate::spec::Plan;
use crate::sync_plain::{Mutex, RwLock};
use crate::timers::{TimerId, Timers};
use crate::transport::{Place, Transport};
use crate::watchdog::{self, Lookouts, Progress, WATCHDOG_INTERVAL_DEFAULT, Watchdog};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use swarm_protocols::{
    AclMessage, Address, ExitReason, Incarnation, Limit, Name, Path, Pid, Priority,
};
use swarm_supervisors::{
    CallError, Context, Env, Observer, Report, ReportReason, Root, StartError, SupervisorInit,
    SupervisorRef, start_root,
};
use tokio::runtime::{EnterGuard, Handle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a send out of a turn waits for room at its receiver before it becomes a dead letter `overloaded`.
pub const SEND_LIMIT_DEFAULT: Duration = Duration::from_secs(5);

/// How many supervisors are listed before those that have ended are left out.
const ENDED_SUPERVISORS_MAX: usize = 4096;

/// From how long on the clock's steps do not matter to a deadline. To read the precise one costs a twentieth of an ask.
const LONG_ALARM: Duration = Duration::from_secs(5);

/// How many crash reports are kept; the oldest go first.
pub const CRASH_REPORTS_DEFAULT: usize = 256;

/// How a system is set up.
pub struct SystemOptions {
    /// The node's name.
    pub node: Name,
    /// What addresses, jitter and the agents' random numbers follow from.
    pub seed: u64,
    /// How many events are kept.
    pub event_history: usize,
    /// How many dead letters are kept.
    pub dead_letters: usize,
    /// How many crash reports are kept.
    pub crash_reports: usize,
    /// How long a send out of a turn waits for room.
    pub send_limit: Duration,
    /// What looks at messages and turns.
    pub hooks: Hooks,
    /// How stuck turns and idle agents are found.
    pub watchdog: Watchdog,
    /// How often.
    pub watchdog_interval: Duration,
    /// What the wall clock says at the system's begin, in milliseconds since 1970 UTC; none: the machine is asked. For simulations.
    pub wall_origin_ms: Option<u64>,
    /// How many agents there are at most, the node's own not counted; the start of one more fails with `limit(agents)`. None: any number.
    pub agents_max: Option<u32>,
}

impl SystemOptions {
    /// The defaults, for a node called `node`; `seed` should be random in a program and fixed in a test.
    #[must_use]
    pub fn new(node: Name, seed: u64) -> Self {
        Self {
            node,
            seed,
            event_history: EVENT_HISTORY_DEFAULT,
            dead_letters: DEAD_LETTERS_DEFAULT,
            crash_reports: CRASH_REPORTS_DEFAULT,
            send_limit: SEND_LIMIT_DEFAULT,
            hooks: Hooks::default(),
            watchdog: Watchdog::default(),
            watchdog_interval: WATCHDOG_INTERVAL_DEFAULT,
            wall_origin_ms: None,
            agents_max: None,
        }
    }
}

/// The agents of one node and what they share. Cheap to clone. When the last clone goes that was made from what
/// [`System::new`] gave, the tree is killed; what agents get from [`Turn::system`](crate::Turn::system) does not count.
///
/// A closure that lives in the tree (a supervisor's init, say) and holds a clone keeps the system alive until
/// [`System::stop_tree`]; let it hold a [`WeakSystem`].
#[derive(Clone)]
pub struct System(
    Arc<Inner>,
    #[expect(dead_code, reason = "its drop is what it is for")] Option<Arc<Owner>>,
);

/// What the clones that count share.
struct Owner(Weak<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            // The tree goes first: its agents are killed and told so. Then the cells, which refer back to the system.
            let tree = inner.tree.lock().take();
            if let Some(tree) = &tree {
                tree.supervisor().kill();
            }
            drop(tree);
            inner.services.kill();
            inner.cells.clear();
            if let Some(remotes) = inner.remotes.get() {
                remotes.clear();
            }
            // A kept message may hold a reference to an agent, and so to the system.
            inner.dead_letters.purge_all();
            for task in inner.background.lock().drain(..) {
                task.abort();
            }
        }
    }
}

/// A [`System`] that does not keep it alive.
#[derive(Clone)]
pub struct WeakSystem(Weak<Inner>);

impl Default for WeakSystem {
    /// Of no system at all.
    fn default() -> Self {
        Self(Weak::new())
    }
}

impl WeakSystem {
    /// The system, while it lives.
    #[must_use]
    pub fn upgrade(&self) -> Option<System> {
        self.0.upgrade().map(|inner| System(inner, None))
    }
}

/// What every message looks at and next to nobody writes, on cache lines of its own: what lies beside it is written all
/// the time.
#[repr(align(128))]
struct Still {
    options: SystemOptions,
    coarse_ms: AtomicU64,
}

struct Inner {
    still: Still,
    runtime: Handle,
    origin: Instant,
    wall_origin_ms: u64,
    env: OnceLock<Env>,
    names: Names,
    cells: Cells,
    groups: Groups,
    events: EventStream,
    dead_letters: DeadLetters,
    /// The FIPA platform's name, where it has one of its own.
    platform: OnceLock<String>,
    /// The way to agents of other platforms, while there is one.
    gateway: RwLock<Option<Arc<dyn AclGateway>>>,
    /// The node's own agents.
    services: Services,
    crashes: Mutex<VecDeque<Arc<CrashReport>>>,
    timers: Arc<Timers>,
    alarms: Alarms,
    lookouts: Lookouts,
    next_id: AtomicU64,
    random: Mutex<fastrand::Rng>,
    supervisors: RwLock<BTreeMap<Path, SupervisorLine>>,
    tree: Mutex<Option<Arc<Root>>>,
    /// One start of a tree at a time: it takes as long as the inits in it.
    starting: tokio::sync::Mutex<()>,
    background: Mutex<Vec<JoinHandle<()>>>,
    /// Other nodes, where there is a transport.
    remotes: OnceLock<Arc<Remotes>>,
}

/// What is known of a supervisor from its reports.
#[derive(Clone)]
struct SupervisorLine {
    pid: Pid,
    began_ms: u64,
    state: ActorState,
    restarts: u32,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.background.get_mut().drain(..) {
            task.abort();
        }
    }
}

impl System {
    /// A system without agents, on the current tokio runtime.
    ///
    /// # Panics
    /// When it is called outside of a tokio runtime, or when the watchdog's thread cannot be started.
    #[must_use]
    pub fn new(options: SystemOptions) -> Self {
        let runtime = Handle::current();
        let timers = Timers::new();
        let env = Env::seeded(options.seed);
        let wall_origin_ms = options.wall_origin_ms.unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
        });
        let inner = Arc::new(Inner {
            origin: env.origin(),
            wall_origin_ms,
            env: OnceLock::new(),
            names: Names::default(),
            cells: Cells::default(),
            groups: Groups::default(),
            events: EventStream::new(options.event_history),
            dead_letters: DeadLetters::new(options.dead_letters),
            platform: OnceLock::new(),
            gateway: RwLock::new(None),
            services: Services::default(),
            crashes: Mutex::new(VecDeque::new()),
            timers: timers.clone(),
            alarms: Alarms::new(runtime.clone()),
            lookouts: Lookouts::default(),
            next_id: AtomicU64::new(1),
            random: Mutex::new(fastrand::Rng::with_seed(options.seed ^ 0x5eed)),
            supervisors: RwLock::new(BTreeMap::new()),
            tree: Mutex::new(None),
            starting: tokio::sync::Mutex::new(()),
            background: Mutex::new(Vec::new()),
            remotes: OnceLock::new(),
            runtime: runtime.clone(),
            still: Still {
                options,
                coarse_ms: AtomicU64::new(0),
            },
        });
        let owner = Owner(Arc::downgrade(&inner));
        let system = Self(inner, Some(Arc::new(owner)));
        let weak = system.downgrade();
        let env = env
            .with_observer(Arc::new(Witness(weak.clone())))
            .with_liveness(move |pid| weak.upgrade().is_some_and(|system| system.is_alive(pid)));
        if system.0.env.set(env).is_err() {
            unreachable!("a new system has no environment yet");
        }
        let mut background = vec![runtime.spawn(timers.run())];
        let interval = system.0.still.options.watchdog_interval;
        match system.0.still.options.watchdog {
            Watchdog::Thread => {
                watchdog::start_thread(system.downgrade(), interval)
                    .expect("a program that cannot start one thread cannot go on");
            }
            Watchdog::Task => {
                background.push(runtime.spawn(watchdog::run_task(system.downgrade(), interval)));
            }
            Watchdog::Off => {}
        }
        *system.0.background.lock() = background;
        system
    }

    /// A reference that does not keep the system alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakSystem {
        WeakSystem(Arc::downgrade(&self.0))
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &Name {
        &self.0.still.options.node
    }

    /// What the system's supervisors share. For trees that are started by hand; [`System::start_tree`] does it for most.
    #[must_use]
    pub fn env(&self) -> Env {
        self.0
            .env
            .get()
            .cloned()
            .expect("set before the system is handed out")
    }

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

    /// The agent at a place in the tree.
    #[must_use]
    pub fn lookup(&self, path: &Path) -> Option<AnyRef> {
        self.0.cells.get(path)
    }

    /// The agent at a place in the tree, if it takes messages of type `M`.
    #[must_use]
    pub fn lookup_typed<M: crate::Message>(&self, path: &Path) -> Option<AgentRef<M>> {
        self.lookup(path)?.typed()
    }

    /// The agent that is registered under a name: here, or else on another node, as far as the transport knows.
    #[must_use]
    pub fn whereis(&self, name: &Name) -> Option<AnyRef> {
        let here = self.0.names.get(name.as_str());
        if let Some((agent, false)) = here {
            return Some(agent);
        }
        let place = self
            .remotes()
            .and_then(|remotes| remotes.transport().whereis(name));
        match place {
            Some(place) => Some(self.at(&place)),
            None => here.map(|(agent, _)| agent),
        }
    }

    /// Notes whether the agent here that is registered under a name gives way to one of another node: then that one is found by it.
    /// For whoever settles conflicts of names. Of no effect when the agent does not have the name.
    pub fn give_way(&self, name: &Name, agent: Address, is_giving_way: bool) {
        self.0.names.give_way(name, agent, is_giving_way);
    }

    /// Reaches other nodes through `transport` from now on. Once: a second one is not taken, and false is returned.
    pub fn attach(&self, transport: Arc<dyn Transport>) -> bool {
        let remotes = Arc::new(Remotes::new(transport, self.runtime().clone()));
        let is_first = self.0.remotes.set(remotes).is_ok();
        if is_first {
            self.0.cells.index();
        }
        is_first
    }

    /// The agent with this address: here, or on another node that something came from lately in its name. What answers a sender.
    #[must_use]
    pub fn find(&self, address: Address) -> Option<AnyRef> {
        self.find_local(address).or_else(|| {
            let node = self.remotes()?.node_of(address)?;
            Some(self.remote(&node, address, None))
        })
    }

    /// The agent at a place in the cluster.
    #[must_use]
    pub fn at(&self, place: &Place) -> AnyRef {
        if place.node == *self.node()
            && let Some(local) = self.find_local(place.address)
        {
            return local;
        }
        self.remote(&place.node, place.address, Some(&place.path))
    }

    /// All registered names.
    #[must_use]
    pub fn registered(&self) -> BTreeMap<Name, AnyRef> {
        self.0.names.list()
    }

    /// The members of a group, each once: those here first, then those of other nodes that the transport knows.
    #[must_use]
    pub fn group(&self, name: &Name) -> Vec<AnyRef> {
        let mut members = self.group_here(name);
        if let Some(remotes) = self.remotes() {
            let places = remotes.transport().members(name);
            members.extend(places.iter().map(|place| self.at(place)));
        }
        members
    }

    /// The members of a group on this node, each once.
    #[must_use]
    pub fn group_here(&self, name: &Name) -> Vec<AnyRef> {
        self.0.groups.members(name.as_str())
    }

    /// All groups with members, and how many each has.
    #[must_use]
    pub fn groups(&self) -> Vec<(Name, usize)> {
        self.0.groups.list()
    }

    /// All agents of the tree; the node's own are [`System::service_agents`].
    #[must_use]
    pub fn agents(&self) -> Vec<AnyRef> {
        let mut agents = self.0.cells.all();
        agents.retain(|agent| !is_service(agent.path()));
        agents
    }

    /// How many agents there are, the node's own among them.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.0.cells.len()
    }

    /// All agents and supervisors of the tree, in order of path. Plain ractor children are known to their supervisor only.
    #[must_use]
    pub fn actors(&self) -> Vec<ActorInfo> {
        let mut actors: Vec<ActorInfo> = self.agents().iter().map(AnyRef::info).collect();
        let supervisors = self.0.supervisors.read();
        let of_the_tree = supervisors.iter().filter(|(path, _)| !is_service(path));
        actors.extend(of_the_tree.map(|(path, line)| ActorInfo {
            path: path.clone(),
            kind: "supervisor".to_owned(),
            state: line.state,
            node: self.node().clone(),
            groups: Vec::new(),
            restarts: line.restarts,
            mailbox: 0,
            address: line.pid.address,
            incarnation: line.pid.incarnation,
            began_ms: line.began_ms,
            turns: 0,
            mailbox_ms: 0,
        }));
        drop(supervisors);
        actors.sort_by(|a, b| a.path.cmp(&b.path));
        actors
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

    /// The supervisor above a place in the tree, and the name of the child there.
    async fn above(&self, path: &Path) -> Result<(SupervisorRef, Name), CallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(CallError::NotFound);
        };
        let supervisor = self.supervisor(&parent).await.ok_or(CallError::NotFound)?;
        Ok((supervisor, name))
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

    /// The stream of events.
    #[must_use]
    pub fn events(&self) -> &EventStream {
        &self.0.events
    }

    /// Publishes an event of the embedding program's own.
    pub fn publish_custom(&self, path: Option<Path>, name: &str, detail: &str) {
        self.publish(
            path,
            None,
            What::Custom {
                name: name.to_owned(),
                detail: detail.to_owned(),
            },
        );
    }

    /// The dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }

    /// Sends a dead letter's message again, to whoever is at its receiver's place now, and removes it from the store.
    ///
    /// # Errors
    /// [`ReplayError`]; the dead letter is kept then.
    pub fn replay(&self, id: u64) -> Result<(), ReplayError> {
        let (path, kept) = self.0.dead_letters.take(id)?;
        let Some(receiver) = self.lookup(&path) else {
            self.0.dead_letters.put_back(id, Some(kept));
            return Err(ReplayError::NoReceiver(path));
        };
        match kept.resend(&receiver, &path) {
            Ok(()) => {
                self.0.dead_letters.purge(id);
                Ok(())
            }
            Err((kept, error)) => {
                self.0.dead_letters.put_back(id, kept);
                Err(error)
            }
        }
    }

    /// The latest crashes, oldest first.
    #[must_use]
    pub fn crash_reports(&self) -> Vec<Arc<CrashReport>> {
        self.0.crashes.lock().iter().cloned().collect()
    }

    /// Milliseconds since the system began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.0.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since 1970 UTC, by the wall clock at the system's begin and the monotonic clock since; in steps of
    /// about 10 ms where the watchdog has a thread.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        let since = match self.0.still.options.watchdog {
            Watchdog::Thread => self.0.still.coarse_ms.load(Ordering::Relaxed),
            Watchdog::Task | Watchdog::Off => self.now_ms(),
        };
        self.0.wall_origin_ms + since
    }

    /// A number from the system's seeded source.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.random.lock().u64(..)
    }

    fn is_alive(&self, pid: Pid) -> bool {
        self.agents()
            .iter()
            .any(|agent| agent.pid() == pid && agent.is_alive())
    }

    // What the crate's own parts use.

    pub(crate) fn remotes(&self) -> Option<Arc<Remotes>> {
        self.0.remotes.get().cloned()
    }

    /// The agent with this address, if it lives here. Only with a transport: nobody else knows agents by it.
    pub(crate) fn find_local(&self, address: Address) -> Option<AnyRef> {
        self.0.cells.find(address)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// A clone that does not keep the tree alive.
    pub(crate) fn without_owner(&self) -> Self {
        Self(self.0.clone(), None)
    }

    #[inline]
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.0.still.options.hooks
    }

    pub(crate) fn send_limit(&self) -> Duration {
        self.0.still.options.send_limit
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn cells_table(&self) -> &Cells {
        &self.0.cells
    }

    pub(crate) fn groups_table(&self) -> &Groups {
        &self.0.groups
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    pub(crate) fn lookouts(&self) -> &Lookouts {
        &self.0.lookouts
    }

    /// Has the watchdog look at a shell until it is gone.
    pub(crate) fn look_out(&self, cell: Weak<dyn AnyCell>, progress: Arc<Progress>) {
        if self.0.still.options.watchdog != Watchdog::Off {
            self.0.lookouts.add(cell, progress);
        }
    }

    /// Has the watchdog see when a mailbox that was full is no longer.
    pub(crate) fn look_at_full(&self, cell: Weak<dyn AnyCell>) {
        if self.0.still.options.watchdog != Watchdog::Off {
            self.0.lookouts.add_full(cell);
        }
    }

    /// An alarm after `within`. A long one is set by the coarse clock, and may be as much off as that.
    pub(crate) fn alarm(&self, within: Duration) -> Alarm<'_> {
        let is_coarse = self.0.still.options.watchdog == Watchdog::Thread && within >= LONG_ALARM;
        let now = if is_coarse {
            let since = self.0.still.coarse_ms.load(Ordering::Relaxed);
            // The clock is behind by up to a step.
            self.0.origin + Duration::from_millis(since) + watchdog::CLOCK_STEP
        } else {
            Instant::now()
        };
        self.0.alarms.set(now, within)
    }

    pub(crate) fn monitor_id(&self) -> MonitorId {
        MonitorId(self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn timer_id(&self) -> TimerId {
        TimerId(self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.0.runtime.enter()
    }

    pub(crate) fn advance_coarse_clock(&self) {
        self.0
            .still
            .coarse_ms
            .store(self.now_ms(), Ordering::Relaxed);
    }

    /// The time in steps of some milliseconds, for what is only shown. Costs a load where the watchdog has a thread.
    #[inline]
    pub(crate) fn coarse_ms(&self) -> u32 {
        match self.0.still.options.watchdog {
            Watchdog::Thread => self.0.still.coarse_ms.load(Ordering::Relaxed) as u32,
            Watchdog::Task | Watchdog::Off => self.now_ms() as u32,
        }
    }

    /// The cell at `path`, made if it is not there.
    pub(crate) fn cell<A: Agent>(
        &self,
        path: &Path,
        plan: &Arc<Plan<A>>,
    ) -> Result<Arc<Cell<A>>, StartError> {
        if let Some(known) = self.0.cells.get(path) {
            let any: Arc<dyn Any + Send + Sync> = known.0.clone().as_any();
            match any.downcast::<Cell<A>>() {
                Ok(cell) => {
                    if !known.is_alive() {
                        cell.replan(plan);
                    }
                    return Ok(cell);
                }
                Err(_) if known.is_alive() => return Err(StartError::AlreadyStarted(known.pid())),
                // Another kind of agent takes the place.
                Err(_) => known.0.discard(),
            }
        }
        if let Some(max) = self.0.still.options.agents_max
            && !is_service(path)
            && self.0.cells.len() >= max as usize
            // The node's own are not counted, which takes a look at each.
            && self.agents().len() >= max as usize
        {
            return Err(StartError::Failed(ExitReason::Limit(Limit::Agents)));
        }
        let cell = Cell::new(
            self.env().address(),
            path.clone(),
            Self(self.0.clone(), None),
            plan.clone(),
        );
        let any: Arc<dyn AnyCell> = cell.clone();
        self.0.cells.put(AnyRef(any));
        Ok(cell)
    }

    pub(crate) fn forget(&self, core: &CellCore) {
        self.0.cells.remove(&core.path, core.address);
    }

    pub(crate) fn event(&self, core: Option<&CellCore>, what: What) {
        self.publish(
            core.map(|core| core.path.clone()),
            core.map(|core| core.pid().incarnation),
            what,
        );
    }

    fn publish(&self, path: Option<Path>, incarnation: Option<Incarnation>, what: What) {
        self.0
            .events
            .publish(self.wall_ms(), path, incarnation, what);
    }

    pub(crate) fn crashed(&self, report: Arc<CrashReport>) {
        tracing::warn!(
            path = %report.path,
            incarnation = report.pid.incarnation.0,
            reason = %report.reason,
            queued = report.queued,
            "agent crashed"
        );
        let mut crashes = self.0.crashes.lock();
        let is_full = crashes.len() == self.0.still.options.crash_reports.max(1);
        let evicted = if is_full { crashes.pop_front() } else { None };
        crashes.push_back(report);
        drop(crashes);
        drop(evicted);
    }

    pub(crate) fn bury(&self, corpse: Corpse) {
        let path = corpse.receiver.clone();
        let reason = corpse.cause.as_str();
        let (id, evicted) = self.0.dead_letters.bury(self.wall_ms(), corpse);
        if !evicted.is_empty() {
            // Whoever buries may hold a cell's lock.
            self.0
                .runtime
                .spawn(async move { crate::panics::drop_guarded(evicted) });
        }
        self.publish(
            Some(path),
            None,
            What::DeadLetter {
                id,
                reason: reason.into(),
            },
        );
    }

    pub(crate) fn services_slot(&self) -> &Services {
        &self.0.services
    }

    /// The name that the FIPA platform was started with.
    pub(crate) fn platform_slot(&self) -> &OnceLock<String> {
        &self.0.platform
    }

    pub(crate) fn gateway(&self) -> &RwLock<Option<Arc<dyn AclGateway>>> {
        &self.0.gateway
    }

    /// An ACL message that names a receiver that nobody knows.
    pub(crate) fn bury_undeliverable(&self, from: Path, sender: Address, message: AclMessage) {
        self.bury(Corpse {
            cause: DeathCause::NoReceiver,
            receiver: from,
            sender: Some(sender),
            kind: LetterKind::Acl,
            message_type: "acl",
            priority: Priority::Normal,
            acl: Some(Arc::new(message)),
            kept: None,
        });
    }

    /// Delivers what an ended cell had committed: each message waits for room at most the send limit. The task ends by
    /// itself within that time for each message.
    pub(crate) fn deliver_late(&self, outgoing: VecDeque<Box<dyn Outgoing>>) {
        let limit = self.send_limit();
        let task = self.0.runtime.spawn(async move {
            for mut out in outgoing {
                if tokio::time::timeout(limit, poll_fn(|cx| out.poll(cx)))
                    .await
                    .is_err()
                {
                    out.abandon(DeathCause::Overloaded);
                }
            }
        });
        let mut background = self.0.background.lock();
        background.retain(|task| !task.is_finished());
        background.push(task);
    }
}

/// Makes events of what supervisors report.
struct Witness(WeakSystem);

impl Observer for Witness {
    fn report(&self, report: &Report) {
        let Some(system) = self.0.upgrade() else {
            return;
        };
        match report {
            Report::Supervisor(report) => {
                let child = report.supervisor.child(&report.offender.id);
                match (&report.context, &report.reason) {
                    (Context::StartError, ReportReason::Exit(reason)) => {
                        system.publish(
                            Some(child),
                            None,
                            What::StartFailed {
                                reason: reason.clone(),
                            },
                        );
                    }
                    (Context::Shutdown, _) => system.publish(
                        Some(report.supervisor.clone()),
                        Some(report.supervisor_pid.incarnation),
                        What::Escalated {
                            reason: ExitReason::SHUTDOWN,
                        },
                    ),
                    _ => {}
                }
            }
            Report::Progress(_) => {}
            Report::SupervisorStarted { supervisor, pid } => {
                let mut supervisors = system.0.supervisors.write();
                let line = supervisors
                    .entry(supervisor.clone())
                    .or_insert(SupervisorLine {
                        pid: *pid,
                        began_ms: 0,
                        state: ActorState::Running,
                        restarts: 0,
                    });
                line.pid = *pid;
                line.began_ms = system.wall_ms();
                line.state = ActorState::Running;
                line.restarts =
                    u32::try_from(pid.incarnation.0.saturating_sub(1)).unwrap_or(u32::MAX);
                drop(supervisors);
                system.publish(
                    Some(supervisor.clone()),
                    Some(pid.incarnation),
                    What::Started,
                );
            }
            Report::SupervisorStopping { .. } => {}
            Report::SupervisorEnded {
                supervisor,
                pid,
                reason,
            } => {
                let mut supervisors = system.0.supervisors.write();
                if let Some(line) = supervisors.get_mut(supervisor)
                    && line.pid == *pid
                {
                    line.state = ActorState::Stopped;
                }
                if supervisors.len() > ENDED_SUPERVISORS_MAX {
                    // Dynamic ones that come and go would fill the table; what is stopped can be asked of its supervisor.
                    supervisors.retain(|_, line| line.state.is_alive());
                }
                drop(supervisors);
                system.publish(
                    Some(supervisor.clone()),
                    Some(pid.incarnation),
                    What::Exited {
                        reason: reason.clone(),
                    },
                );
            }
        }
    }
}
