//! The journal in memory under test.

use super::Fixture;
use crate::journal::{Crash, Journal, JournalError, MemoryJournal};
use std::sync::Arc;

/// A [`MemoryJournal`] that a test may mistreat.
pub struct MemoryFixture(MemoryJournal);

impl MemoryFixture {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(MemoryJournal::new())
    }
}

impl Default for MemoryFixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture for MemoryFixture {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.0.clone())
    }

    fn kill(&mut self) {
        self.0 = self.0.reopen();
    }

    fn lose_power(&mut self) {
        self.0 = self.0.lose_power();
    }

    fn close(&mut self) {
        self.0 = self.0.reopen();
    }

    fn damage(&mut self, case: u32) -> Option<Result<(), JournalError>> {
        let stream = super::name(&format!("s{}", case % 3));
        self.0
            .damage(&stream, u64::from(case) / 3 + 1)
            .then_some(Ok(()))
    }

    fn fill_disk_after(&mut self, more: u32) {
        self.0.crash_after(more, Crash::DiskFull);
    }

    /// There is nothing to export to: it is one and the same.
    fn export_and_import(&mut self) {
        self.0 = self.0.reopen();
    }

    fn opening_read(&self) -> u64 {
        0
    }
}
