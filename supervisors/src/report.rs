//! What supervisors say about their work: data first, formatted only when somebody reads it (S155 to S158).

use crate::child::StartError;
use crate::spec::{ChildType, Restart, Shutdown};
use std::fmt::Write as _;
use swarm_protocols::{ExitReason, Name, Path, Pid};

/// Who is told of starts, ends and failures. Called by the supervisor between two of its steps: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something was reported.
    fn report(&self, report: &Report);
}

/// Everything that supervisors report.
#[derive(Clone, Debug)]
pub enum Report {
    /// Something went wrong with a child.
    Supervisor(SupervisorReport),
    /// A child was started.
    Progress(ProgressReport),
    /// A supervisor was started and all its children are.
    SupervisorStarted {
        /// Where it is.
        supervisor: Path,
        /// Which life of it.
        pid: Pid,
    },
    /// A supervisor was told to shut down by its parent.
    SupervisorStopping {
        /// Where it is.
        supervisor: Path,
        /// Which life of it.
        pid: Pid,
    },
    /// A supervisor ended. When it was killed, its children are still to be killed; otherwise they are gone.
    SupervisorEnded {
        /// Where it was.
        supervisor: Path,
        /// Which life of it.
        pid: Pid,
        /// Why it ended.
        reason: ExitReason,
    },
}

/// Something went wrong with a child.
#[derive(Clone, Debug)]
pub struct SupervisorReport {
    /// Who reports.
    pub supervisor: Path,
    /// Which life of it.
    pub supervisor_pid: Pid,
    /// In the course of what.
    pub context: Context,
    /// What happened.
    pub reason: ReportReason,
    /// To whom.
    pub offender: Offender,
}

/// A child was started.
#[derive(Clone, Debug)]
pub struct ProgressReport {
    /// Who started it.
    pub supervisor: Path,
    /// Which life of it.
    pub supervisor_pid: Pid,
    /// The child.
    pub started: Offender,
    /// Whether somebody called for it, rather than init or an automatic restart. Those are logged at debug level only.
    pub by_call: bool,
}

/// OTP's `errorContext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// A child did not start.
    StartError,
    /// A child ended by itself.
    ChildTerminated,
    /// A child ended otherwise than it should while it was being stopped.
    ShutdownError,
    /// The supervisor gives up.
    Shutdown,
}

impl Context {
    /// OTP's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartError => "start_error",
            Self::ChildTerminated => "child_terminated",
            Self::ShutdownError => "shutdown_error",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The reason in a supervisor report.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportReason {
    /// A child ended with this.
    Exit(ExitReason),
    /// A child did not start, for this reason.
    Start(StartError),
    /// There were more restarts than the supervisor bears.
    ReachedMaxRestartIntensity,
}

impl std::fmt::Display for ReportReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(reason) => reason.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::ReachedMaxRestartIntensity => f.write_str("reached_max_restart_intensity"),
        }
    }
}

/// The child that a report is about. Its start arguments are not part of it: they may be large, and secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Which life, or how many children at once.
    pub pid: OffenderPid,
    /// Its name below its supervisor; for a `simple_one_for_one` child that of its instance.
    pub id: Name,
    /// When it is restarted.
    pub restart: Restart,
    /// Whether it is significant.
    pub significant: bool,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// What it is.
    pub child_type: ChildType,
}

/// Which life a report is about, or how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffenderPid {
    /// None is running.
    Undefined,
    /// This one.
    Pid(Pid),
    /// So many children with the same fate (S50).
    Children(usize),
}

/// How loud a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Hidden unless asked for.
    Debug,
    /// Ordinary progress.
    Info,
    /// A failure.
    Error,
}

/// How much of a report is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatLimits {
    /// How many links of a cause chain a reason shows; the rest becomes `...`.
    pub depth: Option<usize>,
    /// How many characters the whole text has at most.
    pub chars: Option<usize>,
}

impl Report {
    /// How loud this report is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Supervisor(_) => Level::Error,
            Self::Progress(progress) if progress.by_call => Level::Debug,
            Self::Progress(_) => Level::Info,
            Self::SupervisorStarted { .. }
            | Self::SupervisorStopping { .. }
            | Self::SupervisorEnded { .. } => Level::Debug,
        }
    }

    /// The report in one line, as `Supervisor: X. Context: E. Reason: R. Offender: id=…,pid=….`
    #[must_use]
    pub fn single_line(&self, limits: FormatLimits) -> String {
        let text = match self {
            Self::Supervisor(r) => format!(
                "Supervisor: {}. Context: {}. Reason: {}. Offender: id={},{}.",
                r.supervisor,
                r.context.as_str(),
                shorten(&r.reason, limits.depth),
                r.offender.id,
                r.offender.pid_text(),
            ),
            Self::Progress(p) => format!(
                "Supervisor: {}. Started: id={},{}.",
                p.supervisor,
                p.started.id,
                p.started.pid_text(),
            ),
            Self::SupervisorStarted { supervisor, pid } => {
                format!("Supervisor: {supervisor}. Started: pid={pid}.")
            }
            Self::SupervisorStopping { supervisor, pid } => {
                format!("Supervisor: {supervisor}. Stopping: pid={pid}.")
            }
            Self::SupervisorEnded {
                supervisor,
                pid,
                reason,
            } => format!("Supervisor: {supervisor}. Ended: pid={pid}. Reason: {reason}."),
        };
        cut(text, limits.chars)
    }

    /// The report over several lines, with all fields of the child.
    #[must_use]
    pub fn multi_line(&self, limits: FormatLimits) -> String {
        let text = match self {
            Self::Supervisor(r) => format!(
                "    supervisor: {}\n    errorContext: {}\n    reason: {}\n    offender: {}",
                r.supervisor,
                r.context.as_str(),
                shorten(&r.reason, limits.depth),
                r.offender.fields(),
            ),
            Self::Progress(p) => format!(
                "    supervisor: {}\n    started: {}",
                p.supervisor,
                p.started.fields()
            ),
            Self::SupervisorStarted { supervisor, pid } => {
                format!("    supervisor: {supervisor}\n    started: {pid}")
            }
            Self::SupervisorStopping { supervisor, pid } => {
                format!("    supervisor: {supervisor}\n    stopping: {pid}")
            }
            Self::SupervisorEnded {
                supervisor,
                pid,
                reason,
            } => format!("    supervisor: {supervisor}\n    ended: {pid}\n    reason: {reason}"),
        };
        cut(text, limits.chars)
    }
}

impl Offender {
    fn pid_text(&self) -> String {
        match self.pid {
            OffenderPid::Undefined => "pid=undefined".to_owned(),
            OffenderPid::Pid(pid) => format!("pid={pid}"),
            OffenderPid::Children(n) => format!("nb_children={n}"),
        }
    }

    fn fields(&self) -> String {
        let shutdown = match self.shutdown {
            Shutdown::BrutalKill => "brutal_kill".to_owned(),
            Shutdown::Timeout(time) => time.as_millis().to_string(),
            Shutdown::Infinity => "infinity".to_owned(),
        };
        format!(
            "[{}, id={}, restart_type={}, significant={}, shutdown={}, child_type={}]",
            self.pid_text(),
            self.id,
            match self.restart {
                Restart::Permanent => "permanent",
                Restart::Transient => "transient",
                Restart::Temporary => "temporary",
            },
            self.significant,
            shutdown,
            match self.child_type {
                ChildType::Worker => "worker",
                ChildType::Supervisor => "supervisor",
            },
        )
    }
}

fn shorten(reason: &ReportReason, depth: Option<usize>) -> String {
    let chain = match reason {
        ReportReason::Exit(ExitReason::Error(chain))
        | ReportReason::Start(StartError::Failed(ExitReason::Error(chain))) => chain,
        ReportReason::Exit(_)
        | ReportReason::Start(_)
        | ReportReason::ReachedMaxRestartIntensity => return reason.to_string(),
    };
    match depth {
        Some(depth) if depth < chain.messages.len() => {
            let mut text = String::from("error(");
            for message in &chain.messages[..depth] {
                let _ = write!(text, "{message}: ");
            }
            text.push_str("...)");
            text
        }
        Some(_) | None => reason.to_string(),
    }
}

fn cut(text: String, chars: Option<usize>) -> String {
    const ELLIPSIS: &str = "...";
    match chars {
        Some(max) if text.chars().count() > max => {
            let kept = max.saturating_sub(ELLIPSIS.len());
            let mut short: String = text.chars().take(kept).collect();
            short.extend(ELLIPSIS.chars().take(max));
            short
        }
        Some(_) | None => text,
    }
}

/// Passes reports to `tracing`: failures as errors, starts as info, starts that somebody called for as debug.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn report(&self, report: &Report) {
        let text = |report: &Report| report.single_line(FormatLimits::default());
        match report.level() {
            Level::Error => {
                tracing::error!(target: "swarm::supervisor", "{}", text(report));
            }
            Level::Info => tracing::info!(target: "swarm::supervisor", "{}", text(report)),
            Level::Debug => tracing::debug!(target: "swarm::supervisor", "{}", text(report)),
        }
    }
}
