//! What happens in a run, by its seed.

use crate::agents::Do;
use crate::diary::{Bond, Process};
use crate::invariants;
use crate::world::{Plan, World, called};
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::membership::Profile;
use swarm_protocols::Aid;
use swarm_protocols::interaction::{About, Decision, Opening, Question, Rules};

const SECOND: Duration = Duration::from_secs(1);
/// How many things happen in a run.
const STEPS: u32 = 30;
/// How long after the last of them everything has to be well again: verdicts, heals, moves, conversations.
const REST: Duration = Duration::from_secs(110);

/// Plays a run and gives its trace.
pub(crate) async fn run(seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let nodes = match seed % 10 {
        9 => random.u32(8..=16),
        _ => random.u32(3..=5),
    };
    let plan = Plan {
        nodes,
        profile: match seed % 5 {
            4 => Profile::Lan,
            _ => Profile::Fast,
        },
        on_name_conflict: ["keep-local", "stop", "hand-over"][(seed % 3) as usize],
        strategy: ["none", "keep-majority"][(seed / 3 % 2) as usize],
    };
    let mut world = World::new(seed, plan);
    for number in 0..nodes {
        world.start(number).await;
        world.pass(Duration::from_millis(random.u64(0..300))).await;
    }
    world.pass(SECOND * 5).await;
    for key in 0..STEPS {
        step(&mut world, &mut random, u64::from(key)).await;
        world.look().await;
        invariants::always(&world);
    }
    world.lose(0.0);
    world.part(vec![0; nodes as usize]);
    for number in 0..nodes {
        if !world.nodes.contains_key(&number) && random.bool() {
            world.start(number).await;
        }
    }
    world.pass(REST).await;
    world.look().await;
    invariants::at_the_end(&world);
    std::mem::take(&mut world.trace)
}

async fn step(world: &mut World, random: &mut fastrand::Rng, key: u64) {
    let nodes = world.plan.nodes;
    let (a, b) = (random.u32(0..nodes), random.u32(0..nodes));
    match random.u32(0..100) {
        // At least two of a run's nodes live.
        0..12 if world.nodes.len() > 2 => world.crash(a),
        0..20 => {
            if let Some(gone) = (0..nodes).find(|node| !world.nodes.contains_key(node)) {
                world.start(gone).await;
            }
        }
        20..26 => {
            let side = (0..nodes).map(|_| random.u8(0..2)).collect();
            world.part(side);
        }
        26..36 => world.part(vec![0; nodes as usize]),
        36..40 => {
            let share = random.f64() * 0.2;
            world.lose(share);
        }
        40..45 => world.reset(a, b),
        45..65 => send(world, a, b, random.u64(1..30)).await,
        65..75 => bond(world, (a, b), key, random.bool()).await,
        75..85 => converse(world, a, b, key),
        // Long enough for a view to become stable.
        85..89 => world.pass(SECOND * 40).await,
        _ => send(world, b, a, random.u64(1..300)).await,
    }
    world.pass(Duration::from_millis(random.u64(0..3000))).await;
}

fn ends(world: &World, a: u32, b: u32) -> Option<(Process, Process)> {
    let (from, to) = (world.nodes.get(&a)?.process, world.nodes.get(&b)?.process);
    (a != b).then_some((from, to))
}

async fn send(world: &mut World, a: u32, b: u32, count: u64) {
    let Some((_, to)) = ends(world, a, b) else {
        return;
    };
    let (Some(hand), Some(caller)) = (world.hand(a, b), world.caller(a)) else {
        return;
    };
    let hand = hand.typed().expect("it has a codec");
    caller
        .send(Do::Send(hand, to, count))
        .await
        .expect("the caller runs");
    world.note(&format!("send {count} from {a} to {b}"));
}

async fn bond(world: &mut World, (a, b): (u32, u32), key: u64, is_link: bool) {
    let Some((holder, on)) = ends(world, a, b) else {
        return;
    };
    let (Some(hand), Some(caller)) = (world.hand(a, b), world.caller(a)) else {
        return;
    };
    let is_known = world.diary.read(|pages| {
        let mut bonds = pages.bonds.values();
        is_link && bonds.any(|bond| bond.holder == holder && bond.on == on)
    });
    if is_known {
        return;
    }
    world.diary.write(|pages| {
        let verdicts = pages.verdicts_between(holder, on);
        let bond = Bond {
            holder,
            on,
            verdicts,
            fired: 0,
        };
        pages.bonds.insert(key, bond);
    });
    let order = match is_link {
        true => Do::Link(hand, key),
        false => Do::Monitor(hand, key),
    };
    caller.send(order).await.expect("the caller runs");
    world.note(&format!("bond {key} of {a} on {b}, link: {is_link}"));
}

/// A contract net of one node with clerks of two.
fn converse(world: &mut World, a: u32, b: u32, key: u64) {
    let Some((process, _)) = ends(world, a, b) else {
        return;
    };
    let (Some(asker), Some(there), Some(here)) =
        (world.asker(a), world.clerk(a, b), world.clerk(a, a))
    else {
        return;
    };
    let clerks = vec![here, there];
    let opening = Opening {
        reply_within: Some(SECOND * 10),
        result_within: Some(SECOND * 10),
        expires_in: Some(SECOND * 60),
        ..Opening::new(
            "",
            Aid::named(format!("asker@{}", called(a))),
            clerks.iter().map(|clerk| clerk.aid()).collect(),
            Rules::ContractNet,
            About::text("a task"),
        )
    };
    world
        .diary
        .write(|pages| pages.conversations.insert(key, (process, None)));
    let diary = world.diary.clone();
    let conversation = tokio::spawn(async move {
        let answers = Arc::new(|question: &Question| match question {
            Question::Evaluate(proposals) => Some(Decision::Award {
                accept: proposals.iter().map(|proposal| proposal.bidder).collect(),
                reserve: Vec::new(),
                content: Vec::new(),
            }),
            _ => None,
        });
        let outcome = asker.run(opening, clerks, answers, SECOND * 100).await;
        diary.by(process, |pages| {
            let end = format!("{:?}", outcome.map(|outcome| outcome.parts.len()));
            pages.conversations.insert(key, (process, Some(end)));
        });
    });
    if let Some(running) = world.nodes.get_mut(&a) {
        running.waiting.push(conversation);
    }
    world.note(&format!("conversation {key} of {a} with {b}"));
}
