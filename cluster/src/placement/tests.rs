//! Placement by property, and on several nodes in virtual time, over a network that loses and delays.

use super::*;
use crate::identity::{BootId, NodeId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_protocols::{Name, Path};

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

fn path(text: &str) -> Path {
    Path::new(text).expect("valid")
}

fn node(index: usize, boot: u128) -> NodeId {
    NodeId {
        name: name(&format!("n{index}")),
        boot: BootId(boot),
    }
}

fn declared(at: &str, replicas: Option<u32>, mode: Mode) -> Declared {
    Declared {
        path: path(at),
        replicas,
        mode,
        labels: Labels::new(),
        agents: 1,
        digest: 7,
    }
}

fn standing(declared: &[Declared]) -> Standing {
    let mut declared = declared.to_vec();
    declared.sort();
    Standing {
        declared,
        ..Standing::default()
    }
}

fn cluster(count: usize, declared: &[Declared]) -> BTreeMap<NodeId, Standing> {
    (0..count)
        .map(|index| (node(index, index as u128), standing(declared)))
        .collect()
}

/// Carries out what is assigned, until nothing changes.
fn settled(mut nodes: BTreeMap<NodeId, Standing>) -> BTreeMap<NodeId, Standing> {
    for _ in 0..100 {
        let assigned = assign(&nodes).nodes;
        let mut is_settled = true;
        for (node, standing) in &mut nodes {
            is_settled &= standing.holds == assigned[node];
            standing.holds.clone_from(&assigned[node]);
        }
        if is_settled {
            return nodes;
        }
    }
    panic!("moves without end: {nodes:?}");
}

fn homes(nodes: &BTreeMap<NodeId, Standing>) -> BTreeMap<Path, NodeId> {
    nodes
        .iter()
        .flat_map(|(node, standing)| standing.holds.iter().map(|p| (p.clone(), node.clone())))
        .collect()
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Any), Just(Mode::Spread)]
}

fn declarations() -> impl Strategy<Value = Vec<Declared>> {
    let one = (modes(), proptest::option::of(1_u32..40), any::<bool>());
    proptest::collection::vec(one, 1..5).prop_map(|all| {
        let number = |(at, (mode, replicas, is_each))| match is_each && at == 0 {
            true => declared(&format!("/p{at}/w"), None, Mode::EachNode),
            false => declared(&format!("/p{at}/w"), replicas, mode),
        };
        all.into_iter().enumerate().map(number).collect()
    })
}

proptest! {
    #[test]
    fn every_child_has_one_place_and_every_node_of_each_node_has_one(
        declared in declarations(), count in 1_usize..9,
    ) {
        let nodes = settled(cluster(count, &declared));
        for declared in &declared {
            for path in declared.paths() {
                let holders = nodes.values().filter(|s| s.holds.contains(&path)).count();
                let expected = if declared.mode == Mode::EachNode { count } else { 1 };
                prop_assert_eq!(holders, expected, "{} {:?}", path, declared.mode);
            }
        }
        prop_assert!(assign(&nodes).nowhere.is_empty());
    }

    #[test]
    fn the_loss_of_a_node_moves_only_what_was_there(
        declared in declarations(), count in 2_usize..9, lost in 0_usize..9,
        rooms in proptest::collection::vec(proptest::option::of(1_u32..60), 9),
    ) {
        let mut nodes = cluster(count, &declared);
        for (standing, room) in nodes.values_mut().zip(rooms) {
            standing.room = room;
        }
        let mut nodes = settled(nodes);
        let before = homes(&nodes);
        let lost = node(lost % count, (lost % count) as u128);
        nodes.remove(&lost);
        let each: BTreeSet<Path> = declared
            .iter()
            .filter(|d| d.mode == Mode::EachNode)
            .map(|d| d.path.clone())
            .collect();
        let after = homes(&settled(nodes));
        for (path, home) in before {
            if home != lost && !each.contains(&path) {
                prop_assert_eq!(after.get(&path), Some(&home), "{}", path);
            }
        }
    }

    #[test]
    fn a_node_that_joins_only_takes(declared in declarations(), count in 1_usize..8) {
        let mut nodes = settled(cluster(count, &declared));
        let before = homes(&nodes);
        let new = node(count, count as u128);
        nodes.insert(new.clone(), standing(&declared));
        let after = homes(&settled(nodes));
        for (path, home) in before {
            let now = &after[&path];
            prop_assert!(*now == home || *now == new, "{} went from {} to {}", path, home, now);
        }
    }

    #[test]
    fn spread_is_even_whoever_came_and_went(
        replicas in 1_u32..60, steps in proptest::collection::vec((any::<bool>(), 0_usize..12), 0..12),
    ) {
        let declared = [declared("/w", Some(replicas), Mode::Spread)];
        let mut nodes = settled(cluster(3, &declared));
        for (comes, index) in steps {
            let node = node(index, index as u128);
            if comes {
                nodes.entry(node).or_insert_with(|| standing(&declared));
            } else if nodes.len() > 1 {
                nodes.remove(&node);
            }
            nodes = settled(nodes);
            let counts: Vec<usize> = nodes.values().map(|s| s.holds.len()).collect();
            let most = counts.iter().max().copied().unwrap_or(0);
            let least = counts.iter().min().copied().unwrap_or(0);
            prop_assert!(most - least <= 1, "{:?}", counts);
        }
    }

    #[test]
    fn no_node_takes_more_than_it_has_room_for_and_every_move_ends(
        declared in declarations(),
        rooms in proptest::collection::vec(proptest::option::of(0_u32..30), 1..8),
    ) {
        let mut nodes = cluster(rooms.len(), &declared);
        for (standing, room) in nodes.values_mut().zip(&rooms) {
            standing.room = *room;
        }
        for standing in settled(nodes).values() {
            let taken = u32::try_from(standing.holds.len()).expect("few");
            prop_assert!(standing.room.is_none_or(|room| taken <= room));
        }
    }

    #[test]
    fn a_message_comes_out_as_it_went_in(declared in declarations(), held in any::<u64>()) {
        let mut standing = standing(&declared);
        let paths = declared.iter().flat_map(Declared::paths).enumerate();
        standing.holds = paths
            .filter(|(at, _)| held.rotate_right(*at as u32 % 64) & 1 == 1)
            .map(|(_, path)| path)
            .chain([path("/gone/w-3")])
            .collect();
        let message = wire::Message::Standing { version: 3, knows: 2, standing };
        prop_assert_eq!(wire::Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn whatever_arrives_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = wire::Message::decode(&bytes);
        let with_version: Vec<u8> = [1].into_iter().chain(bytes).collect();
        let _ = wire::Message::decode(&with_version);
    }
}

#[test]
fn labels_decide_who_may_run_a_child() {
    let mut wanted = declared("/w", Some(6), Mode::Spread);
    wanted.labels = "disk=ssd".parse().expect("labels");
    let mut nodes = cluster(3, &[wanted]);
    assert_eq!(assign(&nodes).nowhere.len(), 6);
    assert!(
        assign(&nodes)
            .nowhere
            .values()
            .all(|why| *why == NoPlace::NoNode)
    );
    for index in [0, 2] {
        let standing = nodes.get_mut(&node(index, index as u128)).expect("there");
        standing.labels = "zone=a,disk=ssd".parse().expect("labels");
    }
    let counts: Vec<usize> = settled(nodes).values().map(|s| s.holds.len()).collect();
    assert_eq!(counts, [3, 0, 3]);
}

#[test]
fn the_later_manifest_rules_and_only_nodes_that_run_it_take_part() {
    let old = declared("/w", Some(4), Mode::Any);
    let new = Declared {
        digest: 8,
        ..declared("/w", Some(2), Mode::Any)
    };
    let mut nodes = settled(cluster(3, &[old]));
    let later = nodes.get_mut(&node(1, 1)).expect("there");
    later.declared = vec![new];
    later.edition.generation = 1;
    let assigned = assign(&nodes);
    let here: Vec<usize> = assigned.nodes.values().map(BTreeSet::len).collect();
    assert_eq!(here, [0, 2, 0]);
}

#[test]
fn labels_are_read_as_they_are_written() {
    let labels: Labels = "zone=a, disk=ssd".parse().expect("labels");
    assert_eq!(labels.to_string(), "disk=ssd,zone=a");
    assert_eq!(
        "zone".parse::<Labels>(),
        Err(LabelError::NoValue("zone".into()))
    );
    assert_eq!(
        "a=1,a=2".parse::<Labels>(),
        Err(LabelError::Twice(name("a")))
    );
    assert!(matches!(
        "Zone=a".parse::<Labels>(),
        Err(LabelError::BadName { .. })
    ));
}

/// What happens at one node.
#[derive(Clone, Debug)]
enum Due {
    Event(Event),
    /// A child's stop is over.
    Gone(Path),
}

struct Machine {
    id: NodeId,
    core: Placement,
    runs: BTreeSet<Path>,
    wake: Option<Duration>,
}

/// Several nodes, what is under way between them, and what runs.
struct Net {
    machines: BTreeMap<usize, Machine>,
    queue: BTreeMap<(Duration, u64), (BootId, Due)>,
    now: Duration,
    random: fastrand::Rng,
    counter: u64,
    loss: f64,
    declared: Vec<Declared>,
    next_boot: u128,
    starts: usize,
    refuses: BTreeSet<Path>,
}

const STABLE: Duration = Duration::from_secs(5);

impl Net {
    fn new(seed: u64, declared: &[Declared]) -> Self {
        Self {
            machines: BTreeMap::new(),
            queue: BTreeMap::new(),
            now: Duration::from_secs(1),
            random: fastrand::Rng::with_seed(seed),
            counter: 0,
            loss: 0.0,
            declared: declared.to_vec(),
            next_boot: 1,
            starts: 0,
            refuses: BTreeSet::new(),
        }
    }

    fn post(&mut self, boot: BootId, after: Duration, due: Due) {
        self.counter += 1;
        self.queue
            .insert((self.now + after, self.counter), (boot, due));
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range))
    }

    fn join(&mut self, index: usize) {
        let id = node(index, self.next_boot);
        self.next_boot += 1;
        let core = Placement::new(id.clone(), Labels::new(), PlacementParameters::default());
        let machine = Machine {
            id: id.clone(),
            core,
            runs: BTreeSet::new(),
            wake: None,
        };
        let others: Vec<NodeId> = self.machines.values().map(|m| m.id.clone()).collect();
        self.machines.insert(index, machine);
        for other in others {
            let near = self.millis(0..50);
            self.post(
                id.boot,
                near,
                Due::Event(Event::Up {
                    node: other.clone(),
                }),
            );
            let far = self.millis(0..400);
            self.post(other.boot, far, Due::Event(Event::Up { node: id.clone() }));
        }
        let declared = Event::Declared {
            edition: Edition::default(),
            declared: self.declared.clone(),
            room: None,
        };
        self.post(id.boot, Duration::from_millis(60), Due::Event(declared));
    }

    /// A process is killed; the others hear of it at different times.
    fn crash(&mut self, index: usize) {
        let Some(machine) = self.machines.remove(&index) else {
            return;
        };
        let others: Vec<BootId> = self.machines.values().map(|m| m.id.boot).collect();
        for other in others {
            let after = self.millis(1500..4500);
            let boot = machine.id.boot;
            self.post(other, after, Due::Event(Event::Down { boot }));
        }
    }

    fn tell(&mut self, index: usize, event: Event) {
        let boot = self.machines[&index].id.boot;
        self.post(boot, Duration::ZERO, Due::Event(event));
    }

    fn step(&mut self) -> bool {
        let wakes = self
            .machines
            .values()
            .filter_map(|m| Some((m.wake?, m.id.boot)));
        let next_wake = wakes.min();
        let next_due = self.queue.keys().next().copied();
        let (boot, due) = match (next_wake, next_due) {
            (None, None) => return false,
            (Some((at, boot)), due) if due.is_none_or(|(due, _)| at < due) => {
                self.now = self.now.max(at);
                (boot, Due::Event(Event::Tick))
            }
            (_, Some(key)) => {
                self.now = self.now.max(key.0);
                self.queue.remove(&key).expect("just seen")
            }
            (Some(_), None) => unreachable!("the arm above took it"),
        };
        let Some((index, machine)) = self.machines.iter_mut().find(|(_, m)| m.id.boot == boot)
        else {
            return true;
        };
        let index = *index;
        let event = match due {
            Due::Event(event) => event,
            Due::Gone(path) => {
                machine.runs.remove(&path);
                Event::Stopped { path }
            }
        };
        let decisions = machine.core.handle(event, self.now);
        machine.wake = machine.core.next_wake();
        for decision in decisions {
            self.carry_out(index, boot, decision);
        }
        self.invariant_no_child_runs_twice();
        true
    }

    fn carry_out(&mut self, index: usize, boot: BootId, decision: Decision) {
        match decision {
            Decision::Start { path } => {
                self.starts += 1;
                let after = self.millis(1..30);
                if self.refuses.contains(&path) {
                    return self.post(boot, after, Due::Event(Event::NotStarted { path }));
                }
                let machine = self.machines.get_mut(&index).expect("it decided");
                assert!(machine.runs.insert(path.clone()), "{path} was running here");
                self.post(boot, after, Due::Event(Event::Started { path }));
            }
            Decision::Stop { path, .. } => {
                let after = self.millis(1..200);
                self.post(boot, after, Due::Gone(path));
            }
            Decision::Say { to, bytes } => {
                if self.random.f64() >= self.loss {
                    let after = self.millis(0..20);
                    let event = Event::Message { from: boot, bytes };
                    self.post(to.boot, after, Due::Event(event));
                }
            }
            Decision::Nowhere { .. } => {}
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let wakes = self.machines.values().filter_map(|m| m.wake);
            let next = wakes.chain(self.queue.keys().map(|key| key.0)).min();
            if next.is_none_or(|next| next > end) {
                self.now = end;
                return;
            }
            self.step();
        }
    }

    fn invariant_no_child_runs_twice(&self) {
        let each: BTreeSet<&Path> = self
            .declared
            .iter()
            .filter(|d| d.mode == Mode::EachNode)
            .map(|d| &d.path)
            .collect();
        let mut seen: BTreeMap<&Path, usize> = BTreeMap::new();
        for (index, machine) in &self.machines {
            for path in &machine.runs {
                if let Some(other) = seen.insert(path, *index)
                    && !each.contains(path)
                {
                    panic!("{path} runs on n{other} and on n{index} at {:?}", self.now);
                }
            }
        }
    }

    fn invariant_everything_runs(&self) {
        for declared in &self.declared {
            for path in declared.paths() {
                let runs = |m: &&Machine| m.runs.contains(&path);
                let count = self.machines.values().filter(runs).count();
                let expected = match declared.mode {
                    Mode::EachNode => self.machines.len(),
                    Mode::Any | Mode::Spread => 1,
                };
                assert_eq!(count, expected, "{path} at {:?}", self.now);
            }
        }
        for machine in self.machines.values() {
            assert!(
                machine.core.is_settled(),
                "{} at {:?}",
                machine.id,
                self.now
            );
        }
    }

    fn invariant_all_nodes_say_the_same(&self) {
        let mut assignments = self.machines.values().map(|machine| {
            let nodes: BTreeMap<NodeId, Standing> = self
                .machines
                .values()
                .filter_map(|other| {
                    let standing = match other.id == machine.id {
                        true => Some(machine.core.standing()),
                        false => machine.core.standing_of(other.id.boot),
                    };
                    Some((other.id.clone(), standing?.clone()))
                })
                .collect();
            assign(&nodes)
        });
        let first = assignments.next();
        for other in assignments {
            assert_eq!(Some(&other), first.as_ref());
        }
    }
}

fn usual() -> Vec<Declared> {
    vec![
        declared("/any/w", Some(20), Mode::Any),
        declared("/spread/w", Some(11), Mode::Spread),
        declared("/each", None, Mode::EachNode),
        declared("/single", None, Mode::Any),
    ]
}

#[test]
fn a_node_alone_starts_everything_at_once() {
    let mut net = Net::new(1, &usual());
    net.join(0);
    net.run_for(Duration::from_millis(200));
    net.invariant_everything_runs();
}

#[test]
fn nothing_moves_before_the_view_was_stable() {
    let mut net = Net::new(2, &usual());
    net.join(0);
    net.run_for(Duration::from_secs(1));
    let before = net.starts;
    net.join(1);
    net.run_for(STABLE - Duration::from_millis(1));
    assert_eq!(net.starts, before);
    net.run_for(Duration::from_secs(3));
    net.invariant_everything_runs();
    assert!(net.machines[&1].runs.len() > 5);
}

#[test]
fn a_lost_nodes_children_are_back_elsewhere_once() {
    let mut net = Net::new(3, &usual());
    for index in 0..3 {
        net.join(index);
    }
    net.run_for(Duration::from_secs(20));
    net.invariant_everything_runs();
    let lost = net.machines[&1].runs.len();
    let before = net.starts;
    net.crash(1);
    net.run_for(Duration::from_secs(4) + STABLE + Duration::from_secs(2));
    net.invariant_everything_runs();
    // What runs on each node has no new place.
    assert_eq!(net.starts - before, lost - 1);
}

#[test]
fn a_node_that_drains_gives_everything_away_and_takes_nothing() {
    let mut net = Net::new(4, &usual());
    for index in 0..3 {
        net.join(index);
    }
    net.run_for(Duration::from_secs(20));
    net.tell(2, Event::Drain);
    net.run_for(Duration::from_secs(2));
    assert!(net.machines[&2].core.holds_nothing());
    assert!(net.machines[&2].runs.is_empty());
    // The others did not wait for anything: nobody came or went.
    let running: usize = [0, 1].iter().map(|n| net.machines[n].runs.len()).sum();
    assert_eq!(running, 20 + 11 + 2 + 1);
}

#[test]
fn a_suspended_node_stops_everything_and_takes_it_up_again() {
    let mut net = Net::new(5, &usual());
    net.join(0);
    net.run_for(Duration::from_secs(1));
    net.tell(0, Event::Suspend);
    net.run_for(Duration::from_secs(1));
    assert!(net.machines[&0].runs.is_empty());
    net.tell(0, Event::Resume);
    net.run_for(Duration::from_secs(1));
    net.invariant_everything_runs();
}

#[test]
fn moves_are_no_faster_than_their_rate() {
    let many = [declared("/w", Some(1000), Mode::Any)];
    let mut net = Net::new(6, &many);
    net.join(0);
    net.run_for(Duration::from_millis(60));
    net.run_for(Duration::from_secs(3));
    // A second's worth at once, then the rate.
    assert!((300..=410).contains(&net.starts), "{}", net.starts);
    net.run_for(Duration::from_secs(10));
    net.invariant_everything_runs();
}

#[test]
fn a_child_that_does_not_start_is_tried_again_ever_more_slowly() {
    let mut net = Net::new(7, &[declared("/w", None, Mode::Any)]);
    net.refuses.insert(path("/w"));
    net.join(0);
    net.run_for(Duration::from_secs(64));
    // After 1, 2, 4, 8, 16, 32 seconds.
    assert_eq!(net.starts, 7);
    net.refuses.clear();
    net.run_for(Duration::from_secs(61));
    net.invariant_everything_runs();
}

#[test]
fn whoever_comes_and_goes_no_child_runs_twice_and_all_run_in_the_end() {
    for seed in 0..60 {
        let mut net = Net::new(seed, &usual());
        net.loss = 0.2;
        for index in 0..3 {
            net.join(index);
        }
        for _ in 0..12 {
            let index = net.random.usize(0..6);
            match net.machines.contains_key(&index) {
                true if net.machines.len() > 1 => net.crash(index),
                true => {}
                false => net.join(index),
            }
            let pause = net.millis(0..12_000);
            net.run_for(pause);
        }
        net.run_for(Duration::from_secs(60));
        net.invariant_everything_runs();
        net.invariant_all_nodes_say_the_same();
    }
}
