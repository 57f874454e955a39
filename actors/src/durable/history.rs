//! Time travel: what a durable agent's state was.

use super::awake::Awake;
use super::behaviour::DurableBehaviour;
use super::durability::RecoveryFailed;
use crate::journal::{Journal, Seq, StreamName};
use std::sync::atomic::AtomicBool;

/// A state of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAt<S> {
    /// The last event that is in it: the one asked for, or the stream's last.
    pub seq: Seq,
    /// The state.
    pub state: S,
}

/// The state of a durable agent as it was after an event; with `None`, as it is in the journal now. May block on a disk.
/// The agent itself is not needed, and not disturbed.
///
/// # Errors
/// [`RecoveryFailed`].
pub fn state_at<B: DurableBehaviour>(
    behaviour: &B,
    journal: &dyn Journal,
    stream: &StreamName,
    seq: Option<Seq>,
) -> Result<StateAt<B::State>, RecoveryFailed> {
    let awake = Awake::recover(behaviour, journal, stream, seq, &AtomicBool::new(false))?;
    Ok(StateAt {
        seq: Seq(awake.last_seq),
        state: awake.state,
    })
}
