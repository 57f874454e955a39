//! Durable state: one value per name, with a revision, kept in a journal.
//!
//! Each change is an event whose number is the revision, and of a stream only the last event is kept: so numbers, conflicts and
//! durability are the journal's. A deletion is a change too: what is stored next goes on counting.

use super::{
    Append, AppendError, EventData, Expected, Journal, JournalError, Replay, Seq, StreamName,
};
use std::sync::Arc;

const SET: u32 = 1;
const DELETED: u32 = 2;

/// Values by name, each change conditional on the revision that it follows.
#[derive(Clone)]
pub struct DurableState {
    journal: Arc<dyn Journal>,
}

/// A value and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The how-many-eth change it is.
    pub revision: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// Why a value was not read or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// Somebody else has changed it. Nothing was changed; read it and decide again.
    #[error("{name} is at revision {actual}; the change was to be revision {wanted}")]
    Stale {
        /// Which value.
        name: StreamName,
        /// What the change was to be.
        wanted: u64,
        /// What it is.
        actual: u64,
    },
    /// The journal did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl DurableState {
    /// State that is kept in this journal, in streams of the values' names.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal }
    }

    /// The value; `None` when there is none. May block on a disk.
    ///
    /// # Errors
    /// [`StateError::Journal`].
    pub fn get(&self, name: &StreamName) -> Result<Option<Versioned>, StateError> {
        let Some(head) = self.journal.head(name)? else {
            return Ok(None);
        };
        let bounds = super::Bounds::from(head.last_seq.0).limit(1);
        let Replay { events, .. } = self.journal.read(name, bounds)?;
        Ok(events.into_iter().find_map(|event| {
            (event.data.type_id == SET).then_some(Versioned {
                revision: event.seq.0,
                value: event.data.payload,
            })
        }))
    }

    /// Makes `value` the value with that revision, which must be one above the last.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn upsert(
        &self,
        name: &StreamName,
        revision: u64,
        value: Vec<u8>,
    ) -> Result<(), StateError> {
        self.change(name, revision, SET, value).await
    }

    /// Deletes the value; the deletion has that revision, which must be one above the last.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn delete(&self, name: &StreamName, revision: u64) -> Result<(), StateError> {
        self.change(name, revision, DELETED, Vec::new()).await
    }

    async fn change(
        &self,
        name: &StreamName,
        revision: u64,
        type_id: u32,
        payload: Vec<u8>,
    ) -> Result<(), StateError> {
        let event = EventData {
            type_id,
            version: 1,
            payload,
            ..EventData::default()
        };
        let mut append = Append::new(name.clone(), vec![event]);
        append.expected = Expected::Exact(Seq(revision.saturating_sub(1)));
        match self.journal.append(append).await {
            Ok(_) => {
                // What is before it is of no use to anybody. That it stays if this fails harms nobody either.
                let _ = self
                    .journal
                    .truncate(name, Seq(revision.saturating_sub(1)))
                    .await;
                Ok(())
            }
            Err(AppendError::Conflict { stream, actual }) => Err(StateError::Stale {
                name: stream,
                wanted: revision,
                actual: actual.0,
            }),
            Err(error) => Err(error.into()),
        }
    }
}
