//! Verify, export and compaction of a journal that is in use: of the state that it has at one moment.
//!
//! The writer ends the segment that it writes and goes on in a new one. What was there then is never written again, so it can
//! be read and copied while the journal works; everything that was acknowledged before is in it, and nothing in part.

use super::export::{ExportError, Exported, copy_log, must_be_empty, summary, write_manifest};
use super::verify::{Report, verify_over};
use super::{Compacted, Progress};
use crate::files::{File, Files, RealFiles};
use crate::journal::{Copying, DiskJournal};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_actors::journal::JournalError;

impl DiskJournal {
    /// Reads the whole log and checks it, as it is at this moment. Blocks for as long as reading takes; the journal works on
    /// meanwhile.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read at all; damage is in the report.
    pub fn verify(&self, progress: Progress<'_>) -> Result<Report, JournalError> {
        verify_over(&self.freeze()?, progress)
    }

    /// Copies the journal as it is at this moment to the empty or new directory `to`: an export that
    /// [`import`](super::import) makes a journal of. What is acknowledged while it is made is not in it. Blocks for as long as
    /// that takes; the journal works on meanwhile.
    ///
    /// # Errors
    /// [`ExportError`]; a damaged journal is not exported.
    pub fn export(&self, to: &Path, progress: Progress<'_>) -> Result<Exported, ExportError> {
        must_be_empty(to)?;
        let frozen = self.freeze()?;
        copy_log(&frozen, to, progress)?;
        // What was copied is what is checked.
        let copy = RealFiles::existing(&to.join("log"))?;
        let report = verify_over(&copy, &mut |_, _| {})?;
        if let Some(damage) = report.damaged.first() {
            return Err(JournalError::from(damage.clone()).into());
        }
        write_manifest(to, &report)?;
        Ok(summary(&report))
    }

    /// Compacts it now, as fast as the disk allows: all segments but the one that is written from here on, however little of
    /// them is dead. Blocks for as long as that takes; the journal works on meanwhile. (It also does so by itself, see
    /// [`Compaction`](crate::Compaction).)
    ///
    /// # Errors
    /// [`JournalError`]; what is compacted by then stays so, the rest is as it was. Nothing is lost. A log in which something is
    /// damaged is left as it is.
    pub fn compact(&self) -> Result<Compacted, JournalError> {
        self.compact_segments(&self.frozen_segments()?)
    }

    fn freeze(&self) -> Result<Frozen, JournalError> {
        // First, so that compaction leaves the files alone that are named next.
        let copying = self.copying();
        let names = self.frozen_segments()?;
        Ok(Frozen {
            files: self.files(),
            names,
            _copying: copying,
        })
    }
}

/// The files of a journal that nothing is written to any more. Refuses everything that would change one.
struct Frozen {
    files: Arc<dyn Files>,
    names: Vec<String>,
    _copying: Copying,
}

impl Frozen {
    fn refused<T>(&self, name: &str) -> Result<T, JournalError> {
        Err(JournalError::ReadOnly {
            path: self.files.path(name),
        })
    }
}

impl Files for Frozen {
    fn create(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        self.refused(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        self.files.open(name)
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.names.clone())
    }

    fn rename(&self, from: &str, _: &str) -> Result<(), JournalError> {
        self.refused(from)
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        self.refused(name)
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.refused("")
    }

    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, JournalError> {
        self.refused("LOCK")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }
}
