//! What the tests with real sockets share.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::{Broken, Lane, Message};
use swarm_cluster::security::join::{self, Admission, Gate};
use swarm_cluster::security::{
    Authority, Credentials, JoinToken, NODE_CERTIFICATE_LIFE, TokenStore, TokenTerms, fingerprint,
};
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{Connection, Handler, Hold, Links, LinksOptions, Tuning};
use swarm_protocols::{Address, Name};
use tokio::sync::Notify;

pub const CLUSTER: u128 = 0xc1;

pub fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

pub fn authority() -> Authority {
    Authority::generate(CLUSTER, &name("test"), now()).expect("generates")
}

pub fn credentials(authority: &Authority, node: &str) -> Credentials {
    credentials_for(authority, node, now(), NODE_CERTIFICATE_LIFE)
}

pub fn credentials_for(authority: &Authority, node: &str, now: u64, life: Duration) -> Credentials {
    let certificate = authority.issue(&name(node), now, life).expect("issues");
    Credentials::new(certificate, vec![authority.root().to_vec()]).expect("usable")
}

/// Keeps what arrives, and admits with the tokens it has.
#[derive(Default)]
pub struct Seen {
    pub state: Mutex<State>,
    pub changed: Notify,
    pub door: Mutex<Option<Arc<Door>>>,
}

#[derive(Default)]
pub struct State {
    pub numbers: Vec<u64>,
    pub broken: usize,
    pub closed: usize,
    pub denied: BTreeSet<Name>,
}

pub struct Door {
    pub authority: Authority,
    pub tokens: Mutex<TokenStore>,
    pub alive: BTreeSet<Name>,
    /// What is added to the clock.
    pub skew_ms: u64,
}

impl Door {
    pub fn token(&self, expires: u64, uses: Option<u32>) -> JoinToken {
        let terms = TokenTerms {
            expires,
            uses,
            makes_voters: false,
        };
        self.tokens
            .lock()
            .create(
                CLUSTER,
                fingerprint(self.authority.root()),
                terms,
                &Name::new("a").expect("valid"),
                now(),
            )
            .expect("makes one")
    }
}

impl Handler for Seen {
    fn admits(&self, peer: &NodeId) -> bool {
        !self.state.lock().denied.contains(&peer.name)
    }

    fn message(&self, _: &NodeId, _: Lane, message: Message, _: Hold) {
        let number = message.body.first_chunk().expect("8 bytes");
        self.state.lock().numbers.push(u64::from_le_bytes(*number));
        self.changed.notify_one();
    }

    fn broken(&self, _: &Name, _: Lane, _: Broken) {
        self.state.lock().broken += 1;
        self.changed.notify_one();
    }

    fn closed(&self, _: &Name, _: Lane, _: &str, _: bool) {
        self.state.lock().closed += 1;
        self.changed.notify_one();
    }

    fn join(&self, mut connection: Connection) {
        let Some(door) = self.door.lock().clone() else {
            return;
        };
        tokio::spawn(async move {
            let Ok(request) = join::receive(&mut connection.stream).await else {
                return;
            };
            let outcome = admit(&door, &request);
            drop(join::answer(&mut connection.stream, outcome).await);
        });
    }
}

fn admit(door: &Door, request: &join::JoinRequest) -> Result<Admission, join::JoinRefusal> {
    let clock_ms = now() * 1000 + door.skew_ms;
    let mut tokens = door.tokens.lock();
    let gate = Gate {
        tokens: &tokens,
        alive: &door.alive,
        clock_ms,
    };
    let grant = join::decide(request, &gate)?;
    let chain = door
        .authority
        .certify(
            &request.node.name,
            &request.csr,
            now(),
            NODE_CERTIFICATE_LIFE,
        )
        .map_err(|error| join::JoinRefusal::Malformed(error.to_string()))?;
    tokens.note_use(grant.id);
    Ok(Admission {
        cluster: CLUSTER,
        cluster_name: name("test"),
        chain,
        roots: vec![door.authority.root().to_vec()],
        authority: None,
        gossip_keys: Vec::new(),
        members: Vec::new(),
    })
}

impl Seen {
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&State) -> bool) {
        let waiting = async {
            while !holds(&self.state.lock()) {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap_or_else(|_| panic!("never: {what}; {:?}", self.state.lock().numbers.len()));
    }
}

pub struct Node {
    pub links: Links,
    pub seen: Arc<Seen>,
    pub address: SocketAddr,
    pub credentials: Credentials,
}

impl Node {
    pub async fn start(node: &str, boot: u128, credentials: Credentials) -> Self {
        Self::start_with(node, boot, credentials, Tuning::default()).await
    }

    pub async fn start_with(
        node: &str,
        boot: u128,
        credentials: Credentials,
        tuning: Tuning,
    ) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let network = TlsNetwork::bind(listen, credentials.clone())
            .await
            .expect("binds");
        let address = network.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let links = Links::start(LinksOptions {
            me: NodeId {
                name: name(node),
                boot: BootId(boot),
            },
            cluster: CLUSTER,
            network: Arc::new(network),
            handler: seen.clone(),
            seed: 1,
            tuning,
        });
        Self {
            links,
            seen,
            address,
            credentials,
        }
    }

    pub fn knows(&self, peer: &str, address: SocketAddr) {
        self.links.know(&name(peer), &address.to_string());
    }

    pub async fn send(&self, peer: &str, number: u64) {
        self.links
            .send(&name(peer), Lane::Bulk, message(number, 64))
            .await
            .expect("taken over");
    }
}

pub fn message(number: u64, bytes: usize) -> Message {
    let mut body = vec![0; bytes.max(8)];
    body[..8].copy_from_slice(&number.to_le_bytes());
    Message {
        sender: Address(1),
        receiver: Address(2),
        body: Bytes::from(body),
    }
}
