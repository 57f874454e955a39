//! Links driven over pipes: cuts, restarts, verdicts, slow readers.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::{Broken, Lane, Limits, MESSAGE_BYTES_MAX, Message};
use swarm_cluster::transport::hub::Hub;
use swarm_cluster::transport::{
    DialError, Handler, Hold, Links, LinksOptions, NotOffered, PingError, Tuning,
};
use swarm_protocols::{Address, Name};
use tokio::sync::Notify;

/// Keeps what arrives.
#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    messages: Vec<(Name, Message)>,
    holds: Vec<Hold>,
    keeps_holds: bool,
    lost: usize,
    broken: usize,
    opened: usize,
}

impl Handler for Seen {
    fn message(&self, from: &NodeId, _: Lane, message: Message, hold: Hold) {
        let mut state = self.state.lock();
        state.messages.push((from.name.clone(), message));
        if state.keeps_holds {
            state.holds.push(hold);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn broken(&self, _: &Name, lane: Lane, broken: Broken) {
        let mut state = self.state.lock();
        if lane == Lane::Bulk {
            state.broken += 1;
            state.lost += broken.lost.len();
        }
        drop(state);
        self.changed.notify_one();
    }

    fn opened(&self, _: &NodeId, lane: Lane, _: u64) {
        if lane == Lane::Bulk {
            self.state.lock().opened += 1;
        }
        self.changed.notify_one();
    }
}

impl Seen {
    async fn until<T>(&self, what: &str, mut holds: impl FnMut(&mut State) -> Option<T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                if let Some(value) = holds(&mut self.state.lock()) {
                    return value;
                }
                self.changed.notified().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
    }

    async fn until_messages(&self, count: usize) {
        self.until(&format!("{count} messages"), |s| {
            (s.messages.len() >= count).then_some(())
        })
        .await;
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

struct Node {
    links: Links,
    seen: Arc<Seen>,
}

fn node(hub: &Hub, which: &str, boot: u128) -> Node {
    node_with(hub, which, boot, Tuning::default())
}

fn node_with(hub: &Hub, which: &str, boot: u128, tuning: Tuning) -> Node {
    let seen = Arc::new(Seen::default());
    let links = Links::start(LinksOptions {
        me: NodeId {
            name: name(which),
            boot: BootId(boot),
        },
        cluster: 1,
        network: Arc::new(hub.node(&name(which))),
        handler: seen.clone(),
        seed: u64::try_from(boot).expect("small"),
        tuning,
    });
    Node { links, seen }
}

fn pair(hub: &Hub) -> (Node, Node) {
    let (a, b) = (node(hub, "a", 1), node(hub, "b", 2));
    a.links.know(&name("b"), "b");
    b.links.know(&name("a"), "a");
    (a, b)
}

fn message(number: u64, bytes: usize) -> Message {
    let mut body = vec![0; bytes.max(8)];
    body[..8].copy_from_slice(&number.to_le_bytes());
    Message {
        sender: Address(1),
        receiver: Address(2),
        body: Bytes::from(body),
    }
}

/// Until the other side has taken all that was sent, and said so.
async fn settled(links: &Links) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while links.list().iter().any(|link| link.under_way_bytes > 0) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "never settled: {:?}",
            links.list()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn numbers(seen: &Seen) -> Vec<u64> {
    let state = seen.state.lock();
    state
        .messages
        .iter()
        .map(|(_, m)| u64::from_le_bytes(*m.body.first_chunk().expect("8 bytes")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_in_order_and_whole_over_connections_that_break() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    for n in 0..300u64 {
        let bytes = if n % 50 == 7 { 200_000 } else { 64 };
        a.links
            .send(&name("b"), Lane::Bulk, message(n, bytes))
            .await
            .expect("sent");
        if n % 40 == 39 {
            b.seen
                .until_messages(usize::try_from(n / 2).expect("small"))
                .await;
            hub.reset(&name("a"), &name("b"));
        }
    }
    b.seen.until_messages(300).await;
    assert_eq!(numbers(&b.seen), (0..300).collect::<Vec<_>>());
    assert_eq!(b.seen.state.lock().broken, 0);
    assert!(b.seen.state.lock().opened > 1, "it was cut on the way");
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_dial_at_once() {
    let hub = Hub::new();
    hub.set_delay(Duration::from_millis(5));
    let (a, b) = pair(&hub);
    for n in 0..20 {
        let (to_b, to_a) = (name("b"), name("a"));
        tokio::try_join!(
            a.links.send(&to_b, Lane::Bulk, message(n, 64)),
            b.links.send(&to_a, Lane::Bulk, message(n, 64))
        )
        .expect("sent");
    }
    a.seen.until_messages(20).await;
    b.seen.until_messages(20).await;
    assert_eq!(numbers(&a.seen), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&b.seen), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_bounds_its_sender_and_nobody_else() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    b.seen.state.lock().keeps_holds = true;
    let mut taken = 0;
    while a
        .links
        .offer(&name("b"), Lane::Bulk, message(taken, 1000), None)
        .is_ok()
    {
        taken += 1;
    }
    let bound = u64::from(Limits::default().receiver_bytes) / 1064;
    assert_eq!(taken, bound, "exactly as many as the bound has room for");
    b.seen
        .until_messages(usize::try_from(taken).expect("small"))
        .await;
    assert!(matches!(
        a.links
            .offer(&name("b"), Lane::Bulk, message(0, 1000), None),
        Err(NotOffered::Full(_))
    ));
    let to_other = Message {
        receiver: Address(3),
        ..message(7, 1000)
    };
    a.links
        .send(&name("b"), Lane::Bulk, to_other)
        .await
        .expect("another receiver has room");
    // Room comes back with what is taken.
    let one = {
        let mut state = b.seen.state.lock();
        state.keeps_holds = false;
        state.holds.remove(0)
    };
    drop(one);
    a.links
        .send(&name("b"), Lane::Bulk, message(8, 1000))
        .await
        .expect("room again");
}

#[tokio::test(start_paused = true)]
async fn after_a_verdict_nothing_of_before_arrives_and_both_sides_are_told_once() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    a.links
        .send(&name("b"), Lane::Bulk, message(0, 64))
        .await
        .expect("sent");
    settled(&a.links).await;
    hub.cut(&name("a"), &name("b"));
    for n in 1..5 {
        a.links
            .send(&name("b"), Lane::Bulk, message(n, 64))
            .await
            .expect("taken over");
    }
    a.links.down(&name("b"), Some(BootId(2)));
    let lost = a
        .seen
        .until("broken at a", |s| (s.broken == 1).then_some(s.lost))
        .await;
    assert_eq!(lost, 4);
    hub.heal(&name("a"), &name("b"));
    assert!(
        matches!(
            a.links.offer(&name("b"), Lane::Bulk, message(8, 64), None),
            Err(NotOffered::NoPeer(_))
        ),
        "nothing is taken over for a node that is down"
    );
    a.links.know(&name("b"), "b");
    a.links
        .send(&name("b"), Lane::Bulk, message(9, 64))
        .await
        .expect("taken over");
    b.seen.until_messages(2).await;
    assert_eq!(numbers(&b.seen), [0, 9]);
    assert_eq!(b.seen.state.lock().broken, 1);
    assert_eq!(a.seen.state.lock().broken, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_after_verdicts_on_both_sides_waits_until_they_have_met_and_arrives() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    for (from, to) in [(&a, "b"), (&b, "a")] {
        let sent = from.links.send(&name(to), Lane::Bulk, message(0, 64)).await;
        sent.expect("taken over");
        settled(&from.links).await;
    }
    hub.cut(&name("a"), &name("b"));
    a.links.down(&name("b"), Some(BootId(2)));
    b.links.down(&name("a"), Some(BootId(1)));
    for node in [&a, &b] {
        let told = |state: &mut State| (state.broken == 1).then_some(());
        node.seen.until("broken", told).await;
    }
    a.links.know(&name("b"), "b");
    b.links.know(&name("a"), "a");
    let offered = a.links.offer(&name("b"), Lane::Bulk, message(8, 64), None);
    assert!(matches!(offered, Err(NotOffered::Full(_))), "not yet");
    let sending = [(&a, "b"), (&b, "a")].map(|(from, to)| {
        let links = from.links.clone();
        tokio::spawn(async move {
            for n in 1..20 {
                let sent = links.send(&name(to), Lane::Bulk, message(n, 64)).await;
                sent.expect("taken over");
            }
        })
    });
    // Both have tried.
    tokio::time::sleep(Duration::from_secs(5)).await;
    hub.heal(&name("a"), &name("b"));
    for sent in sending {
        sent.await.expect("no panic");
    }
    for node in [&a, &b] {
        node.seen.until_messages(20).await;
        assert_eq!(numbers(&node.seen), (0..20).collect::<Vec<_>>());
        assert_eq!(node.seen.state.lock().lost, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_released_while_there_is_no_connection_makes_room_all_the_same() {
    let hub = Hub::new();
    let tuning = Tuning {
        limits: Limits {
            receiver_messages: 4,
            ..Limits::default()
        },
        ..Tuning::default()
    };
    let a = node_with(&hub, "a", 1, tuning.clone());
    let b = node_with(&hub, "b", 2, tuning);
    a.links.know(&name("b"), "b");
    b.links.know(&name("a"), "a");
    b.seen.state.lock().keeps_holds = true;
    for n in 0..4 {
        let sent = a.links.send(&name("b"), Lane::Bulk, message(n, 64)).await;
        sent.expect("taken over");
    }
    b.seen.until_messages(4).await;
    let links = a.links.clone();
    let waiting = tokio::spawn(async move {
        let sent = links.send(&name("b"), Lane::Bulk, message(4, 64)).await;
        sent.expect("taken over");
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.cut(&name("a"), &name("b"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let holds = std::mem::take(&mut b.seen.state.lock().holds);
    drop(holds);
    hub.heal(&name("a"), &name("b"));
    b.seen.until_messages(5).await;
    waiting.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_about_another_process_changes_nothing() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    a.links
        .send(&name("b"), Lane::Bulk, message(0, 64))
        .await
        .expect("sent");
    b.seen.until_messages(1).await;
    a.links.down(&name("b"), Some(BootId(77)));
    a.links
        .send(&name("b"), Lane::Bulk, message(1, 64))
        .await
        .expect("sent");
    b.seen.until_messages(2).await;
    assert_eq!(a.seen.state.lock().broken, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_peer_begins_anew_and_gets_nothing_that_was_for_the_one_before() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    a.links
        .send(&name("b"), Lane::Bulk, message(0, 64))
        .await
        .expect("sent");
    settled(&a.links).await;
    b.links.close();
    hub.remove(&name("b"));
    a.links
        .send(&name("b"), Lane::Bulk, message(1, 64))
        .await
        .expect("taken over");
    let b = node(&hub, "b", 3);
    b.links.know(&name("a"), "a");
    let lost = a
        .seen
        .until("broken at a", |s| (s.broken == 1).then_some(s.lost))
        .await;
    assert_eq!(lost, 1);
    a.links
        .send(&name("b"), Lane::Bulk, message(2, 64))
        .await
        .expect("sent");
    b.seen.until_messages(1).await;
    assert_eq!(numbers(&b.seen), [2]);
    assert_eq!(b.seen.state.lock().broken, 0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_and_says_why_when_not() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    let within = Duration::from_secs(2);
    assert!(a.links.ping(&name("b"), within).await.is_ok());
    assert_eq!(
        a.links.ping(&name("c"), within).await,
        Err(PingError::NoPeer)
    );
    hub.remove(&name("b"));
    b.links.close();
    let error = loop {
        // The connection's end may come first.
        match a.links.ping(&name("b"), within).await {
            Err(PingError::Closed) => {}
            other => break other,
        }
    };
    assert!(
        matches!(error, Err(PingError::Dial(DialError::Refused { .. }))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_another_connection() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    a.links
        .send(&name("b"), Lane::Bulk, message(0, 64))
        .await
        .expect("sent");
    b.seen.until_messages(1).await;
    // What is written from now on takes an hour: the connection is as good as dead, and nobody says so.
    hub.set_delay(Duration::from_secs(3600));
    hub.reset(&name("a"), &name("b"));
    a.links
        .send(&name("b"), Lane::Bulk, message(1, 64))
        .await
        .expect("taken over");
    hub.set_delay(Duration::ZERO);
    b.seen.until_messages(2).await;
    assert_eq!(numbers(&b.seen), [0, 1]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_is_just_not_arrives() {
    let hub = Hub::new();
    let (a, b) = pair(&hub);
    assert!(matches!(
        a.links
            .send(&name("b"), Lane::Bulk, message(0, MESSAGE_BYTES_MAX + 1))
            .await,
        Err(NotOffered::TooLarge(_))
    ));
    a.links
        .send(&name("b"), Lane::Bulk, message(0, MESSAGE_BYTES_MAX))
        .await
        .expect("sent");
    b.seen.until_messages(1).await;
    assert_eq!(
        b.seen.state.lock().messages[0].1.body.len(),
        MESSAGE_BYTES_MAX
    );
}
