//! Where jobs come from, and reading them ahead of the engine.

use crate::cli::Dispatch;
use crate::failure::Failure;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use swarm_runtime::dispatch::{DurableRun, Entry, FileJobs, Finished, Globs, JobLines};
use tokio::sync::mpsc;

/// A batch is handed over when it has so many entries or bytes, or when more would have to be waited for. With one batch in
/// the channel and one being made, this bounds what is held besides the engine's window (one entry may exceed it).
const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

pub(super) enum Source {
    Lines(JobLines),
    Files(FileJobs),
}

impl Source {
    /// Opens what the command line names.
    pub(super) fn open(asked: &Dispatch) -> Result<Self, Failure> {
        if let Some(folder) = &asked.files {
            let globs: Globs = asked
                .glob
                .as_deref()
                .unwrap_or("")
                .parse()
                .map_err(|error| {
                    Failure::usage(format!("--glob: {error}"), "--glob '*.md,src/**.rs'")
                })?;
            let task = asked.task.clone().unwrap_or_default();
            return match FileJobs::new(folder, globs, task) {
                Ok(files) => Ok(Self::Files(files)),
                Err(error) => Err(Failure::file("read the folder", folder, &error)),
            };
        }
        let jobs = asked.jobs.as_deref().unwrap_or(Path::new("-"));
        let task = asked.task.clone();
        if is_stdin(jobs) {
            return Ok(Self::Lines(JobLines::new(io::stdin(), task)));
        }
        let file = File::open(jobs).and_then(|file| {
            if file.metadata()?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(file)
        });
        match file {
            Ok(file) => Ok(Self::Lines(JobLines::new(file, task))),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(Failure::usage(
                format!("{} is a folder, not a file of jobs", jobs.display()),
                format!("--files {} --task TASK for a job per file", jobs.display()),
            )),
            Err(error) => Err(Failure::file("read jobs from", jobs, &error)),
        }
    }

    /// Counts the files that were passed over because they are not text.
    pub(super) fn not_text(&self) -> Option<Arc<AtomicU64>> {
        match self {
            Self::Lines(_) => None,
            Self::Files(files) => Some(files.not_text()),
        }
    }

    fn may_wait(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.may_wait(),
            Self::Files(_) => false,
        }
    }
}

pub(super) fn is_stdin(jobs: &Path) -> bool {
    jobs.as_os_str() == "-"
}

impl Iterator for Source {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Files(files) => files.next(),
        }
    }
}

/// What is known of earlier runs' results.
pub(super) struct Earlier {
    /// Those in the file that results go to.
    pub(super) finished: Finished,
    /// Those in the journal of the node that this command runs.
    pub(super) recorded: Option<Arc<DurableRun>>,
}

/// Reads entries and hands on those that have no result yet, until there are no more or nobody takes them. Blocks: runs on
/// a thread of its own.
pub(super) fn feed(
    mut source: Source,
    earlier: &Earlier,
    skipped: &AtomicU64,
    entries: &mpsc::Sender<Vec<Entry>>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(entry) = source.next() {
        let entry = entry?;
        if earlier.finished.contains(&entry) {
            skipped.fetch_add(1, Ordering::Relaxed);
        } else {
            let entry = match &earlier.recorded {
                Some(run) => run.look(entry).map_err(io::Error::other)?,
                None => entry,
            };
            bytes += match &entry {
                Entry::Job(job) | Entry::Resumed(job, _) => job.bytes(),
                Entry::Bad(_) | Entry::Known(_) => size_of::<Entry>(),
            };
            batch.push(entry);
        }
        let is_full = batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES;
        if (is_full || source.may_wait()) && !batch.is_empty() {
            bytes = 0;
            if entries.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        // Whoever stopped the engine says why.
        let _ = entries.blocking_send(batch);
    }
    Ok(())
}
