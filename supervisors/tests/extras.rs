//! What goes beyond OTP, all of it opt-in; and what becomes of a child after each of its lives.

mod common;

use common::puppet::{Act, Puppet, Seen, env, name, quiet, spec};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Incarnation, Limit};
use swarm_supervisors::{
    Backoff, CallError, ChildSpec, ChildState, Disposition, Restart, Root, Strategy,
    SupervisorFlags, Window, start_root,
};

fn many() -> SupervisorFlags {
    SupervisorFlags::default().intensity(100, Duration::from_secs(3600))
}

fn exact(initial_ms: u64, cap_ms: u64) -> Backoff {
    Backoff {
        initial: Duration::from_millis(initial_ms),
        cap: Duration::from_millis(cap_ms),
        jitter: 0.0,
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_delay_grows_and_the_supervisor_keeps_serving() {
    let puppet = Puppet::new().acts([Act::Run, Act::Fail("1"), Act::Fail("2"), Act::Run]);
    let child = puppet.spec("c").restart_delay(exact(100, 1000));
    let root = start_root(env(), spec(many(), [child]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    puppet.crash();
    for (ms, running) in [
        (99, false),
        (2, false),
        (199, false),
        (2, false),
        (397, false),
        (4, true),
    ] {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let state = supervisor
            .which_child(&name("c"))
            .await
            .expect("known")
            .state;
        assert_eq!(state.pid().is_some(), running);
        assert_eq!(state == ChildState::Restarting, !running);
    }
    assert_eq!(
        supervisor.delete_child(&name("c")).await,
        Err(CallError::Running)
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_life_ends_the_row_of_delays() {
    let puppet = Puppet::new();
    let child = puppet.spec("c").restart_delay(exact(100, 1000));
    let _root = start_root(env(), spec(many(), [child]))
        .await
        .expect("starts");
    for (lives, delay) in [(2, 100), (3, 200), (4, 400)] {
        puppet.crash();
        tokio::time::sleep(Duration::from_millis(delay + 1)).await;
        assert_eq!(puppet.lives(), lives);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    puppet.crash();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(puppet.lives(), 5, "the first delay again");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_restart_can_be_cancelled() {
    let puppet = Puppet::new();
    let child = puppet.spec("c").restart_delay(exact(100, 1000));
    let root = start_root(env(), spec(many(), [child]))
        .await
        .expect("starts");
    puppet.crash();
    quiet().await;
    root.supervisor()
        .terminate_child(&name("c"))
        .await
        .expect("cancels");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(puppet.lives(), 1);
    root.supervisor()
        .restart_child(&name("c"))
        .await
        .expect("starts");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_child_of_a_group_does_not_hold_up_a_group_restart() {
    let puppets = [Puppet::new(), Puppet::new()];
    let children = [
        puppets[0].spec("a"),
        puppets[1].spec("b").restart_delay(exact(1000, 1000)),
    ];
    let flags = SupervisorFlags::new(Strategy::OneForAll).intensity(9, Duration::from_secs(60));
    let root = start_root(env(), spec(flags, children))
        .await
        .expect("starts");
    puppets[1].crash();
    quiet().await;
    puppets[0].crash();
    quiet().await;
    assert_eq!((puppets[0].lives(), puppets[1].lives()), (2, 2));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        (puppets[0].lives(), puppets[1].lives()),
        (2, 2),
        "its own timer is gone"
    );
    drop(root);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_has_failed() {
    let puppet = Puppet::new().acts([Act::Slow(Duration::from_secs(60))]);
    let root = start_root(env(), spec(many(), [])).await.expect("starts");
    let child = puppet.spec("c").start_timeout(Duration::from_secs(1));
    let result = root.supervisor().start_child(child).await;
    let expected = CallError::StartFailed(ExitReason::Limit(Limit::StartTime));
    assert_eq!(result.err(), Some(expected));
    assert_eq!(puppet.lives(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exact_window_may_be_shorter_than_a_second() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default()
        .intensity(1, Duration::from_millis(100))
        .window(Window::Exact);
    let root = start_root(env(), spec(flags, [puppet.spec("c")]))
        .await
        .expect("starts");
    for _ in 0..5 {
        puppet.crash();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(puppet.lives(), 6);
    puppet.crash();
    quiet().await;
    puppet.crash();
    assert_eq!(root.wait().await, ExitReason::SHUTDOWN);
}

fn settled(puppet: &Puppet) -> Vec<Disposition> {
    let only = |seen| match seen {
        Seen::Settled(disposition) => Some(disposition),
        Seen::Started | Seen::Signalled | Seen::Killed => None,
    };
    puppet.seen().into_iter().filter_map(only).collect()
}

#[tokio::test(start_paused = true)]
async fn each_end_is_settled() {
    use Disposition::{Ended, Removed, Restarting, Stopped};
    let [permanent, transient, temporary] = [Puppet::new(), Puppet::new(), Puppet::new()];
    let children = [
        permanent.spec("p"),
        transient.spec("t").restart(Restart::Transient),
        temporary.spec("x").restart(Restart::Temporary),
    ];
    let root = start_root(env(), spec(many(), children))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    permanent.crash();
    quiet().await;
    assert_eq!(settled(&permanent), [Restarting]);
    supervisor.terminate_child(&name("p")).await.expect("stops");
    supervisor.delete_child(&name("p")).await.expect("forgets");
    assert_eq!(settled(&permanent), [Stopped, Removed]);
    transient.end(ExitReason::Normal);
    quiet().await;
    assert_eq!(settled(&transient), [Ended]);
    temporary.crash();
    quiet().await;
    assert_eq!(settled(&temporary), [Removed]);
}

/// A root with a supervisor `sub` below it, which has the static child `s`.
async fn nested(inner: &Puppet, flags: SupervisorFlags) -> Root {
    let inner = spec(flags, [inner.spec("s")]);
    let children = [ChildSpec::supervisor(name("sub"), inner)];
    start_root(env(), spec(many(), children))
        .await
        .expect("starts")
}

async fn sub(root: &Root) -> swarm_supervisors::SupervisorRef {
    let entry = root
        .supervisor()
        .which_child(&name("sub"))
        .await
        .expect("known");
    entry
        .child
        .expect("runs")
        .supervisor()
        .expect("a supervisor")
}

#[tokio::test(start_paused = true)]
async fn static_children_go_on_and_dynamic_ones_end_when_their_supervisor_is_restarted() {
    use Disposition::{Removed, SupervisorEnded};
    let [inner, dynamic] = [Puppet::new(), Puppet::new()];
    let root = nested(&inner, many()).await;
    let first = sub(&root).await;
    first.start_child(dynamic.spec("d")).await.expect("starts");
    first.kill();
    quiet().await;
    assert_eq!(settled(&inner), [SupervisorEnded]);
    assert_eq!(settled(&dynamic), [Removed]);
    assert_eq!(inner.pid().incarnation, Incarnation(2));
    let second = sub(&root).await;
    assert_eq!(second.pid().address, first.pid().address);
    assert_eq!(second.pid().incarnation, Incarnation(2));
    assert!(!first.is_alive());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_supervisor_becomes_of_its_children() {
    use Disposition::{Removed, Stopped, SupervisorEnded};
    let inner = Puppet::new();
    let root = nested(&inner, many()).await;
    let supervisor = root.supervisor();
    supervisor
        .terminate_child(&name("sub"))
        .await
        .expect("stops");
    assert_eq!(settled(&inner), [SupervisorEnded, Stopped]);
    supervisor
        .restart_child(&name("sub"))
        .await
        .expect("starts");
    assert_eq!(inner.pid().incarnation, Incarnation(2));
    supervisor
        .terminate_child(&name("sub"))
        .await
        .expect("stops");
    supervisor
        .delete_child(&name("sub"))
        .await
        .expect("forgets");
    assert_eq!(settled(&inner), [SupervisorEnded, Stopped, Removed]);
}

#[tokio::test(start_paused = true)]
async fn everything_is_removed_when_the_root_ends() {
    let inner = Puppet::new();
    let root = nested(&inner, many()).await;
    root.shutdown().await;
    assert_eq!(settled(&inner).last(), Some(&Disposition::Removed));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_init_no_longer_names_is_removed() {
    let [kept, dropped] = [Puppet::new(), Puppet::new()];
    let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let init = {
        let (kept, dropped) = (kept.clone(), dropped.clone());
        move || {
            let mut children = vec![kept.spec("kept")];
            if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                children.push(dropped.spec("dropped"));
            }
            Ok(Some(spec(many(), children)))
        }
    };
    let children = [ChildSpec::supervisor(name("sub"), init)];
    let root = start_root(env(), spec(many(), children))
        .await
        .expect("starts");
    sub(&root).await.kill();
    quiet().await;
    assert_eq!(kept.pid().incarnation, Incarnation(2));
    let expected = [Disposition::SupervisorEnded, Disposition::Removed];
    assert_eq!(settled(&dropped), expected);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_of_a_supervisor_keeps_what_its_children_left() {
    let [first, second] = [
        Puppet::new(),
        Puppet::new().acts([Act::Run, Act::Fail("once")]),
    ];
    let inner = spec(many(), [first.spec("a"), second.spec("b")]);
    let children = [ChildSpec::supervisor(name("sub"), inner)];
    let root = start_root(env(), spec(many(), children))
        .await
        .expect("starts");
    sub(&root).await.kill();
    quiet().await;
    assert_eq!(
        first.pid().incarnation,
        Incarnation(3),
        "started, stopped again, started"
    );
    assert_eq!(second.pid().incarnation, Incarnation(2));
    assert_eq!(
        sub(&root).await.pid().incarnation,
        Incarnation(2),
        "one life more"
    );
    assert!(!settled(&first).contains(&Disposition::Removed));
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let slow = Puppet::new().acts([Act::Slow(Duration::from_secs(1))]);
    let root = start_root(env(), spec(many(), [])).await.expect("starts");
    let supervisor = root.supervisor();
    let mut calls = tokio::task::JoinSet::new();
    let starting = supervisor.clone();
    calls.spawn(async move { starting.start_child(slow.spec("c")).await.map(|_| ()) });
    for _ in 0..3000 {
        let supervisor = supervisor.clone();
        calls.spawn(async move { supervisor.count_children().await.map(|_| ()) });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.len(), 3001);
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn ten_thousand_children_start_stop_and_restart_on_real_threads() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default().intensity(100_000, Duration::from_secs(60));
    let branches: Vec<ChildSpec> = (0..100)
        .map(|n| {
            let leaves = (0..100).map(|m| puppet.spec(&format!("w{m}")));
            ChildSpec::supervisor(name(&format!("s{n}")), spec(flags, leaves))
        })
        .collect();
    let root = start_root(env(), spec(flags, branches))
        .await
        .expect("starts");
    assert_eq!(puppet.lives(), 10_000);
    for n in 0..1000 {
        puppet.end_life(n, ExitReason::Killed);
    }
    while puppet.lives() < 11_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(root.shutdown().await, ExitReason::SHUTDOWN);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_takes_no_more_children_than_it_may_have() {
    let puppet = Puppet::new();
    let flags = SupervisorFlags::default().children_max(2);
    let root = start_root(env(), spec(flags, [puppet.spec("a")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    supervisor
        .start_child(puppet.spec("b"))
        .await
        .expect("there is room");
    let refused = supervisor.start_child(puppet.spec("c")).await;
    assert_eq!(refused.err(), Some(CallError::Full { max: 2 }));
    let taken = supervisor.start_child(puppet.spec("b")).await;
    assert!(matches!(taken, Err(CallError::AlreadyStarted(_))));
    supervisor.terminate_child(name("b")).await.expect("stops");
    supervisor
        .delete_child(name("b"))
        .await
        .expect("forgets it");
    supervisor
        .start_child(puppet.spec("c"))
        .await
        .expect("there is room again");
    let flags = SupervisorFlags::default().children_max(1);
    let many = start_root(env(), spec(flags, [puppet.spec("d"), puppet.spec("e")])).await;
    assert!(many.is_err());
}
