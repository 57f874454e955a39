//! Guests whose `apply` does harm: it ends them, by their limits, and nobody else.

use crate::kit::{Bank, Setting};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::journal::MemoryJournal;
use swarm_wasm::Limits;

fn tight() -> Setting {
    Setting {
        limits: Limits {
            turn_cpu: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Setting::default()
    }
}

/// The turn fails once its event is written; the next life finds it, and is held.
async fn is_held(how: &str, why: &[&str]) {
    let journal = Arc::new(MemoryJournal::new());
    let bank = Bank::with(&journal, tight()).await;
    bank.told("/a", r#"{"deposit":5}"#).await;
    let order = format!(r#"{{"curse":"{how}"}}"#);
    let ended = bank.ask("/a", &order).await.unwrap_err().to_string();
    for text in why {
        assert!(ended.contains(text), "{how}: {ended}");
    }
    // The next life looks at its stream before it takes any message.
    let held = bank.published("/a", "held").await;
    assert!(held.contains("event 2 of stream /a"), "{how}: {held}");
    for text in why {
        assert!(held.contains(text), "{how}: {held}");
    }
    let a = bank.agent("/a");
    bank.until("held", || !a.is_alive()).await;
    assert!(a.info().restarts <= 1, "{how}: it costs one restart");
    assert!(bank.ask("/a", "\"balance\"").await.is_err(), "{how}");
    // Nobody else.
    assert_eq!(
        bank.told("/b", r#"{"deposit":1}"#).await,
        r#"{"balance":1}"#
    );
    assert_eq!(bank.balance("/native").await, 0);
    // And nothing of what was there is lost.
    assert_eq!(bank.stream("/a").len(), 2, "{how}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_never_ends_is_cut_off_and_the_agent_held() {
    let begun = Instant::now();
    is_held("loop", &["cpu"]).await;
    assert!(begun.elapsed() < Duration::from_secs(120));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_eats_memory_is_stopped_and_the_agent_held() {
    is_held("eat", &["memory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_traps_holds_the_agent() {
    is_held("trap", &["unreachable", "misbehave"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_refuses_holds_the_agent() {
    is_held("refuse", &["cursed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_asks_for_the_time_traps() {
    is_held("time", &["outside of on-message and on-timer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_traps_costs_the_agent_nothing() {
    let journal = Arc::new(MemoryJournal::new());
    let setting = Setting {
        snapshots: swarm_actors::durable::SnapshotPolicy {
            events: 3,
            ..swarm_actors::durable::SnapshotPolicy::default()
        },
        ..Setting::default()
    };
    let bank = Bank::with(&journal, setting.clone()).await;
    bank.told("/a", r#"{"curse":"shy"}"#).await;
    for balance in 1..=10 {
        let told = bank.told("/a", r#"{"deposit":1}"#).await;
        assert_eq!(told, format!(r#"{{"balance":{balance}}}"#));
    }
    assert_eq!(bank.agent("/a").incarnation().0, 1, "it went on");
    bank.close().await;
    let bank = Bank::with(&journal, setting).await;
    assert_eq!(bank.balance("/a").await, 10);
}
