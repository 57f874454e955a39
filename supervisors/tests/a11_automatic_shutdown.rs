//! otp.md A11: automatic shutdown and significant children.

mod common;

use common::puppet::{Puppet, env, name, quiet, spec};
use common::{auto, c, call, crash, error, exit, play, start, which, with};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{
    AutoShutdown, CallError, Restart, SpecError, StartError, Strategy, SupervisorFlags,
    SupervisorSpec, start_root,
};

fn significant(id: &str, restart: &str) -> Value {
    with(id, json!({"restart": restart, "significant": true}))
}

fn three(restart: &str) -> Value {
    json!([
        significant("c1", restart),
        significant("c2", restart),
        c("c3")
    ])
}

fn ending(at_ms: u64, id: &str, how: &str) -> Value {
    match how {
        "terminate_child" => call(at_ms, how, id),
        reason => exit(at_ms, id, reason),
    }
}

#[test]
fn s134_s135_children_that_are_not_significant_never_end_their_supervisor() {
    for auto_shutdown in ["never", "any_significant", "all_significant"] {
        for restart in ["temporary", "transient"] {
            for how in ["terminate_child", "kill", "crash", "normal"] {
                let child = with("c", json!({"restart": restart}));
                let script = json!([ending(10, "c", how), which(20)]);
                let trace = play(
                    auto("one_for_one", auto_shutdown, 5, json!([child])),
                    script,
                );
                assert!(trace.root_lives(), "{auto_shutdown} {restart} {how}");
                let expected = match (restart, how) {
                    ("temporary", _) => json!([]),
                    (_, "kill" | "crash") => json!([["c", "running"]]),
                    _ => json!([["c", "stopped"]]),
                };
                assert_eq!(trace.results(20), [expected]);
            }
        }
    }
}

#[test]
fn s136_terminate_child_never_triggers() {
    for auto_shutdown in ["any_significant", "all_significant"] {
        let script = json!([
            call(10, "terminate_child", "c1"),
            call(20, "terminate_child", "c2")
        ]);
        let trace = play(
            auto("one_for_one", auto_shutdown, 5, three("temporary")),
            script,
        );
        assert!(trace.root_lives());
    }
}

#[test]
fn s137_any_end_of_a_significant_temporary_child_triggers() {
    for reason in ["kill", "crash", "normal"] {
        let trace = play(
            auto("one_for_one", "any_significant", 5, three("temporary")),
            json!([exit(10, "c1", reason)]),
        );
        let steps = trace.at(10);
        assert_eq!(
            steps[1..],
            [
                "stopping c3#1",
                "exited c3#1 shutdown",
                "stopping c2#1",
                "exited c2#1 shutdown",
                "exited /#1 shutdown"
            ]
        );
    }
}

#[test]
fn s138_all_significant_waits_for_the_last() {
    let trace = play(
        auto("one_for_one", "all_significant", 5, three("temporary")),
        json!([crash(10, "c1"), which(1500), crash(2000, "c2")]),
    );
    assert_eq!(
        trace.result(1500),
        json!([["c3", "running"], ["c2", "running"]])
    );
    assert_eq!(trace.ends("/"), ["2000 shutdown"]);
}

#[test]
fn s139_a_significant_transient_child_that_crashes_is_restarted() {
    for reason in ["kill", "crash"] {
        let trace = play(
            auto("one_for_one", "any_significant", 5, three("transient")),
            json!([exit(10, "c1", reason)]),
        );
        assert!(trace.root_lives());
        assert_eq!(trace.times("started", "c1"), 2);
    }
}

#[test]
fn s140_a_clean_end_of_a_significant_transient_child_triggers() {
    for reason in ["normal", "shutdown"] {
        let trace = play(
            auto("one_for_one", "any_significant", 5, three("transient")),
            json!([exit(10, "c1", reason)]),
        );
        assert_eq!(trace.at(10)[1], "stopping c3#1");
        assert_eq!(trace.ends("/"), ["10 shutdown"]);
    }
}

#[test]
fn s141_all_significant_transient_children_end_one_after_the_other() {
    let trace = play(
        auto("one_for_one", "all_significant", 5, three("transient")),
        json!([exit(10, "c1", "normal"), exit(1000, "c2", "normal")]),
    );
    assert_eq!(trace.ends("/"), ["1000 shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn s142_simple_one_for_one_does_not_go_with_automatic_shutdown() {
    for auto_shutdown in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let puppet = Puppet::new();
        let flags = SupervisorFlags::new(Strategy::SimpleOneForOne).auto_shutdown(auto_shutdown);
        let result = start_root(env(), spec(flags, [puppet.spec("t")])).await;
        let expected = StartError::Invalid(SpecError::SimpleWithAutoShutdown);
        assert_eq!(result.err(), Some(expected));
    }
}

#[test]
fn s143_siblings_stopped_by_a_group_restart_do_not_trigger() {
    for strategy in ["one_for_one", "one_for_all", "rest_for_one"] {
        for auto_shutdown in ["any_significant", "all_significant"] {
            for restart in ["temporary", "transient"] {
                let children = json!([
                    significant("c1", restart),
                    with("c2", json!({"restart": "transient"})),
                    significant("c3", restart)
                ]);
                let trace = play(
                    auto(strategy, auto_shutdown, 5, children),
                    json!([exit(10, "c2", "kill")]),
                );
                assert!(trace.root_lives(), "{strategy} {auto_shutdown} {restart}");
            }
        }
    }
}

fn escalation(b_is_significant: bool) -> common::Trace {
    let b = json!({
        "id": "b", "restart": "transient", "significant": b_is_significant,
        "supervisor": auto("one_for_one", "any_significant", 5, json!([significant("w", "transient")]))
    });
    play(
        auto("one_for_one", "any_significant", 5, json!([b])),
        json!([exit(10, "b/w", "normal")]),
    )
}

#[test]
fn s144_an_automatic_shutdown_goes_up_through_significant_supervisors() {
    let trace = escalation(true);
    assert_eq!(
        trace.at(10),
        [
            "exited b/w#1 normal",
            "exited b#1 shutdown",
            "exited /#1 shutdown"
        ]
    );
}

#[test]
fn s145_and_stops_at_one_that_is_not_significant() {
    let trace = escalation(false);
    assert_eq!(trace.at(10), ["exited b/w#1 normal", "exited b#1 shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn s146_a_significant_child_between_two_attempts_counts_as_there() {
    use common::puppet::Act;
    let slow = Puppet::new();
    let other = Puppet::new();
    let flags = SupervisorFlags::default()
        .intensity(50, Duration::from_secs(3600))
        .auto_shutdown(AutoShutdown::AllSignificant);
    let significant = |puppet: &Puppet, id: &str| {
        puppet
            .spec(id)
            .restart(Restart::Transient)
            .significant(true)
    };
    let children = [
        significant(&slow, "a").start_timeout(Duration::from_secs(1)),
        significant(&other, "b"),
    ];
    let root = start_root(env(), spec(flags, children))
        .await
        .expect("starts");
    let _ = slow
        .clone()
        .acts(vec![Act::Slow(Duration::from_secs(60)); 3]);
    slow.crash();
    quiet().await;
    other.end(ExitReason::Normal);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(root.ended().is_none());
    assert_eq!(slow.lives(), 2, "it came back");
    slow.end(ExitReason::Normal);
    assert_eq!(root.wait().await, ExitReason::SHUTDOWN);
}

/// A supervisor whose init can be changed while it lives.
async fn changeable(
    first: SupervisorSpec,
) -> (swarm_supervisors::Root, Arc<Mutex<SupervisorSpec>>) {
    let config = Arc::new(Mutex::new(first));
    let init = {
        let config = config.clone();
        move || Ok(Some(config.lock().clone()))
    };
    (start_root(env(), init).await.expect("starts"), config)
}

#[tokio::test(start_paused = true)]
async fn s147_a_changed_automatic_shutdown_applies_from_the_next_end_on() {
    use AutoShutdown::{AllSignificant, AnySignificant, Never};
    for (from, to) in [
        (Never, AnySignificant),
        (Never, AllSignificant),
        (AnySignificant, AllSignificant),
        (AllSignificant, AnySignificant),
        (AnySignificant, Never),
        (AllSignificant, Never),
    ] {
        let [a, b] = [Puppet::new(), Puppet::new()];
        let configured = |auto_shutdown| {
            let flags = SupervisorFlags::default().auto_shutdown(auto_shutdown);
            let child = |puppet: &Puppet, id: &str| {
                let spec = puppet.spec(id).restart(Restart::Transient);
                spec.significant(auto_shutdown != Never)
            };
            spec(flags, [child(&a, "a"), child(&b, "b")])
        };
        let (root, config) = changeable(configured(from)).await;
        // Children stay significant when the rule is switched off: only flags are changed then.
        *config.lock() = match to {
            Never => spec(SupervisorFlags::default(), []),
            _ => configured(to),
        };
        root.supervisor().reconfigure().await.expect("fits");
        a.end(ExitReason::Normal);
        quiet().await;
        assert_eq!(
            root.ended().is_some(),
            to == AnySignificant,
            "{from:?} to {to:?}"
        );
        if to == AllSignificant {
            b.end(ExitReason::Normal);
            quiet().await;
            assert!(root.ended().is_some());
        }
        if to == Never {
            let significant = Puppet::new()
                .spec("x")
                .restart(Restart::Transient)
                .significant(true);
            let refused = root.supervisor().start_child(significant).await.err();
            let cause = SpecError::SignificantWithoutAutoShutdown(name("x"));
            assert_eq!(refused, Some(CallError::Invalid(cause)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s148_a_child_can_become_significant_and_plain_again() {
    let puppet = Puppet::new();
    let configured = |auto_shutdown, significant| {
        let flags = SupervisorFlags::default().auto_shutdown(auto_shutdown);
        spec(
            flags,
            [puppet
                .spec("a")
                .restart(Restart::Transient)
                .significant(significant)],
        )
    };
    let (root, config) = changeable(configured(AutoShutdown::Never, false)).await;
    let supervisor = root.supervisor();
    *config.lock() = configured(AutoShutdown::Never, true);
    let cause = SpecError::SignificantWithoutAutoShutdown(name("a"));
    assert_eq!(
        supervisor.reconfigure().await,
        Err(CallError::Invalid(cause))
    );
    *config.lock() = configured(AutoShutdown::AnySignificant, true);
    assert_eq!(supervisor.reconfigure().await, Ok(()));
    *config.lock() = configured(AutoShutdown::AnySignificant, false);
    assert_eq!(supervisor.reconfigure().await, Ok(()));
    puppet.end(ExitReason::Normal);
    quiet().await;
    assert!(root.ended().is_none(), "plain again");
    supervisor.restart_child(&name("a")).await.expect("starts");
    *config.lock() = configured(AutoShutdown::AnySignificant, true);
    assert_eq!(supervisor.reconfigure().await, Ok(()));
    puppet.end(ExitReason::Normal);
    assert_eq!(root.wait().await, ExitReason::SHUTDOWN);
}

#[test]
fn s34_s147_starting_a_significant_child_without_the_rule_is_invalid() {
    let script = json!([start(10, "s", significant("s", "transient"))]);
    let trace = play(auto("one_for_one", "never", 5, json!([c("a")])), script);
    assert_eq!(trace.result(10), error("invalid"));
}
