//! Why an actor ended. A closed set: nothing parses reason strings.

use serde::{Deserialize, Serialize};
use std::backtrace::Backtrace;
use std::fmt;
use std::sync::Arc;

/// Why one life of an actor ended. Cheap to clone: a death is told to many.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// It was done.
    Normal,
    /// It was told to stop, or stopped in an orderly way by itself; with what it had to say about it.
    Shutdown(Option<Arc<str>>),
    /// It was ended without being asked.
    Killed,
    /// Its code returned an error.
    Error(Arc<ErrorChain>),
    /// Its code panicked.
    Panic(Arc<PanicReport>),
    /// It went beyond what it is allowed.
    Limit(Limit),
    /// There was no such actor.
    NoProc,
    /// It is on a node that cannot be reached.
    Unreachable,
}

/// Which limit an actor broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// A turn took longer than its deadline.
    TurnTime,
    /// Its start took longer than its start time-out.
    StartTime,
    /// It asked for more effects in one turn than one turn may have.
    Effects,
    /// It used more memory than it is granted.
    Memory,
    /// It used more computing time or fuel than it is granted.
    Cpu,
    /// Its calls went deeper than its stack.
    Stack,
    /// It wanted a bigger table than it is granted.
    Table,
    /// It went on sending messages that are longer than it is granted.
    MessageSize,
    /// It went on sending more often than it is granted.
    SendRate,
    /// It went on logging more than it is granted.
    LogVolume,
    /// It went on having more kept by its host than it is granted.
    HostBytes,
    /// It went on setting more timers than it is granted.
    Timers,
    /// Its node has as many agents as it takes.
    Agents,
}

/// An error and its causes, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorChain {
    /// What was reported, then what caused it, and so on. Never empty.
    pub messages: Vec<String>,
}

/// A panic's message and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PanicReport {
    /// The text that the code panicked with.
    pub message: String,
    /// File, line and column, where a panic hook noted them.
    pub location: Option<String>,
    /// The stack, captured unresolved; turned into text when it is shown. Absent when captures are being rate-limited,
    /// and after it crossed a wire unless it was resolved there.
    #[serde(skip)]
    pub backtrace: Option<Arc<Backtrace>>,
    /// The stack of code that is not native (a WebAssembly guest), innermost first, as `module!function`.
    #[serde(default)]
    pub frames: Vec<String>,
}

impl ExitReason {
    /// An orderly end without further words.
    pub const SHUTDOWN: Self = Self::Shutdown(None);

    /// The reason for an error value: its message and those of its sources.
    #[must_use]
    pub fn error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut messages = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            messages.push(error.to_string());
            next = error.source();
        }
        Self::Error(Arc::new(ErrorChain { messages }))
    }

    /// The reason for an error that is only a text.
    #[must_use]
    pub fn error_text(message: impl Into<String>) -> Self {
        Self::Error(Arc::new(ErrorChain {
            messages: vec![message.into()],
        }))
    }

    /// The reason for a panic with no more than its message.
    #[must_use]
    pub fn panic_text(message: impl Into<String>) -> Self {
        Self::Panic(Arc::new(PanicReport {
            message: message.into(),
            location: None,
            backtrace: None,
            frames: Vec::new(),
        }))
    }

    /// Whether this is a clean end: `normal` or `shutdown`, with or without words. A transient child with a clean end is
    /// not restarted.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown(_))
    }

    /// The reason's kind as one stable lowercase word: what logs, the API and the command line show in a column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown(_) => "shutdown",
            Self::Killed => "killed",
            Self::Error(_) => "error",
            Self::Panic(_) => "panic",
            Self::Limit(_) => "limit",
            Self::NoProc => "noproc",
            Self::Unreachable => "unreachable",
        }
    }
}

impl PartialEq for ExitReason {
    /// Two reasons are equal when kind and words are; backtraces play no part.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Normal, Self::Normal)
            | (Self::Killed, Self::Killed)
            | (Self::NoProc, Self::NoProc)
            | (Self::Unreachable, Self::Unreachable) => true,
            (Self::Shutdown(a), Self::Shutdown(b)) => a == b,
            (Self::Error(a), Self::Error(b)) => a == b,
            (Self::Panic(a), Self::Panic(b)) => a.message == b.message,
            (Self::Limit(a), Self::Limit(b)) => a == b,
            (
                Self::Normal
                | Self::Shutdown(_)
                | Self::Killed
                | Self::Error(_)
                | Self::Panic(_)
                | Self::Limit(_)
                | Self::NoProc
                | Self::Unreachable,
                _,
            ) => false,
        }
    }
}

impl Eq for ExitReason {}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown(Some(info)) => write!(f, "shutdown({info})"),
            Self::Error(chain) => write!(f, "error({chain})"),
            Self::Panic(report) => write!(f, "panic({report})"),
            Self::Limit(limit) => write!(f, "limit({limit})"),
            Self::Normal
            | Self::Shutdown(None)
            | Self::Killed
            | Self::NoProc
            | Self::Unreachable => f.write_str(self.kind()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TurnTime => "turn-time",
            Self::StartTime => "start-time",
            Self::Effects => "effects",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Stack => "stack",
            Self::Table => "table",
            Self::MessageSize => "message-size",
            Self::SendRate => "send-rate",
            Self::LogVolume => "log-volume",
            Self::HostBytes => "host-bytes",
            Self::Timers => "timers",
            Self::Agents => "agents",
        })
    }
}

impl fmt::Display for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join(": "))
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "{} at {location}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_and_shutdown_are_clean() {
        assert!(ExitReason::Normal.is_clean());
        assert!(ExitReason::Shutdown(Some("done".into())).is_clean());
        for reason in [
            ExitReason::Killed,
            ExitReason::error_text("x"),
            ExitReason::panic_text("x"),
            ExitReason::Limit(Limit::TurnTime),
            ExitReason::NoProc,
            ExitReason::Unreachable,
        ] {
            assert!(!reason.is_clean(), "{reason}");
        }
    }

    #[test]
    fn a_reason_survives_json_and_postcard_without_its_backtrace() {
        for reason in [
            ExitReason::SHUTDOWN,
            ExitReason::panic_text("boom"),
            ExitReason::error_text("cause"),
            ExitReason::Limit(Limit::Memory),
        ] {
            let json = serde_json::to_string(&reason).expect("serializes");
            assert_eq!(
                serde_json::from_str::<ExitReason>(&json).expect("parses"),
                reason
            );
            let bytes = postcard::to_allocvec(&reason).expect("serializes");
            assert_eq!(
                postcard::from_bytes::<ExitReason>(&bytes).expect("parses"),
                reason
            );
        }
    }
}
