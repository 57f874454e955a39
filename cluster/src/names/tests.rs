//! Names on several nodes, in virtual time, over a network that loses, delays and parts.

use super::wire;
use super::*;
use crate::identity::{BootId, NodeId};
use crate::membership::BROADCAST_BYTES_MAX;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use swarm_protocols::{Address, Name};

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

/// Several nodes and what is under way between them.
struct Net {
    nodes: Vec<Names>,
    side: Vec<u8>,
    told: Vec<Vec<NameChange>>,
    queue: BTreeMap<(Duration, u64), (usize, Event)>,
    now: Duration,
    loss: f64,
    random: fastrand::Rng,
    counter: u64,
    bytes: u64,
    /// Which wire version each node speaks.
    wire: Vec<u16>,
}

impl Net {
    fn new(count: usize, seed: u64) -> Self {
        let nodes = (0..count).map(|index| {
            let node = node(index);
            Names::new(
                node,
                NamesParameters::default(),
                seed + index as u64,
                Duration::ZERO,
            )
        });
        let mut net = Self {
            nodes: nodes.collect(),
            side: vec![0; count],
            told: vec![Vec::new(); count],
            queue: BTreeMap::new(),
            now: Duration::from_secs(1),
            loss: 0.0,
            random: fastrand::Rng::with_seed(seed),
            counter: 0,
            bytes: 0,
            wire: vec![2; count],
        };
        net.meet();
        net
    }

    /// What membership says when the sides change: those of the other side go down, those of one's own come up.
    fn part(&mut self, side: &[u8]) {
        self.side = side.to_vec();
        self.meet();
    }

    fn meet(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if a == b {
                    continue;
                }
                let event = match self.side[a] == self.side[b] {
                    true => Event::Up { node: node(b) },
                    false => Event::Down { boot: node(b).boot },
                };
                self.deliver(a, event);
            }
        }
    }

    fn register(&mut self, at: usize, text: &str, address: u128) -> Result<(), RegisterError> {
        let wall = self.now.as_millis() as u64;
        self.nodes[at].register(&name(text), Address(address), Class::Cluster, 0, wall)
    }

    fn deliver(&mut self, to: usize, event: Event) {
        for decision in self.nodes[to].handle(event, self.now) {
            match decision {
                Decision::Send { to: target, bytes } => {
                    let target = (0..self.nodes.len()).find(|index| node(*index) == target);
                    self.send(to, target.expect("known"), bytes);
                }
                Decision::Broadcast(bytes) => {
                    assert!(bytes.len() <= BROADCAST_BYTES_MAX);
                    for target in (0..self.nodes.len()).filter(|target| *target != to) {
                        self.send(to, target, bytes.clone());
                    }
                }
                Decision::Tell(change) => self.told[to].push(change),
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        let agreed = self.wire[from].min(self.wire[to]);
        let bytes = spoken(bytes, agreed).expect("a message of names");
        assert_eq!(u16::from(bytes[1]), agreed, "what the other one reads");
        if self.side[from] != self.side[to] || self.random.f64() < self.loss {
            return;
        }
        self.counter += 1;
        let at = self.now + Duration::from_micros(self.random.u64(200..2000));
        let from = node(from).boot;
        self.queue
            .insert((at, self.counter), (to, Event::Message { from, bytes }));
    }

    fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn run_until(&mut self, time: Duration, done: impl Fn(&Net) -> bool) -> Option<Duration> {
        let start = self.now;
        loop {
            let message = self.queue.keys().next().map(|(at, _)| *at);
            let wake = self.nodes.iter().map(Names::next_wake).min();
            let next = message.into_iter().chain(wake).min()?;
            if next > start + time {
                self.now = start + time;
                return None;
            }
            self.now = self.now.max(next);
            if message.is_some_and(|at| at <= self.now)
                && let Some((_, (to, event))) = self.queue.pop_first()
            {
                self.deliver(to, event);
            } else {
                for index in 0..self.nodes.len() {
                    if self.nodes[index].next_wake() <= self.now {
                        self.deliver(index, Event::Tick);
                    }
                }
            }
            if done(self) {
                return Some(self.now - start);
            }
        }
    }

    fn conflicts(&self, at: usize) -> Vec<&NameChange> {
        let told = self.told[at].iter();
        told.filter(|change| !matches!(change, NameChange::Held { .. } | NameChange::Group { .. }))
            .collect()
    }
}

fn node(index: usize) -> NodeId {
    NodeId {
        name: name(&format!("n{index}")),
        boot: BootId(index as u128 * 0x1_0000_0000_0001 + 7),
    }
}

fn holder(at: usize, address: u128) -> Holder {
    Holder {
        address: Address(address),
        node: node(at),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_name_is_known_everywhere_soon_and_free_again_after() {
    let mut net = Net::new(4, 1);
    net.register(0, "printer", 5).expect("free");
    let took = net.run_until(SECOND, |net| {
        net.nodes
            .iter()
            .all(|n| n.whereis("printer") == Some(holder(0, 5)))
    });
    assert!(
        took.is_some_and(|took| took < Duration::from_millis(50)),
        "{took:?}"
    );
    let taken = RegisterError::Taken {
        name: name("printer"),
        holder: holder(0, 5),
    };
    assert_eq!(net.register(2, "printer", 6), Err(taken));
    assert_eq!(net.register(0, "printer", 5), Ok(()), "again is no change");
    assert!(
        !net.nodes[2].unregister(&name("printer"), Address(5)),
        "not its own"
    );
    assert!(net.nodes[0].unregister(&name("printer"), Address(5)));
    net.run(SECOND);
    assert!(
        net.nodes
            .iter()
            .all(|n| n.whereis("printer").is_none() && n.is_empty())
    );
    net.register(2, "printer", 6).expect("free again");
}

#[test]
fn a_local_name_stays_on_its_node() {
    let mut net = Net::new(2, 2);
    for (at, address) in [(0, 5), (1, 6)] {
        let registered =
            net.nodes[at].register(&name("cache"), Address(address), Class::Local, 0, 0);
        assert_eq!(registered, Ok(()));
    }
    net.run(SECOND * 20);
    assert_eq!(net.nodes[0].address_of("cache"), Some(Address(5)));
    assert_eq!(net.nodes[1].whereis("cache"), Some(holder(1, 6)));
    assert!(net.register(0, "cache", 9).is_err());
    assert!(net.nodes[0].unregister(&name("cache"), Address(5)));
    assert_eq!(net.nodes[0].whereis("cache"), None);
}

/// What node `at` knows of others' agents.
fn described(net: &Net, at: usize) -> Vec<(String, NodeId, String)> {
    let all = net.nodes[at].described();
    all.map(|(agent, node, text)| (agent.to_owned(), node.clone(), text.to_owned()))
        .collect()
}

#[test]
fn a_description_reaches_every_other_node_and_goes_with_its_own() {
    let mut net = Net::new(3, 7);
    let described_as = |net: &Net, at, text: &str| {
        described(net, at) == [("w@swarm".to_owned(), node(2), text.to_owned())]
    };
    net.nodes[2].describe("w@swarm", Some("one")).expect("room");
    net.run(SECOND);
    assert!(described_as(&net, 0, "one") && described_as(&net, 1, "one"));
    assert_eq!(described(&net, 2), [], "its own it knows anyway");
    net.nodes[2].describe("w@swarm", Some("two")).expect("room");
    net.run(SECOND);
    assert!(described_as(&net, 0, "two"));
    net.part(&[0, 0, 1]);
    assert_eq!(described(&net, 0), []);
    net.part(&[0; 3]);
    net.run(SECOND * 10);
    assert!(described_as(&net, 0, "two") && described_as(&net, 1, "two"));
    net.nodes[2].describe("w@swarm", None).expect("known");
    net.run(SECOND);
    assert_eq!(described(&net, 1), []);
    let told: Vec<bool> = net.told[0]
        .iter()
        .filter_map(|change| match change {
            NameChange::Described { description, .. } => Some(description.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [true, true, false, true, false]);
}

#[test]
fn many_long_descriptions_arrive_in_parts() {
    let mut net = Net::new(2, 8);
    net.part(&[0, 1]);
    let text = "x".repeat(20_000);
    for n in 0..100 {
        let agent = format!("w{n}@swarm");
        net.nodes[0].describe(&agent, Some(&text)).expect("room");
    }
    net.part(&[0, 0]);
    net.run(SECOND * 10);
    assert_eq!(described(&net, 1).len(), 100);
}

#[test]
fn a_description_that_is_too_long_is_refused() {
    let mut net = Net::new(1, 9);
    let text = "x".repeat(wire::DESCRIPTION_BYTES_MAX + 1);
    let refused = net.nodes[0].describe("w@swarm", Some(&text));
    assert!(matches!(refused, Err(RegisterError::TooLong { .. })));
    let refused = net.nodes[0].describe(&"w".repeat(wire::AID_BYTES_MAX + 1), Some("x"));
    assert!(matches!(refused, Err(RegisterError::TooLong { .. })));
}

/// Two nodes of two sides register one name; the sides meet again.
fn rivals() -> Net {
    let mut net = Net::new(4, 3);
    net.part(&[0, 0, 1, 1]);
    net.register(0, "boss", 1).expect("free on this side");
    net.run(SECOND);
    net.register(3, "boss", 2).expect("free on that side");
    net.run(SECOND);
    net.part(&[0; 4]);
    net.run_until(SECOND, |net| {
        net.nodes
            .iter()
            .all(|n| n.whereis("boss") == Some(holder(3, 2)))
    })
    .expect("all see the same winner");
    net
}

#[test]
fn the_loser_is_told_first_and_stopped_when_it_has_handed_over() {
    let mut net = rivals();
    assert!(matches!(
        net.conflicts(0)[..],
        [NameChange::Conflict { address: Address(1), winner, .. }] if *winner == holder(3, 2)
    ));
    assert_eq!(net.conflicts(3), [] as [&NameChange; 0]);
    net.run(SECOND);
    assert_eq!(net.conflicts(0).len(), 1, "it is left in peace meanwhile");
    let event = Event::HandedOver {
        name: name("boss"),
        address: Address(1),
    };
    net.deliver(0, event.clone());
    let lost = NameChange::Lost {
        name: name("boss"),
        address: Address(1),
        winner: holder(3, 2),
    };
    assert_eq!(net.conflicts(0)[1..], [&lost]);
    net.deliver(0, event);
    net.run(SECOND * 10);
    assert_eq!(net.conflicts(0).len(), 2, "once");
}

#[test]
fn a_loser_that_does_not_hand_over_is_stopped_after_its_time() {
    let mut net = rivals();
    net.run(Duration::from_millis(4900));
    assert_eq!(net.conflicts(0).len(), 1);
    net.run(Duration::from_millis(200));
    assert!(matches!(net.conflicts(0)[1], NameChange::Lost { .. }));
}

#[test]
fn a_loser_whose_winner_goes_first_keeps_the_name() {
    let mut net = rivals();
    net.nodes[3].unregister(&name("boss"), Address(2));
    net.run(SECOND);
    let address = Address(1);
    let name = name("boss");
    assert_eq!(
        net.conflicts(0)[1..],
        [&NameChange::Regained { name, address }]
    );
    assert!(
        net.nodes
            .iter()
            .all(|n| n.whereis("boss") == Some(holder(0, 1)))
    );
    net.run(SECOND * 10);
    assert_eq!(net.conflicts(0).len(), 2);
}

#[test]
fn who_comes_second_is_told_once_and_has_the_name_when_it_is_free() {
    let mut net = Net::new(3, 11);
    net.register(0, "boss", 1).expect("free");
    net.run(SECOND);
    for _ in 0..3 {
        assert!(net.register(2, "boss", 2).is_err());
        net.run(SECOND);
    }
    assert!(matches!(
        net.conflicts(2)[..],
        [NameChange::Conflict { address: Address(2), winner, .. }] if *winner == holder(0, 1)
    ));
    assert_eq!(
        net.conflicts(0),
        [] as [&NameChange; 0],
        "who has it does not mind"
    );
    net.run(SECOND * 4);
    assert!(net.register(2, "boss", 2).is_err());
    net.run(SECOND);
    assert!(
        matches!(net.conflicts(2)[1..], [NameChange::Lost { .. }]),
        "once"
    );
    net.nodes[0].unregister(&name("boss"), Address(1));
    net.run(SECOND);
    assert!(matches!(
        net.conflicts(2)[2..],
        [NameChange::Regained {
            address: Address(2),
            ..
        }]
    ));
    net.register(2, "boss", 2).expect("free");
    net.run(SECOND);
    assert!(
        net.nodes
            .iter()
            .all(|n| n.whereis("boss") == Some(holder(2, 2)))
    );
    // The winner's node is lost: the same.
    assert!(net.register(1, "boss", 3).is_err());
    net.run(SECOND * 6);
    net.part(&[0, 0, 1]);
    assert!(matches!(
        net.conflicts(1)[2..],
        [NameChange::Regained {
            address: Address(3),
            ..
        }]
    ));
}

#[test]
fn who_gives_up_a_name_that_it_came_second_for_hears_no_more_of_it() {
    let mut net = Net::new(2, 12);
    net.register(0, "boss", 1).expect("free");
    net.run(SECOND);
    assert!(net.register(1, "boss", 2).is_err());
    net.nodes[1].unregister(&name("boss"), Address(2));
    net.run(SECOND * 10);
    assert_eq!(
        net.conflicts(1),
        [] as [&NameChange; 0],
        "not even of the conflict"
    );
    assert!(net.register(1, "boss", 2).is_err());
    net.run(SECOND * 10);
    assert_eq!(net.conflicts(1).len(), 2);
    net.nodes[1].unregister(&name("boss"), Address(2));
    net.nodes[0].unregister(&name("boss"), Address(1));
    net.run(SECOND * 10);
    assert_eq!(net.conflicts(1).len(), 2);
}

#[test]
fn a_higher_priority_wins_whatever_the_time() {
    let mut net = Net::new(2, 4);
    net.part(&[0, 1]);
    let boss = name("boss");
    net.nodes[0]
        .register(&boss, Address(1), Class::Cluster, 9, 1)
        .expect("free");
    net.nodes[1]
        .register(&boss, Address(2), Class::Cluster, 1, 1_000_000)
        .expect("free");
    net.part(&[0, 0]);
    net.run(SECOND);
    for node in &net.nodes {
        assert_eq!(node.whereis("boss"), Some(holder(0, 1)));
    }
}

#[test]
fn names_of_a_node_that_is_down_are_free_and_come_back_with_it() {
    let mut net = Net::new(3, 5);
    net.register(2, "a", 1).expect("free");
    let group = name("g");
    net.nodes[2].join(&group, Address(1)).expect("room");
    net.run(SECOND);
    net.part(&[0, 0, 1]);
    assert_eq!(net.nodes[0].whereis("a"), None);
    assert_eq!(net.nodes[0].members("g"), []);
    net.part(&[0; 3]);
    net.run(SECOND);
    assert_eq!(net.nodes[0].whereis("a"), Some(holder(2, 1)));
    assert_eq!(net.nodes[1].members("g"), [holder(2, 1)]);
}

#[test]
fn a_group_counts_how_often_an_agent_joined() {
    let mut net = Net::new(3, 6);
    let group = name("g");
    for _ in 0..2 {
        net.nodes[0].join(&group, Address(1)).expect("room");
    }
    net.nodes[1].join(&group, Address(2)).expect("room");
    net.run(SECOND);
    let all = [holder(0, 1), holder(0, 1), holder(1, 2)];
    assert_eq!(net.nodes[2].members("g"), all);
    assert!(net.nodes[0].leave(&group, Address(1)));
    assert!(!net.nodes[0].leave(&group, Address(2)));
    net.run(SECOND);
    assert_eq!(net.nodes[2].members("g"), all[1..]);
    let counts: Vec<u32> = net.told[2]
        .iter()
        .filter_map(|change| match change {
            NameChange::Group {
                address: Address(1),
                count,
                ..
            } => Some(*count),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn a_copy_that_missed_forgotten_deletions_is_compared_as_a_whole() {
    let mut net = Net::new(3, 7);
    for index in 0..3000 {
        net.register(0, &format!("old-{index}"), index)
            .expect("free");
    }
    net.run(SECOND);
    assert_eq!(net.nodes[1].len(), 3000);
    net.loss = 1.0;
    for index in 0..3000 {
        net.nodes[0].unregister(&name(&format!("old-{index}")), Address(index));
    }
    for index in 0..700 {
        net.register(0, &format!("new-{index}"), index)
            .expect("free");
    }
    net.run(SECOND);
    assert_eq!(net.nodes[1].len(), 3000, "nothing came through");
    net.loss = 0.0;
    net.run(SECOND * 30);
    for node in &net.nodes {
        assert_eq!(node.len(), 700);
        assert_eq!(node.address_of("new-699"), Some(Address(699)));
        assert_eq!(node.address_of("old-0"), None);
    }
}

#[test]
fn a_hundred_thousand_names_converge_on_5_nodes_in_5_s() {
    let mut net = Net::new(5, 8);
    let start = Instant::now();
    for at in 0..5 {
        for index in 0..20_000 {
            let address = (at * 20_000 + index) as u128;
            net.register(at, &format!("agent-{at}-{index}"), address)
                .expect("free");
        }
    }
    let took = net.run_until(SECOND * 60, |net| {
        net.nodes.iter().all(|n| n.len() == 100_000)
    });
    println!(
        "100 000 names on 5 nodes: {took:?} of virtual time, {:?} of one core for all five, {} KiB",
        start.elapsed(),
        net.bytes / 1024
    );
    assert!(took.is_some_and(|took| took <= SECOND * 5), "{took:?}");
    assert_eq!(
        net.nodes[4].whereis("agent-0-19999"),
        Some(holder(0, 19_999))
    );
}

/// How long this thread has run: what else the machine does is not counted.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.expect("Linux tells"))
}

#[test]
#[ignore = "measures: run it in a release build, with --nocapture"]
fn lookups_per_second() {
    let mut net = Net::new(1, 9);
    let names: Vec<String> = (0..100_000).map(|index| format!("agent-{index}")).collect();
    for (index, text) in names.iter().enumerate() {
        net.register(0, text, index as u128).expect("free");
    }
    let start = on_cpu();
    let mut found = 0_u64;
    for _ in 0..50 {
        for text in &names {
            found += u64::from(net.nodes[0].address_of(text).is_some());
        }
    }
    let rate = found as f64 / (on_cpu() - start).as_secs_f64();
    println!("{:.1} million lookups a second", rate / 1e6);
    assert!(rate >= 5e6, "{rate}");
}

/// What a build that spoke wire version 1 wrote, recorded from that build.
fn recorded(what: &str) -> Vec<u8> {
    let all = include_str!("../../tests/fixtures/wire-1.txt");
    let line = all
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
    let hex = line.expect("it was recorded").as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
}

#[test]
fn what_the_version_before_wrote_is_read_and_written_for_it() {
    use super::entry::{Key, Value};
    let claim = Claim {
        address: Address(5),
        priority: 3,
        stamp: Stamp(77),
    };
    let mut delta = wire::Delta {
        owner: BootId(7),
        floor: 1,
        from: 2,
        upto: 5,
        entries: vec![
            (3, Key::Name(name("boss")), Some(Value::Claim(claim))),
            (
                4,
                Key::Member(name("workers"), Address(9)),
                Some(Value::Count(2)),
            ),
            (5, Key::Name(name("gone")), None),
        ],
        more: false,
    };
    let known = vec![wire::Known {
        owner: BootId(7),
        version: 5,
    }];
    let messages = [
        (
            "names-written",
            wire::Message::Written {
                delta: delta.clone(),
                is_whole: true,
            },
        ),
        (
            "names-check",
            wire::Message::Check {
                digest: 0x1234_5678_9abc_def0,
            },
        ),
        (
            "names-digest",
            wire::Message::Digest {
                known: known.clone(),
                wants_answer: true,
            },
        ),
        ("names-pull", wire::Message::Pull { known }),
        ("names-delta", wire::Message::Delta(delta.clone())),
    ];
    for (what, message) in messages {
        let bytes = recorded(what);
        let (read, format) = wire::decode(&bytes).expect("reads");
        assert_eq!((&read, format), (&message, 1), "{what}");
        assert_eq!(spoken(wire::encode(&message), 1), Some(bytes), "{what}");
    }
    // What it does not know is left out.
    let described = (
        4,
        Key::Description("w@swarm".into()),
        Some(Value::Description("x".into())),
    );
    delta.entries.insert(1, described);
    let spoken = spoken(wire::encode(&wire::Message::Delta(delta)), 1);
    assert_eq!(spoken, Some(recorded("names-delta")));
}

#[test]
fn beside_nodes_of_the_version_before_nothing_is_lost() {
    let mut net = Net::new(4, 13);
    net.wire = vec![2, 1, 1, 2];
    net.part(&[0, 0, 0, 1]);
    net.register(0, "new", 1).expect("free");
    net.register(1, "old", 2).expect("free");
    net.nodes[0].describe("w@swarm", Some("one")).expect("room");
    net.run(SECOND * 20);
    // It hears of everything from nodes that have not all of it, first of all.
    net.part(&[1, 0, 0, 0]);
    net.run(SECOND * 20);
    net.part(&[0; 4]);
    net.run(SECOND * 20);
    for node in &net.nodes {
        assert_eq!(node.whereis("new"), Some(holder(0, 1)));
        assert_eq!(node.whereis("old"), Some(holder(1, 2)));
    }
    assert_eq!(described(&net, 3).len(), 1, "from its owner");
    assert_eq!(
        described(&net, 1).len(),
        0,
        "it would not know what that is"
    );
}

#[test]
fn a_stranger_and_garbage_change_nothing() {
    let mut net = Net::new(2, 10);
    let from = BootId(999);
    let bytes = wire::encode(&wire::Message::Check { digest: 1 });
    assert_eq!(
        net.nodes[0].handle(Event::Message { from, bytes }, net.now),
        []
    );
    let from = node(1).boot;
    for bytes in [vec![], vec![9], vec![1, 250], vec![255; 2000]] {
        assert_eq!(
            net.nodes[0].handle(Event::Message { from, bytes }, net.now),
            []
        );
    }
    let counters = net.nodes[0].counters();
    assert_eq!((counters.strangers, counters.malformed), (1, 4));
}

#[derive(Clone, Debug)]
enum Step {
    Register(usize, u8),
    Unregister(usize, u8),
    Join(usize, u8),
    Leave(usize, u8),
    Part(Vec<u8>),
    HandOver(usize),
    Wait(u64),
}

const NODES: usize = 4;

fn any_step() -> impl Strategy<Value = Step> {
    let at = 0..NODES;
    prop_oneof![
        4 => (at.clone(), 0..6u8).prop_map(|(at, what)| Step::Register(at, what)),
        2 => (at.clone(), 0..6u8).prop_map(|(at, what)| Step::Unregister(at, what)),
        2 => (at.clone(), 0..4u8).prop_map(|(at, what)| Step::Join(at, what)),
        1 => (at.clone(), 0..4u8).prop_map(|(at, what)| Step::Leave(at, what)),
        1 => proptest::collection::vec(0..2u8, NODES).prop_map(Step::Part),
        1 => at.prop_map(Step::HandOver),
        4 => (0..400u64).prop_map(Step::Wait),
    ]
}

/// The address of the agent that node `at` runs for `what`.
fn agent(at: usize, what: u8) -> Address {
    Address(at as u128 * 100 + u128::from(what))
}

fn play(net: &mut Net, step: Step) {
    let text = |what: u8| name(&format!("x{what}"));
    match step {
        Step::Register(at, what) => {
            let _taken = net.register(at, text(what).as_str(), agent(at, what).0);
        }
        Step::Unregister(at, what) => {
            net.nodes[at].unregister(&text(what), agent(at, what));
        }
        Step::Join(at, what) => net.nodes[at]
            .join(&text(what % 2), agent(at, what))
            .expect("room"),
        Step::Leave(at, what) => {
            net.nodes[at].leave(&text(what % 2), agent(at, what));
        }
        Step::Part(side) => net.part(&side),
        Step::HandOver(at) => {
            for what in 0..6 {
                let (name, address) = (text(what), agent(at, what));
                net.deliver(at, Event::HandedOver { name, address });
            }
        }
        Step::Wait(millis) => net.run(Duration::from_millis(millis)),
    }
}

/// No name has two holders, and everybody agrees who that is.
fn invariant_one_holder_everywhere(net: &Net) {
    for what in 0..6 {
        let text = format!("x{what}");
        let seen: BTreeSet<_> = net
            .nodes
            .iter()
            .map(|n| n.whereis(&text).map(|h| (h.address, h.node)))
            .collect();
        assert_eq!(seen.len(), 1, "{text}: {seen:?}");
    }
}

/// Every node sees the same members of each group, as often as they joined.
fn invariant_groups_agree(net: &Net, joined: &BTreeMap<(u8, Address), u32>) {
    for what in 0..2 {
        let mut expected: Vec<Address> = Vec::new();
        for ((group, address), count) in joined {
            if *group == what {
                expected.extend(std::iter::repeat_n(*address, *count as usize));
            }
        }
        for node in &net.nodes {
            let members = node.members(&format!("x{what}"));
            let seen: Vec<Address> = members.iter().map(|holder| holder.address).collect();
            assert_eq!(seen, expected);
        }
    }
}

/// An agent is told of a conflict before it loses, and every conflict ends: with its loss, after which it may have the name again, or with
/// that at once.
fn invariant_losers_were_told_first(net: &Net) {
    for told in &net.told {
        let mut open: BTreeSet<&Name> = BTreeSet::new();
        let mut lost: BTreeSet<&Name> = BTreeSet::new();
        for change in told {
            match change {
                NameChange::Conflict { name, .. } => {
                    lost.remove(name);
                    assert!(open.insert(name), "told twice");
                }
                NameChange::Lost { name, .. } => {
                    assert!(open.remove(name), "lost untold");
                    lost.insert(name);
                }
                NameChange::Regained { name, .. } => {
                    assert!(open.remove(name) || lost.remove(name), "never lost");
                }
                NameChange::Held { .. }
                | NameChange::Group { .. }
                | NameChange::Described { .. } => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_all_agree_after_a_heal(
        steps in proptest::collection::vec(any_step(), 1..60),
        seed in any::<u32>(),
        loss in prop_oneof![Just(0.0), Just(0.3)],
    ) {
        let mut net = Net::new(NODES, u64::from(seed));
        net.loss = loss;
        let mut joined: BTreeMap<(u8, Address), u32> = BTreeMap::new();
        for step in steps {
            match &step {
                Step::Join(at, what) => *joined.entry((what % 2, agent(*at, *what))).or_default() += 1,
                Step::Leave(at, what) => {
                    let count = joined.entry((what % 2, agent(*at, *what))).or_default();
                    *count = count.saturating_sub(1);
                }
                _ => {}
            }
            // A name that its agent gave up while it was losing it is no open conflict any more.
            if let Step::Unregister(at, what) = &step {
                let name = name(&format!("x{what}"));
                let before = net.told[*at].iter().rposition(|c| matches!(c, NameChange::Conflict { name: n, .. } if *n == name));
                let ended = net.told[*at].iter().rposition(|c| matches!(c, NameChange::Lost { name: n, .. } | NameChange::Regained { name: n, .. } if *n == name));
                if before > ended && let Some(place) = before {
                    net.told[*at].remove(place);
                }
            }
            play(&mut net, step);
        }
        net.loss = 0.0;
        net.part(&[0; NODES]);
        net.run(SECOND * 40);
        invariant_one_holder_everywhere(&net);
        invariant_groups_agree(&net, &joined);
        invariant_losers_were_told_first(&net);
        // After the time to hand over nobody claims a name that another one has.
        for (index, node) in net.nodes.iter().enumerate() {
            for what in 0..6 {
                let held = node.whereis(&format!("x{what}"));
                let claims = matches!(
                    node.own().get(&super::entry::Key::Name(name(&format!("x{what}")))),
                    Some(super::entry::Value::Claim(_))
                );
                prop_assert_eq!(claims, held.is_some_and(|h| h.node == super::tests::node(index)));
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut versioned = vec![b'n', wire::VERSION];
        versioned.extend_from_slice(&bytes);
        let _ = wire::decode(&bytes);
        let mut net = Net::new(2, 1);
        let from = node(1).boot;
        net.nodes[0].handle(Event::Message { from, bytes: versioned }, SECOND);
    }
}
