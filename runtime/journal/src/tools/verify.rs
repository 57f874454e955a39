//! Verify: every byte of the log read and checked, nothing changed.

use super::Progress;
use crate::files::{Files, RealFiles};
use crate::recover::recover;
use crate::scan::How;
use crate::store::{self, Store};
use std::path::Path;
use swarm_actors::journal::{Damage, Head, JournalError, Seq};

/// What a journal holds, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Heads of all streams that were ever written, by name.
    pub heads: Vec<Head>,
    /// How many events there are that are not truncated.
    pub events: u64,
    /// How many segments the log has.
    pub segments: u64,
    /// How many bytes the log has.
    pub bytes: u64,
    /// Whether the log ends with a seal: it was closed in order.
    pub is_sealed: bool,
    /// Part of a group at the end that nobody was told of: what a kill or power loss leaves. It is no damage.
    pub torn: Option<String>,
    /// What is damaged.
    pub damaged: Vec<Damage>,
    /// Whether the index behind the log was there to compare with.
    pub had_index: bool,
}

impl Report {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }
}

/// Reads the whole log of the journal in `directory` and checks it, against the index too if there is one.
///
/// # Errors
/// [`JournalError`] when it cannot be read at all; damage is in the report.
pub fn verify(directory: &Path, progress: Progress<'_>) -> Result<Report, JournalError> {
    let files = RealFiles::existing(&directory.join("log"))?;
    let _lock = files.lock()?;
    let mut report = verify_over(&files, progress)?;
    compare(directory, &mut report);
    Ok(report)
}

/// The same over the log alone.
pub(super) fn verify_over(
    files: &dyn Files,
    progress: Progress<'_>,
) -> Result<Report, JournalError> {
    let mut report = Report::default();
    let recovered = match recover(files, None, progress) {
        Ok(recovered) => recovered,
        Err(JournalError::Damaged(damage)) => {
            report.damaged.push(*damage);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.segments = recovered.segments.len() as u64;
    for segment in recovered.segments.values() {
        report.bytes += segment.length(files)?;
    }
    report.is_sealed = recovered.end.is_none_or(|(_, end)| end.how == How::Sealed);
    if let Some((first, end)) = recovered.end
        && end.how == How::Torn
        && let Some(segment) = recovered.segments.get(&first)
    {
        let path = files.path(&segment.name);
        report.torn = Some(format!("{} at {}", path.display(), end.offset));
    }
    for known in &recovered.index.known {
        if let Some(damage) = &known.damage {
            report.damaged.push((**damage).clone());
        }
        if known.exists() {
            report.events += known.head.last_seq.0 - known.head.truncated.0;
            report.heads.push(known.head.clone());
        }
    }
    report.damaged.extend(
        recovered
            .unknown
            .iter()
            .map(|unknown| unknown.damage.clone()),
    );
    report.heads.sort_by(|a, b| a.stream.cmp(&b.stream));
    Ok(report)
}

/// The heads that the index behind the log has, where it is there and whole.
pub(super) fn heads_of_index(directory: &Path) -> Vec<Head> {
    let index = store::directory(directory);
    if !index.exists() {
        return Vec::new();
    }
    let log = std::fs::read_dir(directory.join("log"));
    let log_bytes = log
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    let heads = Store::open(&index, log_bytes).and_then(|store| match store.mark()? {
        Some(_) => store.heads(),
        None => Ok(Vec::new()),
    });
    heads
        .unwrap_or_default()
        .into_iter()
        .map(|(_, head)| head)
        .collect()
}

/// Every stream must reach as far as the index has seen it.
fn compare(directory: &Path, report: &mut Report) {
    let heads = heads_of_index(directory);
    report.had_index = !heads.is_empty();
    for stored in heads {
        let found = report
            .heads
            .binary_search_by(|head| head.stream.cmp(&stored.stream));
        let (batch, seq) = found.map_or((0, 0), |at| {
            (report.heads[at].last_batch, report.heads[at].last_seq.0)
        });
        let is_known = report
            .damaged
            .iter()
            .any(|damage| damage.stream.as_ref() == Some(&stored.stream));
        if batch < stored.last_batch && !is_known {
            report.damaged.push(Damage {
                place: "the end of the log".to_owned(),
                what: format!(
                    "the log ends before batch {} of the stream",
                    stored.last_batch
                ),
                seq: Some(Seq(seq + 1)),
                stream: Some(stored.stream),
            });
        }
    }
}
