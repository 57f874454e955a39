//! What is no agent, or wants too much, is refused before it starts, and nothing is harmed by looking at it.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, host, order, word_count};
use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::time::Duration;
use swarm_actors::{AgentSpec, System, SystemOptions};
use swarm_protocols::Name;
use swarm_supervisors::{StartError, SupervisorFlags, SupervisorSpec};
use swarm_wasm::{
    Class, Digest, Grants, Host, HostOptions, InvalidComponent, Limits, LoadError, Plan, inspect,
};

fn component() -> Vec<u8> {
    std::fs::read(word_count()).unwrap()
}

fn load(bytes: &[u8], grants: &Grants) -> Result<(), LoadError> {
    let (class, limits) = (Class::Default, Limits::default());
    host().load(bytes, class, grants, &limits).map(drop)
}

#[test]
fn an_import_that_is_not_granted_is_named_with_the_grant_that_it_needs() {
    let Err(LoadError::Excess(excess)) = load(&component(), &Grants::default()) else {
        panic!("it was loaded");
    };
    let missing: BTreeSet<_> = excess
        .missing
        .iter()
        .map(|missing| (missing.import.as_str(), missing.grant.as_str()))
        .collect();
    let expected = BTreeSet::from([
        ("swarm:agent/log@0.1.0", "log = true"),
        ("swarm:agent/messaging@0.1.0", "messaging = {}"),
        ("swarm:agent/state@0.1.0", "state = true"),
        ("swarm:agent/timers@0.1.0", "timers = true"),
    ]);
    assert_eq!(missing, expected);
    load(&component(), &Grants::all()).unwrap();
}

#[test]
fn a_component_of_another_version_is_refused_with_both_versions() {
    let mut bytes = component();
    let other = b"lifecycle@0.1.0";
    let found: Vec<usize> = bytes
        .windows(other.len())
        .enumerate()
        .filter(|(_, window)| window == other)
        .map(|(at, _)| at)
        .collect();
    for at in found {
        bytes[at + other.len() - 3] = b'7';
    }
    let error = load(&bytes, &Grants::all()).unwrap_err().to_string();
    assert!(
        error.contains("lifecycle@0.7.0") && error.contains("version 0.1.0"),
        "{error}"
    );
}

#[test]
fn a_component_that_is_cut_short_is_refused_wherever_it_was_cut() {
    let bytes = component();
    for at in (0..bytes.len()).step_by(997) {
        assert!(inspect(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.seek(std::io::SeekFrom::Start(200 << 20)).unwrap();
    file.write_all(b"x").unwrap();
    let (class, limits) = (Class::Default, Limits::default());
    let loaded = host().load_file(file.path(), class, &Grants::all(), &limits);
    assert!(matches!(
        loaded,
        Err(LoadError::Invalid(InvalidComponent::TooLong))
    ));
    let folder = tempfile::tempdir().unwrap();
    let loaded = host().load_file(folder.path(), class, &Grants::all(), &limits);
    assert!(matches!(
        loaded,
        Err(LoadError::Invalid(InvalidComponent::Unreadable(_)))
    ));
}

#[test]
fn more_memory_than_is_granted_is_refused_before_the_start() {
    let limits = Limits {
        memory: 64 << 10,
        ..Limits::default()
    };
    let bytes = component();
    let loaded = host().load(&bytes, Class::Default, &Grants::all(), &limits);
    assert!(
        matches!(loaded, Err(LoadError::Memory { .. })),
        "{loaded:?}"
    );
    let limits = Limits {
        memory: 1 << 30,
        ..Limits::default()
    };
    let loaded = host().load(&bytes, Class::Compact, &Grants::all(), &limits);
    assert!(
        matches!(loaded, Err(LoadError::ClassMemory { .. })),
        "{loaded:?}"
    );
}

/// Bytes that were changed here and there are refused, or they are a component; never a panic, never an abort.
#[test]
fn components_with_changed_bytes_are_looked_at_without_harm() {
    let original = component();
    let mut random = fastrand::Rng::with_seed(7);
    let mut accepted = 0;
    for _ in 0..60 {
        let mut bytes = original.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        // Some changes are within code and data and leave it valid; compiling each would take minutes.
        if inspect(&bytes).is_ok() {
            accepted += 1;
            if accepted <= 2 {
                let _ = load(&bytes, &Grants::all());
            }
        }
    }
    load(&original, &Grants::all()).unwrap();
}

#[test]
fn a_compiled_component_is_found_again_by_another_host() {
    let folder = tempfile::tempdir().unwrap();
    let options = || HostOptions {
        folder: Some(folder.path().to_owned()),
        ..HostOptions::default()
    };
    let (class, limits) = (Class::Default, Limits::default());
    let first = Host::new(options()).unwrap();
    let kept = first.keep(&component()).unwrap();
    first
        .load_digest(kept.digest, class, &Grants::all(), &limits)
        .unwrap();
    drop(first);
    let compiled = || {
        std::fs::read_dir(folder.path().join("compiled"))
            .unwrap()
            .count()
    };
    let before = compiled();
    let second = Host::new(options()).unwrap();
    second
        .load_digest(kept.digest, class, &Grants::all(), &limits)
        .unwrap();
    assert_eq!(compiled(), before);
    // Another setting is another file.
    let metered = Limits {
        turn_fuel: Some(1 << 40),
        ..limits
    };
    second
        .load_digest(kept.digest, class, &Grants::all(), &metered)
        .unwrap();
    assert_eq!(compiled(), before + 1);
    let unknown = second.load_digest(Digest::of(b"x"), class, &Grants::all(), &metered);
    assert!(matches!(unknown, Err(LoadError::Unknown(_))), "{unknown:?}");
}

/// Starts a guest with this config, and says why it did not come up.
async fn refused_at_start(config: &str) -> String {
    let limits = Limits {
        turn_cpu: Duration::from_millis(50),
        ..Limits::default()
    };
    refused_at_start_with(Class::Default, config, limits).await
}

async fn refused_at_start_with(class: Class, config: &str, limits: Limits) -> String {
    let component = host()
        .load(&component(), class, &Grants::all(), &limits)
        .unwrap();
    let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
    let plan = Plan::new(component, config.to_owned(), Grants::all(), limits);
    let spec = AgentSpec::new("guest", move || plan.agent()).unwrap();
    let spec = SupervisorSpec::new(SupervisorFlags::default(), vec![spec.child(&system)]);
    match system.start_tree(spec).await {
        Err(StartError::Child { cause, .. }) => format!("{cause:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_loops_traps_or_refuses_is_a_failed_start_with_its_reason() {
    for (config, reason) in [
        (r#"{"at-start":"loop"}"#, "Limit(Cpu)"),
        (r#"{"at-start":"trap"}"#, "unreachable"),
        (r#"{"at-start":"refuse"}"#, "refused as configured"),
        (r#"{"at-start":1}"#, "invalid type"),
    ] {
        let why = refused_at_start(config).await;
        assert!(why.contains(reason), "{config}: {why}");
    }
}

/// Mappings and open files of this process.
#[cfg(target_os = "linux")]
fn held() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    (maps.lines().count(), files.count())
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn hostile_lives_one_after_the_other_leave_nothing_behind() {
    for class in Class::ALL {
        let guests = Guests::start(class, Grants::all(), Limits::of(class)).await;
        let crash = async |times: usize| {
            for _ in 0..times {
                let down = guests.agent().monitor();
                guests.agent().send_acl(order("trap", "")).await.unwrap();
                down.await.unwrap();
                guests.counts_words().await;
            }
        };
        crash(50).await;
        let before = held();
        crash(500).await;
        let after = held();
        assert!(
            after.0 <= before.0 + 50,
            "{class}: mappings: {before:?} {after:?}"
        );
        assert!(
            after.1 <= before.1 + 10,
            "{class}: files: {before:?} {after:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_whose_tables_are_larger_than_its_limit_does_not_start() {
    for class in Class::ALL {
        let limits = Limits {
            table_elements: 2,
            ..Limits::of(class)
        };
        let why = refused_at_start_with(class, "{}", limits).await;
        assert!(why.contains("Limit(Table)"), "{class}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_outlives_a_crash_and_a_failed_turn_leaves_it_as_it_was() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    for expected in ["1", "2"] {
        let answer = guests.ask(order("visit", "")).await;
        assert_eq!(answer.text(), Some(expected));
    }
    for task in ["trap", "hoard"] {
        let down = guests.agent().monitor();
        guests.agent().send_acl(order(task, "")).await.unwrap();
        down.await.unwrap();
    }
    assert_eq!(guests.ask(order("visit", "")).await.text(), Some("3"));
    assert_eq!(guests.ask(order("seen", "")).await.text(), Some("2"));
}
