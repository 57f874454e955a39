//! How messages travel: the links of one node, driven over a network.
//!
//! [`Links`] is the handle. It dials on demand, one connection per peer and [`Lane`](crate::link::Lane), takes connections in, reconnects with
//! back-off, and feeds the pure [`Link`](crate::link::Link) of each. What arrives goes to a [`Handler`]. The network is an
//! interface with three implementations: TCP with TLS ([`tls`]), pipes within one process ([`hub`]), and the same pipes with cuts and
//! delays, for simulations.
//!
//! It decides nothing about who is a member: it is told of peers and their addresses ([`Links::know`]), and of verdicts
//! ([`Links::down`]).

mod accept;
mod agents;
pub mod hub;
mod lane;
mod links;
pub mod network;
pub mod tls;
mod window;

pub use agents::{AgentHandler, AgentTransport, Directory, Service, Services};
pub use links::{Handler, LinkInfo, Links, LinksOptions, NotOffered, PingError, Tuning};
pub use network::{Connection, DialError, Dialled, Incoming, Network, Purpose, Stream};
pub use window::{Hold, Window};
