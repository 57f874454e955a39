//! Inits that are met by a kill, a stop, or the end of their supervisor.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use swarm_actors::chaos::{ChaosPlan, Expectation, FaultKind, Target};
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::{ExitReason, Path};
use swarm_supervisors::{
    CallError, ChildSpec, Restart, Strategy, SupervisorFlags, SupervisorRef, SupervisorSpec,
};

/// A puppet whose inits take this long, one after the other; those beyond the list take no time. Counts them.
fn slow_starter(inits: &'static [Duration]) -> (AgentSpec<Puppet>, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let puppet = Puppet::that_begins(move |_| {
        let init = counter.fetch_add(1, Ordering::SeqCst) as usize;
        async move {
            tokio::time::sleep(inits.get(init).copied().unwrap_or_default()).await;
            Ok(Init::Ready)
        }
        .boxed()
    });
    (puppet.called("a"), count)
}

/// As good as never.
const NEVER: Duration = Duration::from_secs(24 * 3600);

fn is_starting(system: &System, path: &Path) -> bool {
    system
        .lookup(path)
        .is_some_and(|agent| agent.info().state == ActorState::Starting)
}

#[tokio::test(start_paused = true)]
async fn a_kill_during_the_first_init_fails_the_start_and_the_supervisor_goes_on() {
    let stage = TestSystem::start().await;
    let (spec, _) = slow_starter(&[NEVER]);
    let (tree, spec) = (stage.tree().clone(), spec.child(&stage));
    let path = tree.path().child(&spec.id);
    let starting = tokio::spawn(async move { tree.start_child(spec).await.map(|s| s.pid) });
    until("its init runs", || is_starting(&stage, &path)).await;
    stage.lookup(&path).expect("it is there").kill();
    let started = tokio::time::timeout(SECOND, starting).await;
    let started = started.expect("the start is over").expect("no panic");
    assert_eq!(started, Err(CallError::StartFailed(ExitReason::Killed)));
    let b = stage.spawn(puppet("b")).await.expect("started");
    lives(&b, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_during_the_init_of_a_restart_ends_it_and_the_supervisor_tries_again() {
    let stage = TestSystem::start().await;
    let (spec, inits) = slow_starter(&[Duration::ZERO, NEVER]);
    let a = stage.spawn(spec).await.expect("started");
    a.any().kill();
    until("its init runs", || is_starting(&stage, a.path())).await;
    a.any().kill();
    until("it runs again", || {
        inits.load(Ordering::SeqCst) == 3 && !is_starting(&stage, a.path()) && a.any().is_alive()
    })
    .await;
    notes(&a).await;
    let b = stage.spawn(puppet("b")).await.expect("started");
    lives(&b, 1).await;
}

#[tokio::test(start_paused = true)]
async fn chaos_does_not_miss_an_agent_that_it_hit_while_it_was_starting() {
    let stage = TestSystem::start().await;
    let slow = Duration::from_millis(400);
    let (spec, _) = slow_starter(Box::leak(Box::new([
        Duration::ZERO,
        slow,
        slow,
        slow,
        slow,
        slow,
    ])));
    let a = stage.spawn(spec).await.expect("started");
    let plan = ChaosPlan {
        target: Target::Path(a.path().clone()),
        faults: vec![FaultKind::Kill],
        rate: 20.0,
        duration: ms(200),
        seed: 1,
        expect: vec![Expectation::Restarts],
        grace: SECOND * 4,
    };
    let report = chaos::run(&stage, &plan, std::future::pending()).await;
    let report = report.expect("carried out");
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(report.missing, Vec::<Path>::new());
    notes(&a).await;
}

/// A supervisor below the root that is not restarted.
async fn branch(stage: &TestSystem) -> SupervisorRef {
    let flags = SupervisorFlags::new(Strategy::OneForOne).intensity(1000, SECOND);
    let branch = ChildSpec::supervisor(name("s"), SupervisorSpec::new(flags, Vec::new()));
    let branch = branch.restart(Restart::Temporary);
    let started = stage.tree().start_child(branch).await;
    started.map(|_| ()).expect("started");
    let path = Path::root().child(&name("s"));
    stage.supervisor(&path).await.expect("it is there")
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_child_whose_supervisor_is_killed_during_its_restart_is_gone_for_good() {
    let stage = TestSystem::start().await;
    let supervisor = branch(&stage).await;
    let (spec, _) = slow_starter(&[Duration::ZERO, NEVER]);
    let spec = spec.registered(name("known")).child(&stage);
    let path = supervisor.path().child(&spec.id);
    let started = supervisor.start_child(spec).await;
    started.map(|_| ()).expect("started");
    let a: AgentRef<Say> = stage.lookup_typed(&path).expect("it is there");
    let mut watch = a.any().watch();
    a.any().kill();
    until("its init runs", || is_starting(&stage, &path)).await;
    let asker = a.clone();
    let asked = tokio::spawn(async move { asker.ask(Say::Notes, HOUR).await });
    until("it is asked", || a.any().mailbox_depth() == 1).await;
    supervisor.kill();
    let answer = tokio::time::timeout(SECOND, asked).await;
    let answer = answer.expect("the ask is over").expect("no panic");
    assert_eq!(answer, Err(AskError::NoProc));
    let told = tokio::time::timeout(SECOND, watch.recv()).await;
    let told = told.expect("the watcher is told");
    assert!(matches!(told, Some(WatchEvent::Ended { .. })), "{told:?}");
    assert!(stage.lookup(&path).is_none());
    assert!(stage.whereis(&name("known")).is_none());
    let sent = a.try_send(note("late")).expect_err("it has ended");
    assert_eq!(sent.why, NotSent::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_child_whose_supervisor_is_killed_during_its_first_start_leaves_nothing() {
    let stage = TestSystem::start().await;
    let supervisor = branch(&stage).await;
    let (spec, _) = slow_starter(&[NEVER]);
    let spec = spec.registered(name("known")).child(&stage);
    let path = supervisor.path().child(&spec.id);
    let parent = supervisor.clone();
    let starting = tokio::spawn(async move { parent.start_child(spec).await.map(|s| s.pid) });
    until("its init runs", || is_starting(&stage, &path)).await;
    supervisor.kill();
    let started = tokio::time::timeout(SECOND, starting).await;
    let started = started.expect("the start is over").expect("no panic");
    assert_eq!(started, Err(CallError::NoProc));
    until("it is gone", || stage.lookup(&path).is_none()).await;
    assert!(stage.whereis(&name("known")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_init_keeps_its_reason() {
    let stage = TestSystem::start().await;
    let reason = ExitReason::error_text("of its own");
    let told = reason.clone();
    let quitter = Puppet::that_begins(move |turn| {
        if turn.incarnation().0 == 1 {
            turn.stop(told.clone());
        }
        async { Ok(Init::Ready) }.boxed()
    });
    let spec = quitter.called("a").restart(Restart::Transient);
    let a = stage.spawn(spec).await.expect("started");
    lives(&a, 2).await;
    assert_eq!(a.any().detail().last_exit, Some(reason));
}
