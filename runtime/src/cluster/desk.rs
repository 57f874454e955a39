//! Where what arrives over links meets the node's services, and where membership finds its links.

use super::admission;
use super::attend;
use super::certificates;
use super::directory;
use super::member::{Expelled, Inner};
use super::requests;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use swarm_cluster::gossip::PeerLinks;
use swarm_cluster::identity::NodeId;
use swarm_cluster::membership::{Contact, Event, LinkVerdict, Peer};
use swarm_cluster::transport::{Connection, DialError, Links, PingError, Service, Services};
use swarm_protocols::Name;
use tokio::sync::{Semaphore, mpsc};

/// How many messages for services wait; further ones are dropped, as services say again what matters.
const MESSAGES_MAX: usize = 1024;
/// How many may be in the midst of joining at once. Further ones are let go, and fail.
const JOINING_MAX: usize = 64;

/// The node's services, as links see them.
pub(super) struct Desk {
    member: OnceLock<Weak<Inner>>,
    inbox: mpsc::Sender<(NodeId, Service, Bytes)>,
    joining: Arc<Semaphore>,
}

/// What has arrived, for the task that works it off.
pub(super) type Inbox = mpsc::Receiver<(NodeId, Service, Bytes)>;

impl Desk {
    pub(super) fn new() -> (Arc<Self>, Inbox) {
        let (sender, inbox) = mpsc::channel(MESSAGES_MAX);
        let desk = Self {
            member: OnceLock::new(),
            inbox: sender,
            joining: Arc::new(Semaphore::new(JOINING_MAX)),
        };
        (Arc::new(desk), inbox)
    }

    pub(super) fn serve(&self, member: &Arc<Inner>) {
        drop(self.member.set(Arc::downgrade(member)));
    }

    fn member(&self) -> Option<Arc<Inner>> {
        self.member.get()?.upgrade()
    }
}

impl Services for Desk {
    fn message(&self, from: &NodeId, service: Service, bytes: Bytes) {
        if self.inbox.try_send((from.clone(), service, bytes)).is_err() {
            tracing::debug!(%from, "a service's message was dropped");
        }
    }

    fn admits(&self, peer: &NodeId) -> bool {
        self.member()
            .is_none_or(|member| !member.kept.lock().ledger.is_denied(&peer.name))
    }

    fn lost(&self, peer: &Name) {
        let Some(member) = self.member() else { return };
        let Some(boot) = member.links.peer_boot(peer) else {
            return;
        };
        let node = NodeId {
            name: peer.clone(),
            boot,
        };
        member.clone().runtime.spawn(async move {
            // Without gossip nobody wants to know.
            let _ = member.gossip.tell(Event::LinkLost { node }).await;
        });
    }

    fn evicted(&self, by: &Name) {
        let Some(member) = self.member() else { return };
        let by = by.clone();
        member.clone().runtime.spawn(async move {
            expel_if_alone(&member, &by).await;
        });
    }

    fn other_version(&self, peer: &Name, theirs: (u16, u16)) {
        tracing::warn!(%peer, ?theirs, "no wire version in common");
        if let Some(member) = self.member() {
            member.other_version.send_replace(Some(theirs));
        }
    }

    fn join(&self, connection: Connection) {
        let (Some(member), Ok(place)) = (self.member(), self.joining.clone().try_acquire_owned())
        else {
            return;
        };
        member.clone().runtime.spawn(async move {
            admission::admit(&member, connection).await;
            drop(place);
        });
    }
}

/// A peer says that this node was thrown out. One that is a member all the same hears it from gossip, which means this very process; one that
/// has come back and reaches nobody hears it only so.
async fn expel_if_alone(member: &Inner, by: &Name) {
    let is_alone = member.others().await.is_empty();
    tracing::warn!(%by, is_alone, "a peer refuses this node as thrown out of the cluster");
    if is_alone {
        member.expel(Expelled::Evicted);
    }
}

/// Hands messages to their services, one after the other.
pub(super) async fn work_off(member: Weak<Inner>, mut inbox: Inbox) {
    while let Some((from, service, bytes)) = inbox.recv().await {
        let Some(member) = member.upgrade() else {
            return;
        };
        match service {
            Service::Membership => {
                let bytes = bytes.to_vec();
                // Without gossip nobody wants to know.
                let _ = member.gossip.tell(Event::Link { from, bytes }).await;
            }
            Service::Certificates => certificates::message(&member, &from, &bytes),
            Service::Requests => requests::arrived(&member, &from, &bytes),
            Service::Names => {
                let decisions = member.directory.message(from.boot, &bytes);
                directory::carry_out(&member, decisions).await;
            }
            Service::Placement => {
                attend::message(&member, from, service, bytes);
            }
        }
    }
}

/// What membership needs of links.
#[derive(Default)]
pub(super) struct MembershipLinks {
    links: OnceLock<Links>,
    /// Names of nodes that are known by their address only, as those that a joining node was told of.
    known: Mutex<BTreeMap<SocketAddr, Name>>,
}

impl MembershipLinks {
    pub(super) fn connect(&self, links: Links) {
        drop(self.links.set(links));
    }

    pub(super) fn introduce(&self, name: &Name, address: SocketAddr) {
        self.known.lock().insert(address, name.clone());
        if let Some(links) = self.links.get() {
            links.introduce(name, &address.to_string());
        }
    }
}

impl PeerLinks for MembershipLinks {
    fn send(&self, to: Contact, bytes: Vec<u8>) {
        let Some(links) = self.links.get() else {
            return;
        };
        let name = match to {
            Contact::Address(address) => self.known.lock().get(&address).cloned(),
            Contact::Node(node, address) => {
                links.introduce(&node.name, &address.to_string());
                Some(node.name)
            }
        };
        if let Some(name) = name {
            links.say(&name, Service::Membership, bytes);
        }
    }

    fn probe(
        &self,
        peer: Peer,
        within: Duration,
    ) -> Pin<Box<dyn Future<Output = LinkVerdict> + Send + 'static>> {
        let links = self.links.get().cloned();
        Box::pin(async move {
            let Some(links) = links else {
                return LinkVerdict::Silent;
            };
            links.introduce(peer.name(), &peer.address().to_string());
            match links.ping(peer.name(), within).await {
                Ok(_) => match links.peer_boot(peer.name()) {
                    Some(boot) => LinkVerdict::Answered { boot },
                    None => LinkVerdict::Silent,
                },
                Err(PingError::Dial(DialError::Refused { .. })) => LinkVerdict::Refused,
                Err(_) => LinkVerdict::Silent,
            }
        })
    }
}
