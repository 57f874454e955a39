//! Who is a member: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2017), on foca, behind our own interface.
//!
//! [`Membership`] is a function of (state, event, now) that returns decisions. There is never a clock, a socket, a task or a lock in here;
//! packets come opened and leave unsealed, and what goes over peer links is only decided here. Random choices follow from one seed.
//!
//! What it adds to foca, and which test proves each remedy, is listed in `docs/cluster.md`. What it refuses to do: to decide who owns
//! anything. A verdict of `Down` is an opinion.

mod changes;
mod core;
mod denied;
mod event;
mod exchange;
mod health;
mod packets;
mod peer;
mod probing;
mod profile;
mod rounds;
mod spread;
mod suspect;
mod suspicion;
mod swim;
#[cfg(test)]
mod tests;
mod timers;
mod view;
mod wire;

pub use self::core::{Counters, Membership};
pub use event::{Arrival, Change, Contact, Decision, DownCause, Event, LinkProbe, LinkVerdict};
pub use health::LocalHealth;
pub use peer::Peer;
pub use profile::{Parameters, Profile};
pub use view::{MemberState, MemberView};
pub use wire::{BROADCAST_BYTES_MAX, WireError};
