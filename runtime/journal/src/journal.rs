//! The journal on disk as others hold it.

use crate::compactor::{Compactor, Cut, Moved};
use crate::files::{Files, RealFiles};
use crate::frame::{Buffer, Kind};
use crate::index::{Known, Place};
use crate::number_set::NumberSet;
use crate::options::Options;
use crate::reader;
use crate::recover::{Recovered, recover};
use crate::scan::How;
use crate::segment;
use crate::shared::Shared;
use crate::store::{self, Store};
use crate::tools::Compacted;
use crate::writer::{Checkpoint, Group, Request, Writer};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{
    Answer, Append, AppendError, Appended, Criteria, Damage, Head, Journal, JournalError, Position,
    Receipt, Recorded, Seq, Snapshot, SnapshotMeta, Start, StreamName, Tag,
};

/// A journal in a directory. Clones share it; when the last one is dropped it is sealed and its index brought up to date,
/// which waits for the disk.
#[derive(Clone)]
pub struct DiskJournal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Dropped, it ends the compactor; then that is joined.
    compactor: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
    opening: Opening,
    _lock: Box<dyn Any + Send + Sync>,
}

/// What opening a journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// How many frames of the log were read.
    pub frames: u64,
    /// Part of a group that nobody was told of was cut off here, and was this long.
    pub torn: Option<(String, u64)>,
    /// Streams that are damaged. They can be neither read nor written; all others can.
    pub damaged: Vec<Damage>,
    /// The index was made anew out of the log, for this reason.
    pub index_rebuilt: Option<String>,
}

/// Somebody copies the log's files, or reads them as files.
pub(crate) struct Copying(Arc<Shared>);

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Ordering::AcqRel);
    }
}

impl DiskJournal {
    /// Opens the journal in `directory`, or makes one.
    ///
    /// # Errors
    /// [`JournalError`]: another one has it open, the format is not ours, the disk does not let us, or something was lost of
    /// which nobody can say whose it was (`swarmctl journal verify` tells more).
    pub fn open(directory: &Path, options: Options) -> Result<Self, JournalError> {
        let files = Arc::new(RealFiles::new(&directory.join("log"))?);
        Self::open_over(files, Some(store::directory(directory)), options)
    }

    /// Opens a journal over other files, with its index in that directory.
    ///
    /// # Errors
    /// As [`DiskJournal::open`].
    pub fn open_over(
        files: Arc<dyn Files>,
        index: Option<PathBuf>,
        options: Options,
    ) -> Result<Self, JournalError> {
        let lock = files.lock()?;
        let index = index.filter(|_| options.has_index);
        let (store, recovered, mut opening) = read(&*files, index.as_deref())?;
        if let Some(unknown) = recovered.unknown.first() {
            return Err(unknown.damage.clone().into());
        }
        let (_, leftover) = segment::choose(&files.list()?);
        for name in &leftover {
            files.remove(name)?;
        }
        remove_unborn(&*files, &recovered)?;
        let next_number = seal_last(&*files, &recovered, &mut opening)?;
        Self::start(files, options, recovered, store, opening, next_number, lock)
    }

    fn start(
        files: Arc<dyn Files>,
        options: Options,
        recovered: Recovered,
        store: Option<Store>,
        opening: Opening,
        next_number: u64,
        lock: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, JournalError> {
        let dirty: NumberSet = (1..)
            .zip(&recovered.index.known)
            .filter_map(|(number, known)| known.is_dirty.then_some(number))
            .collect();
        let numbers: HashMap<StreamName, u64> = (1..)
            .zip(&recovered.streams)
            .map(|(number, stream)| (stream.name().clone(), number))
            .collect();
        let next_segment = recovered
            .segments
            .values()
            .map(|s| s.identity.last)
            .max()
            .unwrap_or(0)
            + 1;
        let next_position = recovered.index.next_position;
        let mut index = recovered.index;
        index.end = recovered
            .end
            .map_or(Place::default(), |(segment, end)| Place {
                segment,
                offset: end.offset,
            });
        let has_store = store.is_some();
        let (requests, waiting) = bounded(options.queue);
        let shared = Arc::new(Shared::new(
            files,
            options,
            index,
            recovered.segments,
            store.map(Arc::new),
        ));
        let mut threads = Vec::new();
        let checkpoints = if has_store {
            let (sender, receiver) = bounded(1);
            let theirs = shared.clone();
            threads.push(thread("journal-indexer", move || {
                keep_index(&theirs, &receiver)
            })?);
            Some(sender)
        } else {
            None
        };
        let writer = Writer {
            shared: shared.clone(),
            requests: waiting,
            checkpoints,
            streams: recovered.streams,
            numbers,
            next_number,
            next_position,
            next_segment,
            journal: recovered.journal.unwrap_or_else(|| fresh_number(&shared)),
            active: None,
            group: Group::new(),
            dirty,
            since_checkpoint: 0,
        };
        threads.push(thread("journal-writer", move || writer.run())?);
        let compactor = if shared.options.compaction.is_on {
            let (open, closing) = bounded(0);
            let compactor = Compactor {
                shared: shared.clone(),
                requests: requests.clone(),
                closing: Some(closing),
                bytes_per_second: Some(shared.options.compaction.bytes_per_second),
            };
            Some((open, thread("journal-compactor", move || compactor.run())?))
        } else {
            None
        };
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                requests,
                threads: Mutex::new(threads),
                compactor: Mutex::new(compactor),
                opening,
                _lock: lock,
            }),
        })
    }

    /// What opening it found.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.inner.opening
    }

    /// How many groups were written since it was opened: as many as syncs of the log, but for new segments.
    #[must_use]
    pub fn groups(&self) -> u64 {
        self.inner.shared.groups.load(Ordering::Relaxed)
    }

    /// Brings the index up to date, so that the next opening has less to read.
    pub fn checkpoint(&self) -> Receipt<(), AppendError> {
        self.ask(0, Request::Checkpoint)
    }

    /// The names of the segments that there are, once nothing is written to them any more.
    pub(crate) fn frozen_segments(&self) -> Result<Vec<String>, JournalError> {
        match self.ask(0, Request::Freeze).wait() {
            Ok(names) => Ok(names),
            Err(AppendError::Journal(error)) => Err(error),
            // A queue that is full is no reason to fail a backup; whoever makes it may try again.
            Err(error) => Err(JournalError::Io {
                operation: "seal",
                path: self.inner.shared.files.path("log"),
                message: error.to_string(),
            }),
        }
    }

    /// No file of the log is removed while this is held.
    pub(crate) fn copying(&self) -> Copying {
        self.inner.shared.copies.fetch_add(1, Ordering::AcqRel);
        Copying(self.inner.shared.clone())
    }

    /// Compacts segments that are at rest, on this thread.
    pub(crate) fn compact_segments(&self, names: &[String]) -> Result<Compacted, JournalError> {
        let compactor = Compactor {
            shared: self.inner.shared.clone(),
            requests: self.inner.requests.clone(),
            closing: None,
            bytes_per_second: None,
        };
        compactor.compact(Some(names)).map_err(|cut| match cut {
            Cut::Journal(error) => error,
            Cut::Closing => JournalError::Unknown,
        })
    }

    pub(crate) fn files(&self) -> Arc<dyn Files> {
        self.inner.shared.files.clone()
    }

    /// Ends it as a kill of the process would: nothing is sealed, the index is not brought up to date. For tests.
    pub fn abandon(self) {
        self.inner
            .shared
            .is_abandoned
            .store(true, Ordering::Release);
    }

    fn ask<T>(
        &self,
        bytes: usize,
        make: impl FnOnce(Answer<T, AppendError>) -> Request,
    ) -> Receipt<T, AppendError> {
        let shared = &self.inner.shared;
        if let Err(error) = shared.usable() {
            return AppendError::from(error).into();
        }
        if !shared.reserve(bytes) {
            return AppendError::Overloaded.into();
        }
        let (answer, receipt) = Receipt::pair();
        match self.inner.requests.try_send(make(answer)) {
            Ok(()) => receipt,
            Err(TrySendError::Full(_)) => {
                shared.release(bytes);
                AppendError::Overloaded.into()
            }
            Err(TrySendError::Disconnected(_)) => {
                shared.release(bytes);
                AppendError::from(shared.usable().err().unwrap_or(JournalError::Unknown)).into()
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some((open, compactor)) = self.compactor.lock().take() {
            drop(open);
            drop(compactor.join());
        }
        // The writer takes requests until this one.
        drop(self.requests.send(Request::Close));
        for thread in self.threads.lock().drain(..).rev() {
            drop(thread.join());
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, JournalError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| JournalError::Io {
            operation: "start a thread for",
            path: name.into(),
            message: error.to_string(),
        })
}

/// Reads log and index; an index that is no good is thrown away and made anew.
fn read(
    files: &dyn Files,
    index: Option<&Path>,
) -> Result<(Option<Store>, Recovered, Opening), JournalError> {
    let mut opening = Opening::default();
    let (mut store, mut keeps_old) = (None, false);
    let mut log_bytes = 0;
    for name in segment::choose(&files.list()?).0 {
        log_bytes += files.open(&name)?.length()?;
    }
    if let Some(directory) = index {
        let existed = directory.exists();
        match Store::open(directory, log_bytes)
            .and_then(|store| store.mark().map(|mark| (store, mark)))
        {
            Ok((_, None)) if existed => opening.index_rebuilt = Some("it has no mark".to_owned()),
            Ok((opened, _)) => store = Some(opened),
            Err(error) => opening.index_rebuilt = Some(error.to_string()),
        }
    }
    let recovered = recover(files, store.as_ref(), &mut |_, _| {})?;
    if recovered.is_store_of_another_layout {
        store = None;
        opening.index_rebuilt = Some("the log was compacted since".to_owned());
        let is_damaged = |known: &Known| known.damage.is_some();
        if recovered.index.known.iter().any(is_damaged) {
            // What it knows of the damage is not thrown away. The journal works without it.
            keeps_old = true;
        }
    }
    if let (Some(directory), None, false) = (index, &store, keeps_old) {
        store::discard(directory);
        store = Store::open(directory, log_bytes)
            .inspect_err(|error| tracing::warn!(%error, "the journal works without an index"))
            .ok();
    }
    opening.frames = recovered.frames;
    opening.damaged = recovered
        .index
        .known
        .iter()
        .filter_map(|known| known.damage.as_deref().cloned())
        .collect();
    for damage in &opening.damaged {
        tracing::error!(%damage, "the journal is damaged");
    }
    Ok((store, recovered, opening))
}

/// Removes a segment that was being made when the power went.
fn remove_unborn(files: &dyn Files, recovered: &Recovered) -> Result<(), JournalError> {
    let (names, _) = segment::choose(&files.list()?);
    for name in names {
        if !recovered
            .segments
            .values()
            .any(|segment| segment.name == name)
        {
            files.remove(&name)?;
        }
    }
    Ok(())
}

/// Cuts a torn tail off and seals the last segment, so that it is plain from now on that it was whole. The number of the next
/// frame.
pub(crate) fn seal_last(
    files: &dyn Files,
    recovered: &Recovered,
    opening: &mut Opening,
) -> Result<u64, JournalError> {
    let Some((first, end)) = recovered.end else {
        return Ok(recovered.next_number);
    };
    let Some(segment) = recovered.segments.get(&first) else {
        return Ok(recovered.next_number);
    };
    if end.how == How::Sealed {
        return Ok(recovered.next_number.max(end.next_number));
    }
    if end.how == How::Torn {
        let length = segment.length(files)?.saturating_sub(end.offset);
        opening.torn = Some((files.path(&segment.name).display().to_string(), length));
    }
    let number = recovered.next_number.max(end.next_number);
    let mut seal = Buffer::new(segment.salt(), end.offset);
    seal.put(Kind::Seal, number, 0, |_| {});
    let file = segment.file(files)?;
    file.set_length(end.offset)?;
    file.write_at(end.offset, &seal.bytes)?;
    file.sync_data()?;
    Ok(number + 1)
}

/// A number that tells this journal from others.
fn fresh_number(shared: &Shared) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64((shared.options.clock)());
    hasher.finish()
}

/// The indexer's thread: off the write path.
fn keep_index(shared: &Shared, checkpoints: &Receiver<Checkpoint>) {
    // A checkpoint may have been made before the places in memory were brought up to date, and come after that.
    let mut last: Option<Arc<Moved>> = None;
    while let Ok(Checkpoint::Write(mut delta, mark, moved, answer)) = checkpoints.recv() {
        if let Some((moved, _)) = &moved {
            shared.relocate(moved);
            last = Some(moved.clone());
            delta.snapshots.extend(shared.saved(&moved.streams));
        }
        if let Some(last) = &last {
            last.delta(&mut delta);
        }
        let store = shared.store.read().clone();
        if let Some(store) = store {
            let moved = moved.as_ref().map(|(moved, _)| &**moved);
            match store.checkpoint(&delta, &mark, moved) {
                Ok(()) => shared.settle(&delta),
                Err(error) => {
                    // The log has everything; reading it takes longer from here on.
                    tracing::warn!(%error, "the journal goes on without its index");
                    *shared.store.write() = None;
                }
            }
        }
        if let Some((_, answer)) = moved {
            *shared.moved.write() = None;
            answer.send(Ok(true));
        }
        if let Some(answer) = answer {
            answer.send(Ok(()));
        }
    }
    *shared.store.write() = None;
}

impl Journal for DiskJournal {
    fn append(&self, append: Append) -> Receipt<Appended, AppendError> {
        if let Err(invalid) = append.check() {
            return AppendError::from(invalid).into();
        }
        self.ask(append.bytes(), |answer| Request::Append(append, answer))
    }

    fn truncate(&self, stream: &StreamName, up_to: Seq) -> Receipt<Head, AppendError> {
        // Batches do not change, so that it may be found out here which is the last without anything above the mark.
        let mut ends = None;
        let read = self.replay(stream, Start::AfterBatch(0), &mut |batch| {
            if batch.first_seq > up_to.0 {
                return ControlFlow::Break(());
            }
            if !batch.events.is_empty() && batch.last_seq() <= up_to.0 {
                let mut bytes = Vec::new();
                batch.encode(&mut bytes);
                let sum = swarm_actors::journal::record::sum(&bytes);
                let position = batch.position + batch.events.len() as u64 - 1;
                ends = Some((batch.batch, sum, position));
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            return AppendError::from(error).into();
        }
        let stream = stream.clone();
        self.ask(0, move |answer| {
            Request::Truncate(stream, up_to, ends, answer)
        })
    }

    fn head(&self, stream: &StreamName) -> Result<Option<Head>, JournalError> {
        self.inner.shared.usable()?;
        let index = self.inner.shared.index.read();
        match index.get(stream) {
            Some((_, known)) if known.damage.is_some() => {
                let damage = known.damage.clone();
                Err(damage.map_or(JournalError::Unknown, JournalError::Damaged))
            }
            Some((_, known)) => Ok(known.exists().then(|| known.head.clone())),
            None => Ok(None),
        }
    }

    fn heads(&self, after: Option<&StreamName>, limit: usize) -> Result<Vec<Head>, JournalError> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.inner.shared.usable()?;
        let index = self.inner.shared.index.read();
        let behind = after.map_or(Unbounded, Excluded);
        Ok(index
            .numbers
            .range::<StreamName, _>((behind, Unbounded))
            .filter_map(|(_, number)| index.known.get(*number as usize - 1))
            .filter(|known| known.exists())
            .take(limit)
            .map(|known| known.head.clone())
            .collect())
    }

    fn replay(
        &self,
        stream: &StreamName,
        start: Start,
        each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Head>, JournalError> {
        reader::replay(&self.inner.shared, stream, start, each)
    }

    fn read_positions(
        &self,
        after: Position,
        tag: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Recorded>, JournalError> {
        match tag {
            Some(tag) => reader::tagged(&self.inner.shared, tag, after, limit),
            None => reader::positions(&self.inner.shared, after, limit),
        }
    }

    fn last_position(&self) -> Position {
        Position(
            self.inner
                .shared
                .index
                .read()
                .next_position
                .saturating_sub(1),
        )
    }

    fn save_snapshot(&self, snapshot: Snapshot) -> Receipt<(), AppendError> {
        let bytes = snapshot.payload.len() + snapshot.note.len();
        self.ask(bytes, |answer| {
            Request::Snapshot(Box::new(snapshot), answer)
        })
    }

    fn snapshots(&self, stream: &StreamName) -> Result<Vec<SnapshotMeta>, JournalError> {
        self.inner.shared.usable()?;
        let number = self
            .inner
            .shared
            .index
            .read()
            .get(stream)
            .map(|(number, _)| number);
        Ok(number.map_or_else(Vec::new, |number| self.inner.shared.snapshots(number)))
    }

    fn snapshot(&self, stream: &StreamName, seq: Seq) -> Result<Option<Snapshot>, JournalError> {
        reader::snapshot(&self.inner.shared, stream, seq)
    }

    fn delete_snapshots(
        &self,
        stream: &StreamName,
        criteria: Criteria,
    ) -> Receipt<usize, AppendError> {
        let stream = stream.clone();
        self.ask(0, move |answer| {
            Request::DeleteSnapshots(stream, criteria, answer)
        })
    }
}
