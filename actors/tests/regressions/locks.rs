//! Threads that must not wait for each other, and tasks that must not run in circles.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;

/// Real seconds after which a test here has failed. They take one or two.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
/// How long threads try to get into each other's way.
const CONTEST: std::time::Duration = std::time::Duration::from_millis(2500);

/// Kills it as often as it can, from a thread of its own, until the contest is over.
fn kill_on_and_on(victim: AnyRef) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let began = Instant::now();
        let mut kills = 0;
        while began.elapsed() < CONTEST {
            if victim.is_alive() {
                victim.kill();
                kills += 1;
            }
            std::hint::spin_loop();
        }
        kills
    })
}

async fn is_over(contest: thread::JoinHandle<u64>) {
    while !contest.is_finished() {
        tokio::time::sleep(ms(5)).await;
    }
    assert!(contest.join().expect("no panic") > 0);
}

#[test]
fn joining_a_group_and_killing_who_follows_it_do_not_wait_for_each_other() {
    within(LIMIT, real_time(), || async {
        let stage = TestSystem::start().await;
        let follower = Puppet::that_begins(|turn| {
            async move {
                turn.monitor_group(&name("g"))?;
                Ok(Init::Ready)
            }
            .boxed()
        });
        let follower = stage.spawn(follower.called("v")).await.expect("started");
        let joiner = stage.spawn(puppet("j")).await.expect("started");
        let joining = tokio::spawn(async move {
            loop {
                let turn = deed(|turn| {
                    async move {
                        turn.join(&name("g"))?;
                        turn.leave(&name("g"));
                        Ok(())
                    }
                    .boxed()
                });
                joiner.send(turn).await.expect("taken");
            }
        });
        is_over(kill_on_and_on(follower.any())).await;
        joining.abort();
    });
}

#[test]
fn telling_of_a_restart_and_killing_who_watches_do_not_wait_for_each_other() {
    within(LIMIT, real_time(), || async {
        let stage = TestSystem::start().await;
        let watched = stage.spawn(puppet("t")).await.expect("started");
        let target = watched.any();
        let watcher = Puppet::that_begins(move |turn| {
            let target = target.clone();
            async move {
                turn.watch(&target)?;
                Ok(Init::Ready)
            }
            .boxed()
        });
        let watcher = stage.spawn(watcher.called("v")).await.expect("started");
        let (system, path) = ((*stage).clone(), watched.path().clone());
        let restarting = tokio::spawn(async move {
            loop {
                system.restart(&path).await.expect("restarted");
            }
        });
        is_over(kill_on_and_on(watcher.any())).await;
        restarting.abort();
    });
}

#[test]
fn the_closure_of_a_repeated_timer_may_look_at_its_agent() {
    within(LIMIT, virtual_time(), || async {
        let stage = TestSystem::start().await;
        let a = stage.spawn(puppet("a")).await.expect("started");
        let b = stage.spawn(puppet("b")).await.expect("started");
        let ticking = deed(|turn| {
            async move {
                let me = turn.me();
                turn.schedule_every(ms(20), move || Say::Note(me.any().info().path.to_string()))?;
                Ok(())
            }
            .boxed()
        });
        a.send(ticking).await.expect("taken");
        tokio::time::sleep(ms(70)).await;
        assert_eq!(notes(&a).await, ["/a", "/a", "/a"]);
        let tick = |turn: &mut Turn<'_, Puppet>| turn.schedule(ms(20), note("tick")).map(|_| ());
        b.send(deed(move |turn| async move { Ok(tick(turn)?) }.boxed()))
            .await
            .expect("taken");
        tokio::time::sleep(ms(70)).await;
        assert_eq!(notes(&b).await, ["tick"]);
    });
}

#[test]
fn a_fault_for_one_who_waits_for_room_does_not_make_it_run_in_circles() {
    within(LIMIT, virtual_time(), || async {
        let stage = TestSystem::start().await;
        let full = puppet("full").mailbox(room_for(1));
        let full = stage.spawn(full).await.expect("started");
        let sender = stage.spawn(puppet("sender")).await.expect("started");
        full.any().pause();
        full.send(note("first")).await.expect("taken");
        let to = full.clone();
        sender
            .send(deed(move |turn| {
                turn.send(&to, note("second"));
                async { Ok(()) }.boxed()
            }))
            .await
            .expect("taken");
        until("it waits for room", || sender.any().detail().outgoing == 1).await;
        assert!(sender.any().inject(Fault::Panic, When::Now));
        tokio::time::sleep(ms(100)).await;
        full.any().resume();
        lives(&sender, 2).await;
        assert_eq!(notes(&full).await, ["first", "second"]);
    });
}

#[test]
fn a_paused_agent_that_may_sleep_does_not_run_in_circles() {
    within(LIMIT, virtual_time(), || async {
        let stage = TestSystem::start().await;
        let a = stage.spawn(puppet("a").sleep_after(ms(60))).await;
        let a = a.expect("started");
        notes(&a).await;
        assert!(a.any().pause());
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(a.any().info().state, ActorState::Paused);
        assert!(a.any().resume());
        until("it sleeps", || a.any().info().state == ActorState::Asleep).await;
        lives(&a, 1).await;
    });
}

#[test]
fn a_paused_agent_with_a_fault_ahead_does_not_run_in_circles() {
    within(LIMIT, virtual_time(), || async {
        let stage = TestSystem::start().await;
        let a = stage.spawn(puppet("a")).await.expect("started");
        notes(&a).await;
        assert!(a.any().pause());
        assert!(a.any().inject(Fault::Panic, When::Now));
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(a.any().incarnation().0, 1);
        assert!(a.any().resume());
        lives(&a, 2).await;
    });
}

/// The receiver's own code must not be what decides; so the two meet at speed.
#[test]
fn a_send_from_outside_that_drops_the_oldest_is_never_answered_full() {
    within(LIMIT, real_time(), || async {
        let stage = TestSystem::start().await;
        let mailbox = MailboxOptions {
            capacity: 2,
            when_full: WhenFull::DropOldest,
            ..MailboxOptions::default()
        };
        let a = stage.spawn(puppet("a").mailbox(mailbox)).await;
        let a = a.expect("started");
        let is_over = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicU64::new(0));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (a, is_over, refused) = (a.clone(), is_over.clone(), refused.clone());
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        for _ in 0..100 {
                            if a.send(Say::Carry(Box::new(()))).await.is_err() {
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(ms(700)).await;
        is_over.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await.expect("no panic");
        }
        assert_eq!(refused.load(Ordering::Relaxed), 0);
    });
}
