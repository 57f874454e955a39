//! The journal: the durable history of durable agents, behind one narrow interface.
//!
//! A journal holds *streams*. A stream is a chain of *batches*; a batch is what one append wrote, all of it or nothing: any
//! number of events, and the *facts* of the turn that decided them (outbox, timers, consumed messages), which only their
//! writer understands. Events are numbered from 1 in their stream, without a gap and never twice; every event also has a
//! *position* in the journal as a whole, dense as well. Beside its batches a stream may have snapshots.
//!
//! What is promised here, and tested on every implementation by the one [test kit](kit):
//!
//! - What was acknowledged with [`Class::Durable`] is there after a kill and after a power loss.
//! - A batch is seen whole or not at all, and there are no holes.
//! - An append whose expectation does not hold writes nothing; one whose command was seen writes nothing and has the
//!   same answer; one of a former owner is refused.
//! - Damage is found, named by stream and number, and refused: a stream is never silently shorter.
//!
//! What decides is in [`rules`], a pure core that all implementations share. The disk journal is `swarm-journal`;
//! [`MemoryJournal`] is for tests and simulation. This module knows nothing of agents, files or clocks.

mod append;
mod error;
pub mod kit;
mod memory;
mod name;
mod number;
mod receipt;
pub mod record;
pub mod rules;
mod snapshot;
mod state;
mod stream;
mod window;

pub use append::{
    Append, Appended, BATCH_BYTES_MAX, Class, EVENTS_PER_BATCH_MAX, EventData, Expected,
    FACTS_BYTES_MAX, InvalidAppend, META_BYTES_MAX, PAYLOAD_BYTES_MAX, SEALED_VERSION,
    SEALING_BYTES, TAGS_PER_EVENT_MAX,
};
pub use error::{AppendError, Damage, JournalError};
pub use memory::{Crash, MemoryJournal};
pub use name::{NameRefused, StreamName, Tag};
pub use number::{CommandId, Epoch, Position, Seq};
pub use receipt::{Answer, Receipt};
pub use snapshot::{Criteria, SNAPSHOT_BYTES_MAX, Snapshot, SnapshotMeta};
pub use state::{DurableState, StateError, Versioned};
pub use stream::{Bounds, Head, Recorded, Replay, Start};
pub use window::{COMMAND_WINDOW, COMMANDS_PER_STREAM_MAX};

use record::Batch;
use std::ops::ControlFlow;

/// A durable history of streams. Object-safe, and shared by all that write on a node.
///
/// Writes answer through a [`Receipt`]; they never block. Reads may block on a disk: call them where blocking is allowed.
pub trait Journal: Send + Sync + 'static {
    /// Appends one batch. The answer comes when it is on disk ([`Class::Durable`]) or when it is certain to be in the
    /// next write ([`Class::Relaxed`]).
    fn append(&self, append: Append) -> Receipt<Appended, AppendError>;

    /// Says that nobody needs the events up to and including `up_to` any more. They are not read again from here on, and
    /// their room is freed some time. The highest number stays: numbers are never given twice. A mark below an earlier one
    /// changes nothing, one above the last event is the last event's.
    fn truncate(&self, stream: &StreamName, up_to: Seq) -> Receipt<Head, AppendError>;

    /// What is known of a stream; `None` when it was never written.
    ///
    /// # Errors
    /// [`JournalError`], when the journal is stopped or the stream damaged.
    fn head(&self, stream: &StreamName) -> Result<Option<Head>, JournalError>;

    /// The heads of up to `limit` streams in the order of their names, those behind `after`.
    ///
    /// # Errors
    /// [`JournalError`], when the journal is stopped.
    fn heads(&self, after: Option<&StreamName>, limit: usize) -> Result<Vec<Head>, JournalError>;

    /// Hands the stream's batches to `each` in order, beginning at `start`, until it says stop. Every batch was checked
    /// against its sum and its predecessor, and the last one against the head. `None` when the stream was never written.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] naming stream and number. What was handed out before it is sound.
    fn replay(
        &self,
        stream: &StreamName,
        start: Start,
        each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Head>, JournalError>;

    /// Up to `limit` events of all streams behind a position, in the order of positions; with `tag`, those that carry it.
    /// Truncated events are left out.
    ///
    /// # Errors
    /// [`JournalError`].
    fn read_positions(
        &self,
        after: Position,
        tag: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Recorded>, JournalError>;

    /// The position of the last event; 0 when there is none.
    fn last_position(&self) -> Position;

    /// Saves a snapshot. One with the same number is replaced.
    fn save_snapshot(&self, snapshot: Snapshot) -> Receipt<(), AppendError>;

    /// The stream's snapshots, newest first.
    ///
    /// # Errors
    /// [`JournalError`], when the journal is stopped.
    fn snapshots(&self, stream: &StreamName) -> Result<Vec<SnapshotMeta>, JournalError>;

    /// One snapshot; `None` when there is none with that number.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when its bytes are not what was written. An older one, or none, will do as well.
    fn snapshot(&self, stream: &StreamName, seq: Seq) -> Result<Option<Snapshot>, JournalError>;

    /// Deletes the snapshots that fulfil the criteria, and answers how many there were.
    fn delete_snapshots(
        &self,
        stream: &StreamName,
        criteria: Criteria,
    ) -> Receipt<usize, AppendError>;

    /// Whether reads may block on a disk, and belong on a thread that may.
    fn reads_block(&self) -> bool {
        true
    }

    /// Reads events within bounds.
    ///
    /// # Errors
    /// As [`Journal::replay`].
    fn read(&self, stream: &StreamName, bounds: Bounds) -> Result<Replay, JournalError> {
        stream::read(self, stream, bounds)
    }

    /// The newest snapshot that fulfils the criteria and is sound: a damaged one is passed over.
    ///
    /// # Errors
    /// [`JournalError`], when the journal is stopped.
    fn load_snapshot(
        &self,
        stream: &StreamName,
        criteria: Criteria,
    ) -> Result<Option<Snapshot>, JournalError> {
        for meta in self.snapshots(stream)? {
            if criteria.admits(&meta) {
                match self.snapshot(stream, meta.seq) {
                    Ok(Some(snapshot)) => return Ok(Some(snapshot)),
                    Ok(None) | Err(JournalError::Damaged(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }
}
