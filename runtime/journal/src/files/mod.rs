//! The file layer under the segment log: the few operations that it rests on, so that tests can let them fail and lose
//! what was not synced.

mod faulty;
mod real;

pub use faulty::{FaultyFiles, Outage};
pub use real::RealFiles;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use swarm_actors::journal::JournalError;

/// A directory of files without subdirectories.
pub trait Files: Send + Sync + 'static {
    /// Makes a new file. One with that name must not exist.
    ///
    /// # Errors
    /// [`JournalError`].
    fn create(&self, name: &str) -> Result<Box<dyn File>, JournalError>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// [`JournalError`].
    fn open(&self, name: &str) -> Result<Box<dyn File>, JournalError>;

    /// All names, in order.
    ///
    /// # Errors
    /// [`JournalError`].
    fn list(&self) -> Result<Vec<String>, JournalError>;

    /// Renames a file, in place of another one if there is one. Durable with the next [`Files::sync`].
    ///
    /// # Errors
    /// [`JournalError`].
    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError>;

    /// Removes a file. Durable with the next [`Files::sync`].
    ///
    /// # Errors
    /// [`JournalError`].
    fn remove(&self, name: &str) -> Result<(), JournalError>;

    /// Makes what was created, renamed and removed survive a power loss.
    ///
    /// # Errors
    /// [`JournalError`].
    fn sync(&self) -> Result<(), JournalError>;

    /// Keeps every other process, and every other journal of this one, out until the guard is dropped.
    ///
    /// # Errors
    /// [`JournalError::InUse`].
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, JournalError>;

    /// Where a file is, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file.
pub trait File: Send + Sync {
    /// Writes all of the bytes.
    ///
    /// # Errors
    /// [`JournalError`]; any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), JournalError>;

    /// Reads as many bytes as there are, at most the buffer's length.
    ///
    /// # Errors
    /// [`JournalError`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, JournalError>;

    /// Makes what was written survive a power loss: one fdatasync.
    ///
    /// # Errors
    /// [`JournalError`]. What was written since the last sync may or may not be on disk, and a second sync would not tell:
    /// the kernel may have dropped it.
    fn sync_data(&self) -> Result<(), JournalError>;

    /// How long it is, in bytes.
    ///
    /// # Errors
    /// [`JournalError`].
    fn length(&self) -> Result<u64, JournalError>;

    /// Makes it that long.
    ///
    /// # Errors
    /// [`JournalError`].
    fn set_length(&self, length: u64) -> Result<(), JournalError>;
}

/// What the operating system said, as a journal's error.
pub(crate) fn failed(operation: &'static str, path: &Path, error: &io::Error) -> JournalError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            JournalError::DiskFull { path }
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            JournalError::ReadOnly { path }
        }
        io::ErrorKind::NotFound => JournalError::Vanished { path },
        _ => JournalError::Io {
            operation,
            path,
            message: error.to_string(),
        },
    }
}
