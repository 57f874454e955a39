//! What can go wrong in a journal.

use super::{CommandId, Epoch, InvalidAppend, Seq, StreamName};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Why an append, a truncation or a snapshot was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is not where the writer believed. Nothing was written; read what is new and decide again.
    #[error("stream {stream} ends at {actual}, which is not what the append expected")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// Its last event.
        actual: Seq,
    },
    /// A later owner has written. Nothing was written, and nothing of this owner ever will be.
    #[error("stream {stream} belongs to epoch {current}; epoch {epoch} writes no more")]
    Fenced {
        /// The stream.
        stream: StreamName,
        /// Whose write it was.
        epoch: Epoch,
        /// The stream's owner.
        current: Epoch,
    },
    /// The command was issued so long ago that nobody knows any more whether it took effect. Nothing was written.
    #[error("command {command} for stream {stream} is too old to be known or refused as a repeat")]
    TooOld {
        /// The stream.
        stream: StreamName,
        /// The command.
        command: CommandId,
    },
    /// It is beyond a bound. Nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidAppend),
    /// The journal has as much to write as it holds at once. Nothing was written; try again later.
    #[error("the journal has too much to write at once")]
    Overloaded,
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl AppendError {
    /// Whether it is unknown if the append was written: it must be looked up before it is tried again.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Journal(error) => !matches!(
                error,
                JournalError::Damaged(_) | JournalError::InUse { .. } | JournalError::Format { .. }
            ),
            _ => false,
        }
    }
}

/// Why a journal cannot do its work. Those that name a path come from the world, not from the caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// What was read is not what was written. Nothing was changed; the rest of the journal can be used.
    #[error("damaged: {0}")]
    Damaged(Box<Damage>),
    /// There is no room on the disk. What was asked for was not acknowledged; the journal takes no more until it is opened
    /// again.
    #[error("no room on the disk for {}", path.display())]
    DiskFull {
        /// Which file.
        path: PathBuf,
    },
    /// The file or its file system cannot be written. Nothing was written.
    #[error("{} cannot be written: it is read-only or not permitted", path.display())]
    ReadOnly {
        /// Which file.
        path: PathBuf,
    },
    /// The file or directory is gone. Nothing was written.
    #[error("{} is not there", path.display())]
    Vanished {
        /// Which one.
        path: PathBuf,
    },
    /// Another process has the directory open, or another journal in this one. Nothing was touched.
    #[error("{} is in use by another journal", path.display())]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// The files were written by a version that this one cannot read. Nothing was touched.
    #[error("{} has format {found}; this version reads {supported}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// What can be read.
        supported: u32,
    },
    /// Another error of the operating system.
    #[error("cannot {operation} {}: {message}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        message: String,
    },
    /// The journal's writer has stopped, because of what is in here: after a failed sync nobody knows what is on disk. It
    /// takes nothing more until it is opened again. Whether the last appends were written is unknown.
    #[error("the journal has stopped: {0}")]
    Stopped(Arc<JournalError>),
    /// The journal was closed, or its writer went, before it answered. Whether it was written is unknown.
    #[error("the journal did not answer; whether it was written is unknown")]
    Unknown,
}

/// Damage that was found, as exactly as can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which stream; `None` when what stood there cannot be told any more.
    pub stream: Option<StreamName>,
    /// The first event that is missing or altered, or the snapshot.
    pub seq: Option<Seq>,
    /// Where: a file and an offset.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.stream, self.seq) {
            (Some(stream), Some(seq)) => write!(f, "stream {stream} from event {seq} on")?,
            (Some(stream), None) => write!(f, "stream {stream}")?,
            (None, _) => write!(f, "an unknown stream")?,
        }
        write!(f, ", {}: {}", self.place, self.what)
    }
}

impl From<Damage> for JournalError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }
}
