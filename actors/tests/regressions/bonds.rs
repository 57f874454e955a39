//! Monitors, links and groups.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::{Arc, Mutex};
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_supervisors::Restart;

#[tokio::test(start_paused = true)]
async fn down_and_exit_reach_only_the_life_that_asked_for_them() {
    let stage = TestSystem::start().await;
    let full = stage.spawn(puppet("full").mailbox(room_for(1))).await;
    let full = full.expect("started");
    let a = stage.spawn(puppet("a")).await.expect("started");
    let b = stage.spawn(puppet("b")).await.expect("started");
    let target = a.any();
    let bonding = deed(move |turn| {
        async move {
            turn.link(&target)?;
            turn.monitor(&target)?;
            Ok(())
        }
        .boxed()
    });
    b.send(bonding).await.expect("taken");
    notes(&b).await;
    assert!(full.any().pause());
    full.send(note("before")).await.expect("taken");
    let to = full.clone();
    let sending = deed(move |turn| {
        turn.send(&to, note("1"));
        async { Ok(()) }.boxed()
    });
    a.send(sending).await.expect("taken");
    until("it waits for room", || a.any().detail().outgoing == 1).await;
    // The news of the first end waits behind what was sent before it; meanwhile the one who is to hear it ends, too.
    for agent in [&a, &b] {
        agent.any().kill();
        let any = agent.any();
        until("it is back", || any.incarnation().0 == 2 && any.is_alive()).await;
    }
    assert!(full.any().resume());
    until("all is delivered", || a.any().detail().outgoing == 0).await;
    for agent in [&a, &b] {
        lives(agent, 2).await;
        assert_eq!(notes(agent).await, Vec::<String>::new());
    }
    assert_eq!(notes(&full).await, ["before", "1"]);
}

/// What a turn's `act` gave, once the turn is over.
async fn turn_of<T: Send + 'static>(
    agent: &AgentRef<Say>,
    act: impl FnOnce(&mut Turn<'_, Puppet>) -> T + Send + 'static,
) -> T {
    let place = Arc::new(Mutex::new(None));
    let result = place.clone();
    let acting = deed(move |turn| {
        *result.lock().expect("not poisoned") = Some(act(turn));
        async { Ok(()) }.boxed()
    });
    agent.send(acting).await.expect("taken");
    notes(agent).await;
    let result = place.lock().expect("not poisoned").take();
    result.expect("it had its turn")
}

#[tokio::test(start_paused = true)]
async fn monitors_of_the_dead_are_not_held_against_the_bound() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let dead = stage.spawn(puppet("dead")).await.expect("started");
    let stopped = stage.tree().terminate_child(name("dead")).await;
    stopped.expect("stopped");
    let target = dead.any();
    let set = turn_of(&a, move |turn| {
        (0..BONDS_PER_AGENT_MAX).all(|_| turn.monitor(&target).is_ok())
    })
    .await;
    assert!(set);
    until("all are told", || a.any().mailbox_depth() == 0).await;
    assert_eq!(notes(&a).await.len(), BONDS_PER_AGENT_MAX);
    let target = dead.any();
    let one_more = turn_of(&a, move |turn| turn.monitor(&target).map(|_| ())).await;
    assert_eq!(one_more, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_watch_one_that_has_ended_is_told_and_holds_no_bond() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let dead = puppet("dead").restart(Restart::Temporary);
    let dead = stage.spawn(dead).await.expect("started").any();
    dead.kill();
    until("it has ended", || stage.lookup(dead.path()).is_none()).await;
    let set = turn_of(&a, move |turn| {
        (0..BONDS_PER_AGENT_MAX).all(|_| turn.watch(&dead).is_ok())
    })
    .await;
    assert!(set);
    until("all is told", || a.any().mailbox_depth() == 0).await;
    let told = notes(&a).await;
    assert_eq!(told.first().map(String::as_str), Some("ended for good"));
    let group = turn_of(&a, |turn| turn.join(&name("g"))).await;
    assert_eq!(group, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_left_is_no_longer_shown() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let joined = turn_of(&a, |turn| (0..2).all(|_| turn.join(&name("g")).is_ok())).await;
    assert!(joined);
    turn_of(&a, |turn| turn.leave(&name("g"))).await;
    assert_eq!(a.any().info().groups, [name("g")], "it joined twice");
    turn_of(&a, |turn| turn.leave(&name("g"))).await;
    assert!(a.any().info().groups.is_empty());
    assert!(stage.group(&name("g")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_monitor_that_was_ended_is_not_held_against_the_bound() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    for round in 0..2 {
        let set = turn_of(&a, move |turn| {
            (0..BONDS_PER_AGENT_MAX).all(|n| {
                let group = name(&format!("g-{round}-{n}"));
                let is_set = turn.monitor_group(&group).is_ok();
                turn.demonitor_group(&group);
                is_set
            })
        })
        .await;
        assert!(set, "round {round}");
    }
}
