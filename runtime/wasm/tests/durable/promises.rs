//! What a durable guest is promised.

use crate::kit::{Bank, Setting, type_of};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::ActorState;
use swarm_actors::durable::{SnapshotPolicy, state_at};
use swarm_actors::journal::{Criteria, Journal, MemoryJournal, Seq, StreamName};
use swarm_wasm::durable::{DurableGuest, DurablePlan};

fn journal() -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_and_the_node() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    assert_eq!(
        bank.told("/a", r#"{"deposit":5}"#).await,
        r#"{"balance":5}"#
    );
    bank.agent("/a").kill();
    assert_eq!(bank.balance("/a").await, 5);
    assert_eq!(
        bank.told("/a", r#"{"withdraw":2}"#).await,
        r#"{"balance":3}"#
    );
    bank.close().await;
    let bank = Bank::open(&journal).await;
    assert_eq!(bank.balance("/a").await, 3);
    let expected = [
        (type_of("deposited"), 1, r#"{"amount":5}"#.to_owned()),
        (type_of("withdrawn"), 1, r#"{"amount":2}"#.to_owned()),
    ];
    assert_eq!(bank.stream("/a"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_in_a_turn_is_a_crash_that_leaves_nothing_behind() {
    let bank = Bank::open(&journal()).await;
    bank.told("/a", r#"{"deposit":5}"#).await;
    let ended = bank.ask("/a", "\"trap\"").await.unwrap_err().to_string();
    assert!(ended.contains("panic"), "{ended}");
    assert_eq!(bank.balance("/a").await, 5);
    assert_eq!(bank.stream("/a").len(), 1);
    assert_eq!(bank.agent("/a").incarnation().0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_guest_leaves_memory_is_saved_and_comes_back() {
    let setting = Setting {
        sleep_after: Duration::from_millis(50),
        snapshots: SnapshotPolicy {
            at_rest: 2,
            ..SnapshotPolicy::default()
        },
        ..Setting::default()
    };
    let journal = journal();
    let bank = Bank::with(&journal, setting).await;
    bank.told("/a", r#"{"deposit":5}"#).await;
    bank.told("/a", r#"{"deposit":6}"#).await;
    let a = bank.agent("/a");
    bank.until("asleep", || a.state() == ActorState::Asleep)
        .await;
    let stream = StreamName::new("/a").unwrap();
    let saved = || journal.load_snapshot(&stream, Criteria::up_to(Seq(u64::MAX)));
    bank.until("saved", || saved().unwrap().is_some()).await;
    assert_eq!(saved().unwrap().unwrap().meta.seq, Seq(2));
    assert_eq!(bank.balance("/a").await, 11);
    assert_eq!(a.incarnation().0, 1, "it was not started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_shorten_the_replay_and_let_history_go() {
    let setting = Setting {
        snapshots: SnapshotPolicy {
            events: 10,
            compacts: true,
            ..SnapshotPolicy::default()
        },
        ..Setting::default()
    };
    let journal = journal();
    let bank = Bank::with(&journal, setting.clone()).await;
    for _ in 0..35 {
        bank.told("/a", r#"{"deposit":1}"#).await;
    }
    bank.close().await;
    let bank = Bank::with(&journal, setting).await;
    assert_eq!(bank.balance("/a").await, 35);
    let first = journal
        .head(&StreamName::new("/a").unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(first.truncated, Seq(20), "two snapshots replace these");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_is_in_the_journal_and_fires_once_after_a_restart() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.told("/a", r#"{"later":{"amount":7,"milliseconds":300}}"#)
        .await;
    bank.agent("/a").kill();
    bank.close().await;
    let bank = Bank::open(&journal).await;
    bank.until("fired", || bank.stream("/a").len() == 1).await;
    assert_eq!(bank.balance("/a").await, 7);
    bank.agent("/a").kill();
    assert_eq!(bank.balance("/a").await, 7);
    assert_eq!(bank.stream("/a").len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_past_state_is_told_by_the_component() {
    let bank = Bank::open(&journal()).await;
    for amount in [5, 6, 7] {
        bank.told("/a", &format!(r#"{{"deposit":{amount}}}"#)).await;
    }
    let limits = swarm_wasm::Limits::default();
    let plan = DurablePlan::of_the_past(
        crate::kit::account(&limits),
        "{}".to_owned(),
        crate::kit::grants(),
        limits,
    );
    let guest = DurableGuest::new(plan);
    let stream = StreamName::new("/a").unwrap();
    for (seq, balance) in [(0, 0), (1, 5), (2, 11), (3, 18)] {
        let mut then = state_at(&guest, &*bank.journal, &stream, Some(Seq(seq))).unwrap();
        let state = guest.encoded(&mut then.state).await.unwrap();
        let expected = format!(r#"{{"balance":{balance},"events":{seq}}}"#);
        assert_eq!(String::from_utf8(state.bytes).unwrap(), expected);
        assert_eq!((state.version, then.seq), (1, Seq(seq)));
    }
}

/// Money goes round between guests and native accounts while all of them are killed: none is lost, none is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_applied_once_though_both_sides_crash() {
    let journal = journal();
    let mut bank = Bank::open(&journal).await;
    let paths = ["/a", "/b", "/native", "/sink"];
    for path in paths {
        bank.told(path, r#"{"deposit":1000}"#).await;
    }
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..120 {
        let from = random.usize(0..4);
        let to = (from + random.usize(1..4)) % 4;
        let order = format!(
            r#"{{"pay":{{"to":"{}","amount":{}}}}}"#,
            paths[to],
            random.u64(1..50)
        );
        // An answer may be lost with a life; the payment is not lost with it.
        drop(bank.ask(paths[from], &order).await);
        if random.u8(0..4) == 0 {
            bank.agent(paths[random.usize(0..4)]).kill();
        }
        if step % 40 == 39 {
            bank.close().await;
            bank = Bank::open(&journal).await;
        }
    }
    let mut total = 0;
    for _ in 0..600 {
        total = 0;
        for path in paths {
            total += bank.balance(path).await;
        }
        if total == 4000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(total, 4000);
    let count = |kind: &str| {
        let streams = paths.iter().map(|path| bank.stream(path));
        let of = |events: Vec<(u32, u16, String)>| {
            let those = events.iter().filter(|event| event.0 == type_of(kind));
            those.count()
        };
        streams.map(of).sum::<usize>()
    };
    assert!(count("paid") > 20, "{}", count("paid"));
    assert_eq!(count("paid"), count("credited"));
}
