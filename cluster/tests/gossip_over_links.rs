//! Membership as a node runs it: packets over UDP, exchanges and probes over peer links with TLS, on one port number.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of it"
)]
mod common;

use bytes::Bytes;
use common::{CLUSTER, authority, credentials, name};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use swarm_cluster::gossip::{
    Gossip, GossipHandle, GossipKey, GossipOptions, KeyRing, Notice, PeerLinks,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::{Broken, Lane, Message};
use swarm_cluster::membership::{
    Change, Contact, DownCause, Event, LinkVerdict, MemberState, Peer, Profile,
};
use swarm_cluster::names::{
    Class, NameChange, NamesHandle, NamesOptions, NamesOutside, NamesParameters, NamesService,
    RegisterError,
};
use swarm_cluster::security::Authority;
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{DialError, Handler, Hold, Links, LinksOptions, PingError, Tuning};
use swarm_protocols::{Address, Name};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Where messages of membership go to on a peer link. No agent has it: theirs are 128 random bits.
const MEMBERSHIP_ADDRESS: Address = Address(1);
/// Where messages of names go to on a peer link.
const NAMES_ADDRESS: Address = Address(2);
/// The most contacts whose names are kept. When full, the first by address gives way.
const CONTACTS_MAX: usize = 64;

/// Carries membership's messages on the control lane and its probes as pings. Cheap to clone.
///
/// Whoever owns the links passes on what their handler hears: `opened`, and messages for `MEMBERSHIP_ADDRESS` through
/// `received`.
#[derive(Clone)]
struct OverLinks {
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
    fn new(links: Links) -> Self {
        Self {
            links,
            known: Arc::default(),
        }
    }

    /// Tells who listens at an address that [`Event::Join`] names: links are to names. The answer to a token has both.
    fn contact(&self, name: &Name, address: SocketAddr) {
        self.links.know(name, &address.to_string());
        let mut known = self.known.lock();
        if known.contacts.len() >= CONTACTS_MAX {
            known.contacts.pop_first();
        }
        known.contacts.insert(address, name.clone());
    }

    /// A link to this process is open.
    fn opened(&self, peer: &NodeId) {
        let mut known = self.known.lock();
        known.boots.insert(peer.name.clone(), peer.boot);
    }

    /// Sends a message of names, or drops it when the link has no room.
    fn send_names(&self, to: &NodeId, bytes: Vec<u8>) {
        self.offer(&to.name, NAMES_ADDRESS, bytes);
    }

    fn offer(&self, to: &Name, what: Address, bytes: Vec<u8>) {
        let message = Message {
            sender: what,
            receiver: what,
            body: Bytes::from(bytes),
        };
        drop(self.links.offer(to, Lane::Control, message, None));
    }
}

/// Passes a message of membership that came over a link with `from` on. Never waits: when membership is behind it is dropped, and repaired by the
/// next exchange.
fn received(gossip: &GossipHandle, from: &NodeId, message: &Message) {
    let event = Event::Link {
        from: from.clone(),
        bytes: message.body.to_vec(),
    };
    let _dropped = gossip.offer(event);
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
                if let Some(name) = name {
                    self.offer(&name, MEMBERSHIP_ADDRESS, bytes);
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

/// Passes on what the links hear.
#[derive(Default)]
struct Wiring {
    gossip: OnceLock<GossipHandle>,
    names: OnceLock<NamesHandle>,
    over: Mutex<Option<OverLinks>>,
}

impl Handler for Wiring {
    fn message(&self, from: &NodeId, _: Lane, message: Message, _: Hold) {
        if message.receiver == MEMBERSHIP_ADDRESS
            && let Some(gossip) = self.gossip.get()
        {
            received(gossip, from, &message);
        }
        if message.receiver == NAMES_ADDRESS
            && let Some(names) = self.names.get()
        {
            names.received(from.boot, message.body.to_vec());
        }
    }

    fn broken(&self, _: &Name, _: Lane, _: Broken) {}

    fn opened(&self, peer: &NodeId, _: Lane, _: u64) {
        if let Some(over) = &*self.over.lock() {
            over.opened(peer);
        }
    }
}

/// Carries messages of names and keeps what they tell.
struct Outside {
    over: OverLinks,
    told: Arc<Mutex<Vec<NameChange>>>,
}

impl NamesOutside for Outside {
    fn send(&self, to: &NodeId, bytes: Vec<u8>) {
        self.over.send_names(to, bytes);
    }

    fn changed(&self, change: NameChange) {
        self.told.lock().push(change);
    }
}

struct Node {
    names: NamesService,
    told: Arc<Mutex<Vec<NameChange>>>,
    gossip: Gossip,
    over: OverLinks,
    peer: Peer,
    wiring: Arc<Wiring>,
}

/// One port number for both; another one when the UDP port happens to be in use.
async fn sockets(authority: &Authority, node: &str) -> (TlsNetwork, UdpSocket) {
    loop {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let network = TlsNetwork::bind(listen, credentials(authority, node))
            .await
            .expect("binds");
        if let Ok(socket) = UdpSocket::bind(network.local_addr().expect("bound")).await {
            return (network, socket);
        }
    }
}

async fn start(authority: &Authority, text: &str, boot: u128) -> Node {
    let (network, socket) = sockets(authority, text).await;
    let node = NodeId {
        name: name(text),
        boot: BootId(boot),
    };
    let address = network.local_addr().expect("bound");
    let peer = Peer::new(node.clone(), boot as u64, address);
    let wiring = Arc::new(Wiring::default());
    let links = Links::start(LinksOptions {
        me: node,
        cluster: CLUSTER,
        network: Arc::new(network),
        handler: wiring.clone(),
        seed: 1,
        tuning: Tuning::default(),
    });
    let over = OverLinks::new(links);
    *wiring.over.lock() = Some(over.clone());
    let options = GossipOptions {
        me: peer.clone(),
        parameters: Profile::Fast.parameters(),
        seed: boot as u64,
        keys: KeyRing::new(GossipKey::new([1; 32])),
        datagrams: Arc::new(socket),
        links: Arc::new(over.clone()),
    };
    let gossip = Gossip::start(options, &Handle::current());
    drop(wiring.gossip.set(gossip.handle()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let outside = Outside {
        over: over.clone(),
        told: told.clone(),
    };
    let options = NamesOptions {
        me: peer.node().clone(),
        parameters: NamesParameters::default(),
        seed: 1,
        gossip: gossip.handle(),
        outside: Arc::new(outside),
    };
    let names = NamesService::start(options, &Handle::current()).expect("gossip runs");
    drop(wiring.names.set(names.handle()));
    Node {
        names,
        told,
        gossip,
        over,
        peer,
        wiring,
    }
}

async fn join(node: &Node, contact: &Node) {
    let address = contact.peer.address();
    node.over.contact(contact.peer.name(), address);
    let contacts = vec![address];
    let told = node.gossip.handle().tell(Event::Join { contacts }).await;
    told.expect("runs");
}

async fn until_alive(node: &Node, count: usize) {
    let handle = node.gossip.handle();
    let reached = async {
        loop {
            let members = handle.members().await.expect("runs");
            let alive = members.iter().filter(|m| m.state == MemberState::Alive);
            if alive.count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
    let members = handle.members().await;
    assert!(reached.is_ok(), "{} sees {members:?}", node.peer);
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(held.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_known_on_every_node_and_free_when_theirs_is_gone() {
    let authority = authority();
    let (a, b) = (
        start(&authority, "a", 1).await,
        start(&authority, "b", 2).await,
    );
    join(&b, &a).await;
    until_alive(&a, 2).await;
    until_alive(&b, 2).await;
    let (on_a, on_b) = (a.names.handle(), b.names.handle());
    // More than fits an announcement, so that they are fetched over the link.
    for index in 0..2000 {
        let text = name(&format!("agent-{index}"));
        on_a.register(&text, Address(index), Class::Cluster, 0)
            .expect("free");
    }
    let group = name("workers");
    on_a.join(&group, Address(7)).expect("room");
    until("all names", || {
        on_b.address_of("agent-1999") == Some(Address(1999))
    })
    .await;
    until("the group", || on_b.members("workers").len() == 1).await;
    let taken = on_b.register(&name("agent-5"), Address(99), Class::Cluster, 0);
    assert!(matches!(taken, Err(RegisterError::Taken { .. })));
    on_b.register(&name("printer"), Address(99), Class::Cluster, 0)
        .expect("free");
    until("the other way", || {
        on_a.whereis("printer")
            .is_some_and(|h| h.node == *b.peer.node())
    })
    .await;
    a.gossip.leave().await;
    until("its names are free", || {
        on_b.address_of("agent-5").is_none()
    })
    .await;
    on_b.register(&name("agent-5"), Address(99), Class::Cluster, 0)
        .expect("free now");
    let held = |change: &NameChange| matches!(change, NameChange::Held { name, holder: None } if name.as_str() == "agent-7");
    until("it is told", || b.told.lock().iter().any(held)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_over_links_miss_a_dead_one_and_take_it_back_restarted() {
    let authority = authority();
    let mut nodes = Vec::new();
    for (index, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
        nodes.push(start(&authority, text, index as u128 + 1).await);
    }
    for node in &nodes[1..] {
        join(node, &nodes[0]).await;
    }
    for node in &nodes {
        until_alive(node, 4).await;
    }

    let mut notices = nodes[0].gossip.handle().listen().expect("runs");
    let dead = nodes.pop().expect("four");
    let gone = dead.peer.node().clone();
    // Dropping what holds the links closes the sockets, so that connections are refused.
    *dead.wiring.over.lock() = None;
    drop(dead);
    let told = async {
        loop {
            if let Notice::Change(Change::Down { node, cause }) =
                notices.recv().await.expect("runs")
                && node == gone
            {
                return cause;
            }
        }
    };
    let cause = tokio::time::timeout(Duration::from_secs(60), told)
        .await
        .expect("it is missed");
    assert_ne!(cause, DownCause::Replaced);
    for node in &nodes {
        until_alive(node, 3).await;
    }

    let again = start(&authority, "d", 40).await;
    join(&again, &nodes[1]).await;
    nodes.push(again);
    for node in &nodes {
        until_alive(node, 4).await;
    }
}
