//! A discrete-event simulation of membership: the real core on every node, a network that loses, delays and parts.

use crate::invariants;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::membership::{
    Arrival, Change, Contact, Decision, DownCause, Event, LinkProbe, LinkVerdict, MemberState,
    Membership, Parameters, Peer,
};
use swarm_protocols::Name;

/// What a packet costs on the wire beside its payload: the seal (45), and Ethernet, IP and UDP (42).
pub(crate) const OVERHEAD_BYTES: u64 = 45 + 42;
/// What a paused process' socket holds.
const SOCKET_PACKETS: usize = 256;

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Up,
    Paused,
    /// The process is gone, its host answers: connections are refused.
    Killed,
    /// The host is gone: silence.
    Dead,
    /// It left.
    Ended,
}

pub(crate) struct Node {
    pub(crate) core: Membership,
    pub(crate) process: Process,
    pub(crate) side: u8,
    pub(crate) changes: Vec<(Duration, Change)>,
    pub(crate) delivered: Vec<(BootId, Vec<u8>)>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Whom this node holds for down, and since when.
    pub(crate) down: BTreeMap<BootId, Duration>,
    inbox: Vec<Event>,
    wake: Option<Duration>,
}

enum What {
    Event(usize, Event),
    Wake(usize, Duration),
}

pub(crate) struct Sim {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Duration,
    pub(crate) loss: f64,
    /// Whether a verdict on a node that lives and is reachable fails the run at once.
    pub(crate) forbids_false_verdicts: bool,
    pub(crate) steps: u64,
    pub(crate) false_verdicts: u64,
    pub(crate) seed: u64,
    latency: (Duration, Duration),
    parameters: Parameters,
    random: fastrand::Rng,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    pending: HashMap<u64, What>,
    counter: u64,
    by_boot: HashMap<BootId, usize>,
    by_address: HashMap<SocketAddr, usize>,
    last_disturbed: Duration,
}

impl Sim {
    pub(crate) fn new(parameters: Parameters, seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            now: secs(1000.0),
            loss: 0.0,
            forbids_false_verdicts: true,
            steps: 0,
            false_verdicts: 0,
            seed,
            latency: (Duration::from_micros(200), Duration::from_millis(2)),
            parameters,
            random: fastrand::Rng::with_seed(seed),
            queue: BinaryHeap::new(),
            pending: HashMap::new(),
            counter: 0,
            by_boot: HashMap::new(),
            by_address: HashMap::new(),
            last_disturbed: secs(1000.0),
        }
    }

    /// `count` nodes that know each other.
    pub(crate) fn mesh(parameters: Parameters, count: usize, seed: u64) -> Self {
        let mut sim = Self::new(parameters, seed);
        for index in 0..count {
            sim.add(&format!("n{index}"), index);
        }
        let peers: Vec<Peer> = sim.nodes.iter().map(|n| n.core.me().clone()).collect();
        for index in 0..count {
            // Nodes were not started in the same instant, so their periods are not aligned.
            let start = sim.now - sim.random_time(secs(1.0));
            let decisions = sim.nodes[index].core.assume(peers.iter().cloned(), start);
            sim.carry_out(index, decisions);
            sim.nodes[index].changes.clear();
        }
        sim.run(secs(3.0));
        sim
    }

    /// A new process named `name` at the address of number `host`.
    pub(crate) fn add(&mut self, name: &str, host: usize) -> usize {
        let generation = 1_000_000 + self.now.as_millis() as u64;
        self.add_at_generation(name, host, generation)
    }

    pub(crate) fn add_at_generation(&mut self, name: &str, host: usize, generation: u64) -> usize {
        let index = self.nodes.len();
        let node = NodeId {
            name: Name::new(name).expect("a valid name"),
            boot: BootId(self.random.u128(..)),
        };
        let [_, b, c, d] = (host as u32).to_be_bytes();
        let address = SocketAddr::from(([10, b, c, d], 7591));
        self.by_boot.insert(node.boot, index);
        self.by_address.insert(address, index);
        let peer = Peer::new(node, generation, address);
        let start = self.now.saturating_sub(secs(1.0));
        let seed = self.random.u64(..);
        self.nodes.push(Node {
            core: Membership::new(peer, self.parameters.clone(), seed, start),
            process: Process::Up,
            side: 0,
            changes: Vec::new(),
            delivered: Vec::new(),
            packets: 0,
            bytes: 0,
            down: BTreeMap::new(),
            inbox: Vec::new(),
            wake: None,
        });
        index
    }

    pub(crate) fn boot(&self, index: usize) -> BootId {
        self.nodes[index].core.me().boot()
    }

    pub(crate) fn index_of(&self, boot: BootId) -> Option<usize> {
        self.by_boot.get(&boot).copied()
    }

    pub(crate) fn event(&mut self, index: usize, event: Event) {
        self.disturb();
        self.deliver(index, event);
    }

    pub(crate) fn join(&mut self, index: usize, contact: usize) {
        let contacts = vec![self.nodes[contact].core.me().address()];
        self.event(index, Event::Join { contacts });
    }

    pub(crate) fn end(&mut self, index: usize, process: Process) {
        self.disturb();
        self.nodes[index].process = process;
    }

    pub(crate) fn pause(&mut self, index: usize) {
        self.end(index, Process::Paused);
    }

    pub(crate) fn resume(&mut self, index: usize) {
        self.disturb();
        self.nodes[index].process = Process::Up;
        for event in std::mem::take(&mut self.nodes[index].inbox) {
            self.deliver(index, event);
        }
        self.deliver(index, Event::Tick);
    }

    pub(crate) fn cut(&mut self, side_of: impl Fn(usize) -> u8) {
        self.disturb();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.side = side_of(index);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut(|_| 0);
    }

    /// Something happened after which views may differ for a while.
    fn disturb(&mut self) {
        self.last_disturbed = self.now;
    }

    pub(crate) fn calm_for(&self) -> Duration {
        self.now.saturating_sub(self.last_disturbed)
    }

    pub(crate) fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[from].side == self.nodes[to].side
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until `done` holds (asked after every step) and tells how long that took; none when it does not within `time`.
    pub(crate) fn run_until(
        &mut self,
        time: Duration,
        done: impl Fn(&Sim) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        let end = start + time;
        if done(self) {
            return Some(Duration::ZERO);
        }
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            match self.pending.remove(&id) {
                Some(What::Event(index, event)) => self.deliver(index, event),
                Some(What::Wake(index, armed)) if self.nodes[index].wake == Some(armed) => {
                    self.nodes[index].wake = None;
                    self.deliver(index, Event::Tick);
                }
                _ => continue,
            }
            if done(self) {
                return Some(self.now - start);
            }
        }
        self.now = end;
        None
    }

    fn deliver(&mut self, index: usize, event: Event) {
        match self.nodes[index].process {
            Process::Up => {}
            Process::Paused => {
                let inbox = &mut self.nodes[index].inbox;
                if event != Event::Tick && inbox.len() < SOCKET_PACKETS {
                    inbox.push(event);
                }
                return;
            }
            Process::Killed | Process::Dead | Process::Ended => return,
        }
        let decisions = self.nodes[index].core.handle(event, self.now);
        self.carry_out(index, decisions);
        self.steps += 1;
        invariants::after_step(self, index);
    }

    fn carry_out(&mut self, index: usize, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::Send { to, bytes } => self.send(index, &to, bytes),
                Decision::SendLink { to, bytes } => self.send_link(index, to, bytes),
                Decision::ProbeLink {
                    probe,
                    peer,
                    within,
                } => self.probe_link(index, probe, &peer, within),
                Decision::Tell(change) => self.told(index, change),
                Decision::Deliver { origin, payload } => {
                    self.nodes[index].delivered.push((origin, payload));
                }
            }
        }
        let wake = self.nodes[index].core.next_wake();
        if wake != self.nodes[index].wake {
            self.nodes[index].wake = wake;
            if let Some(at) = wake {
                self.push(at, What::Wake(index, at));
            }
        }
    }

    fn send(&mut self, from: usize, to: &Peer, bytes: Vec<u8>) {
        assert!(
            bytes.len() <= self.parameters.packet_bytes,
            "seed {}: a packet of {} bytes",
            self.seed,
            bytes.len()
        );
        self.nodes[from].packets += 1;
        self.nodes[from].bytes += bytes.len() as u64 + OVERHEAD_BYTES;
        let Some(target) = self.index_of(to.boot()) else {
            return;
        };
        if self.reaches(from, target) && self.random.f64() >= self.loss {
            let at = self.now + self.latency();
            let from = self.boot(from);
            self.push(at, What::Event(target, Event::Packet { from, bytes }));
        }
    }

    fn send_link(&mut self, from: usize, to: Contact, bytes: Vec<u8>) {
        self.nodes[from].bytes += bytes.len() as u64 + OVERHEAD_BYTES;
        let target = match to {
            Contact::Address(address) => self.by_address.get(&address).copied(),
            Contact::Node(node, _) => self.index_of(node.boot),
        };
        let Some(target) = target else { return };
        if self.reaches(from, target) {
            let at = self.now + self.stream_time();
            let from = self.nodes[from].core.me().node().clone();
            self.push(at, What::Event(target, Event::Link { from, bytes }));
        }
    }

    fn probe_link(&mut self, from: usize, probe: LinkProbe, peer: &Peer, within: Duration) {
        let target = self.by_address.get(&peer.address()).copied();
        let (verdict, after) = match target {
            Some(target) if self.reaches(from, target) => match self.nodes[target].process {
                Process::Up => {
                    let boot = self.boot(target);
                    (LinkVerdict::Answered { boot }, self.stream_time())
                }
                Process::Killed | Process::Ended => (LinkVerdict::Refused, self.stream_time()),
                Process::Paused | Process::Dead => (LinkVerdict::Silent, within),
            },
            _ => (LinkVerdict::Silent, within),
        };
        let (verdict, after) = if after > within {
            (LinkVerdict::Silent, within)
        } else {
            (verdict, after)
        };
        let event = Event::LinkVerdict { probe, verdict };
        self.push(self.now + after, What::Event(from, event));
    }

    /// The time of a round over TCP: four segments, each sent again when it is lost, after a time that doubles.
    fn stream_time(&mut self) -> Duration {
        let mut time = Duration::ZERO;
        for _ in 0..4 {
            let mut again = Duration::from_millis(200);
            while self.random.f64() < self.loss {
                time += again;
                again *= 2;
            }
            time += self.latency();
        }
        time
    }

    fn told(&mut self, index: usize, change: Change) {
        let now = self.now;
        match &change {
            Change::Down { node, cause } => {
                if *cause != DownCause::Evicted {
                    self.nodes[index].down.insert(node.boot, now);
                }
                self.check_verdict(index, node, *cause);
            }
            Change::Left { node } => {
                self.nodes[index].down.insert(node.boot, now);
            }
            Change::Alive { node, .. } => {
                self.nodes[index].down.remove(&node.boot);
            }
            Change::Departed => self.nodes[index].process = Process::Ended,
            _ => {}
        }
        self.nodes[index].changes.push((now, change));
    }

    fn check_verdict(&mut self, index: usize, node: &NodeId, cause: DownCause) {
        let Some(target) = self.index_of(node.boot) else {
            return;
        };
        let is_healthy = self.nodes[target].process == Process::Up && self.reaches(index, target);
        let is_asked_for = matches!(cause, DownCause::Evicted | DownCause::Replaced);
        if is_healthy && !is_asked_for {
            self.false_verdicts += 1;
            assert!(
                !self.forbids_false_verdicts,
                "seed {}: at {:?} node {index} holds {node} for down ({cause:?}), which lives",
                self.seed, self.now
            );
        }
    }

    fn latency(&mut self) -> Duration {
        let (least, most) = self.latency;
        least + self.random_time(most - least)
    }

    fn random_time(&mut self, below: Duration) -> Duration {
        below.mul_f64(self.random.f64())
    }

    fn push(&mut self, at: Duration, what: What) {
        self.counter += 1;
        self.queue.push(Reverse((at, self.counter)));
        self.pending.insert(self.counter, what);
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].process == Process::Up
    }

    /// Whether every node that is up holds exactly the nodes that are up for members.
    pub(crate) fn all_agree(&self) -> bool {
        let up: Vec<BootId> = (0..self.nodes.len())
            .filter(|index| self.is_up(*index))
            .map(|index| self.boot(index))
            .collect();
        (0..self.nodes.len())
            .filter(|index| self.is_up(*index))
            .all(|index| self.nodes[index].core.size() == up.len() && self.sees_all(index, &up))
    }

    fn sees_all(&self, index: usize, up: &[BootId]) -> bool {
        let members = self.nodes[index].core.members();
        let seen: std::collections::BTreeSet<BootId> = members
            .iter()
            .filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect))
            .map(|m| m.node.boot)
            .collect();
        up.iter().all(|boot| seen.contains(boot))
    }

    /// Whether every node that is up and on the side of `watcher` counts `size` members.
    pub(crate) fn all_count(&self, size: usize) -> bool {
        self.nodes
            .iter()
            .filter(|node| node.process == Process::Up)
            .all(|node| node.core.size() == size)
    }

    pub(crate) fn changes(&self, index: usize) -> impl Iterator<Item = &Change> {
        self.nodes[index].changes.iter().map(|(_, change)| change)
    }

    pub(crate) fn arrivals(&self, index: usize, of: BootId) -> Vec<Arrival> {
        self.changes(index)
            .filter_map(|change| match change {
                Change::Alive { node, arrival, .. } if node.boot == of => Some(*arrival),
                _ => None,
            })
            .collect()
    }
}
