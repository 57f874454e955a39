//! otp.md A4: stopping.

mod common;

use common::puppet::{Puppet, Reason, Seen, Stop, args, env, logged, name, quiet, spec};
use common::{c, call, exit, play, stop, sup, with};
use serde_json::{Value, json};
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{
    ChildSpec, Disposition, Report, Restart, Shutdown, Strategy, SupervisorFlags, start_root,
};
use tokio::time::Instant;

fn instances(n: usize) -> Vec<Value> {
    (0..n)
        .map(|n| call(1, "start_child", &format!("i{n}")))
        .collect()
}

#[test]
fn s36_infinity_is_legal_for_supervisors_and_workers() {
    let children = json!([
        {"id": "c1", "supervisor": {"children": [c("x")]}},
        with("c2", json!({"shutdown": "infinity", "stop_ms": 60_000})),
    ]);
    let trace = play(sup("one_for_one", 1, 5, children), json!([stop(10)]));
    assert_eq!(trace.ends("c2"), ["60010 shutdown"]);
    assert_eq!(trace.ends("c1"), ["60010 shutdown"]);
    assert_eq!(trace.ends("/"), ["60010 shutdown"]);
}

#[test]
fn s37_a_stuck_child_is_killed_after_its_time() {
    let children = json!([c("c1"), with("c2", json!({"stop_ms": 1_000_000}))]);
    let trace = play(sup("one_for_one", 1, 5, children), json!([stop(10)]));
    assert_eq!(trace.ends("c2"), ["1010 killed"]);
    assert_eq!(trace.ends("c1"), ["1010 shutdown"]);
    assert_eq!(trace.ends("/"), ["1010 shutdown"]);
}

#[test]
fn s37_a_child_that_needs_exactly_its_time_is_not_killed() {
    let children = json!([
        with("a", json!({"stop_ms": 1000})),
        with("b", json!({"shutdown": 0}))
    ]);
    let trace = play(sup("one_for_one", 1, 5, children), json!([stop(10)]));
    assert_eq!(trace.ends("b"), ["10 shutdown"]);
    assert_eq!(trace.ends("a"), ["1010 shutdown"]);
}

#[test]
fn s38_stuck_instances_are_killed_after_their_common_time() {
    let template = with("t", json!({"stop_ms": 1_000_000}));
    let mut script = instances(2);
    script.push(stop(10));
    let trace = play(
        sup("simple_one_for_one", 1, 5, json!([template])),
        json!(script),
    );
    assert_eq!(trace.ends("i0"), ["1010 killed"]);
    assert_eq!(trace.ends("i1"), ["1010 killed"]);
    assert_eq!(trace.ends("/"), ["1010 shutdown"]);
}

#[test]
fn s39_a_brutally_killed_child_is_not_told() {
    let c2 = with("c2", json!({"shutdown": "brutal_kill", "stop_ms": 500}));
    let trace = play(
        sup("one_for_one", 1, 5, json!([c("c1"), c2])),
        json!([stop(10)]),
    );
    assert_eq!(
        trace.at(10),
        [
            "stopping /#1",
            "exited c2#1 killed",
            "stopping c1#1",
            "exited c1#1 shutdown",
            "exited /#1 shutdown"
        ]
    );
}

#[test]
fn s40_ten_instances_are_brutally_killed() {
    let template = with("t", json!({"shutdown": "brutal_kill"}));
    let mut script = instances(10);
    script.push(stop(10));
    let trace = play(
        sup("simple_one_for_one", 1, 5, json!([template])),
        json!(script),
    );
    for n in 0..10 {
        assert_eq!(trace.ends(&format!("i{n}")), ["10 killed"]);
    }
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s41_a_shutdown_time_of_zero_tells_and_then_kills() {
    let child = with("c", json!({"shutdown": 0, "stop_ms": 1000}));
    let trace = play(
        sup("one_for_one", 1, 5, json!([child])),
        json!([call(10, "terminate_child", "c")]),
    );
    assert_eq!(
        trace.at(10),
        ["stopping c#1", "exited c#1 killed", "result c \"ok\""]
    );
}

#[test]
fn s42_children_stop_in_reverse_order_each_when_the_last_one_is_gone() {
    let children: Vec<_> = (1..=5).map(|n| c(&n.to_string())).collect();
    let trace = play(sup("one_for_one", 1, 5, json!(children)), json!([stop(10)]));
    let mut expected = vec!["stopping /#1".to_owned()];
    for n in (1..=5).rev() {
        expected.push(format!("stopping {n}#1"));
        expected.push(format!("exited {n}#1 shutdown"));
    }
    expected.push("exited /#1 shutdown".to_owned());
    assert_eq!(trace.at(10), expected);
}

#[test]
fn s43_static_children_need_the_sum_of_their_times() {
    let children: Vec<_> = (1..=3)
        .map(|n| with(&n.to_string(), json!({"stop_ms": 200})))
        .collect();
    let trace = play(sup("one_for_one", 1, 5, json!(children)), json!([stop(10)]));
    assert_eq!(trace.ends("/"), ["610 shutdown"]);
}

#[test]
fn s44_instances_stop_all_at_once() {
    let template = with("t", json!({"stop_ms": 200}));
    let mut script = instances(3);
    script.push(stop(10));
    let trace = play(
        sup("simple_one_for_one", 1, 5, json!([template])),
        json!(script),
    );
    assert_eq!(trace.ends("/"), ["210 shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn s45_one_timer_counts_for_all_instances() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let template = puppet
        .spec("t")
        .shutdown(Shutdown::Timeout(Duration::from_secs(2)));
    let root = start_root(env(), spec(flags, [template]))
        .await
        .expect("starts");
    for n in 0..3 {
        root.supervisor()
            .start_instance(None, args(n))
            .await
            .expect("starts");
    }
    let puppet = puppet.stops(Stop::Never);
    let end = tokio::spawn({
        let puppet = puppet.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            puppet.end_life(0, ExitReason::SHUTDOWN);
            puppet.end_life(1, ExitReason::SHUTDOWN);
        }
    });
    let begun = Instant::now();
    assert_eq!(root.shutdown().await, ExitReason::SHUTDOWN);
    assert_eq!(begun.elapsed().as_secs(), 2);
    end.await.expect("joins");
    let killed = puppet
        .seen()
        .iter()
        .filter(|seen| **seen == Seen::Killed)
        .count();
    assert_eq!(killed, 1, "only the third was late");
}

#[test]
fn s46_nobody_is_restarted_while_the_supervisor_stops() {
    for restart in ["permanent", "transient", "temporary"] {
        let mut children = vec![c("first")];
        for id in ["n", "s", "x"] {
            children.push(with(id, json!({"restart": restart})));
        }
        children.push(with("last", json!({"stop_ms": 900})));
        let script = json!([
            stop(10),
            exit(100, "n", "normal"),
            exit(100, "s", "shutdown"),
            exit(100, "x", "crash")
        ]);
        let trace = play(sup("one_for_one", 10, 60, json!(children)), script);
        for (id, reason) in [("n", "normal"), ("s", "shutdown"), ("x", "crash")] {
            assert_eq!(trace.ends(id), [format!("100 {reason}")]);
            assert_eq!(trace.times("start", id), 1);
        }
        assert_eq!(trace.ends("first"), ["910 shutdown"]);
        assert_eq!(trace.ends("/"), ["910 shutdown"]);
    }
}

async fn stop_with(
    reason: Reason,
    restart: Restart,
    strategy: Strategy,
) -> (ExitReason, Vec<String>) {
    let puppet = Puppet::new().stops(Stop::With(reason));
    let (env, log) = logged();
    let template = puppet.spec("c").restart(restart);
    let root = start_root(env, spec(SupervisorFlags::new(strategy), [template]))
        .await
        .expect("starts");
    if strategy == Strategy::SimpleOneForOne {
        for n in 0..3 {
            root.supervisor()
                .start_instance(None, args(n))
                .await
                .expect("starts");
        }
    }
    log.take();
    let ended = root.shutdown().await;
    (ended, log.failures())
}

#[tokio::test(start_paused = true)]
async fn s47_instances_may_end_with_any_reason_while_they_are_stopped() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for reason in [Reason::Normal, Reason::ShutdownWith, Reason::Error] {
            let (ended, _) = stop_with(reason, restart, Strategy::SimpleOneForOne).await;
            assert_eq!(ended, ExitReason::SHUTDOWN);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s48_a_child_that_never_obeys_does_not_hang_its_supervisor() {
    let puppet = Puppet::new().stops(Stop::Never);
    let child = puppet
        .spec("c")
        .shutdown(Shutdown::Timeout(Duration::from_secs(1)));
    let root = start_root(env(), spec(SupervisorFlags::default(), [child]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let terminating = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.terminate_child(&name("c")).await }
    });
    let counted = supervisor.count_children().await.expect("lives");
    assert_eq!(terminating.await.expect("joins"), Ok(()));
    assert_eq!(counted.specs, 1);
}

#[tokio::test(start_paused = true)]
async fn s49_only_a_wrong_end_while_stopping_is_reported() {
    let one = Strategy::OneForOne;
    let (_, failures) = stop_with(Reason::Normal, Restart::Permanent, one).await;
    assert_eq!(failures, ["shutdown_error c normal"]);
    let (_, failures) = stop_with(Reason::ShutdownWith, Restart::Permanent, one).await;
    assert_eq!(failures, ["shutdown_error c shutdown(x)"]);
    for restart in [Restart::Transient, Restart::Temporary] {
        let (_, failures) = stop_with(Reason::Normal, restart, one).await;
        assert!(failures.is_empty(), "{failures:?}");
        let (_, failures) = stop_with(Reason::ShutdownWith, restart, one).await;
        assert!(failures.is_empty(), "{failures:?}");
        let (_, failures) = stop_with(Reason::Error, restart, one).await;
        assert_eq!(failures, ["shutdown_error c error(other)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn s49_a_kill_for_lateness_is_reported_and_a_brutal_one_is_not() {
    for (shutdown, expected) in [
        (
            Shutdown::Timeout(Duration::from_secs(1)),
            vec!["shutdown_error c killed"],
        ),
        (Shutdown::BrutalKill, vec![]),
    ] {
        let puppet = Puppet::new().stops(Stop::Never);
        let (env, log) = logged();
        let child = puppet.spec("c").shutdown(shutdown);
        let root = start_root(env, spec(SupervisorFlags::default(), [child]))
            .await
            .expect("starts");
        root.shutdown().await;
        assert_eq!(log.failures(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn s50_wrong_ends_of_instances_are_reported_once_per_reason() {
    let (_, failures) =
        stop_with(Reason::Error, Restart::Permanent, Strategy::SimpleOneForOne).await;
    assert_eq!(failures, ["shutdown_error c error(other)"]);
}

#[tokio::test(start_paused = true)]
async fn s50_the_report_says_how_many() {
    let puppet = Puppet::new().stops(Stop::With(Reason::Normal));
    let (env, log) = logged();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env, spec(flags, [puppet.spec("c")]))
        .await
        .expect("starts");
    for n in 0..4 {
        root.supervisor()
            .start_instance(None, args(n))
            .await
            .expect("starts");
    }
    log.take();
    root.shutdown().await;
    let text = log.take().iter().find_map(|report| match report {
        Report::Supervisor(_) => Some(report.single_line(Default::default())),
        _ => None,
    });
    assert_eq!(
        text.as_deref(),
        Some(
            "Supervisor: /. Context: shutdown_error. Reason: normal. Offender: id=c,nb_children=4."
        )
    );
}

/// Nobody but the parent has a way to ask a supervisor to stop: its handle can only kill. Exit signals between agents are
/// covered where there are agents.
#[test]
fn s51_an_exit_that_does_not_come_from_the_parent_does_nothing_to_a_supervisor() {
    let children = json!([{"id": "sub", "supervisor": {"children": [c("x")]}}]);
    let script = json!([
        exit(10, "sub", "shutdown"),
        exit(10, "sub", "crash"),
        exit(10, "/", "normal"),
        call(20, "count_children", "sub")
    ]);
    let trace = play(sup("one_for_one", 1, 5, children), script);
    assert_eq!(trace.at(10), [""; 0]);
    assert_eq!(trace.result(20), common::counts(1, 1, 0, 1));
}

#[test]
fn s52_a_killed_supervisor_takes_its_children_with_it_at_once() {
    let children = json!([
        {"id": "sub", "supervisor": {"children": [with("x", json!({"stop_ms": 500})), c("y")]}}
    ]);
    let script = json!([exit(10, "sub", "kill")]);
    let trace = play(sup("one_for_one", 1, 5, children), script);
    assert_eq!(
        trace.at(10)[..4],
        [
            "exited sub#1 killed",
            "exited sub/x#1 killed",
            "exited sub/y#1 killed",
            "start sub#2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s52_a_kill_does_not_wait_for_a_start_under_way() {
    let slow = Puppet::new().acts([common::puppet::Act::Slow(Duration::from_secs(3600))]);
    let other = Puppet::new();
    let root = start_root(env(), spec(SupervisorFlags::default(), [other.spec("a")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let starting = tokio::spawn({
        let (supervisor, slow) = (supervisor.clone(), slow.clone());
        async move { supervisor.start_child(slow.spec("b")).await }
    });
    quiet().await;
    supervisor.kill();
    assert!(other.seen().contains(&Seen::Killed), "at once");
    assert_eq!(root.wait().await, ExitReason::Killed);
    let answer = starting.await.expect("joins").map(|_| ());
    assert_eq!(answer, Err(swarm_supervisors::CallError::NoProc));
    assert_eq!(slow.lives(), 0);
}

#[tokio::test(start_paused = true)]
async fn s52_dropping_the_root_kills_the_tree() {
    let puppet = Puppet::new();
    let inner = spec(SupervisorFlags::default(), [puppet.spec("x")]);
    let children = [ChildSpec::supervisor(name("sub"), inner)];
    let root = start_root(env(), spec(SupervisorFlags::default(), children))
        .await
        .expect("starts");
    puppet.seen();
    drop(root);
    assert_eq!(
        puppet.seen(),
        [
            Seen::Killed,
            Seen::Settled(Disposition::SupervisorEnded),
            Seen::Settled(Disposition::Removed)
        ]
    );
}
