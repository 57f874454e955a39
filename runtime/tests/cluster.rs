//! Nodes of one cluster in one process, over real sockets: joining, refusals, agents across nodes, a lost node, a return.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use swarm_actors::testkit::TestSystem;
use swarm_actors::{
    Agent, AgentRef, AgentSpec, Failure, Message, MessageCodec, ReplyTo, SystemOptions, Turn,
};
use swarm_cluster::security::JoinToken;
use swarm_protocols::{ExitReason, Name};
use swarm_runtime::cluster::{Cluster, ClusterError, ClusterOptions, Way};

/// How long anything may take here: the machine may be slow, and nothing is measured.
const SOON: Duration = Duration::from_secs(90);

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

/// Dropped in this order: a node that is lost falls silent before its agents end, or its links would still tell of that.
struct Node {
    cluster: Cluster,
    system: TestSystem,
}

async fn try_node(
    called: &str,
    seed: u64,
    data: Option<&Path>,
    way: Way,
) -> Result<Node, ClusterError> {
    let system = TestSystem::start_with(SystemOptions::new(name(called), seed)).await;
    let options = ClusterOptions {
        node: name(called),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        may_move: false,
        advertise: None,
        data: data.map(Path::to_owned),
        way,
    };
    let (cluster, _) = Cluster::start(&system, options).await?;
    Ok(Node { cluster, system })
}

fn first_way() -> Way {
    Way::First {
        cluster: name("test"),
    }
}

fn way_to(node: &Node, token: &JoinToken) -> Way {
    Way::Join {
        contacts: vec![node.cluster.address().to_string()],
        token: token.clone(),
    }
}

fn token(node: &Node) -> JoinToken {
    node.cluster
        .create_token(Duration::from_secs(600), None, true)
        .expect("makes one")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}

async fn until_states(node: &Node, expected: &[(&str, &str)]) {
    let waiting = async {
        loop {
            let members = node.cluster.members().await;
            let seen: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.state)).collect();
            if seen == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(SOON, waiting).await.is_err() {
        panic!("never {expected:?}: {:?}", node.cluster.members().await);
    }
}

struct Count(u64);

#[derive(Serialize, Deserialize)]
enum Say {
    Add(u64),
    Get(ReplyTo<u64>),
}

impl Message for Say {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("test.count", 1))
    }
}

impl Agent for Count {
    type Message = Say;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, say: Say) -> Result<(), Failure> {
        match say {
            Say::Add(n) => self.0 += n,
            Say::Get(reply) => turn.reply(reply, self.0),
        }
        Ok(())
    }
}

async fn count(on: &Node, seen_from: &Node) -> AgentRef<Say> {
    let spec = AgentSpec::new("count", || Count(0))
        .expect("a name")
        .groups(vec![name("counters")])
        .registered(name("the-counter"));
    let agent = on.system.spawn(spec).await.expect("starts");
    seen_from
        .system
        .remote(on.system.node(), agent.address(), Some(agent.path()))
        .typed()
        .expect("it has a codec")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_join_speak_and_learn_of_a_lost_one() {
    let n1 = try_node("n1", 1, None, first_way()).await.expect("starts");
    let token = token(&n1);
    let n2 = try_node("n2", 2, None, way_to(&n1, &token))
        .await
        .expect("joins");
    // Through the second one's authority, with a token of its own.
    let second = self::token(&n2);
    let n3 = try_node("n3", 3, None, way_to(&n2, &second))
        .await
        .expect("joins");
    for node in [&n1, &n2, &n3] {
        until_states(node, &[("n1", "alive"), ("n2", "alive"), ("n3", "alive")]).await;
    }
    let far = count(&n3, &n1).await;
    for n in 0..100 {
        far.send(Say::Add(n)).await.expect("taken over");
    }
    assert_eq!(far.ask(Say::Get, SOON).await, Ok((0..100).sum()));
    // Found by name and by group from another node.
    for node in [&n1, &n2] {
        let system = &node.system;
        until("n3's agent is in the group", || {
            system.group(&name("counters")).len() == 1
        })
        .await;
        let found = system.whereis(&name("the-counter"));
        assert_eq!(found.map(|agent| agent.address()), Some(far.address()));
    }
    let end = far.any().monitor();
    // The monitor is set once what was sent behind it is answered.
    assert_eq!(far.ask(Say::Get, SOON).await, Ok((0..100).sum()));
    // As a process that is killed: no goodbye.
    drop(n3);
    let down = tokio::time::timeout(SOON, end).await.expect("fires");
    // A node that is dropped drops its agents before its links: their last word may still get out.
    let reason = down.expect("told").reason;
    assert!(
        matches!(reason, ExitReason::Unreachable | ExitReason::Killed),
        "{reason}"
    );
    until("the group is empty again", || {
        n1.system.group(&name("counters")).is_empty()
    })
    .await;
    until_states(&n1, &[("n1", "alive"), ("n2", "alive"), ("n3", "down")]).await;
    n2.cluster.leave().await;
    until_states(&n1, &[("n1", "alive"), ("n2", "left"), ("n3", "down")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_kept_its_data_rejoins_by_itself() {
    let data = tempfile::tempdir().expect("a folder");
    let n1 = try_node("n1", 1, None, first_way()).await.expect("starts");
    let token = token(&n1);
    let n2 = try_node("n2", 2, Some(data.path()), way_to(&n1, &token))
        .await
        .expect("joins");
    until_states(&n1, &[("n1", "alive"), ("n2", "alive")]).await;
    let before = n2.cluster.me().boot;
    drop(n2);
    // `up`, as it was the first time, and no token.
    let n2 = try_node("n2", 4, Some(data.path()), first_way())
        .await
        .expect("comes back");
    assert_eq!(n2.cluster.name(), name("test"), "it is in the old cluster");
    assert_ne!(n2.cluster.me().boot, before);
    until_states(&n2, &[("n1", "alive"), ("n2", "alive")]).await;
    until_states(&n1, &[("n1", "alive"), ("n2", "alive")]).await;
    let far = count(&n2, &n1).await;
    assert_eq!(far.ask(Say::Get, SOON).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_join_does_not() {
    let n1 = try_node("n1", 1, None, first_way()).await.expect("starts");
    let token = token(&n1);
    let taken = try_node("n1", 2, None, way_to(&n1, &token)).await;
    assert!(
        matches!(&taken, Err(ClusterError::Join(error)) if error.to_string().contains("n1 is alive")),
        "{:?}",
        taken.err()
    );
    assert!(n1.cluster.revoke_token(token.id));
    let revoked = try_node("n2", 2, None, way_to(&n1, &token)).await;
    assert!(
        matches!(&revoked, Err(ClusterError::Join(error)) if error.to_string().contains("revoked")),
        "{:?}",
        revoked.err()
    );
    let members = n1.cluster.members().await;
    assert_eq!(members.len(), 1, "{members:?}");
}
