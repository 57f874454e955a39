//! How one life ends and the next begins: nothing of the old one reaches the new one.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use swarm_actors::lifecycle::{Built, Why};
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::{ExitReason, Path};
use swarm_supervisors::{Backoff, Restart, Strategy, SupervisorFlags, SupervisorSpec};
use tokio::sync::Notify;

#[tokio::test(start_paused = true)]
async fn two_that_are_killed_at_once_under_one_for_all_are_restarted_once() {
    let system = system();
    let children = vec![puppet("a").child(&system), puppet("b").child(&system)];
    let flags = SupervisorFlags::new(Strategy::OneForAll).intensity(1000, SECOND);
    let tree = system
        .start_tree(SupervisorSpec::new(flags, children))
        .await;
    tree.expect("started");
    let both = ["a", "b"].map(|id| {
        let path = Path::root().child(&name(id));
        system.lookup_typed::<Say>(&path).expect("it is there")
    });
    for agent in &both {
        agent.any().kill();
    }
    for agent in &both {
        lives(agent, 2).await;
    }
    tokio::time::sleep(SECOND * 10).await;
    for agent in &both {
        lives(agent, 2).await;
        assert_eq!(agent.any().detail().last_exit, Some(ExitReason::Killed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_meets_a_dead_life_does_not_stop_the_next_one() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let mut stopping = Box::pin(stage.tree().terminate_child(name("a")));
    // The supervisor has the call, and finds one who has just died.
    assert!((&mut stopping).now_or_never().is_none());
    a.any().kill();
    stopping.await.expect("stopped");
    let started = stage.tree().restart_child(name("a")).await;
    started.map(|_| ()).expect("started");
    tokio::time::sleep(SECOND).await;
    lives(&a, 2).await;
}

/// Real time and real threads: what never yields cannot be seen in virtual time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_life_after_a_fenced_one_is_not_taken_for_stuck_while_the_old_code_still_runs() {
    let deadline = ms(200);
    let mut options = SystemOptions::new(name("test"), 1);
    options.watchdog_interval = ms(10);
    let stage = TestSystem::start_with(options).await;
    let a = stage.spawn(puppet("a").turn_deadline(Some(deadline))).await;
    let a = a.expect("started");
    let (_release, gate) = mpsc::channel::<()>();
    let blocking = deed(move |_| {
        // Until the test is over.
        let _ = gate.recv_timeout(SECOND * 10);
        async { Ok(()) }.boxed()
    });
    a.send(blocking).await.expect("taken");
    let replaced = tokio::time::timeout(SECOND * 8, lives(&a, 2));
    replaced.await.expect("replaced");
    let seen = stage.events().last_seq();
    // Time in which nothing happens is all that can show that nothing does.
    tokio::time::sleep(deadline * 3).await;
    assert_eq!(a.any().incarnation().0, 2, "{:?}", a.any().detail());
    let since = stage.events().since(seen, usize::MAX);
    let is_stuck = since.iter().any(|e| matches!(e.what, What::Stuck { .. }));
    assert!(!is_stuck, "{since:?}");
    lives(&a, 2).await;
}

/// Says when it is dropped.
struct Farewell(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let _ = tell.send(());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_fenced_off_asks_nobody() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let b = stage.spawn(puppet("b")).await.expect("started");
    let (tell, told) = tokio::sync::oneshot::channel();
    let (farewell, other) = (Farewell(Some(tell)), b.clone());
    let asking = deed(move |turn| {
        async move {
            let _farewell = farewell;
            // As if another thread did it at this moment.
            turn.me().any().kill();
            let make = |_: ReplyTo<()>| note("from the dead");
            let _ = turn.ask(&other, make, SECOND).await;
            Ok(())
        }
        .boxed()
    });
    a.send(asking).await.expect("taken");
    tokio::time::timeout(HOUR, told)
        .await
        .expect("the old turn ends")
        .expect("it says so");
    lives(&a, 2).await;
    assert_eq!(notes(&b).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_draining_does_not_open_the_gate() {
    let stage = TestSystem::start().await;
    let pause = Backoff {
        initial: SECOND,
        cap: SECOND,
        jitter: 0.0,
    };
    let a = stage.spawn(puppet("a").restart_delay(pause)).await;
    let a = a.expect("started");
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handled = Arc::new(AtomicU32::new(0));
    let go = first.clone();
    let failing = deed(move |_| {
        async move {
            go.notified().await;
            Err("told to".into())
        }
        .boxed()
    });
    let go = second.clone();
    let waiting = deed(move |_| {
        async move {
            go.notified().await;
            Ok(())
        }
        .boxed()
    });
    a.send(failing).await.expect("taken");
    a.send(waiting).await.expect("taken");
    for _ in 0..20 {
        let handled = handled.clone();
        let counting = deed(move |_| {
            handled.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }.boxed()
        });
        a.send(counting).await.expect("taken");
    }
    let (system, path) = ((*stage).clone(), a.path().clone());
    let draining = tokio::spawn(async move { system.drain(&path).await });
    let any = a.any();
    until("it drains", || any.info().state == ActorState::Draining).await;
    let refused = |when: &str| {
        let sent = a.try_send(note("late")).expect_err(when);
        assert_eq!(sent.why, NotSent::Refused, "{when}");
    };
    first.notify_one();
    until("it is between two lives", || !any.is_alive()).await;
    refused("between two lives");
    until("it is back", || any.is_alive() && any.incarnation().0 == 2).await;
    until("it goes on", || any.detail().current.is_some()).await;
    refused("in the next life");
    assert_eq!(any.info().state, ActorState::Draining);
    assert!(!draining.is_finished());
    second.notify_one();
    draining.await.expect("no panic").expect("drained");
    assert_eq!(handled.load(Ordering::SeqCst), 20);
    assert_eq!(any.mailbox_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_end_that_has_been_is_told_at_once() {
    let stage = TestSystem::start().await;
    let spec = puppet("a").restart(Restart::Temporary);
    let running = Built::new(spec).load(&stage, stage.tree()).start().await;
    let running = running.expect("started");
    let any = running.agent().any();
    let stopping = deed(|turn| {
        turn.stop(ExitReason::Normal);
        async { Ok(()) }.boxed()
    });
    running.agent().send(stopping).await.expect("taken");
    until("it has ended", || stage.lookup(any.path()).is_none()).await;
    let told = tokio::time::timeout(SECOND, any.watch().recv()).await;
    let told = told.expect("at once");
    assert!(matches!(told, Some(WatchEvent::Ended { .. })), "{told:?}");
    let ended = tokio::time::timeout(SECOND, running.ended()).await;
    let ended = ended.expect("at once");
    assert!(matches!(ended.why(), Why::Ended(_)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_terminate_that_hangs_is_cut_off_at_the_turn_deadline() {
    let stage = TestSystem::start().await;
    let spec = Puppet::that_hangs_in_terminate().called("a");
    let a = stage.spawn(spec.turn_deadline(Some(ms(100)))).await;
    let a = a.expect("started");
    let began = tokio::time::Instant::now();
    let stopping = deed(|turn| {
        turn.stop(ExitReason::Normal);
        async { Ok(()) }.boxed()
    });
    a.send(stopping).await.expect("taken");
    lives(&a, 2).await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}
