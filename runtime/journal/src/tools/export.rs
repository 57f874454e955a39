//! Export and import: the log itself, and a manifest that says what must be in it. A backup can be verified without an index
//! and without the journal that it came from.

use super::Progress;
use super::verify::{Report, verify};
use crate::files::{Files, RealFiles};
use crate::journal::{Opening, seal_last};
use crate::recover::recover;
use crate::segment;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use swarm_actors::journal::JournalError;

/// The version of the manifest's form.
pub const EXPORT_FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What an export must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`EXPORT_FORMAT`].
    pub format: u32,
    /// Every stream.
    pub streams: Vec<ManifestStream>,
}

/// What a stream of an export must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestStream {
    /// Its name.
    pub stream: String,
    /// Its last event.
    pub last_seq: u64,
    /// Its last batch.
    pub last_batch: u64,
    /// The sum of that batch.
    pub hash: u32,
}

/// What was exported or imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many streams.
    pub streams: u64,
    /// How many events.
    pub events: u64,
    /// How many bytes of log.
    pub bytes: u64,
}

/// Why an export or import was not done. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The place where it is to go is not empty.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// It is no export, or not one of this format.
    #[error("{} is no export: {why}", path.display())]
    NoExport {
        /// Which directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It does not hold what its manifest says.
    #[error("the export holds something else than its manifest says: {0}")]
    Differs(String),
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ExportError + '_ {
    move |error| ExportError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Copies the journal in `directory`, which nobody may have open, to the empty or new directory `to`.
///
/// # Errors
/// [`ExportError`]; a damaged journal is not exported.
pub fn export(
    directory: &Path,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Exported, ExportError> {
    must_be_empty(to)?;
    let report = sound(directory, &mut |_, _| {})?;
    let files = RealFiles::existing(&directory.join("log"))?;
    let lock = files.lock()?;
    let recovered = recover(&files, None, &mut |_, _| {})?;
    seal_last(&files, &recovered, &mut Opening::default())?;
    copy_log(&files, to, progress)?;
    drop(lock);
    write_manifest(to, &report)?;
    Ok(summary(&report))
}

pub(super) fn write_manifest(to: &Path, report: &Report) -> Result<(), ExportError> {
    let manifest = Manifest {
        format: EXPORT_FORMAT,
        streams: streams_of(report),
    };
    let path = to.join(MANIFEST);
    let mut file = fs::File::create(&path).map_err(io(&path))?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::other);
    file.write_all(&text.map_err(io(&path))?)
        .map_err(io(&path))?;
    file.sync_all().map_err(io(&path))?;
    let folder = fs::File::open(to).and_then(|folder| folder.sync_all());
    folder.map_err(io(to))
}

/// Makes the journal that an export holds in the empty or new directory `directory`.
///
/// # Errors
/// [`ExportError`]; what does not match its manifest is not imported.
pub fn import(
    from: &Path,
    directory: &Path,
    progress: Progress<'_>,
) -> Result<Exported, ExportError> {
    must_be_empty(&directory.join("log"))?;
    let no_export = |why: String| ExportError::NoExport {
        path: from.to_owned(),
        why,
    };
    let text = fs::read(from.join(MANIFEST)).map_err(|e| no_export(format!("{MANIFEST}: {e}")))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| no_export(format!("{MANIFEST}: {e}")))?;
    if manifest.format != EXPORT_FORMAT {
        return Err(no_export(format!("format {}", manifest.format)));
    }
    let report = sound(from, &mut |_, _| {})?;
    let found = streams_of(&report);
    let differing = manifest
        .streams
        .iter()
        .find(|stream| !found.contains(stream));
    if let Some(stream) = differing {
        return Err(ExportError::Differs(format!(
            "stream {} is not there up to event {}",
            stream.stream, stream.last_seq
        )));
    }
    if found.len() != manifest.streams.len() {
        return Err(ExportError::Differs("it has more streams".to_owned()));
    }
    let files = RealFiles::existing(&from.join("log"))?;
    copy_log(&files, directory, progress)?;
    Ok(summary(&report))
}

fn sound(directory: &Path, progress: Progress<'_>) -> Result<Report, ExportError> {
    let report = verify(directory, progress)?;
    match report.damaged.first() {
        Some(damage) => Err(JournalError::from(damage.clone()).into()),
        None => Ok(report),
    }
}

pub(super) fn must_be_empty(directory: &Path) -> Result<(), ExportError> {
    let is_empty = fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    if is_empty {
        Ok(())
    } else {
        Err(ExportError::NotEmpty(directory.to_owned()))
    }
}

pub(super) fn copy_log(
    files: &dyn Files,
    to: &Path,
    progress: Progress<'_>,
) -> Result<(), ExportError> {
    let target = RealFiles::new(&to.join("log"))?;
    let (names, _) = segment::choose(&files.list()?);
    let all = names.len() as u64;
    for (n, name) in (1..).zip(names) {
        let path = target.path(&name);
        fs::copy(files.path(&name), &path).map_err(io(&path))?;
        fs::File::open(&path)
            .and_then(|f| f.sync_all())
            .map_err(io(&path))?;
        progress(n, all);
    }
    target.sync()?;
    Ok(())
}

fn streams_of(report: &Report) -> Vec<ManifestStream> {
    report
        .heads
        .iter()
        .map(|head| ManifestStream {
            stream: head.stream.to_string(),
            last_seq: head.last_seq.0,
            last_batch: head.last_batch,
            hash: head.hash,
        })
        .collect()
}

pub(super) fn summary(report: &Report) -> Exported {
    Exported {
        streams: report.heads.len() as u64,
        events: report.events,
        bytes: report.bytes,
    }
}
