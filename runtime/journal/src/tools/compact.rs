//! Compaction: what lives goes into new, synced segments, then the old ones go.

use super::Progress;
use super::rewrite::{Rewrite, cost, identity_over};
use crate::files::{Files, RealFiles};
use crate::frame::{Frame, Kind};
use crate::index::{Index, Place};
use crate::journal::{DiskJournal, Opening, seal_last};
use crate::options::Options;
use crate::recover::recover;
use crate::scan::{Lost, Sink, scan};
use crate::segment::{self, SEGMENT_HEAD_BYTES, Segment};
use crate::store;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{COMMAND_WINDOW, JournalError, StreamName};

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
    let names: BTreeMap<u64, StreamName> = (1..)
        .zip(&recovered.index.known)
        .map(|(number, known)| (number, known.head.stream.clone()))
        .collect();
    let mut done = Compacted {
        segments_before: segments.len() as u64,
        ..Compacted::default()
    };
    let needed = Needed {
        index: &recovered.index,
        from: needed_from(files, &segments, &recovered.index, (options.clock)())?,
    };
    let mut lives = Vec::new();
    for segment in &segments {
        done.bytes_before += segment.length(files)?;
        lives.push(living(files, segment, &needed, &mut |_| {})?);
    }
    let mut at = 0;
    while at < segments.len() {
        let (mut to, mut bytes) = (at + 1, lives[at].bytes);
        while to < segments.len() && bytes + lives[to].bytes <= options.segment_bytes {
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
                living(files, segment, &needed, &mut |frame| rewrite.keep(frame))?;
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

/// What decides whether a frame lives.
struct Needed<'a> {
    index: &'a Index,
    /// The first batch of each stream that is still needed, by the stream's number.
    from: BTreeMap<u64, u64>,
}

/// The first batch of each truncated stream that is still needed: the first that is not truncated, or the first whose command
/// may still be repeated; then all behind it, as a stream has no gaps.
fn needed_from(
    files: &dyn Files,
    segments: &[Arc<Segment>],
    index: &Index,
    now_ms: u64,
) -> Result<BTreeMap<u64, u64>, JournalError> {
    struct Young<'a> {
        index: &'a Index,
        since_ms: u64,
        from: BTreeMap<u64, u64>,
    }
    impl Sink for Young<'_> {
        fn frame(&mut self, frame: &Frame<'_>) {
            if frame.head.kind == Kind::Batch
                && let Ok(batch) = Batch::decode(frame.body)
                && (batch.command.is_some() && batch.at_ms >= self.since_ms)
                && let Some(known) = self.index.known.get(frame.head.stream as usize - 1)
                && batch.batch <= known.head.truncated_batch
            {
                self.from.entry(frame.head.stream).or_insert(batch.batch);
            }
        }
        fn lost(&mut self, _: Lost) {}
    }
    let window = u64::try_from(COMMAND_WINDOW.as_millis()).unwrap_or(u64::MAX);
    let mut young = Young {
        index,
        since_ms: now_ms.saturating_sub(window),
        from: BTreeMap::new(),
    };
    for segment in segments {
        let bytes = segment.read_from(files, SEGMENT_HEAD_BYTES)?;
        let first = segment.identity.next_number;
        scan(segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut young);
    }
    for (number, known) in (1..).zip(&index.known) {
        young
            .from
            .entry(number)
            .or_insert(known.head.truncated_batch + 1);
    }
    Ok(young.from)
}

#[derive(Clone, Copy, Default)]
struct Living {
    bytes: u64,
    dropped: u64,
}

/// Hands out what lives in a segment.
fn living(
    files: &dyn Files,
    segment: &Segment,
    needed: &Needed<'_>,
    each: &mut dyn FnMut(&Frame<'_>),
) -> Result<Living, JournalError> {
    struct Sieve<'a> {
        needed: &'a Needed<'a>,
        segment: u64,
        found: Living,
        each: &'a mut dyn FnMut(&Frame<'_>),
    }
    impl Sink for Sieve<'_> {
        fn frame(&mut self, frame: &Frame<'_>) {
            if self.needed.lives(self.segment, frame) {
                self.found.bytes += cost(frame);
                (self.each)(frame);
            } else if frame.head.kind != Kind::Name {
                self.found.dropped += 1;
            }
        }
        fn lost(&mut self, _: Lost) {}
    }
    let bytes = segment.read_from(files, SEGMENT_HEAD_BYTES)?;
    let mut sieve = Sieve {
        needed,
        segment: segment.identity.first,
        found: Living::default(),
        each,
    };
    let first = segment.identity.next_number;
    scan(segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut sieve);
    Ok(sieve.found)
}

impl Needed<'_> {
    /// Whether anybody may still want a frame: a batch behind what is truncated, a snapshot that counts. Names are written
    /// again where they are needed; deletions have done their work, as all segments before are compacted by then.
    fn lives(&self, segment: u64, frame: &Frame<'_>) -> bool {
        let number = frame.head.stream;
        let known = (number as usize)
            .checked_sub(1)
            .and_then(|n| self.index.known.get(n));
        match (frame.head.kind, known) {
            (Kind::Batch, Some(_)) => {
                let from = self.from.get(&number).copied().unwrap_or(0);
                Batch::decode(frame.body).is_ok_and(|batch| batch.batch >= from)
            }
            (Kind::Snapshot, Some(known)) => {
                let place = Place {
                    segment,
                    offset: frame.offset,
                };
                let snapshots = known.snapshots.iter().flat_map(|s| s.values());
                snapshots
                    .into_iter()
                    .any(|snapshot| snapshot.place == place)
            }
            _ => false,
        }
    }
}
