//! Sides by table, and together with placement on several nodes in virtual time, over a network that is cut and healed.

use super::*;
use crate::identity::{BootId, NodeId};
use crate::placement::{self, Declared, Edition, Labels, Mode, Placement, PlacementParameters};
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocols::Path;

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

fn node(index: usize) -> NodeId {
    NodeId {
        name: name(&format!("n{index}")),
        boot: BootId(index as u128),
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The first of `count` nodes, at five seconds, seeing them all.
fn seeing(count: usize, strategy: Strategy) -> Partition {
    let parameters = PartitionParameters {
        strategy,
        ..PartitionParameters::default()
    };
    let mut partition = Partition::new(&node(0), parameters);
    for index in 1..count {
        partition.handle(Event::Up { node: node(index) }, 5 * SECOND);
    }
    partition
}

/// Where a node is when these went down at ten seconds, and nothing more happened.
fn decided(strategy: Strategy, count: usize, down: &[usize]) -> Side {
    let mut partition = seeing(count, strategy);
    for index in down {
        partition.handle(Event::Down { node: node(*index) }, 10 * SECOND);
    }
    if let Some(wake) = partition.next_wake() {
        assert_eq!(wake, 20 * SECOND);
        partition.handle(Event::Tick, wake);
        assert_eq!(partition.next_wake(), None);
    }
    partition.side()
}

#[test]
fn who_goes_on() {
    let majority = Strategy::KeepMajority;
    let quorum = |size| Strategy::StaticQuorum { size };
    let table = [
        (Strategy::None, 3, vec![], Side::Whole),
        (Strategy::None, 3, vec![1, 2], Side::Greater),
        (majority, 3, vec![2], Side::Greater),
        (majority, 3, vec![1, 2], Side::Lesser),
        (majority, 5, vec![3, 4], Side::Greater),
        (majority, 5, vec![2, 3, 4], Side::Lesser),
        // Of two halves the one with n0.
        (majority, 4, vec![2, 3], Side::Greater),
        (majority, 2, vec![1], Side::Greater),
        (quorum(2), 3, vec![2], Side::Greater),
        (quorum(2), 3, vec![1, 2], Side::Lesser),
        (quorum(4), 5, vec![4], Side::Greater),
        (quorum(4), 5, vec![3, 4], Side::Lesser),
        (quorum(4), 3, vec![], Side::Lesser),
        (quorum(1), 1, vec![], Side::Whole),
    ];
    for (strategy, count, down, side) in table {
        let seen = decided(strategy, count, &down);
        assert_eq!(seen, side, "{strategy:?} of {count} without {down:?}");
    }
}

#[test]
fn of_two_halves_the_one_without_the_first_member_stops() {
    let parameters = PartitionParameters {
        strategy: Strategy::KeepMajority,
        ..PartitionParameters::default()
    };
    let mut partition = Partition::new(&node(3), parameters);
    for index in 0..3 {
        partition.handle(Event::Up { node: node(index) }, SECOND);
    }
    for index in 0..2 {
        partition.handle(Event::Down { node: node(index) }, 10 * SECOND);
    }
    partition.handle(Event::Tick, 20 * SECOND);
    assert_eq!(partition.side(), Side::Lesser);
}

#[test]
fn nothing_is_decided_while_anybody_is_suspected() {
    let mut partition = seeing(5, Strategy::KeepMajority);
    partition.handle(Event::Down { node: node(4) }, 10 * SECOND);
    partition.handle(Event::Suspect { node: node(3) }, 12 * SECOND);
    assert_eq!(partition.next_wake(), None);
    partition.handle(Event::Tick, 60 * SECOND);
    assert_eq!(partition.side(), Side::Undecided);
    partition.handle(Event::Refuted { node: node(3) }, 61 * SECOND);
    assert_eq!(partition.next_wake(), Some(71 * SECOND));
    partition.handle(Event::Tick, 71 * SECOND);
    assert_eq!(partition.side(), Side::Greater);
}

#[test]
fn a_side_does_not_grow_into_a_majority() {
    let mut partition = seeing(5, Strategy::KeepMajority);
    for index in 2..5 {
        partition.handle(Event::Down { node: node(index) }, 10 * SECOND);
    }
    for index in 5..9 {
        partition.handle(Event::Up { node: node(index) }, 11 * SECOND);
    }
    partition.handle(Event::Tick, 21 * SECOND);
    assert_eq!(partition.side(), Side::Lesser);
}

#[test]
fn nodes_that_are_lost_one_after_the_other_are_no_partition() {
    let mut partition = seeing(5, Strategy::KeepMajority);
    let mut now = 10 * SECOND;
    for index in [4, 3, 2] {
        partition.handle(Event::Down { node: node(index) }, now);
        now += 10 * SECOND;
        partition.handle(Event::Tick, now);
        assert_eq!(partition.side(), Side::Greater);
        now += SECOND;
    }
    assert_eq!(partition.missing(), [name("n2"), name("n3"), name("n4")]);
    for index in 2..5 {
        assert_eq!(partition.side(), Side::Greater);
        partition.handle(Event::Up { node: node(index) }, now);
    }
    assert_eq!(partition.side(), Side::Whole);
}

#[test]
fn a_goodbye_is_no_loss_and_a_restart_takes_its_seat_again() {
    let mut partition = seeing(3, Strategy::KeepMajority);
    for index in 1..3 {
        partition.handle(Event::Left { node: node(index) }, 10 * SECOND);
        assert_eq!(partition.side(), Side::Whole);
    }
    let mut partition = seeing(3, Strategy::KeepMajority);
    partition.handle(Event::Down { node: node(1) }, 10 * SECOND);
    let restarted = NodeId {
        boot: BootId(99),
        ..node(1)
    };
    partition.handle(Event::Up { node: restarted }, 11 * SECOND);
    assert_eq!(partition.side(), Side::Whole);
    // The verdict on the process before comes late.
    partition.handle(Event::Down { node: node(1) }, 12 * SECOND);
    assert_eq!(partition.side(), Side::Whole);
}

#[test]
fn what_is_told_of_a_cut_and_its_heal() {
    let mut partition = seeing(3, Strategy::KeepMajority);
    let told = partition.handle(Event::Down { node: node(2) }, 10 * SECOND);
    let missing = vec![name("n2")];
    assert_eq!(
        told,
        [
            Decision::Detected { missing, agreed: 3 },
            Decision::Side(Side::Undecided)
        ]
    );
    let told = partition.handle(Event::Tick, 20 * SECOND);
    assert_eq!(told, [Decision::Side(Side::Greater)]);
    let told = partition.handle(Event::Up { node: node(2) }, 30 * SECOND);
    assert_eq!(told, [Decision::Side(Side::Whole), Decision::Healed]);
}

#[derive(Clone, Debug)]
enum Due {
    Partition(Event),
    Placement(placement::Event),
    Gone(Path),
}

struct Machine {
    partition: Partition,
    placement: Placement,
    runs: BTreeSet<Path>,
}

/// When something is due, where, and which entry of the queue it is; none for a node's own wake.
type Next = (Duration, usize, Option<(Duration, u64)>);

/// Nodes as the runtime puts them together: what partitions decide, placement is told.
struct Net {
    machines: Vec<Machine>,
    component: Vec<usize>,
    strategy: Strategy,
    queue: BTreeMap<(Duration, u64), (usize, Due)>,
    now: Duration,
    counter: u64,
    random: fastrand::Rng,
}

impl Net {
    fn new(count: usize, seed: u64, strategy: Strategy) -> Self {
        let wanted = |at: &str, replicas, mode| Declared {
            path: Path::new(at).expect("valid"),
            replicas,
            mode,
            labels: Labels::new(),
            agents: 1,
            digest: 1,
        };
        let declared = vec![
            wanted("/any", Some(7), Mode::Any),
            wanted("/spread", Some(5), Mode::Spread),
        ];
        let machine = |index: usize| Machine {
            partition: Partition::new(
                &node(index),
                PartitionParameters {
                    strategy,
                    ..PartitionParameters::default()
                },
            ),
            placement: Placement::new(node(index), Labels::new(), PlacementParameters::default()),
            runs: BTreeSet::new(),
        };
        let mut net = Self {
            machines: (0..count).map(machine).collect(),
            component: vec![0; count],
            strategy,
            queue: BTreeMap::new(),
            now: SECOND,
            counter: 0,
            random: fastrand::Rng::with_seed(seed),
        };
        for a in 0..count {
            for b in (0..count).filter(|b| *b != a) {
                net.post(
                    a,
                    Duration::ZERO,
                    Due::Partition(Event::Up { node: node(b) }),
                );
            }
            let edition = Edition::default();
            let declared = declared.clone();
            let event = placement::Event::Declared {
                edition,
                declared,
                room: None,
            };
            net.post(a, SECOND, Due::Placement(event));
        }
        net
    }

    fn post(&mut self, at: usize, after: Duration, due: Due) {
        self.counter += 1;
        self.queue
            .insert((self.now + after, self.counter), (at, due));
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range))
    }

    /// Cuts the network into these components, or heals it. Each node suspects those it cannot reach within nine seconds and holds
    /// them for down some seconds later; after a heal it hears of them within five.
    fn part(&mut self, component: &[usize]) {
        self.queue
            .retain(|_, (_, due)| !matches!(due, Due::Partition(_)));
        let before = std::mem::replace(&mut self.component, component.to_vec());
        for a in 0..component.len() {
            for b in (0..component.len()).filter(|b| *b != a) {
                let now_apart = component[a] != component[b];
                let node = node(b);
                if now_apart && before[a] == before[b] {
                    let suspected = self.millis(0..9_000);
                    let down = suspected + self.millis(3_000..9_000);
                    let event = Event::Suspect { node: node.clone() };
                    self.post(a, suspected, Due::Partition(event));
                    self.post(a, down, Due::Partition(Event::Down { node }));
                } else if !now_apart {
                    let after = self.millis(0..5_000);
                    self.post(a, after, Due::Partition(Event::Up { node }));
                }
            }
        }
    }

    fn next(&self) -> Option<Next> {
        let wakes = self.machines.iter().enumerate().filter_map(|(at, m)| {
            let wakes = [m.partition.next_wake(), m.placement.next_wake()];
            Some((wakes.into_iter().flatten().min()?, at, None))
        });
        let due = self
            .queue
            .iter()
            .map(|(key, (at, _))| (key.0, *at, Some(*key)));
        wakes.chain(due.take(1)).min()
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, index, key)) = self.next()
            && at <= end
        {
            self.now = self.now.max(at);
            match key.and_then(|key| self.queue.remove(&key)) {
                None => {
                    self.partition(index, Event::Tick);
                    self.placement(index, placement::Event::Tick);
                }
                Some((_, Due::Partition(event))) => self.partition(index, event),
                Some((_, Due::Placement(event))) => self.placement(index, event),
                Some((_, Due::Gone(path))) => {
                    self.machines[index].runs.remove(&path);
                    self.placement(index, placement::Event::Stopped { path });
                }
            }
            self.invariant_no_child_runs_twice_on_one_side();
            self.invariant_one_side_goes_on();
        }
        self.now = end;
    }

    fn partition(&mut self, index: usize, event: Event) {
        let now = self.now;
        let follows = match &event {
            Event::Up { node } if node.name != name(&format!("n{index}")) => {
                Some(placement::Event::Up { node: node.clone() })
            }
            Event::Down { node } | Event::Left { node } => {
                Some(placement::Event::Down { boot: node.boot })
            }
            _ => None,
        };
        for decision in self.machines[index].partition.handle(event, now) {
            let Decision::Side(side) = decision else {
                continue;
            };
            if self.strategy == Strategy::None {
                continue;
            }
            let event = match side {
                Side::Whole | Side::Greater => placement::Event::Resume,
                Side::Undecided => placement::Event::Hold,
                Side::Lesser => placement::Event::Suspend,
            };
            self.placement(index, event);
        }
        if let Some(event) = follows {
            self.placement(index, event);
        }
    }

    fn placement(&mut self, index: usize, event: placement::Event) {
        let now = self.now;
        for decision in self.machines[index].placement.handle(event, now) {
            match decision {
                placement::Decision::Start { path } => {
                    let after = self.millis(1..30);
                    self.machines[index].runs.insert(path.clone());
                    let event = placement::Event::Started { path };
                    self.post(index, after, Due::Placement(event));
                }
                placement::Decision::Stop { path, .. } => {
                    let after = self.millis(1..100);
                    self.post(index, after, Due::Gone(path));
                }
                placement::Decision::Say { to, bytes } => {
                    let to = usize::try_from(to.boot.0).expect("small");
                    if self.component[to] == self.component[index] {
                        let after = self.millis(0..20);
                        let from = node(index).boot;
                        let event = placement::Event::Message { from, bytes };
                        self.post(to, after, Due::Placement(event));
                    }
                }
                placement::Decision::Nowhere { .. } => {}
            }
        }
    }

    /// Two nodes that could always talk to each other since they both had it never run one child both. During a heal both sides' may.
    fn invariant_no_child_runs_twice_on_one_side(&self) {
        if self.strategy == Strategy::None {
            return;
        }
        let mut seen = BTreeSet::new();
        let decided = |m: &&Machine| matches!(m.partition.side(), Side::Greater | Side::Whole);
        for machine in self.machines.iter().filter(decided) {
            for path in &machine.runs {
                assert!(
                    seen.insert(path) || self.is_mixed(),
                    "{path} runs twice at {:?}",
                    self.now
                );
            }
        }
    }

    /// Whether some nodes have decided about the present state of the network and others have not.
    fn is_mixed(&self) -> bool {
        let sides: BTreeSet<u8> = self
            .machines
            .iter()
            .map(|m| m.partition.side() as u8)
            .collect();
        sides.contains(&(Side::Whole as u8)) && sides.len() > 1
            || sides.contains(&(Side::Undecided as u8))
    }

    /// No two nodes that cannot reach each other both decide to go on.
    fn invariant_one_side_goes_on(&self) {
        if self.strategy == Strategy::None {
            return;
        }
        let going: BTreeSet<usize> = self
            .machines
            .iter()
            .zip(&self.component)
            .filter(|(m, _)| m.partition.side() == Side::Greater)
            .map(|(_, component)| *component)
            .collect();
        assert!(going.len() <= 1, "{going:?} of {:?} go on", self.component);
    }

    fn running(&self, component: usize) -> Vec<Path> {
        let here = self.machines.iter().zip(&self.component);
        let here = here.filter(|(_, c)| **c == component);
        let mut running: Vec<Path> = here.flat_map(|(m, _)| m.runs.iter().cloned()).collect();
        running.sort();
        running
    }
}

/// Everything that is declared.
fn everything() -> Vec<Path> {
    let any = (1..=7).map(|n| format!("/any-{n}"));
    let spread = (1..=5).map(|n| format!("/spread-{n}"));
    let paths = any
        .chain(spread)
        .map(|text| Path::new(&text).expect("valid"));
    paths.collect()
}

#[test]
fn the_lesser_side_stops_what_is_placed_and_the_greater_side_goes_on_with_all_of_it() {
    for strategy in [Strategy::KeepMajority, Strategy::StaticQuorum { size: 3 }] {
        for seed in 0..25 {
            let mut net = Net::new(5, seed, strategy);
            net.run_for(30 * SECOND);
            assert_eq!(net.running(0), everything());
            net.part(&[1, 0, 0, 1, 0]);
            net.run_for(60 * SECOND);
            assert_eq!(net.running(0), everything(), "seed {seed}");
            assert_eq!(net.running(1), [], "seed {seed}");
            net.part(&[0; 5]);
            net.run_for(30 * SECOND);
            assert_eq!(net.running(0), everything(), "seed {seed}");
        }
    }
}

#[test]
fn without_a_strategy_each_side_runs_everything_and_once_after_the_heal() {
    for seed in 0..25 {
        let mut net = Net::new(5, seed, Strategy::None);
        net.run_for(30 * SECOND);
        net.part(&[1, 0, 0, 1, 0]);
        net.run_for(60 * SECOND);
        assert_eq!(net.running(0), everything());
        assert_eq!(net.running(1), everything());
        net.part(&[0; 5]);
        net.run_for(30 * SECOND);
        assert_eq!(net.running(0), everything());
    }
}

#[test]
fn however_it_is_cut_one_side_at_most_goes_on_and_all_is_well_in_the_end() {
    for seed in 0..50 {
        let count = 3 + seed as usize % 6;
        let size = u32::try_from(count / 2 + 1).expect("small");
        for strategy in [Strategy::KeepMajority, Strategy::StaticQuorum { size }] {
            let mut net = Net::new(count, seed, strategy);
            net.run_for(30 * SECOND);
            for _ in 0..5 {
                let component: Vec<usize> = (0..count).map(|_| net.random.usize(0..3)).collect();
                net.part(&component);
                let pause = net.millis(30_000..90_000);
                net.run_for(pause);
                net.part(&vec![0; count]);
                let pause = net.millis(6_000..40_000);
                net.run_for(pause);
            }
            net.run_for(60 * SECOND);
            assert_eq!(net.running(0), everything(), "seed {seed} {strategy:?}");
            let whole = |m: &Machine| m.partition.side() == Side::Whole;
            assert!(net.machines.iter().all(whole), "seed {seed}");
        }
    }
}
