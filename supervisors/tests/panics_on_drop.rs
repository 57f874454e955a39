//! What is dropped may panic: the child's affair, and no end of its supervisor.

mod common;

use common::puppet::{Puppet, env, name, quiet, spec};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit, Pid};
use swarm_supervisors::{
    CallError, Child, ChildSpec, ChildState, Link, Restart, Root, SpecError, StartChild,
    StartError, Started, Strategy, SupervisorFlags, SupervisorRef, start_root,
};

/// Panics when it is dropped, and counts how often that happened.
struct Grenade(Arc<AtomicUsize>);

impl Drop for Grenade {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("dropped");
    }
}

/// A start that never ends.
struct Stuck(Arc<AtomicUsize>);

impl StartChild for Stuck {
    fn start(&self, _link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        let grenade = Grenade(self.0.clone());
        async move {
            let _grenade = grenade;
            std::future::pending().await
        }
        .boxed()
    }
}

/// A start function that holds one, of a child whose handle is one.
struct Armed {
    puppet: Puppet,
    _grenade: Grenade,
    drops: Arc<AtomicUsize>,
}

struct ArmedHandle {
    inner: Arc<dyn Child>,
    _grenade: Grenade,
}

impl Child for ArmedHandle {
    fn pid(&self) -> Pid {
        self.inner.pid()
    }

    fn signal(&self) {
        self.inner.signal();
    }

    fn kill(&self) {
        self.inner.kill();
    }
}

impl StartChild for Armed {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        async move {
            let started = self.puppet.start(link).await?;
            Ok(Started {
                child: Arc::new(ArmedHandle {
                    inner: started.child,
                    _grenade: Grenade(self.drops.clone()),
                }),
                info: None,
            })
        }
        .boxed()
    }
}

fn armed(id: &str, drops: &Arc<AtomicUsize>) -> (Puppet, ChildSpec) {
    let puppet = Puppet::new();
    let start = Armed {
        puppet: puppet.clone(),
        _grenade: Grenade(drops.clone()),
        drops: drops.clone(),
    };
    (puppet, ChildSpec::new(name(id), Arc::new(start)))
}

fn many() -> SupervisorFlags {
    SupervisorFlags::default().intensity(100, Duration::from_secs(3600))
}

async fn sub(root: &Root) -> SupervisorRef {
    let entry = root.supervisor().which_child(&name("sub")).await;
    let child = entry.expect("known").child.expect("it runs");
    child.supervisor().expect("it is one")
}

async fn invariant_it_still_serves(supervisor: &SupervisorRef) {
    quiet().await;
    assert!(supervisor.is_alive());
    let child = supervisor.which_child(&name("bystander")).await;
    assert!(matches!(
        child.expect("it is known").state,
        ChildState::Running(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_cut_off_may_panic_when_it_is_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bystander = Puppet::new();
    let root = start_root(env(), spec(many(), [bystander.spec("bystander")]))
        .await
        .expect("starts");
    let stuck = ChildSpec::new(name("stuck"), Arc::new(Stuck(drops.clone())))
        .start_timeout(Duration::from_secs(1));
    let result = root.supervisor().start_child(stuck).await;
    let expected = CallError::StartFailed(ExitReason::Limit(Limit::StartTime));
    assert_eq!(result.err(), Some(expected));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    invariant_it_still_serves(&root.supervisor()).await;
    assert_eq!(bystander.lives(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_killed_in_such_a_start_is_restarted() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bystander = Puppet::new();
    let inner = ChildSpec::supervisor(name("sub"), spec(many(), [bystander.spec("bystander")]));
    let root = start_root(env(), spec(many(), [inner]))
        .await
        .expect("starts");
    let first = sub(&root).await;
    let stuck = ChildSpec::new(name("stuck"), Arc::new(Stuck(drops.clone())));
    let (result, ()) = tokio::join!(first.start_child(stuck), async {
        quiet().await;
        first.kill();
    });
    assert_eq!(result.err(), Some(CallError::NoProc));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    invariant_it_still_serves(&sub(&root).await).await;
    assert_eq!(bystander.lives(), 2);
}

#[tokio::test(start_paused = true)]
async fn specs_and_handles_may_panic_when_they_are_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bystander = Puppet::new();
    let root = start_root(env(), spec(many(), [bystander.spec("bystander")]))
        .await
        .expect("starts");
    let supervisor = root.supervisor();

    // Its first handle when it is restarted; handle and spec when it is deleted.
    let (puppet, child) = armed("a", &drops);
    drop(supervisor.start_child(child).await.expect("starts").child);
    puppet.crash();
    quiet().await;
    assert_eq!((puppet.lives(), drops.load(Ordering::SeqCst)), (2, 1));
    supervisor.terminate_child(&name("a")).await.expect("stops");
    supervisor.delete_child(&name("a")).await.expect("forgets");
    invariant_it_still_serves(&supervisor).await;
    assert_eq!(drops.load(Ordering::SeqCst), 3);

    // A temporary one when it ends.
    let (puppet, child) = armed("b", &drops);
    let child = child.restart(Restart::Temporary);
    drop(supervisor.start_child(child).await.expect("starts"));
    puppet.crash();
    invariant_it_still_serves(&supervisor).await;
    assert_eq!(drops.load(Ordering::SeqCst), 5);

    // A spec that is refused.
    let (_, child) = armed("bystander", &drops);
    let refused = supervisor.start_child(child).await;
    assert!(matches!(refused, Err(CallError::AlreadyStarted(_))));
    invariant_it_still_serves(&supervisor).await;
    assert_eq!(drops.load(Ordering::SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn specs_that_a_live_supervisor_does_not_take_over_may_panic_when_they_are_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bystander = Puppet::new();
    let init = {
        let (drops, bystander) = (drops.clone(), bystander.clone());
        let is_first = AtomicBool::new(true);
        move || {
            let mut children = vec![bystander.spec("bystander")];
            if !is_first.swap(false, Ordering::SeqCst) {
                children.extend(["twice", "twice"].map(|id| armed(id, &drops).1));
            }
            Ok(Some(spec(many(), children)))
        }
    };
    let root = start_root(env(), init).await.expect("starts");
    let refused = root.supervisor().reconfigure().await;
    let expected = CallError::Invalid(SpecError::DuplicateChild(name("twice")));
    assert_eq!(refused, Err(expected));
    assert_eq!(drops.load(Ordering::SeqCst), 2);
    invariant_it_still_serves(&root.supervisor()).await;
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_killed_supervisor_may_all_panic_when_they_are_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bystander = Puppet::new();
    let flags = SupervisorFlags::new(Strategy::OneForAll).intensity(100, Duration::from_secs(60));
    let inner = ChildSpec::supervisor(name("sub"), spec(flags, [bystander.spec("bystander")]));
    let root = start_root(env(), spec(many(), [inner]))
        .await
        .expect("starts");
    let first = sub(&root).await;
    for id in ["a", "b", "c"] {
        drop(
            first
                .start_child(armed(id, &drops).1)
                .await
                .expect("starts"),
        );
    }
    first.kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        drops.load(Ordering::SeqCst),
        6,
        "three handles, three specs"
    );
    invariant_it_still_serves(&sub(&root).await).await;
    assert!(root.ended().is_none());
}
