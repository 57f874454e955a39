//! The system: what the agents of one node share. Two systems can live in one process and know nothing of each other.

mod find;
mod letters;
mod tree;
mod witness;

use crate::agent::Agent;
use crate::alarms::{Alarm, Alarms};
use crate::cell::Cell;
use crate::cell::core::CellCore;
use crate::dead_letters::{DEAD_LETTERS_DEFAULT, DeadLetters};
use crate::events::{EVENT_HISTORY_DEFAULT, EventStream};
use crate::gateway::AclGateway;
use crate::groups::Groups;
use crate::hooks::Hooks;
use crate::info::ActorState;
use crate::recorder::CrashReport;
use crate::reference::{AnyCell, AnyRef};
use crate::registry::{Cells, Names};
use crate::remote::Remotes;
use crate::services::{Services, is_service};
use crate::signal::MonitorId;
use crate::spec::Plan;
use crate::sync_plain::{Mutex, RwLock};
use crate::timers::{TimerId, Timers};
use crate::watchdog::{self, Lookouts, Progress, WATCHDOG_INTERVAL_DEFAULT, Watchdog};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use swarm_protocols::{ExitReason, Limit, Name, Path, Pid};
use swarm_supervisors::{Env, Root, StartError};
use tokio::runtime::{EnterGuard, Handle};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use witness::Witness;

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
}
