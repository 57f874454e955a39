//! What the indexer is told, and what happens between two groups: ending a segment, putting a compacted one in place.

use super::{Checkpoint, Writer};
use crate::compactor::Moved;
use crate::frame::Kind;
use crate::index::Place;
use crate::segment::{self, Segment};
use crate::store::{Mark, STORE_VERSION};
use crossbeam_channel::{Sender, TrySendError};
use std::sync::Arc;
use swarm_actors::journal::{Answer, AppendError, JournalError};

impl Writer {
    /// Seals what there is. Everything that was answered before is in the segments that are named.
    pub(super) fn freeze(
        &mut self,
        answer: Answer<Vec<String>, AppendError>,
    ) -> Result<(), JournalError> {
        self.seal()?;
        let segments = self.shared.segments.read();
        answer.send(Ok(segments.values().map(|s| s.name.clone()).collect()));
        Ok(())
    }

    /// Ends the active segment for good.
    pub(super) fn seal(&mut self) -> Result<(), JournalError> {
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
    pub(super) fn checkpoint(&mut self, answer: Option<Answer<(), AppendError>>) {
        if answer.is_none() && self.checkpoints.as_ref().is_some_and(Sender::is_full) {
            return;
        }
        self.checkpoint_with(None, answer);
    }

    /// Hands all over, however long the indexer takes: after an ordered end the store knows how long the log must be, so that a tail that
    /// is damaged later is not taken for one that was never written.
    pub(super) fn last_checkpoint(&mut self) {
        self.checkpoint_with(None, None);
    }

    /// Puts a compacted segment in the place of those that it covers, between two groups; or answers false when the indexer is
    /// busy. Everything else about it is the indexer's work.
    pub(super) fn swap(
        &mut self,
        moved: Arc<Moved>,
        segment: Arc<Segment>,
        answer: Answer<bool, AppendError>,
    ) {
        if self.checkpoints.as_ref().is_some_and(Sender::is_full) {
            answer.send(Ok(false));
            return;
        }
        // First, so that whoever misses a segment finds out where it is.
        *self.shared.moved.write() = Some(moved.clone());
        {
            let mut index = self.shared.index.write();
            let mut segments = self.shared.segments.write();
            for key in &moved.from {
                segments.remove(key);
            }
            segments.insert(moved.to, segment);
            if moved.from.contains(&index.end.segment) {
                index.end = Place {
                    segment: moved.to,
                    offset: u64::MAX,
                };
            }
        }
        if self.checkpoints.is_some() {
            self.checkpoint_with(Some((moved, answer)), None);
        } else {
            self.shared.relocate(&moved);
            *self.shared.moved.write() = None;
            answer.send(Ok(true));
        }
    }

    fn checkpoint_with(
        &mut self,
        moved: Option<(Arc<Moved>, Answer<bool, AppendError>)>,
        answer: Option<Answer<(), AppendError>>,
    ) {
        let Some(checkpoints) = &self.checkpoints else {
            if let Some(answer) = answer {
                answer.send(Ok(()));
            }
            return;
        };
        let place = match &self.active {
            Some(active) => Place {
                segment: active.segment.key(),
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
            layout: segment::layout(self.shared.segments.read().values().map(|s| &**s)),
        };
        let dirty = self.dirty.take();
        let mut delta = self.shared.delta(&dirty);
        delta.streams = dirty
            .iter()
            .map(|number| (*number, self.streams[*number as usize - 1].clone()))
            .collect();
        self.since_checkpoint = 0;
        match checkpoints.try_send(Checkpoint::Write(Box::new(delta), mark, moved, answer)) {
            Ok(()) => {}
            Err(TrySendError::Full(write) | TrySendError::Disconnected(write)) => {
                // Somebody waits for it, or it is the last: so does the writer.
                drop(checkpoints.send(write));
            }
        }
    }

    /// Where the log ends when no segment is being written: behind the last seal.
    pub(super) fn end_of_log(&self) -> Option<Place> {
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
}
