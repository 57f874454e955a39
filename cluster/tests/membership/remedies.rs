//! One test for each defect of foca or of SWIM that membership makes good, and for names that two processes want.

use crate::invariants::views_have_converged;
use crate::sim::{Process, Sim, secs};
use swarm_cluster::identity::BootId;
use swarm_cluster::membership::{Arrival, Change, DownCause, Event, MemberState, Profile};

fn lan(nodes: usize, seed: u64) -> Sim {
    Sim::mesh(Profile::Lan.parameters(), nodes, seed)
}

fn state(sim: &Sim, at: usize, boot: BootId) -> Option<MemberState> {
    let members = sim.nodes[at].core.members();
    members
        .iter()
        .find(|m| m.node.boot == boot)
        .map(|m| m.state)
}

#[test]
fn a_member_that_refutes_in_time_is_never_told_that_it_is_down() {
    // foca 2.0.0 sends TurnUndead when a suspicion's timer fires although it was refuted.
    let mut sim = lan(32, 1);
    for round in 0..30 {
        sim.pause(round % 32);
        sim.run(secs(3.0));
        sim.resume(round % 32);
        sim.run(secs(1.0));
    }
    sim.run(secs(60.0));
    let refuted: u64 = sim
        .nodes
        .iter()
        .map(|n| n.core.counters().refutations)
        .sum();
    assert!(refuted > 0, "the pauses were long enough to be suspected");
    let renewed = sim.nodes.iter().flat_map(|node| &node.changes);
    let renewed = renewed.filter(|(_, c)| matches!(c, Change::Renewed { .. }));
    assert_eq!(renewed.count(), 0);
}

#[test]
fn a_suspicion_outlives_the_node_that_raised_it() {
    // In foca only the prober arms the timer of a suspicion.
    for seed in 0..10 {
        let mut sim = lan(10, seed);
        sim.end(4, Process::Dead);
        sim.run_until(secs(20.0), |sim| suspector(sim, 4).is_some())
            .expect("somebody suspects it");
        let prober = suspector(&sim, 4).expect("found");
        sim.run(secs(0.15));
        sim.end(prober, Process::Dead);
        let took = sim.run_until(secs(60.0), |sim| sim.all_count(8));
        assert!(took.is_some_and(|took| took < secs(25.0)), "{took:?}");
    }
}

fn suspector(sim: &Sim, suspect: usize) -> Option<usize> {
    let suspect = sim.boot(suspect);
    let suspects =
        |change: &Change| matches!(change, Change::Suspect { node } if node.boot == suspect);
    (0..sim.nodes.len()).find(|index| sim.changes(*index).any(suspects))
}

#[test]
fn lost_news_is_repaired_by_an_exchange_of_everything() {
    // foca repairs a missed verdict only by the node's own probes.
    let mut sim = lan(20, 3);
    sim.cut(|index| u8::from(index == 9));
    sim.event(5, Event::Leave);
    sim.run(secs(1.5));
    let exchanges =
        |sim: &Sim| -> u64 { sim.nodes.iter().map(|n| n.core.counters().exchanges).sum() };
    let before = exchanges(&sim);
    sim.heal();
    let took = sim.run_until(secs(30.0), |sim| sim.nodes[9].core.size() == 19);
    assert!(took.is_some_and(|took| took < secs(3.0)), "{took:?}");
    assert!(exchanges(&sim) > before);
    assert_eq!(state(&sim, 9, sim.boot(5)), Some(MemberState::Left));
}

#[test]
fn a_joining_node_knows_everybody_after_one_exchange() {
    // A feed of foca is one packet; the rest of a big cluster trickles in over minutes.
    let mut sim = lan(300, 4);
    let new = sim.add("new", 300);
    sim.join(new, 7);
    let took = sim.run_until(secs(10.0), |sim| sim.nodes[new].core.size() == 301);
    assert!(took.is_some_and(|took| took < secs(0.1)), "{took:?}");
    let took = sim.run_until(secs(10.0), |sim| sim.all_count(301));
    assert!(took.is_some_and(|took| took < secs(2.0)), "{took:?}");
}

#[test]
fn a_heal_is_told_apart_from_a_restart_by_boot_id() {
    // foca renews every identity on heal, so generations say nothing.
    let mut sim = lan(8, 5);
    sim.cut(|index| u8::from(index < 3));
    sim.run(secs(40.0));
    sim.heal();
    sim.run_until(secs(20.0), Sim::all_agree).expect("heals");
    sim.run(secs(20.0));
    let healed = sim.arrivals(0, sim.boot(5));
    assert_eq!(healed.last(), Some(&Arrival::Healed));
    assert_eq!(sim.arrivals(0, sim.boot(1)), []);

    sim.end(5, Process::Killed);
    let again = sim.add("n5", 5);
    sim.join(again, 0);
    let took = sim.run_until(secs(10.0), Sim::all_agree);
    assert!(took.is_some_and(|took| took < secs(1.0)), "{took:?}");
    assert_eq!(sim.arrivals(0, sim.boot(again)), [Arrival::Restarted]);
    let old = sim.nodes[5].core.me().node().clone();
    let cause = DownCause::Replaced;
    assert!(sim.changes(0).any(|c| *c
        == Change::Down {
            node: old.clone(),
            cause
        }));
}

#[test]
fn what_a_lone_node_took_for_down_does_no_harm_after_the_heal() {
    // foca keeps the verdicts of a node that has nobody to tell, and sends them as news once it has; whoever gets them believes them.
    for seed in 0..30 {
        let mut sim = lan(5, 700 + seed);
        sim.cut(|index| u8::from(index == 2));
        sim.run(secs(10.0 + 3.0 * seed as f64));
        sim.heal();
        // Those of the lone node itself that were under way when the cut ended are not false yet.
        sim.forbids_false_verdicts = false;
        sim.run(secs(10.0));
        views_have_converged(&sim);
        let lone = sim.boot(2);
        for index in [0, 1, 3, 4] {
            let taken = sim.changes(index);
            let mut taken =
                taken.filter(|c| matches!(c, Change::Down { node, .. } if node.boot != lone));
            assert_eq!(taken.next(), None, "seed {seed}: node {index}");
        }
    }
}

#[test]
fn a_node_that_hears_nobody_distrusts_itself_and_recovers() {
    let mut sim = lan(16, 6);
    sim.cut(|index| u8::from(index == 2));
    sim.run(secs(8.0));
    assert!(sim.nodes[2].core.health().score() >= 3);
    assert!(sim.nodes[7].core.health().score() <= 1);
    sim.heal();
    sim.run(secs(60.0));
    assert_eq!(sim.nodes[2].core.health().score(), 0);
    views_have_converged(&sim);
}

#[test]
fn who_left_is_forgotten_after_a_minute_and_who_is_down_after_a_day() {
    let mut sim = lan(4, 7);
    sim.event(1, Event::Leave);
    sim.end(2, Process::Killed);
    sim.run(secs(30.0));
    assert_eq!(state(&sim, 0, sim.boot(1)), Some(MemberState::Left));
    sim.run(secs(60.0));
    assert_eq!(state(&sim, 0, sim.boot(1)), None);
    assert_eq!(state(&sim, 0, sim.boot(2)), Some(MemberState::Down));
    sim.run(secs(24.0 * 3600.0));
    assert_eq!(state(&sim, 0, sim.boot(2)), None);
    assert_eq!(sim.nodes[0].core.members().len(), 2);
}

#[test]
fn an_evicted_process_is_told_and_does_not_come_back() {
    let mut sim = lan(12, 8);
    let boot = sim.boot(4);
    sim.event(0, Event::Evict { boot });
    let took = sim.run_until(secs(10.0), |sim| {
        (0..12).all(|i| i == 4 || sim.nodes[i].core.size() == 11)
    });
    assert!(took.is_some_and(|took| took < secs(1.0)), "{took:?}");
    sim.run(secs(5.0));
    assert!(sim.changes(4).any(|c| *c == Change::Evicted));
    sim.join(4, 2);
    sim.run(secs(40.0));
    for index in (0..12).filter(|index| *index != 4) {
        assert_eq!(
            state(&sim, index, boot),
            Some(MemberState::Down),
            "node {index}"
        );
        assert_eq!(sim.arrivals(index, boot), []);
    }
    // A node that was not there to hear of it learns it when it joins.
    let new = sim.add("new", 40);
    sim.join(new, 0);
    sim.run(secs(2.0));
    assert_eq!(state(&sim, new, boot), None);
    assert_eq!(sim.nodes[new].core.size(), 12);
}

#[test]
fn a_name_whose_holder_answers_is_refused() {
    let mut sim = lan(5, 9);
    let twin = sim.add("n3", 77);
    sim.join(twin, 0);
    sim.run(secs(5.0));
    let holder = sim.nodes[3].core.me().clone();
    let refused = Change::NameTaken {
        by: holder.node().clone(),
        address: holder.address(),
        answers: true,
    };
    assert_eq!(sim.changes(twin).collect::<Vec<_>>(), [&refused]);
    assert_eq!(sim.nodes[twin].core.size(), 1);
    assert_eq!(sim.changes(3).count(), 0);
    for index in 0..5 {
        assert_eq!(sim.nodes[index].core.size(), 5);
    }
}

#[test]
fn a_name_asked_for_at_its_own_holder_is_refused() {
    let mut sim = lan(3, 10);
    let twin = sim.add("n0", 77);
    sim.join(twin, 0);
    sim.run(secs(2.0));
    assert!(
        sim.changes(twin)
            .any(|c| matches!(c, Change::NameTaken { answers: true, .. }))
    );
}

#[test]
fn a_name_whose_holder_is_silent_is_free_once_the_holder_is_down() {
    let mut sim = lan(5, 11);
    sim.end(3, Process::Dead);
    let next = sim.add("n3", 77);
    sim.join(next, 0);
    sim.run(secs(0.8));
    assert!(
        sim.changes(next)
            .any(|c| matches!(c, Change::NameTaken { answers: false, .. }))
    );
    let took = sim.run_until(secs(30.0), Sim::all_agree);
    assert!(took.is_some(), "it goes on asking and is let in");
    assert!(
        sim.changes(next)
            .any(|c| matches!(c, Change::Joined { members: 5 }))
    );
}

#[test]
fn of_two_processes_of_one_name_the_same_one_stays_everywhere() {
    // foca would let each declare the other down, for ever.
    for seed in 0..5 {
        let mut sim = lan(8, 20 + seed);
        sim.end(7, Process::Killed);
        sim.cut(|index| u8::from(index < 4));
        let left = sim.add("twin", 20);
        sim.nodes[left].side = 1;
        sim.join(left, 0);
        sim.run(secs(0.5));
        let right = sim.add("twin", 21);
        sim.join(right, 5);
        sim.run(secs(30.0));
        sim.forbids_false_verdicts = false;
        sim.heal();
        let taken = |sim: &Sim, index: usize| {
            sim.changes(index)
                .any(|c| matches!(c, Change::NameTaken { .. }))
        };
        sim.run_until(secs(10.0), |sim| taken(sim, left))
            .expect("the older of the two hears that its name is taken");
        assert!(!taken(&sim, right));
        sim.end(left, Process::Ended);
        sim.run_until(secs(20.0), Sim::all_agree).expect("agrees");
        sim.run(secs(20.0));
        assert!(!taken(&sim, right));
        views_have_converged(&sim);
    }
}

#[test]
fn a_restart_with_a_clock_that_went_back_still_takes_the_place() {
    let mut sim = lan(5, 12);
    sim.run(secs(5.0));
    sim.end(2, Process::Killed);
    sim.run(secs(10.0));
    let again = sim.add_at_generation("n2", 2, 5);
    sim.join(again, 0);
    let took = sim.run_until(secs(10.0), Sim::all_agree);
    assert!(took.is_some_and(|took| took < secs(2.0)), "{took:?}");
    assert!(sim.nodes[again].core.me().generation() > sim.nodes[2].core.me().generation());
}

#[test]
fn a_broadcast_reaches_every_member_once() {
    let mut sim = lan(32, 13);
    for index in 0..8 {
        let payload = vec![index as u8; 64];
        sim.event(index, Event::Broadcast { payload });
    }
    sim.run(secs(5.0));
    for index in 8..32 {
        let mut got: Vec<u8> = sim.nodes[index]
            .delivered
            .iter()
            .map(|(_, p)| p[0])
            .collect();
        got.sort_unstable();
        assert_eq!(got, (0..8).collect::<Vec<u8>>(), "node {index}");
    }
}
