//! Request, query, request-when, subscribe and propose; and the initiator of brokering and recruiting. What they share: one
//! act, one first reaction, and perhaps more after it. What differs is a table for each.

mod initiator;
mod participant;

pub(super) use initiator::{Initiator, TARGET_PARAMETER, TARGETS_PARAMETER};
pub(super) use participant::{Participant, content_of};
