//! otp.md A6: restart intensity and period.

mod common;

use common::{c, call, crash, exit, play, start, sup, with};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Pid};
use swarm_supervisors::core::{Action, Core, Event, Outcome};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorSpec};

#[test]
fn s66_more_restarts_than_the_intensity_end_the_supervisor() {
    let script = json!([crash(10, "c1"), crash(20, "c2"), crash(30, "c1")]);
    let trace = play(
        sup("one_for_one", 2, 3600, json!([c("c1"), c("c2")])),
        script,
    );
    assert_eq!(
        trace.at(30),
        [
            "exited c1#2 crash",
            "gave_up /#1",
            "stopping c2#2",
            "exited c2#2 shutdown",
            "exited /#1 shutdown"
        ]
    );
}

#[test]
fn s67_intensity_zero_bears_no_restart() {
    let trace = play(
        sup("one_for_one", 0, 1, json!([c("c")])),
        json!([crash(10, "c")]),
    );
    assert_eq!(
        trace.at(10),
        ["exited c#1 crash", "gave_up /#1", "exited /#1 shutdown"]
    );
}

#[test]
fn s68_restarts_far_enough_apart_go_on_for_ever() {
    let script: Vec<_> = (0..5).map(|n| crash(10 + n * 2100, "c")).collect();
    let trace = play(sup("one_for_one", 1, 1, json!([c("c")])), json!(script));
    assert_eq!(trace.times("started", "c"), 6);
    assert!(trace.root_lives());
}

#[test]
fn s69_the_window_is_almost_a_second_longer_than_the_period() {
    let script = json!([crash(50, "c"), crash(1920, "c")]);
    let trace = play(sup("one_for_one", 1, 1, json!([c("c")])), script);
    assert_eq!(trace.at(1920)[1], "gave_up /#1");
}

#[test]
fn s70_crashes_two_ticks_apart_are_borne_though_closer_together() {
    let script = json!([crash(950, "c"), crash(2050, "c")]);
    let trace = play(sup("one_for_one", 1, 1, json!([c("c")])), script);
    assert!(trace.root_lives());
}

#[test]
fn s71_the_intensity_is_shared_by_all_children() {
    let script = json!([crash(10, "a"), crash(20, "b"), crash(30, "d")]);
    let trace = play(
        sup("one_for_one", 2, 60, json!([c("a"), c("b"), c("d")])),
        script,
    );
    assert_eq!(trace.ends("/"), ["30 shutdown"]);
}

#[test]
fn s72_failed_attempts_count_like_restarts() {
    let child = with("c", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("one_for_one", 5, 60, json!([child])),
        json!([crash(10, "c")]),
    );
    assert_eq!(trace.times("start_failed", "c"), 5);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s73_there_is_no_delay_between_attempts() {
    let child = with("c", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("one_for_one", 1000, 60, json!([child])),
        json!([crash(10, "c")]),
    );
    assert_eq!(trace.times("start_failed", "c"), 1000);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

fn twenty() -> (Vec<Value>, Vec<Value>) {
    let ids: Vec<_> = (0..20).map(|n| format!("c{n}")).collect();
    let children = ids.iter().map(|id| c(id)).collect();
    let script = ids.iter().map(|id| exit(10, id, "kill")).collect();
    (children, script)
}

#[test]
fn s74_twenty_simultaneous_deaths_count_once() {
    let (children, script) = twenty();
    let trace = play(sup("one_for_all", 1, 60, json!(children)), json!(script));
    assert!(trace.root_lives());
    for n in 0..20 {
        assert_eq!(trace.times("started", &format!("c{n}")), 2);
    }
}

#[test]
fn s75_two_simultaneous_deaths_count_twice_under_one_for_one() {
    let script = json!([crash(10, "a"), crash(10, "b")]);
    let trace = play(sup("one_for_one", 1, 60, json!([c("a"), c("b")])), script);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s76_a_group_restart_counts_once() {
    for strategy in ["one_for_all", "rest_for_one"] {
        let children = json!([c("a"), c("b"), c("d")]);
        let script = json!([crash(10, "a"), crash(20, "a")]);
        let trace = play(sup(strategy, 2, 60, children), script);
        assert!(trace.root_lives(), "{strategy}");
        assert_eq!(trace.times("started", "d"), 3);
    }
}

#[test]
fn s77_calls_never_count() {
    let mut script = Vec::new();
    for n in 0..10 {
        let at = 10 + n * 10;
        script.push(call(at, "terminate_child", "c"));
        script.push(call(at, "restart_child", "c"));
        script.push(call(at, "terminate_child", "c"));
        script.push(call(at, "delete_child", "c"));
        script.push(start(at, "c", c("c")));
    }
    let trace = play(sup("one_for_one", 0, 60, json!([c("c")])), json!(script));
    assert!(trace.root_lives());
    assert_eq!(trace.times("started", "c"), 21);
}

#[test]
fn s78_whoever_gives_up_stops_the_rest_in_reverse() {
    let trace = play(
        sup("one_for_one", 0, 60, json!([c("a"), c("b"), c("d")])),
        json!([crash(10, "b")]),
    );
    assert_eq!(
        trace.at(10),
        [
            "exited b#1 crash",
            "gave_up /#1",
            "stopping d#1",
            "exited d#1 shutdown",
            "stopping a#1",
            "exited a#1 shutdown",
            "exited /#1 shutdown"
        ]
    );
}

fn sub(restart: &str, intensity: u32, child: Value) -> Value {
    json!({"id": "sub", "restart": restart, "supervisor": sup("one_for_one", intensity, 60, json!([child]))})
}

#[test]
fn s79_a_permanent_supervisor_that_gave_up_is_restarted_with_a_fresh_list() {
    let script = json!([
        crash(10, "sub/x"),
        crash(20, "sub/x"),
        crash(30, "sub/x"),
        crash(40, "sub/x")
    ]);
    let trace = play(
        sup("one_for_one", 1, 60, json!([sub("permanent", 1, c("x"))])),
        script,
    );
    assert_eq!(
        trace.at(20)[1..4],
        ["gave_up sub#1", "exited sub#1 shutdown", "start sub#2"]
    );
    assert_eq!(trace.at(30)[1], "start sub/x#4", "the list is fresh");
    assert_eq!(
        trace.at(40).last().map(String::as_str),
        Some("exited /#1 shutdown")
    );
}

#[test]
fn s80_a_transient_supervisor_that_gave_up_is_not_restarted() {
    let script = json!([crash(10, "sub/x"), common::which(20)]);
    let trace = play(
        sup("one_for_one", 5, 60, json!([sub("transient", 0, c("x"))])),
        script,
    );
    assert_eq!(trace.result(20), json!([["sub", "stopped"]]));
    assert_eq!(trace.times("start", "sub"), 1);
}

#[test]
fn s81_two_levels_multiply_their_attempts() {
    let failing = with("x", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("one_for_one", 3, 60, json!([sub("permanent", 4, failing)])),
        json!([crash(10, "sub/x")]),
    );
    // The first life of the sub makes four attempts; each of its three restarts fails in its own start.
    assert_eq!(trace.times("start", "sub/x"), 1 + 4 + 3);
    let flapping = c("x");
    let script: Vec<_> = (0..25).map(|n| crash(10 + n, "sub/x")).collect();
    let trace = play(
        sup("one_for_one", 3, 60, json!([sub("permanent", 4, flapping)])),
        json!(script),
    );
    assert_eq!(trace.times("exited", "sub/x"), (3 + 1) * (4 + 1));
    assert_eq!(trace.ends("/").len(), 1);
}

struct Never;

impl swarm_supervisors::StartChild for Never {
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

#[test]
fn s82_the_cost_of_a_restart_does_not_grow_with_the_restarts_in_the_window() {
    let flags = SupervisorFlags::default().intensity(100_000, Duration::from_secs(60));
    let child = ChildSpec::new("c".parse().expect("a name"), Arc::new(Never));
    let mut core = Core::new(SupervisorSpec::new(flags, vec![child]), 0).expect("fits");
    core.handle(Event::Begin, Duration::ZERO);
    let mut steps = Vec::new();
    for n in 0..50_001_u64 {
        let mut started = None;
        while let Some(action) = core.next_action() {
            if let Action::Start { slot, life, .. } = action {
                started = Some((slot, life));
            }
        }
        let (slot, life) = started.expect("it is restarted");
        let now = Duration::from_millis(n);
        let pid = Pid {
            address: Address(1),
            incarnation: Incarnation(n + 1),
        };
        core.handle(
            Event::Started {
                slot,
                outcome: Outcome::Running(pid),
            },
            now,
        );
        core.assert_consistent();
        let before = core.steps();
        let reason = ExitReason::Killed;
        core.handle(Event::Exited { slot, life, reason }, now);
        steps.push(core.steps() - before);
    }
    let most = steps.iter().max();
    assert!(most <= Some(&8), "{most:?}");
}
