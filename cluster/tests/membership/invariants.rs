//! What must hold after every step of the simulation. Each is a function named for its claim.

use crate::sim::{Process, Sim, secs};
use swarm_cluster::membership::MemberState;

/// How long a live node may be held for down by one that it can reach, after the last disturbance.
const DOWN_AT_MOST: f64 = 30.0;

/// Checks what the step of node `index` may have broken. What needs a pass over all members is checked every 64th step of the run.
pub(crate) fn after_step(sim: &Sim, index: usize) {
    no_live_node_stays_down(sim, index);
    what_waits_is_bounded(sim, index);
    if sim.steps.is_multiple_of(64) {
        the_view_has_one_member_of_a_name(sim, index);
        the_size_counts_the_members(sim, index);
    }
}

fn no_live_node_stays_down(sim: &Sim, index: usize) {
    let node = &sim.nodes[index];
    if node.process != Process::Up || sim.calm_for() < secs(DOWN_AT_MOST) {
        return;
    }
    for (boot, since) in &node.down {
        let Some(target) = sim.index_of(*boot) else {
            continue;
        };
        let lives = sim.is_up(target) && sim.reaches(index, target);
        assert!(
            !lives || sim.now.saturating_sub(*since) < secs(DOWN_AT_MOST),
            "seed {}: at {:?} node {index} has held the live node {target} for down since {since:?}",
            sim.seed,
            sim.now
        );
    }
}

fn what_waits_is_bounded(sim: &Sim, index: usize) {
    let backlog = sim.nodes[index].core.backlog();
    let bound = 2_000 + 64 * sim.nodes.len();
    assert!(
        backlog < bound,
        "seed {}: node {index} keeps {backlog} timers and pieces of news",
        sim.seed
    );
}

fn the_view_has_one_member_of_a_name(sim: &Sim, index: usize) {
    let members = sim.nodes[index].core.members();
    for pair in members.windows(2) {
        assert!(
            pair[0].node.name < pair[1].node.name,
            "seed {}: node {index} has two members of one name: {pair:?}",
            sim.seed
        );
    }
}

fn the_size_counts_the_members(sim: &Sim, index: usize) {
    let core = &sim.nodes[index].core;
    let active = core
        .members()
        .iter()
        .filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect))
        .count();
    let is_leaving = core
        .members()
        .iter()
        .any(|m| m.node == *core.me().node() && m.state == MemberState::Left);
    assert_eq!(
        core.size(),
        active + usize::from(is_leaving),
        "seed {}: node {index}",
        sim.seed
    );
}

/// The load of each node in `time` (its packets by then minus `before`) is about two packets a period, whatever the size of the cluster.
pub(crate) fn load_per_node_is_constant(sim: &Sim, before: &[u64], seconds: f64) {
    let mut total = 0.0;
    for (node, before) in sim.nodes.iter().zip(before) {
        let rate = (node.packets - before) as f64 / seconds;
        assert!(
            rate < 5.0,
            "seed {}: {} sends {rate} packets a second",
            sim.seed,
            node.core.me()
        );
        total += rate;
    }
    let mean = total / sim.nodes.len() as f64;
    assert!(
        (1.9..2.2).contains(&mean),
        "seed {}: {mean} packets per node and second",
        sim.seed
    );
}

/// Every node that is up sees exactly those that are up.
pub(crate) fn views_have_converged(sim: &Sim) {
    assert!(
        sim.all_agree(),
        "seed {}: at {:?} views differ: {:?}",
        sim.seed,
        sim.now,
        sim.nodes
            .iter()
            .filter(|n| n.process == Process::Up)
            .map(|n| (n.core.me().name().clone(), n.core.size()))
            .collect::<Vec<_>>()
    );
}
