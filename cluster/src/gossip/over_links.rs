//! Peer links as membership needs them, over [`Links`].

use super::driver::{GossipHandle, PeerLinks};
use crate::identity::{BootId, NodeId};
use crate::link::{Lane, Message};
use crate::membership::{Contact, Event, LinkVerdict, Peer};
use crate::transport::{DialError, Links, PingError};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// Where messages of membership go to on a peer link. No agent has it: theirs are 128 random bits.
pub const MEMBERSHIP_ADDRESS: Address = Address(1);
/// Where messages of names go to on a peer link.
pub const NAMES_ADDRESS: Address = Address(2);
/// The most contacts whose names are kept. When full, the first by address gives way.
const CONTACTS_MAX: usize = 64;

/// Carries membership's messages on the control lane and its probes as pings. Cheap to clone.
///
/// Whoever owns the links passes on what their handler hears: [`opened`](Self::opened), and messages for [`MEMBERSHIP_ADDRESS`] through
/// [`received`].
#[derive(Clone)]
pub struct OverLinks {
    links: Links,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// The process behind a name, as its last hello said.
    boots: BTreeMap<Name, BootId>,
    /// Names of those that membership knows by address only.
    contacts: BTreeMap<SocketAddr, Name>,
}

impl OverLinks {
    /// Over these links.
    #[must_use]
    pub fn new(links: Links) -> Self {
        Self {
            links,
            known: Arc::default(),
        }
    }

    /// Tells who listens at an address that [`Event::Join`] names: links are to names. The answer to a token has both.
    pub fn contact(&self, name: &Name, address: SocketAddr) {
        self.links.know(name, &address.to_string());
        let mut known = self.known.lock();
        if known.contacts.len() >= CONTACTS_MAX {
            known.contacts.pop_first();
        }
        known.contacts.insert(address, name.clone());
    }

    /// A link to this process is open (`Handler::opened`).
    pub fn opened(&self, peer: &NodeId) {
        let mut known = self.known.lock();
        known.boots.insert(peer.name.clone(), peer.boot);
    }

    /// A node is no member any more and its links were forgotten.
    pub fn forgotten(&self, name: &Name) {
        self.known.lock().boots.remove(name);
    }

    /// Sends a message of names, or drops it when the link has no room.
    pub fn send_names(&self, to: &NodeId, bytes: Vec<u8>) {
        self.offer(&to.name, NAMES_ADDRESS, bytes);
    }

    fn offer(&self, to: &Name, what: Address, bytes: Vec<u8>) {
        let message = Message {
            sender: what,
            receiver: what,
            body: Bytes::from(bytes),
        };
        if let Err(error) = self.links.offer(to, Lane::Control, message, None) {
            tracing::debug!(%to, %error, "a message to a node was dropped");
        }
    }
}

/// Passes a message of membership that came over a link with `from` on. Never waits: when membership is behind it is dropped, and repaired by the
/// next exchange.
pub fn received(gossip: &GossipHandle, from: &NodeId, message: &Message) {
    let event = Event::Link {
        from: from.clone(),
        bytes: message.body.to_vec(),
    };
    if let Err(error) = gossip.offer(event) {
        tracing::debug!(%from, %error, "a message of membership was dropped");
    }
}

impl PeerLinks for OverLinks {
    fn send(&self, to: Contact, bytes: Vec<u8>) {
        match to {
            Contact::Node(node, address) => {
                self.links.know(&node.name, &address.to_string());
                self.offer(&node.name, MEMBERSHIP_ADDRESS, bytes);
            }
            Contact::Address(address) => {
                let name = self.known.lock().contacts.get(&address).cloned();
                match name {
                    Some(name) => self.offer(&name, MEMBERSHIP_ADDRESS, bytes),
                    None => tracing::debug!(%address, "nobody is known to listen there"),
                }
            }
        }
    }

    fn probe(
        &self,
        peer: Peer,
        within: Duration,
    ) -> Pin<Box<dyn Future<Output = LinkVerdict> + Send>> {
        let over = self.clone();
        Box::pin(async move {
            let name = peer.name();
            over.links.know(name, &peer.address().to_string());
            match over.links.ping(name, within).await {
                Ok(_) => {
                    let boot = over.known.lock().boots.get(name).copied();
                    boot.map_or(LinkVerdict::Silent, |boot| LinkVerdict::Answered { boot })
                }
                Err(PingError::Dial(DialError::Refused { .. })) => LinkVerdict::Refused,
                // Somebody without our trust, an unreachable network, a slow host: none of these says that the process is gone.
                Err(
                    PingError::Dial(_)
                    | PingError::NoPeer
                    | PingError::Closed
                    | PingError::Timeout(_),
                ) => LinkVerdict::Silent,
            }
        })
    }
}
