//! Links, monitors, watches, names and groups.

mod kit;

use kit::*;
use std::time::Duration;
use swarm_actors::*;
use swarm_protocols::{ExitReason, Name};
use swarm_supervisors::{ChildSpec, Restart};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

async fn two() -> (World, AgentRef<Count>, AgentRef<Count>) {
    let world = World::new(vec![
        ("a", kind(Counter::default)),
        ("b", kind(Counter::default)),
    ])
    .await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    (world, a, b)
}

#[tokio::test(start_paused = true)]
async fn a_monitor_fires_once_at_the_end_of_the_life_that_it_was_set_on() {
    let (_world, a, b) = two().await;
    a.send(Count::Monitor(b.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    for _ in 0..3 {
        b.send(Count::Panic).await.expect("taken");
        assert_eq!(b.ask(Count::Get, SECOND).await, Ok(0));
    }
    assert_eq!(a.ask(Count::Notes, SECOND).await, Ok(vec![10_001]));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_on_a_dead_actor_fires_at_once_with_noproc() {
    let (world, _, b) = two().await;
    world.system.stop(b.path()).await.expect("stopped");
    let down = b.any().monitor().await.expect("told");
    assert_eq!(down.reason, ExitReason::NoProc);
}

#[tokio::test(start_paused = true)]
async fn down_arrives_behind_what_the_dead_one_had_sent() {
    let (_world, a, b) = two().await;
    a.send(Count::Monitor(b.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    for n in 0..50 {
        b.send(Count::SendNote(a.clone(), n)).await.expect("taken");
    }
    b.send(Count::Panic).await.expect("taken");
    until("it crashed", || b.any().incarnation().0 == 2).await;
    let mut expected: Vec<u64> = (0..50).collect();
    expected.push(10_001);
    assert_eq!(a.ask(Count::Notes, SECOND).await, Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn down_arrives_behind_what_the_dead_one_had_sent_even_when_the_receiver_was_full() {
    let world = World::with(vec![
        (
            "a",
            Box::new(|spec: AgentSpec<Counter>| {
                spec.mailbox(MailboxOptions {
                    capacity: 2,
                    ..MailboxOptions::default()
                })
            }) as Shape,
        ),
        ("b", kind(Counter::default)),
    ])
    .await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    a.send(Count::Monitor(b.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    a.any().pause();
    b.send(Count::SendNotes(a.clone(), 5)).await.expect("taken");
    until("three are on their way", || b.any().detail().outgoing == 3).await;
    b.any().kill();
    until("it is back", || b.any().incarnation().0 == 2).await;
    a.any().resume();
    until("all is delivered", || b.any().detail().outgoing == 0).await;
    assert_eq!(
        a.ask(Count::Notes, SECOND).await,
        Ok(vec![0, 1, 2, 3, 4, 10_001])
    );
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_longer_than_the_limit_is_a_dead_letter_and_two_full_agents_do_not_lock_each_other()
 {
    let shape = || -> Shape {
        Box::new(|spec| {
            spec.mailbox(MailboxOptions {
                capacity: 1,
                ..MailboxOptions::default()
            })
        })
    };
    let world = World::with(vec![("a", shape()), ("b", shape())]).await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    for agent in [&a, &b] {
        agent.any().pause();
    }
    a.send(Count::SendNotes(b.clone(), 3)).await.expect("taken");
    b.send(Count::SendNotes(a.clone(), 3)).await.expect("taken");
    for agent in [&a, &b] {
        agent.any().resume();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for agent in [&a, &b] {
        agent
            .ask(Count::Get, SECOND)
            .await
            .expect("it is not locked");
    }
    let causes: Vec<_> = world
        .system
        .dead_letters()
        .list()
        .iter()
        .map(|l| l.cause.clone())
        .collect();
    assert!(causes.contains(&DeathCause::Overloaded), "{causes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_linked_agent_that_does_not_trap_exits_dies_with_the_same_reason() {
    let (_world, a, b) = two().await;
    a.send(Count::Link(b.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    let down = a.any().monitor();
    b.send(Count::Stop(ExitReason::error_text("done for")))
        .await
        .expect("taken");
    assert_eq!(
        down.await.expect("told").reason,
        ExitReason::error_text("done for")
    );
}

#[tokio::test(start_paused = true)]
async fn a_normal_end_does_not_reach_a_linked_agent() {
    let (_world, a, b) = two().await;
    a.send(Count::Link(b.any())).await.expect("taken");
    b.send(Count::Stop(ExitReason::Normal))
        .await
        .expect("taken");
    until("b was restarted", || b.any().incarnation().0 == 2).await;
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(a.any().incarnation().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_follows_the_address_over_restarts_to_the_final_end() {
    let (world, a, b) = two().await;
    a.send(Count::Watch(b.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    for _ in 0..2 {
        b.any().kill();
        let life = b.any().incarnation().0;
        until("it is back", || {
            b.any().incarnation().0 > life || b.any().is_alive()
        })
        .await;
        assert_eq!(b.ask(Count::Get, SECOND).await, Ok(0));
    }
    let root = world.system.tree().expect("runs");
    root.terminate_child(name("b")).await.expect("stopped");
    root.delete_child(name("b")).await.expect("deleted");
    assert_eq!(
        a.ask(Count::Notes, SECOND).await,
        Ok(vec![20_002, 20_003, 30_000])
    );
}

#[tokio::test(start_paused = true)]
async fn s65_exit_normal_from_outside_is_ignored() {
    let (_world, a, _) = two().await;
    a.any().exit(ExitReason::Normal);
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(a.any().incarnation().0, 1);
}

#[tokio::test(start_paused = true)]
async fn s59_an_agent_that_is_killed_reports_killed_and_a_transient_one_is_restarted() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| spec.restart(Restart::Transient)),
    )])
    .await;
    let a = world.agent("a");
    let down = a.any().monitor();
    a.any().exit(ExitReason::Killed);
    assert_eq!(down.await.expect("told").reason, ExitReason::Killed);
    until("it is back", || a.any().incarnation().0 == 2).await;
}

fn registered(system: &System, id: &str) -> ChildSpec {
    AgentSpec::new(id, Counter::default)
        .expect("a name")
        .registered(name("the-one"))
        .restart(Restart::Transient)
        .child(system)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_before_the_end_of_its_holder_is_announced() {
    let system = system();
    let child = registered(&system, "a");
    let world = World::start(system, vec![child]).await;
    let a = world.agent("a");
    let down = a.any().monitor();
    a.send(Count::Stop(ExitReason::Normal))
        .await
        .expect("taken");
    down.await.expect("told");
    assert!(world.system.whereis(&name("the-one")).is_none());
    let root = world.system.tree().expect("runs");
    root.start_child(registered(&world.system, "b"))
        .await
        .expect("the name is free");
}

#[tokio::test(start_paused = true)]
async fn s23_a_name_that_is_taken_is_already_started_and_nothing_is_stored() {
    let system = system();
    let child = registered(&system, "a");
    let world = World::start(system, vec![child]).await;
    let holder = world.agent("a").any().pid();
    let root = world.system.tree().expect("runs");
    let refused = root
        .start_child(registered(&world.system, "b"))
        .await
        .expect_err("taken");
    assert_eq!(
        refused,
        swarm_supervisors::CallError::AlreadyStarted(holder)
    );
    assert_eq!(root.count_children().await.expect("answers").specs, 1);
    assert!(
        world
            .system
            .lookup(&swarm_protocols::Path::new("/b").expect("a path"))
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_outlives_a_crash() {
    let system = system();
    let child = registered(&system, "a");
    let world = World::start(system, vec![child]).await;
    let a = world.agent("a");
    for life in 2..5 {
        a.any().kill();
        assert_eq!(world.system.whereis(&name("the-one")), Some(a.any()));
        until("it is back", || {
            a.any().incarnation().0 == life && a.any().is_alive()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_a_multiset_that_survives_a_crash_and_forgets_at_the_final_end() {
    let (world, a, _) = two().await;
    let group = name("g");
    a.send(Count::Join(group.clone())).await.expect("taken");
    a.send(Count::Join(group.clone())).await.expect("taken");
    a.send(Count::Leave(group.clone())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(
        world.system.group(&group),
        vec![a.any()],
        "joined twice, left once"
    );
    a.any().kill();
    until("it is back", || a.any().is_alive()).await;
    assert_eq!(world.system.group(&group), vec![a.any()]);
    let root = world.system.tree().expect("runs");
    root.terminate_child(name("a")).await.expect("stopped");
    root.delete_child(name("a")).await.expect("deleted");
    assert!(world.system.group(&group).is_empty());
    assert!(world.system.groups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s123_names_resolve_to_live_processes_after_each_end_and_are_free_after_the_top_is_killed()
{
    let system = system();
    let mid = {
        let system = system.clone();
        ChildSpec::supervisor(name("mid"), move || {
            let worker = AgentSpec::new("w", Counter::default)
                .expect("a name")
                .registered(name("worker"))
                .child(&system);
            Ok(Some(swarm_supervisors::SupervisorSpec::new(
                swarm_supervisors::SupervisorFlags::default().intensity(100, SECOND),
                vec![worker],
            )))
        })
    };
    let world = World::start(system, vec![mid]).await;
    let system = &world.system;
    let worker = || system.whereis(&name("worker"));
    let mid_path = swarm_protocols::Path::new("/mid").expect("a path");
    let worker_path = swarm_protocols::Path::new("/mid/w").expect("a path");
    for round in 0..3 {
        let life = worker().expect("registered").pid();
        match round {
            0 => system.kill(&mid_path).await.expect("killed"),
            1 => system.kill(&worker_path).await.expect("killed"),
            _ => drop(system.restart(&worker_path).await.expect("restarted")),
        }
        until("the name resolves to a new life", || {
            worker().is_some_and(|w| w.is_alive() && w.pid() != life)
        })
        .await;
    }
    system.tree().expect("runs").kill();
    until("the names are free", || worker().is_none()).await;
}
