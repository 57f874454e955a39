//! otp.md A7: one_for_one, one_for_all, rest_for_one.

mod common;

use common::{c, call, count, counts, crash, exit, play, start, sup, which, with};
use serde_json::{Value, json};

fn abc() -> Value {
    json!([c("a"), c("b"), c("d")])
}

#[test]
fn s83_one_for_one_restarts_only_the_one() {
    let trace = play(
        sup("one_for_one", 2, 3600, json!([c("c1"), c("c2")])),
        json!([crash(10, "c1"), count(20)]),
    );
    assert_eq!(
        trace.at(10),
        ["exited c1#1 crash", "start c1#2", "started c1#2"]
    );
    assert_eq!(trace.result(20), counts(2, 2, 0, 2));
}

#[test]
fn s84_one_for_one_escalates_when_the_restart_keeps_failing() {
    let c1 = with("c1", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("one_for_one", 4, 3600, json!([c1, c("c2")])),
        json!([crash(10, "c1")]),
    );
    assert_eq!(trace.times("start_failed", "c1"), 4);
    assert_eq!(trace.ends("c2"), ["10 shutdown"]);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s85_a_restart_that_ignores_leaves_the_slot_stopped() {
    let child = with("c", json!({"start": ["ok", "ignore"]}));
    let trace = play(
        sup("one_for_one", 4, 3600, json!([child])),
        json!([crash(10, "c"), count(20), which(30)]),
    );
    assert_eq!(trace.times("start", "c"), 2);
    assert_eq!(trace.result(20), counts(1, 0, 0, 1));
    assert_eq!(trace.result(30), json!([["c", "stopped"]]));
}

#[test]
fn s86_one_for_all_restarts_all() {
    let script = json!([crash(10, "c1"), count(20), crash(30, "c2"), crash(40, "c1")]);
    let trace = play(
        sup("one_for_all", 2, 3600, json!([c("c1"), c("c2")])),
        script,
    );
    assert_eq!(
        trace.at(10),
        [
            "exited c1#1 crash",
            "stopping c2#1",
            "exited c2#1 shutdown",
            "start c1#2",
            "started c1#2",
            "start c2#2",
            "started c2#2"
        ]
    );
    assert_eq!(trace.result(20), counts(2, 2, 0, 2));
    assert_eq!(trace.ends("/"), ["40 shutdown"]);
}

#[test]
fn s87_one_for_all_stops_in_reverse_and_then_starts_in_order() {
    let children = json!([
        with("a", json!({"stop_ms": 100})),
        c("b"),
        with("d", json!({"stop_ms": 200}))
    ]);
    let trace = play(
        sup("one_for_all", 2, 3600, children),
        json!([crash(10, "b")]),
    );
    assert_eq!(
        trace.after(0),
        [
            "10 exited b#1 crash",
            "10 stopping d#1",
            "210 exited d#1 shutdown",
            "210 stopping a#1",
            "310 exited a#1 shutdown",
            "310 start a#2",
            "310 started a#2",
            "310 start b#2",
            "310 started b#2",
            "310 start d#2",
            "310 started d#2"
        ]
    );
}

#[test]
fn s88_one_for_all_escalates_when_another_childs_restart_keeps_failing() {
    let c2 = with("c2", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("one_for_all", 4, 3600, json!([c("c1"), c2])),
        json!([crash(10, "c1")]),
    );
    assert_eq!(trace.times("start_failed", "c2"), 4);
    assert_eq!(trace.times("start", "c1"), 5);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s89_one_for_all_starts_over_when_another_child_fails_its_restart() {
    let c2 = with("c2", json!({"start": ["ok", "error", "ok"]}));
    let trace = play(
        sup("one_for_all", 3, 3600, json!([c("c1"), c2])),
        json!([crash(10, "c1")]),
    );
    assert_eq!(
        trace.at(10)[3..],
        [
            "start c1#2",
            "started c1#2",
            "start c2#2",
            "start_failed c2#2 error",
            "stopping c1#2",
            "exited c1#2 shutdown",
            "start c1#3",
            "started c1#3",
            "start c2#2",
            "started c2#2"
        ]
    );
    assert!(trace.root_lives());
}

#[test]
fn s90_rest_for_one_restarts_the_one_and_those_after_it() {
    let children = json!([c("c1"), c("c2"), c("c3")]);
    let script = json!([crash(10, "c2"), count(20), crash(30, "c3"), crash(40, "c2")]);
    let trace = play(sup("rest_for_one", 2, 3600, children), script);
    assert_eq!(
        trace.at(10),
        [
            "exited c2#1 crash",
            "stopping c3#1",
            "exited c3#1 shutdown",
            "start c2#2",
            "started c2#2",
            "start c3#2",
            "started c3#2"
        ]
    );
    assert_eq!(trace.result(20), counts(3, 3, 0, 3));
    assert_eq!(
        trace.at(30),
        ["exited c3#2 crash", "start c3#3", "started c3#3"]
    );
    assert_eq!(trace.ends("/"), ["40 shutdown"]);
}

#[test]
fn s91_rest_for_one_happens_in_this_order() {
    let children = json!([c("a"), c("b"), c("d"), c("e")]);
    let trace = play(
        sup("rest_for_one", 2, 3600, children),
        json!([crash(10, "b")]),
    );
    assert_eq!(
        trace.at(10),
        [
            "exited b#1 crash",
            "stopping e#1",
            "exited e#1 shutdown",
            "stopping d#1",
            "exited d#1 shutdown",
            "start b#2",
            "started b#2",
            "start d#2",
            "started d#2",
            "start e#2",
            "started e#2"
        ]
    );
}

#[test]
fn s92_rest_for_one_escalates_when_a_later_childs_restart_keeps_failing() {
    let c2 = with("c2", json!({"start": ["ok", "error"]}));
    let trace = play(
        sup("rest_for_one", 4, 3600, json!([c("c1"), c2])),
        json!([crash(10, "c1")]),
    );
    assert_eq!(trace.times("start_failed", "c2"), 4);
    assert_eq!(trace.ends("c2"), ["10 shutdown"]);
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
}

#[test]
fn s93_rest_for_one_goes_on_at_the_child_that_failed() {
    let c2 = with("c2", json!({"start": ["ok", "error", "ok"]}));
    let children = json!([c("c1"), c2, c("c3")]);
    let trace = play(
        sup("rest_for_one", 3, 3600, children),
        json!([crash(10, "c1")]),
    );
    assert_eq!(
        trace.times("start", "c1"),
        2,
        "started again once, then left alone"
    );
    assert_eq!(trace.times("start", "c2"), 3);
    assert_eq!(trace.times("start", "c3"), 2);
    assert!(trace.root_lives());
}

#[test]
fn s94_a_group_restart_brings_back_who_was_stopped_by_hand() {
    for strategy in ["one_for_all", "rest_for_one"] {
        let script = json!([call(10, "terminate_child", "b"), crash(20, "a"), which(30)]);
        let trace = play(sup(strategy, 3, 3600, abc()), script);
        let all = json!([["d", "running"], ["b", "running"], ["a", "running"]]);
        assert_eq!(trace.result(30), all, "{strategy}");
    }
}

#[test]
fn s95_a_group_restart_brings_back_a_transient_child_that_had_ended() {
    let children = json!([c("a"), with("b", json!({"restart": "transient"}))]);
    let script = json!([
        exit(10, "b", "normal"),
        which(20),
        crash(30, "a"),
        which(40)
    ]);
    let trace = play(sup("rest_for_one", 3, 3600, children), script);
    assert_eq!(
        trace.result(20),
        json!([["b", "stopped"], ["a", "running"]])
    );
    assert_eq!(
        trace.result(40),
        json!([["b", "running"], ["a", "running"]])
    );
}

#[test]
fn s96_a_child_added_later_is_the_last_of_the_group() {
    for strategy in ["one_for_all", "rest_for_one"] {
        let script = json!([start(10, "x", c("x")), crash(20, "a")]);
        let trace = play(sup(strategy, 3, 3600, abc()), script);
        let steps = trace.at(20);
        assert_eq!(
            steps[1..3],
            ["stopping x#1", "exited x#1 shutdown"],
            "{strategy}"
        );
        assert_eq!(steps.last().map(String::as_str), Some("started x#2"));
    }
}
