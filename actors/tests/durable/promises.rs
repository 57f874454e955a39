//! One test for each promise.

use crate::account::*;
use std::time::Duration;
use swarm_actors::durable::{Command, CommandError, Done, SnapshotPolicy, state_at};
use swarm_actors::journal::{Bounds, Class, Crash, Criteria, Journal, Seq};
use swarm_actors::{ActorState, AskError};

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(start_paused = true)]
async fn state_outlives_crashes_and_the_node() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    for n in 1..=10 {
        bank.a
            .ask(Order::Deposit(n), SECOND)
            .await
            .expect("deposited");
    }
    let crashed = bank.a.ask(Order::Panic, SECOND).await;
    assert!(
        matches!(crashed, Err(CommandError::Ask(AskError::Crashed(_)))),
        "{crashed:?}"
    );
    assert_eq!(Bank::balance(&bank.a).await, 55);
    bank.a.agent().any().kill();
    assert_eq!(Bank::balance(&bank.a).await, 55);
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    assert_eq!(Bank::balance(&bank.a).await, 55);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_fails_leaves_nothing_behind() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    let order = Order::Pay {
        to: "/b".into(),
        amount: 5,
    };
    assert!(
        bank.a.ask(order, SECOND).await.is_err(),
        "there is no money"
    );
    assert_eq!(Bank::balance(&bank.a).await, 0);
    assert!(journal.head(&stream("/a")).expect("a head").is_none());
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(Bank::balance(&bank.b).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_after_the_commit() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    journal.crash_after(0, Crash::BeforeWrite);
    let answer = bank.a.ask(Order::Deposit(5), SECOND).await;
    assert!(answer.is_err(), "{answer:?}");
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    assert_eq!(Bank::balance(&bank.a).await, 0);
}

#[tokio::test(start_paused = true)]
async fn relaxed_is_answered_before_and_may_go_with_the_power() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(1), SECOND)
        .await
        .expect("deposited");
    let relaxed = Command {
        command: Order::Deposit(5),
        id: None,
        class: Class::Relaxed,
    };
    let answer = bank.a.ask_with(relaxed, SECOND).await.expect("answered");
    assert_eq!(answer, Done::Now(6));
    bank.die().await;
    let bank = Bank::open(&journal.lose_power()).await;
    assert_eq!(Bank::balance(&bank.a).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_with_an_id_takes_effect_once() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    let command = || Command {
        command: Order::Deposit(5),
        id: Some(id(1)),
        class: Class::Durable,
    };
    assert_eq!(
        bank.a.ask_with(command(), SECOND).await.expect("done"),
        Done::Now(5)
    );
    let again = bank.a.ask_with(command(), SECOND).await.expect("known");
    assert!(
        matches!(again, Done::Before(appended) if appended.first == Seq(1)),
        "{again:?}"
    );
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    assert!(matches!(
        bank.a.ask_with(command(), SECOND).await,
        Ok(Done::Before(_))
    ));
    assert_eq!(Bank::balance(&bank.a).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_applied_once_though_both_sides_crash() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(100), SECOND)
        .await
        .expect("deposited");
    for n in 0..20 {
        let order = Order::Pay {
            to: "/b".into(),
            amount: 1,
        };
        bank.a.ask(order, 100 * SECOND).await.expect("paid");
        match n % 4 {
            0 => bank.b.agent().any().kill(),
            1 => bank.a.agent().any().kill(),
            _ => {}
        }
    }
    eventually("all is credited", async || {
        Bank::balance(&bank.b).await == 20
    })
    .await;
    assert_eq!(Bank::balance(&bank.a).await, 80);
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(Bank::balance(&bank.b).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_a_receiver_that_is_not_there_yet() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(10), SECOND)
        .await
        .expect("deposited");
    let b = swarm_protocols::Name::new("b").expect("a name");
    bank.system
        .tree()
        .terminate_child(b.clone())
        .await
        .expect("stopped");
    let order = Order::Pay {
        to: "/b".into(),
        amount: 4,
    };
    bank.a.ask(order, SECOND).await.expect("paid");
    tokio::time::sleep(60 * SECOND).await;
    bank.system.tree().restart_child(b).await.expect("started");
    eventually("it is credited", async || Bank::balance(&bank.b).await == 4).await;
}

#[tokio::test(start_paused = true)]
async fn an_outbox_is_sent_after_the_node_came_back() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(10), SECOND)
        .await
        .expect("deposited");
    // b cannot write: the journal is gone right behind a's turn.
    journal.crash_after(1, Crash::BeforeWrite);
    let order = Order::Pay {
        to: "/b".into(),
        amount: 4,
    };
    bank.a.ask(order, SECOND).await.expect("paid");
    tokio::time::sleep(SECOND).await;
    bank.die().await;
    // Nobody asks a for anything: its head says that it has something to send.
    let bank = Bank::open(&journal.reopen()).await;
    eventually("it is credited", async || Bank::balance(&bank.b).await == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_after_a_restart_and_once() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    let order = Order::Later {
        ms: 60_000,
        amount: 7,
    };
    bank.a.ask(order, SECOND).await.expect("set");
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    assert_eq!(Bank::balance(&bank.a).await, 0);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(Bank::balance(&bank.a).await, 7);
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(Bank::balance(&bank.a).await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_timer_does_not_fire() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    let order = Order::Later {
        ms: 60_000,
        amount: 7,
    };
    bank.a.ask(order, SECOND).await.expect("set");
    bank.a.ask(Order::Forget, SECOND).await.expect("cancelled");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(Bank::balance(&bank.a).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_leaves_memory_and_comes_back_with_its_timer() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(3), SECOND)
        .await
        .expect("deposited");
    let order = Order::Later {
        ms: 100_000,
        amount: 7,
    };
    bank.a.ask(order, SECOND).await.expect("set");
    eventually("it sleeps", async || {
        bank.a.agent().any().state() == ActorState::Asleep
    })
    .await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let recorded = journal
        .read(&stream("/a"), Bounds::ALL)
        .expect("read")
        .events
        .len();
    assert_eq!(recorded, 2, "the timer has fired while it slept");
    assert_eq!(Bank::balance(&bank.a).await, 10);
}

#[tokio::test(start_paused = true)]
async fn poison_ends_three_lives_and_is_then_consumed() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(10), SECOND)
        .await
        .expect("deposited");
    bank.a
        .ask(Order::Poison { to: "/b".into() }, SECOND)
        .await
        .expect("sent");
    let order = Order::Pay {
        to: "/b".into(),
        amount: 4,
    };
    bank.a.ask(order, SECOND).await.expect("paid");
    eventually("what is behind it is credited", async || {
        Bank::balance(&bank.b).await == 4
    })
    .await;
    assert_eq!(bank.b.agent().any().info().restarts, 3);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_journal_holds_its_agent_and_nobody_else() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    bank.a
        .ask(Order::Deposit(1), SECOND)
        .await
        .expect("deposited");
    bank.a.ask(Order::Corrupt, SECOND).await.expect("recorded");
    bank.b
        .ask(Order::Deposit(2), SECOND)
        .await
        .expect("deposited");
    bank.die().await;
    let bank = Bank::open(&journal.reopen()).await;
    let answer = bank.a.ask(Order::Balance, SECOND).await;
    match answer {
        Err(CommandError::Ask(AskError::Crashed(reason))) => {
            let reason = reason.to_string();
            assert!(reason.contains("event 2 of stream /a"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    tokio::time::sleep(100 * SECOND).await;
    assert!(!bank.a.agent().any().is_alive(), "it is held");
    assert!(
        bank.a.agent().any().info().restarts <= 1,
        "and not tried again"
    );
    assert_eq!(Bank::balance(&bank.b).await, 2);
    // A restart by hand tries once more.
    let a = swarm_protocols::Name::new("a").expect("a name");
    bank.system.tree().restart_child(a).await.expect("started");
    assert!(bank.a.ask(Order::Balance, SECOND).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_stream_is_named_and_held() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    for _ in 0..5 {
        bank.a
            .ask(Order::Deposit(1), SECOND)
            .await
            .expect("deposited");
    }
    bank.die().await;
    assert!(journal.damage(&stream("/a"), 3));
    let bank = Bank::open(&journal.reopen()).await;
    let answer = bank
        .a
        .ask(Order::Balance, SECOND)
        .await
        .expect_err("damaged");
    assert!(
        answer.to_string().contains("stream /a from event 3 on"),
        "{answer}"
    );
    assert_eq!(Bank::balance(&bank.b).await, 0);
}

#[tokio::test(start_paused = true)]
async fn snapshots_shorten_the_replay_and_let_history_go() {
    let journal = journal();
    let policy = SnapshotPolicy {
        events: 10,
        compacts: true,
        ..SnapshotPolicy::default()
    };
    let bank = Bank::with(&journal, policy).await;
    for _ in 0..95 {
        bank.a
            .ask(Order::Deposit(1), SECOND)
            .await
            .expect("deposited");
    }
    let snapshots = journal.snapshots(&stream("/a")).expect("snapshots");
    assert_eq!(
        snapshots.iter().map(|s| s.seq.0).collect::<Vec<_>>(),
        [90, 80]
    );
    let head = journal
        .head(&stream("/a"))
        .expect("a head")
        .expect("written");
    assert_eq!(
        head.truncated,
        Seq(80),
        "only what the older snapshot replaces"
    );
    bank.die().await;
    let journal = journal.reopen();
    let bank = Bank::with(&journal, policy).await;
    assert_eq!(Bank::balance(&bank.a).await, 95);
    bank.die().await;
    // Without any snapshot the rest would be a wrong state: that is refused.
    let journal = journal.reopen();
    journal
        .delete_snapshots(&stream("/a"), Criteria::default())
        .await
        .expect("deleted");
    let bank = Bank::with(&journal, policy).await;
    let answer = bank
        .a
        .ask(Order::Balance, SECOND)
        .await
        .expect_err("refused");
    assert!(
        answer.to_string().contains("truncated up to event 80"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn any_past_state_can_be_shown() {
    let journal = journal();
    let bank = Bank::open(&journal).await;
    for n in 1..=4 {
        bank.a
            .ask(Order::Deposit(n), SECOND)
            .await
            .expect("deposited");
    }
    for (seq, balance) in [(0, 0), (1, 1), (2, 3), (3, 6), (4, 10), (9, 10)] {
        let then = state_at(&Account, &journal, &stream("/a"), Some(Seq(seq))).expect("a state");
        assert_eq!((then.seq.0, then.state), (seq.min(4), balance));
    }
    assert_eq!(
        state_at(&Account, &journal, &stream("/a"), None)
            .expect("a state")
            .state,
        10
    );
}
