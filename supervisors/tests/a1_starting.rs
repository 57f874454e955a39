//! otp.md A1: starting a supervisor.

mod common;

use common::puppet::{Act, Puppet, env, name, quiet, spec};
use common::{c, call, crash, play, stop, sup, with};
use serde_json::json;
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Pid};
use swarm_supervisors::{
    AutoShutdown, ChildSpec, SpecError, StartError, Strategy, SupervisorFlags, SupervisorSpec,
    start_root,
};

#[tokio::test(start_paused = true)]
async fn s01_an_empty_supervisor_starts_and_shuts_down() {
    let flags = SupervisorFlags::default().intensity(2, Duration::from_secs(3600));
    let root = start_root(env(), spec(flags, [])).await.expect("starts");
    assert_eq!(root.shutdown().await, ExitReason::SHUTDOWN);
}

#[tokio::test(start_paused = true)]
async fn s02_an_init_that_ignores_leaves_nothing() {
    let result = start_root(env(), || Ok(None)).await;
    assert!(matches!(result, Err(StartError::Ignore)));
}

/// What otp.md calls a wrong shape is an error value here: an init cannot return anything else.
#[tokio::test(start_paused = true)]
async fn s03_an_init_that_returns_an_error_starts_nothing() {
    let result = start_root(env(), || Err(ExitReason::error_text("V"))).await;
    assert_eq!(
        result.err(),
        Some(StartError::Failed(ExitReason::error_text("V")))
    );
}

#[tokio::test(start_paused = true)]
async fn s04_an_init_that_panics_is_an_error_and_the_starter_lives() {
    let init = || -> Result<Option<SupervisorSpec>, ExitReason> { panic!("R") };
    assert_eq!(
        start_root(env(), init).await.err(),
        Some(StartError::Failed(ExitReason::panic_text("R")))
    );
}

#[tokio::test(start_paused = true)]
async fn s05_children_start_in_list_order_one_at_a_time() {
    let ids = ["c7", "c3", "c10", "c2", "c5"];
    let children: Vec<_> = ids.iter().map(|id| c(id)).collect();
    let trace = play(sup("one_for_one", 1, 5, json!(children)), json!([]));
    let mut expected = vec!["start /#1".to_owned()];
    for id in ids {
        expected.push(format!("start {id}#1"));
        expected.push(format!("started {id}#1"));
    }
    expected.push("started /#1".to_owned());
    assert_eq!(trace.at(0), expected);
}

#[test]
fn s06_a_failed_first_start_stops_the_started_in_reverse_and_is_not_retried() {
    let children = json!([
        c("a"),
        c("b"),
        with("x", json!({"start": ["error", "ok"]})),
        c("d")
    ]);
    let trace = play(
        sup("one_for_one", 10, 3600, children),
        json!([call(10, "which_children", "/")]),
    );
    assert_eq!(
        trace.at(0)[5..],
        [
            "start x#1",
            "start_failed x#1 error",
            "stopping b#1",
            "exited b#1 shutdown",
            "stopping a#1",
            "exited a#1 shutdown",
            "start_failed /#1 error",
        ]
    );
    assert_eq!(trace.times("start", "d"), 0);
    assert_eq!(trace.result(10), common::error("noproc"));
}

#[tokio::test(start_paused = true)]
async fn s06_s07_the_error_names_the_child_and_the_first_cause_through_all_levels() {
    let worker = Puppet::new().acts([Act::Panic("undefined function")]);
    let inner = spec(SupervisorFlags::default(), [worker.spec("w")]);
    let outer = spec(
        SupervisorFlags::default(),
        [ChildSpec::supervisor(name("inner"), inner)],
    );
    let error = start_root(env(), outer).await.expect_err("it fails");
    let StartError::Child { id, cause } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*id, name("inner"));
    assert_eq!(
        **cause,
        StartError::Child {
            id: name("w"),
            cause: Box::new(StartError::Failed(ExitReason::panic_text(
                "undefined function"
            ))),
        }
    );
    assert!(matches!(error.reason(), ExitReason::Shutdown(Some(_))));
}

/// A supervisor has no name of its own here; what its start function needs and somebody else holds is reported the same way.
#[tokio::test(start_paused = true)]
async fn s08_a_name_that_is_taken_is_reported_with_its_holder() {
    let holder = Pid {
        address: Address(99),
        incarnation: Incarnation(1),
    };
    let child = Puppet::new().acts([Act::Taken(holder)]);
    let result = start_root(env(), spec(SupervisorFlags::default(), [child.spec("c")])).await;
    assert_eq!(
        result.err(),
        Some(StartError::Child {
            id: name("c"),
            cause: Box::new(StartError::AlreadyStarted(holder)),
        })
    );
}

#[test]
fn s09_flags_default_to_one_for_one_one_in_five_seconds_never() {
    let flags = SupervisorFlags::default();
    assert_eq!(flags.strategy, Strategy::OneForOne);
    assert_eq!((flags.intensity, flags.period), (1, Duration::from_secs(5)));
    assert_eq!(flags.auto_shutdown, AutoShutdown::Never);
    let script = json!([crash(10, "a"), crash(20, "a")]);
    let trace = play(json!({"children": [c("a"), c("b")]}), script);
    assert_eq!(trace.at(10)[1..], ["start a#2", "started a#2"]);
    assert_eq!(trace.at(20)[1], "gave_up /#1");
}

/// Unknown strategies and negative intensities cannot be written down; a period of zero can.
#[tokio::test(start_paused = true)]
async fn s10_impossible_flags_are_refused_and_nothing_is_started() {
    let child = Puppet::new();
    let flags = SupervisorFlags::default().intensity(1, Duration::ZERO);
    let result = start_root(env(), spec(flags, [child.spec("c")])).await;
    assert_eq!(
        result.err(),
        Some(StartError::Invalid(SpecError::InvalidPeriod))
    );
    assert_eq!(child.lives(), 0);
    for (field, value) in [
        ("strategy", json!("two_for_one")),
        ("intensity", json!("infinity")),
        ("intensity", json!(-1)),
        ("period_ms", json!(0)),
        ("period_ms", json!("infinity")),
        ("auto_shutdown", json!("sometimes")),
    ] {
        let mut supervisor = json!({"children": [c("a")]});
        supervisor[field] = value.clone();
        refused(&json!({"supervisor": supervisor}), &value.to_string());
    }
}

fn refused(scenario: &serde_json::Value, what: &str) {
    let result = swarm_supervisors::scenario::Scenario::from_json(&scenario.to_string());
    assert!(result.is_err(), "{what} is refused");
}

/// Deviation: an unknown key is refused, so that a misspelt setting does not silently do nothing.
#[test]
fn s11_an_unknown_flag_is_refused() {
    refused(&json!({"supervisor": {"childs": []}}), "an unknown key");
}

#[tokio::test(start_paused = true)]
async fn s12_a_call_is_answered_only_when_the_start_under_way_is_over() {
    let slow = Puppet::new().acts([Act::Slow(Duration::from_millis(400))]);
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let begun = tokio::time::Instant::now();
    let starting = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.start_child(slow.spec("c")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let children = supervisor.which_children().await.expect("lives");
    assert_eq!(begun.elapsed(), Duration::from_millis(400));
    assert_eq!(children.len(), 1);
    assert!(starting.await.expect("joins").is_ok());
}

#[tokio::test(start_paused = true)]
async fn s13_a_start_function_that_panics_has_failed_and_the_supervisor_lives() {
    let child = Puppet::new().acts([Act::Panic("oh"), Act::Run, Act::Panic("no")]);
    let flags = SupervisorFlags::default().intensity(5, Duration::from_secs(60));
    let root = start_root(env(), spec(flags, [])).await.expect("starts");
    let supervisor = root.supervisor();
    assert_eq!(
        supervisor.start_child(child.spec("c")).await.err(),
        Some(swarm_supervisors::CallError::StartFailed(
            ExitReason::panic_text("oh")
        ))
    );
    supervisor
        .start_child(child.spec("c"))
        .await
        .expect("the second start runs");
    child.crash();
    quiet().await;
    assert_eq!(child.lives(), 2, "one attempt panicked, the next one ran");
    assert_eq!(supervisor.count_children().await.expect("lives").active, 1);
}

#[test]
fn s01_s36_stop_ends_an_empty_root_too() {
    let trace = play(
        sup("one_for_one", 1, 5, json!([])),
        json!([stop(10), common::count(20)]),
    );
    assert_eq!(trace.at(10), ["stopping /#1", "exited /#1 shutdown"]);
    assert_eq!(trace.result(20), common::error("noproc"));
}
