//! Compaction of a journal in use.
//!
//! Off the write path, at a bounded rate: segments that nothing is written to any more are looked through, and where enough of
//! them is dead, what lives is copied into a new segment, which is synced and gets its name. From then on it counts: whoever
//! opens the log finds it, and takes what it covers for leftovers. Then the writer, between two groups, puts it in their place
//! for all readers; the indexer brings the places in memory and behind the log up to date; and last the old files go. Cut off
//! at any step, nothing is lost, and the next opening removes what was left over.
//!
//! It goes through the log from its beginning, always: what is dropped of a stream is its first batches, so that none is
//! missing in its midst whenever this is cut off.
//!
//! What it refuses to do: touch a log in which anything is damaged, or go on where the disk does not let it. Then it says so, and
//! the journal works on.

use super::living::{Living, Needed, is_saved};
use super::moved::Moved;
use super::rewrite::{Rewrite, identity_over};
use crate::frame::{Frame, Kind};
use crate::index::Place;
use crate::segment::{SEGMENT_HEAD_BYTES, Segment};
use crate::shared::Shared;
use crate::tools::Compacted;
use crate::writer::Request;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{AppendError, Damage, JournalError, Receipt, Tag};

/// After so much is written it is synced, so that the writer's own syncs never wait for much.
const SYNC_EVERY_BYTES: u64 = 4 << 20;
/// How long to wait for an indexer that is busy before it is asked again.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// What is known from one compaction to the next.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the log when it was last looked through and, if that was worth it, compacted.
    bytes: u64,
    /// How many batches and snapshots lived then.
    frames: u64,
    /// Files that are covered, and to be removed once nobody copies them.
    leftover: Vec<String>,
}

/// Why a compaction did not come to its end. Nothing is lost.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The journal is being closed.
    Closing,
    /// It cannot be read or written.
    Journal(JournalError),
}

impl From<JournalError> for Cut {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// The thread that compacts, and whoever else asks for it.
pub(crate) struct Compactor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: Sender<Request>,
    /// Nothing is ever sent: it ends when the journal is closed.
    pub(crate) closing: Option<Receiver<()>>,
    /// How many bytes a second are read and written; `None` for as many as the disk gives.
    pub(crate) bytes_per_second: Option<u64>,
}

impl Compactor {
    /// Compacts now and then, until the journal is closed.
    pub(crate) fn run(self) {
        let every = self.shared.options.compaction.every;
        while self.sleep(every).is_ok() {
            if !self.is_due() {
                continue;
            }
            match self.compact(None) {
                Ok(done) if done.bytes_before == done.bytes_after => {}
                Ok(done) => tracing::info!(
                    bytes_before = done.bytes_before,
                    bytes_after = done.bytes_after,
                    "the journal was compacted"
                ),
                Err(Cut::Closing) => return,
                Err(Cut::Journal(error)) => {
                    tracing::warn!(%error, "the journal could not be compacted");
                }
            }
        }
    }

    /// Whether something died, and either so much, or the log has grown so much since, that it is worth a look.
    fn is_due(&self) -> bool {
        let died = self.shared.died.load(Ordering::Relaxed);
        if died == 0 {
            return false;
        }
        let segments = self.segments(None);
        let files = &*self.shared.files;
        let lengths = segments.iter().map(|s| s.length(files).unwrap_or(0));
        let bytes: u64 = lengths.sum();
        let share = self.shared.options.compaction.dead_share;
        let last = self.shared.compaction.lock();
        !segments.is_empty()
            && (died as f64 >= last.frames as f64 * share
                || bytes as f64 >= last.bytes as f64 * (1.0 + share))
    }

    /// The segments of those names, or all but the one that is being written.
    fn segments(&self, names: Option<&[String]>) -> Vec<Arc<Segment>> {
        let segments = self.shared.segments.read();
        let mut all: Vec<Arc<Segment>> = segments.values().cloned().collect();
        match names {
            Some(names) => all.retain(|segment| names.contains(&segment.name)),
            None => drop(all.pop()),
        }
        all
    }

    /// Goes through the log once. With the names of segments that are at rest, all of these are compacted, however little of
    /// them is dead.
    pub(crate) fn compact(&self, names: Option<&[String]>) -> Result<Compacted, Cut> {
        let mut progress = self.shared.compaction.lock();
        let died = self.shared.died.swap(0, Ordering::Relaxed);
        let done = self.go_through(&mut progress, names);
        if done.is_err() {
            self.shared.died.fetch_add(died.max(1), Ordering::Relaxed);
        }
        done
    }

    fn go_through(
        &self,
        progress: &mut Progress,
        names: Option<&[String]>,
    ) -> Result<Compacted, Cut> {
        self.sweep(progress)?;
        let segments = self.segments(names);
        let files = &*self.shared.files;
        let is_saved =
            |number: u64, place: Place| is_saved(&self.shared.index.read(), number, place);
        let now_ms = (self.shared.options.clock)();
        let mut needed = Needed::new(&self.shared.index.read(), now_ms, &is_saved);
        let mut done = Compacted {
            segments_before: segments.len() as u64,
            segments_after: segments.len() as u64,
            ..Compacted::default()
        };
        let mut lives = Vec::with_capacity(segments.len());
        for segment in &segments {
            let bytes = segment.length(files)?;
            done.bytes_before += bytes;
            lives.push(sound(segment, needed.look(files, segment)?, self)?);
            self.pace(bytes)?;
        }
        done.bytes_after = done.bytes_before;
        let dead: u64 = lives.iter().map(|living| living.dropped).sum();
        let share = self.shared.options.compaction.dead_share;
        progress.frames = lives.iter().map(|living| living.frames).sum();
        progress.bytes = done.bytes_before;
        if names.is_none() && (dead as f64) < done.bytes_before as f64 * share {
            return Ok(done);
        }
        let mut at = 0;
        while at < segments.len() {
            let to = at + run_of(&lives[at..], self.shared.options.segment_bytes());
            if to - at > 1 || lives[at].dropped > 0 {
                let (before, after) = self.rewrite(&needed, &segments[at..to], progress)?;
                done.bytes_after = done.bytes_after - before + after;
                done.segments_after -= (to - at) as u64 - 1;
            }
            at = to;
        }
        progress.bytes = done.bytes_after;
        Ok(done)
    }

    /// Puts what lives of some segments into one. How long they were, and how long that is.
    fn rewrite(
        &self,
        needed: &Needed<'_>,
        run: &[Arc<Segment>],
        progress: &mut Progress,
    ) -> Result<(u64, u64), Cut> {
        let files = &*self.shared.files;
        let Some(identity) = identity_over(run) else {
            return Ok((0, 0));
        };
        let names = |number: u64| {
            let index = self.shared.index.read();
            let known = index.known.get((number as usize).checked_sub(1)?)?;
            Some(known.head.stream.clone())
        };
        let mut copy = Copy {
            compactor: self,
            rewrite: Rewrite::begin(files, identity, &names)?,
            moved: Moved::new(run.iter().map(|s| s.key()).collect(), identity.key()),
            cut: None,
        };
        let (mut before, mut next_number) = (0, identity.next_number);
        for segment in run {
            let bytes = segment.read_from(files, SEGMENT_HEAD_BYTES)?;
            before += SEGMENT_HEAD_BYTES + bytes.len() as u64;
            let living = needed.sift(segment, &bytes, &mut |frame, lives| {
                copy.take(segment.key(), frame, lives);
            });
            next_number = sound(segment, living, self)?.next_number;
            if let Some(cut) = copy.cut {
                copy.rewrite.abandon();
                return Err(cut);
            }
        }
        let Copy {
            rewrite, mut moved, ..
        } = copy;
        moved.finish();
        let after = rewrite.finish(next_number)?;
        let segment = Arc::new(Segment {
            identity,
            name: identity.name(),
        });
        self.swap(Arc::new(moved), &segment)?;
        let gone = run.iter().map(|segment| segment.name.clone());
        progress.leftover.extend(gone);
        self.sweep(progress)?;
        Ok((before, after))
    }

    /// Lets the writer put the new segment in the place of the old ones, and waits until all places are up to date.
    fn swap(&self, moved: Arc<Moved>, segment: &Arc<Segment>) -> Result<(), Cut> {
        loop {
            let (answer, receipt) = Receipt::<bool, AppendError>::pair();
            let request = Request::Swap(moved.clone(), segment.clone(), answer);
            if self.requests.send(request).is_err() {
                return Err(JournalError::Unknown.into());
            }
            match receipt.wait() {
                Ok(true) => return Ok(()),
                // The indexer has work: off the write path means that nobody waits for it but this.
                Ok(false) => self.sleep(BUSY_WAIT)?,
                Err(AppendError::Journal(error)) => return Err(error.into()),
                Err(_) => return Err(JournalError::Unknown.into()),
            }
        }
    }

    /// Removes what is covered, unless it is being copied: then with the next compaction, or at the next opening.
    fn sweep(&self, progress: &mut Progress) -> Result<(), JournalError> {
        if progress.leftover.is_empty() || self.shared.copies.load(Ordering::Acquire) > 0 {
            return Ok(());
        }
        while let Some(name) = progress.leftover.pop() {
            match self.shared.files.remove(&name) {
                Ok(()) | Err(JournalError::Vanished { .. }) => {}
                Err(error) => {
                    progress.leftover.push(name);
                    return Err(error);
                }
            }
        }
        self.shared.files.sync()
    }

    /// Waits as long as so many bytes may take.
    fn pace(&self, bytes: u64) -> Result<(), Cut> {
        let rate = self.bytes_per_second.unwrap_or(u64::MAX).max(1);
        self.sleep(Duration::from_secs_f64(bytes as f64 / rate as f64))
    }

    fn sleep(&self, time: Duration) -> Result<(), Cut> {
        match &self.closing {
            Some(closing) => match closing.recv_timeout(time) {
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Cut::Closing),
            },
            None => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}

/// How many of the first of these go into one segment.
fn run_of(lives: &[Living], segment_bytes: u64) -> usize {
    let mut bytes = 0;
    let fit = lives.iter().take_while(|living| {
        bytes += living.bytes;
        bytes <= segment_bytes
    });
    fit.count().max(1)
}

/// Nothing is dropped of a log in which something is damaged.
fn sound(segment: &Segment, living: Living, of: &Compactor) -> Result<Living, JournalError> {
    if living.is_sound {
        return Ok(living);
    }
    Err(Damage {
        stream: None,
        seq: None,
        place: of.shared.files.path(&segment.name).display().to_string(),
        what: "not all of the segment can be read; verify tells more".to_owned(),
    }
    .into())
}

/// Copying what lives, frame by frame.
struct Copy<'a> {
    compactor: &'a Compactor,
    rewrite: Rewrite<'a>,
    moved: Moved,
    cut: Option<Cut>,
}

impl Copy<'_> {
    fn take(&mut self, segment: u64, frame: &Frame<'_>, lives: bool) {
        if self.cut.is_some() {
            return;
        }
        let before = Place {
            segment,
            offset: frame.offset,
        };
        self.moved.streams.push(frame.head.stream);
        self.note_tags(frame, before, lives);
        if !lives {
            return;
        }
        let offset = self.rewrite.keep(frame);
        self.moved.note(before, offset);
        let unsynced = self.rewrite.unsynced();
        if unsynced >= SYNC_EVERY_BYTES {
            let synced = self.rewrite.sync().map_err(Cut::from);
            self.cut = synced.and_then(|()| self.compactor.pace(unsynced)).err();
        }
    }

    fn note_tags(&mut self, frame: &Frame<'_>, before: Place, lives: bool) {
        if frame.head.kind != Kind::Batch {
            return;
        }
        let Ok(batch) = Batch::decode(frame.body) else {
            return;
        };
        for (event, position) in batch.events.iter().zip(batch.position..) {
            for tag in event.tags.iter().filter_map(|tag| Tag::new(tag).ok()) {
                if lives {
                    self.moved.tags.push((tag, position, before));
                } else {
                    self.moved.dead_tags.push((tag, position));
                }
            }
        }
    }
}
