//! Many things at once, on real threads: whatever the order, nothing hangs and nobody is forgotten.

mod common;

use common::puppet::{Puppet, Seen, env, name, spec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{
    ChildSpec, Disposition, Shutdown, Strategy, SupervisorFlags, SupervisorRef, start_root,
};

const BRANCHES: usize = 6;
const LEAVES: usize = 5;
const ROUNDS: u64 = 3000;

fn flags(strategy: Strategy) -> SupervisorFlags {
    SupervisorFlags::new(strategy).intensity(1_000_000, Duration::from_secs(60))
}

/// The n-th value of a sequence that looks random.
fn chance(seed: u64, n: u64) -> u64 {
    let mut z = seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

async fn branch(root: &SupervisorRef, n: usize) -> Option<SupervisorRef> {
    let entry = root.which_child(&name(&format!("s{n}"))).await.ok()?;
    entry.child?.supervisor()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kills_crashes_and_calls_from_all_sides_leave_nobody_behind() {
    let puppets: Vec<Vec<Puppet>> = (0..BRANCHES)
        .map(|_| (0..LEAVES).map(|_| Puppet::new()).collect())
        .collect();
    let strategies = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ];
    let branches = puppets.iter().enumerate().map(|(n, leaves)| {
        let leaves = leaves.iter().enumerate().map(|(m, puppet)| {
            let spec = puppet.spec(&format!("w{m}"));
            if m % 2 == 0 {
                spec.shutdown(Shutdown::BrutalKill)
            } else {
                spec
            }
        });
        let inner = spec(flags(strategies[n % 3]), leaves);
        ChildSpec::supervisor(name(&format!("s{n}")), inner)
    });
    let root = start_root(env(), spec(flags(Strategy::OneForOne), branches))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4_u64 {
        let (supervisor, puppets) = (supervisor.clone(), puppets.clone());
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let r = chance(task, round);
                let n = (r >> 8) as usize % BRANCHES;
                let m = (r >> 16) as usize % LEAVES;
                let leaf = name(&format!("w{m}"));
                match r % 8 {
                    0 => {
                        if let Some(branch) = branch(&supervisor, n).await {
                            branch.kill();
                        }
                    }
                    1 => {
                        if let Some(branch) = branch(&supervisor, n).await {
                            let _ = branch.terminate_child(&leaf).await;
                            let _ = branch.restart_child(&leaf).await;
                        }
                    }
                    2 => {
                        if let Some(branch) = branch(&supervisor, n).await {
                            let _ = branch.cycle_child(&leaf).await;
                        }
                    }
                    3 => {
                        let _ = supervisor.cycle_child(&name(&format!("s{n}"))).await;
                    }
                    _ => puppets[n][m].end(ExitReason::error_text("crash")),
                }
            }
        });
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("nothing hangs");
    let ended = tokio::time::timeout(Duration::from_secs(60), root.shutdown()).await;
    assert_eq!(ended, Ok(ExitReason::SHUTDOWN));
    for puppet in puppets.iter().flatten() {
        assert_eq!(puppet.overlaps(), 0, "no child has two lives at once");
        let seen = puppet.seen();
        assert_eq!(
            seen.last(),
            Some(&Seen::Settled(Disposition::Removed)),
            "{:?}",
            &seen[seen.len().saturating_sub(8)..]
        );
    }
    assert!(!supervisor.is_alive());
}

/// A start function that blocks its thread until it is let go.
struct Blocking {
    entered: Arc<AtomicBool>,
    release: parking_lot::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl swarm_supervisors::StartChild for Blocking {
    fn start(
        &self,
        _: swarm_supervisors::Link,
    ) -> futures_util::future::BoxFuture<
        '_,
        Result<swarm_supervisors::Started, swarm_supervisors::StartError>,
    > {
        Box::pin(async {
            self.entered.store(true, Ordering::SeqCst);
            let _ = self.release.lock().recv();
            Err(swarm_supervisors::StartError::Ignore)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_that_never_yields_does_not_hold_up_the_end() {
    let (release, blocked) = std::sync::mpsc::channel();
    let root = start_root(env(), spec(flags(Strategy::OneForOne), []))
        .await
        .expect("starts");
    let supervisor = root.supervisor();
    let entered = Arc::new(AtomicBool::new(false));
    let blocking = Blocking {
        entered: entered.clone(),
        release: parking_lot::Mutex::new(blocked),
    };
    let blocking = ChildSpec::new(name("b"), Arc::new(blocking));
    let starting = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.start_child(blocking).await.map(|_| ()) }
    });
    while !entered.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let counting = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.count_children().await.map(|_| ()) }
    });
    supervisor.kill();
    let ended = tokio::time::timeout(Duration::from_secs(30), root.wait()).await;
    assert_eq!(ended, Ok(ExitReason::Killed));
    release.send(()).expect("it still waits");
    let noproc = Err(swarm_supervisors::CallError::NoProc);
    assert_eq!(starting.await.expect("joins"), noproc);
    assert_eq!(counting.await.expect("joins"), noproc);
}
