//! Peer links: how messages get from one node to another, exactly once while both processes live.
//!
//! A [`Link`] is the pure half of the connection between two nodes. It holds what was accepted and not yet delivered, numbers it,
//! cuts big messages into chunks that take turns, answers for the bounds on both sides, and resumes after a lost connection where
//! the other side stopped. It opens no socket, reads no clock and draws no random number: connections, the time and randomness
//! are arguments. [`crate::transport`] drives it.
//!
//! What a link guarantees between two processes (two boot ids):
//!
//! - messages of one (sender, receiver) pair arrive in the order in which they were accepted, each once, whatever connections break;
//! - when a side gives the other one up ([`Link::down`]), a new *epoch* begins: what was accepted before it and is not known to have
//!   arrived is handed back, and nothing of it arrives any more;
//! - neither side holds more than [`Limits`] says, whatever the other one does.
//!
//! What it does not: order between pairs, delivery to a process that ends, and durability.

pub mod backoff;
mod fold;
pub mod frame;
pub mod hello;
mod inbox;
mod outbox;
mod session;

pub use backoff::Backoff;
pub use frame::{
    Chunk, DecodeError, Decoder, FRAME_BYTES_MAX, Frame, Goodbye, Item, Part, Released,
};
pub use hello::{
    Hello, HelloError, Lane, WIRE_VERSION, WIRE_VERSION_MIN, WIRE_VERSIONS, common_version,
};
pub use outbox::Refused;
pub use session::{Broken, Heard, Link, Opened, Violation};

use bytes::Bytes;
use swarm_protocols::Address;

/// How many bytes of one message travel in one frame; more are cut, and the pieces take turns with other pairs' frames.
///
/// A piece of 64 KiB keeps the wire busy for well under a millisecond on the networks that this is for.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The largest message that a link takes. Bigger things belong into a store, with a message that says where.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What each message counts beside its bytes, so that a flood of empty messages is bounded as well.
pub const MESSAGE_OVERHEAD: usize = 64;

/// What a link carries: bytes from a sender to a receiver. What is in them is not the link's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it; `Address(0)` when it was nobody with an address.
    pub sender: Address,
    /// Whom it is for.
    pub receiver: Address,
    /// The message.
    pub body: Bytes,
}

impl Message {
    /// What it counts against the bounds.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.body.len() + MESSAGE_OVERHEAD
    }
}

/// The bounds of one lane of a link. Both sides must have the same ones; the hello carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// How much may be under way to the peer's agents in all: accepted here, and not yet taken by their mailboxes there.
    /// The memory that a link takes on either side stays below it.
    pub link_bytes: u32,
    /// How much may be under way to one receiver. One message is always let through, however big.
    pub receiver_bytes: u32,
    /// How many messages may be under way to one receiver.
    pub receiver_messages: u32,
    /// How much is written to the network ahead of the peer's acknowledgement: what a small message may have to queue behind.
    pub flight_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            link_bytes: 16 * 1024 * 1024,
            receiver_bytes: 2 * 1024 * 1024,
            receiver_messages: 4096,
            flight_bytes: 1024 * 1024,
        }
    }
}
