//! Time travel: what happened to a durable agent, and what its state was. Read from the journal, by the behaviour that the
//! manifest names; the agent itself is not asked and not disturbed, and need not run.

use super::registry::Behaviours;
use crate::manifest::{Declaration, Manifest};
use serde_json::Value;
use std::ops::ControlFlow;
use swarm_actors::durable::{CodecError, RecoveryFailed};
use swarm_actors::journal::{Bounds, Journal, JournalError, Recorded, Seq, Start, StreamName};
use swarm_protocols::Path;

/// A moment in a stream's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it is in the journal now.
    Now,
    /// After that event.
    Seq(Seq),
    /// At that time, in milliseconds since 1970: after the last event that was written by then.
    At(u64),
}

/// A state of a durable agent.
#[derive(Clone, Debug, PartialEq)]
pub struct PastState {
    /// The last event that is in it; 0 for the state before any.
    pub seq: Seq,
    /// The state, as JSON.
    pub state: Value,
}

/// An event of a durable agent.
#[derive(Clone, Debug, PartialEq)]
pub struct PastEvent {
    /// As it was recorded.
    pub recorded: Recorded,
    /// What it says, as JSON. An old form may have become several events, or none.
    pub event: Result<Vec<Value>, CodecError>,
}

/// The history of a durable agent.
#[derive(Clone, Debug, PartialEq)]
pub struct PastEvents {
    /// The events asked for, in order.
    pub events: Vec<PastEvent>,
    /// The stream's last event.
    pub last: Seq,
    /// Events up to here are truncated and cannot be shown.
    pub truncated: Seq,
}

/// Why the past of an actor cannot be told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PastRefused {
    /// The manifest has no agent there.
    #[error("the manifest has no agent at {0}")]
    NoAgent(Path),
    /// It is not durable: it has no past.
    #[error("{0} is not durable: nothing of it is recorded")]
    NotDurable(Path),
    /// Its behaviour refuses its configuration.
    #[error("{path}: {why}")]
    Config {
        /// Which agent.
        path: Path,
        /// Why.
        why: String,
    },
    /// Its stream cannot be read, or not that far back.
    #[error(transparent)]
    Recovery(#[from] RecoveryFailed),
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How the past of one behaviour's agents is read.
pub trait Historian {
    /// The state after an event; with none, as it is in the journal now. May block.
    ///
    /// # Errors
    /// [`RecoveryFailed`].
    fn state_at(
        &self,
        journal: &dyn Journal,
        stream: &StreamName,
        at: Option<Seq>,
    ) -> Result<PastState, RecoveryFailed>;

    /// What an event says, as JSON. An old form may have become several events, or none.
    ///
    /// # Errors
    /// [`CodecError`] when the behaviour cannot read it.
    fn event(&self, recorded: &Recorded) -> Result<Vec<Value>, CodecError>;
}

/// The state of the durable agent at `path` at that moment. May block on a disk.
///
/// # Errors
/// [`PastRefused`].
pub fn state_at(
    manifest: &Manifest,
    behaviours: &Behaviours,
    journal: &dyn Journal,
    path: &Path,
    moment: Moment,
) -> Result<PastState, PastRefused> {
    let historian = historian(manifest, behaviours, path)?;
    let stream = stream_of(path)?;
    let at = match moment {
        Moment::Now => None,
        Moment::Seq(seq) => Some(seq),
        Moment::At(at_ms) => Some(last_by(journal, &stream, at_ms)?),
    };
    Ok(historian.state_at(journal, &stream, at)?)
}

/// Up to `limit` events of the durable agent at `path`, from that one on. May block on a disk.
///
/// # Errors
/// [`PastRefused`]. An event that its behaviour cannot read is no error; it says so itself.
pub fn history(
    manifest: &Manifest,
    behaviours: &Behaviours,
    journal: &dyn Journal,
    path: &Path,
    from: Seq,
    limit: usize,
) -> Result<PastEvents, PastRefused> {
    let historian = historian(manifest, behaviours, path)?;
    let stream = stream_of(path)?;
    let head = journal.head(&stream)?;
    let replay = journal.read(&stream, Bounds::from(from.0).limit(limit))?;
    let events = replay.events.into_iter().map(|recorded| PastEvent {
        event: historian.event(&recorded),
        recorded,
    });
    Ok(PastEvents {
        events: events.collect(),
        last: replay.highest,
        truncated: head.map_or(Seq(0), |head| head.truncated),
    })
}

fn historian(
    manifest: &Manifest,
    behaviours: &Behaviours,
    path: &Path,
) -> Result<Box<dyn Historian>, PastRefused> {
    let agent = match manifest.find(path) {
        Some(Declaration::Agent(agent) | Declaration::Template(agent)) => agent,
        Some(Declaration::Supervisor(_)) | None => {
            return Err(PastRefused::NoAgent(path.clone()));
        }
    };
    match behaviours.historian(agent) {
        None => Err(PastRefused::NotDurable(path.clone())),
        Some(Err(fault)) => Err(PastRefused::Config {
            path: path.clone(),
            why: fault.to_string(),
        }),
        Some(Ok(historian)) => Ok(historian),
    }
}

/// The stream of a durable agent has the name of its path.
fn stream_of(path: &Path) -> Result<StreamName, PastRefused> {
    StreamName::new(path.as_str()).map_err(|_| PastRefused::NotDurable(path.clone()))
}

/// The last event that was written by then.
fn last_by(journal: &dyn Journal, stream: &StreamName, at_ms: u64) -> Result<Seq, JournalError> {
    let mut last = Seq(0);
    journal.replay(stream, Start::AfterBatch(0), &mut |batch| {
        // Clocks may go back; what counts is the order in which it was written.
        if batch.at_ms > at_ms {
            return ControlFlow::Break(());
        }
        last = Seq(batch.last_seq());
        ControlFlow::Continue(())
    })?;
    Ok(last)
}
