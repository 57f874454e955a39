//! Names and groups of all nodes: what agents here are registered as, told to the others, and what the others told.
//!
//! What is registered here is claimed for the cluster unless somebody has it there. An agent that loses such a claim, or comes second, is told
//! and has time to hand over; what becomes of it then is in `losers.rs`. A name is looked for on the own node first, unless its holder there
//! gives way to another node's.

use super::losers::{self, Losers};
use super::member::Inner;
use super::orders;
use super::requests::Requests;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_actors::{Place, System, is_service};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::WIRE_VERSION;
use swarm_cluster::membership;
use swarm_cluster::names::{
    self, Class, Decision, Event, Holder, NameChange, Names, NamesParameters, RegisterError,
};
use swarm_cluster::transport::{self, Links, Service};
use swarm_protocols::{Address, Name, Path};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often what agents here have joined and registered is compared with what the others were told.
const COMPARE: Duration = Duration::from_millis(250);

/// How long a node has to tell the paths of its agents.
const PATHS_LIMIT: Duration = Duration::from_secs(2);
/// How many paths of other nodes' agents are kept; all are asked for again when there are more.
const PATHS_KNOWN_MAX: usize = 65_536;

/// The tables of names and groups.
pub(super) struct Directory {
    names: Mutex<Names>,
    /// What of this node is in the tables.
    told: Mutex<Told>,
    /// Whether this node is being taken out of service, and whether the tables say so.
    withdrawn: AtomicBool,
    is_told: AtomicBool,
    /// Nodes that are suspected.
    doubted: Mutex<BTreeSet<Name>>,
    /// Where agents of other nodes stand in their trees.
    paths: Mutex<Paths>,
    /// Some path is wanted.
    is_wanted: Notify,
    /// On the lesser side of a partition no name is claimed for the cluster.
    is_local: AtomicBool,
    /// Whether what stands by for a name stays where it is, as it is not decided who goes on.
    is_held: AtomicBool,
    /// What was stopped for the sake of names.
    pub(super) losers: Losers,
    /// Decided while an agent's turn was committed. What it decides goes with what it is about, so there is never much of it.
    pending: Mutex<Vec<Decision>>,
    has_pending: Notify,
    me: Name,
    origin: Instant,
}

#[derive(Default)]
struct Paths {
    known: BTreeMap<Address, Path>,
    /// Asked for next, by node.
    wanted: BTreeMap<Name, BTreeSet<Address>>,
}

#[derive(Default)]
struct Told {
    members: BTreeSet<(Name, Address)>,
    names: BTreeMap<Name, Address>,
}

impl Directory {
    pub(super) fn new(me: NodeId, seed: u64) -> Self {
        Self {
            me: me.name.clone(),
            names: Mutex::new(Names::new(
                me,
                NamesParameters::default(),
                seed,
                Duration::ZERO,
            )),
            told: Mutex::new(Told::default()),
            withdrawn: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            doubted: Mutex::default(),
            paths: Mutex::default(),
            is_wanted: Notify::new(),
            is_local: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            losers: Losers::default(),
            pending: Mutex::default(),
            has_pending: Notify::new(),
            origin: Instant::now(),
        }
    }

    pub(super) fn handle(&self, event: Event) -> Vec<Decision> {
        let now = self.origin.elapsed();
        self.names.lock().handle(event, now)
    }

    pub(super) fn message(&self, from: BootId, bytes: &[u8]) -> Vec<Decision> {
        let bytes = bytes.to_vec();
        self.handle(Event::Message { from, bytes })
    }

    /// Enters what this node's DF has of an agent. One that is too long, or too much, stays on this node.
    pub(super) fn describe(&self, agent: &str, entry: Option<&str>) {
        if let Err(error) = self.names.lock().describe(agent, entry) {
            tracing::warn!(%error, "other nodes will not find an entry of the DF");
        }
    }

    /// What the DFs of other nodes have entered: AID, node, entry.
    pub(super) fn described(&self) -> Vec<(String, NodeId, String)> {
        let names = self.names.lock();
        let all = names.described();
        all.map(|(agent, node, entry)| (agent.to_owned(), node.clone(), entry.to_owned()))
            .collect()
    }

    /// Whether names that are registered here are kept to this node.
    pub(super) fn keep_local(&self, is_local: bool) {
        self.is_local.store(is_local, Ordering::Relaxed);
    }

    /// Whether what was stopped for the sake of names is not started for now, as it is not decided which side of a partition goes on.
    pub(super) fn hold_standbys(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Whether what was stopped for the sake of names may be started again when they are free.
    pub(super) fn may_stand_in(&self) -> bool {
        let is_kept = [&self.is_local, &self.is_held, &self.withdrawn];
        is_kept.iter().all(|flag| !flag.load(Ordering::Relaxed))
    }

    /// On which node the name is held, and by whom, as far as is known here.
    pub(super) fn holder(&self, name: &Name) -> Option<(Name, Address)> {
        let holder = self.names.lock().whereis(name.as_str())?;
        Some((holder.node.name, holder.address))
    }

    /// How long it is until a moment of the tables' clock.
    pub(super) fn time_until(&self, until: Duration) -> Duration {
        until.saturating_sub(self.origin.elapsed())
    }

    /// Where a holder is.
    pub(super) fn place_of(&self, holder: &Holder) -> Place {
        Place {
            address: holder.address,
            node: holder.node.name.clone(),
            path: self.path_of(holder),
        }
    }

    fn is_due(&self) -> bool {
        self.names.lock().next_wake() <= self.origin.elapsed()
    }

    /// Puts what has changed on this node into the tables.
    fn compare(&self, system: &System) {
        let is_withdrawn = self.withdrawn.load(Ordering::Acquire);
        let members: BTreeSet<(Name, Address)> = system
            .groups()
            .into_iter()
            .filter(|_| !is_withdrawn)
            .flat_map(|(group, _)| {
                let here = system.group_here(&group);
                here.into_iter()
                    .map(move |agent| (group.clone(), agent.address()))
            })
            .collect();
        let registered: BTreeMap<Name, Address> = system
            .registered()
            .into_iter()
            .filter(|_| !is_withdrawn)
            // Every node has an AMS and a DF of its own, under the same names.
            .filter(|(_, agent)| !is_service(agent.path()))
            .filter(|_| !self.is_local.load(Ordering::Relaxed))
            .filter(|(name, agent)| !self.losers.stands_by(name, agent))
            .map(|(name, agent)| (name, agent.address()))
            .collect();
        let mut told = self.told.lock();
        let mut names = self.names.lock();
        for (group, address) in told.members.difference(&members) {
            names.leave(group, *address);
        }
        let mut now_told = Told::default();
        for (group, address) in members {
            let known = (group.clone(), address);
            // Too many for one node: tried again at the next look.
            if told.members.contains(&known) || names.join(&group, address).is_ok() {
                now_told.members.insert(known);
            }
        }
        for (name, address) in &told.names {
            if registered.get(name) != Some(address) {
                names.unregister(name, *address);
            }
        }
        for (name, address) in registered {
            match names.register(&name, address, Class::Cluster, 0, system.wall_ms()) {
                // Also who came second: the tables know it, until it ends.
                Ok(()) | Err(RegisterError::Taken { .. }) => {
                    now_told.names.insert(name, address);
                }
                // Tried again at the next look.
                Err(RegisterError::Full | RegisterError::TooLong { .. }) => {}
            }
        }
        *told = now_told;
        self.is_told.store(is_withdrawn, Ordering::Release);
    }

    fn place(&self, holder: Holder) -> Option<Place> {
        (holder.node.name != self.me).then(|| self.place_of(&holder))
    }

    /// Its place in its tree, once its node has told; until then its address stands for it.
    fn path_of(&self, holder: &Holder) -> Path {
        let mut paths = self.paths.lock();
        if let Some(path) = paths.known.get(&holder.address) {
            return path.clone();
        }
        let wanted = paths.wanted.entry(holder.node.name.clone()).or_default();
        if wanted.len() < orders::PATHS_MAX && wanted.insert(holder.address) {
            self.is_wanted.notify_one();
        }
        unknown_path(holder.address)
    }

    /// Has this node's names and groups taken out of the tables, within the next look at them.
    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Whether they are out.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.is_told.load(Ordering::Acquire)
    }

    /// Notes whether a node is suspected.
    pub(super) fn doubt(&self, node: &Name, is_doubted: bool) {
        let mut doubted = self.doubted.lock();
        if is_doubted {
            doubted.insert(node.clone());
        } else {
            doubted.remove(node);
        }
    }

    /// Asks the nodes for the paths that were wanted.
    async fn ask_for_paths(&self, requests: &Requests, links: &Links) {
        let wanted = std::mem::take(&mut self.paths.lock().wanted);
        let asked = wanted.into_iter().map(|(node, addresses)| async move {
            let order = orders::order(orders::PATHS, &addresses);
            let asked = requests.ask(links, &node, order, PATHS_LIMIT).await;
            // A node that does not answer is asked again when somebody wants to know.
            asked
                .ok()
                .and_then(|answered| orders::read::<Vec<(Address, Path)>>(&answered.body))
                .unwrap_or_default()
        });
        for told in futures_util::future::join_all(asked).await {
            let mut paths = self.paths.lock();
            if paths.known.len() + told.len() > PATHS_KNOWN_MAX {
                paths.known.clear();
            }
            paths.known.extend(told);
        }
    }
}

fn unknown_path(address: Address) -> Path {
    Name::new(&address.to_string()).map_or_else(|_| Path::root(), |name| Path::root().child(&name))
}

impl transport::Directory for Directory {
    fn whereis(&self, name: &Name) -> Option<Place> {
        let holder = self.names.lock().whereis(name.as_str())?;
        self.place(holder)
    }

    fn is_doubtful(&self, node: &Name) -> bool {
        self.doubted.lock().contains(node)
    }

    fn handed_over(&self, name: &Name, agent: Address) {
        let name = name.clone();
        let decisions = self.handle(Event::HandedOver {
            name,
            address: agent,
        });
        if !decisions.is_empty() {
            self.pending.lock().extend(decisions);
            self.has_pending.notify_one();
        }
    }

    fn members(&self, group: &Name) -> Vec<Place> {
        let mut holders = self.names.lock().members(group.as_str());
        // An agent is a member as often as it joined; here each counts once.
        holders.dedup_by_key(|holder| holder.address);
        holders
            .into_iter()
            .filter_map(|holder| self.place(holder))
            .collect()
    }
}

/// Says something to one member, in the format that it reads. One that was never met is told in this build's, and asks again if it
/// does not read that.
fn say(member: &Inner, to: &Name, bytes: Vec<u8>) {
    let wire = member.links.wire_version(to).unwrap_or(WIRE_VERSION);
    if let Some(bytes) = names::spoken(bytes, wire) {
        member.links.say(to, Service::Names, bytes);
    }
}

/// Tells all members: by gossip, unless one of them reads another format.
async fn broadcast(member: &Inner, payload: Vec<u8>) {
    let peers = member.peers();
    let mut versions = peers.iter().map(|peer| member.links.wire_version(peer));
    if versions.all(|version| version.is_none_or(|version| version >= WIRE_VERSION)) {
        // Lost without gossip, as any broadcast may be.
        let _ = member
            .gossip
            .tell(membership::Event::Broadcast { payload })
            .await;
        return;
    }
    for peer in peers {
        say(member, &peer, payload.clone());
    }
}

/// Does what the tables decide.
pub(super) async fn carry_out(member: &Inner, decisions: Vec<Decision>) {
    for decision in decisions {
        match decision {
            Decision::Send { to, bytes } => say(member, &to.name, bytes),
            Decision::Broadcast(payload) => broadcast(member, payload).await,
            Decision::Tell(NameChange::Described {
                agent,
                node,
                description,
            }) => {
                member
                    .descriptions
                    .hear(&node, &agent, description.as_deref());
            }
            Decision::Tell(change) => losers::hear(member, change),
        }
    }
}

/// Keeps the tables going until the node is gone.
pub(super) async fn run(member: Weak<Inner>, directory: Arc<Directory>) {
    loop {
        {
            let Some(member) = member.upgrade() else {
                return;
            };
            if let Some(system) = member.system.upgrade() {
                directory.compare(&system);
                member.descriptions.compare(&directory);
                losers::stand_in(&member, &system);
            }
            let pending = std::mem::take(&mut *directory.pending.lock());
            carry_out(&member, pending).await;
            if directory.is_due() {
                let decisions = directory.handle(Event::Tick);
                carry_out(&member, decisions).await;
            }
        }
        tokio::select! {
            biased;
            () = directory.has_pending.notified() => {}
            () = tokio::time::sleep(COMPARE) => {}
        }
    }
}

/// Asks for the paths of other nodes' agents when somebody wants to know, until the node is gone. Does not keep it alive while it waits.
pub(super) async fn learn_paths(directory: Arc<Directory>, requests: Arc<Requests>, links: Links) {
    loop {
        directory.is_wanted.notified().await;
        directory.ask_for_paths(&requests, &links).await;
    }
}
