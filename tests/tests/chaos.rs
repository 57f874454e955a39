//! A whole node under fire: whatever is killed, and however often, the node lives and everything comes back.

use std::sync::Once;
use std::time::Duration;
use swarm_actors::chaos::{self, ChaosPlan, Expectation, FaultKind, Target};
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_runtime::behaviours;
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};

/// Three levels, all strategies with fixed children; intensities that no test here reaches.
const TREE: &str = r#"
[supervisor."/"]
strategy = "one_for_one"
intensity = 100000
period = "1s"

[supervisor."/all"]
strategy = "one_for_all"
intensity = 100000
period = "1s"

[agent."/all/a"]
behaviour = "echo"
replicas = 3
turn_deadline = "300ms"

[supervisor."/rest"]
strategy = "rest_for_one"
intensity = 100000
period = "1s"

[agent."/rest/first"]
behaviour = "counter"
turn_deadline = "300ms"

[supervisor."/rest/pool"]
strategy = "one_for_one"
intensity = 100000
period = "1s"

[agent."/rest/pool/worker"]
behaviour = "text"
replicas = 8
groups = ["workers"]
turn_deadline = "300ms"
mailbox = { capacity = 16 }

[agent."/rest/last"]
behaviour = "echo"
registered = "last"
turn_deadline = "300ms"
"#;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// The panics that chaos wants are in the reports; nobody needs to read them a thousand times.
fn quietly() {
    static HOOK: Once = Once::new();
    HOOK.call_once(swarm_actors::install_panic_hook);
}

async fn node() -> Node {
    quietly();
    let behaviours = behaviours::builtin();
    let manifest = Manifest::parse(TREE, &behaviours).expect("a valid manifest");
    let node = Node::new(NodeOptions::new(name("n1"), manifest, behaviours));
    node.start_tree().await.expect("started");
    node
}

/// Every agent answers, within a bound.
async fn invariant_every_agent_answers(node: &Node) {
    let agents = node.system().agents();
    assert_eq!(agents.len(), 13, "no agent is missing");
    for agent in agents {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let mut ask = AclMessage::new(Performative::Request);
            ask.language = Some("application/json".into());
            ask.content = Some(b"1".to_vec());
            match agent.ask_acl(ask, Duration::from_secs(2)).await {
                Ok(_) => break,
                Err(error) => assert!(
                    tokio::time::Instant::now() < deadline,
                    "{} does not answer: {error}; it is {:?}",
                    agent.path(),
                    agent.info().state
                ),
            }
        }
    }
}

fn plan(target: Target, faults: Vec<FaultKind>, seed: u64) -> ChaosPlan {
    ChaosPlan {
        target,
        faults,
        rate: 300.0,
        duration: Duration::from_secs(2),
        seed,
        expect: vec![Expectation::Restarts],
        grace: Duration::from_secs(20),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_is_back_after_all_faults_at_once() {
    let node = node().await;
    let all = vec![
        FaultKind::Kill,
        FaultKind::Panic,
        FaultKind::Hang,
        FaultKind::Slow,
        FaultKind::Full,
    ];
    let plan = plan(Target::Path(Path::root()), all, 1);
    let report = chaos::run(node.system(), &plan, std::future::pending())
        .await
        .expect("carried out");
    assert!(report.is_ok(), "{report:?}");
    // How many faults there is time for in two seconds is the machine's affair.
    assert!(
        report.injected.len() == 5 && report.restarts > 0,
        "{report:?}"
    );
    invariant_every_agent_answers(&node).await;
    assert!(node.stop(Duration::from_secs(10)).await.in_order);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_is_whole_after_supervisors_and_agents_were_killed_at_random() {
    let node = node().await;
    let mut random = fastrand::Rng::with_seed(2);
    let places: Vec<Path> = [
        "/all",
        "/rest",
        "/rest/pool",
        "/rest/first",
        "/rest/last",
        "/all/a-2",
    ]
    .iter()
    .map(|text| Path::new(text).expect("a path"))
    .collect();
    for _ in 0..500 {
        let place = &places[random.usize(..places.len())];
        // It may be on its way back from the last kill.
        let _ = node.system().kill(place).await;
    }
    invariant_every_agent_answers(&node).await;
    let last = node
        .system()
        .whereis(&name("last"))
        .expect("it has its name again");
    assert_eq!(last.path().as_str(), "/rest/last");
    assert_eq!(node.system().group(&name("workers")).len(), 8);
    assert!(node.stop(Duration::from_secs(10)).await.in_order);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_gives_up_leaves_the_node_alive_and_can_be_started_again() {
    let behaviours = behaviours::builtin();
    let text = "[supervisor.\"/\"]\nintensity = 1\nperiod = \"5s\"\n[agent.\"/a\"]\nbehaviour = \"echo\"\n";
    let manifest = Manifest::parse(text, &behaviours).expect("a valid manifest");
    let node = Node::new(NodeOptions::new(name("n1"), manifest, behaviours));
    node.start_tree().await.expect("started");
    let path = Path::new("/a").expect("a path");
    let failed = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let _ = node.system().kill(&path).await;
            tokio::select! {
                reason = node.tree_failed() => break reason,
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await
    .expect("it gives up");
    assert_eq!(failed, "shutdown");
    node.start_tree().await.expect("started again");
    let agent = node.system().lookup(&path).expect("it is back");
    let answer = agent
        .ask_acl(
            AclMessage::new(Performative::Request),
            Duration::from_secs(5),
        )
        .await;
    assert!(answer.is_ok(), "{answer:?}");
}
