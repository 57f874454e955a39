//! The nodes of a run and the networks between them.

use crate::agents::{Boss, Caller, Clerk, Do, Hand};
use crate::diary::{Diary, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::conversation::{
    ConversationBook, ConversationLimits, Negotiator, ProtocolRef, ProtocolSpec,
};
use swarm_actors::{AgentRef, AnyRef, What};
use swarm_cluster::gossip::hub::PacketHub;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::WIRE_VERSIONS;
use swarm_cluster::membership::Profile;
use swarm_cluster::transport::hub::Hub;
use swarm_protocols::{Name, Path};
use swarm_runtime::cluster::{Cluster, Simulated};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Behaviours, Node, NodeOptions};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the wall clock says when a run begins.
const WALL_MS: u64 = 1_700_000_000_000;

/// What the nodes of a run have in common.
pub(crate) struct Plan {
    pub(crate) nodes: u32,
    pub(crate) profile: Profile,
    /// `keep-local`, `stop` or `hand-over`.
    pub(crate) on_name_conflict: &'static str,
    /// `none` or `keep-majority`.
    pub(crate) strategy: &'static str,
}

impl Plan {
    fn manifest(&self) -> String {
        format!(
            r#"
[cluster.placement]
stable_after = "2s"
[cluster.partition]
strategy = "{}"
stable_after = "3s"

[supervisor."/"]
intensity = 1000
period = "1s"

[supervisor."/pool"]
intensity = 1000
period = "1s"

[agent."/pool/any"]
behaviour = "boss"
replicas = 4
place = {{ mode = "any" }}

[agent."/pool/named"]
behaviour = "boss"
registered = "named"
place = {{ mode = "any" }}

[agent."/boss"]
behaviour = "boss"
registered = "boss"
on_name_conflict = "{}"

[agent."/hand"]
behaviour = "hand"
groups = ["hands"]

[agent."/caller"]
behaviour = "caller"
"#,
            self.strategy, self.on_name_conflict
        )
    }
}

pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) cluster: Cluster,
    pub(crate) node: Node,
    /// Events up to here are in the trace.
    seen: u64,
    /// Conversations that this process waits for.
    pub(crate) waiting: Vec<JoinHandle<()>>,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) diary: Diary,
    pub(crate) nodes: BTreeMap<u32, Running>,
    pub(crate) trace: Vec<String>,
    pub(crate) side: Vec<u8>,
    /// Whom each node holds for a member, when it was last looked at.
    pub(crate) views: BTreeMap<u32, BTreeSet<Name>>,
    /// Since when nothing has happened that changes views or holders of names.
    pub(crate) quiet_since: Instant,
    /// What nodes that are started from now on speak.
    pub(crate) versions: (u16, u16),
    lives: BTreeMap<u32, u32>,
    hub: Hub,
    packets: PacketHub,
    origin: Instant,
    seed: u64,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn path(text: &str) -> Path {
    Path::new(text).expect("a path")
}

pub(crate) fn called(node: u32) -> Name {
    name(&format!("n{node:02}"))
}

fn address(node: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 7591))
}

impl Drop for World {
    /// Shows the steps of a run that failed, if one seed is played.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("SWARM_SEED").is_some() {
            self.follow();
            for line in &self.trace {
                println!("{line}");
            }
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let hub = Hub::new();
        hub.set_delay(Duration::from_micros(500));
        for node in 0..plan.nodes {
            hub.name_address(&address(node).to_string(), &called(node));
        }
        let now = Instant::now();
        Self {
            side: vec![0; plan.nodes as usize],
            plan,
            diary: Diary::default(),
            nodes: BTreeMap::new(),
            trace: Vec::new(),
            views: BTreeMap::new(),
            quiet_since: now,
            versions: WIRE_VERSIONS,
            lives: BTreeMap::new(),
            hub,
            packets: PacketHub::new(seed),
            origin: now,
            seed,
        }
    }

    pub(crate) fn note(&mut self, what: &str) {
        let at = self.origin.elapsed().as_millis();
        self.trace.push(format!("{at:>7} {what}"));
    }

    pub(crate) fn disturbed(&mut self) {
        self.quiet_since = Instant::now();
    }

    fn behaviours(&self, process: Process) -> Behaviours {
        let (hand, caller) = (self.diary.clone(), self.diary.clone());
        Behaviours::new()
            .with("boss", "has a name", |_| Ok(|| Boss))
            .with("hand", "takes notes", move |_| {
                let diary = hand.clone();
                Ok(move || Hand {
                    me: process,
                    diary: diary.clone(),
                })
            })
            .with("caller", "speaks to hands", move |_| {
                let diary = caller.clone();
                Ok(move || Caller {
                    me: process,
                    diary: diary.clone(),
                    monitors: BTreeMap::new(),
                    links: BTreeMap::new(),
                })
            })
    }

    /// Starts a node that is not there: a process with a boot id of its own and nothing kept.
    pub(crate) async fn start(&mut self, number: u32) {
        let life = *self
            .lives
            .entry(number)
            .and_modify(|life| *life += 1)
            .or_insert(0);
        let process = Process { node: number, life };
        self.diary.write(|pages| pages.alive.insert(process));
        let seed = self.seed * 1_000_003 + process.number();
        let behaviours = self.behaviours(process);
        let manifest = Manifest::parse(&self.plan.manifest(), &behaviours).expect("a manifest");
        let mut options = NodeOptions::new(called(number), manifest, behaviours);
        options.seed = Some(seed);
        let passed = u64::try_from(self.origin.elapsed().as_millis()).expect("a short run");
        options.simulated_wall_ms = Some(WALL_MS + passed);
        let node = Node::new(options);
        let others = (0..self.plan.nodes).filter(|other| *other != number);
        let simulated = Simulated {
            me: NodeId {
                name: called(number),
                boot: BootId(u128::from(process.number()) + 1),
            },
            address: address(number),
            network: Arc::new(self.hub.node(&called(number))),
            datagrams: Arc::new(self.packets.node(address(number))),
            profile: self.plan.profile,
            versions: self.versions,
            seed,
            contacts: others
                .map(|other| (called(other), address(other)))
                .collect(),
        };
        let cluster = Cluster::start_simulated(node.system(), simulated).expect("starts");
        assert!(node.enter(cluster.clone()));
        node.start_tree().await.expect("the tree starts");
        let book = ConversationBook::new(ConversationLimits::default());
        let tree = node.system().tree().expect("it runs");
        let caller = ProtocolSpec::alone("asker", &book)
            .expect("a name")
            .agent_spec();
        tree.start_child(caller.child(node.system()))
            .await
            .expect("it starts");
        for spec in Clerk::children(node.system(), "clerk", &book, || Clerk).expect("a name") {
            tree.start_child(spec).await.expect("it starts");
        }
        let running = Running {
            process,
            cluster,
            node,
            seen: 0,
            waiting: Vec::new(),
        };
        self.nodes.insert(number, running);
        self.disturbed();
        self.note(&format!("start {} life {life}", called(number)));
    }

    /// The process of a node is gone, without a word.
    pub(crate) fn crash(&mut self, number: u32) {
        let Some(running) = self.nodes.remove(&number) else {
            return;
        };
        self.hub.remove(&called(number));
        self.packets.remove(address(number));
        self.diary
            .write(|pages| pages.alive.remove(&running.process));
        for waiting in &running.waiting {
            waiting.abort();
        }
        drop(running);
        self.disturbed();
        self.note(&format!("crash {}", called(number)));
    }

    /// Parts the nodes: those with the same number reach each other.
    pub(crate) fn part(&mut self, side: Vec<u8>) {
        self.side = side;
        for a in 0..self.plan.nodes {
            for b in a + 1..self.plan.nodes {
                if self.side[a as usize] == self.side[b as usize] {
                    self.hub.heal(&called(a), &called(b));
                    self.packets.heal(address(a), address(b));
                } else {
                    self.hub.cut(&called(a), &called(b));
                    self.packets.cut(address(a), address(b));
                }
            }
        }
        self.disturbed();
        let side = self.side.clone();
        self.note(&format!("sides {side:?}"));
    }

    /// Nothing gets from one node to the other any more, but what the other one says arrives.
    pub(crate) fn cut_one_way(&mut self, from: u32, to: u32) {
        self.hub.cut_one_way(&called(from), &called(to));
        self.packets.cut_one_way(address(from), address(to));
        self.disturbed();
        self.note(&format!("cut from {from} to {to}"));
    }

    pub(crate) fn lose(&mut self, share: f64) {
        self.packets.set_loss(share);
        self.note(&format!("loss {share}"));
    }

    /// Breaks the connections between two nodes once.
    pub(crate) fn reset(&mut self, a: u32, b: u32) {
        self.hub.reset(&called(a), &called(b));
        self.note(&format!("reset {a} {b}"));
    }

    /// Lets time pass, and writes down what happened meanwhile.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.follow();
            let now = Instant::now();
            if now >= end {
                return;
            }
            tokio::time::sleep((end - now).min(Duration::from_millis(500))).await;
        }
    }

    /// Asks each node whom it holds for a member, suspects among them: a view with a suspect is not stable.
    pub(crate) async fn look(&mut self) {
        self.views.clear();
        for (number, running) in &self.nodes {
            let members = running.cluster.members().await;
            let there = members
                .into_iter()
                .filter(|member| matches!(member.state, "alive" | "suspect"));
            self.views
                .insert(*number, there.map(|member| member.name).collect());
        }
    }

    fn follow(&mut self) {
        let mut lines = Vec::new();
        let mut is_disturbed = false;
        for (number, running) in &mut self.nodes {
            for event in running
                .node
                .system()
                .events()
                .since(running.seen, usize::MAX)
            {
                running.seen = event.seq;
                let at = event.at_ms - WALL_MS;
                let path = event.path.as_ref().map_or("", Path::as_str);
                lines.push((at, format!("{} {path} {:?}", called(*number), event.what)));
                let What::Custom { name, detail } = &event.what else {
                    continue;
                };
                is_disturbed |= ["node-", "name-", "partition-", "placement-"]
                    .iter()
                    .any(|kind| name.starts_with(kind));
                if name == "node-down" {
                    let down = detail.split(':').next().unwrap_or_default();
                    let me = running.process;
                    let lives = self
                        .lives
                        .iter()
                        .find(|(other, _)| called(**other).as_str() == down);
                    let Some((node, lives)) = lives else { continue };
                    self.diary.write(|pages| {
                        for life in 0..=*lives {
                            let them = Process { node: *node, life };
                            *pages.verdicts.entry((me, them)).or_default() += 1;
                        }
                    });
                }
            }
        }
        if is_disturbed {
            self.disturbed();
        }
        for (at, line) in lines {
            self.trace.push(format!("{at:>7}   {line}"));
        }
    }

    /// Another node's hand as this node finds it in the group.
    pub(crate) fn hand(&self, from: u32, to: u32) -> Option<AnyRef> {
        let system = self.nodes.get(&from)?.node.system();
        let target = self.nodes.get(&to)?;
        let address = target.node.system().lookup(&path("/hand"))?.address();
        let members = system.group(&name("hands"));
        members
            .into_iter()
            .find(|member| member.address() == address)
    }

    pub(crate) fn caller(&self, on: u32) -> Option<AgentRef<Do>> {
        self.nodes
            .get(&on)?
            .node
            .system()
            .lookup_typed(&path("/caller"))
    }

    pub(crate) fn asker(&self, on: u32) -> Option<ProtocolRef> {
        let agent = self.nodes.get(&on)?.node.system().lookup(&path("/asker"))?;
        ProtocolRef::of(&agent)
    }

    /// A clerk's protocol actor of another node.
    pub(crate) fn clerk(&self, from: u32, to: u32) -> Option<AnyRef> {
        let at = path("/clerk.protocol");
        let clerk = self.nodes.get(&to)?.node.system().lookup(&at)?;
        let system = self.nodes.get(&from)?.node.system();
        Some(system.remote(&called(to), clerk.address(), Some(&at)))
    }
}
