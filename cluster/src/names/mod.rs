//! Names and groups over the cluster, and what directory facilitators have entered: tables that every node holds whole, pure.
//!
//! [`Names`] is a function of (state, event, now). Each node writes only its own entries, numbered in order; the others copy them. So two
//! copies of one node's entries never contradict each other, they are only more or less recent, and any node can bring any other up to date.
//! A name may still be claimed on two nodes at once, because nobody asks a majority: then every node picks the same winner, and the loser
//! is told before it is stopped. Lookups are answered from memory and may be stale; who needs certainty asks the owner.
//!
//! [`NamesService`] runs the tables of one node beside its gossip, and answers lookups from any thread.
//!
//! What it refuses to do: to promise that a name has one holder during a partition. That takes a lease.

mod conflict;
mod entry;
mod event;
mod log;
mod service;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod wire;

pub use entry::{Claim, Holder, Stamp};
pub use event::{
    Class, Decision, Event, NameChange, NamesCounters, NamesParameters, RegisterError,
};
pub use service::{NamesHandle, NamesOptions, NamesOutside, NamesService};
pub use table::Names;
pub use wire::{NamesWireError, spoken};
