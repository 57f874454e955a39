//! otp.md A9: managing children at run time.

mod common;

use common::puppet::{Puppet, args, env, name, quiet, spec};
use common::{c, call, count, counts, crash, error, exit, play, start, sup, which, with};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Pid};
use swarm_supervisors::core::{Action, Contained, Core, Event, Outcome, Request};
use swarm_supervisors::{
    CallError, ChildKey, ChildSpec, ChildState, Strategy, SupervisorFlags, SupervisorSpec,
    start_root,
};

#[test]
fn s108_starting_who_is_running_is_refused() {
    let trace = play(
        sup("one_for_one", 1, 5, json!([c("a")])),
        json!([start(10, "a", c("a"))]),
    );
    assert_eq!(trace.at(10), ["result a {\"error\":\"already_started\"}"]);
}

#[test]
fn s109_starting_whose_spec_is_there_is_refused() {
    let script = json!([
        call(10, "terminate_child", "a"),
        start(20, "a", with("a", json!({"restart": "temporary"}))),
        call(30, "restart_child", "a"),
        exit(40, "a", "normal"),
        which(50)
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([c("a")])), script);
    assert_eq!(trace.result(20), error("already_present"));
    assert_eq!(
        trace.result(50),
        json!([["a", "running"]]),
        "the spec given was discarded"
    );
}

#[test]
fn s110_terminating_twice_is_fine() {
    let script = json!([
        call(10, "terminate_child", "c"),
        call(20, "terminate_child", "c"),
        count(30),
        which(40)
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([c("c")])), script);
    assert_eq!(
        trace.at(10),
        ["stopping c#1", "exited c#1 shutdown", "result c \"ok\""]
    );
    assert_eq!(trace.at(20), ["result c \"ok\""]);
    assert_eq!(trace.result(30), counts(1, 0, 0, 1));
    assert_eq!(trace.result(40), json!([["c", "stopped"]]));
}

#[test]
fn s111_an_unknown_id_is_not_found() {
    let calls = ["terminate_child", "delete_child", "restart_child"];
    let script: Vec<_> = calls.iter().map(|word| call(10, word, "x")).collect();
    let trace = play(sup("one_for_one", 1, 5, json!([c("c")])), json!(script));
    assert_eq!(trace.results(10), vec![error("not_found"); 3]);
}

#[tokio::test(start_paused = true)]
async fn s112_a_supervisor_that_is_gone_answers_noproc() {
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    root.shutdown().await;
    let noproc = Some(CallError::NoProc);
    assert_eq!(supervisor.which_children().await.err(), noproc);
    assert_eq!(supervisor.count_children().await.err(), noproc);
    assert_eq!(supervisor.terminate_child(&name("x")).await.err(), noproc);
    assert_eq!(
        supervisor.start_child(Puppet::new().spec("x")).await.err(),
        noproc
    );
    assert!(!supervisor.is_alive());
}

#[test]
fn s113_restart_child_is_for_stopped_children() {
    let script = json!([
        call(10, "restart_child", "c"),
        call(20, "terminate_child", "c"),
        call(30, "restart_child", "c")
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([c("c")])), script);
    assert_eq!(trace.result(10), error("running"));
    assert_eq!(
        trace.at(30),
        ["start c#2", "started c#2", "result c \"ok\""]
    );
}

#[test]
fn s114_delete_child_is_for_stopped_children() {
    let script = json!([
        call(10, "delete_child", "c"),
        call(20, "terminate_child", "c"),
        call(30, "delete_child", "c"),
        which(40),
        count(50),
        call(60, "restart_child", "c")
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([c("c")])), script);
    assert_eq!(trace.result(10), error("running"));
    assert_eq!(trace.result(30), "ok");
    assert_eq!(trace.result(40), json!([]));
    assert_eq!(trace.result(50), counts(0, 0, 0, 0));
    assert_eq!(trace.result(60), error("not_found"));
}

#[tokio::test(start_paused = true)]
async fn s115_a_pid_means_nobody_under_a_static_supervisor() {
    let puppet = Puppet::new();
    let root = start_root(env(), spec(SupervisorFlags::default(), [puppet.spec("c")]))
        .await
        .expect("starts");
    let result = root.supervisor().terminate_child(puppet.pid()).await;
    assert_eq!(result, Err(CallError::NotFound));
    assert_eq!(
        root.supervisor()
            .count_children()
            .await
            .expect("lives")
            .active,
        1
    );
}

#[test]
fn s116_who_is_deleted_and_started_again_is_last() {
    let script = json!([
        call(10, "terminate_child", "a"),
        call(20, "delete_child", "a"),
        start(30, "a", c("a")),
        which(40)
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([c("a"), c("b")])), script);
    assert_eq!(
        trace.result(40),
        json!([["a", "running"], ["b", "running"]])
    );
    assert_eq!(
        trace.at(30)[0],
        "start a#1",
        "another child of the same name"
    );
}

#[test]
fn s117_a_terminated_temporary_child_is_gone() {
    let child = with("c", json!({"restart": "temporary"}));
    let script = json!([
        call(10, "terminate_child", "c"),
        which(20),
        call(30, "terminate_child", "c")
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([child])), script);
    assert_eq!(trace.result(10), "ok");
    assert_eq!(trace.result(20), json!([]));
    assert_eq!(trace.result(30), error("not_found"));
}

#[test]
fn s118_which_children_lists_the_last_started_first() {
    let trace = play(
        sup("one_for_one", 1, 5, json!([c("a"), c("b"), c("d")])),
        json!([which(10)]),
    );
    let expected = json!([["d", "running"], ["b", "running"], ["a", "running"]]);
    assert_eq!(trace.result(10), expected);
}

#[tokio::test(start_paused = true)]
async fn s119_which_child_shows_one() {
    let puppet = Puppet::new();
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let id = name("c");
    assert_eq!(
        supervisor.which_child(&id).await.err(),
        Some(CallError::NotFound)
    );
    supervisor
        .start_child(puppet.spec("c"))
        .await
        .expect("starts");
    let entry = supervisor.which_child(&id).await.expect("known");
    assert_eq!(entry.state, ChildState::Running(puppet.pid()));
    assert_eq!(entry.child.expect("runs").pid(), puppet.pid());
    supervisor.terminate_child(&id).await.expect("stops");
    assert_eq!(
        supervisor.which_child(&id).await.expect("known").state,
        ChildState::Stopped
    );
    supervisor.delete_child(&id).await.expect("forgets");
    assert_eq!(
        supervisor.which_child(&id).await.err(),
        Some(CallError::NotFound)
    );
}

#[tokio::test(start_paused = true)]
async fn s120_which_child_shows_an_instance_by_its_pid() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env(), spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let started = supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    let pid = started.pid.expect("runs");
    assert_eq!(
        supervisor.which_child(pid).await.expect("known").state,
        ChildState::Running(pid)
    );
    let stranger = Pid {
        address: Address(1),
        incarnation: Incarnation(1),
    };
    assert_eq!(
        supervisor.which_child(stranger).await.err(),
        Some(CallError::NotFound)
    );
    supervisor.terminate_child(pid).await.expect("stops");
    assert_eq!(
        supervisor.which_child(pid).await.err(),
        Some(CallError::NotFound)
    );
    let id = ChildKey::Id(name("t"));
    assert_eq!(
        supervisor.which_child(id).await.err(),
        Some(CallError::SimpleOneForOne)
    );
}

struct Nothing;

impl swarm_supervisors::StartChild for Nothing {
    fn start(
        &self,
        _: swarm_supervisors::Link,
    ) -> futures_util::future::BoxFuture<
        '_,
        Result<swarm_supervisors::Started, swarm_supervisors::StartError>,
    > {
        unreachable!("the core starts nothing")
    }
}

/// How many steps it takes to start and then to stop and delete `n` children through calls.
fn steps(n: u32) -> (u64, u64) {
    let mut core = Core::new(SupervisorSpec::default(), 0).expect("fits");
    core.handle(Event::Begin, Duration::ZERO);
    let id = |n: u32| -> Name { name(&format!("c{n}")) };
    let ask = |core: &mut Core, request| {
        core.handle(Event::Call { ticket: 0, request }, Duration::ZERO);
        let mut begun = None;
        while let Some(action) = core.next_action() {
            match action {
                Action::Start { slot, life, .. } => {
                    begun = Some((slot, life));
                    let pid = Pid {
                        address: Address(life.into()),
                        incarnation: Incarnation(1),
                    };
                    core.handle(
                        Event::Started {
                            slot,
                            outcome: Outcome::Running(pid),
                        },
                        Duration::ZERO,
                    );
                }
                Action::Answer { answer, .. } => assert!(answer.is_ok(), "{answer:?}"),
                _ => {}
            }
        }
        begun
    };
    let mut places = Vec::new();
    for n in 0..n {
        let child = ChildSpec::new(id(n), Arc::new(Nothing));
        places.extend(ask(
            &mut core,
            Request::StartChild(Contained::new(Box::new(child))),
        ));
    }
    let started = core.steps();
    for (n, (slot, life)) in (0..n).zip(places) {
        let key = ChildKey::Name(id(n));
        ask(
            &mut core,
            Request::Terminate {
                key: key.clone(),
                stranger_alive: false,
            },
        );
        core.handle(
            Event::Exited {
                slot,
                life,
                reason: ExitReason::SHUTDOWN,
            },
            Duration::ZERO,
        );
        ask(&mut core, Request::Delete(key));
    }
    assert_eq!(core.children(), 0);
    (started, core.steps() - started)
}

#[test]
fn s121_starting_and_stopping_a_hundred_thousand_children_is_about_linear() {
    let (few, many) = (steps(1000), steps(100_000));
    assert!(many.0 <= 10 * 100 * few.0, "start: {few:?} and {many:?}");
    assert!(many.1 <= 10 * 100 * few.1, "stop: {few:?} and {many:?}");
    assert!(
        many.0 <= 2 * 100 * few.0 && many.1 <= 2 * 100 * few.1,
        "and tighter: {few:?}, {many:?}"
    );
}

#[test]
fn s122_a_tree_loses_its_dynamic_children_with_their_supervisor() {
    let failing = with("bad", json!({"start": ["ok", "error"]}));
    let children = json!([
        {"id": "sub1", "supervisor": sup("one_for_one", 0, 60, json!([c("x"), c("y")]))},
        {"id": "sub2", "supervisor": sup("one_for_one", 1, 60, json!([]))},
        {"id": "sub3", "restart": "transient", "supervisor": sup("one_for_one", 0, 60, json!([c("z")]))}
    ]);
    let script = json!([
        start(1, "sub2/w1", c("w1")),
        start(1, "sub2/bad", failing),
        call(2, "terminate_child", "sub3"),
        count(3),
        crash(10, "sub2/bad"),
        count(20),
        call(30, "which_children", "sub1"),
        call(40, "which_children", "sub2")
    ]);
    let trace = play(sup("one_for_all", 3, 60, children), script);
    assert_eq!(trace.result(3), counts(3, 2, 3, 0));
    assert_eq!(trace.times("gave_up", "sub2"), 1);
    assert_eq!(trace.result(20), counts(3, 3, 3, 0), "also the stopped one");
    assert_eq!(
        trace.result(30),
        json!([["y", "running"], ["x", "running"]])
    );
    assert_eq!(trace.times("started", "sub1/x"), 2);
    assert_eq!(trace.result(40), json!([]), "dynamic children are gone");
    assert_eq!(trace.ends("sub2/w1"), ["10 shutdown"]);
}

#[test]
fn s122_a_crashed_dynamic_worker_is_restarted_alone() {
    let children =
        json!([{"id": "sub", "supervisor": sup("simple_one_for_one", 3, 60, json!([c("t")]))}]);
    let script = json!([
        call(1, "start_child", "sub/i"),
        call(1, "start_child", "sub/j"),
        crash(10, "sub/i")
    ]);
    let trace = play(sup("one_for_all", 3, 60, children), script);
    assert_eq!(
        trace.at(10),
        ["exited sub/i#1 crash", "start sub/i#2", "started sub/i#2"]
    );
}

/// Names belong to agents; here the same holds for paths: whatever dies, the path leads to a life again.
#[test]
fn s123_every_path_leads_to_a_life_again() {
    let children = json!([{"id": "sub", "supervisor": sup("one_for_one", 3, 60, json!([c("w")]))}]);
    let script = json!([
        exit(10, "sub", "kill"),
        exit(20, "sub/w", "kill"),
        crash(30, "sub/w"),
        call(40, "terminate_child", "sub/w"),
        call(40, "restart_child", "sub/w"),
        call(50, "count_children", "sub"),
        exit(60, "/", "kill"),
        call(70, "count_children", "sub"),
        count(70)
    ]);
    let trace = play(sup("one_for_one", 3, 60, children), script);
    assert_eq!(trace.result(50), counts(1, 1, 0, 1));
    assert_eq!(trace.ends("/"), ["60 killed"]);
    assert_eq!(trace.results(70), vec![error("noproc"); 2]);
}

/// A message that a supervisor does not know cannot be sent: its queue is typed. What it can get is an exit of a life that it
/// has long forgotten.
#[tokio::test(start_paused = true)]
async fn s124_an_exit_of_a_forgotten_life_is_ignored() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default().intensity(3, Duration::from_secs(60));
    let root = start_root(env(), spec(flags, [puppet.spec("c")]))
        .await
        .expect("starts");
    puppet.crash();
    quiet().await;
    puppet.end_life(0, ExitReason::Killed);
    quiet().await;
    assert_eq!(puppet.lives(), 2);
    assert!(root.ended().is_none());
}

#[tokio::test(start_paused = true)]
async fn cycle_child_stops_and_starts_without_counting() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default().intensity(0, Duration::from_secs(60));
    let root = start_root(env(), spec(flags, [puppet.spec("c")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    for n in 2..5 {
        let started = supervisor
            .cycle_child(&name("c"))
            .await
            .expect("starts again");
        assert_eq!(started.pid.map(|pid| pid.incarnation), Some(Incarnation(n)));
    }
    let unknown = supervisor.cycle_child(&name("x")).await;
    assert_eq!(unknown.err(), Some(CallError::NotFound));
    let temporary = Puppet::new()
        .spec("t")
        .restart(swarm_supervisors::Restart::Temporary);
    supervisor.start_child(temporary).await.expect("starts");
    let refused = supervisor.cycle_child(&name("t")).await;
    assert_eq!(refused.err(), Some(CallError::Temporary));
}

#[tokio::test(start_paused = true)]
async fn cycle_child_works_for_instances() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env(), spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    supervisor
        .start_instance(Some(name("x")), args(4))
        .await
        .expect("starts");
    supervisor
        .cycle_child(&name("x"))
        .await
        .expect("starts again");
    assert_eq!(puppet.args(), [4, 4]);
}
