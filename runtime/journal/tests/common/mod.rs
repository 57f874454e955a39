//! A disk journal that tests mistreat.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file uses all of it"
)]

pub mod writing;

use fastrand::Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::journal::kit::Fixture;
use swarm_actors::journal::{Journal, JournalError};
use swarm_journal::files::{FaultyFiles, Outage};
use swarm_journal::tools::{export, import};
use swarm_journal::{DiskJournal, Options};
use tempfile::TempDir;

pub struct DiskFixture {
    pub directory: TempDir,
    pub files: FaultyFiles,
    journal: Option<DiskJournal>,
    options: Options,
    rng: Rng,
    opening_read: u64,
}

/// Small segments, so that every test has several.
pub fn small() -> Options {
    Options {
        segment_bytes: 16 << 10,
        preallocate: 8 << 10,
        ..Options::default()
    }
}

impl DiskFixture {
    pub fn new() -> Self {
        Self::with(small())
    }

    pub fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let files = FaultyFiles::new(&directory.path().join("log")).expect("files");
        let mut fixture = Self {
            directory,
            files,
            journal: None,
            options,
            rng: Rng::with_seed(1),
            opening_read: 0,
        };
        fixture.open().expect("a new journal opens");
        fixture
    }

    pub fn index(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    pub fn disk(&self) -> &DiskJournal {
        self.journal.as_ref().expect("it is open")
    }

    pub fn open(&mut self) -> Result<(), JournalError> {
        self.journal = None;
        let _ = self.files.take_read();
        let files = Arc::new(self.files.clone());
        let index = Some(self.index());
        // A process that another test starts at this moment has all files open, the lock among them, until its program begins.
        let until = Instant::now() + Duration::from_secs(20);
        let opened = loop {
            let options = self.options.clone();
            match DiskJournal::open_over(files.clone(), index.clone(), options) {
                Err(JournalError::InUse { .. }) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => break opened,
            }
        };
        self.journal = Some(opened?);
        self.opening_read = self.files.take_read();
        Ok(())
    }

    pub fn end(&mut self, in_order: bool) {
        if let Some(journal) = self.journal.take() {
            if in_order {
                drop(journal);
            } else {
                journal.abandon();
            }
        }
    }
}

impl Fixture for DiskFixture {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.disk().clone())
    }

    fn kill(&mut self) {
        self.end(false);
        self.files.plan(None);
        self.open().expect("it opens after a kill");
    }

    fn lose_power(&mut self) {
        self.files.power_off();
        self.end(false);
        // The index is behind the log or gone, never ahead.
        if self.rng.bool() {
            drop(fs::remove_dir_all(self.index()));
        }
        let mut rng = self.rng.clone();
        self.rng.bool();
        self.files.power_on(|| rng.bool()).expect("power");
        self.open().expect("it opens after a power loss");
    }

    fn close(&mut self) {
        self.end(true);
        self.open().expect("it opens after it was closed");
    }

    fn damage(&mut self, case: u32) -> Option<Result<(), JournalError>> {
        let kind = KINDS.get(case as usize / 5)?;
        self.end(true);
        let mut rng = Rng::with_seed(u64::from(case));
        let files = all_files(self.directory.path());
        let segments: Vec<_> = files
            .iter()
            .filter(|f| f.extension().is_some_and(|e| e == "segment"))
            .collect();
        // Four of five hit the log.
        let hit = if case % 5 == 4 {
            files[rng.usize(..files.len())].clone()
        } else {
            segments[rng.usize(..segments.len())].clone()
        };
        kind(&hit, &mut rng);
        self.files = FaultyFiles::new(&self.directory.path().join("log")).expect("files");
        Some(self.open())
    }

    fn fill_disk_after(&mut self, more: u32) {
        self.files.plan(Some(Outage::Full { writes: more }));
    }

    fn export_and_import(&mut self) {
        self.end(true);
        let (exported, imported) = (tempfile::tempdir(), tempfile::tempdir());
        let exported = exported.expect("a directory");
        let imported = imported.expect("a directory");
        export(self.directory.path(), exported.path(), &mut |_, _| {}).expect("exported");
        import(exported.path(), imported.path(), &mut |_, _| {}).expect("imported");
        self.files = FaultyFiles::new(&imported.path().join("log")).expect("files");
        self.directory = imported;
        self.open().expect("what was imported opens");
    }

    fn opening_read(&self) -> u64 {
        self.opening_read
    }
}

pub fn all_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else if entry.file_name() != "LOCK" {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::write(path, bytes).expect("a file");
}

/// Ten ways to spoil a file.
pub type Damage = fn(&Path, &mut Rng);
pub const KINDS: [Damage; 10] = [
    |_, _| {},
    |path, rng| edit(path, |b| b.extend((0..4096).map(|_| rng.u8(..)))),
    |path, rng| {
        edit(path, |b| {
            if !b.is_empty() {
                let at = rng.usize(..b.len());
                b[at] ^= 1 << rng.u8(..8);
            }
        });
    },
    |path, rng| {
        edit(path, |b| {
            let at = rng.usize(..b.len().max(1));
            b.iter_mut().skip(at).take(64).for_each(|b| *b = rng.u8(..));
        });
    },
    |path, rng| {
        edit(path, |b| {
            let at = b.len().saturating_sub(64);
            b[at..].iter_mut().for_each(|b| *b = rng.u8(..));
        });
    },
    |path, _| edit(path, |b| b.truncate(b.len().saturating_sub(1))),
    |path, _| edit(path, |b| b.truncate(b.len().saturating_sub(4096))),
    |path, _| edit(path, |b| b.truncate(b.len() / 2)),
    |path, _| {
        edit(path, |b| {
            let at = b.len().saturating_sub(4096);
            b[at..].fill(0);
        });
    },
    |path, _| fs::remove_file(path).expect("a file"),
];
