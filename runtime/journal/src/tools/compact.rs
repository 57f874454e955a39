//! Compaction of a journal that nobody has open; [`DiskJournal::compact`] does it to one in use.

use super::Progress;
use crate::compactor::{Needed, Rewrite, identity_over, is_saved};
use crate::files::{Files, RealFiles};
use crate::journal::{DiskJournal, Opening, seal_last};
use crate::options::Options;
use crate::recover::recover;
use crate::segment::{self, SEGMENT_HEAD_BYTES, Segment};
use crate::store;
use std::path::Path;
use std::sync::Arc;
use swarm_actors::journal::JournalError;

/// What compaction has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the log before.
    pub bytes_before: u64,
    /// Bytes of the log after.
    pub bytes_after: u64,
    /// Segments before.
    pub segments_before: u64,
    /// Segments after.
    pub segments_after: u64,
}

/// Compacts the journal in `directory`, which nobody may have open. Cut off at any moment, it has lost nothing: it can be done
/// again.
///
/// # Errors
/// [`JournalError`]; a damaged journal is left as it is.
pub fn compact(
    directory: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Compacted, JournalError> {
    let files = RealFiles::existing(&directory.join("log"))?;
    let index = store::directory(directory);
    let done = compact_over(&files, Some(&index), options, progress)?;
    // The index is made anew.
    let journal = DiskJournal::open(directory, options.clone())?;
    drop(journal.checkpoint().wait());
    Ok(done)
}

/// The same over other files; the index in that directory is removed.
///
/// # Errors
/// As [`compact`].
pub fn compact_over(
    files: &dyn Files,
    index: Option<&Path>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Compacted, JournalError> {
    let _lock = files.lock()?;
    let recovered = recover(files, None, &mut |_, _| {})?;
    let named = recovered
        .index
        .known
        .iter()
        .find_map(|known| known.damage.clone());
    let unknown = recovered
        .unknown
        .first()
        .map(|u| Box::new(u.damage.clone()));
    if let Some(damage) = named.or(unknown) {
        return Err(JournalError::Damaged(damage));
    }
    let (_, leftover) = segment::choose(&files.list()?);
    for name in &leftover {
        files.remove(name)?;
    }
    let next_number = seal_last(files, &recovered, &mut Opening::default())?;
    if let Some(index) = index {
        store::discard(index);
    }
    let segments: Vec<Arc<Segment>> = recovered.segments.values().cloned().collect();
    let index = &recovered.index;
    let names = |number: u64| {
        let known = index.known.get((number as usize).checked_sub(1)?)?;
        Some(known.head.stream.clone())
    };
    let mut done = Compacted {
        segments_before: segments.len() as u64,
        ..Compacted::default()
    };
    let is_saved = |number, place| is_saved(index, number, place);
    let mut needed = Needed::new(index, (options.clock)(), &is_saved);
    let mut lives = Vec::new();
    for segment in &segments {
        done.bytes_before += segment.length(files)?;
        lives.push(needed.look(files, segment)?);
    }
    let mut at = 0;
    while at < segments.len() {
        let (mut to, mut bytes) = (at + 1, lives[at].bytes);
        while to < segments.len() && bytes + lives[to].bytes <= options.segment_bytes() {
            bytes += lives[to].bytes;
            to += 1;
        }
        let run = &segments[at..to];
        let is_as_it_was = run.len() == 1 && lives[at].dropped == 0;
        if !is_as_it_was && let Some(identity) = identity_over(run) {
            let ends = segments
                .get(to)
                .map_or(next_number, |s| s.identity.next_number);
            let mut rewrite = Rewrite::begin(files, identity, &names)?;
            for segment in run {
                let bytes = segment.read_from(files, SEGMENT_HEAD_BYTES)?;
                needed.sift(segment, &bytes, &mut |frame, lives| {
                    if lives {
                        rewrite.keep(frame);
                    }
                });
            }
            rewrite.finish(ends)?;
            for segment in run {
                files.remove(&segment.name)?;
            }
            files.sync()?;
        }
        at = to;
        progress(at as u64, segments.len() as u64);
    }
    let (after, _) = segment::choose(&files.list()?);
    done.segments_after = after.len() as u64;
    for name in after {
        done.bytes_after += files.open(&name)?.length()?;
    }
    Ok(done)
}
