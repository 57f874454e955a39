//! The packets of membership: sealed, checked for replay, carried over UDP.
//!
//! A [`Sealer`] turns a message into a packet and back. Every packet is encrypted and authenticated with a key of the [`KeyRing`] that all
//! nodes of a cluster share; the key of one packet is derived from it and the sender's boot id, and the receiver's boot id is authenticated
//! with it. So a packet opens only at the process it was meant for, and there only once. What that proves is that a member of the cluster
//! made the packet; which member is what certificates on peer links prove, not gossip.
//!
//! [`Gossip`] runs [`Membership`](crate::membership::Membership) in one task: packets, timers, verdicts of peer links and commands in,
//! packets and changes out. It decides nothing itself.

mod driver;
pub mod hub;
mod key;
mod seal;
mod window;

pub use driver::{
    Datagrams, Gossip, GossipClosed, GossipCounters, GossipHandle, GossipOptions, NotTaken, Notice,
    PeerLinks,
};
pub use key::{GossipKey, KEYS_MAX, KeyId, KeyRing, KeyRingError, MalformedKeyRing};
pub use seal::{OpenError, Opened, PACKET_BYTES_MAX, SEAL_BYTES, SealError, Sealer};
