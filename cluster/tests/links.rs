//! Two links over a wire that cuts, delays and truncates.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::{Decoder, Frame, Heard, Lane, Limits, Link, Message, Refused};
use swarm_protocols::{Address, Name};

const LIMITS: Limits = Limits {
    link_bytes: 1 << 20,
    receiver_bytes: 1 << 18,
    receiver_messages: 20,
    flight_bytes: 1 << 17,
};

/// What a message was, and in which epoch its sender accepted it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    pair: (u128, u128),
    number: u64,
    /// The sender's boot, its epoch and the peer's as it knew them.
    epoch: (u128, u32, u32),
    receiver_boot: Option<BootId>,
}

struct Side {
    link: Link,
    name: Name,
    boot: u128,
    epochs: (u32, u32),
    numbers: BTreeMap<(u128, u128), u64>,
    sent: Vec<Sent>,
    lost: Vec<u64>,
    /// Of the other side's messages, by its index in `sent`.
    got: Vec<usize>,
    held: VecDeque<((BootId, u32, u32), Message)>,
    decoder: Decoder,
    wire: VecDeque<u8>,
}

impl Side {
    fn new(name: &str, peer: &str, boot: u128) -> Self {
        let name = Name::new(name).expect("valid");
        let me = NodeId {
            name: name.clone(),
            boot: BootId(boot),
        };
        Self {
            link: Link::new(me, 7, Name::new(peer).expect("valid"), Lane::Bulk, LIMITS),
            name,
            boot,
            epochs: (1, 1),
            numbers: BTreeMap::new(),
            sent: Vec::new(),
            lost: Vec::new(),
            got: Vec::new(),
            held: VecDeque::new(),
            decoder: Decoder::default(),
            wire: VecDeque::new(),
        }
    }

    fn note_epochs(&mut self) {
        let hello = self.link.hello();
        self.epochs = (hello.epoch, hello.peer_epoch);
    }

    /// The body begins with the message's index in `sent`.
    fn offer(&mut self, sender: u128, receiver: u128, bytes: usize) {
        let mut body = vec![0; bytes.max(8)];
        body[..8].copy_from_slice(&(self.sent.len() as u64).to_le_bytes());
        let message = Message {
            sender: Address(sender),
            receiver: Address(receiver),
            body: Bytes::from(body),
        };
        match self.link.offer(message) {
            Ok(()) => {
                let pair = (sender, receiver);
                let number = self.numbers.entry(pair).or_default();
                *number += 1;
                self.sent.push(Sent {
                    pair,
                    number: *number,
                    epoch: (self.boot, self.epochs.0, self.epochs.1),
                    receiver_boot: self.link.peer_boot(),
                });
            }
            Err(Refused::Full(_)) => {}
            Err(Refused::TooLarge(_)) => panic!("the test sends nothing too large"),
        }
    }

    fn lose(&mut self, messages: Vec<Message>) {
        self.lost.extend(messages.iter().map(|m| index(m) as u64));
    }
}

fn index(message: &Message) -> usize {
    let bytes = message.body.first_chunk::<8>().expect("long enough");
    usize::try_from(u64::from_le_bytes(*bytes)).expect("small")
}

struct World {
    sides: [Side; 2],
    is_connected: bool,
    now: Duration,
    boots: u128,
}

impl World {
    fn new() -> Self {
        Self {
            sides: [Side::new("a", "b", 1), Side::new("b", "a", 2)],
            is_connected: false,
            now: Duration::ZERO,
            boots: 2,
        }
    }

    fn cut(&mut self) {
        self.is_connected = false;
        for side in &mut self.sides {
            side.link.closed();
            side.wire.clear();
            side.decoder = Decoder::default();
        }
    }

    /// `dialler` dials. The acceptor's hello may get lost.
    fn connect(&mut self, dialler: usize, answer_is_lost: bool) {
        self.cut();
        let hello = self.sides[dialler].link.hello();
        let acceptor = &mut self.sides[1 - dialler];
        let opened = acceptor.link.opened(&hello).expect("accepted");
        if let Some(broken) = opened.broken {
            acceptor.held.clear();
            acceptor.lose(broken.lost);
        }
        acceptor.note_epochs();
        let answer = acceptor.link.hello();
        if answer_is_lost {
            self.cut();
            return;
        }
        let side = &mut self.sides[dialler];
        let opened = side.link.opened(&answer).expect("accepted");
        if let Some(broken) = opened.broken {
            side.held.clear();
            side.lose(broken.lost);
        }
        side.note_epochs();
        assert!(opened.is_agreed, "the acceptor has heard of everything");
        self.is_connected = true;
    }

    fn down(&mut self, which: usize) {
        self.cut();
        let side = &mut self.sides[which];
        let broken = side.link.down(None).expect("whoever it is");
        side.held.clear();
        side.lose(broken.lost);
        side.note_epochs();
    }

    fn restart(&mut self, which: usize) {
        self.cut();
        self.boots += 1;
        let old = &self.sides[which];
        let peer = self.sides[1 - which].name.clone();
        let mut fresh = Side::new(old.name.as_str(), peer.as_str(), self.boots);
        // Numbers go on, so that order can be checked over the restart.
        fresh.numbers.clone_from(&old.numbers);
        fresh.sent.clone_from(&old.sent);
        fresh.lost = (0..old.sent.len() as u64).collect();
        fresh.got.clone_from(&old.got);
        self.sides[which] = fresh;
    }

    /// Moves up to `bytes` in each direction.
    fn pump(&mut self, bytes: usize) {
        self.now += Duration::from_millis(4);
        if !self.is_connected {
            return;
        }
        for from in [0, 1] {
            let mut out = BytesMut::new();
            while out.len() < 1 << 18 && self.sides[from].link.write(self.now, &mut out) {}
            self.sides[from].wire.extend(out);
            let n = self.sides[from].wire.len().min(bytes);
            let moved: Vec<u8> = self.sides[from].wire.drain(..n).collect();
            let (head, tail) = self.sides.split_at_mut(1);
            let (sender, receiver) = if from == 0 {
                (&head[0], &mut tail[0])
            } else {
                (&tail[0], &mut head[0])
            };
            receiver.decoder.buffer().extend_from_slice(&moved);
            while let Some(frame) = receiver.decoder.frame().expect("frames") {
                receive(sender, receiver, frame, self.now);
            }
        }
    }

    fn take(&mut self, which: usize, n: usize) {
        let side = &mut self.sides[which];
        for _ in 0..n {
            let Some((epoch, message)) = side.held.pop_front() else {
                return;
            };
            let weight = u32::try_from(message.weight()).expect("small");
            side.link.release(epoch, message.receiver, 1, weight);
        }
    }

    /// Until nothing moves any more.
    fn settle(&mut self) {
        if !self.is_connected {
            self.connect(0, false);
        }
        for _ in 0..2000 {
            self.pump(1 << 20);
            self.take(0, 1000);
            self.take(1, 1000);
            let idle = self
                .sides
                .iter()
                .all(|s| s.link.under_way_bytes() == 0 && s.wire.is_empty());
            if idle {
                return;
            }
        }
        panic!("the link does not come to rest");
    }
}

fn receive(sender: &Side, receiver: &mut Side, frame: Frame, now: Duration) {
    let Heard::Message(message) = receiver.link.handle(frame, now).expect("no violation") else {
        return;
    };
    let at = index(&message);
    let sent = &sender.sent[at];
    assert_eq!(
        sent.pair,
        (message.sender.0, message.receiver.0),
        "whole messages arrive"
    );
    let is_of_this_epoch = sent.epoch == (sender.boot, receiver.epochs.1, receiver.epochs.0);
    // Taken over after a verdict, before there was a connection: it is for whichever process comes next, with which all begins at 1.
    let is_for_who_comes_next =
        sent.receiver_boot.is_none() && sent.epoch.0 == sender.boot && receiver.epochs == (1, 1);
    assert!(
        is_of_this_epoch || is_for_who_comes_next,
        "nothing of an epoch that is over arrives: {sent:?}"
    );
    assert!(
        sent.receiver_boot
            .is_none_or(|boot| boot == BootId(receiver.boot)),
        "nothing arrives that was meant for the process before"
    );
    receiver.got.push(at);
    let epoch = receiver.link.epoch().expect("met");
    receiver.held.push_back((epoch, message));
    let held: usize = receiver.held.iter().map(|(_, m)| m.weight()).sum();
    assert!(held <= LIMITS.link_bytes as usize, "the bound is exact");
}

fn invariant_each_once_and_in_order_per_pair(sender: &Side, receiver: &Side) {
    let mut last: BTreeMap<(u128, u128), u64> = BTreeMap::new();
    for at in &receiver.got {
        let sent = &sender.sent[*at];
        let before = last.insert(sent.pair, sent.number);
        assert!(before < Some(sent.number), "{:?} after {before:?}", sent);
    }
}

fn invariant_nothing_is_silently_lost(sender: &Side, receiver: &Side) {
    for at in 0..sender.sent.len() {
        assert!(
            receiver.got.contains(&at) || sender.lost.contains(&(at as u64)),
            "message {at} vanished"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(usize, u128, u128, usize),
    Pump(usize),
    Take(usize, usize),
    Cut,
    Connect(usize, bool),
    Down(usize),
    Restart(usize),
}

fn step(with_ends: bool) -> BoxedStrategy<Step> {
    let sizes = prop_oneof![5 => 8usize..200, 1 => 60_000usize..200_000];
    let calm = prop_oneof![
        8 => (0usize..2, 0u128..3, 1u128..4, sizes).prop_map(|(w, s, r, b)| Step::Offer(w, s, r, b)),
        6 => (1usize..100_000).prop_map(Step::Pump),
        4 => (0usize..2, 1usize..9).prop_map(|(w, n)| Step::Take(w, n)),
        1 => Just(Step::Cut),
        2 => (0usize..2, any::<bool>()).prop_map(|(w, l)| Step::Connect(w, l)),
    ];
    if with_ends {
        prop_oneof![20 => calm, 1 => (0usize..2).prop_map(Step::Down), 1 => (0usize..2).prop_map(Step::Restart)]
            .boxed()
    } else {
        calm.boxed()
    }
}

fn run(steps: Vec<Step>) -> World {
    let mut world = World::new();
    for step in steps {
        match step {
            Step::Offer(which, sender, receiver, bytes) => {
                world.sides[which].offer(sender, receiver, bytes);
            }
            Step::Pump(bytes) => world.pump(bytes),
            Step::Take(which, n) => world.take(which, n),
            Step::Cut => world.cut(),
            Step::Connect(which, lost) => world.connect(which, lost),
            Step::Down(which) => world.down(which),
            Step::Restart(which) => world.restart(which),
        }
    }
    world.settle();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_wire_that_cuts_and_truncates_loses_doubles_and_reorders_nothing(
        steps in proptest::collection::vec(step(false), 1..120),
    ) {
        let world = run(steps);
        let [a, b] = &world.sides;
        for (sender, receiver) in [(a, b), (b, a)] {
            invariant_each_once_and_in_order_per_pair(sender, receiver);
            prop_assert_eq!(receiver.got.len(), sender.sent.len());
            prop_assert!(sender.lost.is_empty());
        }
    }

    #[test]
    fn a_verdict_or_a_restart_ends_the_epoch_and_everything_in_it(
        steps in proptest::collection::vec(step(true), 1..160),
    ) {
        let world = run(steps);
        let [a, b] = &world.sides;
        for (sender, receiver) in [(a, b), (b, a)] {
            invariant_each_once_and_in_order_per_pair(sender, receiver);
            invariant_nothing_is_silently_lost(sender, receiver);
        }
    }
}

#[test]
fn what_is_sent_after_a_verdict_reaches_the_process_that_comes_next() {
    let (mut a, b) = (Side::new("a", "b", 1), Side::new("b", "a", 2));
    a.link.opened(&b.link.hello()).expect("fits");
    a.offer(1, 2, 8);
    let broken = a.link.down(Some(BootId(2))).expect("it is that process");
    assert_eq!(broken.lost.len(), 1, "what was sent before is lost");
    // A process that has the name now is known before there is a connection to it.
    a.offer(1, 2, 8);
    let mut next = Side::new("b", "a", 3);
    let mine = a.link.hello();
    let opened = a.link.opened(&next.link.hello()).expect("fits");
    assert_eq!((opened.broken, opened.is_agreed), (None, true));
    next.link.opened(&mine).expect("fits");
    assert_eq!(arrived(&mut a, &mut next), 1);
}

#[test]
fn a_verdict_on_a_process_that_was_never_met_costs_the_next_one_nothing() {
    for dialled_by_next in [false, true] {
        let mut a = Side::new("a", "b", 1);
        a.link
            .down(Some(BootId(2)))
            .expect("it may be that process");
        let mut next = Side::new("b", "a", 3);
        next.offer(1, 2, 8);
        a.offer(3, 4, 8);
        let (first, second) = match dialled_by_next {
            true => (&mut next, &mut a),
            false => (&mut a, &mut next),
        };
        let hello = first.link.hello();
        let opened = second.link.opened(&hello).expect("fits");
        assert_eq!(opened.broken, None);
        let opened = first.link.opened(&second.link.hello()).expect("fits");
        assert_eq!((opened.broken, opened.is_agreed), (None, true));
        assert_eq!(arrived(first, second), 1);
        assert_eq!(arrived(second, first), 1);
    }
}

/// The next frame that is due, as it looks after the wire.
fn next(link: &mut Link, now: Duration) -> Option<Frame> {
    let mut decoder = Decoder::default();
    if !link.write(now, decoder.buffer()) {
        return None;
    }
    decoder.frame().expect("a frame")
}

/// How many messages get from one side to the other.
fn arrived(from: &mut Side, to: &mut Side) -> usize {
    let mut arrived = 0;
    while let Some(frame) = next(&mut from.link, Duration::ZERO) {
        let heard = to.link.handle(frame, Duration::ZERO).expect("no violation");
        arrived += usize::from(matches!(heard, Heard::Message(_)));
    }
    arrived
}

/// Two links that have met, without a wire between them: frames are handed over.
fn met(limits: Limits) -> [Link; 2] {
    let link = |name: &str, peer: &str, boot: u128| {
        let me = NodeId {
            name: Name::new(name).expect("valid"),
            boot: BootId(boot),
        };
        let peer = Name::new(peer).expect("valid");
        Link::new(me, 7, peer, Lane::Bulk, limits)
    };
    let mut links = [link("a", "b", 1), link("b", "a", 2)];
    let hello = links[0].hello();
    links[1].opened(&hello).expect("fits");
    let answer = links[1].hello();
    links[0].opened(&answer).expect("fits");
    links
}

/// Hands all frames over that are due; the messages that came, and whether there was word of room.
fn hand_over(links: &mut [Link; 2], from: usize, now: Duration) -> (Vec<Message>, bool) {
    let (mut messages, mut room) = (Vec::new(), false);
    while let Some(frame) = next(&mut links[from], now) {
        match links[1 - from].handle(frame, now).expect("no violation") {
            Heard::Message(message) => messages.push(message),
            Heard::Room => room = true,
            _ => {}
        }
    }
    (messages, room)
}

#[test]
fn a_sender_without_room_is_told_of_much_at_once_and_of_little_soon() {
    const MESSAGES: u32 = 800;
    let mut links = met(Limits {
        receiver_messages: MESSAGES,
        ..Limits::default()
    });
    let message = Message {
        sender: Address(1),
        receiver: Address(2),
        body: Bytes::from_static(b"text"),
    };
    for _ in 0..MESSAGES {
        links[0].offer(message.clone()).expect("room");
    }
    assert!(links[0].offer(message.clone()).is_err(), "no room");
    let now = Duration::from_secs(1);
    let (came, _) = hand_over(&mut links, 0, now);
    assert_eq!(came.len(), MESSAGES as usize);
    drop(hand_over(&mut links, 1, now));
    let epoch = links[1].epoch().expect("met");
    let weight = u32::try_from(message.weight()).expect("small");
    let take = |links: &mut [Link; 2], count: u32| {
        for _ in 0..count {
            links[1].release(epoch, Address(2), 1, weight);
        }
    };

    // Little: it waits, and a timer is set for it.
    take(&mut links, 1);
    assert!(!links[1].is_release_timed(), "the timer is to be set");
    assert!(!hand_over(&mut links, 1, now).1, "not for one");
    assert!(links[1].is_release_timed(), "it is set");
    let due = links[1].deadline().expect("a timer");
    assert!(due > now && due <= now + Duration::from_millis(50));
    assert!(
        hand_over(&mut links, 1, due).1,
        "for one, when it has waited"
    );
    links[0].offer(message.clone()).expect("room for one");
    assert!(links[0].offer(message.clone()).is_err(), "and for no more");

    // Much: at once, though nothing is due by the clock.
    drop(hand_over(&mut links, 0, due));
    take(&mut links, MESSAGES / 8);
    assert!(hand_over(&mut links, 1, due).1);
    for _ in 0..MESSAGES / 8 {
        links[0]
            .offer(message.clone())
            .expect("room for all of them");
    }
}
