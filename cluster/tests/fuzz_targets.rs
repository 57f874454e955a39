//! The fuzz targets over real messages and changes of them: what `cargo fuzz` does for longer, without its tools.

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared with the fuzz targets"
)]
#[path = "../fuzz/targets.rs"]
mod targets;

use std::time::Duration;
use swarm_cluster::membership::{Decision, Event};
use targets::TARGETS;

/// Messages that two members say to each other when one joins the other.
fn real_messages() -> Vec<Vec<u8>> {
    let (mut first, mut second) = (targets::member(1), targets::member(2));
    let mut seeds = Vec::new();
    let contacts = vec![std::net::SocketAddr::from(([127, 0, 0, 1], 7591))];
    let mut to_first = second.handle(Event::Join { contacts }, Duration::ZERO);
    for round in 1..20_u64 {
        let now = Duration::from_millis(round * 300);
        let mut to_second = Vec::new();
        for decision in to_first.drain(..) {
            let (event, bytes) = event_of(decision, 2);
            seeds.extend(bytes);
            to_second.extend(event.into_iter().flat_map(|event| first.handle(event, now)));
        }
        to_second.extend(first.handle(Event::Tick, now));
        for decision in to_second {
            let (event, bytes) = event_of(decision, 1);
            seeds.extend(bytes);
            to_first.extend(
                event
                    .into_iter()
                    .flat_map(|event| second.handle(event, now)),
            );
        }
        to_first.extend(second.handle(Event::Tick, now));
    }
    seeds
}

fn event_of(decision: Decision, from: u8) -> (Option<Event>, Option<Vec<u8>>) {
    match decision {
        Decision::Send { bytes, .. } => {
            let event = Event::Packet {
                from: targets::node(from).boot,
                bytes: bytes.clone(),
            };
            (Some(event), Some(bytes))
        }
        Decision::SendLink { bytes, .. } => {
            let event = Event::Link {
                from: targets::node(from),
                bytes: bytes.clone(),
            };
            (Some(event), Some(bytes))
        }
        _ => (None, None),
    }
}

#[test]
fn changes_of_real_messages_do_no_harm() {
    let seeds = real_messages();
    assert!(seeds.len() > 10, "{} messages", seeds.len());
    let mut random = fastrand::Rng::with_seed(7);
    for (_, target) in TARGETS {
        target(&[]);
        for _ in 0..2_000 {
            let mut bytes = seeds[random.usize(..seeds.len())].clone();
            for _ in 0..random.usize(1..4) {
                match random.u8(..4) {
                    0 => bytes.truncate(random.usize(..=bytes.len())),
                    1 => bytes.push(random.u8(..)),
                    _ if bytes.is_empty() => {}
                    2 => {
                        let at = random.usize(..bytes.len());
                        bytes[at] ^= 1 << random.u8(..8);
                    }
                    _ => {
                        let at = random.usize(..bytes.len());
                        bytes[at] = *random.choice([0, 1, 0x7f, 0x80, 0xff].iter()).unwrap_or(&0);
                    }
                }
            }
            target(&bytes);
        }
    }
}
