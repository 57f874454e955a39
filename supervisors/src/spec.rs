//! Child specs and supervisor flags: what a supervisor is told to look after, and the check that it makes sense.

use crate::child::StartChild;
use crate::supervisor::SupervisorChild;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Name};

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end only.
    Transient,
    /// Never; its spec goes with it.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Killed at once; its cleanup code does not run.
    BrutalKill,
    /// Told to stop, and killed when it has not ended after this time. Zero is legal: it is told, then killed.
    Timeout(Duration),
    /// Told to stop, and waited for as long as it takes. Right for supervisors, whose children need their own time.
    Infinity,
}

impl Shutdown {
    /// The default of a worker.
    pub const WORKER_DEFAULT: Self = Self::Timeout(Duration::from_millis(5000));

    fn default_of(child_type: ChildType) -> Self {
        match child_type {
            ChildType::Worker => Self::WORKER_DEFAULT,
            ChildType::Supervisor => Self::Infinity,
        }
    }
}

/// What a child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChildType {
    /// It does the work.
    #[default]
    Worker,
    /// It has children of its own.
    Supervisor,
}

/// A growing delay between the attempts to restart one child; opt-in, OTP has none (S73).
///
/// The n-th attempt in a row waits `initial * 2^(n-1)`, at most `cap`, of which up to the `jitter` share is taken off at
/// random. The row ends when a life lasted longer than `cap`. While the delay runs the supervisor serves its calls and
/// the slot is `restarting`. Attempts count against the intensity as always, when they are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first delay.
    pub initial: Duration,
    /// The longest delay.
    pub cap: Duration,
    /// The share of a delay that chance may take off, from 0 (none) to 1.
    pub jitter: f64,
}

impl Backoff {
    /// A delay that begins with `initial`, doubles up to `cap`, and has a fifth of jitter.
    #[must_use]
    pub fn exponential(initial: Duration, cap: Duration) -> Self {
        Self {
            initial,
            cap,
            jitter: 0.2,
        }
    }
}

/// How one child is started, stopped and restarted.
///
/// A spec of a `simple_one_for_one` supervisor is the template of its instances: its start function reads the arguments
/// of the instance from [`Link::args`](crate::Link::args).
#[derive(Clone)]
pub struct ChildSpec {
    /// Its name below its supervisor.
    pub id: Name,
    /// Its start function.
    pub start: Arc<dyn StartChild>,
    /// When it is started again. Default: permanent.
    pub restart: Restart,
    /// How it is stopped. Default: 5 s for a worker, no limit for a supervisor.
    pub shutdown: Shutdown,
    /// What it is. Default: worker.
    pub child_type: ChildType,
    /// Whether its own end counts for automatic shutdown (see [`AutoShutdown`]). Default: no.
    pub significant: bool,
    /// A delay before each restart. Default: none, as in OTP.
    pub restart_delay: Option<Backoff>,
    /// The longest time that a start may take; longer is a failed start with reason `limit(start-time)`. Default: no limit,
    /// as in OTP.
    pub start_timeout: Option<Duration>,
}

impl ChildSpec {
    /// A worker with OTP's defaults.
    #[must_use]
    pub fn new(id: Name, start: Arc<dyn StartChild>) -> Self {
        Self {
            id,
            start,
            restart: Restart::Permanent,
            shutdown: Shutdown::WORKER_DEFAULT,
            child_type: ChildType::Worker,
            significant: false,
            restart_delay: None,
            start_timeout: None,
        }
    }

    /// A supervisor below this one, with OTP's defaults.
    #[must_use]
    pub fn supervisor(id: Name, init: impl SupervisorInit) -> Self {
        Self::new(id, Arc::new(SupervisorChild::new(init))).child_type(ChildType::Supervisor)
    }

    /// Sets when it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how it is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Sets what it is. A shutdown that is still the default of the old type becomes the default of the new one.
    #[must_use]
    pub fn child_type(mut self, child_type: ChildType) -> Self {
        if self.shutdown == Shutdown::default_of(self.child_type) {
            self.shutdown = Shutdown::default_of(child_type);
        }
        self.child_type = child_type;
        self
    }

    /// Sets whether its own end counts for automatic shutdown.
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Sets a delay before each restart.
    #[must_use]
    pub fn restart_delay(mut self, delay: Backoff) -> Self {
        self.restart_delay = Some(delay);
        self
    }

    /// Sets the longest time that a start may take.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = Some(timeout);
        self
    }
}

impl std::fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .field("child_type", &self.child_type)
            .field("significant", &self.significant)
            .finish_non_exhaustive()
    }
}

/// Who is restarted when one child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// That child only.
    #[default]
    OneForOne,
    /// All children.
    OneForAll,
    /// That child and those started after it.
    RestForOne,
    /// That child only; all children are instances of one template and are started at run time.
    SimpleOneForOne,
}

/// Whether a supervisor ends when significant children ended by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// It does not.
    #[default]
    Never,
    /// It ends with the first of them.
    AnySignificant,
    /// It ends with the last of them.
    AllSignificant,
}

/// How restarts are stamped for the intensity window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Window {
    /// As OTP: in whole seconds, the bound included, so that the real window lies between `period` and `period` plus one
    /// second (S69, S70). A period with a fraction is rounded up.
    #[default]
    WholeSeconds,
    /// To the nanosecond; opt-in.
    Exact,
}

/// How a supervisor behaves as a whole. The default is OTP's: `one_for_one`, one restart in five seconds, no automatic shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupervisorFlags {
    /// Who is restarted when one child is.
    pub strategy: Strategy,
    /// How many restarts within `period` are borne; one more ends the supervisor.
    pub intensity: u32,
    /// See `intensity`. Not zero.
    pub period: Duration,
    /// Whether it ends when significant children did.
    pub auto_shutdown: AutoShutdown,
    /// How restarts are stamped.
    pub window: Window,
    /// How many children it has at most, stopped ones included; one more is refused. None: any number, as in OTP.
    pub children_max: Option<u32>,
}

impl Default for SupervisorFlags {
    fn default() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            window: Window::WholeSeconds,
            children_max: None,
        }
    }
}

impl SupervisorFlags {
    /// The defaults with this strategy.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            ..Self::default()
        }
    }

    /// Sets how many restarts are borne within how long.
    #[must_use]
    pub fn intensity(mut self, intensity: u32, period: Duration) -> Self {
        self.intensity = intensity;
        self.period = period;
        self
    }

    /// Sets whether it ends when significant children did.
    #[must_use]
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Sets how restarts are stamped.
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Sets how many children it has at most. OTP has no such bound; Elixir's DynamicSupervisor has (`max_children`).
    #[must_use]
    pub fn children_max(mut self, children_max: u32) -> Self {
        self.children_max = Some(children_max);
        self
    }
}

/// What a supervisor's init returns: its flags and its children in start order. Under `simple_one_for_one` the one spec is
/// the template.
#[derive(Clone, Debug, Default)]
pub struct SupervisorSpec {
    /// How it behaves.
    pub flags: SupervisorFlags,
    /// Whom it looks after.
    pub children: Vec<ChildSpec>,
}

impl SupervisorSpec {
    /// Puts the two together.
    #[must_use]
    pub fn new(flags: SupervisorFlags, children: Vec<ChildSpec>) -> Self {
        Self { flags, children }
    }
}

/// A supervisor's init: says what to look after, anew for each life of the supervisor. Any
/// `Fn() -> Result<Option<SupervisorSpec>, ExitReason>` is one.
pub trait SupervisorInit: Send + Sync + 'static {
    /// The flags and children, or none when the supervisor does not want to run now.
    ///
    /// # Errors
    /// The reason why it cannot run. A panic counts as one.
    fn init(&self) -> Result<Option<SupervisorSpec>, ExitReason>;
}

impl<F> SupervisorInit for F
where
    F: Fn() -> Result<Option<SupervisorSpec>, ExitReason> + Send + Sync + 'static,
{
    fn init(&self) -> Result<Option<SupervisorSpec>, ExitReason> {
        self()
    }
}

impl SupervisorInit for SupervisorSpec {
    fn init(&self) -> Result<Option<SupervisorSpec>, ExitReason> {
        Ok(Some(self.clone()))
    }
}

/// Why flags and child specs do not fit together. Nothing was started or changed; the same input fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The period is zero.
    #[error("the period of a supervisor must be longer than zero")]
    InvalidPeriod,
    /// Two specs have the same id.
    #[error("two children are called {0}")]
    DuplicateChild(Name),
    /// A significant child needs an automatic shutdown that it can be significant for.
    #[error("child {0} is significant, but its supervisor never shuts down automatically")]
    SignificantWithoutAutoShutdown(Name),
    /// A permanent child never ends for good, so that it cannot be significant.
    #[error("child {0} is significant and permanent; significant needs transient or temporary")]
    SignificantAndPermanent(Name),
    /// `simple_one_for_one` takes exactly one spec, the template.
    #[error("simple_one_for_one takes exactly one child spec, not {0}")]
    NotOneTemplate(usize),
    /// More children than the supervisor may have.
    #[error("{children} children, and the supervisor has at most {max}")]
    TooManyChildren {
        /// How many there are.
        children: usize,
        /// How many there may be.
        max: u32,
    },
    /// Automatic shutdown does not go with `simple_one_for_one` (S142).
    #[error("simple_one_for_one does not go with automatic shutdown")]
    SimpleWithAutoShutdown,
    /// A live supervisor cannot be changed to or from `simple_one_for_one`.
    #[error("a running supervisor cannot be changed to or from simple_one_for_one")]
    StrategyChange,
    /// A back-off whose jitter is not between 0 and 1.
    #[error("child {0}: the jitter of a restart delay must be between 0 and 1")]
    InvalidJitter(Name),
}

/// Checks child specs as a supervisor with this automatic shutdown would, without one (S29).
///
/// # Errors
/// The first [`SpecError`] found, in the order of the list.
pub fn check_childspecs(
    children: &[ChildSpec],
    auto_shutdown: AutoShutdown,
) -> Result<(), SpecError> {
    let mut ids = HashSet::with_capacity(children.len());
    for spec in children {
        check_child(spec, auto_shutdown)?;
        if !ids.insert(&spec.id) {
            return Err(SpecError::DuplicateChild(spec.id.clone()));
        }
    }
    Ok(())
}

pub(crate) fn check_child(spec: &ChildSpec, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    if spec.significant && spec.restart == Restart::Permanent {
        return Err(SpecError::SignificantAndPermanent(spec.id.clone()));
    }
    if spec.significant && auto_shutdown == AutoShutdown::Never {
        return Err(SpecError::SignificantWithoutAutoShutdown(spec.id.clone()));
    }
    if let Some(backoff) = spec.restart_delay
        && !(0.0..=1.0).contains(&backoff.jitter)
    {
        return Err(SpecError::InvalidJitter(spec.id.clone()));
    }
    Ok(())
}

pub(crate) fn check_flags(flags: &SupervisorFlags) -> Result<(), SpecError> {
    if flags.period.is_zero() {
        return Err(SpecError::InvalidPeriod);
    }
    if flags.strategy == Strategy::SimpleOneForOne && flags.auto_shutdown != AutoShutdown::Never {
        return Err(SpecError::SimpleWithAutoShutdown);
    }
    Ok(())
}

impl SupervisorSpec {
    /// Checks flags and children together, as the supervisor does when it starts.
    ///
    /// # Errors
    /// The first [`SpecError`] found.
    pub fn check(&self) -> Result<(), SpecError> {
        check_flags(&self.flags)?;
        if self.flags.strategy == Strategy::SimpleOneForOne && self.children.len() != 1 {
            return Err(SpecError::NotOneTemplate(self.children.len()));
        }
        if let Some(max) = self.flags.children_max
            && self.flags.strategy != Strategy::SimpleOneForOne
            && self.children.len() > max as usize
        {
            let children = self.children.len();
            return Err(SpecError::TooManyChildren { children, max });
        }
        check_childspecs(&self.children, self.flags.auto_shutdown)
    }
}
