//! What becomes of messages: in the mailbox, in line before it, on their way out, and in the dead letters.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::Arc;
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::{AclMessage, Performative, Priority};
use swarm_supervisors::Restart;
use tokio::sync::Notify;

/// A paused puppet whose mailbox has room for one message, and has one.
async fn full(stage: &TestSystem, id: &str) -> AgentRef<Say> {
    let agent = stage.spawn(puppet(id).mailbox(room_for(1))).await;
    let agent = agent.expect("started");
    assert!(agent.any().pause());
    agent.send(note("before")).await.expect("taken");
    agent
}

/// A sender that waits in line.
async fn in_line(to: &AgentRef<Say>, text: &'static str) -> tokio::task::JoinHandle<bool> {
    let sender = to.clone();
    let sending = tokio::spawn(async move { sender.send(note(text)).await.is_ok() });
    until("it waits in line", || {
        to.any().detail().waiting_senders == 1
    })
    .await;
    sending
}

async fn a_place_is_given_back_to(spec: AgentSpec<Puppet>) {
    let stage = TestSystem::start().await;
    let to = stage.spawn(spec.mailbox(room_for(1))).await;
    let to = to.expect("started");
    let sender = stage.spawn(puppet("sender")).await.expect("started");
    let fail = Arc::new(Notify::new());
    let (go, receiver) = (fail.clone(), to.clone());
    let failing = deed(move |turn| {
        async move {
            turn.try_send(&receiver, note("never")).map_err(|e| e.why)?;
            go.notified().await;
            Err("told to".into())
        }
        .boxed()
    });
    sender.send(failing).await.expect("taken");
    until("a place is reserved", || to.any().mailbox_depth() == 1).await;
    let waiting = in_line(&to, "waited").await;
    fail.notify_one();
    let sent = tokio::time::timeout(SECOND, waiting).await;
    assert!(sent.expect("it is let in").expect("no panic"));
    until("it is handled", || to.any().mailbox_depth() == 0).await;
    assert_eq!(notes(&to).await, ["waited"]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_given_back_wakes_the_consumer() {
    a_place_is_given_back_to(puppet("to").eager(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_given_back_brings_a_consumer() {
    a_place_is_given_back_to(puppet("to")).await;
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_was_emptied_by_a_crash_lets_in_who_waited() {
    let stage = TestSystem::start().await;
    let mailbox = MailboxOptions {
        on_crash: OnCrash::Drop,
        ..room_for(1)
    };
    let a = stage.spawn(puppet("a").mailbox(mailbox)).await;
    let a = a.expect("started");
    a.send(deed(|_| std::future::pending().boxed()))
        .await
        .expect("taken");
    until("it hangs", || a.any().detail().current.is_some()).await;
    a.send(note("dropped")).await.expect("taken");
    let waiting = in_line(&a, "waited").await;
    a.any().kill();
    let sent = tokio::time::timeout(SECOND, waiting).await;
    sent.expect("it waits no longer").expect("no panic");
    let sent = tokio::time::timeout(SECOND, a.send(note("after"))).await;
    sent.expect("there is room").expect("taken");
    lives(&a, 2).await;
    assert_eq!(notes(&a).await.last().map(String::as_str), Some("after"));
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_agent_had_sent_is_delivered_and_its_down_behind() {
    let stage = TestSystem::start().await;
    let to = stage.spawn(puppet("to").mailbox(room_for(1))).await;
    let to = to.expect("started");
    let sender = stage.spawn(puppet("sender")).await.expect("started");
    let target = sender.any();
    let monitoring = deed(move |turn| {
        async move {
            turn.monitor(&target)?;
            Ok(())
        }
        .boxed()
    });
    to.send(monitoring).await.expect("taken");
    notes(&to).await;
    assert!(to.any().pause());
    to.send(note("before")).await.expect("taken");
    let receiver = to.clone();
    let sending = deed(move |turn| {
        for text in ["1", "2", "3"] {
            turn.send(&receiver, note(text));
        }
        async { Ok(()) }.boxed()
    });
    sender.send(sending).await.expect("taken");
    until("they wait", || sender.any().detail().outgoing == 3).await;
    let down = sender.any().monitor();
    let stopped = stage.tree().terminate_child(name("sender")).await;
    stopped.expect("stopped");
    assert!(to.any().resume());
    let down = tokio::time::timeout(SECOND, down).await;
    down.expect("in time").expect("told");
    assert_eq!(
        notes(&to).await,
        ["before", "1", "2", "3", "down in life 1: shutdown"]
    );
}

/// Lets nobody write to `/closed`.
struct Closed;

impl AdmissionHook for Closed {
    fn admit(&self, admission: &Admission<'_>) -> Result<(), String> {
        match admission.receiver.as_str() {
            "/closed" => Err("closed".into()),
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admission_hooks_see_what_waits_behind_a_backlog() {
    let mut options = options();
    options.hooks.admission.push(Arc::new(Closed));
    let stage = TestSystem::start_with(options).await;
    let busy = full(&stage, "busy").await;
    let closed = stage.spawn(puppet("closed")).await.expect("started");
    let sender = stage.spawn(puppet("sender")).await.expect("started");
    let receivers = (busy.clone(), closed.clone());
    let sending = deed(move |turn| {
        turn.send(&receivers.0, note("1"));
        turn.send(&receivers.1, note("refused"));
        turn.send_with(&receivers.1, note("refused"), SendOptions::default());
        turn.send_acl(&receivers.1.any(), AclMessage::new(Performative::Inform));
        async { Ok(()) }.boxed()
    });
    sender.send(sending).await.expect("taken");
    until("it waits", || sender.any().detail().outgoing > 0).await;
    assert!(busy.any().resume());
    lives(&sender, 1).await;
    assert_eq!(notes(&busy).await, ["before", "1"]);
    assert_eq!(closed.any().info().turns, 0);
    let dead = stage.dead_letters().list();
    let rejected = DeathCause::Rejected("closed".into());
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(dead.iter().all(|d| d.cause == rejected), "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_wait_does_not_wait_in_line_behind_a_backlog_either() {
    let stage = TestSystem::start().await;
    let busy = full(&stage, "busy").await;
    let stays_full = full(&stage, "stays-full").await;
    let reserved = stage.spawn(puppet("reserved").mailbox(room_for(1))).await;
    let reserved = reserved.expect("started");
    let sender = stage.spawn(puppet("sender")).await.expect("started");
    let receivers = (busy.clone(), stays_full.clone(), reserved.clone());
    let sending = deed(move |turn| {
        let at_once = SendOptions {
            when_full: Some(WhenFull::Fail),
            ..SendOptions::default()
        };
        async move {
            turn.send(&receivers.0, note("1"));
            turn.send_with(&receivers.1, note("too late"), at_once);
            turn.try_send(&receivers.2, note("has a place"))
                .map_err(|e| e.why)?;
            Ok(())
        }
        .boxed()
    });
    sender.send(sending).await.expect("taken");
    until("it waits", || sender.any().detail().outgoing > 0).await;
    let began = tokio::time::Instant::now();
    assert!(busy.any().resume());
    until("all is sent", || sender.any().detail().outgoing == 0).await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(stays_full.any().detail().waiting_senders, 0);
    assert_eq!(notes(&reserved).await, ["has a place"]);
    assert_eq!(reserved.any().mailbox_depth(), 0);
    assert!(stays_full.any().resume());
    assert_eq!(notes(&stays_full).await, ["before"]);
    let dead = stage.dead_letters().list();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].receiver, *stays_full.path());
}

/// An ask of `a` that is stashed.
async fn stashed(a: &AgentRef<Say>) -> tokio::task::JoinHandle<Result<Vec<String>, AskError>> {
    let asker = a.clone();
    let asked = tokio::spawn(async move { asker.ask(Say::Stash, HOUR).await });
    until("it is stashed", || a.any().detail().stashed == 1).await;
    asked
}

#[tokio::test(start_paused = true)]
async fn a_stashed_ask_fails_when_its_callee_is_stopped_and_deleted() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let asked = stashed(&a).await;
    let tree = stage.tree();
    tree.terminate_child(name("a")).await.expect("stopped");
    tree.delete_child(name("a")).await.expect("deleted");
    let answer = tokio::time::timeout(SECOND, asked).await;
    let answer = answer.expect("the ask is over").expect("no panic");
    assert_eq!(answer, Err(AskError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn a_stashed_ask_fails_when_its_callee_is_killed_for_good() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a").restart(Restart::Temporary)).await;
    let a = a.expect("started");
    let asked = stashed(&a).await;
    a.any().kill();
    let answer = tokio::time::timeout(SECOND, asked).await;
    let answer = answer.expect("the ask is over").expect("no panic");
    assert_eq!(answer, Err(AskError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn a_low_message_is_dropped_before_an_older_critical_one() {
    let stage = TestSystem::start().await;
    let mailbox = MailboxOptions {
        when_full: WhenFull::DropOldest,
        ..room_for(2)
    };
    let a = stage.spawn(puppet("a").mailbox(mailbox)).await;
    let a = a.expect("started");
    let gate = Arc::new(Notify::new());
    let waiting = || {
        let gate = gate.clone();
        deed(move |_| {
            async move {
                gate.notified().await;
                Ok(())
            }
            .boxed()
        })
    };
    let of = |priority| SendOptions {
        priority,
        ..SendOptions::default()
    };
    let turns = || a.any().info().turns;
    a.send(waiting()).await.expect("taken");
    until("it is in its first turn", || a.any().mailbox_depth() == 0).await;
    for message in [waiting(), note("critical")] {
        let sent = a.send_with(message, of(Priority::Critical)).await;
        sent.expect("taken");
    }
    gate.notify_one();
    // Now the critical one lies with the consumer, ahead of all that still comes in.
    until("it is in its second turn", || turns() == 1).await;
    until("one waits", || a.any().mailbox_depth() == 1).await;
    for (text, priority) in [("low", Priority::Low), ("new", Priority::Normal)] {
        let sent = a.send_with(note(text), of(priority)).await;
        sent.expect("taken");
    }
    gate.notify_one();
    until("all is handled", || turns() == 4).await;
    assert_eq!(notes(&a).await, ["critical", "new"]);
}

#[test]
fn low_messages_have_their_share_however_long_there_were_none() {
    within(SECOND * 5, virtual_time(), || async {
        let stage = TestSystem::start().await;
        let a = stage.spawn(puppet("a")).await.expect("started");
        let of = |priority| SendOptions {
            priority,
            ..SendOptions::default()
        };
        let sent = a.send_with(note("high"), of(Priority::High)).await;
        sent.expect("taken");
        for _ in 0..600 {
            a.send(note("normal")).await.expect("taken");
        }
        until("all are handled", || a.any().info().turns == 601).await;
        assert!(a.any().pause());
        let sent = a.send_with(note("low"), of(Priority::Low)).await;
        sent.expect("taken");
        for _ in 0..100 {
            a.send(note("normal")).await.expect("taken");
        }
        assert!(a.any().resume());
        let notes = notes(&a).await;
        let at = notes
            .iter()
            .position(|note| note == "low")
            .expect("handled");
        assert!((601..=601 + 16).contains(&at), "{at}");
        lives(&a, 1).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_holds_a_reference_does_not_keep_the_system_alive() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a").restart(Restart::Temporary)).await;
    let a = a.expect("started");
    assert!(a.any().pause());
    let carried = Say::Carry(Box::new(a.clone()));
    a.send(carried).await.expect("taken");
    a.any().kill();
    until("it is a dead letter", || stage.dead_letters().len() == 1).await;
    let system = stage.downgrade();
    drop(a);
    drop(stage);
    until("the system is gone", || system.upgrade().is_none()).await;
}
