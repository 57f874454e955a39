//! One node's membership: started first, by joining, or again from what it kept.

use super::attend::Attended;
use super::certificates::{self, Renewal};
use super::cut::{Switch, Switched};
use super::descriptions::Descriptions;
use super::desk::{self, Desk, MembershipLinks};
use super::directory::{self, Directory};
use super::follow::follow;
use super::identity::{Ground, Identity, claim_port, identify, outward, random_u128, ring_of};
use super::kept::{Kept, KeptError, Safe};
use super::replicate::{self, Comparing};
use super::requests::{Answered, Answerer, Forwarded, RequestError, Requests};
use super::seek;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use swarm_actors::platform::Platform;
use swarm_actors::{System, WeakSystem};
use swarm_cluster::gossip::{Gossip, GossipCounters, GossipHandle, GossipOptions, Notice};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::link::WIRE_VERSIONS;
use swarm_cluster::membership::{Change, Event, MemberState, MemberView, Peer, Profile};
use swarm_cluster::security::join::JoinError;
use swarm_cluster::security::{
    Authority, CertificateError, Credentials, JoinToken, TokenError, TokenId, TokenInfo,
    TokenTerms, VaultError, fingerprint,
};
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{
    AgentHandler, AgentTransport, LinkInfo, Links, LinksOptions, Tuning,
};
use swarm_protocols::Name;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a node that joins waits for the first answer of membership.
const JOINED_LIMIT: Duration = Duration::from_millis(4500);

/// How long a word about a name may take to get around.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(3);

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
    pub(super) this: Weak<Self>,
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

    pub(super) async fn note_members(&self) {
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
