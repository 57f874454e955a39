//! The FIPA HTTP transport: this node as a platform among others, such as JADE ones (FIPA SC00084F, fipa.md c).
//!
//! [`FipaServer`] listens, takes requests and hands their messages to the agents that they name; it is also the
//! [`AclGateway`](swarm_actors::AclGateway) by which agents of here reach those of other platforms. Whatever goes wrong on
//! the way comes back to the sender as a `failure` from the AMS.
//!
//! Guarantees: a message that was answered with 200 was put into the mailbox of each receiver of here, or a failure is on
//! its way for those that could not have it. Between one sender and one receiver order is kept. A message may arrive twice
//! when a connection breaks; a second copy of one with a `reply-with` is dropped if it comes within a minute.
//!
//! Bounds: connections that come in, bytes and time of a request, peers, messages that wait for each. A peer that is slow or
//! broken holds up nobody but those who write to the same address. Off unless it is started. With a certificate it takes
//! messages by `https` alone (TLS 1.3); `https` addresses of others are written to either way. It does not pass on messages
//! for third platforms.

mod acc;
mod counts;
mod inbound;
mod outbound;
mod peer;
mod recent;
mod server;
mod tls;
mod url;
mod wire;

pub(crate) use counts::Counters;
pub use counts::Counts;
pub use server::{FipaOptions, FipaServer, StartError};
pub use tls::{TlsError, TlsFiles};
pub use url::{BadUrl, PeerUrl};
