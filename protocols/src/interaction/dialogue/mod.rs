//! The dialogue: turn by turn between two, with a bounded context on each side and a limit of turns. Not FIPA's; the
//! initiator's turns are `query-ref` (the first opens it), the participant's `inform`; an `inform` of the initiator's, or a
//! `refuse` of the participant's, are last words.

mod context;
mod initiator;
mod participant;

pub use context::{Context, Utterance, Voice};
pub(super) use initiator::Initiator;
pub(super) use participant::Participant;

/// How many turns are left, this message's included; whoever speaks says so.
pub(super) const TURNS_PARAMETER: &str = "X-Turns-Left";
