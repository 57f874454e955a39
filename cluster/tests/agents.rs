//! Agents of two systems over TLS: ask, monitor, a cut in the midst of traffic, a lost node and its return.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of it"
)]
mod common;

use common::{CLUSTER, authority, credentials, name};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::testkit::TestSystem;
use swarm_actors::{
    Agent, AgentRef, AgentSpec, AskError, Failure, Message, MessageCodec, ReplyTo, SystemOptions,
    Turn,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::security::Authority;
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{
    AgentHandler, AgentTransport, Connection, Links, LinksOptions, Service, Services, Tuning,
};
use swarm_protocols::ExitReason;

const SOON: Duration = Duration::from_secs(60);

struct NoServices;

impl Services for NoServices {
    fn message(&self, _: &NodeId, _: Service, _: bytes::Bytes) {}
    fn join(&self, _: Connection) {}
}

struct Node {
    system: TestSystem,
    links: Links,
    address: SocketAddr,
}

async fn node(authority: &Authority, called: &str, boot: u64) -> Node {
    let system = TestSystem::start_with(SystemOptions::new(name(called), boot)).await;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let network = TlsNetwork::bind(listen, credentials(authority, called))
        .await
        .expect("binds");
    let address = network.local_addr().expect("bound");
    let transport = AgentTransport::new();
    let links = Links::start(LinksOptions {
        me: NodeId {
            name: name(called),
            boot: BootId(u128::from(boot)),
        },
        cluster: CLUSTER,
        network: Arc::new(network),
        handler: Arc::new(AgentHandler::new(system.downgrade(), Arc::new(NoServices))),
        seed: boot,
        tuning: Tuning::default(),
    });
    transport.connect(links.clone(), None);
    assert!(system.attach(transport));
    Node {
        system,
        links,
        address,
    }
}

async fn two() -> (Node, Node) {
    let authority = authority();
    let (a, b) = (
        node(&authority, "a", 1).await,
        node(&authority, "b", 2).await,
    );
    a.links.know(&name("b"), &b.address.to_string());
    b.links.know(&name("a"), &a.address.to_string());
    (a, b)
}

struct Sum(u64);

#[derive(Serialize, Deserialize)]
enum Say {
    Add(u64),
    Get(ReplyTo<u64>),
    Never(ReplyTo<u64>),
}

impl Message for Say {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("test.sum", 1))
    }
}

impl Agent for Sum {
    type Message = Say;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, say: Say) -> Result<(), Failure> {
        match say {
            Say::Add(n) => self.0 = self.0 * 31 % 1_000_003 + n,
            Say::Get(reply) => turn.reply(reply, self.0),
            Say::Never(reply) => {
                let _kept = reply;
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}

async fn sum(on: &Node, seen_from: &Node) -> AgentRef<Say> {
    let spec = AgentSpec::new("sum", || Sum(0))
        .expect("a name")
        .turn_deadline(None);
    let agent = on.system.spawn(spec).await.expect("starts");
    seen_from
        .system
        .remote(on.system.node(), agent.address(), Some(agent.path()))
        .typed()
        .expect("it has a codec")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_and_sends_cross_tls_in_order_over_connections_that_break() {
    let (a, b) = two().await;
    let far = sum(&b, &a).await;
    let mut expected = 0;
    for n in 0..3000 {
        far.send(Say::Add(n)).await.expect("taken over");
        expected = expected * 31 % 1_000_003 + n;
        if n % 700 == 699 {
            a.links.reconnect(&name("b"));
        }
    }
    assert_eq!(far.ask(Say::Get, SOON).await, Ok(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_reaches_monitors_and_asks_once_and_a_heal_begins_anew() {
    let (a, b) = two().await;
    let far = sum(&b, &a).await;
    assert_eq!(far.ask(Say::Get, SOON).await, Ok(0));
    let end = far.any().monitor();
    let asking = tokio::spawn({
        let far = far.clone();
        async move { far.ask(Say::Never, SOON * 10).await }
    });
    let there = b.system.lookup(far.path()).expect("it is at the same path");
    let deadline = tokio::time::Instant::now() + SOON;
    while there.detail().current.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "never asked");
        tokio::task::yield_now().await;
    }
    a.links.down(&name("b"), Some(BootId(2)));
    let down = tokio::time::timeout(SOON, end).await.expect("fires");
    assert_eq!(down.expect("told").reason, ExitReason::Unreachable);
    assert_eq!(asking.await.expect("ends"), Err(AskError::Unreachable));
    there.kill();
    // Membership says that it lives: the same process, a new epoch.
    a.links.know(&name("b"), &b.address.to_string());
    let healed = tokio::time::timeout(SOON, async {
        loop {
            match far.ask(Say::Get, SOON).await {
                Ok(sum) => return sum,
                // The other side gives up what it had for the epoch before.
                Err(error) => assert_eq!(error, AskError::Unreachable),
            }
        }
    });
    assert_eq!(healed.await.expect("answers"), 0);
}
