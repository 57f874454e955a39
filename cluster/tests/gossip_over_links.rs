//! Membership as a node runs it: packets over UDP, exchanges and probes over peer links with TLS, on one port number.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of it"
)]
mod common;

use common::{CLUSTER, authority, credentials, name};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use swarm_cluster::gossip::{
    Gossip, GossipHandle, GossipKey, GossipOptions, KeyRing, MEMBERSHIP_ADDRESS, Notice, OverLinks,
    received,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::{Broken, Lane, Message};
use swarm_cluster::membership::{Change, DownCause, Event, MemberState, Peer, Profile};
use swarm_cluster::security::Authority;
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{Handler, Hold, Links, LinksOptions, Tuning};
use swarm_protocols::Name;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Passes on what the links hear.
#[derive(Default)]
struct Wiring {
    gossip: OnceLock<GossipHandle>,
    over: Mutex<Option<OverLinks>>,
}

impl Handler for Wiring {
    fn message(&self, from: &NodeId, _: Lane, message: Message, _: Hold) {
        if message.receiver == MEMBERSHIP_ADDRESS
            && let Some(gossip) = self.gossip.get()
        {
            received(gossip, from, &message);
        }
    }

    fn broken(&self, _: &Name, _: Lane, _: Broken) {}

    fn opened(&self, peer: &NodeId, _: Lane, _: u64) {
        if let Some(over) = &*self.over.lock() {
            over.opened(peer);
        }
    }
}

struct Node {
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
    Node {
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
