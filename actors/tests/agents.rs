//! One agent under a real supervisor.

mod kit;

use kit::*;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::*;
use swarm_protocols::{ExitReason, Incarnation};

#[tokio::test(start_paused = true)]
async fn a_message_is_handled_and_answered() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.send(Count::Add(2)).await.expect("taken");
    a.send(Count::Add(3)).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_address_and_queued_messages_are_still_there_and_the_state_is_new() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let before = a.any().pid();
    a.any().pause();
    a.send(Count::Add(1)).await.expect("taken");
    a.send(Count::Panic).await.expect("taken");
    a.send(Count::Add(7)).await.expect("taken");
    a.any().resume();
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(7));
    let after = a.any().pid();
    assert_eq!(after.address, before.address);
    assert_eq!(after.incarnation, Incarnation(2));
    assert_eq!(a.any().info().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn the_message_in_whose_turn_an_agent_crashed_is_a_dead_letter_and_the_crash_is_reported() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.send(Count::Add(1)).await.expect("taken");
    a.send(Count::Panic).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    let letters = world.system.dead_letters().list();
    assert_eq!(letters.len(), 1);
    assert!(
        matches!(&letters[0].cause, DeathCause::TurnFailed(ExitReason::Panic(p)) if p.message == "told to")
    );
    let crash = &world.system.crash_reports()[0];
    assert_eq!(crash.path.as_str(), "/a");
    assert_eq!(
        crash.recorder.len(),
        2,
        "both messages are in the flight recorder"
    );
    assert!(crash.message.is_some());
    let spec = (&*crash.spec.restart, &*crash.spec.shutdown);
    assert_eq!(spec, ("permanent", "5000"), "it says what was crashed");
    assert_eq!(crash.spec.mailbox_capacity, 1024);
}

#[tokio::test(start_paused = true)]
async fn an_ask_fails_at_once_when_the_turn_that_handles_it_crashes() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let began = tokio::time::Instant::now();
    let answer: Result<u64, _> = a.ask(Count::PanicOver, HOUR).await;
    assert!(
        matches!(answer, Err(AskError::Crashed(ExitReason::Panic(_)))),
        "{answer:?}"
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_queued_when_its_callee_crashes_is_answered_by_the_next_life() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.any().pause();
    a.send(Count::Panic).await.expect("taken");
    let asked = tokio::spawn({
        let a = a.clone();
        async move { a.ask(Count::Get, HOUR).await }
    });
    until("the ask is queued", || a.any().mailbox_depth() == 2).await;
    a.any().resume();
    assert_eq!(asked.await.expect("no panic"), Ok(0));
}

#[tokio::test(start_paused = true)]
async fn what_a_crashed_turn_wanted_to_send_is_not_sent() {
    let world = World::new(vec![
        ("sink", kind(Counter::default)),
        ("a", kind(Counter::default)),
    ])
    .await;
    let (sink, a) = (world.agent("sink"), world.agent("a"));
    a.send(Count::SendThenPanic(sink.clone()))
        .await
        .expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    a.send(Count::SendTo(sink.clone())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(
        sink.ask(Count::Get, SECOND).await,
        Ok(1),
        "only the turn that ended well has sent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_comes_back_and_its_callers_are_told() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let down = a.any().monitor();
    let asked = tokio::spawn({
        let a = a.clone();
        async move { a.ask(Count::HangOver, HOUR).await }
    });
    until("it hangs", || a.any().detail().current.is_some()).await;
    a.any().kill();
    assert_eq!(
        asked.await.expect("no panic"),
        Err(AskError::Crashed(ExitReason::Killed))
    );
    assert_eq!(down.await.expect("told").reason, ExitReason::Killed);
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(a.any().incarnation(), Incarnation(2));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_overruns_its_deadline_is_cut_off_with_limit_turn_time() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let down = a.any().monitor();
    a.send(Count::Hang).await.expect("taken");
    assert_eq!(
        down.await.expect("told").reason,
        ExitReason::Limit(swarm_protocols::Limit::TurnTime)
    );
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_waits_or_drops_the_oldest_as_it_is_told() {
    for when_full in [WhenFull::Fail, WhenFull::Wait, WhenFull::DropOldest] {
        let world = World::with(vec![(
            "a",
            Box::new(move |spec: AgentSpec<Counter>| {
                spec.mailbox(MailboxOptions {
                    capacity: 2,
                    when_full,
                    ..MailboxOptions::default()
                })
            }),
        )])
        .await;
        let a = world.agent("a");
        a.any().pause();
        a.send(Count::Add(1)).await.expect("taken");
        a.send(Count::Add(10)).await.expect("taken");
        assert_eq!(a.any().mailbox_depth(), 2);
        match when_full {
            WhenFull::Fail => {
                let refused = a.send(Count::Add(100)).await.expect_err("full");
                assert_eq!(refused.why, NotSent::Full);
                assert!(refused.message.is_some(), "the message is handed back");
            }
            WhenFull::Wait => {
                let sent = tokio::time::timeout(SECOND, a.send(Count::Add(100))).await;
                assert!(sent.is_err(), "it waits");
                assert_eq!(
                    a.any().mailbox_depth(),
                    2,
                    "and took its message along when it gave up"
                );
            }
            WhenFull::DropOldest => {
                a.send(Count::Add(100)).await.expect("taken");
                assert_eq!(
                    world.system.dead_letters().list()[0].cause,
                    DeathCause::DroppedOldest
                );
            }
        }
        a.any().resume();
        until("there is room", || a.any().mailbox_depth() == 0).await;
        let expected = match when_full {
            WhenFull::DropOldest => 110,
            WhenFull::Fail | WhenFull::Wait => 11,
        };
        assert_eq!(
            a.ask(Count::Get, SECOND).await,
            Ok(expected),
            "{when_full:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_get_in_in_their_order() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| {
            spec.mailbox(MailboxOptions {
                capacity: 1,
                ..MailboxOptions::default()
            })
        }),
    )])
    .await;
    let a = world.agent("a");
    a.any().pause();
    let mut senders = Vec::new();
    for n in 0..20 {
        let to = a.clone();
        senders.push(tokio::spawn(async move {
            to.send(Count::Note(n)).await.is_ok()
        }));
        until("it is in line", || {
            let detail = a.any().detail();
            detail.info.mailbox as usize + detail.waiting_senders == n as usize + 1
        })
        .await;
    }
    a.any().resume();
    for sender in senders {
        assert!(sender.await.expect("no panic"));
    }
    assert_eq!(
        a.ask(Count::Notes, SECOND).await,
        Ok((0..20).collect::<Vec<u64>>())
    );
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_once_and_a_cancelled_one_never() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.send(Count::After(Duration::from_millis(10), 1))
        .await
        .expect("taken");
    a.send(Count::AfterCancelled(Duration::from_millis(10), 100))
        .await
        .expect("taken");
    tokio::time::sleep(SECOND).await;
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn timers_end_with_the_life_that_set_them() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.send(Count::After(Duration::from_millis(10), 1))
        .await
        .expect("taken");
    a.send(Count::Panic).await.expect("taken");
    tokio::time::sleep(SECOND).await;
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_falls_asleep_keeps_its_state_and_wakes_with_its_next_message() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| spec.sleep_after(SECOND)),
    )])
    .await;
    let a = world.agent("a");
    a.send(Count::Add(4)).await.expect("taken");
    until("it sleeps", || a.any().info().state == ActorState::Asleep).await;
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(4));
    assert_eq!(
        a.any().incarnation(),
        Incarnation(1),
        "sleeping is no restart"
    );
}

#[tokio::test(start_paused = true)]
async fn stop_refuses_new_messages_keeps_the_queued_ones_and_restart_brings_them_back() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let path = a.path().clone();
    a.any().pause();
    a.send(Count::Add(5)).await.expect("taken");
    world.system.stop(&path).await.expect("stopped");
    assert_eq!(a.any().info().state, ActorState::Stopped);
    assert_eq!(
        a.try_send(Count::Add(1)).expect_err("stopped").why,
        NotSent::Refused
    );
    let root = world.system.tree().expect("runs");
    root.restart_child(path.name().expect("not the root"))
        .await
        .expect("started");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn low_priority_gets_one_of_sixteen_turns() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.any().pause();
    for n in 0..40 {
        a.send(Count::Note(n)).await.expect("taken");
    }
    let options = SendOptions {
        priority: swarm_protocols::Priority::Low,
        ..SendOptions::default()
    };
    a.send_with(Count::Note(1000), options)
        .await
        .expect("taken");
    a.any().resume();
    let notes = a.ask(Count::Notes, SECOND).await.expect("answered");
    let at = notes.iter().position(|n| *n == 1000).expect("handled");
    assert!(at <= 15, "it was turn {at}");
}

#[tokio::test(start_paused = true)]
async fn an_acl_message_that_is_not_understood_is_answered_so() {
    use swarm_protocols::{AclMessage, Performative};
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a").any();
    let answer = a
        .ask_acl(AclMessage::new(Performative::Request), SECOND)
        .await;
    assert_eq!(
        answer.expect("answered").performative,
        Performative::NotUnderstood
    );
}

#[tokio::test(start_paused = true)]
async fn redelivery_hands_a_message_to_n_lives_before_it_is_dead() {
    let lives = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let world = World::with(vec![(
        "a",
        Box::new(move |spec: AgentSpec<Counter>| {
            spec.mailbox(MailboxOptions {
                redeliver: 2,
                ..MailboxOptions::default()
            })
        }),
    )])
    .await;
    let _ = lives;
    let a = world.agent("a");
    a.send(Count::Panic).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(
        a.any().incarnation(),
        Incarnation(4),
        "one life for the first try, two for the others"
    );
    assert_eq!(world.system.dead_letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_can_be_replayed_when_its_message_was_kept() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| {
            spec.mailbox(MailboxOptions {
                keep_failed: true,
                ..MailboxOptions::default()
            })
        }),
    )])
    .await;
    let a = world.agent("a");
    a.send(Count::PanicUnlessRestarted(9)).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    let id = world.system.dead_letters().list()[0].id;
    world.system.replay(id).expect("replayed");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(9));
    assert!(world.system.dead_letters().is_empty());
    assert_eq!(world.system.replay(id), Err(ReplayError::NotFound(id)));
}

#[tokio::test(start_paused = true)]
async fn drain_handles_what_is_queued_and_then_stops() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    let path = a.path().clone();
    a.any().pause();
    for _ in 0..5 {
        a.send(Count::Add(1)).await.expect("taken");
    }
    let system = world.system.clone();
    let draining = tokio::spawn(async move { system.drain(&path).await });
    until("it drains", || a.any().info().state == ActorState::Draining).await;
    a.any().resume();
    draining.await.expect("no panic").expect("drained");
    assert_eq!(a.any().info().turns, 5);
    assert_eq!(a.any().info().state, ActorState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn when_the_last_system_goes_the_tree_is_killed_and_nothing_is_left() {
    let world = World::one("a", Counter::default).await;
    let down = world.agent("a").any().monitor();
    let weak = world.system.downgrade();
    drop(world);
    assert_eq!(down.await.expect("told").reason, ExitReason::Killed);
    until("the system is gone", || weak.upgrade().is_none()).await;
}
