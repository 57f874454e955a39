//! otp.md A2: children that ignore, fail or have more to say when they start.

mod common;

use common::puppet::{Act, Puppet, args, env, name, quiet, spec};
use common::{c, call, count, counts, crash, error, play, start, stop, sup, which, with};
use serde_json::{Value, json};
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Pid};
use swarm_supervisors::{CallError, ChildKey, Restart, Strategy, SupervisorFlags, start_root};

fn instance(at_ms: u64, id: &str) -> Value {
    call(at_ms, "start_child", id)
}

#[test]
fn s14_a_child_that_ignores_keeps_its_spec() {
    let ignoring = with("c1", json!({"start": ["ignore"]}));
    let script = json!([
        start(10, "c1", ignoring),
        start(20, "c2", c("c2")),
        which(30),
        count(40)
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([])), script);
    assert_eq!(trace.result(10), "ignore");
    assert_eq!(trace.result(20), "ok");
    assert_eq!(
        trace.result(30),
        json!([["c2", "running"], ["c1", "stopped"]])
    );
    assert_eq!(trace.result(40), counts(2, 1, 0, 2));
}

#[test]
fn s15_a_temporary_child_that_ignores_leaves_no_spec() {
    let children = json!([
        with("c1", json!({"restart": "temporary", "start": ["ignore"]})),
        with("c2", json!({"restart": "temporary"}))
    ]);
    let trace = play(
        sup("one_for_one", 1, 5, children),
        json!([which(10), count(20)]),
    );
    assert_eq!(trace.result(10), json!([["c2", "running"]]));
    assert_eq!(trace.result(20), counts(1, 1, 0, 1));
}

#[test]
fn s16_the_same_through_start_child() {
    let c1 = with("c1", json!({"restart": "temporary", "start": ["ignore"]}));
    let c2 = with("c2", json!({"restart": "temporary"}));
    let script = json!([
        start(10, "c1", c1),
        start(20, "c2", c2),
        which(30),
        count(40)
    ]);
    let trace = play(sup("one_for_one", 1, 5, json!([])), script);
    assert_eq!(trace.result(10), "ignore");
    assert_eq!(trace.result(30), json!([["c2", "running"]]));
    assert_eq!(trace.result(40), counts(1, 1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn s17_s18_an_instance_that_ignores_is_not_kept() {
    for restart in [Restart::Temporary, Restart::Permanent] {
        let puppet = Puppet::new().acts([Act::Ignore]);
        let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
        let template = puppet.spec("t").restart(restart);
        let root = start_root(env(), spec(flags, [template]))
            .await
            .expect("starts");
        let supervisor = root.supervisor();
        let first = supervisor
            .start_instance(None, None)
            .await
            .expect("no error");
        assert_eq!(first.pid, None);
        let second = supervisor
            .start_instance(None, None)
            .await
            .expect("no error");
        let children = supervisor.which_children().await.expect("lives");
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].state.pid(), second.pid);
        let counted = supervisor.count_children().await.expect("lives");
        assert_eq!((counted.specs, counted.active, counted.workers), (1, 1, 1));
        assert_eq!(root.shutdown().await, ExitReason::SHUTDOWN);
    }
}

#[test]
fn s19_a_child_whose_start_fails_is_not_kept() {
    let failing = with("c1", json!({"start": ["error"]}));
    let script = json!([start(10, "c1", failing), which(20)]);
    let trace = play(sup("one_for_one", 1, 5, json!([])), script);
    assert_eq!(trace.result(10), error("start_failed"));
    assert_eq!(trace.result(20), json!([]));
}

#[test]
fn s20_an_instance_whose_start_fails_is_not_kept() {
    let template = with("t", json!({"start": ["error"]}));
    let script = json!([instance(10, "i1"), which(20), count(30)]);
    let trace = play(sup("simple_one_for_one", 1, 5, json!([template])), script);
    assert_eq!(trace.result(10), error("start_failed"));
    assert_eq!(trace.result(20), json!([]));
    assert_eq!(trace.result(30), counts(1, 0, 0, 0));
}

#[test]
fn s21_a_failed_restart_child_leaves_the_slot_stopped_and_is_not_retried() {
    let c1 = with("c1", json!({"start": ["ok", "error", "ok"]}));
    let script = json!([
        call(10, "terminate_child", "c1"),
        call(20, "restart_child", "c1"),
        which(30)
    ]);
    let trace = play(sup("one_for_one", 5, 60, json!([c1])), script);
    assert_eq!(trace.result(20), error("start_failed"));
    assert_eq!(trace.result(30), json!([["c1", "stopped"]]));
    assert_eq!(trace.times("start", "c1"), 2);
}

#[tokio::test(start_paused = true)]
async fn s22_what_a_start_has_to_say_goes_to_the_caller_only() {
    let puppet = Puppet::new().acts([Act::RunWith(1), Act::RunWith(2), Act::RunWith(3)]);
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let info = |started: swarm_supervisors::ChildStarted| {
        *started
            .info
            .expect("it said something")
            .downcast_ref::<u32>()
            .expect("a number")
    };
    let started = supervisor
        .start_child(puppet.spec("c"))
        .await
        .expect("starts");
    assert_eq!(info(started), 1);
    supervisor.terminate_child(&name("c")).await.expect("stops");
    let started = supervisor.restart_child(&name("c")).await.expect("starts");
    assert_eq!(info(started), 2);
    puppet.crash();
    quiet().await;
    assert_eq!(
        puppet.lives(),
        3,
        "the automatic restart works and drops it"
    );
    // The next call does not see what an earlier start had to say.
    supervisor.terminate_child(&name("c")).await.expect("stops");
    let started = supervisor.restart_child(&name("c")).await.expect("starts");
    assert!(started.info.is_none());
}

#[tokio::test(start_paused = true)]
async fn s23_a_name_taken_by_a_stranger_is_reported_unwrapped_and_not_kept() {
    let stranger = Pid {
        address: Address(5),
        incarnation: Incarnation(3),
    };
    let puppet = Puppet::new().acts([Act::Taken(stranger)]);
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let result = supervisor.start_child(puppet.spec("c")).await;
    assert_eq!(result.err(), Some(CallError::AlreadyStarted(stranger)));
    assert!(supervisor.which_children().await.expect("lives").is_empty());
}

#[tokio::test(start_paused = true)]
async fn s24_an_unknown_id_is_not_found() {
    let puppet = Puppet::new();
    let root = start_root(env(), spec(SupervisorFlags::default(), [puppet.spec("c")])).await;
    let supervisor = root.as_ref().expect("starts").supervisor();
    let unknown = name("unknown");
    assert_eq!(
        supervisor.child_spec(&unknown).await.err(),
        Some(CallError::NotFound)
    );
    assert_eq!(
        supervisor.which_child(&unknown).await.err(),
        Some(CallError::NotFound)
    );
    let id = ChildKey::Id(unknown);
    assert_eq!(
        supervisor.child_spec(id).await.err(),
        Some(CallError::NotFound)
    );
}

#[tokio::test(start_paused = true)]
async fn s22_s100_instances_have_something_to_say_too() {
    let puppet = Puppet::new().acts([Act::RunWith(9)]);
    let flags =
        SupervisorFlags::new(Strategy::SimpleOneForOne).intensity(2, Duration::from_secs(3600));
    let root = start_root(env(), spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let started = root
        .supervisor()
        .start_instance(None, args(1))
        .await
        .expect("starts");
    assert_eq!(
        started.info.and_then(|info| info.downcast_ref().copied()),
        Some(9_u32)
    );
    for _ in 0..2 {
        puppet.crash();
        quiet().await;
    }
    assert_eq!(puppet.lives(), 3);
    puppet.crash();
    assert_eq!(root.wait().await, ExitReason::SHUTDOWN);
}

#[test]
fn s17_s102_an_instance_that_ignores_its_restart_is_dropped() {
    let template = with("t", json!({"start": ["ok", "ignore"]}));
    let script = json!([instance(10, "i"), crash(20, "i"), which(30), stop(40)]);
    let trace = play(sup("simple_one_for_one", 5, 60, json!([template])), script);
    assert_eq!(trace.result(30), json!([]));
    assert_eq!(trace.ends("/"), ["40 shutdown"]);
}
