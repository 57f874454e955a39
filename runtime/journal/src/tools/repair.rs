//! Repair: keeps what can be proven of a damaged journal, and says what it drops.

use super::Progress;
use super::verify::heads_of_index;
use crate::compactor::{Rewrite, identity_over};
use crate::files::{Files, RealFiles};
use crate::frame::{Frame, Kind};
use crate::options::Options;
use crate::recover::recover;
use crate::scan::{Lost, Sink, scan};
use crate::segment::{self, Identity, SEGMENT_HEAD_BYTES, Segment};
use crate::store;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{Damage, JournalError, Seq, StreamName};

/// What a repair drops of one stream: everything from the first event on that is missing or altered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Which stream.
    pub stream: StreamName,
    /// The first event that is dropped.
    pub from: Seq,
    /// The last event that the stream had, as far as is known.
    pub to: Seq,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// What was, or would be, dropped.
    pub dropped: Vec<Dropped>,
    /// Damage whose streams nobody can tell.
    pub unknown: Vec<Damage>,
    /// Where the segments are now that were there before; `None` when nothing was done.
    pub set_aside: Option<PathBuf>,
}

/// Finds out what is damaged in the journal in `directory`, which nobody may have open; with `does_it`, writes what is sound
/// into new segments, sets the old ones aside, and removes the index. Each damaged stream keeps its events before the damage.
/// Cut off at any moment, it can be done again.
///
/// # Errors
/// [`JournalError`].
pub fn repair(
    directory: &Path,
    does_it: bool,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Repaired, JournalError> {
    let files = RealFiles::existing(&directory.join("log"))?;
    let _lock = files.lock()?;
    let recovered = recover(&files, None, progress)?;
    let mut repaired = Repaired {
        unknown: recovered.unknown.iter().map(|u| u.damage.clone()).collect(),
        ..Repaired::default()
    };
    let mut sound_below = BTreeMap::new();
    for (number, known) in (1..).zip(&recovered.index.known) {
        if let Some(damage) = &known.damage {
            let from = damage.seq.unwrap_or(Seq(1));
            sound_below.insert(number, from.0);
            repaired.dropped.push(Dropped {
                stream: known.head.stream.clone(),
                from,
                to: known.head.last_seq.max(from),
            });
        }
    }
    // What the index has seen and the log has no trace of is lost too.
    for stored in heads_of_index(directory) {
        let found = recovered.index.get(&stored.stream);
        let (batch, seq) = found.map_or((0, 0), |(_, known)| {
            (known.head.last_batch, known.head.last_seq.0)
        });
        let is_known = repaired.dropped.iter().any(|d| d.stream == stored.stream);
        if batch < stored.last_batch && !is_known {
            repaired.dropped.push(Dropped {
                stream: stored.stream,
                from: Seq(seq + 1),
                to: stored.last_seq.max(Seq(seq + 1)),
            });
        }
    }
    if !does_it || (repaired.dropped.is_empty() && repaired.unknown.is_empty()) {
        return Ok(repaired);
    }
    let names: BTreeMap<u64, StreamName> = (1..)
        .zip(&recovered.index.known)
        .map(|(number, known)| (number, known.head.stream.clone()))
        .collect();
    let name = |number: u64| names.get(&number).cloned();
    let segments: Vec<Arc<Segment>> = recovered.segments.values().cloned().collect();
    let Some(last) = segments.last() else {
        return Ok(repaired);
    };
    store::discard(&store::directory(directory));
    let (last, end) = (last.identity.last, recovered.next_number + 1);
    let aside = SetAside::begin(directory, &files)?;
    let mut kept = Vec::new();
    let mut rest = &segments[..];
    while let Some(identity) = identity_over(rest) {
        let (run, behind) = rest.split_at(run_of(rest, &files, options.segment_bytes())?);
        rest = behind;
        let next = rest.first().map(|segment| segment.identity);
        // It also stands for the segments between the two that are not there any more.
        let identity = Identity {
            last: next.map_or(last, |next| next.first - 1),
            ..identity
        };
        let mut keeping = Keeping {
            sound_below: &sound_below,
            rewrite: Rewrite::begin(&files, identity, &name)?,
        };
        for segment in run {
            let bytes = segment.read_from(&files, SEGMENT_HEAD_BYTES)?;
            let first = segment.identity.next_number;
            scan(segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut keeping);
        }
        keeping
            .rewrite
            .finish(next.map_or(end, |next| next.next_number))?;
        aside.take_covered()?;
        kept.push(identity.name());
    }
    repaired.set_aside = Some(aside.finish(&kept)?);
    Ok(repaired)
}

/// How many of the segments go into one new one: as many as it has room for.
fn run_of(
    segments: &[Arc<Segment>],
    files: &RealFiles,
    segment_bytes: u64,
) -> Result<usize, JournalError> {
    let mut bytes = 0;
    for (count, segment) in segments.iter().enumerate() {
        bytes += segment.length(files)?;
        if count > 0 && bytes > segment_bytes {
            return Ok(count);
        }
    }
    Ok(segments.len())
}

/// Where the segments as they were go to.
struct SetAside<'a> {
    files: &'a RealFiles,
    directory: PathBuf,
}

impl<'a> SetAside<'a> {
    fn begin(journal: &Path, files: &'a RealFiles) -> Result<Self, JournalError> {
        let directory = (1..)
            .map(|n| journal.join(format!("set-aside-{n}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| journal.join("set-aside"));
        fs::create_dir(&directory)
            .map_err(|error| crate::files::failed("set aside", &directory, &error))?;
        Ok(Self { files, directory })
    }

    /// Takes what a new segment stands for: nothing that opens the journal is to remove it.
    fn take_covered(&self) -> Result<(), JournalError> {
        let (_, covered) = segment::choose(&self.files.list()?);
        self.take(&covered)
    }

    /// Takes whatever is not one of the new segments.
    fn finish(self, kept: &[String]) -> Result<PathBuf, JournalError> {
        let (mut chosen, _) = segment::choose(&self.files.list()?);
        chosen.retain(|name| !kept.contains(name));
        self.take(&chosen)?;
        Ok(self.directory)
    }

    fn take(&self, names: &[String]) -> Result<(), JournalError> {
        for name in names {
            let from = self.files.path(name);
            fs::rename(&from, self.directory.join(name))
                .map_err(|error| crate::files::failed("set aside", &from, &error))?;
        }
        self.files.sync()
    }
}

struct Keeping<'a> {
    /// The first event of each damaged stream that is not kept.
    sound_below: &'a BTreeMap<u64, u64>,
    rewrite: Rewrite<'a>,
}

impl Sink for Keeping<'_> {
    fn frame(&mut self, frame: &Frame<'_>) {
        let below = self.sound_below.get(&frame.head.stream).copied();
        let is_kept = match frame.head.kind {
            Kind::Batch => Batch::decode(frame.body).is_ok_and(|batch| {
                below.is_none_or(|below| batch.first_seq < below && batch.last_seq() < below)
            }),
            // A snapshot of a damaged stream may hold what its events do not prove any more.
            Kind::Snapshot | Kind::Deleted => below.is_none(),
            Kind::Name | Kind::GroupEnd | Kind::Seal => false,
        };
        if is_kept {
            self.rewrite.keep(frame);
        }
    }

    fn lost(&mut self, _: Lost) {}
}
