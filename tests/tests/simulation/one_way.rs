//! Networks of which one direction works and the other does not: what asymmetric routes, full queues and half a firewall rule do.

use crate::invariants;
use crate::upgrade::speak;
use crate::world::{Plan, World, called};
use std::time::Duration;
use swarm_cluster::membership::Profile;

const SECOND: Duration = Duration::from_secs(1);
const NODES: u32 = 4;

async fn cluster(seed: u64) -> World {
    let plan = Plan {
        nodes: NODES,
        profile: match seed % 2 {
            0 => Profile::Fast,
            _ => Profile::Lan,
        },
        on_name_conflict: "hand-over",
        strategy: ["none", "keep-majority"][(seed / 2 % 2) as usize],
    };
    let mut world = World::new(seed, plan);
    for number in 0..NODES {
        world.start(number).await;
    }
    world.pass(SECOND * 20).await;
    world
}

/// Lets it last, with notes in all directions, and heals it; then all is as if nothing had been.
async fn last(world: &mut World, round: u64) {
    for part in 0..4 {
        speak(world, round * 10 + part).await;
        world.pass(SECOND * 15).await;
        world.look().await;
        invariants::always(world);
    }
}

async fn heal(world: &mut World) {
    world.part(vec![0; NODES as usize]);
    world.pass(SECOND * 110).await;
    world.look().await;
    invariants::at_the_end(world);
}

/// How many verdicts on others there were.
fn verdicts(world: &World) -> u32 {
    world.diary.read(|pages| pages.verdicts.values().sum())
}

pub(crate) async fn between_two_nodes(seed: u64) {
    let mut world = cluster(seed).await;
    for round in 0..2 {
        let (from, to) = [(0, 1), (1, 0)][round as usize];
        world.cut_one_way(from, to);
        last(&mut world, round).await;
        assert_eq!(verdicts(&world), 0, "the others speak to both");
        heal(&mut world).await;
        speak(&mut world, 50 + round).await;
        world.pass(SECOND * 5).await;
        invariants::at_the_end(&world);
    }
}

pub(crate) async fn deaf(seed: u64) {
    let mut world = cluster(seed).await;
    for other in 1..NODES {
        world.cut_one_way(other, 0);
    }
    apart(&mut world).await;
}

pub(crate) async fn dumb(seed: u64) {
    let mut world = cluster(seed).await;
    for other in 1..NODES {
        world.cut_one_way(0, other);
    }
    apart(&mut world).await;
}

async fn apart(world: &mut World) {
    world.pass(SECOND * 60).await;
    world.look().await;
    invariants::always(world);
    for other in 1..NODES {
        let view = &world.views[&other];
        assert!(!view.contains(&called(0)), "{other} sees {view:?}");
        assert_eq!(view.len(), NODES as usize - 1, "{other} sees {view:?}");
    }
    heal(world).await;
    speak(world, 90).await;
    world.pass(SECOND * 5).await;
    invariants::at_the_end(world);
}
