//! How long big trees take; prints figures rather than checking them. `cargo test --release --test timing -- --ignored --nocapture`

mod common;

use common::puppet::{Puppet, env, name, spec};
use std::time::{Duration, Instant};
use swarm_protocols::ExitReason;
use swarm_supervisors::{ChildSpec, Root, SupervisorFlags, start_root};

fn flags() -> SupervisorFlags {
    SupervisorFlags::default().intensity(10_000_000, Duration::from_secs(60))
}

async fn tree(puppet: &Puppet, branches: usize, leaves: usize) -> Root {
    let children = (0..branches).map(|n| {
        let leaves = (0..leaves).map(|m| puppet.spec(&format!("w{m}")));
        ChildSpec::supervisor(name(&format!("s{n}")), spec(flags(), leaves))
    });
    start_root(env(), spec(flags(), children))
        .await
        .expect("starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn big_trees() {
    for _ in 0..5 {
        let puppet = Puppet::new();
        let begun = Instant::now();
        let root = tree(&puppet, 100, 100).await;
        let started = begun.elapsed();
        let begun = Instant::now();
        root.shutdown().await;
        println!(
            "tree of 10 101: start {started:?}, stop {:?}",
            begun.elapsed()
        );
        let puppet = Puppet::new();
        let leaves = (0..1000).map(|m| puppet.spec(&format!("w{m}")));
        let root = start_root(env(), spec(flags(), leaves))
            .await
            .expect("starts");
        let begun = Instant::now();
        for n in 0..1000 {
            puppet.end_life(n, ExitReason::Killed);
        }
        while puppet.lives() < 2000 {
            tokio::task::yield_now().await;
        }
        println!("1000 killed and back: {:?}", begun.elapsed());
        drop(root);
    }
    let puppet = Puppet::new();
    let root = start_root(env(), spec(flags(), [puppet.spec("c")]))
        .await
        .expect("starts");
    let begun = Instant::now();
    const ROUNDS: usize = 100_000;
    for n in 0..ROUNDS {
        puppet.end_life(n, ExitReason::Killed);
        while puppet.lives() < n + 2 {
            tokio::task::yield_now().await;
        }
    }
    println!(
        "one restart: {:?}",
        begun.elapsed() / u32::try_from(ROUNDS).expect("fits")
    );
    drop(root);
}

#[tokio::test]
#[ignore = "a measurement"]
async fn one_restart_on_one_thread() {
    const ROUNDS: usize = 300_000;
    let puppet = Puppet::new();
    let root = start_root(
        env().with_observer(std::sync::Arc::new(Silent)),
        spec(flags(), [puppet.spec("c")]),
    )
    .await
    .expect("starts");
    let begun = Instant::now();
    for n in 0..ROUNDS {
        puppet.end_life(n, ExitReason::Killed);
        while puppet.lives() < n + 2 {
            tokio::task::yield_now().await;
        }
    }
    println!(
        "one restart: {:?}",
        begun.elapsed() / u32::try_from(ROUNDS).expect("fits")
    );
    drop(root);
}

struct Silent;

impl swarm_supervisors::Observer for Silent {
    fn report(&self, _: &swarm_supervisors::Report) {}
}

/// A child that takes no memory of its own.
struct Light(
    parking_lot::Mutex<Option<swarm_supervisors::Link>>,
    std::sync::atomic::AtomicUsize,
);

struct LightChild;

impl swarm_supervisors::Child for LightChild {
    fn pid(&self) -> swarm_protocols::Pid {
        swarm_protocols::Pid {
            address: swarm_protocols::Address(1),
            incarnation: swarm_protocols::Incarnation(1),
        }
    }

    fn signal(&self) {}

    fn kill(&self) {}
}

impl swarm_supervisors::StartChild for Light {
    fn start(
        &self,
        link: swarm_supervisors::Link,
    ) -> futures_util::future::BoxFuture<
        '_,
        Result<swarm_supervisors::Started, swarm_supervisors::StartError>,
    > {
        *self.0.lock() = Some(link);
        self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(swarm_supervisors::Started {
            child: std::sync::Arc::new(LightChild),
            info: None,
        })))
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .expect("a number")
}

#[tokio::test]
#[ignore = "a measurement"]
async fn memory_over_restarts() {
    let light = std::sync::Arc::new(Light(parking_lot::Mutex::new(None), Default::default()));
    let inner = spec(flags(), [ChildSpec::new(name("c"), light.clone())]);
    let root = start_root(
        env().with_observer(std::sync::Arc::new(Silent)),
        spec(flags(), [ChildSpec::supervisor(name("s"), inner)]),
    )
    .await
    .expect("starts");
    let starts = || light.1.load(std::sync::atomic::Ordering::SeqCst);
    for round in 0..6 {
        let begun = Instant::now();
        for _ in 0..500_000 {
            let before = starts();
            let link = light.0.lock().take().expect("it was started");
            link.exited(
                swarm_supervisors::Child::pid(&LightChild),
                ExitReason::Killed,
            );
            drop(link);
            while starts() == before {
                tokio::task::yield_now().await;
            }
        }
        println!(
            "{round}: {} kB after 500 000 restarts more, {:?}",
            resident_kb(),
            begun.elapsed() / 500_000
        );
        let begun = Instant::now();
        for _ in 0..20_000 {
            let before = starts();
            let sub = root
                .supervisor()
                .which_child(&name("s"))
                .await
                .expect("known");
            sub.child.expect("runs").kill();
            while starts() == before {
                tokio::task::yield_now().await;
            }
        }
        println!(
            "{round}: {} kB after 20 000 restarts of the supervisor more, {:?}",
            resident_kb(),
            begun.elapsed() / 20_000
        );
    }
}
