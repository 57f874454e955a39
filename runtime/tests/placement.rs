//! Placed children on real nodes of one process, over real sockets: where they run, that they run once, and where they go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use swarm_actors::{Agent, AgentSpec, AnyRef, Failure, NoMessage, Turn, What};
use swarm_cluster::partition::Side;
use swarm_cluster::placement::{Labels, NoPlace};
use swarm_cluster::security::JoinToken;
use swarm_protocols::{ExitReason, Limit, Name, Path};
use swarm_runtime::api::ApiServer;
use swarm_runtime::behaviours;
use swarm_runtime::cluster::{Cluster, ClusterOptions, Way};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{ApplyError, Node, NodeOptions};
use swarm_supervisors::CallError;

/// How long anything may take here: the machine may be slow, and nothing is measured.
const SOON: Duration = Duration::from_secs(90);

const MANIFEST: &str = r#"
[cluster.placement]
stable_after = "300ms"

[supervisor."/pool"]
intensity = 10

[agent."/pool/any"]
behaviour = "echo"
replicas = 8
place = { mode = "any" }

[agent."/pool/spread"]
behaviour = "echo"
replicas = 6
groups = ["spread"]
place = { mode = "spread" }

[agent."/pool/each"]
behaviour = "echo"
place = { mode = "each-node" }

[agent."/pool/disk"]
behaviour = "echo"
registered = "disk"
place = { labels = { disk = "ssd" } }

[supervisor."/team"]
place = { mode = "any" }

[agent."/team/a"]
behaviour = "echo"

[agent."/fixed"]
behaviour = "echo"
"#;

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

fn path(text: &str) -> Path {
    Path::new(text).expect("valid")
}

fn lone(called: &str, labels: &str) -> Node {
    with_manifest(called, labels, MANIFEST)
}

fn with_manifest(called: &str, labels: &str, manifest: &str) -> Node {
    let behaviours = behaviours::builtin();
    let manifest = Manifest::parse(manifest, &behaviours).expect("a manifest");
    let mut options = NodeOptions::new(name(called), manifest, behaviours);
    options.labels = labels.parse::<Labels>().expect("labels");
    Node::new(options)
}

/// A node of a cluster: the first one, or one that joins.
async fn member(called: &str, labels: &str, join: Option<(&Node, &JoinToken)>) -> Node {
    into_cluster(lone(called, labels), join).await
}

async fn into_cluster(node: Node, join: Option<(&Node, &JoinToken)>) -> Node {
    let way = match join {
        None => Way::First {
            cluster: name("test"),
        },
        Some((to, token)) => Way::Join {
            contacts: vec![cluster(to).address().to_string()],
            token: token.clone(),
        },
    };
    let options = ClusterOptions {
        node: node.name().clone(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        may_move: false,
        advertise: None,
        data: None,
        way,
    };
    let (cluster, _) = Cluster::start(node.system(), options).await.expect("joins");
    assert!(node.enter(cluster));
    node.start_tree().await.expect("starts");
    node
}

fn cluster(node: &Node) -> &Cluster {
    node.cluster().expect("it entered one")
}

/// How many agents with a name that begins like this run on each node.
fn counts(nodes: &[&Node], begin: &str) -> Vec<usize> {
    let here = |node: &&Node| {
        let agents = node.system().agents();
        let counted = agents
            .iter()
            .filter(|a| a.path().as_str().starts_with(begin) && a.is_alive());
        counted.count()
    };
    nodes.iter().map(here).collect()
}

/// All that runs, with how often it does.
fn running(nodes: &[&Node]) -> BTreeMap<String, usize> {
    let mut running = BTreeMap::new();
    for node in nodes {
        for agent in node.system().agents() {
            if agent.is_alive() {
                *running.entry(agent.path().to_string()).or_default() += 1;
            }
        }
    }
    running
}

fn expected(nodes: usize) -> BTreeMap<String, usize> {
    let any = (1..=8).map(|n| (format!("/pool/any-{n}"), 1));
    let spread = (1..=6).map(|n| (format!("/pool/spread-{n}"), 1));
    let others = [
        ("/pool/each".to_owned(), nodes),
        ("/pool/disk".to_owned(), 1),
        ("/team/a".to_owned(), 1),
        ("/fixed".to_owned(), nodes),
    ];
    any.chain(spread).chain(others).collect()
}

async fn until(what: &str, nodes: &[&Node], holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(SOON, waiting).await.is_err() {
        let views: Vec<_> = nodes.iter().map(|node| node.placed()).collect();
        panic!("never: {what}: {:?} {views:#?}", running(nodes));
    }
}

async fn until_as_expected(nodes: &[&Node]) {
    until("everything runs once", nodes, || {
        running(nodes) == expected(nodes.len()) && nodes.iter().all(|n| n.placed().is_settled)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_runs_everything_that_its_labels_allow() {
    let node = lone("n1", "zone=a");
    node.start_tree().await.expect("starts");
    let mut everything = expected(1);
    everything.remove("/pool/disk");
    until("it runs", &[&node], || running(&[&node]) == everything).await;
    assert_eq!(
        node.placed().nowhere.keys().collect::<Vec<_>>(),
        [&path("/pool/disk")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_restarts_has_its_placed_children_again() {
    let node = lone("n1", "disk=ssd");
    node.start_tree().await.expect("starts");
    until_as_expected(&[&node]).await;
    node.system().kill(&path("/pool")).await.expect("is there");
    until("all of the pool are in their second life", &[&node], || {
        let agents = node.system().agents();
        let second = |agent: &&AnyRef| agent.is_alive() && agent.info().incarnation.0 == 2;
        agents.iter().filter(second).count() == 8 + 6 + 1 + 1
    })
    .await;
    assert_eq!(running(&[&node]), expected(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_node_ran_is_back_elsewhere_once() {
    let n1 = member("n1", "disk=ssd", None).await;
    until_as_expected(&[&n1]).await;
    let token = cluster(&n1)
        .create_token(Duration::from_secs(600), None, true)
        .expect("makes one");
    let n2 = member("n2", "disk=ssd", Some((&n1, &token))).await;
    let n3 = member("n3", "", Some((&n1, &token))).await;
    let all = [&n1, &n2, &n3];
    until_as_expected(&all).await;
    assert_eq!(counts(&all, "/pool/spread"), [2, 2, 2]);
    assert_eq!(counts(&all, "/pool/disk")[2], 0);
    until("everybody knows the group", &all, || {
        all.iter()
            .all(|n| n.system().group(&name("spread")).len() == 6)
    })
    .await;
    // What runs on n1 and n3 stays there, in its first life.
    let stays: Vec<_> = [&n1, &n3]
        .iter()
        .flat_map(|node| node.system().agents())
        .map(|agent| agent.address())
        .collect();
    // As a process that is killed: no goodbye.
    drop(n2);
    let left = [&n1, &n3];
    until_as_expected(&left).await;
    assert_eq!(counts(&left, "/pool/spread"), [3, 3]);
    let now: Vec<_> = left
        .iter()
        .flat_map(|node| node.system().agents())
        .map(|agent| agent.address())
        .collect();
    assert!(stays.iter().all(|address| now.contains(address)));
    until("its name is known", &left, || {
        left.iter()
            .all(|n| n.system().whereis(&name("disk")).is_some())
    })
    .await;
    // n1 gives everything away, but what nobody else may run.
    assert_eq!(n1.drain_placed(SOON).await, 0);
    until("n3 has it", &left, || {
        counts(&[&n3], "/pool/") == [8 + 6 + 1] && counts(&[&n3], "/team") == [1]
    })
    .await;
    assert_eq!(counts(&[&n1], "/pool/"), [0]);
    assert_eq!(counts(&[&n1], "/fixed"), [1]);
}

const QUORUM: &str = r#"
[cluster.placement]
stable_after = "200ms"

[cluster.partition]
strategy = "static-quorum"
quorum = 2
stable_after = "300ms"

[agent."/worker"]
behaviour = "echo"
replicas = 4
place = { mode = "spread" }

[agent."/fixed"]
behaviour = "echo"
registered = "fixed"
"#;

/// The partition events of a node, in order.
fn told(node: &Node) -> Vec<String> {
    let events = node.system().events().since(0, usize::MAX);
    let names = events.iter().filter_map(|event| match &event.what {
        What::Custom { name, .. } if name.starts_with("partition-") => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_quorum_runs_nothing_that_is_placed_until_it_has_one() {
    let n1 = into_cluster(with_manifest("n1", "", QUORUM), None).await;
    until("n1 knows that it is too few", &[&n1], || {
        n1.side().0 == Side::Lesser
    })
    .await;
    assert_eq!(counts(&[&n1], "/worker"), [0]);
    assert_eq!(n1.alarms().len(), 1, "{:?}", n1.alarms());
    let token = cluster(&n1)
        .create_token(Duration::from_secs(600), None, true)
        .expect("makes one");
    let n2 = into_cluster(with_manifest("n2", "", QUORUM), Some((&n1, &token))).await;
    let both = [&n1, &n2];
    until("both run it", &both, || counts(&both, "/worker") == [2, 2]).await;
    let who = || n2.system().whereis(&name("fixed"));
    until("a name has a holder", &both, || who().is_some()).await;
    drop(n2);
    until("n1 has stopped it", &[&n1], || {
        n1.side().0 == Side::Lesser && counts(&[&n1], "/worker") == [0]
    })
    .await;
    assert_eq!(counts(&[&n1], "/fixed"), [1], "what is not placed goes on");
    let n2 = into_cluster(with_manifest("n2", "", QUORUM), Some((&n1, &token))).await;
    let both = [&n1, &n2];
    until("both run it again", &both, || {
        counts(&both, "/worker") == [2, 2]
    })
    .await;
    until("it is told", &both, || {
        told(&n1).ends_with(&[
            "partition-detected".to_owned(),
            "partition-lesser".to_owned(),
            "partition-healed".to_owned(),
            "partition-reconciled".to_owned(),
        ])
    })
    .await;
}

const FIRST: &str = r#"
[cluster.placement]
stable_after = "200ms"

[supervisor."/pool"]

[agent."/pool/kept"]
behaviour = "echo"

[agent."/pool/changed"]
behaviour = "echo"
replicas = 2

[agent."/pool/other"]
behaviour = "echo"

[agent."/placed"]
behaviour = "echo"
replicas = 2
place = { mode = "spread" }
"#;

const SECOND: &str = r#"
[supervisor."/pool"]
intensity = 9

[agent."/pool/kept"]
behaviour = "echo"
shutdown = "1s"

[agent."/pool/changed"]
behaviour = "echo"
mailbox = { capacity = 7 }
replicas = 3

[agent."/pool/other"]
behaviour = "counter"

[agent."/placed"]
behaviour = "echo"
replicas = 4
place = { mode = "spread" }

[supervisor."/rows"]
strategy = "simple_one_for_one"

[agent."/rows/row"]
behaviour = "echo"
replicas = 2
"#;

/// What runs on a node: places and lives.
fn lives(node: &Node) -> Vec<(String, u64)> {
    let agents = node.system().agents();
    let mut lives: Vec<_> = agents
        .iter()
        .filter(|agent| agent.is_alive())
        .map(|agent| (agent.path().to_string(), agent.info().incarnation.0))
        .collect();
    lives.sort();
    lives
}

fn owned(lives: &[(&str, u64)]) -> Vec<(String, u64)> {
    let mut lives: Vec<_> = lives.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
    lives.sort();
    lives
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_manifest_changes_a_running_tree_and_nothing_else() {
    let node = with_manifest("n1", "", FIRST);
    node.start_tree().await.expect("starts");
    until("it runs", &[&node], || node.system().agents().len() == 6).await;
    let kept = node.system().lookup(&path("/pool/kept")).expect("runs");
    let changed = node
        .system()
        .lookup(&path("/pool/changed-1"))
        .expect("runs");
    assert_eq!(node.plan(FIRST).expect("a plan"), []);
    let applied = node.apply(SECOND, 1).await.expect("applies");
    assert_eq!(applied.problems, Vec::<String>::new());
    let after = owned(&[
        ("/pool/kept", 1),
        ("/pool/changed-1", 2),
        ("/pool/changed-2", 2),
        ("/pool/changed-3", 1),
        // Another kind of agent is another agent.
        ("/pool/other", 1),
        ("/rows/row-1", 1),
        ("/rows/row-2", 1),
        ("/placed-1", 1),
        ("/placed-2", 1),
        ("/placed-3", 1),
        ("/placed-4", 1),
    ]);
    until("it runs", &[&node], || {
        lives(&node) == after && node.is_settled()
    })
    .await;
    assert!(kept.is_alive(), "the same life");
    assert_eq!(
        node.system()
            .lookup(&path("/pool/changed-1"))
            .map(|a| a.address()),
        Some(changed.address()),
        "an address outlives a change"
    );
    assert_eq!(node.plan(SECOND).expect("a plan"), []);
    assert_eq!(node.apply(SECOND, 1).await.expect("is that").steps, []);
    assert!(matches!(
        node.apply(FIRST, 0).await,
        Err(ApplyError::NotLater { .. })
    ));
    assert!(matches!(
        node.apply("[agent.\"/x\"]\n", 2).await,
        Err(ApplyError::Rejected(_))
    ));
    // And back again.
    let applied = node.apply(FIRST, 2).await.expect("applies");
    assert_eq!(applied.problems, Vec::<String>::new());
    until("it is as it was", &[&node], || {
        node.is_settled() && node.system().agents().len() == 6
    })
    .await;
    assert!(node.system().lookup(&path("/rows/row-1")).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_clusters_manifest_takes_it_over() {
    let n1 = into_cluster(with_manifest("n1", "", FIRST), None).await;
    n1.apply(SECOND, 1).await.expect("applies");
    // What the API answers with to other members.
    let server =
        ApiServer::start(n1.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let token = cluster(&n1)
        .create_token(Duration::from_secs(600), None, true)
        .expect("makes one");
    let n2 = into_cluster(with_manifest("n2", "", FIRST), Some((&n1, &token))).await;
    let both = [&n1, &n2];
    until("n2 runs it", &both, || {
        n2.edition() == n1.edition() && both.iter().all(|n| n.is_settled())
    })
    .await;
    assert_eq!(counts(&both, "/placed"), [2, 2]);
    assert_eq!(counts(&both, "/rows"), [2, 2]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_takes_no_more_agents_than_it_may_have() {
    let behaviours = behaviours::builtin();
    let text = "[agent.\"/fixed\"]\nbehaviour = \"echo\"\nreplicas = 2\n[agent.\"/placed\"]\nbehaviour = \"echo\"\nreplicas = 5\nplace = {}\n";
    let manifest = Manifest::parse(text, &behaviours).expect("a manifest");
    let mut options = NodeOptions::new(name("n1"), manifest, behaviours);
    options.agents_max = Some(4);
    let node = Node::new(options);
    node.start_tree().await.expect("starts");
    until("there are as many as may be", &[&node], || {
        node.system().agents().len() == 4 && node.placed().nowhere.len() == 3
    })
    .await;
    let why: Vec<_> = node.placed().nowhere.into_values().collect();
    assert_eq!(why, [NoPlace::NoRoom; 3]);
    // Whoever else starts one is refused.
    let spec = AgentSpec::new("more", || Quiet).expect("a name");
    let root = node.system().tree().expect("runs");
    let refused = root.start_child(spec.child(node.system())).await;
    let reason = ExitReason::Limit(Limit::Agents);
    assert_eq!(refused.err(), Some(CallError::StartFailed(reason)));
    let more = text.replace("replicas = 2", "replicas = 5");
    assert!(matches!(
        node.apply(&more, 1).await,
        Err(ApplyError::TooMany { agents: 5, max: 4 })
    ));
}

struct Quiet;

impl Agent for Quiet {
    type Message = NoMessage;
    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }
}
