//! Where children run that may run on any node: pure.
//!
//! [`Placement`] is a function of (state, event, now). Each node says to all others what it is labelled with, what its manifest declares, and
//! which placed children it holds: its [`Standing`]. From what all live nodes say, [`assign`] works out where each child belongs; two nodes
//! that know the same work out the same, so nobody has to be asked. A node then starts what belongs to it and nobody holds, and stops what it
//! holds and belongs elsewhere: no faster than a bound, and only once the view has not changed for a while.
//!
//! Nodes are picked by rendezvous hashing (Thaler and Ravishankar 1998), so that the loss of one moves only what was there.
//!
//! What it refuses to do: to promise that a child runs once while the network is cut. Each side places what it sees nowhere, unless a
//! [`partition`](crate::partition) strategy stops one of them. Nothing durable may be placed.

mod assign;
mod core;
mod event;
mod label;
mod pace;
mod score;
mod standing;
#[cfg(test)]
mod tests;
mod wire;

pub use self::core::Placement;
pub use assign::{Assignment, NoPlace, assign};
pub use event::{Decision, Event, PlacementParameters};
pub use label::{LABELS_MAX, LabelError, Labels};
pub use score::digest_of;
pub use standing::{DECLARED_MAX, Declared, Edition, Mode, PLACED_MAX, Standing};
pub use wire::PlacementWireError;
