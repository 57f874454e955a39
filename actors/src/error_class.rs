//! What kind of error it is, how bad, and what to do: as data, so that a program can decide.

use crate::ask::AskError;
use crate::chaos::ChaosError;
use crate::dead_letters::ReplayError;
use crate::reference::{NotSent, SendError};
use crate::turn::TurnError;
use serde::{Deserialize, Serialize};
use swarm_protocols::ExitReason;
use swarm_supervisors::{CallError, SpecError, StartError};

/// Where an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The running of an agent: a crash, a missing answer.
    Runtime,
    /// The tree: a start that failed, a supervisor that gave up or refused.
    Supervision,
    /// What was asked for cannot be: a spec, a plan, a name.
    Configuration,
    /// A bound was reached.
    Resource,
    /// Another node cannot be reached.
    Network,
    /// The journal.
    Persistence,
}

/// How bad an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Part of ordinary work.
    Notice,
    /// One request or message is affected.
    Warning,
    /// One agent is affected.
    Error,
    /// A part of the tree is affected.
    Critical,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// Start the agent again.
    Restart,
    /// Hand it to the supervisor above.
    Escalate,
    /// Correct what was asked for and load it again.
    Reload,
    /// Do the same again, later.
    Retry,
    /// Stop asking for a while.
    BreakCircuit,
    /// Ask another one.
    FailOver,
}

/// An error's kind, severity and recommended recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ErrorClass {
    /// Where it comes from.
    pub kind: ErrorKind,
    /// How bad it is.
    pub severity: Severity,
    /// What to do.
    pub recovery: Recovery,
}

/// An error that knows its class.
pub trait Classify {
    /// Its class.
    fn class(&self) -> ErrorClass;
}

const fn class(kind: ErrorKind, severity: Severity, recovery: Recovery) -> ErrorClass {
    ErrorClass {
        kind,
        severity,
        recovery,
    }
}

impl Classify for NotSent {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Full => class(ErrorKind::Resource, Severity::Warning, Recovery::Retry),
            Self::Refused => class(
                ErrorKind::Runtime,
                Severity::Warning,
                Recovery::BreakCircuit,
            ),
            Self::Ended => class(ErrorKind::Runtime, Severity::Error, Recovery::FailOver),
            Self::Rejected(_) | Self::NotCarried(_) => class(
                ErrorKind::Configuration,
                Severity::Warning,
                Recovery::Reload,
            ),
            Self::Unreachable => class(ErrorKind::Network, Severity::Error, Recovery::FailOver),
        }
    }
}

impl<M> Classify for SendError<M> {
    fn class(&self) -> ErrorClass {
        self.why.class()
    }
}

impl Classify for AskError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Timeout { .. } => class(
                ErrorKind::Runtime,
                Severity::Warning,
                Recovery::BreakCircuit,
            ),
            Self::NoProc => class(ErrorKind::Runtime, Severity::Error, Recovery::FailOver),
            Self::Crashed(_) => class(ErrorKind::Runtime, Severity::Error, Recovery::Retry),
            Self::NoReply => class(ErrorKind::Runtime, Severity::Warning, Recovery::Retry),
            Self::Refused => class(
                ErrorKind::Runtime,
                Severity::Warning,
                Recovery::BreakCircuit,
            ),
            Self::Full => class(ErrorKind::Resource, Severity::Warning, Recovery::Retry),
            Self::Unreachable => class(ErrorKind::Network, Severity::Error, Recovery::FailOver),
            Self::ToSelf => class(ErrorKind::Configuration, Severity::Error, Recovery::Reload),
        }
    }
}

impl Classify for TurnError {
    fn class(&self) -> ErrorClass {
        class(
            ErrorKind::Resource,
            Severity::Warning,
            Recovery::BreakCircuit,
        )
    }
}

impl Classify for ReplayError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound(_) | Self::NotKept(_) | Self::WrongType(_) => class(
                ErrorKind::Configuration,
                Severity::Warning,
                Recovery::Reload,
            ),
            Self::NoReceiver(_) => class(ErrorKind::Runtime, Severity::Warning, Recovery::Restart),
            Self::NotTaken(_) => class(ErrorKind::Resource, Severity::Warning, Recovery::Retry),
        }
    }
}

impl Classify for ChaosError {
    fn class(&self) -> ErrorClass {
        class(
            ErrorKind::Configuration,
            Severity::Warning,
            Recovery::Reload,
        )
    }
}

impl Classify for ExitReason {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Normal | Self::Shutdown(_) => {
                class(ErrorKind::Runtime, Severity::Notice, Recovery::Restart)
            }
            Self::Killed | Self::Error(_) | Self::Panic(_) => {
                class(ErrorKind::Runtime, Severity::Error, Recovery::Restart)
            }
            Self::Limit(_) => class(ErrorKind::Resource, Severity::Error, Recovery::Restart),
            Self::NoProc => class(ErrorKind::Runtime, Severity::Warning, Recovery::FailOver),
            Self::Unreachable => class(ErrorKind::Network, Severity::Error, Recovery::FailOver),
        }
    }
}

impl Classify for StartError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Ignore => class(ErrorKind::Supervision, Severity::Notice, Recovery::Reload),
            Self::Failed(_) | Self::Child { .. } => class(
                ErrorKind::Supervision,
                Severity::Critical,
                Recovery::Escalate,
            ),
            Self::Invalid(_) | Self::AlreadyStarted(_) => {
                class(ErrorKind::Configuration, Severity::Error, Recovery::Reload)
            }
        }
    }
}

impl Classify for SpecError {
    fn class(&self) -> ErrorClass {
        class(ErrorKind::Configuration, Severity::Error, Recovery::Reload)
    }
}

impl Classify for CallError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::StartFailed(_) => {
                class(ErrorKind::Supervision, Severity::Error, Recovery::Escalate)
            }
            Self::Restarting | Self::Full { .. } => {
                class(ErrorKind::Supervision, Severity::Warning, Recovery::Retry)
            }
            Self::NoProc => class(
                ErrorKind::Supervision,
                Severity::Critical,
                Recovery::Escalate,
            ),
            Self::AlreadyStarted(_)
            | Self::AlreadyPresent
            | Self::Running
            | Self::NotFound
            | Self::SimpleOneForOne
            | Self::NotSimpleOneForOne
            | Self::Temporary
            | Self::Invalid(_) => class(
                ErrorKind::Configuration,
                Severity::Warning,
                Recovery::Reload,
            ),
        }
    }
}
