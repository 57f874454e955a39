//! otp.md A8: simple_one_for_one.

mod common;

use common::puppet::{Act, Puppet, Seen, args, env, name, quiet, spec};
use common::{c, call, count, counts, crash, error, play, start, stop, sup, which, with};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Pid};
use swarm_supervisors::core::{Action, Core, Event, Outcome, Request};
use swarm_supervisors::{
    CallError, ChildKey, Restart, Root, Strategy, SupervisorFlags, SupervisorSpec, start_root,
};

fn simple(intensity: u32, template: Value) -> Value {
    sup("simple_one_for_one", intensity, 3600, json!([template]))
}

fn instance(at_ms: u64, id: &str) -> Value {
    call(at_ms, "start_child", id)
}

async fn puppets(puppet: &Puppet, restart: Restart) -> Root {
    let flags =
        SupervisorFlags::new(Strategy::SimpleOneForOne).intensity(9, Duration::from_secs(3600));
    start_root(env(), spec(flags, [puppet.spec("t").restart(restart)]))
        .await
        .expect("starts")
}

#[test]
fn s97_no_instance_is_started_at_init() {
    let trace = play(simple(1, c("t")), json!([which(10), count(20)]));
    assert_eq!(trace.at(0), ["start /#1", "started /#1"]);
    assert_eq!(trace.result(10), json!([]));
    assert_eq!(trace.result(20), counts(1, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn s98_a_restart_gets_the_same_arguments() {
    let puppet = Puppet::new();
    let root = puppets(&puppet, Restart::Permanent).await;
    root.supervisor()
        .start_instance(None, args(1))
        .await
        .expect("starts");
    root.supervisor()
        .start_instance(None, args(2))
        .await
        .expect("starts");
    puppet.end_life(0, ExitReason::Killed);
    quiet().await;
    assert_eq!(puppet.args(), [1, 2, 1]);
}

#[test]
fn s99_only_the_instance_that_crashed_is_restarted() {
    let script = json!([
        instance(1, "i"),
        instance(1, "j"),
        crash(10, "i"),
        count(20),
        crash(30, "j"),
        crash(40, "i")
    ]);
    let trace = play(simple(2, c("t")), script);
    assert_eq!(
        trace.at(10),
        ["exited i#1 crash", "start i#2", "started i#2"]
    );
    assert_eq!(trace.result(20), counts(1, 2, 0, 2));
    assert_eq!(trace.ends("/"), ["40 shutdown"]);
}

#[test]
fn s101_instances_escalate_when_a_restart_keeps_failing() {
    let template = with("t", json!({"start": ["ok", "error"]}));
    let script = json!([instance(1, "i"), instance(1, "j"), crash(10, "i")]);
    let trace = play(simple(4, template), script);
    assert_eq!(trace.times("start_failed", "i"), 4);
    assert_eq!(trace.ends("j"), ["10 shutdown"]);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s102_an_instance_that_ignores_its_restart_is_dropped() {
    for restart in ["permanent", "transient"] {
        let template = with("t", json!({"restart": restart, "start": ["ok", "ignore"]}));
        let script = json!([instance(1, "i"), crash(10, "i"), which(20), stop(30)]);
        let trace = play(simple(4, template), script);
        assert_eq!(trace.result(20), json!([]));
        assert_eq!(trace.ends("/"), ["30 shutdown"]);
    }
}

#[tokio::test(start_paused = true)]
async fn s103_calls_by_id_make_no_sense() {
    let puppet = Puppet::new();
    let root = puppets(&puppet, Restart::Permanent).await;
    let supervisor = root.supervisor();
    supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    let id = || ChildKey::Id(name("t"));
    let expected = CallError::SimpleOneForOne;
    assert_eq!(
        supervisor.terminate_child(id()).await.err(),
        Some(expected.clone())
    );
    assert_eq!(
        supervisor.restart_child(id()).await.err(),
        Some(expected.clone())
    );
    assert_eq!(supervisor.delete_child(id()).await.err(), Some(expected));
    assert_eq!(supervisor.count_children().await.expect("lives").active, 1);
    let script = json!([
        instance(1, "i"),
        call(10, "restart_child", "i"),
        call(20, "delete_child", "i"),
        call(30, "terminate_child", "unknown"),
        start(40, "k", c("k"))
    ]);
    let trace = play(simple(1, c("t")), script);
    assert_eq!(trace.result(10), error("simple_one_for_one"));
    assert_eq!(trace.result(20), error("simple_one_for_one"));
    assert_eq!(trace.result(30), error("not_found"));
    assert_eq!(
        trace.result(40),
        error("invalid"),
        "a spec where a template is"
    );
}

#[tokio::test(start_paused = true)]
async fn s104_an_instance_is_terminated_by_its_pid_and_again_and_a_stranger_is_not() {
    let stranger = Pid {
        address: Address(1),
        incarnation: Incarnation(1),
    };
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let env = env().with_liveness(move |pid| pid == stranger);
    let root = start_root(env, spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let started = supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    let pid = started.pid.expect("runs");
    puppet.seen();
    assert_eq!(supervisor.terminate_child(pid).await, Ok(()));
    assert_eq!(puppet.seen()[0], Seen::Signalled);
    assert!(supervisor.which_children().await.expect("lives").is_empty());
    assert_eq!(supervisor.terminate_child(pid).await, Ok(()), "idempotent");
    assert_eq!(
        supervisor.terminate_child(stranger).await,
        Err(CallError::NotFound)
    );
}

#[tokio::test(start_paused = true)]
async fn s105_entries_of_instances_have_no_id() {
    let puppet = Puppet::new();
    let root = puppets(&puppet, Restart::Permanent).await;
    let supervisor = root.supervisor();
    supervisor
        .start_instance(Some(name("x")), args(1))
        .await
        .expect("starts");
    supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    let children = supervisor.which_children().await.expect("lives");
    assert!(children.iter().all(|child| child.id.is_none()));
    let mut names: Vec<_> = children
        .iter()
        .map(|child| child.path.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["/t-1", "/x"]);
}

#[tokio::test(start_paused = true)]
async fn s106_instances_are_counted() {
    for (is_supervisor, restart) in [(false, Restart::Temporary), (true, Restart::Temporary)] {
        let puppet = Puppet::new();
        let mut template = puppet.spec("t").restart(restart);
        if is_supervisor {
            template = template.child_type(swarm_supervisors::ChildType::Supervisor);
        }
        let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
        let root = start_root(env(), spec(flags, [template]))
            .await
            .expect("starts");
        let supervisor = root.supervisor();
        let counted = async || {
            let counts = supervisor.count_children().await.expect("lives");
            (
                counts.specs,
                counts.active,
                counts.supervisors,
                counts.workers,
            )
        };
        let expected = |n| {
            if is_supervisor {
                (1, n, n, 0)
            } else {
                (1, n, 0, n)
            }
        };
        for n in [1000, 2000] {
            for _ in 0..1000 {
                supervisor
                    .start_instance(None, args(0))
                    .await
                    .expect("starts");
            }
            assert_eq!(counted().await, expected(n));
        }
        for n in 0..2000 {
            puppet.end_life(n, ExitReason::Killed);
        }
        quiet().await;
        assert_eq!(counted().await, expected(0));
    }
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

/// How many steps it takes to stop `n` instances one by one.
fn steps_to_stop(n: u32) -> u64 {
    let template =
        swarm_supervisors::ChildSpec::new(name("t"), Arc::new(Nothing)).restart(Restart::Temporary);
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let mut core = Core::new(SupervisorSpec::new(flags, vec![template]), 0).expect("fits");
    core.handle(Event::Begin, Duration::ZERO);
    let pid = |n: u32| Pid {
        address: Address(n.into()),
        incarnation: Incarnation(1),
    };
    let mut places = Vec::new();
    for n in 0..n {
        let request = Request::StartInstance(None, None);
        core.handle(Event::Call { ticket: 0, request }, Duration::ZERO);
        while let Some(action) = core.next_action() {
            if let Action::Start { slot, life, .. } = action {
                places.push((slot, life));
                core.handle(
                    Event::Started {
                        slot,
                        outcome: Outcome::Running(pid(n)),
                    },
                    Duration::ZERO,
                );
            }
        }
    }
    let before = core.steps();
    for (n, (slot, life)) in (0..n).zip(places) {
        let key = ChildKey::Pid(pid(n));
        let request = Request::Terminate {
            key,
            stranger_alive: false,
        };
        core.handle(Event::Call { ticket: 0, request }, Duration::ZERO);
        let reason = ExitReason::SHUTDOWN;
        core.handle(Event::Exited { slot, life, reason }, Duration::ZERO);
        while core.next_action().is_some() {}
    }
    assert_eq!(core.children(), 0);
    core.steps() - before
}

#[test]
fn s107_stopping_ten_times_as_many_instances_costs_about_ten_times_as_much() {
    let (few, many) = (steps_to_stop(1000), steps_to_stop(10_000));
    assert!(many < 50 * few, "{few} and {many} steps");
    assert!(
        many < 15 * few,
        "linear but for the height of a tree: {few} and {many} steps"
    );
}

#[tokio::test(start_paused = true)]
async fn s98_s104_two_instances_cannot_have_one_name() {
    let puppet = Puppet::new().acts([Act::Run]);
    let root = puppets(&puppet, Restart::Permanent).await;
    let supervisor = root.supervisor();
    let started = supervisor
        .start_instance(Some(name("x")), args(1))
        .await
        .expect("starts");
    let again = supervisor.start_instance(Some(name("x")), args(1)).await;
    assert_eq!(again.err(), started.pid.map(CallError::AlreadyStarted));
}
