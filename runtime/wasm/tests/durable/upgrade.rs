//! Other code for a durable guest that runs: it takes over from the journal, and may be taken back.

use crate::kit::{Bank, Setting, WITHIN, account_next, load, type_of};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::ActorState;
use swarm_actors::durable::SnapshotPolicy;
use swarm_actors::journal::MemoryJournal;
use swarm_protocols::Performative;
use swarm_wasm::{Limits, UpgradeError, upgrade};

async fn bank() -> Bank {
    let bank = Bank::open(&Arc::new(MemoryJournal::new())).await;
    bank.told("/a", r#"{"deposit":5}"#).await;
    bank
}

async fn version(bank: &Bank) -> u64 {
    for _ in 0..100 {
        if let Ok(answer) = bank.ask("/a", "\"version\"").await {
            let value: serde_json::Value =
                serde_json::from_slice(answer.content.as_deref().unwrap()).unwrap();
            return value["version"].as_u64().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_takes_over_with_the_state_of_the_journal_and_stays() {
    let bank = bank().await;
    assert_eq!(version(&bank).await, 1);
    let next = account_next(&Limits::default());
    let upgraded = upgrade(&bank.agent("/a"), next, 2, WITHIN).await.unwrap();
    assert_ne!(upgraded.from, upgraded.to);
    assert_eq!(version(&bank).await, 2, "the first turn of probation");
    // A life that begins on probation runs both.
    bank.agent("/a").kill();
    assert_eq!(version(&bank).await, 2, "the second");
    bank.published("/a", "upgrade-kept").await;
    let noted = bank.ask("/a", r#"{"note":"x"}"#).await.unwrap();
    assert_eq!(noted.performative, Performative::Inform);
    bank.agent("/a").kill();
    assert_eq!(version(&bank).await, 2);
    assert_eq!(bank.balance("/a").await, 5);
    assert_eq!(bank.stream("/a")[1].0, type_of("noted"));
    let b = bank.told("/b", "\"version\"").await;
    assert_eq!(b, r#"{"balance":0,"version":1}"#, "only the one");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_that_crashes_on_probation_is_taken_back_and_nothing_is_lost() {
    let bank = bank().await;
    let next = account_next(&Limits::default());
    upgrade(&bank.agent("/a"), next, 10, WITHIN).await.unwrap();
    assert_eq!(
        bank.told("/a", r#"{"deposit":2}"#).await,
        r#"{"balance":7}"#
    );
    // It traps in the new code; the old one does that turn, with what the new one has written.
    assert_eq!(bank.told("/a", "\"legacy\"").await, r#"{"balance":7}"#);
    assert_eq!(version(&bank).await, 1);
    bank.published("/a", "upgrade-rolled-back").await;
    assert_eq!(bank.agent("/a").incarnation().0, 1, "nobody heard of it");
    bank.agent("/a").kill();
    assert_eq!(bank.balance("/a").await, 7);
    assert_eq!(version(&bank).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_may_not_write_what_the_old_one_cannot_read_while_there_is_a_way_back() {
    let bank = bank().await;
    let next = account_next(&Limits::default());
    upgrade(&bank.agent("/a"), next, 10, WITHIN).await.unwrap();
    let answer = bank.ask("/a", r#"{"note":"x"}"#).await.unwrap();
    assert_eq!(answer.performative, Performative::NotUnderstood);
    let why = bank.published("/a", "upgrade-rolled-back").await;
    assert!(why.contains("noted"), "{why}");
    assert_eq!(version(&bank).await, 1);
    assert_eq!(bank.balance("/a").await, 5);
    assert_eq!(bank.stream("/a").len(), 1, "it was not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_read_the_journal_does_not_take_over() {
    let bank = bank().await;
    bank.told("/a", r#"{"deposit":666}"#).await;
    let next = account_next(&Limits::default());
    let refused = upgrade(&bank.agent("/a"), next, 10, WITHIN).await;
    let Err(UpgradeError::Restore(reason)) = refused else {
        panic!("{refused:?}");
    };
    let reason = reason.to_string();
    assert!(reason.contains("event 2 of stream /a"), "{reason}");
    assert_eq!(version(&bank).await, 1);
    assert_eq!(bank.balance("/a").await, 671);
    // Code of another world does not, either, nor does any take the place of native code.
    let limits = Limits::default();
    let tally = load("tally/tally.wasm", &limits);
    let other = upgrade(&bank.agent("/a"), tally.clone(), 1, WITHIN).await;
    assert!(matches!(other, Err(UpgradeError::Start(_))), "{other:?}");
    let native = upgrade(&bank.agent("/native"), tally, 1, WITHIN).await;
    assert!(
        matches!(native, Err(UpgradeError::NotWasm(_))),
        "{native:?}"
    );
    assert_eq!(bank.balance("/a").await, 671);
}

#[tokio::test(flavor = "multi_thread")]
async fn probation_goes_on_though_the_agent_leaves_memory() {
    let setting = Setting {
        sleep_after: Duration::from_millis(50),
        snapshots: SnapshotPolicy {
            at_rest: 1,
            ..SnapshotPolicy::default()
        },
        ..Setting::default()
    };
    let bank = Bank::with(&Arc::new(MemoryJournal::new()), setting).await;
    bank.told("/a", r#"{"deposit":5}"#).await;
    let next = account_next(&Limits::default());
    upgrade(&bank.agent("/a"), next, 10, WITHIN).await.unwrap();
    bank.told("/a", r#"{"deposit":6}"#).await;
    let a = bank.agent("/a");
    bank.until("asleep", || a.state() == ActorState::Asleep)
        .await;
    assert_eq!(version(&bank).await, 2);
    // Still on probation: what it crashes at, the old code does.
    assert_eq!(bank.told("/a", "\"legacy\"").await, r#"{"balance":11}"#);
    assert_eq!(version(&bank).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_that_cannot_apply_what_it_has_written_is_taken_back_and_no_event_counts_twice() {
    let bank = bank().await;
    let next = account_next(&Limits::default());
    upgrade(&bank.agent("/a"), next, 10, WITHIN).await.unwrap();
    let mut message = swarm_protocols::AclMessage::new(Performative::Request);
    message.content = Some(br#"{"deposits":[1,666,2,3]}"#.to_vec());
    bank.agent("/a").send_acl(message).await.unwrap();
    let why = bank.published("/a", "upgrade-rolled-back").await;
    assert!(why.contains("cannot read 666"), "{why}");
    assert_eq!(bank.balance("/a").await, 5 + 1 + 666 + 2 + 3);
    assert_eq!(version(&bank).await, 1);
    bank.agent("/a").kill();
    assert_eq!(bank.balance("/a").await, 677);
}
