//! The two agents that every FIPA platform has: the directory facilitator and the agent management system (FIPA SC00023K,
//! fipa.md e), as state machines without I/O.
//!
//! [`Df`] keeps what agents say they offer, finds it, tells subscribers of changes, and searches the directories that are
//! registered in it. [`Ams`] answers for the agents that really are on the platform: it keeps no list of its own.
//!
//! Who may change what is not decided here: the caller says so, message by message, since only the caller knows who
//! really sent it.

mod ams;
mod df;
mod entries;
mod leases;
mod search;
mod subscriptions;
mod talk;

pub use ams::{Ams, AmsAsked, AmsChange, Change};
pub use df::{Df, DfLimits, DfOut};
pub use search::SearchKey;
