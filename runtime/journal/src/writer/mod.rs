//! The writer: one thread per journal that decides, writes, syncs and answers, a group at a time.
//!
//! It takes what waits, up to the bounds of a group, decides about each request by the rules that all journals share, puts
//! what is to be written into one buffer, and writes that with one write and one sync. Only then are the index and the
//! requests' senders told. While the disk is busy the next group collects, so groups grow with the load by themselves.
//!
//! When a write or a sync fails, nobody knows what is on disk. Everybody who waits is told so, and the writer takes nothing
//! more: whoever opens the journal again finds out.

mod checkpoint;
mod commit;
mod decide;
mod group;
mod segments;

pub(crate) use group::Group;

use crate::compactor::Moved;
use crate::number_set::NumberSet;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::store::{Delta, Mark};
use crossbeam_channel::{Receiver, Sender};
use segments::Active;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use swarm_actors::journal::rules::Stream;
use swarm_actors::journal::{
    Answer, Append, AppendError, Appended, Criteria, Head, JournalError, Seq, Snapshot, StreamName,
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
    /// Put a compacted segment in the place of those that it covers. The answer, when all places are up to date; false when
    /// nothing was done, as the indexer is busy.
    Swap(Arc<Moved>, Arc<Segment>, Answer<bool, AppendError>),
    /// End in order.
    Close,
}

/// What the indexer is asked.
pub(crate) enum Checkpoint {
    /// Write that to the store and, if segments were compacted, bring its places up to date.
    Write(
        Box<Delta>,
        Mark,
        Option<(Arc<Moved>, Answer<bool, AppendError>)>,
        Option<Answer<(), AppendError>>,
    ),
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
            Request::Swap(moved, segment, answer) => {
                self.swap(moved, segment, answer);
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
                Request::Swap(moved, segment, answer) => {
                    self.commit()?;
                    self.swap(moved, segment, answer);
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
        if offset >= self.shared.options.segment_bytes() {
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
        self.last_checkpoint();
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
            Request::Swap(_, _, answer) => answer.send(Err(error())),
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
