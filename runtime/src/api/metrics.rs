//! Metrics in the text form of Prometheus.

use super::types::NodeState;
use crate::cluster::Cluster;
use crate::fipa::Counts;
use crate::node::Node;
use std::collections::BTreeMap;
use std::fmt::Write;
use swarm_actors::ActorInfo;
use swarm_cluster::gossip::GossipCounters;
use swarm_cluster::transport::LinkInfo;

/// What the metrics are made of, taken at one moment.
pub(super) struct Snapshot {
    node: String,
    state: NodeState,
    started_at_s: f64,
    actors: Vec<ActorInfo>,
    dead_letters: u64,
    dead_letters_total: u64,
    events_total: u64,
    resident_bytes: Option<u64>,
    cpu_seconds: Option<f64>,
    fipa: Option<Counts>,
    projection_lags: Vec<(String, u64)>,
    cluster: Option<ClusterFigures>,
}

/// What is known of the node's place in a cluster.
struct ClusterFigures {
    members: BTreeMap<&'static str, u64>,
    links: Vec<LinkInfo>,
    certificate_expires_s: u64,
    gossip: Option<GossipCounters>,
}

impl ClusterFigures {
    async fn of(cluster: &Cluster) -> Self {
        let mut members: BTreeMap<_, _> = ["alive", "suspect", "down", "left"]
            .map(|state| (state, 0))
            .into();
        for member in cluster.members().await {
            *members.entry(member.state).or_default() += 1;
        }
        Self {
            members,
            links: cluster.links(),
            certificate_expires_s: cluster.certificate_expires(),
            gossip: cluster.gossip_counters().await,
        }
    }
}

impl Snapshot {
    pub(super) async fn of(node: &Node) -> Self {
        let cluster = match node.cluster() {
            Some(cluster) => Some(ClusterFigures::of(cluster).await),
            None => None,
        };
        let system = node.system();
        Self {
            cluster,
            node: node.name().to_string(),
            state: node.state().0,
            started_at_s: node.started_at().unix_ms as f64 / 1000.0,
            actors: system.actors(),
            dead_letters: system.dead_letters().len() as u64,
            dead_letters_total: system.dead_letters().total(),
            events_total: system.events().last_seq(),
            resident_bytes: resident_bytes(),
            cpu_seconds: cpu_seconds(),
            fipa: node.fipa_counts(),
            projection_lags: node.projection_lags(),
        }
    }
}

/// Actors are summed up by kind and group: one line per actor would make a million lines.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let node = &snapshot.node;
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let comma = if labels.is_empty() { "" } else { "," };
            let _ = writeln!(text, "{name}{{node=\"{node}\"{comma}{labels}}} {value}");
        }
    };
    let one = |value: f64| [(String::new(), value)];
    family(
        "swarm_up",
        "gauge",
        "Whether the tree runs.",
        &one(f64::from(u8::from(snapshot.state == NodeState::Running))),
    );
    family(
        "swarm_build_info",
        "gauge",
        "The program's version.",
        &[(format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1.0)],
    );

    if let Some(counts) = &snapshot.fipa {
        let samples: Vec<_> = counts
            .named()
            .into_iter()
            .map(|(what, n)| (format!("what=\"{what}\""), n as f64))
            .collect();
        family(
            "swarm_fipa_total",
            "counter",
            "What the FIPA transport has done.",
            &samples,
        );
    }

    if !snapshot.projection_lags.is_empty() {
        let samples: Vec<_> = snapshot
            .projection_lags
            .iter()
            .map(|(name, lag)| (format!("projection=\"{name}\""), *lag as f64))
            .collect();
        family(
            "swarm_projection_lag",
            "gauge",
            "How many positions of the journal are not in a projection's view yet.",
            &samples,
        );
    }

    if let Some(cluster) = &snapshot.cluster {
        cluster_families(cluster, &mut family);
    }

    let mut by_state: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut by_kind: BTreeMap<&str, [f64; 4]> = BTreeMap::new();
    let mut by_group: BTreeMap<&str, [f64; 3]> = BTreeMap::new();
    for actor in &snapshot.actors {
        *by_state
            .entry((&actor.kind, actor.state.as_str()))
            .or_default() += 1.0;
        let sums = by_kind.entry(&actor.kind).or_default();
        sums[0] += f64::from(actor.restarts);
        sums[1] += actor.mailbox as f64;
        sums[2] = sums[2].max(actor.mailbox_ms as f64 / 1000.0);
        sums[3] += actor.turns as f64;
        for group in &actor.groups {
            let sums = by_group.entry(group.as_str()).or_default();
            sums[0] += 1.0;
            sums[1] += actor.mailbox as f64;
            sums[2] = sums[2].max(actor.mailbox_ms as f64 / 1000.0);
        }
    }
    let states: Vec<_> = by_state
        .iter()
        .map(|((kind, state), n)| (format!("kind=\"{kind}\",state=\"{state}\""), *n))
        .collect();
    family(
        "swarm_actors",
        "gauge",
        "Actors by kind and state.",
        &states,
    );
    let kinds = |at: usize| -> Vec<_> {
        by_kind
            .iter()
            .map(|(kind, sums)| (format!("kind=\"{kind}\""), sums[at]))
            .collect()
    };
    // Gauges, not counters: what an actor counted goes with it when it is removed.
    family(
        "swarm_actor_restarts",
        "gauge",
        "Restarts of the actors that exist now.",
        &kinds(0),
    );
    family(
        "swarm_mailbox_messages",
        "gauge",
        "Messages queued.",
        &kinds(1),
    );
    family(
        "swarm_mailbox_oldest_seconds",
        "gauge",
        "How long the oldest queued message has been waiting.",
        &kinds(2),
    );
    family(
        "swarm_actor_turns",
        "gauge",
        "Turns of the actors that exist now.",
        &kinds(3),
    );
    let groups = |at: usize| -> Vec<_> {
        by_group
            .iter()
            .map(|(group, sums)| (format!("group=\"{group}\""), sums[at]))
            .collect()
    };
    family(
        "swarm_group_members",
        "gauge",
        "Members of a group.",
        &groups(0),
    );
    family(
        "swarm_group_mailbox_messages",
        "gauge",
        "Messages queued at the members of a group.",
        &groups(1),
    );
    family(
        "swarm_group_mailbox_oldest_seconds",
        "gauge",
        "How long the oldest message queued at a member of a group has been waiting.",
        &groups(2),
    );
    family(
        "swarm_dead_letters",
        "gauge",
        "Dead letters kept.",
        &one(snapshot.dead_letters as f64),
    );
    family(
        "swarm_dead_letters_total",
        "counter",
        "Dead letters since the start.",
        &one(snapshot.dead_letters_total as f64),
    );
    family(
        "swarm_events_total",
        "counter",
        "Events since the start.",
        &one(snapshot.events_total as f64),
    );
    family(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970.",
        &one(snapshot.started_at_s),
    );
    if let Some(bytes) = snapshot.resident_bytes {
        family(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
            &one(bytes as f64),
        );
    }
    if let Some(seconds) = snapshot.cpu_seconds {
        family(
            "process_cpu_seconds_total",
            "counter",
            "Processor time, user and system.",
            &one(seconds),
        );
    }
    text
}

type Family<'a> = dyn FnMut(&str, &str, &str, &[(String, f64)]) + 'a;

fn cluster_families(cluster: &ClusterFigures, family: &mut Family<'_>) {
    let members: Vec<_> = cluster
        .members
        .iter()
        .map(|(state, n)| (format!("state=\"{state}\""), *n as f64))
        .collect();
    family(
        "swarm_cluster_members",
        "gauge",
        "Members as this node sees them, itself included.",
        &members,
    );
    let links = |figure: &dyn Fn(&LinkInfo) -> f64| -> Vec<(String, f64)> {
        cluster
            .links
            .iter()
            .map(|link| {
                let labels = format!("peer=\"{}\",lane=\"{}\"", link.peer, link.lane.as_str());
                (labels, figure(link))
            })
            .collect()
    };
    family(
        "swarm_link_open",
        "gauge",
        "Whether a connection to the peer is open.",
        &links(&|link| f64::from(u8::from(link.is_open))),
    );
    family(
        "swarm_link_connections_total",
        "counter",
        "Connections to the peer so far.",
        &links(&|link| link.connections as f64),
    );
    family(
        "swarm_link_under_way_bytes",
        "gauge",
        "What is under way to the peer, with overhead.",
        &links(&|link| link.under_way_bytes as f64),
    );
    family(
        "swarm_link_held_bytes",
        "gauge",
        "What is held here for agents that have not taken it, with overhead.",
        &links(&|link| link.held_bytes as f64),
    );
    family(
        "swarm_certificate_expires_seconds",
        "gauge",
        "When the node's certificate runs out, in seconds since 1970.",
        &[(String::new(), cluster.certificate_expires_s as f64)],
    );
    let Some(gossip) = &cluster.gossip else {
        return;
    };
    family(
        "swarm_gossip_packets_total",
        "counter",
        "Packets of gossip: sent and opened, and those that were refused, by reason.",
        &[
            ("what=\"sent\"", gossip.sent),
            ("what=\"received\"", gossip.received),
            ("what=\"unsent\"", gossip.unsent),
            ("what=\"malformed\"", gossip.malformed),
            ("what=\"unknown-key\"", gossip.unknown_key),
            ("what=\"replayed\"", gossip.replayed),
            ("what=\"forged\"", gossip.forged),
        ]
        .map(|(what, n)| (what.to_owned(), n as f64)),
    );
    family(
        "swarm_gossip_sent_bytes_total",
        "counter",
        "Bytes of gossip sent, without the headers of UDP and below.",
        &[(String::new(), gossip.sent_bytes as f64)],
    );
    family(
        "swarm_local_health",
        "gauge",
        "How far this node distrusts its own opinion, 0 to 7.",
        &[(String::new(), f64::from(gossip.health.score()))],
    );
}

/// From `/proc`; none where there is no such thing.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// From `/proc`; none where there is no such thing.
fn cpu_seconds() -> Option<f64> {
    /// `USER_HZ`, which Linux has fixed at 100 for what it shows to programs on the architectures that Swarm supports.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
}
