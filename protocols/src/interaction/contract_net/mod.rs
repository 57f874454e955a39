//! Contract net and iterated contract net: a call, bids, an award, results (fipa.md d.4, d.5).

mod initiator;
mod participant;

pub(super) use initiator::Initiator;
pub(super) use participant::Participant;
