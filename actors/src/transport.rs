//! What a system needs to reach agents on other nodes: an interface that the cluster's links implement.
//!
//! The system says what is to be told to whom, in [`Parcel`]s whose contents are its own affair; a transport carries them. With a
//! transport attached ([`System::attach`](crate::System::attach)), references to agents of other nodes work as those to one's own:
//! send, ask, monitor, link, watch, exit and kill.

use bytes::Bytes;
use std::task::Waker;
use swarm_protocols::{Address, ExitReason, Name, Path};

/// Something for an agent on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Who it is from; `Address(0)` for what comes from outside of agents. Order is kept per sender and receiver.
    pub sender: Address,
    /// Whom it is for.
    pub receiver: Address,
    /// What it is, versioned, in a form that [`System::arrive`](crate::System::arrive) of the other node reads.
    pub body: Bytes,
}

/// Counts what was carried against its senders' bounds, until it has been handled.
pub trait Window: Send + Sync + 'static {
    /// A parcel for `receiver` with a body of `bytes` bytes has been handled, or never will be. Called once for each parcel, on whatever
    /// thread that is known: an implementation must not block.
    fn release(&self, receiver: Address, bytes: usize);
}

/// Why a parcel was not taken over. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCarried {
    /// No room now. The waker is woken when there may be some.
    #[error("no room on the way to the node")]
    Full(Parcel),
    /// There is no such node, or it is down.
    #[error("the node cannot be reached")]
    Unreachable(Parcel),
    /// Larger than any parcel may be.
    #[error("too large to be sent to another node")]
    TooLarge(Parcel),
}

/// Where an agent is that a name or a group stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its node.
    pub node: Name,
    /// Its address.
    pub address: Address,
    /// Its place in that node's tree.
    pub path: Path,
}

/// Carries parcels to other nodes, each once and in order per (sender, receiver) while both nodes live; what cannot arrive any more
/// comes back through [`System::node_lost`](crate::System::node_lost).
///
/// Called while locks of the system are held: an implementation must not block, and must not call back into the system.
pub trait Transport: Send + Sync + 'static {
    /// Takes a parcel over for `node`. With a waker, a sender that finds no room is woken when there may be some; not from within
    /// this call.
    ///
    /// # Errors
    /// [`NotCarried`], with the parcel.
    fn carry(&self, node: &Name, parcel: Parcel, waker: Option<&Waker>) -> Result<(), NotCarried>;

    /// Where the agent is that is registered under `name` on another node, as far as is known here.
    fn whereis(&self, name: &Name) -> Option<Place> {
        let _ = name;
        None
    }

    /// Whether a node has not answered lately: what is asked of it may take until a verdict on it, or fail.
    fn is_doubtful(&self, node: &Name) -> bool {
        let _ = node;
        false
    }

    /// An agent of this node has handed over what goes with a name that it loses to one of another node.
    fn handed_over(&self, name: &Name, agent: Address) {
        let _ = (name, agent);
    }

    /// The members of a group on other nodes, as far as is known here.
    fn members(&self, group: &Name) -> Vec<Place> {
        let _ = group;
        Vec::new()
    }
}

/// Why a node's agents were lost, as monitors and links are told.
pub(crate) const LOST: ExitReason = ExitReason::Unreachable;
