//! otp.md A3: child specs are checked before anything is done with them.

mod common;

use common::puppet::{Puppet, args, env, name, spec};
use serde_json::{Value, json};
use std::time::Duration;
use swarm_supervisors::scenario::Scenario;
use swarm_supervisors::{
    AutoShutdown, CallError, ChildKey, ChildType, Restart, Shutdown, SpecError, StartError,
    Strategy, SupervisorFlags, check_childspecs, start_root,
};

#[tokio::test(start_paused = true)]
async fn s25_a_spec_has_otps_defaults_and_keeps_what_is_set() {
    let puppet = Puppet::new();
    let children = [
        puppet.spec("plain"),
        puppet.spec("brutal").shutdown(Shutdown::BrutalKill),
        puppet.spec("sup").child_type(ChildType::Supervisor),
        puppet
            .spec("timed")
            .shutdown(Shutdown::Timeout(Duration::from_secs(1)))
            .child_type(ChildType::Supervisor),
    ];
    let root = start_root(env(), spec(SupervisorFlags::default(), children))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let plain = supervisor.child_spec(&name("plain")).await.expect("known");
    assert_eq!(plain.restart, Restart::Permanent);
    assert_eq!(
        plain.shutdown,
        Shutdown::Timeout(Duration::from_millis(5000))
    );
    assert_eq!(plain.child_type, ChildType::Worker);
    assert!(!plain.significant);
    let shutdown = async |id| {
        supervisor
            .child_spec(&name(id))
            .await
            .expect("known")
            .shutdown
    };
    assert_eq!(shutdown("brutal").await, Shutdown::BrutalKill);
    assert_eq!(shutdown("sup").await, Shutdown::Infinity);
    assert_eq!(
        shutdown("timed").await,
        Shutdown::Timeout(Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn s26_the_spec_of_an_instance_is_the_template() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env(), spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    for n in 0..3 {
        let started = supervisor
            .start_instance(None, args(n))
            .await
            .expect("starts");
        let view = supervisor
            .child_spec(started.pid.expect("runs"))
            .await
            .expect("known");
        assert_eq!(view.id, name("t"));
        assert_eq!(view.shutdown, Shutdown::WORKER_DEFAULT);
    }
    let stranger = swarm_protocols::Pid {
        address: swarm_protocols::Address(3),
        incarnation: swarm_protocols::Incarnation(1),
    };
    assert_eq!(
        supervisor.child_spec(stranger).await.err(),
        Some(CallError::NotFound)
    );
}

fn refused(child: Value) {
    let scenario = json!({"supervisor": {"children": [child.clone()]}}).to_string();
    assert!(
        Scenario::from_json(&scenario).is_err(),
        "{child} is refused"
    );
}

/// A spec without id or start cannot be built; where specs are written down, it is refused (and so is an unknown key, which OTP accepts).
#[test]
fn s27_a_written_spec_without_its_parts_is_refused() {
    refused(json!({"restart": "permanent"}));
    refused(json!({"id": "a", "start": []}));
    refused(json!({"id": "a", "colour": "red"}));
    refused(json!(["a"]));
    refused(json!("a"));
}

#[test]
fn s28_a_written_spec_with_wrong_values_is_refused() {
    refused(json!({"id": "a", "start": "ok"}));
    refused(json!({"id": "a", "restart": "prmanent"}));
    refused(json!({"id": "a", "shutdown": -10}));
    refused(json!({"id": "a", "shutdown": "brutal"}));
    refused(json!({"id": "a", "significant": "yes"}));
    refused(json!({"id": "no spaces"}));
}

#[test]
fn s29_specs_can_be_checked_without_a_supervisor() {
    let puppet = Puppet::new();
    let twice = [puppet.spec("a"), puppet.spec("a")];
    let duplicate = SpecError::DuplicateChild(name("a"));
    assert_eq!(
        check_childspecs(&twice, AutoShutdown::Never),
        Err(duplicate)
    );
    assert_eq!(check_childspecs(&twice[..1], AutoShutdown::Never), Ok(()));
    assert_eq!(check_childspecs(&[], AutoShutdown::Never), Ok(()));
}

#[test]
fn s30_every_combination_of_restart_shutdown_and_type_is_legal() {
    let puppet = Puppet::new();
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for shutdown in [
            Shutdown::Timeout(Duration::ZERO),
            Shutdown::Timeout(Duration::from_secs(1)),
            Shutdown::Infinity,
            Shutdown::BrutalKill,
        ] {
            for child_type in [ChildType::Worker, ChildType::Supervisor] {
                let child = puppet
                    .spec("a")
                    .child_type(child_type)
                    .restart(restart)
                    .shutdown(shutdown);
                assert_eq!(check_childspecs(&[child], AutoShutdown::Never), Ok(()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s31_two_children_of_one_name_are_refused_and_nothing_is_started() {
    let puppet = Puppet::new();
    let children = [puppet.spec("a"), puppet.spec("a")];
    let result = start_root(env(), spec(SupervisorFlags::default(), children)).await;
    let duplicate = SpecError::DuplicateChild(name("a"));
    assert_eq!(result.err(), Some(StartError::Invalid(duplicate)));
    assert_eq!(puppet.lives(), 0);
}

#[tokio::test(start_paused = true)]
async fn s32_simple_one_for_one_takes_exactly_one_template() {
    let puppet = Puppet::new();
    for count in [0, 2] {
        let children = ["a", "b"].map(|id| puppet.spec(id)).into_iter().take(count);
        let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
        let result = start_root(env(), spec(flags, children)).await;
        let error = StartError::Invalid(SpecError::NotOneTemplate(count));
        assert_eq!(result.err(), Some(error));
    }
}

/// A flag that is no boolean cannot be built.
#[test]
fn s33_significant_is_a_boolean() {
    refused(json!({"id": "a", "restart": "transient", "significant": 1}));
}

#[tokio::test(start_paused = true)]
async fn s34_significant_needs_an_automatic_shutdown() {
    let puppet = Puppet::new();
    let significant = || {
        puppet
            .spec("a")
            .restart(Restart::Transient)
            .significant(true)
    };
    let expected = SpecError::SignificantWithoutAutoShutdown(name("a"));
    let result = start_root(env(), spec(SupervisorFlags::default(), [significant()])).await;
    assert_eq!(result.err(), Some(StartError::Invalid(expected.clone())));
    let root = start_root(env(), spec(SupervisorFlags::default(), []))
        .await
        .expect("starts");
    let result = root.supervisor().start_child(significant()).await;
    assert_eq!(
        result.err(),
        Some(CallError::Invalid(expected)),
        "bare through start_child"
    );
    assert_eq!(puppet.lives(), 0);
}

#[test]
fn s35_a_permanent_child_cannot_be_significant() {
    let puppet = Puppet::new();
    for auto_shutdown in [
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ] {
        let error = SpecError::SignificantAndPermanent(name("a"));
        let children = [puppet.spec("a").significant(true)];
        assert_eq!(check_childspecs(&children, auto_shutdown), Err(error));
    }
}

#[tokio::test(start_paused = true)]
async fn s24_s26_an_id_under_simple_one_for_one_means_the_template_only() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let root = start_root(env(), spec(flags, [puppet.spec("t")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    assert!(supervisor.child_spec(ChildKey::Id(name("t"))).await.is_ok());
    let other = supervisor.child_spec(ChildKey::Id(name("u"))).await;
    assert_eq!(other.err(), Some(CallError::NotFound));
}
