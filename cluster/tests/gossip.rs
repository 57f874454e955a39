//! Gossip over real UDP on the loopback, with peer links that are calls within the process.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_cluster::gossip::{
    Gossip, GossipHandle, GossipKey, GossipOptions, KeyRing, KeyRingError, Notice, PeerLinks,
    Sealer,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::membership::{
    Change, Contact, DownCause, Event, LinkVerdict, MemberState, Peer, Profile,
};
use swarm_protocols::Name;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Who listens where. A node that is not in it refuses connections.
#[derive(Clone, Default)]
struct Directory(Arc<Mutex<HashMap<SocketAddr, (BootId, GossipHandle)>>>);

struct Calls {
    from: NodeId,
    directory: Directory,
}

impl Directory {
    fn get(&self, address: SocketAddr) -> Option<(BootId, GossipHandle)> {
        self.0.lock().expect("not poisoned").get(&address).cloned()
    }
}

impl PeerLinks for Calls {
    fn send(&self, to: Contact, bytes: Vec<u8>) {
        let (Contact::Address(address) | Contact::Node(_, address)) = to;
        let Some((_, handle)) = self.directory.get(address) else {
            return;
        };
        let from = self.from.clone();
        tokio::spawn(async move { handle.tell(Event::Link { from, bytes }).await });
    }

    fn probe(&self, peer: Peer, _: Duration) -> Pin<Box<dyn Future<Output = LinkVerdict> + Send>> {
        let found = self.directory.get(peer.address());
        Box::pin(async move {
            match found {
                Some((boot, _)) => LinkVerdict::Answered { boot },
                None => LinkVerdict::Refused,
            }
        })
    }
}

struct Node {
    gossip: Gossip,
    handle: GossipHandle,
    peer: Peer,
}

fn key(byte: u8) -> GossipKey {
    GossipKey::new([byte; 32])
}

async fn start(name: &str, boot: u128, directory: &Directory) -> Node {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = socket.local_addr().expect("bound");
    let node = NodeId {
        name: Name::new(name).expect("valid"),
        boot: BootId(boot),
    };
    let peer = Peer::new(node.clone(), boot as u64, address);
    let options = GossipOptions {
        me: peer.clone(),
        parameters: Profile::Fast.parameters(),
        seed: boot as u64,
        keys: KeyRing::new(key(1)),
        datagrams: Arc::new(socket),
        links: Arc::new(Calls {
            from: node,
            directory: directory.clone(),
        }),
    };
    let gossip = Gossip::start(options, &Handle::current());
    let handle = gossip.handle();
    let entry = (peer.boot(), handle.clone());
    directory
        .0
        .lock()
        .expect("not poisoned")
        .insert(address, entry);
    Node {
        gossip,
        handle,
        peer,
    }
}

/// Three nodes that know each other.
async fn cluster(directory: &Directory) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        nodes.push(start(name, index as u128 + 1, directory).await);
    }
    let contacts = vec![nodes[0].peer.address()];
    for node in &nodes[1..] {
        let contacts = contacts.clone();
        node.handle
            .tell(Event::Join { contacts })
            .await
            .expect("runs");
    }
    for node in &nodes {
        until_alive(node, 3).await;
    }
    nodes
}

async fn until_alive(node: &Node, count: usize) {
    let reached = async {
        loop {
            let members = node.handle.members().await.expect("runs");
            if members
                .iter()
                .filter(|m| m.state == MemberState::Alive)
                .count()
                == count
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let name = node.peer.name();
    if tokio::time::timeout(Duration::from_secs(30), reached)
        .await
        .is_err()
    {
        panic!(
            "{name} does not see {count}: {:?}",
            node.handle.members().await
        );
    }
}

async fn until_told(
    notices: &mut tokio::sync::broadcast::Receiver<Notice>,
    wanted: impl Fn(&Notice) -> bool,
) {
    let told = async {
        loop {
            if wanted(&notices.recv().await.expect("runs")) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .expect("it is told");
}

#[tokio::test]
async fn nodes_find_each_other_and_miss_one_that_is_gone() {
    let directory = Directory::default();
    let mut nodes = cluster(&directory).await;
    let mut notices = nodes[0].handle.listen().expect("runs");
    let gone = nodes.pop().expect("three");
    directory
        .0
        .lock()
        .expect("not poisoned")
        .remove(&gone.peer.address());
    drop(gone.gossip);
    until_told(&mut notices, |notice| {
        matches!(notice, Notice::Change(Change::Down { node, cause })
            if node == gone.peer.node() && *cause != DownCause::Silent)
    })
    .await;
    for node in &nodes {
        until_alive(node, 2).await;
    }
    assert!(gone.handle.members().await.is_err(), "its task is gone");
}

#[tokio::test]
async fn a_goodbye_is_heard_and_ends_the_task() {
    let directory = Directory::default();
    let mut nodes = cluster(&directory).await;
    let mut notices = nodes[1].handle.listen().expect("runs");
    let leaver = nodes.remove(0);
    leaver.gossip.leave().await;
    until_told(&mut notices, |notice| {
        matches!(notice, Notice::Change(Change::Left { node }) if node == leaver.peer.node())
    })
    .await;
    assert!(leaver.handle.tell(Event::Leave).await.is_err());
}

#[tokio::test]
async fn a_broadcast_reaches_the_others() {
    let directory = Directory::default();
    let nodes = cluster(&directory).await;
    let mut notices = nodes[2].handle.listen().expect("runs");
    let payload = b"news".to_vec();
    let event = Event::Broadcast {
        payload: payload.clone(),
    };
    nodes[0].handle.tell(event).await.expect("runs");
    let origin = nodes[0].peer.boot();
    until_told(&mut notices, |n| {
        *n == Notice::Broadcast {
            origin,
            payload: payload.clone(),
        }
    })
    .await;
}

#[tokio::test]
async fn keys_are_rotated_while_members_stay_members() {
    let directory = Directory::default();
    let nodes = cluster(&directory).await;
    let (old, new) = (key(1).id(), key(2).id());
    for node in &nodes {
        assert_eq!(node.handle.install_key(key(2)).await, Ok(Ok(new)));
    }
    for node in &nodes {
        assert_eq!(node.handle.use_key(new).await, Ok(Ok(())));
        let in_use = Err(KeyRingError::InUse { id: new });
        assert_eq!(node.handle.remove_key(new).await, Ok(in_use));
    }
    for node in &nodes {
        assert_eq!(node.handle.remove_key(old).await, Ok(Ok(())));
    }
    let before = nodes[0].handle.counters().await.expect("runs");
    let goes_on = async {
        while nodes[0].handle.counters().await.expect("runs").received < before.received + 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), goes_on)
        .await
        .expect("packets still open");
    for node in &nodes {
        until_alive(node, 3).await;
    }
    let keys = nodes[1].handle.keys().await.expect("runs");
    assert_eq!(keys.ids().collect::<Vec<_>>(), [new]);
}

#[tokio::test]
async fn an_intruder_with_no_key_changes_nothing() {
    let directory = Directory::default();
    let nodes = cluster(&directory).await;
    let target = nodes[0].peer.clone();
    let intruder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let mut foreign = Sealer::new(BootId(66), KeyRing::new(key(9)));
    // A member's key, but a packet meant for another process, and one that is doubled.
    let mut insider = Sealer::new(BootId(67), KeyRing::new(key(1)));
    let misdirected = insider.seal(nodes[1].peer.boot(), b"x").expect("seals");
    let doubled = insider.seal(target.boot(), b"x").expect("seals");
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..200_usize {
        let garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(round * 7)
            .collect();
        let packet = match round % 4 {
            0 => garbage,
            1 => foreign
                .seal(target.boot(), &garbage[..garbage.len().min(900)])
                .expect("seals"),
            2 => misdirected.clone(),
            _ => doubled.clone(),
        };
        intruder
            .send_to(&packet, target.address())
            .await
            .expect("sends");
        if round % 20 == 0 {
            nodes[0].handle.members().await.expect("it lives");
        }
    }
    let all_seen = async {
        loop {
            let seen = nodes[0].handle.counters().await.expect("it lives");
            if seen.malformed > 0 && seen.unknown_key > 0 && seen.forged > 0 && seen.replayed > 0 {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(30), all_seen)
        .await
        .expect("every kind is counted");
    assert!(
        seen.membership.malformed <= 1,
        "only the one that opened reached membership"
    );
    let members = nodes[0].handle.members().await.expect("it lives");
    assert_eq!(members.len(), 3);
}
