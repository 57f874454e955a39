//! What can happen to membership, and what it decides.

use super::Peer;
use crate::identity::{BootId, NodeId};
use std::net::SocketAddr;
use std::time::Duration;

/// Something that happened. Times are given beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet arrived whose seal names the process `from`.
    Packet {
        /// The process that sealed it.
        from: BootId,
        /// What was sealed.
        bytes: Vec<u8>,
    },
    /// A message of membership arrived over a peer link with `from`.
    Link {
        /// The node at the other end, as its certificate says.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// What came of a [`Decision::ProbeLink`].
    LinkVerdict {
        /// Which one.
        probe: LinkProbe,
        /// What came of it.
        verdict: LinkVerdict,
    },
    /// A peer link broke by a reset, not by an orderly end.
    LinkLost {
        /// The node at the other end.
        node: NodeId,
    },
    /// The time that [`Membership::next_wake`](super::Membership::next_wake) named has come.
    Tick,
    /// Join the cluster that one of these addresses belongs to. At most sixteen are tried, in turn, once a second, until one answers.
    Join {
        /// Addresses of members.
        contacts: Vec<SocketAddr>,
    },
    /// Exchange everything with whoever is at this address. For a member that has learned of a process there that nobody here knows;
    /// of no effect while joining or leaving.
    Seek {
        /// Where.
        contact: SocketAddr,
    },
    /// Say goodbye. [`Change::Departed`] follows when it was said.
    Leave,
    /// Throw a process out of the cluster, for good.
    Evict {
        /// Which process.
        boot: BootId,
    },
    /// Tell all members something, each once as a rule (see [`Decision::Deliver`]). At most
    /// [`BROADCAST_BYTES_MAX`](super::BROADCAST_BYTES_MAX) bytes; longer ones are not sent and are counted in
    /// [`Counters::broadcasts_refused`](super::Counters::broadcasts_refused).
    Broadcast {
        /// What to tell.
        payload: Vec<u8>,
    },
}

/// Names one [`Decision::ProbeLink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkProbe(pub u64);

/// What came of an attempt to reach a node over a peer link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkVerdict {
    /// A process answered and proved by its certificate, or by its hello, to be this one.
    Answered {
        /// Its boot id.
        boot: BootId,
    },
    /// The host is there and nobody listens at the port: the connection was refused or reset.
    Refused,
    /// Nothing came back in time.
    Silent,
}

/// Where a message over a peer link goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// To whoever listens at an address: a node that joins knows no more.
    Address(SocketAddr),
    /// To a node, over the link that is open or at this address.
    Node(NodeId, SocketAddr),
}

/// What is to be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Seal these bytes for `to` and send them as one packet. Losing it is allowed.
    Send {
        /// The member.
        to: Peer,
        /// At most [`Parameters::packet_bytes`](super::Parameters::packet_bytes) bytes.
        bytes: Vec<u8>,
    },
    /// Send a message over a peer link. Losing it is allowed.
    SendLink {
        /// To whom.
        to: Contact,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Find out over a peer link whether `peer` lives, and say so with [`Event::LinkVerdict`].
    ProbeLink {
        /// To be named in the verdict.
        probe: LinkProbe,
        /// Whom to reach.
        peer: Peer,
        /// By when; after that the verdict is [`LinkVerdict::Silent`].
        within: Duration,
    },
    /// Something changed that others want to know.
    Tell(Change),
    /// A broadcast of a member arrived. As a rule once, rarely twice, and not at all when it was lost everywhere: what must arrive needs an
    /// exchange of its own.
    Deliver {
        /// The process that said it.
        origin: BootId,
        /// What it said.
        payload: Vec<u8>,
    },
}

/// A change of the view, or of this node's place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A member is there.
    Alive {
        /// Which.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// How it comes to be there.
        arrival: Arrival,
    },
    /// A member does not answer. It is still a member.
    Suspect {
        /// Which.
        node: NodeId,
    },
    /// A suspect has spoken up.
    Refuted {
        /// Which.
        node: NodeId,
    },
    /// A member is gone, in this cluster's opinion.
    Down {
        /// Which.
        node: NodeId,
        /// What the opinion rests on.
        cause: DownCause,
    },
    /// A member said goodbye.
    Left {
        /// Which.
        node: NodeId,
    },
    /// A member, or this node, was declared down somewhere and came back before this node heard of that: same process, next generation.
    Renewed {
        /// Which.
        node: NodeId,
        /// Its generation now.
        generation: u64,
    },
    /// This node is a member: a contact answered.
    Joined {
        /// How many members it knows now, itself included.
        members: usize,
    },
    /// Another process has this node's name. Whoever runs this node should end it.
    NameTaken {
        /// The holder.
        by: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// False when the holder does not answer: it may be declared down soon, and joining may work then.
        answers: bool,
    },
    /// This process was thrown out.
    Evicted,
    /// Goodbye has been said; nothing more comes.
    Departed,
}

/// How a member comes to be in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// This node had not heard of the name, or not for long.
    New,
    /// The same process was down in this node's view: a partition healed, or the verdict was wrong.
    Healed,
    /// Another process of the name was here before.
    Restarted,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownCause {
    /// It did not answer, and this node's suspicion ran out.
    Silent,
    /// Its host refused connections: the host lives, the process does not.
    Refused,
    /// Another member's verdict.
    Hearsay,
    /// Another process of its name took its place.
    Replaced,
    /// An operator threw it out.
    Evicted,
}
