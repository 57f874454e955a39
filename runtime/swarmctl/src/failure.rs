//! How a command ends when it does not end well.

use crate::exit::ExitStatus;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::io;

/// A failure as it is told: what went wrong, its stable code, and what to do next. There is always a next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// What happened, for people.
    pub(crate) error: String,
    /// A stable word in kebab-case, for programs.
    pub(crate) code: String,
    #[serde(rename = "try")]
    pub(crate) next_step: String,
    #[serde(serialize_with = "exit_code")]
    pub(crate) exit: ExitStatus,
    /// The single mistakes of a file, for programs; `error` has them in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Value>,
}

fn exit_code<S: serde::Serializer>(status: &ExitStatus, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(status.code())
}

impl Failure {
    pub(crate) fn new(
        exit: ExitStatus,
        code: &str,
        error: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            error: error.into(),
            code: code.to_owned(),
            next_step: next_step.into(),
            exit,
            problems: Vec::new(),
        }
    }

    /// The command line, or something it names, cannot be used.
    pub(crate) fn usage(error: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, "usage", error, next_step)
    }

    /// A file could not be read or written; names it and, for a relative path, what it is relative to.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        let place = match std::env::current_dir() {
            Ok(folder) if path.is_relative() => format!(" (in {})", folder.display()),
            Ok(_) | Err(_) => String::new(),
        };
        let message = format!("cannot {doing} {}{place}: {error}", path.display());
        let (exit, code, next_step) = match error.kind() {
            io::ErrorKind::NotFound => (
                ExitStatus::NotFound,
                "file-not-found",
                "check the path; relative paths start at the working directory",
            ),
            io::ErrorKind::PermissionDenied => (
                ExitStatus::Refused,
                "file-refused",
                "check the file's owner and mode",
            ),
            _ => (
                ExitStatus::Failed,
                "file-failed",
                "check the file and its file system",
            ),
        };
        Self::new(exit, code, message, next_step)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\ntry: {}", self.error, self.next_step)
    }
}

/// Why a command ended before it was done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With a failure that is still to be told.
    Failure(Failure),
    /// Whoever read our output has enough: a clean exit.
    NobodyReads,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    /// For errors of writing to stdout; other files are told by [`Failure::file`].
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyReads;
        }
        Self::Failure(Failure::new(
            ExitStatus::Failed,
            "stdout-failed",
            format!("cannot write to stdout: {error}"),
            "check where stdout goes",
        ))
    }
}
