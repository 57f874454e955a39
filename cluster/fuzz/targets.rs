//! What is fuzzed: each function takes any bytes, as they come from another node, and must come back. Used by the fuzz targets beside this
//! file, and by `cluster/tests/fuzz_targets.rs` over changes of real messages.

use std::net::SocketAddr;
use std::time::Duration;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::Decoder;
use swarm_cluster::membership::{Event, Membership, Peer, Profile};
use swarm_cluster::names::{self, Names, NamesParameters};
use swarm_protocols::Name;

/// Takes any bytes and comes back.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 4] = [
    ("frames", frames),
    ("membership_packet", membership_packet),
    ("membership_exchange", membership_exchange),
    ("names", names),
];

pub fn node(number: u8) -> NodeId {
    NodeId {
        name: Name::new(&format!("n{number}")).expect("a name"),
        boot: BootId(number.into()),
    }
}

pub fn member(number: u8) -> Membership {
    let address = SocketAddr::from(([127, 0, 0, number], 7591));
    let me = Peer::new(node(number), 1, address);
    Membership::new(me, Profile::Lan.parameters(), 1, Duration::ZERO)
}

/// Frames of a link, in pieces: the first byte says how long they are.
pub fn frames(data: &[u8]) {
    let Some((size, data)) = data.split_first() else {
        return;
    };
    let mut decoder = Decoder::default();
    for piece in data.chunks(usize::from(*size).max(1)) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.frame() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // The connection is closed.
                Err(_) => return,
            }
        }
    }
}

/// What was in a packet of gossip, once it was opened.
pub fn membership_packet(data: &[u8]) {
    let mut member = member(1);
    for at in 1..=3 {
        let event = Event::Packet {
            from: node(2).boot,
            bytes: data.to_vec(),
        };
        member.handle(event, Duration::from_secs(at));
        member.handle(Event::Tick, Duration::from_secs(at));
    }
}

/// A message of membership over a link.
pub fn membership_exchange(data: &[u8]) {
    let mut member = member(1);
    for at in 1..=3 {
        let event = Event::Link {
            from: node(2),
            bytes: data.to_vec(),
        };
        member.handle(event, Duration::from_secs(at));
        member.handle(Event::Tick, Duration::from_secs(at));
    }
}

/// A message of names and groups.
pub fn names(data: &[u8]) {
    let mut names = Names::new(node(1), NamesParameters::default(), 1, Duration::ZERO);
    names.handle(names::Event::Up { node: node(2) }, Duration::ZERO);
    for at in 1..=3 {
        let event = names::Event::Message {
            from: node(2).boot,
            bytes: data.to_vec(),
        };
        names.handle(event, Duration::from_secs(at));
        names.handle(names::Event::Tick, Duration::from_secs(at));
    }
}
