//! Every state by table and by property, on one core, with packets made by hand.

use super::event::{Arrival, Change, Decision, DownCause, Event, LinkVerdict};
use super::wire::{self, Exchange, Item};
use super::{MemberState, Membership, Peer, Profile, swim};
use crate::identity::{BootId, NodeId};
use foca::{Header, Member, Message, State};
use proptest::prelude::*;
use std::time::Duration;
use swarm_protocols::Name;

fn peer(name: &str, boot: u128, generation: u64) -> Peer {
    let node = NodeId {
        name: Name::new(name).expect("valid"),
        boot: BootId(boot),
    };
    Peer::new(
        node,
        generation,
        ([10, 0, 0, (boot % 200) as u8], 7591).into(),
    )
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A core named `a` that knows `b`, and what it has to say from there on.
fn core() -> Membership {
    let mut core = Membership::new(peer("a", 1, 10), Profile::Lan.parameters(), 1, secs(0));
    core.assume([peer("b", 2, 10), peer("c", 3, 10)], secs(0));
    core
}

/// A packet from `c` with `updates` and `items`.
fn packet(core: &Membership, updates: &[Member<Peer>], items: &[Item]) -> Event {
    packet_from(&peer("c", 3, 10), 0, core, updates, items)
}

fn packet_from(
    src: &Peer,
    src_incarnation: u16,
    core: &Membership,
    updates: &[Member<Peer>],
    items: &[Item],
) -> Event {
    let header = Header {
        src: src.clone(),
        src_incarnation,
        dst: core.me().clone(),
        message: Message::Gossip,
    };
    let swim = swim::write(&header, updates).expect("encodes");
    let items: Vec<_> = items.iter().map(Item::encode).collect();
    Event::Packet {
        from: src.boot(),
        bytes: wire::encode_packet(0, &items, &swim),
    }
}

fn state_of(core: &Membership, name: &str) -> Option<(MemberState, u16)> {
    let members = core.members();
    let member = members.iter().find(|m| m.node.name.as_str() == name)?;
    Some((member.state, member.incarnation))
}

fn changes(decisions: &[Decision]) -> Vec<Change> {
    let tells = decisions.iter().filter_map(|decision| match decision {
        Decision::Tell(change) => Some(change.clone()),
        _ => None,
    });
    tells.collect()
}

fn alive(incarnation: u16) -> Member<Peer> {
    Member::new(peer("b", 2, 10), incarnation, State::Alive)
}

fn suspect(incarnation: u16) -> Member<Peer> {
    Member::new(peer("b", 2, 10), incarnation, State::Suspect)
}

fn down(incarnation: u16) -> Member<Peer> {
    Member::new(peer("b", 2, 10), incarnation, State::Down)
}

/// After `history` about b, `news` about b brings it to `expected`.
fn check(history: &[Member<Peer>], news: Member<Peer>, expected: (MemberState, u16)) {
    let mut core = core();
    for update in history {
        let event = packet(&core, std::slice::from_ref(update), &[]);
        core.handle(event, secs(1));
    }
    let event = packet(&core, std::slice::from_ref(&news), &[]);
    core.handle(event, secs(1));
    assert_eq!(
        state_of(&core, "b"),
        Some(expected),
        "after {history:?}, {news:?}"
    );
}

#[test]
fn what_each_news_makes_of_each_state() {
    use MemberState::{Alive, Down, Suspect};
    let alive_at_2 = [alive(2)];
    check(&alive_at_2, alive(1), (Alive, 2));
    check(&alive_at_2, alive(3), (Alive, 3));
    check(&alive_at_2, suspect(1), (Alive, 2));
    check(&alive_at_2, suspect(2), (Suspect, 2));
    check(&alive_at_2, suspect(3), (Suspect, 3));
    check(&alive_at_2, down(1), (Alive, 2)); // a refuted verdict
    check(&alive_at_2, down(2), (Down, 2));
    let suspect_at_2 = [suspect(2)];
    check(&suspect_at_2, alive(2), (Suspect, 2));
    check(&suspect_at_2, alive(3), (Alive, 3));
    check(&suspect_at_2, suspect(1), (Suspect, 2));
    check(&suspect_at_2, suspect(3), (Suspect, 3));
    check(&suspect_at_2, down(1), (Suspect, 2));
    check(&suspect_at_2, down(2), (Down, 2));
    let down_at_2 = [suspect(2), down(2)];
    for news in [alive(3), suspect(3), down(3)] {
        check(&down_at_2, news, (Down, 2));
    }
    let next_generation = Member::new(peer("b", 2, 11), 0, State::Alive);
    check(&down_at_2, next_generation.clone(), (Alive, 0));
    check(&suspect_at_2, next_generation, (Alive, 0));
    let older_generation = Member::new(peer("b", 2, 9), 5, State::Alive);
    check(&alive_at_2, older_generation, (Alive, 2));
    let next_process = Member::new(peer("b", 9, 11), 0, State::Alive);
    check(&alive_at_2, next_process.clone(), (Alive, 0));
    check(&down_at_2, next_process, (Alive, 0));
}

#[test]
fn what_is_told_of_each_change() {
    let mut core = core();
    let b = peer("b", 2, 10).node().clone();
    let mut told = |update: Member<Peer>| {
        let event = packet(&core, &[update], &[]);
        changes(&core.handle(event, secs(1)))
    };
    let node = || b.clone();
    assert_eq!(told(suspect(0)), [Change::Suspect { node: node() }]);
    assert_eq!(told(suspect(0)), []);
    assert_eq!(told(alive(1)), [Change::Refuted { node: node() }]);
    let cause = DownCause::Hearsay;
    assert_eq!(
        told(down(1)),
        [Change::Down {
            node: node(),
            cause
        }]
    );
    assert_eq!(told(down(2)), []);
    let address = peer("b", 2, 11).address();
    let arrival = Arrival::Healed;
    assert_eq!(
        told(Member::alive(peer("b", 2, 11))),
        [Change::Alive {
            node: node(),
            address,
            arrival
        }]
    );
    let generation = 12;
    assert_eq!(
        told(Member::alive(peer("b", 2, 12))),
        [Change::Renewed {
            node: node(),
            generation
        }]
    );
    let cause = DownCause::Replaced;
    let next = peer("b", 9, 13);
    assert_eq!(
        told(Member::alive(next.clone())),
        [
            Change::Down {
                node: node(),
                cause
            },
            Change::Alive {
                node: next.node().clone(),
                address: next.address(),
                arrival: Arrival::Restarted
            }
        ]
    );
}

#[test]
fn a_goodbye_wins_over_everything_and_is_passed_on() {
    for history in [alive(1), suspect(0)] {
        let mut core = core();
        let event = packet(&core, &[history], &[]);
        core.handle(event, secs(1));
        let left = Item::Left {
            peer: peer("b", 2, 10),
        };
        let event = packet(&core, &[], &[left]);
        let node = peer("b", 2, 10).node().clone();
        assert_eq!(
            changes(&core.handle(event, secs(1))),
            [Change::Left { node }]
        );
        let again = packet(&core, &[Member::alive(peer("b", 2, 99))], &[]);
        core.handle(again, secs(2));
        assert_eq!(state_of(&core, "b").map(|s| s.0), Some(MemberState::Left));
    }
}

#[test]
fn a_suspected_node_raises_its_incarnation_and_says_so() {
    let mut core = core();
    let me = core.me().clone();
    let event = packet(&core, &[Member::new(me, 0, State::Suspect)], &[]);
    let sent = core.handle(event, secs(1));
    assert_eq!(state_of(&core, "a"), Some((MemberState::Alive, 1)));
    assert!(sent.iter().any(|d| matches!(d, Decision::Send { .. })));
    assert_eq!((core.counters().refutations, core.health().score()), (1, 1));
}

#[test]
fn a_suspect_that_comes_in_its_next_generation_is_a_suspect_no_more() {
    let mut core = core();
    let node = peer("b", 2, 10).node().clone();
    let event = packet(&core, &[suspect(0)], &[]);
    let told = changes(&core.handle(event, secs(1)));
    assert_eq!(told, [Change::Suspect { node: node.clone() }]);
    let renewed = Member::alive(peer("b", 2, 11));
    let event = packet(&core, &[renewed], &[]);
    let told = changes(&core.handle(event, secs(1)));
    let generation = 11;
    assert_eq!(
        told,
        [
            Change::Refuted { node: node.clone() },
            Change::Renewed { node, generation }
        ]
    );
}

#[test]
fn a_node_that_is_held_for_down_comes_back_in_its_next_generation() {
    let mut core = core();
    let me = core.me().clone();
    let event = packet(&core, &[Member::new(me.clone(), 0, State::Down)], &[]);
    let told = changes(&core.handle(event, secs(1)));
    let node = me.node().clone();
    assert_eq!(
        told,
        [Change::Renewed {
            node,
            generation: 11
        }]
    );
    assert_eq!(core.me().boot(), me.boot());
}

#[test]
fn a_packet_in_another_members_name_is_refused_whole() {
    let mut core = core();
    let Event::Packet { bytes, .. } = packet(&core, &[down(0)], &[]) else {
        panic!("a packet");
    };
    let from = BootId(2);
    assert_eq!(core.handle(Event::Packet { from, bytes }, secs(1)), []);
    assert_eq!(core.counters().forged, 1);
    assert_eq!(state_of(&core, "b").map(|s| s.0), Some(MemberState::Alive));
}

#[test]
fn one_node_that_finds_the_same_makes_a_refused_connection_a_verdict() {
    let mut core = core();
    let verify = Item::Verify {
        suspect: peer("b", 2, 10),
        incarnation: 0,
        by: BootId(3),
    };
    let event = packet(&core, &[], &[verify]);
    let decisions = core.handle(event, secs(1));
    let probe = decisions.iter().find_map(|decision| match decision {
        Decision::ProbeLink { probe, .. } => Some(*probe),
        _ => None,
    });
    let probe = probe.expect("it looks for itself");
    let verdict = LinkVerdict::Refused;
    core.handle(Event::LinkVerdict { probe, verdict }, secs(1));
    let mut told = Vec::new();
    while let Some(at) = core.next_wake().filter(|at| *at < secs(2)) {
        told.extend(changes(&core.handle(Event::Tick, at)));
    }
    let cause = DownCause::Refused;
    let node = peer("b", 2, 10).node().clone();
    assert!(told.contains(&Change::Down { node, cause }), "{told:?}");
}

#[test]
fn silence_on_the_link_shortens_nothing() {
    let mut core = core();
    let verify = Item::Verify {
        suspect: peer("b", 2, 10),
        incarnation: 0,
        by: BootId(3),
    };
    let event = packet(&core, &[], &[verify]);
    let decisions = core.handle(event, secs(1));
    let Some(Decision::ProbeLink { probe, .. }) = decisions
        .iter()
        .find(|d| matches!(d, Decision::ProbeLink { .. }))
    else {
        panic!("it looks for itself");
    };
    let verdict = LinkVerdict::Silent;
    core.handle(
        Event::LinkVerdict {
            probe: *probe,
            verdict,
        },
        secs(1),
    );
    core.handle(Event::Tick, Duration::from_millis(1400));
    assert_eq!(
        state_of(&core, "b").map(|s| s.0),
        Some(MemberState::Suspect)
    );
}

#[test]
fn what_is_not_a_message_of_this_version_is_refused() {
    let mut core = core();
    for bytes in [vec![], vec![2, 0, 0], vec![1], vec![1; 9], vec![0xff; 1400]] {
        let from = BootId(3);
        assert_eq!(
            core.handle(
                Event::Packet {
                    from,
                    bytes: bytes.clone()
                },
                secs(1)
            ),
            []
        );
        let from = peer("c", 3, 10).node().clone();
        assert_eq!(core.handle(Event::Link { from, bytes }, secs(1)), []);
    }
    assert_eq!(core.counters().malformed, 10);
}

/// Runs both ways until neither has anything to say over the link.
fn exchange(a: &mut Membership, b: &mut Membership, now: Duration) {
    let contacts = vec![b.me().address()];
    let mut for_b = link_messages(a.handle(Event::Join { contacts }, now));
    let mut for_a = Vec::new();
    for _ in 0..8 {
        for bytes in for_b.drain(..) {
            let from = a.me().node().clone();
            for_a.extend(link_messages(b.handle(Event::Link { from, bytes }, now)));
        }
        for bytes in for_a.drain(..) {
            let from = b.me().node().clone();
            for_b.extend(link_messages(a.handle(Event::Link { from, bytes }, now)));
        }
    }
}

fn link_messages(decisions: Vec<Decision>) -> Vec<Vec<u8>> {
    let messages = decisions.into_iter().filter_map(|decision| match decision {
        Decision::SendLink { bytes, .. } => Some(bytes),
        _ => None,
    });
    messages.collect()
}

/// News about one of eight names, in every state, generation and process.
fn any_update() -> impl Strategy<Value = Member<Peer>> {
    let state = prop_oneof![Just(State::Alive), Just(State::Suspect), Just(State::Down)];
    (0..9u8, 0..2u128, 9..12u64, 0..4u16, state).prop_map(
        |(name, process, generation, incarnation, state)| {
            let name = char::from(b'a' + name).to_string();
            let boot = u128::from(name.as_bytes()[0] - b'a') + 1 + 100 * process;
            Member::new(peer(&name, boot, generation), incarnation, state)
        },
    )
}

fn any_item() -> impl Strategy<Value = Item> {
    let suspect = any_update()
        .prop_map(|m| (m.id().clone(), m.incarnation()))
        .boxed();
    prop_oneof![
        (suspect.clone(), 1..9u128, any::<bool>()).prop_map(
            |((suspect, incarnation), by, refused)| {
                Item::Confirm {
                    suspect,
                    incarnation,
                    by: BootId(by),
                    refused,
                }
            }
        ),
        (9..12u64, 0..4u16).prop_map(|(generation, incarnation)| Item::Suspected {
            generation,
            incarnation
        }),
        (suspect.clone(), 1..9u128).prop_map(|((suspect, incarnation), by)| {
            Item::Verify {
                suspect,
                incarnation,
                by: BootId(by),
            }
        }),
        any::<u8>().prop_map(|probe| Item::Receipt { probe }),
        suspect.clone().prop_map(|(peer, _)| Item::Left { peer }),
        (1..200u128).prop_map(|boot| Item::Evicted { boot: BootId(boot) }),
        suspect.prop_map(|(by, _)| Item::Superseded { by }),
        (
            1..9u128,
            0..9u64,
            proptest::collection::vec(any::<u8>(), 0..20)
        )
            .prop_map(|(origin, number, payload)| Item::Broadcast {
                origin: BootId(origin),
                number,
                payload
            }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    News(Vec<Member<Peer>>, Vec<Item>),
    Verdict(u64, LinkVerdict),
    Garbage(Vec<u8>),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        Just(LinkVerdict::Refused),
        Just(LinkVerdict::Silent),
        (1..9u128).prop_map(|boot| LinkVerdict::Answered { boot: BootId(boot) }),
    ];
    prop_oneof![
        4 => (proptest::collection::vec(any_update(), 0..4), proptest::collection::vec(any_item(), 0..3))
            .prop_map(|(updates, items)| Step::News(updates, items)),
        1 => (0..20u64, verdict).prop_map(|(probe, verdict)| Step::Verdict(probe, verdict)),
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Step::Garbage),
        2 => (0..4000u64).prop_map(Step::Wait),
    ]
}

/// What a listener believes who only hears the changes: each comes when it makes sense, and the end agrees with the view.
fn changes_make_sense(told: &[Change], core: &Membership, known: &[NodeId]) {
    let mut present: Vec<NodeId> = known.to_vec();
    for change in told {
        match change {
            Change::Alive { node, .. } => {
                assert!(!present.contains(node), "{node} came twice: {told:?}");
                present.push(node.clone());
            }
            Change::Down { node, .. } | Change::Left { node } => {
                assert!(present.contains(node), "{node} went unseen: {told:?}");
                present.retain(|other| other != node);
            }
            Change::Suspect { node } | Change::Refuted { node } => {
                assert!(present.contains(node), "{node} is not there: {told:?}");
            }
            _ => {}
        }
    }
    let members = core.members();
    let mut view: Vec<NodeId> = members
        .iter()
        .filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect))
        .map(|m| m.node.clone())
        .filter(|node| node != core.me().node())
        .collect();
    view.sort();
    present.sort();
    assert_eq!(present, view, "what was told is what is there");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_view_stays_sound(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut core = core();
        let known = [peer("b", 2, 10).node().clone(), peer("c", 3, 10).node().clone()];
        let mut now = secs(1);
        let mut told = Vec::new();
        for step in steps {
            let event = match step {
                Step::News(updates, items) => packet(&core, &updates, &items),
                Step::Verdict(probe, verdict) => Event::LinkVerdict { probe: super::LinkProbe(probe), verdict },
                Step::Garbage(bytes) => Event::Packet { from: BootId(3), bytes },
                Step::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    Event::Tick
                }
            };
            let decisions = core.handle(event, now);
            for decision in &decisions {
                if let Decision::Send { bytes, .. } = decision {
                    prop_assert!(bytes.len() <= Profile::Lan.parameters().packet_bytes);
                }
            }
            told.extend(changes(&decisions));
            let members = core.members();
            prop_assert!(members.windows(2).all(|pair| pair[0].node.name < pair[1].node.name));
        }
        changes_make_sense(&told, &core, &known);
    }

    #[test]
    fn whatever_came_nobody_stays_a_suspect_for_ever(steps in proptest::collection::vec(any_step(), 1..30)) {
        let mut core = core();
        let mut now = secs(1);
        for step in steps {
            let event = match step {
                Step::News(updates, items) => packet(&core, &updates, &items),
                Step::Verdict(probe, verdict) => Event::LinkVerdict { probe: super::LinkProbe(probe), verdict },
                Step::Garbage(bytes) => Event::Packet { from: BootId(3), bytes },
                Step::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    Event::Tick
                }
            };
            core.handle(event, now);
        }
        // From here on nobody says anything any more.
        let end = now + secs(1200);
        while now < end {
            now += secs(2);
            core.handle(Event::Tick, now);
        }
        let members = core.members();
        prop_assert!(members.iter().all(|m| m.state != MemberState::Suspect), "{members:?}");
    }

    #[test]
    fn two_views_agree_after_a_few_exchanges(
        left in proptest::collection::vec(any_update(), 0..12),
        right in proptest::collection::vec(any_update(), 0..12),
    ) {
        let mut a = Membership::new(peer("x", 1001, 10), Profile::Lan.parameters(), 1, secs(0));
        let mut b = Membership::new(peer("y", 1002, 10), Profile::Lan.parameters(), 2, secs(0));
        for (core, updates) in [(&mut a, left), (&mut b, right)] {
            core.assume([peer("c", 3, 10)], secs(0));
            for update in updates.into_iter().filter(|u| u.id().name().as_str() != "c") {
                let event = packet(core, &[update], &[]);
                core.handle(event, secs(1));
            }
        }
        for round in 2..5 {
            exchange(&mut a, &mut b, secs(round));
        }
        let active = |core: &Membership| -> Vec<NodeId> {
            let members = core.members();
            let there = members.iter().filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect));
            there.map(|m| m.node.clone()).collect()
        };
        // Who is down on one side is suspected on the other, or has to come back in its next generation: nobody else may differ.
        let gone = |core: &Membership, node: &NodeId| core.members().iter().any(|m| m.node.name == node.name && m.state == MemberState::Down);
        for node in active(&a) {
            prop_assert!(active(&b).contains(&node) || gone(&b, &node), "{node} is missing at y");
        }
        for node in active(&b) {
            prop_assert!(active(&a).contains(&node) || gone(&a, &node), "{node} is missing at x");
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut versioned = vec![wire::VERSION];
        versioned.extend_from_slice(&bytes);
        for bytes in [&bytes, &versioned] {
            let _ = wire::decode_packet(bytes);
            let _ = wire::decode_exchange(bytes);
            let _ = swim::parse(bytes);
        }
    }

    #[test]
    fn messages_survive_their_encoding_and_no_part_of_one_is_one(
        items in proptest::collection::vec(any_item(), 0..6),
        swim_part in proptest::collection::vec(any::<u8>(), 0..20),
        digest in any::<u64>(),
        cut in 0..200usize,
    ) {
        let encoded: Vec<_> = items.iter().map(Item::encode).collect();
        let bytes = wire::encode_packet(digest, &encoded, &swim_part);
        let packet = wire::decode_packet(&bytes).expect("its own encoding");
        prop_assert_eq!((packet.digest, &packet.items, packet.swim), (digest, &items, swim_part.as_slice()));
        let _ = wire::decode_packet(&bytes[..cut.min(bytes.len())]);
        let taken = Exchange::NameTaken { by: peer("b", 2, 10), answers: true };
        let bytes = wire::encode_exchange(&taken);
        prop_assert_eq!(wire::decode_exchange(&bytes).expect("its own encoding"), taken);
        let cut = cut % bytes.len();
        prop_assert!(wire::decode_exchange(&bytes[..cut]).is_err());
    }
}
