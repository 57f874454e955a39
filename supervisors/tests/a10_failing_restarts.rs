//! otp.md A10: restarts that fail again and again, or take long.

mod common;

use common::puppet::{Act, Puppet, args, env, name, quiet, spec};
use common::{c, count, play, stop, sup};
use serde_json::json;
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{
    CallError, ChildEntry, ChildState, Restart, Root, Strategy, SupervisorFlags, SupervisorRef,
    start_root,
};

/// A start that takes two seconds and then fails, for as long as nobody says otherwise.
fn hanging(times: usize) -> Vec<Act> {
    // A puppet cannot be slow and fail; a start time-out of two seconds makes it so.
    vec![Act::Slow(Duration::from_secs(3600)); times]
}

fn hang(puppet: &Puppet, id: &str) -> swarm_supervisors::ChildSpec {
    puppet.spec(id).start_timeout(Duration::from_secs(2))
}

fn flags(strategy: Strategy) -> SupervisorFlags {
    SupervisorFlags::new(strategy).intensity(8, Duration::from_secs(10))
}

async fn states(supervisor: &SupervisorRef) -> Vec<String> {
    let show = |entry: ChildEntry| {
        let state = match entry.state {
            ChildState::Running(_) => "running",
            ChildState::Stopped => "stopped",
            ChildState::Restarting => "restarting",
        };
        format!("{} {state}", entry.name)
    };
    supervisor
        .which_children()
        .await
        .expect("lives")
        .into_iter()
        .map(show)
        .collect()
}

async fn counts(supervisor: &SupervisorRef) -> (usize, usize, usize, usize) {
    let counts = supervisor.count_children().await.expect("lives");
    (
        counts.specs,
        counts.active,
        counts.supervisors,
        counts.workers,
    )
}

async fn looping() -> (Root, Puppet) {
    let puppet = Puppet::new();
    let root = start_root(
        env(),
        spec(flags(Strategy::OneForOne), [hang(&puppet, "c")]),
    )
    .await;
    let puppet = puppet.acts(hanging(20));
    puppet.crash();
    (root.expect("starts"), puppet)
}

#[tokio::test(start_paused = true)]
async fn s127_calls_are_served_between_two_attempts() {
    let (root, puppet) = looping().await;
    let supervisor = root.supervisor();
    let c = name("c");
    assert_eq!(
        supervisor.start_child(puppet.spec("c")).await.err(),
        Some(CallError::AlreadyPresent)
    );
    assert_eq!(
        supervisor.restart_child(&c).await.err(),
        Some(CallError::Restarting)
    );
    assert_eq!(
        supervisor.delete_child(&c).await.err(),
        Some(CallError::Restarting)
    );
    assert_eq!(states(&supervisor).await, ["c restarting"]);
    assert_eq!(counts(&supervisor).await, (1, 0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn s128_terminate_child_cancels_the_attempts() {
    let (root, puppet) = looping().await;
    let supervisor = root.supervisor();
    let c = name("c");
    assert_eq!(supervisor.terminate_child(&c).await, Ok(()));
    assert_eq!(states(&supervisor).await, ["c stopped"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(puppet.lives(), 1, "no attempt is left");
    let puppet = puppet.acts([]);
    supervisor
        .restart_child(&c)
        .await
        .expect("the start works again");
    assert_eq!(puppet.lives(), 2);
}

#[tokio::test(start_paused = true)]
async fn s129_a_shutdown_waits_for_at_most_the_attempt_in_progress() {
    let (root, _puppet) = looping().await;
    quiet().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(root.shutdown().await, ExitReason::SHUTDOWN);
    assert!(begun.elapsed() <= Duration::from_secs(2));
}

async fn looping_group() -> (Root, [Puppet; 3]) {
    let puppets = [Puppet::new(), Puppet::new(), Puppet::new()];
    let children = [
        puppets[0].spec("c1"),
        hang(&puppets[1], "c2"),
        puppets[2].spec("c3"),
    ];
    let root = start_root(env(), spec(flags(Strategy::RestForOne), children))
        .await
        .expect("starts");
    let _ = puppets[1].clone().acts(hanging(20));
    puppets[1].crash();
    (root, puppets)
}

#[tokio::test(start_paused = true)]
async fn s130_the_rest_of_a_group_is_stopped_while_its_first_is_tried() {
    let (root, puppets) = looping_group().await;
    let supervisor = root.supervisor();
    let c2 = name("c2");
    assert_eq!(
        states(&supervisor).await,
        ["c3 stopped", "c2 restarting", "c1 running"]
    );
    assert_eq!(counts(&supervisor).await, (3, 1, 0, 3));
    let again = supervisor.start_child(puppets[1].spec("c2")).await;
    assert_eq!(again.err(), Some(CallError::AlreadyPresent));
    assert_eq!(
        supervisor.restart_child(&c2).await.err(),
        Some(CallError::Restarting)
    );
    assert_eq!(
        supervisor.delete_child(&c2).await.err(),
        Some(CallError::Restarting)
    );
}

#[tokio::test(start_paused = true)]
async fn s131_a_cancelled_group_stays_stopped() {
    use common::puppet::Seen;
    use swarm_supervisors::Disposition;
    let (root, puppets) = looping_group().await;
    let supervisor = root.supervisor();
    supervisor
        .terminate_child(&name("c2"))
        .await
        .expect("cancels");
    assert_eq!(
        states(&supervisor).await,
        ["c3 stopped", "c2 stopped", "c1 running"]
    );
    // What was said about the third while it was to come back is taken back.
    let last = puppets[2].seen().pop();
    assert_eq!(last, Some(Seen::Settled(Disposition::Stopped)));
    let _ = puppets[1].clone().acts([]);
    supervisor.restart_child(&name("c2")).await.expect("starts");
    assert_eq!(
        states(&supervisor).await,
        ["c3 stopped", "c2 running", "c1 running"]
    );
    assert_eq!(puppets[0].lives(), 1);
}

async fn instances(n: u32) -> (Root, Puppet, Vec<swarm_protocols::Pid>) {
    let puppet = Puppet::new();
    let template = hang(&puppet, "t").restart(Restart::Permanent);
    let root = start_root(env(), spec(flags(Strategy::SimpleOneForOne), [template]))
        .await
        .expect("starts");
    let mut pids = Vec::new();
    for n in 0..n {
        let started = root
            .supervisor()
            .start_instance(None, args(n))
            .await
            .expect("starts");
        pids.push(started.pid.expect("runs"));
    }
    (root, puppet, pids)
}

#[tokio::test(start_paused = true)]
async fn s132_the_old_pid_cancels_the_attempts_of_an_instance() {
    let (root, puppet, pids) = instances(1).await;
    let supervisor = root.supervisor();
    let puppet = puppet.acts(hanging(20));
    puppet.crash();
    assert_eq!(states(&supervisor).await, ["t-1 restarting"]);
    assert_eq!(counts(&supervisor).await, (1, 0, 0, 1));
    assert_eq!(supervisor.terminate_child(pids[0]).await, Ok(()));
    assert!(states(&supervisor).await.is_empty());
    let puppet = puppet.acts([]);
    supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    assert_eq!(puppet.lives(), 2);
}

#[tokio::test(start_paused = true)]
async fn s133_restarting_instances_are_counted_but_not_as_active() {
    let (root, puppet, _) = instances(3).await;
    let supervisor = root.supervisor();
    let puppet = puppet.acts(hanging(20));
    puppet.end_life(0, ExitReason::Killed);
    puppet.end_life(1, ExitReason::Killed);
    assert_eq!(
        counts(&supervisor).await,
        (1, 1, 0, 3),
        "two are restarting"
    );
    let _ = puppet.acts([]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(counts(&supervisor).await, (1, 3, 0, 3));
    for left in [2, 1, 0] {
        let children = supervisor.which_children().await.expect("lives");
        let pid = children[0].state.pid().expect("runs");
        supervisor.terminate_child(pid).await.expect("stops");
        assert_eq!(counts(&supervisor).await, (1, left, 0, left));
    }
}

#[test]
fn s129_a_shutdown_slips_in_between_attempts() {
    let child = common::with("c", json!({"start": ["ok", "error"]}));
    let script = json!([common::crash(10, "c"), stop(10), count(20)]);
    let trace = play(
        sup("one_for_one", 1_000_000, 60, json!([c("a"), child])),
        script,
    );
    assert_eq!(trace.ends("/"), ["10 shutdown"]);
    assert_eq!(trace.times("gave_up", "/"), 0);
    assert!(trace.times("start_failed", "c") <= 2);
}
