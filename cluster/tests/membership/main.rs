//! Membership in virtual time: many nodes, one queue of events, seeded loss, delay, pauses and partitions.

mod figures;
mod invariants;
mod remedies;
mod sim;
