//! Names of class cluster that two agents claim, on real nodes over real sockets: who is told what, who hands over, who goes on.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::testkit::TestSystem;
use swarm_actors::{
    Agent, AgentRef, AgentSpec, Failure, Message, MessageCodec, NameNews, OnNameConflict, ReplyTo,
    SystemOptions, Turn, What,
};
use swarm_cluster::security::JoinToken;
use swarm_protocols::{Address, Name};
use swarm_runtime::cluster::{Cluster, ClusterOptions, NodeFault, Way};
use tokio::sync::Semaphore;

/// How long anything may take here: the machine may be slow, and nothing is measured.
const SOON: Duration = Duration::from_secs(90);

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

/// Dropped in this order: a node that is lost falls silent before its agents end.
struct Node {
    cluster: Cluster,
    system: TestSystem,
}

async fn node(called: &str, seed: u64, join: Option<(&Node, &JoinToken)>) -> Node {
    let system = TestSystem::start_with(SystemOptions::new(name(called), seed)).await;
    let way = match join {
        None => Way::First {
            cluster: name("test"),
        },
        Some((to, token)) => Way::Join {
            contacts: vec![to.cluster.address().to_string()],
            token: token.clone(),
        },
    };
    let options = ClusterOptions {
        node: name(called),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        may_move: false,
        advertise: None,
        data: None,
        way,
    };
    let (cluster, _) = Cluster::start(&system, options).await.expect("joins");
    cluster.allow_faults();
    Node { cluster, system }
}

async fn nodes(count: u64) -> Vec<Node> {
    let mut nodes = vec![node("n1", 1, None).await];
    let token = nodes[0].cluster.create_token(SOON, None, true);
    let token = token.expect("makes one");
    for number in 2..=count {
        let joined = node(&format!("n{number}"), number, Some((&nodes[0], &token))).await;
        nodes.push(joined);
    }
    nodes
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}

/// Adds up what it is told. When it loses its name it gives the sum to the winner.
struct Boss {
    sum: u64,
    /// A turn that waits takes one from here.
    gate: Arc<Semaphore>,
}

#[derive(Serialize, Deserialize)]
enum Say {
    Add(u64),
    /// From a boss that gives way: its sum.
    Take(u64),
    Wait,
    Get(ReplyTo<u64>),
}

impl Message for Say {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("test.boss", 1))
    }
}

impl Agent for Boss {
    type Message = Say;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, say: Say) -> Result<(), Failure> {
        match say {
            Say::Add(n) => self.sum += n,
            Say::Take(sum) => self.sum += sum * 1000,
            Say::Wait => self.gate.acquire().await?.forget(),
            Say::Get(reply) => turn.reply(reply, self.sum),
        }
        Ok(())
    }

    async fn on_name(&mut self, turn: &mut Turn<'_, Self>, news: NameNews) -> Result<(), Failure> {
        if let NameNews::Conflict { name, winner, .. } = news
            && let Some(winner) = winner.typed()
        {
            turn.send(&winner, Say::Take(self.sum));
            turn.handed_over(&name);
        }
        Ok(())
    }
}

async fn boss(on: &Node, choice: OnNameConflict) -> (AgentRef<Say>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let its = gate.clone();
    let spec = AgentSpec::new("boss", move || Boss {
        sum: 0,
        gate: its.clone(),
    })
    .expect("a name")
    .registered(name("boss"))
    .on_name_conflict(choice);
    (on.system.spawn(spec).await.expect("starts"), gate)
}

/// Ends it for good: a stopped one keeps its name.
async fn end(on: &Node) {
    let tree = on.system.tree();
    tree.terminate_child(name("boss")).await.expect("stops");
    tree.delete_child(name("boss")).await.expect("goes");
}

fn found(node: &Node) -> Option<Address> {
    node.system
        .whereis(&name("boss"))
        .map(|agent| agent.address())
}

async fn until_found(nodes: &[Node], address: Address) {
    until("every node finds the same boss", || {
        nodes.iter().all(|node| found(node) == Some(address))
    })
    .await;
}

/// What the node's events say of names, in order.
fn told(node: &Node) -> Vec<String> {
    let events = node.system.events().since(0, usize::MAX);
    let names = events.iter().filter_map(|event| match &event.what {
        What::Custom { name, .. } if name.starts_with("name-") => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_second_stands_by_and_goes_on_when_the_name_is_free() {
    let nodes = nodes(2).await;
    let (first, _) = boss(&nodes[0], OnNameConflict::Stop).await;
    until_found(&nodes, first.address()).await;
    let (second, _) = boss(&nodes[1], OnNameConflict::Stop).await;
    until("the second one is stopped", || !second.any().is_alive()).await;
    until_found(&nodes, first.address()).await;
    assert_eq!(first.ask(Say::Get, SOON).await, Ok(0), "told by its rival");
    assert_eq!(told(&nodes[1]), ["name-conflict", "name-lost"]);
    assert_eq!(told(&nodes[0]), [] as [&str; 0]);
    end(&nodes[0]).await;
    until("the second one goes on", || second.any().is_alive()).await;
    until_found(&nodes, second.address()).await;
    assert_eq!(told(&nodes[1])[2..], ["name-stand-in"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_without_the_name_keeps_it_on_its_own_node_until_it_is_free() {
    let nodes = nodes(2).await;
    let (first, _) = boss(&nodes[0], OnNameConflict::KeepLocal).await;
    until_found(&nodes, first.address()).await;
    let (second, _) = boss(&nodes[1], OnNameConflict::KeepLocal).await;
    until("the second one has lost", || told(&nodes[1]).len() == 2).await;
    assert!(second.any().is_alive());
    assert_eq!(found(&nodes[0]), Some(first.address()));
    assert_eq!(found(&nodes[1]), Some(second.address()));
    end(&nodes[0]).await;
    until_found(&nodes, second.address()).await;
    assert_eq!(told(&nodes[1])[2..], ["name-regained"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_loser_that_does_not_answer_has_queued_goes_to_the_winner() {
    let nodes = nodes(2).await;
    let (first, _) = boss(&nodes[0], OnNameConflict::HandOver).await;
    until_found(&nodes, first.address()).await;
    let (second, gate) = boss(&nodes[1], OnNameConflict::HandOver).await;
    second.send(Say::Wait).await.expect("taken");
    for n in 1..=10 {
        second.send(Say::Add(n)).await.expect("taken");
    }
    let asked = tokio::spawn({
        let second = second.clone();
        async move { second.ask(Say::Get, SOON).await }
    });
    until("its time is up", || told(&nodes[1]).len() == 2).await;
    // In the order in which they were queued; the question too, and its answer comes from the winner.
    assert_eq!(asked.await.expect("asks"), Ok(55));
    gate.add_permits(1);
    until("the second one is stopped", || !second.any().is_alive()).await;
    assert_eq!(first.ask(Say::Get, SOON).await, Ok(55));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_the_loser_hands_over_to_the_winner_and_is_stopped() {
    let nodes = nodes(3).await;
    let (first, _) = boss(&nodes[0], OnNameConflict::HandOver).await;
    until_found(&nodes, first.address()).await;
    first.send(Say::Add(7)).await.expect("taken");
    let cut = NodeFault::Cut(Duration::from_secs(45));
    let me = name("n3");
    nodes[2].cluster.inflict(&me, cut).await.expect("allowed");
    until("n3 is alone", || found(&nodes[2]).is_none()).await;
    // It claims the name later, so it wins.
    let (second, _) = boss(&nodes[2], OnNameConflict::HandOver).await;
    until("n3 has a boss", || {
        found(&nodes[2]) == Some(second.address())
    })
    .await;
    assert_eq!(
        found(&nodes[1]),
        Some(first.address()),
        "each side has its own"
    );
    until("the first one is stopped", || !first.any().is_alive()).await;
    until_found(&nodes, second.address()).await;
    assert_eq!(
        second.ask(Say::Get, SOON).await,
        Ok(7000),
        "what the loser had"
    );
    assert_eq!(told(&nodes[0]), ["name-conflict", "name-lost"]);
    assert_eq!(told(&nodes[2]), [] as [&str; 0]);
}
