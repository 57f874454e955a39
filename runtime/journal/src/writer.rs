//! The writer: one thread per journal that decides, writes, syncs and answers, a group at a time.
//!
//! It takes what waits, up to the bounds of a group, decides about each request by the rules that all journals share, puts
//! what is to be written into one buffer, and writes that with one write and one sync. Only then are the index and the
//! requests' senders told. While the disk is busy the next group collects, so groups grow with the load by themselves.
//!
//! When a write or a sync fails, nobody knows what is on disk. Everybody who waits is told so, and the writer takes nothing
//! more: whoever opens the journal again finds out.

use crate::files::File;
use crate::frame::{Buffer, Kind, Listed};
use crate::index::{BatchPlace, Known, Place, SnapshotBody, SnapshotPlace};
use crate::number_set::NumberSet;
use crate::segment::{Identity, SEGMENT_HEAD_BYTES, Segment};
use crate::shared::Shared;
use crate::store::{Delta, Mark, STORE_VERSION};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use swarm_actors::journal::record::{Batch, Bytes};
use swarm_actors::journal::rules::{Decision, Stream};
use swarm_actors::journal::{
    Answer, Append, AppendError, Appended, Class, Criteria, Head, InvalidAppend, JournalError,
    SEALED_VERSION, SEALING_BYTES, SNAPSHOT_BYTES_MAX, Seq, Snapshot, StreamName, Tag,
};

/// What the writer is asked.
pub(crate) enum Request {
    Append(Append, Answer<Appended, AppendError>),
    /// With the last batch that holds nothing above the mark: number, sum, position.
    Truncate(
        StreamName,
        Seq,
        Option<(u64, u32, u64)>,
        Answer<Head, AppendError>,
    ),
    Snapshot(Box<Snapshot>, Answer<(), AppendError>),
    DeleteSnapshots(StreamName, Criteria, Answer<usize, AppendError>),
    /// Bring the index up to date, and answer when that is done.
    Checkpoint(Answer<(), AppendError>),
    /// End the segment that is being written, and answer with the names of all there are: nothing is written to them any more.
    Freeze(Answer<Vec<String>, AppendError>),
    /// End in order.
    Close,
}

/// What the indexer is asked.
pub(crate) enum Checkpoint {
    Write(Box<Delta>, Mark, Option<Answer<(), AppendError>>),
    Close,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: Receiver<Request>,
    pub(crate) checkpoints: Option<Sender<Checkpoint>>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) numbers: HashMap<StreamName, u64>,
    pub(crate) next_number: u64,
    pub(crate) next_position: u64,
    pub(crate) next_segment: u64,
    pub(crate) journal: u64,
    pub(crate) active: Option<Active>,
    pub(crate) group: Group,
    /// Streams that the store does not know as they are.
    pub(crate) dirty: NumberSet,
    pub(crate) since_checkpoint: u64,
}

/// The segment that is being written.
pub(crate) struct Active {
    segment: Arc<Segment>,
    file: Box<dyn File>,
    /// Where the next group goes.
    offset: u64,
    /// Up to where the file is filled with zeros.
    filled: u64,
    /// Streams whose name stands in it.
    named: NumberSet,
}

/// What one write is made of, and who is to be told of it.
pub(crate) struct Group {
    buffer: Buffer,
    listed: Vec<Listed>,
    outcomes: Vec<Outcome>,
    written: Vec<Written>,
}

enum Outcome {
    Appended(
        Result<Appended, AppendError>,
        Answer<Appended, AppendError>,
        Class,
    ),
    Truncated(Head, Answer<Head, AppendError>),
    Saved(Answer<(), AppendError>),
    Deleted(usize, Answer<usize, AppendError>),
}

/// What the index is to learn when the group is on disk.
enum Written {
    Named(u64, StreamName),
    Batch(u64, u64, BatchPlace),
    Tagged(Tag, u64, Place),
    Snapshot(u64, SnapshotPlace),
    Deleted(u64, Vec<u64>),
}

impl Group {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Buffer::new(0, 0),
            listed: Vec::new(),
            outcomes: Vec::new(),
            written: Vec::new(),
        }
    }
}

impl Writer {
    /// Works until it is closed, or all handles are gone.
    pub(crate) fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            match self.group(first) {
                Ok(true) => {}
                Ok(false) => {
                    self.close();
                    return;
                }
                Err(error) => {
                    self.stop(error);
                    return;
                }
            }
        }
        self.close();
    }

    /// Takes one group from the first request to the answers. False when it is to end.
    fn group(&mut self, first: Request) -> Result<bool, JournalError> {
        let first = match first {
            Request::Close => return Ok(false),
            Request::Checkpoint(answer) => {
                self.checkpoint(Some(answer));
                return Ok(true);
            }
            Request::Freeze(answer) => {
                self.freeze(answer)?;
                return Ok(true);
            }
            first => first,
        };
        let now_ms = (self.shared.options.clock)();
        let mut next = Some(first);
        let mut is_open = true;
        let mut taken = 0;
        if let Err(error) = self.begin() {
            next.into_iter()
                .for_each(|request| self.refuse(request, &error));
            return Err(error);
        }
        while let Some(request) = next {
            match request {
                Request::Close => {
                    is_open = false;
                    break;
                }
                Request::Checkpoint(answer) => {
                    self.commit()?;
                    self.checkpoint(Some(answer));
                    self.begin()?;
                }
                Request::Freeze(answer) => {
                    self.commit()?;
                    self.freeze(answer)?;
                    self.begin()?;
                }
                request => self.take(request, now_ms),
            }
            taken += 1;
            if taken >= self.shared.options.group_requests
                || self.group.buffer.bytes.len() >= self.shared.options.group_bytes
            {
                break;
            }
            next = self.requests.try_recv().ok();
        }
        self.commit()?;
        let offset = self.active.as_ref().map_or(0, |active| active.offset);
        if offset >= self.shared.options.segment_bytes {
            self.seal()?;
            self.checkpoint(None);
        } else if self.since_checkpoint >= self.shared.options.checkpoint_bytes {
            self.checkpoint(None);
        }
        Ok(is_open)
    }

    fn begin(&mut self) -> Result<(), JournalError> {
        if self.active.is_none() {
            self.active = Some(self.next_segment()?);
        }
        if let Some(active) = &self.active {
            self.group
                .buffer
                .reset(active.segment.salt(), active.offset);
        }
        Ok(())
    }

    fn next_segment(&mut self) -> Result<Active, JournalError> {
        let identity = Identity {
            journal: self.journal,
            first: self.next_segment,
            last: self.next_segment,
            generation: 0,
            next_number: self.next_number,
            next_position: self.next_position,
        };
        let files = &*self.shared.files;
        let (segment, file) = Segment::create(files, identity, identity.name())?;
        file.sync_data()?;
        files.sync()?;
        self.next_segment += 1;
        let mut segments = self.shared.segments.write();
        segments.insert(identity.first, segment.clone());
        Ok(Active {
            segment,
            file,
            offset: SEGMENT_HEAD_BYTES,
            filled: SEGMENT_HEAD_BYTES,
            named: NumberSet::default(),
        })
    }

    fn take(&mut self, request: Request, now_ms: u64) {
        match request {
            Request::Append(append, answer) => {
                self.shared.release(append.bytes());
                let class = append.class;
                let result = self.append(&append, now_ms);
                self.group
                    .outcomes
                    .push(Outcome::Appended(result, answer, class));
            }
            Request::Truncate(name, up_to, ends, answer) => {
                let head = self.truncate(&name, up_to, ends, now_ms);
                self.group.outcomes.push(Outcome::Truncated(head, answer));
            }
            Request::Snapshot(snapshot, answer) => {
                self.shared
                    .release(snapshot.payload.len() + snapshot.note.len());
                let bytes = snapshot.payload.len() + snapshot.note.len();
                let is_sealed = snapshot.meta.version >= SEALED_VERSION;
                let added = if is_sealed { SEALING_BYTES } else { 0 };
                if bytes > SNAPSHOT_BYTES_MAX + added {
                    answer.send(Err(InvalidAppend::TooManyBytes { bytes }.into()));
                } else {
                    self.snapshot(&snapshot);
                    self.group.outcomes.push(Outcome::Saved(answer));
                }
            }
            Request::DeleteSnapshots(name, criteria, answer) => {
                let deleted = self.delete_snapshots(&name, criteria);
                self.group.outcomes.push(Outcome::Deleted(deleted, answer));
            }
            Request::Checkpoint(_) | Request::Freeze(_) | Request::Close => {}
        }
    }

    fn append(&mut self, append: &Append, now_ms: u64) -> Result<Appended, AppendError> {
        let number = self.numbers.get(&append.stream).copied();
        if let Some(damage) = number.and_then(|number| self.shared.damage(number)) {
            return Err(JournalError::Damaged(damage).into());
        }
        let decision = match number {
            Some(number) => {
                self.streams[number as usize - 1].decide(append, self.next_position, now_ms)?
            }
            None => match Stream::new(append.stream.clone()).decide(
                append,
                self.next_position,
                now_ms,
            )? {
                Decision::Write(batch) => Decision::Write(batch),
                Decision::Repeat(appended) => return Ok(appended),
            },
        };
        match decision {
            Decision::Write(batch) => {
                let number = self.number(&append.stream);
                Ok(self.batch(number, &batch))
            }
            Decision::Repeat(appended) => Ok(appended),
        }
    }

    fn number(&mut self, name: &StreamName) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.streams.push(Stream::new(name.clone()));
        let number = self.streams.len() as u64;
        self.numbers.insert(name.clone(), number);
        self.group
            .written
            .push(Written::Named(number, name.clone()));
        number
    }

    /// Puts a frame of a stream, and its name before the first in this segment.
    fn put(
        &mut self,
        kind: Kind,
        number: u64,
        seq: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> (u64, u32) {
        let Self {
            group,
            active,
            streams,
            next_number,
            ..
        } = self;
        if let Some(active) = active
            && active.named.insert(number)
        {
            let name = streams[number as usize - 1].name().clone();
            group.buffer.put(Kind::Name, *next_number, number, |out| {
                out.extend(name.as_str().as_bytes());
            });
            group.listed.push(Listed {
                kind: Kind::Name as u8,
                stream: number,
                seq: 0,
            });
            *next_number += 1;
        }
        let put = group.buffer.put(kind, *next_number, number, write);
        group.listed.push(Listed {
            kind: kind as u8,
            stream: number,
            seq,
        });
        *next_number += 1;
        self.dirty.insert(number);
        put
    }

    fn segment(&self) -> u64 {
        self.active
            .as_ref()
            .map_or(0, |active| active.segment.identity.first)
    }

    fn batch(&mut self, number: u64, batch: &Batch<'_>) -> Appended {
        let (offset, sum) = self.put(Kind::Batch, number, batch.first_seq, |out| {
            batch.encode(out)
        });
        let segment = self.segment();
        for (event, position) in batch.events.iter().zip(batch.position..) {
            for tag in event.tags.iter().filter_map(|tag| Tag::new(tag).ok()) {
                self.group
                    .written
                    .push(Written::Tagged(tag, position, Place { segment, offset }));
            }
        }
        self.next_position = batch.position + batch.events.len() as u64;
        self.group.written.push(Written::Batch(
            number,
            batch.batch,
            BatchPlace {
                segment: segment as u32,
                offset: offset as u32,
                first_seq: batch.first_seq,
            },
        ));
        self.streams[number as usize - 1].apply(batch, sum)
    }

    fn truncate(
        &mut self,
        name: &StreamName,
        up_to: Seq,
        ends: Option<(u64, u32, u64)>,
        now_ms: u64,
    ) -> Head {
        let Some(number) = self.numbers.get(name).copied() else {
            return Stream::new(name.clone()).head();
        };
        let stream = &self.streams[number as usize - 1];
        if let Some(batch) = stream.truncate(up_to, ends, self.next_position, now_ms) {
            self.batch(number, &batch);
        }
        self.streams[number as usize - 1].head()
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        let number = self.number(&snapshot.stream);
        let body = SnapshotBody {
            meta: snapshot.meta,
            note: Bytes(&snapshot.note),
            payload: Bytes(&snapshot.payload),
        };
        let (offset, _) = self.put(Kind::Snapshot, number, snapshot.meta.seq.0, |out| {
            // A vector is never full.
            let _ = postcard::to_io(&body, out);
        });
        let place = SnapshotPlace {
            meta: snapshot.meta,
            place: Place {
                segment: self.segment(),
                offset,
            },
        };
        self.group.written.push(Written::Snapshot(number, place));
    }

    fn delete_snapshots(&mut self, name: &StreamName, criteria: Criteria) -> usize {
        let Some(number) = self.numbers.get(name).copied() else {
            return 0;
        };
        // What this very group has saved is not in the index yet.
        let mut metas = self.shared.snapshots(number);
        for written in &self.group.written {
            match written {
                Written::Snapshot(of, place) if *of == number => {
                    metas.retain(|meta| meta.seq != place.meta.seq);
                    metas.push(place.meta);
                }
                Written::Deleted(of, gone) if *of == number => {
                    metas.retain(|meta| !gone.contains(&meta.seq.0));
                }
                _ => {}
            }
        }
        metas.retain(|meta| criteria.admits(meta));
        let gone: Vec<u64> = metas.iter().map(|meta| meta.seq.0).collect();
        if !gone.is_empty() {
            self.put(Kind::Deleted, number, 0, |out| {
                let _ = postcard::to_io(&gone, out);
            });
            self.group
                .written
                .push(Written::Deleted(number, gone.clone()));
        }
        gone.len()
    }

    /// Writes and syncs what the group has put, and tells everybody.
    fn commit(&mut self) -> Result<(), JournalError> {
        if !self.group.listed.is_empty() {
            let listed = std::mem::take(&mut self.group.listed);
            self.group
                .buffer
                .put(Kind::GroupEnd, self.next_number, 0, |out| {
                    let _ = postcard::to_io(&listed, out);
                });
            self.next_number += 1;
            self.group.listed = listed;
            self.group.listed.clear();
            self.write()?;
        }
        for outcome in self.group.outcomes.drain(..) {
            outcome.tell();
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let bytes = &self.group.buffer.bytes;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let end = active.offset + bytes.len() as u64;
        if end > active.filled && self.shared.options.preallocate > 0 {
            active.fill(end, &self.shared)?;
        }
        active.file.write_at(active.offset, bytes)?;
        self.tell_relaxed();
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        active.file.sync_data()?;
        active.offset = end;
        active.filled = active.filled.max(end);
        self.since_checkpoint += self.group.buffer.bytes.len() as u64;
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.publish();
        Ok(())
    }

    /// Answers those who do not wait for the disk.
    fn tell_relaxed(&mut self) {
        let mut rest = Vec::with_capacity(self.group.outcomes.len());
        for outcome in self.group.outcomes.drain(..) {
            match outcome {
                Outcome::Appended(_, _, Class::Relaxed) => outcome.tell(),
                outcome => rest.push(outcome),
            }
        }
        self.group.outcomes = rest;
    }

    fn publish(&mut self) {
        let mut index = self.shared.index.write();
        for written in self.group.written.drain(..) {
            match written {
                Written::Named(number, name) => {
                    index.numbers.insert(name.clone(), number);
                    index.known.push(Known::new(name));
                }
                Written::Batch(number, batch, place) => {
                    if let Some(known) = index.by_number(number) {
                        known.place(batch, place);
                        known.is_dirty = true;
                        self.streams[number as usize - 1].head_into(&mut known.head);
                    }
                }
                Written::Tagged(tag, position, place) => {
                    index.tags.insert((tag, position), place);
                }
                Written::Snapshot(number, place) => {
                    if let Some(known) = index.by_number(number) {
                        known.is_dirty = true;
                        known
                            .snapshots
                            .get_or_insert_default()
                            .insert(place.meta.seq.0, place);
                    }
                }
                Written::Deleted(number, gone) => {
                    if let Some(known) = index.by_number(number)
                        && let Some(snapshots) = &mut known.snapshots
                    {
                        known.is_dirty = true;
                        snapshots.retain(|seq, _| !gone.contains(seq));
                    }
                }
            }
        }
        index.next_position = self.next_position;
    }

    /// Seals what there is. Everything that was answered before is in the segments that are named.
    fn freeze(&mut self, answer: Answer<Vec<String>, AppendError>) -> Result<(), JournalError> {
        self.seal()?;
        let segments = self.shared.segments.read();
        answer.send(Ok(segments.values().map(|s| s.name.clone()).collect()));
        Ok(())
    }

    /// Ends the active segment for good.
    fn seal(&mut self) -> Result<(), JournalError> {
        let Some(active) = self.active.take() else {
            return Ok(());
        };
        self.group
            .buffer
            .reset(active.segment.salt(), active.offset);
        self.group
            .buffer
            .put(Kind::Seal, self.next_number, 0, |_| {});
        self.next_number += 1;
        let bytes = &self.group.buffer.bytes;
        active.file.write_at(active.offset, bytes)?;
        active.file.set_length(active.offset + bytes.len() as u64)?;
        active.file.sync_data()
    }

    /// Hands what the store does not know to the indexer; if that is busy, the next checkpoint takes it along.
    fn checkpoint(&mut self, answer: Option<Answer<(), AppendError>>) {
        let Some(checkpoints) = &self.checkpoints else {
            if let Some(answer) = answer {
                answer.send(Ok(()));
            }
            return;
        };
        if answer.is_none() && checkpoints.is_full() {
            return;
        }
        let place = match &self.active {
            Some(active) => Place {
                segment: active.segment.identity.first,
                offset: active.offset,
            },
            None => Place {
                segment: 0,
                offset: 0,
            },
        };
        let mark = Mark {
            version: STORE_VERSION,
            journal: self.journal,
            place: self.end_of_log().unwrap_or(place),
            next_number: self.next_number,
            next_position: self.next_position,
        };
        let dirty = self.dirty.take();
        let mut delta = self.shared.delta(&dirty);
        delta.streams = dirty
            .iter()
            .map(|number| (*number, self.streams[*number as usize - 1].clone()))
            .collect();
        self.since_checkpoint = 0;
        match checkpoints.try_send(Checkpoint::Write(Box::new(delta), mark, answer)) {
            Ok(()) => {}
            Err(TrySendError::Full(write) | TrySendError::Disconnected(write)) => {
                // Only with an answer: whoever asked waits, and so does the writer.
                drop(checkpoints.send(write));
            }
        }
    }

    /// Where the log ends when no segment is being written: behind the last seal.
    fn end_of_log(&self) -> Option<Place> {
        if self.active.is_some() {
            return None;
        }
        let segments = self.shared.segments.read();
        let (first, segment) = segments.last_key_value()?;
        let offset = segment.length(&*self.shared.files).ok()?;
        Some(Place {
            segment: *first,
            offset,
        })
    }

    fn close(mut self) {
        if self.shared.is_abandoned.load(Ordering::Acquire) {
            self.shared.stop(JournalError::Unknown);
            if let Some(checkpoints) = &self.checkpoints {
                drop(checkpoints.send(Checkpoint::Close));
            }
            return;
        }
        let sealed = self.seal();
        if let Err(error) = sealed {
            self.stop(error);
            return;
        }
        self.checkpoint(None);
        self.shared.stop(JournalError::Unknown);
        if let Some(checkpoints) = &self.checkpoints {
            drop(checkpoints.send(Checkpoint::Close));
        }
    }

    fn refuse(&self, request: Request, error: &JournalError) {
        let error = || AppendError::Journal(error.clone());
        match request {
            Request::Append(append, answer) => {
                self.shared.release(append.bytes());
                answer.send(Err(error()));
            }
            Request::Truncate(_, _, _, answer) => answer.send(Err(error())),
            Request::Snapshot(_, answer) | Request::Checkpoint(answer) => answer.send(Err(error())),
            Request::DeleteSnapshots(_, _, answer) => answer.send(Err(error())),
            Request::Freeze(answer) => answer.send(Err(error())),
            Request::Close => {}
        }
    }

    /// Tells everybody that it is over.
    fn stop(mut self, error: JournalError) {
        tracing::error!(%error, "the journal's writer has stopped");
        self.shared.stop(error.clone());
        for outcome in self.group.outcomes.drain(..) {
            outcome.fail(&error);
        }
        // Who comes from here on finds the journal stopped; who came before is told now.
        let stopped = JournalError::Stopped(Arc::new(error));
        while let Ok(request) = self.requests.try_recv() {
            self.refuse(request, &stopped);
        }
        if let Some(checkpoints) = &self.checkpoints {
            drop(checkpoints.send(Checkpoint::Close));
        }
    }
}

impl Active {
    /// Fills the file with zeros up to some way behind `end`, so that the writes up to there change no length.
    fn fill(&mut self, end: u64, shared: &Shared) -> Result<(), JournalError> {
        const STEP: usize = 256 << 10;
        const FIRST: u64 = 64 << 10;
        static ZEROS: [u8; STEP] = [0; STEP];
        // The more is written, the more room is made at once: small journals stay small.
        let ahead = self.filled.max(FIRST).min(shared.options.preallocate);
        let until = end + ahead;
        let mut at = self.filled.max(end);
        while at < until {
            let bytes = STEP.min((until - at) as usize);
            self.file.write_at(at, &ZEROS[..bytes])?;
            at += bytes as u64;
        }
        self.filled = until;
        Ok(())
    }
}

impl Outcome {
    fn tell(self) {
        match self {
            Self::Appended(result, answer, _) => answer.send(result),
            Self::Truncated(head, answer) => answer.send(Ok(head)),
            Self::Saved(answer) => answer.send(Ok(())),
            Self::Deleted(count, answer) => answer.send(Ok(count)),
        }
    }

    fn fail(self, error: &JournalError) {
        let error = || AppendError::Journal(error.clone());
        match self {
            // What was refused was refused, whatever became of the rest.
            Self::Appended(Err(refused), answer, _) => answer.send(Err(refused)),
            Self::Appended(Ok(_), answer, _) => answer.send(Err(error())),
            Self::Truncated(_, answer) => answer.send(Err(error())),
            Self::Saved(answer) => answer.send(Err(error())),
            Self::Deleted(_, answer) => answer.send(Err(error())),
        }
    }
}
