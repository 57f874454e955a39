//! One node's membership: started first, by joining, or again from what it kept.

use super::attend::Attended;
use super::certificates::{self, Renewal};
use super::cut::{Switch, Switched};
use super::descriptions::Descriptions;
use super::desk::{self, Desk, MembershipLinks};
use super::directory::{self, Directory};
use super::kept::{Kept, KeptError, Safe};
use super::ledger::Ledger;
use super::replicate::{self, Comparing};
use super::requests::{Answered, Answerer, Forwarded, RequestError, Requests};
use super::seek;
use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use swarm_actors::platform::Platform;
use swarm_actors::{System, WeakSystem};
use swarm_cluster::gossip::{
    Datagrams, Gossip, GossipCounters, GossipHandle, GossipKey, GossipOptions, KeyRing, Notice,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::WIRE_VERSIONS;
use swarm_cluster::membership::{Change, Event, MemberState, MemberView, Peer, Profile};
use swarm_cluster::names;
use swarm_cluster::security::join::{self, JoinError, open_key};
use swarm_cluster::security::{
    Authority, CertificateError, Credentials, JoinToken, NODE_CERTIFICATE_LIFE, NodeCertificate,
    TokenError, TokenId, TokenInfo, TokenTerms, Vault, VaultError, fingerprint,
};
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{
    AgentHandler, AgentTransport, LinkInfo, Links, LinksOptions, Network, Tuning,
};
use swarm_protocols::Name;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a node that joins waits for the first answer of membership.
const JOINED_LIMIT: Duration = Duration::from_millis(4500);
/// How often a free port is looked for that is free for TCP and UDP alike.
const PORT_TRIES: u32 = 16;
/// How long a word about a name may take to get around.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// How many members are kept over a restart: more than a cluster has.
const MEMBERS_KEPT_MAX: usize = 16_384;
/// How long saying goodbye may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// How a node comes to be a member.
#[derive(Clone, Debug)]
pub enum Way {
    /// As the first of a new cluster of this name, unless it was a member before.
    First {
        /// The cluster's name.
        cluster: Name,
    },
    /// With a token, at one of these addresses (`HOST:PORT`), tried in turn.
    Join {
        /// Where.
        contacts: Vec<String>,
        /// With what.
        token: JoinToken,
    },
}

/// How a member is set up.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The node's name.
    pub node: Name,
    /// Where its links and its gossip listen: one port for TCP and UDP. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Whether any free port will do when that one is taken.
    pub may_move: bool,
    /// What other nodes are told to connect to; none for the address that this host has towards others.
    pub advertise: Option<SocketAddr>,
    /// The data folder.
    pub data: Option<PathBuf>,
    /// How it comes to be a member.
    pub way: Way,
}

/// Why a node is no member. It was undone.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// What it kept cannot be used.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Joining failed, at each of the contacts; this is what the last one said.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// It cannot listen there.
    #[error("cannot listen at {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Its certificate, or the authority, cannot be made or used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The authority cannot be opened or sealed.
    #[error("the cluster's authority: {0}")]
    Vault(#[from] VaultError),
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The node kept what it needs to be another one, or is in another cluster.
    #[error("the data folder belongs to node {node} of cluster {cluster}")]
    OtherIdentity {
        /// Which node.
        node: Name,
        /// Which cluster.
        cluster: Name,
    },
    /// It does not hold the authority's key.
    #[error("this node does not hold the cluster's authority")]
    NoAuthority,
    /// The certificate was let in and nobody answered in time.
    #[error("the members did not answer within {0:?}")]
    NoAnswer(Duration),
    /// The members that answered have no wire version in common with this node.
    #[error("the cluster speaks link versions {} to {}", .theirs.0, .theirs.1)]
    Version {
        /// What one of them speaks, oldest and newest.
        theirs: (u16, u16),
    },
    /// Another process has this node's name.
    #[error("another process is {0}")]
    NameTaken(Name),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A member, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Name,
    /// Which process.
    pub boot: BootId,
    /// `alive`, `suspect`, `down` or `left`.
    pub state: &'static str,
    /// Where its links and its gossip listen.
    pub address: SocketAddr,
    /// Whether it is this node.
    pub is_self: bool,
}

/// How a start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// How many members are known.
    pub members: usize,
    /// How long it took from the first step.
    pub took: Duration,
}

/// Why a process has no place in its cluster any more. It goes on alone, and should end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expelled {
    /// An operator threw it out.
    #[error("this node was thrown out of the cluster")]
    Evicted,
    /// Another process has its name, and keeps it.
    #[error("another process is {0} and keeps the name")]
    NameTaken(Name),
}

/// A node's membership. Cheap to clone; when the last clone goes, links and gossip end without a goodbye.
#[derive(Clone)]
pub struct Cluster(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) system: WeakSystem,
    pub(super) runtime: Handle,
    this: Weak<Self>,
    pub(super) kept: Mutex<Kept>,
    safe: Safe,
    pub(super) authority: Option<Authority>,
    pub(super) credentials: Credentials,
    pub(super) renewal: Renewal,
    pub(super) links: Links,
    pub(super) membership_links: Arc<MembershipLinks>,
    pub(super) gossip: GossipHandle,
    pub(super) directory: Arc<Directory>,
    pub(super) attended: Attended,
    pub(super) requests: Arc<Requests>,
    pub(super) descriptions: Descriptions,
    pub(super) comparing: Arc<Comparing>,
    expelled: watch::Sender<Option<Expelled>>,
    /// The versions of a member that has none in common with this node.
    pub(super) other_version: watch::Sender<Option<(u16, u16)>>,
    pub(super) switch: Switch,
    pub(super) allows_faults: AtomicBool,
    address: SocketAddr,
    running: Mutex<Option<Gossip>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
        // Agents' references hold clones of them.
        self.links.close();
    }
}

pub(super) fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn random_u128() -> Result<u128, ClusterError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ClusterError::NoRandomness)?;
    Ok(u128::from_le_bytes(bytes))
}

/// The address that this host has towards others: no packet is sent to find it out.
fn outward() -> IpAddr {
    let found = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    found.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// Who the node is, and whom it asks first.
pub(super) struct Identity {
    pub(super) kept: Kept,
    pub(super) authority: Option<Authority>,
    pub(super) contacts: Vec<(Name, SocketAddr)>,
}

impl Identity {
    pub(super) fn credentials(&self) -> Result<Credentials, ClusterError> {
        let kept = &self.kept;
        let certificate = NodeCertificate::from_der(kept.chain.clone(), kept.key.clone())?;
        Ok(Credentials::new(certificate, kept.roots.clone())?)
    }
}

/// What a member stands on.
pub(super) struct Ground {
    pub(super) me: NodeId,
    pub(super) address: SocketAddr,
    pub(super) network: Arc<dyn Network>,
    pub(super) datagrams: Arc<dyn Datagrams>,
    pub(super) switch: Switch,
    pub(super) profile: Profile,
    pub(super) versions: (u16, u16),
    pub(super) seed: u64,
}

/// A socket for gossip at the port that links will have, and that port.
async fn claim_port(
    listen: SocketAddr,
    may_move: bool,
) -> Result<(UdpSocket, SocketAddr), ClusterError> {
    let mut at = listen;
    for _ in 0..PORT_TRIES {
        let bound = UdpSocket::bind(at).await.and_then(|udp| {
            let address = udp.local_addr()?;
            // Whether TCP has it too is seen when links are bound, just after.
            std::net::TcpListener::bind(address).map(|_| (udp, address))
        });
        match bound {
            Ok(bound) => return Ok(bound),
            Err(cause) if listen.port() != 0 && !may_move => {
                return Err(ClusterError::Listen { address: at, cause });
            }
            Err(_) => at.set_port(0),
        }
    }
    Err(ClusterError::Listen {
        address: listen,
        cause: std::io::ErrorKind::AddrInUse.into(),
    })
}

impl Cluster {
    /// Makes the node a member, on the current tokio runtime, and attaches its agents' system to the links.
    ///
    /// # Errors
    /// [`ClusterError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(
        system: &System,
        options: ClusterOptions,
    ) -> Result<(Self, Joined), ClusterError> {
        let began = Instant::now();
        let safe = Safe::open(options.data.as_deref())?;
        let me = NodeId {
            name: options.node.clone(),
            boot: BootId(random_u128()?),
        };
        let (udp, listen) = claim_port(options.listen, options.may_move).await?;
        let address = options.advertise.unwrap_or_else(|| {
            let ip = if listen.ip().is_unspecified() {
                outward()
            } else {
                listen.ip()
            };
            SocketAddr::new(ip, listen.port())
        });
        let identity = identify(&safe, &options, &me, address).await?;
        let credentials = identity.credentials()?;
        let network = TlsNetwork::bind(listen, credentials.clone())
            .await
            .map_err(|cause| ClusterError::Listen {
                address: listen,
                cause,
            })?;
        let switch = Switch::default();
        let ground = Ground {
            me,
            address,
            network: Arc::new(Switched {
                inner: network,
                switch: switch.clone(),
            }),
            datagrams: Arc::new(Switched {
                inner: udp,
                switch: switch.clone(),
            }),
            switch,
            profile: Profile::default(),
            versions: WIRE_VERSIONS,
            seed: fastrand::u64(..),
        };
        let cluster = Self::assemble(system, safe, identity, credentials, ground)?;
        let members = cluster.settle().await?;
        let took = began.elapsed();
        Ok((cluster, Joined { members, took }))
    }

    /// Puts a member together on the current tokio runtime, and starts it.
    pub(super) fn assemble(
        system: &System,
        safe: Safe,
        identity: Identity,
        credentials: Credentials,
        ground: Ground,
    ) -> Result<Self, ClusterError> {
        let Identity {
            kept,
            authority,
            contacts,
        } = identity;
        let Ground {
            me,
            address,
            network,
            datagrams,
            switch,
            profile,
            versions,
            seed,
        } = ground;
        let (desk, inbox) = Desk::new();
        let transport = AgentTransport::new();
        let links = Links::start(LinksOptions {
            me: me.clone(),
            cluster: kept.cluster,
            network,
            handler: Arc::new(AgentHandler::new(system.downgrade(), desk.clone())),
            seed,
            tuning: Tuning {
                versions,
                ..Tuning::default()
            },
        });
        let directory = Arc::new(Directory::new(me.clone(), seed));
        transport.connect(links.clone(), Some(directory.clone()));
        system.attach(transport);
        let membership_links = Arc::new(MembershipLinks::default());
        membership_links.connect(links.clone());
        for (name, at) in &contacts {
            membership_links.introduce(name, *at);
        }
        let gossip = Gossip::start(
            GossipOptions {
                me: Peer::new(me, system.wall_ms(), address),
                parameters: profile.parameters(),
                seed,
                keys: ring_of(&kept)?,
                datagrams,
                links: membership_links.clone(),
            },
            &Handle::current(),
        );
        let handle = gossip.handle();
        let inner = Arc::new_cyclic(|this| Inner {
            this: this.clone(),
            system: system.downgrade(),
            runtime: Handle::current(),
            kept: Mutex::new(kept),
            safe,
            authority,
            credentials,
            renewal: Renewal::default(),
            links,
            membership_links,
            gossip: handle.clone(),
            directory,
            attended: Attended::default(),
            requests: Arc::default(),
            descriptions: Descriptions::default(),
            comparing: Arc::default(),
            expelled: watch::Sender::new(None),
            other_version: watch::Sender::new(None),
            switch,
            allows_faults: AtomicBool::new(false),
            address,
            running: Mutex::new(Some(gossip)),
            tasks: Mutex::new(Vec::new()),
        });
        desk.serve(&inner);
        let weak = Arc::downgrade(&inner);
        let notices = handle
            .listen()
            .map_err(|_| ClusterError::NoAnswer(Duration::ZERO))?;
        let weak_again = weak.clone();
        let tasks = [
            tokio::spawn(desk::work_off(weak.clone(), inbox)),
            tokio::spawn(certificates::watch(weak.clone())),
            tokio::spawn(directory::run(weak.clone(), inner.directory.clone())),
            tokio::spawn(follow(weak, notices)),
            tokio::spawn(replicate::run(weak_again, inner.comparing.clone(), seed)),
            tokio::spawn(seek::run(inner.this.clone(), seed)),
            tokio::spawn(directory::learn_paths(
                inner.directory.clone(),
                inner.requests.clone(),
                inner.links.clone(),
            )),
        ];
        inner.tasks.lock().extend(tasks);
        inner.store(&inner.kept.lock());
        let contacts: Vec<SocketAddr> = contacts.into_iter().map(|(_, at)| at).collect();
        if !contacts.is_empty() {
            // Gossip that has just been started has room for commands.
            let _ = handle.offer(Event::Join { contacts });
        }
        Ok(Self(inner))
    }

    /// Waits until membership has answered, where there is anybody to answer.
    pub(super) async fn settle(&self) -> Result<usize, ClusterError> {
        if self.0.links.list().is_empty() {
            return Ok(1);
        }
        let mut notices = self
            .0
            .gossip
            .listen()
            .map_err(|_| ClusterError::NoAnswer(Duration::ZERO))?;
        let deadline = tokio::time::Instant::now() + JOINED_LIMIT;
        loop {
            let alive = self
                .members()
                .await
                .iter()
                .filter(|m| m.state == "alive")
                .count();
            if alive > 1 {
                return Ok(alive);
            }
            match tokio::time::timeout_at(deadline, notices.recv()).await {
                Ok(Ok(Notice::Change(Change::Joined { members }))) => return Ok(members),
                Ok(Ok(Notice::Change(Change::NameTaken { by, .. }))) => {
                    return Err(ClusterError::NameTaken(by.name));
                }
                Ok(Ok(_)) | Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) | Err(_) => {
                    if let Some(theirs) = *self.0.other_version.borrow() {
                        return Err(ClusterError::Version { theirs });
                    }
                    // A node that was a member before and finds nobody is up alone, and goes on looking.
                    return Ok(alive.max(1));
                }
            }
        }
    }

    /// Resolves when the cluster has no place for this process any more.
    pub async fn expelled(&self) -> Expelled {
        let mut told = self.0.expelled.subscribe();
        let expelled = told.wait_for(Option::is_some).await;
        match expelled.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            // The sender lives as long as this value.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Every member that this node knows, itself included, in order of names.
    pub async fn members(&self) -> Vec<Member> {
        let me = self.0.links.me().clone();
        let views = self.0.gossip.members().await.unwrap_or_default();
        views.iter().map(|view| member_of(view, &me)).collect()
    }

    /// Until when this node's certificate holds, in seconds since 1970 UTC.
    #[must_use]
    pub fn certificate_expires(&self) -> u64 {
        self.0.credentials.current().described.not_after
    }

    /// What gossip has counted; none once the node has left.
    pub async fn gossip_counters(&self) -> Option<GossipCounters> {
        self.0.gossip.counters().await.ok()
    }

    /// The connections to other nodes.
    #[must_use]
    pub fn links(&self) -> Vec<LinkInfo> {
        self.0.links.list()
    }

    /// How long a peer takes to answer over a link.
    ///
    /// # Errors
    /// [`swarm_cluster::transport::PingError`].
    pub async fn ping(
        &self,
        peer: &Name,
        within: Duration,
    ) -> Result<Duration, swarm_cluster::transport::PingError> {
        self.0.links.ping(peer, within).await
    }

    /// Asks another member something, in the form of the API. Dropping the future forgets the request; it may have been done.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(
        &self,
        node: &Name,
        request: Forwarded,
        within: Duration,
    ) -> Result<Answered, RequestError> {
        self.0
            .requests
            .ask(&self.0.links, node, request, within)
            .await
    }

    /// Has this one answer what other members ask, for as long as it lives. A later one takes its place.
    pub fn answer_with(&self, answerer: Weak<dyn Answerer>) {
        self.0.requests.answer_with(answerer);
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> &NodeId {
        self.0.links.me()
    }

    /// Where other nodes reach this one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.kept.lock().cluster_name.clone()
    }

    /// Lets the DF of this node and those of the others know each other's entries. Once: a second platform changes nothing.
    pub fn serve_platform(&self, platform: &Platform) {
        self.0.descriptions.serve(platform, &self.0);
    }

    /// Makes a token with which nodes join at any member that has heard of it: all that can be reached, within moments. A limited one needs this
    /// node to be there, as it counts the uses.
    ///
    /// # Errors
    /// [`ClusterError::NoAuthority`], [`ClusterError::Token`].
    pub fn create_token(
        &self,
        life: Duration,
        uses: Option<u32>,
        makes_voters: bool,
    ) -> Result<JoinToken, ClusterError> {
        let authority = self.0.authority.as_ref().ok_or(ClusterError::NoAuthority)?;
        let now = wall_ms() / 1000;
        let mut kept = self.0.kept.lock();
        let cluster = kept.cluster;
        let terms = TokenTerms {
            expires: now.saturating_add(life.as_secs()),
            uses,
            makes_voters,
        };
        let home = &self.0.links.me().name;
        let root = fingerprint(authority.root());
        let token = kept.ledger.tokens.create(cluster, root, terms, home, now)?;
        self.0.store(&kept);
        drop(kept);
        self.0.tell_others();
        Ok(token)
    }

    /// The tokens of the cluster, as far as is known here.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenInfo> {
        self.0.kept.lock().ledger.tokens.list()
    }

    /// Takes a token back, here at once and at all others within moments. False when none of that id is known.
    #[must_use]
    pub fn revoke_token(&self, id: TokenId) -> bool {
        let mut kept = self.0.kept.lock();
        let is_known = kept.ledger.tokens.revoke(id);
        if is_known {
            self.0.store(&kept);
            self.0.tell_others();
        }
        is_known
    }

    /// Says goodbye to the others and closes the links, within two seconds.
    pub async fn leave(&self) {
        let gossip = self.0.running.lock().take();
        if let Some(gossip) = gossip {
            drop(tokio::time::timeout(LEAVE_LIMIT, gossip.leave()).await);
        }
        self.0.links.close();
    }
}

impl Inner {
    /// Tells the others of a change in the ledger, in the background.
    pub(super) fn tell_others(&self) {
        let Some(member) = self.this.upgrade() else {
            return;
        };
        self.runtime.spawn(async move {
            // Who does not hear it now compares later.
            let _ = replicate::spread(&member).await;
        });
    }

    /// The cluster has no place for this process any more.
    pub(super) fn expel(&self, why: Expelled) {
        self.expelled.send_replace(Some(why));
        self.links.close();
    }

    /// The names of the other members that are not gone, as far as links know them.
    pub(super) fn peers(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self
            .links
            .list()
            .into_iter()
            .map(|link| link.peer)
            .collect();
        names.dedup();
        names
    }

    /// Writes what is kept. A failure is told to the log: the node is of use until it restarts.
    pub(super) fn store(&self, kept: &Kept) {
        if let Err(error) = self.safe.store(kept) {
            tracing::error!(%error, "what a member keeps was not written");
        }
    }

    async fn note_members(&self) {
        let views = self.gossip.members().await.unwrap_or_default();
        let me = &self.links.me().name;
        let mut kept = self.kept.lock();
        // Those that were told of and not met yet stay.
        let mut members: BTreeMap<Name, String> = kept.members.drain(..).collect();
        for view in views {
            if view.state == MemberState::Left {
                members.remove(&view.node.name);
            } else if view.node.name != *me {
                members.insert(view.node.name, view.address.to_string());
            }
        }
        kept.members = members
            .into_iter()
            .filter(|(name, _)| !kept.ledger.is_denied(name))
            .take(MEMBERS_KEPT_MAX)
            .collect();
        self.store(&kept);
    }
}

fn member_of(view: &MemberView, me: &NodeId) -> Member {
    Member {
        name: view.node.name.clone(),
        boot: view.node.boot,
        state: match view.state {
            MemberState::Alive => "alive",
            MemberState::Suspect => "suspect",
            MemberState::Down => "down",
            MemberState::Left => "left",
        },
        address: view.address,
        is_self: view.node == *me,
    }
}

fn ring_of(kept: &Kept) -> Result<KeyRing, ClusterError> {
    let mut keys = kept.ledger.keys.gossip_keys();
    let first = keys
        .next()
        .ok_or(ClusterError::Vault(VaultError::Damaged))?;
    let mut ring = KeyRing::new(first);
    for key in keys {
        // More than a ring holds were never kept.
        let _ = ring.install(key);
    }
    Ok(ring)
}

/// What it kept, or a new cluster, or an admission.
async fn identify(
    safe: &Safe,
    options: &ClusterOptions,
    me: &NodeId,
    address: SocketAddr,
) -> Result<Identity, ClusterError> {
    let kept = safe.load()?;
    if let Some(kept) = &kept
        && kept.node != me.name
    {
        return Err(ClusterError::OtherIdentity {
            node: kept.node.clone(),
            cluster: kept.cluster_name.clone(),
        });
    }
    match (&options.way, kept) {
        (Way::First { .. }, Some(kept)) => again(safe, kept),
        (Way::First { cluster }, None) => first(safe, me, cluster),
        (Way::Join { contacts, token }, kept) => {
            if let Some(kept) = kept
                && kept.cluster != token.cluster
            {
                return Err(ClusterError::OtherIdentity {
                    node: kept.node,
                    cluster: kept.cluster_name,
                });
            }
            admitted(safe, contacts, token, me, address).await
        }
    }
}

fn first(safe: &Safe, me: &NodeId, cluster_name: &Name) -> Result<Identity, ClusterError> {
    let cluster = random_u128()?;
    let now = wall_ms() / 1000;
    let authority = Authority::generate(cluster, cluster_name, now)?;
    let certificate = authority.issue(&me.name, now, NODE_CERTIFICATE_LIFE)?;
    let key = GossipKey::generate().ok_or(ClusterError::NoRandomness)?;
    Ok(Identity {
        kept: Kept {
            cluster,
            cluster_name: cluster_name.clone(),
            node: me.name.clone(),
            chain: certificate.chain().map(<[u8]>::to_vec).collect(),
            key: certificate.secret_key().to_vec(),
            roots: vec![authority.root().to_vec()],
            authority: Some(authority.seal(&safe.vault)?),
            ledger: Ledger::of(vec![*key.expose()]),
            members: Vec::new(),
        },
        authority: Some(authority),
        contacts: Vec::new(),
    })
}

/// After a restart. A voter gives itself a new certificate, so that it comes back however long it was away.
fn again(safe: &Safe, mut kept: Kept) -> Result<Identity, ClusterError> {
    let authority = match &kept.authority {
        Some(sealed) => Some(Authority::open(sealed, &safe.vault)?),
        None => None,
    };
    if let Some(authority) = &authority {
        let now = wall_ms() / 1000;
        let certificate = authority.issue(&kept.node, now, NODE_CERTIFICATE_LIFE)?;
        kept.chain = certificate.chain().map(<[u8]>::to_vec).collect();
        kept.key = certificate.secret_key().to_vec();
    }
    let contacts = kept
        .members
        .iter()
        .filter_map(|(name, address)| Some((name.clone(), address.parse().ok()?)))
        .collect();
    Ok(Identity {
        kept,
        authority,
        contacts,
    })
}

async fn admitted(
    safe: &Safe,
    contacts: &[String],
    token: &JoinToken,
    me: &NodeId,
    address: SocketAddr,
) -> Result<Identity, ClusterError> {
    let mut failure = JoinError::Unreachable {
        address: String::new(),
        why: "no address was given".to_owned(),
    };
    for contact in contacts {
        let at = address.to_string();
        match join::join(contact, token, me.clone(), at, wall_ms()).await {
            Ok(joined) => return identity_of(safe, token, me, joined),
            // What the cluster has decided, another contact will not decide otherwise.
            Err(JoinError::Refused(refusal)) => return Err(JoinError::Refused(refusal).into()),
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

fn identity_of(
    safe: &Safe,
    token: &JoinToken,
    me: &NodeId,
    joined: join::Joined,
) -> Result<Identity, ClusterError> {
    let admission = joined.admission;
    let authority = match &admission.authority {
        Some(sealed) => Some(Authority::open(sealed, &Vault::with_key(open_key(token)))?),
        None => None,
    };
    let sealed = match &authority {
        Some(authority) => Some(authority.seal(&safe.vault)?),
        None => None,
    };
    let ledger: Ledger = postcard::from_bytes(&admission.gossip_keys)
        .map_err(|_| ClusterError::Vault(VaultError::Damaged))?;
    let contacts = admission
        .members
        .iter()
        .filter_map(|seed| Some((seed.node.name.clone(), seed.address.parse().ok()?)))
        .collect();
    Ok(Identity {
        kept: Kept {
            cluster: admission.cluster,
            cluster_name: admission.cluster_name,
            node: me.name.clone(),
            chain: joined.certificate.chain().map(<[u8]>::to_vec).collect(),
            key: joined.certificate.secret_key().to_vec(),
            roots: admission.roots,
            authority: sealed,
            ledger,
            members: admission
                .members
                .into_iter()
                .map(|seed| (seed.node.name, seed.address))
                .collect(),
        },
        authority,
        contacts,
    })
}

/// Tells links, agents and the log what membership decides.
async fn follow(member: Weak<Inner>, mut notices: broadcast::Receiver<Notice>) {
    loop {
        let notice = notices.recv().await;
        let Some(member) = member.upgrade() else {
            return;
        };
        match notice {
            Ok(Notice::Change(change)) => {
                let is_lasting = matches!(
                    change,
                    Change::Alive { .. } | Change::Down { .. } | Change::Left { .. }
                );
                let decisions = match &change {
                    Change::Alive { node, .. } => {
                        let node = node.clone();
                        member.directory.handle(names::Event::Up { node })
                    }
                    Change::Down { node, .. } | Change::Left { node } => member
                        .directory
                        .handle(names::Event::Down { boot: node.boot }),
                    _ => Vec::new(),
                };
                carry_out(&member, change);
                directory::carry_out(&member, decisions).await;
                if is_lasting {
                    member.note_members().await;
                }
            }
            Ok(Notice::Broadcast { origin, payload }) => {
                let decisions = member.directory.message(origin, &payload);
                directory::carry_out(&member, decisions).await;
            }
            Err(RecvError::Lagged(_)) => catch_up(&member).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Who is suspected is asked nothing new where somebody else will do.
fn note_doubts(member: &Inner, change: &Change) {
    match change {
        Change::Suspect { node } => member.directory.doubt(&node.name, true),
        Change::Refuted { node }
        | Change::Alive { node, .. }
        | Change::Down { node, .. }
        | Change::Left { node } => member.directory.doubt(&node.name, false),
        _ => {}
    }
}

fn carry_out(member: &Inner, change: Change) {
    note_doubts(member, &change);
    let publish = |name: &str, detail: &str| {
        if let Some(system) = member.system.upgrade() {
            system.publish_custom(None, name, detail);
        }
    };
    match change {
        Change::Alive { node, address, .. } => {
            member.links.know(&node.name, &address.to_string());
            member.comparing.with(&node.name);
            evict_denied(member, &node);
            publish("node-alive", node.name.as_str());
        }
        Change::Down { node, cause } => {
            member.links.down(&node.name, Some(node.boot));
            member.requests.node_lost(&node.name);
            publish("node-down", &format!("{}: {cause:?}", node.name));
        }
        Change::Left { node } => {
            member.links.down(&node.name, Some(node.boot));
            member.requests.node_lost(&node.name);
            publish("node-left", node.name.as_str());
        }
        Change::Suspect { node } => publish("node-suspect", node.name.as_str()),
        Change::Refuted { node } => publish("node-refuted", node.name.as_str()),
        Change::NameTaken { by, address, .. } => {
            tracing::error!(%by, %address, "another process has this node's name");
            publish("node-name-taken", &by.to_string());
            member.expel(Expelled::NameTaken(by.name));
        }
        Change::Evicted => {
            tracing::error!("this node was thrown out of the cluster");
            publish("node-evicted", member.links.me().name.as_str());
            member.expel(Expelled::Evicted);
        }
        Change::Joined { .. } | Change::Renewed { .. } | Change::Departed => {}
    }
}

/// A process with a name that was thrown out is told so and refused by gossip too. Not at once: the name may have been let in again
/// elsewhere, which is heard within moments.
fn evict_denied(member: &Inner, node: &NodeId) {
    if !member.kept.lock().ledger.is_denied(&node.name) {
        return;
    }
    let (weak, node) = (member.this.clone(), node.clone());
    member.runtime.spawn(async move {
        tokio::time::sleep(HEARD_WITHIN).await;
        let Some(member) = weak.upgrade() else { return };
        if member.kept.lock().ledger.is_denied(&node.name) {
            let boot = node.boot;
            // Without gossip nobody is left to be told.
            let _ = member.gossip.tell(Event::Evict { boot }).await;
        }
    });
}

/// After notices were lost: the whole view again.
async fn catch_up(member: &Inner) {
    for view in member.gossip.members().await.unwrap_or_default() {
        let is_doubted = view.state == MemberState::Suspect;
        member.directory.doubt(&view.node.name, is_doubted);
        match view.state {
            MemberState::Alive | MemberState::Suspect => {
                let address = view.address.to_string();
                member.links.know(&view.node.name, &address);
            }
            MemberState::Down | MemberState::Left => {
                member.links.down(&view.node.name, Some(view.node.boot));
            }
        }
    }
}
