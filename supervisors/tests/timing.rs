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
