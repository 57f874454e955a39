//! What must hold: after each step, in a view that has been stable for a while, and at the end of a run.

use crate::diary::{Bond, Pages};
use crate::world::{World, called, name, path};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing must have happened for a view to be stable: the time to hand over, to hear of it, and to start what stands by.
const STABLE: Duration = Duration::from_secs(10);

/// What holds at any time.
pub(crate) fn always(world: &World) {
    world.diary.read(|pages| {
        invariant_no_note_comes_twice_or_out_of_order(pages);
        invariant_monitors_and_links_fire_once_at_most(pages);
    });
    let is_stable = world.quiet_since + STABLE <= Instant::now();
    if is_stable {
        invariant_a_name_has_one_owner_in_a_connected_stable_view(world);
        invariant_who_gave_way_does_not_run(world);
    }
}

/// What holds when the network has been whole and quiet for long.
pub(crate) fn at_the_end(world: &World) {
    always(world);
    invariant_all_see_all(world);
    world.diary.read(|pages| {
        invariant_every_note_arrived_where_none_may_be_lost(pages);
        invariant_bonds_fired_when_they_had_to(pages);
        invariant_conversations_ended(pages);
    });
    invariant_every_move_has_ended(world);
}

fn invariant_no_note_comes_twice_or_out_of_order(pages: &Pages) {
    for (pair, numbers) in &pages.received {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{pair:?}: {numbers:?}");
    }
}

fn invariant_monitors_and_links_fire_once_at_most(pages: &Pages) {
    for (key, bond) in &pages.bonds {
        assert!(bond.fired <= 1, "{key}: {bond:?}");
    }
}

/// The nodes of each side that live.
fn sides(world: &World) -> BTreeMap<u8, Vec<u32>> {
    let mut sides: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
    for number in world.nodes.keys() {
        let side = world.side[*number as usize];
        sides.entry(side).or_default().push(*number);
    }
    sides
}

/// Whether the nodes of this side hold each other for alive, and nobody else.
fn is_connected(world: &World, nodes: &[u32]) -> bool {
    let all = nodes.iter().map(|number| called(*number)).collect();
    nodes
        .iter()
        .all(|number| world.views.get(number) == Some(&all))
}

/// Whether the nodes of this side claim names for the cluster.
fn claims(world: &World, nodes: &[u32]) -> bool {
    nodes.iter().all(|number| {
        let (side, _) = world.nodes[number].node.side();
        side != swarm_cluster::partition::Side::Lesser
    })
}

fn invariant_a_name_has_one_owner_in_a_connected_stable_view(world: &World) {
    for nodes in sides(world).values() {
        if !is_connected(world, nodes) || !claims(world, nodes) {
            continue;
        }
        let holders: Vec<_> = nodes
            .iter()
            .map(|number| {
                (
                    called(*number),
                    world.nodes[number].cluster.holder_of(&name("boss")),
                )
            })
            .collect();
        let first = &holders[0].1;
        assert!(
            first.is_some() && holders.iter().all(|(_, holder)| holder == first),
            "{holders:?}"
        );
    }
}

fn invariant_who_gave_way_does_not_run(world: &World) {
    if world.plan.on_name_conflict == "keep-local" {
        return;
    }
    for nodes in sides(world).values() {
        if !is_connected(world, nodes) || !claims(world, nodes) {
            continue;
        }
        let running: Vec<_> = nodes
            .iter()
            .filter(|number| {
                let boss = world.nodes[number].node.system().lookup(&path("/boss"));
                boss.is_some_and(|boss| boss.is_alive())
            })
            .collect();
        assert_eq!(running.len(), 1, "bosses run on {running:?} of {nodes:?}");
        // And it is found from everywhere, the nodes included whose own stands by.
        let there = world.nodes[running[0]].node.system().lookup(&path("/boss"));
        let address = there.map(|boss| boss.address());
        for number in nodes {
            let found = world.nodes[number].node.system().whereis(&name("boss"));
            assert_eq!(
                found.map(|boss| boss.address()),
                address,
                "on {}",
                called(*number)
            );
        }
    }
}

fn invariant_all_see_all(world: &World) {
    let nodes: Vec<u32> = world.nodes.keys().copied().collect();
    assert!(is_connected(world, &nodes), "{:?}", world.views);
    for (number, running) in &world.nodes {
        let hands = running.node.system().group(&name("hands")).len();
        assert_eq!(hands, world.nodes.len(), "{} sees {hands}", called(*number));
    }
}

fn invariant_every_note_arrived_where_none_may_be_lost(pages: &Pages) {
    for (pair @ (from, to), sent) in &pages.sent {
        let is_promised = pages.alive.contains(from)
            && pages.alive.contains(to)
            && pages.verdicts_between(*from, *to) == (0, 0);
        let arrived = pages.received.get(pair).map_or(0, Vec::len) as u64;
        if is_promised {
            assert_eq!(arrived, *sent, "{pair:?}");
        } else {
            assert!(arrived <= *sent);
        }
    }
}

fn invariant_bonds_fired_when_they_had_to(pages: &Pages) {
    for (key, bond) in &pages.bonds {
        if !pages.alive.contains(&bond.holder) {
            continue;
        }
        let Bond { holder, on, .. } = *bond;
        let (by_holder, by_other) = pages.verdicts_between(holder, on);
        let is_lost = !pages.alive.contains(&on) || by_holder > bond.verdicts.0;
        if is_lost {
            assert_eq!(bond.fired, 1, "{key}: {bond:?}");
        } else if (by_holder, by_other) == (0, 0) {
            assert_eq!(bond.fired, 0, "{key}: {bond:?}");
        }
    }
}

fn invariant_conversations_ended(pages: &Pages) {
    for (key, (process, end)) in &pages.conversations {
        if pages.alive.contains(process) {
            assert!(end.is_some(), "conversation {key} of {process:?} goes on");
        }
    }
}

fn invariant_every_move_has_ended(world: &World) {
    let placed = [
        "/pool/any-1",
        "/pool/any-2",
        "/pool/any-3",
        "/pool/any-4",
        "/pool/named",
    ];
    let nodes: Vec<u32> = world.nodes.keys().copied().collect();
    // Those that never came back may have been the greater part: then it runs nowhere, or at a process that has never heard of them.
    let least = usize::from(claims(world, &nodes));
    for at in placed {
        let running: Vec<_> = world
            .nodes
            .iter()
            .filter(|(_, running)| {
                let agent = running.node.system().lookup(&path(at));
                agent.is_some_and(|agent| agent.is_alive())
            })
            .map(|(number, _)| *number)
            .collect();
        let is_once = (least..=1).contains(&running.len());
        assert!(is_once, "{at} runs on {running:?}");
    }
    for (number, running) in &world.nodes {
        assert!(
            least == 0 || running.node.is_settled(),
            "{} is not settled",
            called(*number)
        );
    }
}
