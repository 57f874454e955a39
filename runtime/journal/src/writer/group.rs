//! What one write is made of, and who is to be told of it.

use crate::frame::{Buffer, Listed};
use crate::index::{BatchPlace, Place, SnapshotPlace};
use swarm_actors::journal::{
    Answer, AppendError, Appended, Class, Head, JournalError, StreamName, Tag,
};

/// What one write is made of, and who is to be told of it.
pub(crate) struct Group {
    pub(super) buffer: Buffer,
    pub(super) listed: Vec<Listed>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) written: Vec<Written>,
}

pub(super) enum Outcome {
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
pub(super) enum Written {
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

impl Outcome {
    pub(super) fn tell(self) {
        match self {
            Self::Appended(result, answer, _) => answer.send(result),
            Self::Truncated(head, answer) => answer.send(Ok(head)),
            Self::Saved(answer) => answer.send(Ok(())),
            Self::Deleted(count, answer) => answer.send(Ok(count)),
        }
    }

    pub(super) fn fail(self, error: &JournalError) {
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
