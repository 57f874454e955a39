//! Changing an agent's code while it runs.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, host, order, word_count};
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit, Performative};
use swarm_wasm::{Class, Component, Grants, Limits, UpgradeError, Upgraded, upgrade};

/// The same component; what counts is that its state was handed over.
fn next(limits: &Limits) -> Component {
    host()
        .load_file(&word_count(), Class::Default, &Grants::all(), limits)
        .unwrap()
}

async fn upgraded(guests: &Guests, probation: u32) -> Result<Upgraded, UpgradeError> {
    let next = next(&Limits::default());
    upgrade(&guests.agent(), next, probation, Duration::from_secs(60)).await
}

async fn seen(guests: &Guests) -> String {
    let answer = guests.ask(order("seen", "")).await;
    answer.text().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_mailbox_and_life_outlive_an_upgrade() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    for _ in 0..3 {
        guests.counts_words().await;
    }
    let agent = guests.agent();
    // Orders that wait while the code is changed.
    agent.pause();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let agent = agent.clone();
            tokio::spawn(async move {
                let within = Duration::from_secs(60);
                agent.ask_acl(order("word-count", "a"), within).await
            })
        })
        .collect();
    guests.until(|| agent.mailbox_depth() == 20).await;
    agent.resume();
    let done = upgraded(&guests, 10).await.unwrap();
    assert_eq!((done.state_version, done.state_bytes), (1, 8));
    for answer in waiting {
        assert_eq!(
            answer.await.unwrap().unwrap().performative,
            Performative::Inform
        );
    }
    assert_eq!(seen(&guests).await, "24");
    assert_eq!(guests.agent().incarnation().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_that_fails_on_probation_gives_way_to_the_old_with_its_state() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    guests.counts_words().await;
    upgraded(&guests, 3).await.unwrap();
    assert_eq!(seen(&guests).await, "2");
    // The second turn of the new code traps; the old code does it again, and traps too: that is a crash.
    let down = guests.agent().monitor();
    guests.agent().send_acl(order("trap", "")).await.unwrap();
    assert!(matches!(down.await.unwrap().reason, ExitReason::Panic(_)));
    let events = guests.system.events().latest(50);
    let names: Vec<String> = events
        .iter()
        .map(|event| format!("{:?}", event.what))
        .collect();
    assert!(
        names
            .iter()
            .any(|name| name.contains("upgrade-rolled-back")),
        "{names:?}"
    );
    // The next life begins anew, with the old code.
    assert_eq!(seen(&guests).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_does_not_start_leaves_the_old_code_in_place() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    guests.counts_words().await;
    // Compiled to count fuel, of which this agent's limits give it none.
    let metered = Limits {
        turn_fuel: Some(1),
        ..Limits::default()
    };
    let within = Duration::from_secs(60);
    let refused = upgrade(&guests.agent(), next(&metered), 1, within).await;
    let expected = UpgradeError::Start(ExitReason::Limit(Limit::Cpu));
    assert_eq!(refused, Err(expected));
    assert_eq!(seen(&guests).await, "2");
    assert_eq!(guests.agent().incarnation().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_is_kept_over_a_crash_once_its_probation_is_over() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    upgraded(&guests, 1).await.unwrap();
    guests.counts_words().await;
    let kept = |guests: &Guests| {
        let events = guests.system.events().latest(50);
        events
            .iter()
            .any(|event| format!("{:?}", event.what).contains("upgrade-kept"))
    };
    guests.until(|| kept(&guests)).await;
    guests.agent().kill();
    guests.counts_words().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_wasm_is_not_upgraded() {
    let system = swarm_actors::testkit::TestSystem::start().await;
    let probe = swarm_actors::testkit::Probe::<Nothing>::start(&system).await;
    let agent = probe.agent().any();
    let next = next(&Limits::default());
    let refused = upgrade(&agent, next, 0, Duration::from_secs(5)).await;
    assert!(
        matches!(refused, Err(UpgradeError::NotWasm(_))),
        "{refused:?}"
    );
}

struct Nothing;

impl swarm_actors::Message for Nothing {}
