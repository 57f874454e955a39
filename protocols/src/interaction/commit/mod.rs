//! Two-phase commit with presumed abort. Not FIPA's; the acts are those of JADE's second and third phase: `query-if` asks to
//! prepare, `confirm` and `disconfirm` vote, `accept-proposal` and `reject-proposal` are the decision, `inform` acknowledges
//! it, and `query-ref` is how a participant in doubt asks.
//!
//! Presumed abort (Mohan, Lindsay, Obermarck 1986): the coordinator remembers a commit until everybody has acknowledged it, and
//! an abort not at all; asked about a transaction that it does not know, it says that it was aborted. A participant that voted
//! yes never decides alone: without the coordinator's word it ends in doubt.

mod coordinator;
mod participant;

pub(super) use coordinator::Coordinator;
pub(super) use participant::Participant;
