//! What links need of a network: to dial, and to be dialled.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use swarm_protocols::Name;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future behind a pointer, as networks give them.
pub type Dialled<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// What the other side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A peer link. The other side has shown who it is.
    Link,
    /// To join. Nobody knows who it is.
    Join,
}

/// An open connection.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn Stream>,
    /// What it is for.
    pub purpose: Purpose,
    /// The name that the other side has proved to have; none where the network proves nothing (within one process).
    pub peer: Option<Name>,
}

/// Somebody has connected and not shown yet who it is.
pub struct Incoming {
    /// Where it comes from, where that means anything.
    pub from: Option<IpAddr>,
    /// Finds out who it is. Whoever awaits it bounds the time.
    pub handshake: Dialled<'static, Result<Connection, DialError>>,
}

/// Why there is no connection. Nothing was sent that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there, but the host is alive. Retry later.
    #[error("connection refused by {address}")]
    Refused {
        /// Where.
        address: String,
    },
    /// No answer. Retry later.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        why: String,
    },
    /// The other side has no certificate of this cluster, or does not accept ours. Retrying is of no use before that changes.
    #[error("no common trust with {address}: {why}")]
    Untrusted {
        /// Where.
        address: String,
        /// What TLS said.
        why: String,
    },
    /// What answers there does not speak this protocol.
    #[error("{address} does not speak the link protocol: {why}")]
    NotAPeer {
        /// Where.
        address: String,
        /// What it did.
        why: String,
    },
    /// No address is known.
    #[error("no address is known for {peer}")]
    NoAddress {
        /// Of whom.
        peer: Name,
    },
}

/// A way to reach other nodes.
pub trait Network: Send + Sync + 'static {
    /// Connects to `address` and finds out who is there. Whoever awaits it bounds the time; dropping it leaves nothing behind.
    fn dial<'a>(&'a self, address: &'a str) -> Dialled<'a, Result<Connection, DialError>>;

    /// The next one who connects. An error is temporary (too many open files, say); the caller waits a little and goes on.
    fn accept(&self) -> Dialled<'_, std::io::Result<Incoming>>;
}
