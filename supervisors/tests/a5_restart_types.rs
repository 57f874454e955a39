//! otp.md A5: restart types.

mod common;

use common::puppet::{Puppet, args, env, name, quiet, spec};
use common::{c, call, count, counts, crash, error, exit, play, start, sup, which, with};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{ChildSpec, Restart, Strategy, SupervisorFlags, start_root};

/// What comes of one end of a child of this restart type.
fn after(restart: &str, reason: &str) -> (serde_json::Value, serde_json::Value) {
    let child = with("c", json!({"restart": restart}));
    let script = json!([exit(10, "c", reason), which(20), count(20)]);
    let trace = play(sup("one_for_one", 5, 60, json!([child])), script);
    let mut results = trace.results(20);
    let counted = results.remove(1);
    (results.remove(0), counted)
}

fn restarted() -> (serde_json::Value, serde_json::Value) {
    (json!([["c", "running"]]), counts(1, 1, 0, 1))
}

#[test]
fn s53_a_permanent_child_is_restarted_after_a_normal_end_which_counts() {
    assert_eq!(after("permanent", "normal"), restarted());
    let trace = play(
        sup("one_for_one", 0, 60, json!([c("c")])),
        json!([exit(10, "c", "normal")]),
    );
    assert_eq!(trace.at(10)[1], "gave_up /#1");
}

#[tokio::test(start_paused = true)]
async fn s54_a_permanent_child_is_restarted_after_a_shutdown() {
    assert_eq!(after("permanent", "shutdown"), restarted());
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default().intensity(2, Duration::from_secs(60));
    let _root = start_root(env(), spec(flags, [puppet.spec("c")]))
        .await
        .expect("starts");
    puppet.end(ExitReason::SHUTDOWN);
    quiet().await;
    puppet.end(ExitReason::Shutdown(Some("info".into())));
    quiet().await;
    assert_eq!(puppet.lives(), 3);
}

#[test]
fn s55_a_permanent_child_is_restarted_after_a_crash() {
    assert_eq!(after("permanent", "crash"), restarted());
}

#[test]
fn s56_a_transient_child_is_not_restarted_after_a_normal_end_and_keeps_its_spec() {
    let kept = (json!([["c", "stopped"]]), counts(1, 0, 0, 1));
    assert_eq!(after("transient", "normal"), kept);
}

#[tokio::test(start_paused = true)]
async fn s57_a_transient_child_is_not_restarted_after_a_shutdown() {
    let puppet = Puppet::new();
    let child = puppet.spec("c").restart(Restart::Transient);
    let root = start_root(env(), spec(SupervisorFlags::default(), [child]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    puppet.end(ExitReason::SHUTDOWN);
    quiet().await;
    supervisor.restart_child(&name("c")).await.expect("by hand");
    puppet.end(ExitReason::Shutdown(Some("info".into())));
    quiet().await;
    let counted = supervisor.count_children().await.expect("lives");
    assert_eq!((counted.specs, counted.active, counted.workers), (1, 0, 1));
}

#[test]
fn s58_a_transient_child_is_restarted_after_a_crash() {
    assert_eq!(after("transient", "crash"), restarted());
}

#[test]
fn s59_a_killed_transient_child_is_restarted() {
    assert_eq!(after("transient", "kill"), restarted());
}

#[test]
fn s60_a_temporary_child_is_never_restarted_and_its_spec_goes() {
    for reason in ["normal", "shutdown", "crash", "kill"] {
        assert_eq!(after("temporary", reason), (json!([]), counts(0, 0, 0, 0)));
    }
    let temporary = || with("c", json!({"restart": "temporary"}));
    let script = json!([
        exit(10, "c", "crash"),
        start(20, "c", temporary()),
        which(30)
    ]);
    let trace = play(sup("one_for_one", 5, 60, json!([temporary()])), script);
    assert_eq!(trace.result(30), json!([["c", "running"]]));
}

#[test]
fn s61_a_temporary_bystander_is_stopped_and_does_not_come_back() {
    for strategy in ["one_for_all", "rest_for_one"] {
        let children = json!([c("c1"), with("c2", json!({"restart": "temporary"}))]);
        let script = json!([exit(10, "c1", "normal"), which(20)]);
        let trace = play(sup(strategy, 2, 300, children), script);
        assert_eq!(trace.ends("c2"), ["10 shutdown"]);
        assert_eq!(trace.result(20), json!([["c1", "running"]]));
        assert!(trace.root_lives());
    }
}

/// What is kept of a child is seen by who else still holds its start function and its arguments.
#[tokio::test(start_paused = true)]
async fn s62_neither_start_function_nor_arguments_of_temporary_children_are_kept() {
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let flags = SupervisorFlags::new(strategy);
        let root = start_root(env(), spec(flags, [])).await.expect("starts");
        for (restart, kept) in [
            (Restart::Permanent, true),
            (Restart::Transient, true),
            (Restart::Temporary, false),
        ] {
            let start = Arc::new(Puppet::new());
            let id = name(&format!("{restart:?}").to_lowercase());
            let child = ChildSpec::new(id, start.clone()).restart(restart);
            root.supervisor().start_child(child).await.expect("starts");
            assert_eq!(
                Arc::strong_count(&start) > 1,
                kept,
                "{strategy:?} {restart:?}"
            );
        }
    }
}

#[test]
fn s63_what_a_second_start_child_says_depends_on_restart_type_and_end() {
    for strategy in ["one_for_one", "one_for_all", "rest_for_one"] {
        for restart in ["permanent", "transient", "temporary"] {
            for end in ["kill", "normal", "crash", "terminate_child"] {
                let child = || with("c", json!({"restart": restart}));
                let ending = match end {
                    "terminate_child" => call(20, end, "c"),
                    reason => exit(20, "c", reason),
                };
                let script = json!([
                    start(10, "c", child()),
                    ending,
                    start(30, "c", child()),
                    call(40, "restart_child", "c")
                ]);
                let trace = play(sup(strategy, 5, 60, json!([])), script);
                let expected = match (restart, end) {
                    ("temporary", _) => json!("ok"),
                    (_, "terminate_child") | ("transient", "normal") => error("already_present"),
                    _ => error("already_started"),
                };
                assert_eq!(trace.result(30), expected, "{strategy} {restart} {end}");
                if expected == error("already_present") {
                    assert_eq!(trace.result(40), "ok");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s64_the_arguments_of_a_temporary_instance_are_not_kept() {
    let puppet = Puppet::new();
    let template = puppet.spec("t").restart(Restart::Temporary);
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env(), spec(flags, [template]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    puppet.crash();
    quiet().await;
    let large: swarm_supervisors::Args = Arc::new(7_u32);
    supervisor
        .start_instance(None, Some(large.clone()))
        .await
        .expect("starts");
    assert_eq!(puppet.args(), [1, 7]);
    assert_eq!(Arc::strong_count(&large), 1, "nobody else holds it");
}

/// There is no way to send a child an exit with reason `normal` from outside: `Child` knows `signal` and `kill`. Between agents, see there.
#[test]
fn s65_only_the_child_itself_ends_normally() {
    let trace = play(
        sup("one_for_one", 1, 5, json!([c("c")])),
        json!([
            exit(10, "unknown", "normal"),
            crash(10, "unknown"),
            which(20)
        ]),
    );
    assert_eq!(trace.result(20), json!([["c", "running"]]));
}
