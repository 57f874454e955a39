//! Whole nodes in a deterministic simulation: real trees, names, groups, links, gossip, placement and conversations, on simulated networks and
//! in virtual time. Nodes crash and come back, networks part and lose; named invariants hold after each step, and more of them when a
//! view has been stable for a while.
//!
//! One seed is one run: everything in it follows from the seed. A failure prints its seed; `SWARM_SEED=n cargo test -p swarm-tests --test
//! simulation one_seed -- --nocapture` plays that one again and shows its steps.

mod agents;
mod diary;
mod invariants;
mod one_way;
mod steps;
mod upgrade;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs something in virtual time.
fn virtually<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run)
}

/// Plays one seed and gives its trace.
fn play(seed: u64) -> Vec<String> {
    virtually(steps::run(seed))
}

/// Plays seeds one after the other; the first that fails is named.
fn play_all(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
        assert!(
            played.is_ok(),
            "seed {seed} fails: play it with SWARM_SEED={seed}"
        );
    }
}

#[test]
fn whatever_happens_to_nodes_and_networks_the_promises_hold_even_seeds() {
    play_all((0..50).step_by(2));
}

#[test]
fn whatever_happens_to_nodes_and_networks_the_promises_hold_odd_seeds() {
    play_all((1..50).step_by(2));
}

#[test]
fn one_seed_is_one_run() {
    for seed in [3, 14] {
        let (first, second) = (play(seed), play(seed));
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}, line {at}:\n{}\n{}", first[at], second[at]);
        }
        assert_eq!(first.len(), second.len());
        assert!(first.len() > 100, "something happened: {}", first.len());
    }
}

#[test]
fn a_pair_of_which_one_does_not_hear_the_other_is_kept_together_by_those_around_them() {
    for seed in 0..4 {
        virtually(one_way::between_two_nodes(seed));
    }
}

#[test]
fn a_node_that_hears_nobody_is_down_and_comes_back_without_a_doubled_note() {
    for seed in 0..4 {
        virtually(one_way::deaf(seed));
    }
}

#[test]
fn a_node_that_nobody_hears_is_down_and_comes_back_without_a_doubled_note() {
    for seed in 0..4 {
        virtually(one_way::dumb(seed));
    }
}

#[test]
fn a_rolling_upgrade_from_the_wire_version_before_loses_nothing() {
    for seed in 0..4 {
        virtually(upgrade::a_rolling_upgrade_loses_nothing(seed));
    }
}

#[test]
fn nodes_whose_wire_versions_are_further_apart_are_refused_within_5_s() {
    virtually(upgrade::versions_further_apart_are_refused(1));
}

#[test]
#[ignore = "thousands of seeds: in the nightly set, or with SWARM_SEED=n for one"]
fn one_seed() {
    match std::env::var("SWARM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SWARM_SEED is a number");
            for line in play(seed) {
                println!("{line}");
            }
        }
        Err(_) => {
            let count = std::env::var("SWARM_SEEDS").ok();
            let count = count.map_or(2000, |count| {
                count.parse().expect("SWARM_SEEDS is a number")
            });
            play_all(1000..1000 + count);
        }
    }
}
