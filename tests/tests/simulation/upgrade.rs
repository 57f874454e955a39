//! A cluster that is upgraded node by node over a change of what nodes say to each other, and nodes that are too far apart.

use crate::agents::Do;
use crate::diary::Bond;
use crate::invariants;
use crate::world::{Plan, World, called, name};
use std::time::Duration;
use swarm_cluster::link::{WIRE_VERSION, WIRE_VERSIONS};
use swarm_cluster::membership::Profile;
use swarm_runtime::cluster::ClusterError;

const SECOND: Duration = Duration::from_secs(1);
/// What the build before this one speaks.
const BEFORE: (u16, u16) = (WIRE_VERSION - 1, WIRE_VERSION - 1);

async fn cluster(seed: u64, versions: (u16, u16)) -> World {
    let plan = Plan {
        nodes: 4,
        profile: Profile::Fast,
        on_name_conflict: "hand-over",
        strategy: "none",
    };
    let mut world = World::new(seed, plan);
    world.versions = versions;
    for number in 0..3 {
        world.start(number).await;
    }
    world.pass(SECOND * 20).await;
    world
}

/// Everybody sends notes to everybody, and monitors everybody.
pub(crate) async fn speak(world: &mut World, round: u64) {
    let nodes: Vec<u32> = world.nodes.keys().copied().collect();
    for (a, b) in nodes
        .iter()
        .flat_map(|a| nodes.iter().map(move |b| (*a, *b)))
    {
        if a == b {
            continue;
        }
        let (from, to) = (world.nodes[&a].process, world.nodes[&b].process);
        let hand = world.hand(a, b).expect("it is in the group");
        let caller = world.caller(a).expect("it runs");
        let notes = Do::Send(hand.typed().expect("it has a codec"), to, 50);
        caller.send(notes).await.expect("taken");
        let key = round * 100 + u64::from(a * 10 + b);
        world.diary.write(|pages| {
            let verdicts = pages.verdicts_between(from, to);
            let bond = Bond {
                holder: from,
                on: to,
                verdicts,
                fired: 0,
            };
            pages.bonds.insert(key, bond);
        });
        caller.send(Do::Monitor(hand, key)).await.expect("taken");
    }
}

pub(crate) async fn a_rolling_upgrade_loses_nothing(seed: u64) {
    let mut world = cluster(seed, BEFORE).await;
    speak(&mut world, 0).await;
    world.pass(SECOND * 2).await;
    world.versions = WIRE_VERSIONS;
    for number in 0..3 {
        world.crash(number);
        world.pass(SECOND).await;
        world.start(number).await;
        world.pass(SECOND * 30).await;
        world.look().await;
        invariants::always(&world);
        speak(&mut world, u64::from(number) + 1).await;
        world.pass(SECOND * 5).await;
        world.look().await;
        invariants::at_the_end(&world);
    }
    for (number, running) in &world.nodes {
        let holder = running.cluster.holder_of(&name("boss"));
        assert!(holder.is_some(), "on {}", called(*number));
    }
}

pub(crate) async fn versions_further_apart_are_refused(seed: u64) {
    let mut world = cluster(seed, WIRE_VERSIONS).await;
    for (versions, is_refused) in [
        ((WIRE_VERSION + 1, WIRE_VERSION + 2), true),
        ((0, 0), true),
        // The one after this one.
        ((WIRE_VERSION, WIRE_VERSION + 1), false),
    ] {
        world.versions = versions;
        world.start(3).await;
        let began = tokio::time::Instant::now();
        let answered = world.nodes[&3].cluster.answered().await;
        assert!(began.elapsed() < SECOND * 5, "{:?}", began.elapsed());
        if is_refused {
            assert!(
                matches!(answered, Err(ClusterError::Version { theirs }) if theirs == WIRE_VERSIONS),
                "{answered:?}"
            );
        } else {
            assert!(answered.is_ok(), "{answered:?}");
        }
        world.pass(SECOND * 20).await;
        let hands = world.nodes[&0].node.system().group(&name("hands")).len();
        assert_eq!(hands, if is_refused { 3 } else { 4 }, "{versions:?}");
        world.crash(3);
        world.pass(SECOND * 30).await;
        world.look().await;
        invariants::at_the_end(&world);
    }
}
