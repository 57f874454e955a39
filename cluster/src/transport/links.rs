//! The links of one node.

use super::network::{Connection, DialError, Network};
use super::window::{Hold, Ledger, Window};
use super::{accept, lane};
use crate::identity::{BootId, NodeId};
use crate::link::{
    Broken, Hello, Lane, Limits, Link, MESSAGE_BYTES_MAX, Message, Refused, WIRE_VERSIONS,
};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;
use swarm_protocols::Name;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How many senders wait for room on one lane at most. Beyond them a send that would wait fails instead.
const WAITERS_MAX: usize = 65_536;

/// What becomes of what arrives. Called from the tasks of the links: an implementation must not block, and needs no answer.
/// All calls for one peer and lane come one after the other.
pub trait Handler: Send + Sync + 'static {
    /// Whether this peer may have a link: false for those on a deny-list.
    fn admits(&self, peer: &NodeId) -> bool {
        let _ = peer;
        true
    }

    /// A message has arrived. It counts against the peer's window until `hold` is dropped.
    fn message(&self, from: &NodeId, lane: Lane, message: Message, hold: Hold);

    /// Messages that arrived together, in their order; `messages` is empty afterwards. Each counts until it is released, once, by
    /// [`Window::release`].
    fn messages(
        &self,
        from: &NodeId,
        lane: Lane,
        messages: &mut Vec<Message>,
        window: &Arc<Window>,
    ) {
        for message in messages.drain(..) {
            let hold = Hold::new(window.clone(), &message);
            self.message(from, lane, message, hold);
        }
    }

    /// An epoch has ended: after a verdict here or there, or as the peer is another process now. Nothing that was sent in it arrives
    /// any more, and `broken.lost` is what is not known to have arrived.
    fn broken(&self, peer: &Name, lane: Lane, broken: Broken);

    /// A connection for that lane is open. `resumed_at` is 0 on the first of an epoch.
    fn opened(&self, peer: &NodeId, lane: Lane, resumed_at: u64) {
        let _ = (peer, lane, resumed_at);
    }

    /// The connection is gone, for this reason. `is_abrupt` when the other side, or the network, ended it without a word.
    fn closed(&self, peer: &Name, lane: Lane, why: &str, is_abrupt: bool) {
        let _ = (peer, lane, why, is_abrupt);
    }

    /// A peer refuses this node: it was thrown out of the cluster.
    fn evicted(&self, by: &Name) {
        let _ = by;
    }

    /// A peer and this node have no version in common.
    fn other_version(&self, peer: &Name, theirs: (u16, u16)) {
        let _ = (peer, theirs);
    }

    /// Somebody without a certificate wants to join.
    fn join(&self, connection: Connection) {
        drop(connection);
    }
}

/// How long things may take, and how many there may be.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The bounds of each lane.
    pub limits: Limits,
    /// How long connecting, TLS and the hellos may take together.
    pub handshake_limit: Duration,
    /// How long unacknowledged data may go without any sign from the peer before it is asked for one; after as long again the
    /// connection is given up.
    pub silence_limit: Duration,
    /// How many incoming connections may be in their handshake at once. Further ones are closed.
    pub handshakes_max: usize,
    /// How many of them from one address.
    pub handshakes_per_address_max: usize,
    /// Which versions the node speaks, oldest and newest: those of this build, but in tests of upgrades.
    pub versions: (u16, u16),
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_limit: Duration::from_secs(4),
            silence_limit: Duration::from_secs(5),
            handshakes_max: 64,
            handshakes_per_address_max: 16,
            versions: WIRE_VERSIONS,
        }
    }
}

/// How the links of a node are set up.
pub struct LinksOptions {
    /// This node.
    pub me: NodeId,
    /// The cluster's id.
    pub cluster: u128,
    /// The way to others.
    pub network: Arc<dyn Network>,
    /// Where what arrives goes.
    pub handler: Arc<dyn Handler>,
    /// What the jitter of the back-off follows from.
    pub seed: u64,
    /// Times and counts.
    pub tuning: Tuning,
}

/// Why a message was not taken over. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum NotOffered {
    /// No such peer is known, or it is down.
    #[error("no link to that node")]
    NoPeer(Message),
    /// No room now. Where a waker was given it is woken when that may have changed.
    #[error("the link has no room for it now")]
    Full(Message),
    /// Larger than any message may be.
    #[error("a message of {} bytes, more than {MESSAGE_BYTES_MAX}", .0.body.len())]
    TooLarge(Message),
}

/// Why a ping had no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// No such peer is known.
    #[error("no link to that node")]
    NoPeer,
    /// The connection could not be made.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended before the answer.
    #[error("the connection ended before the answer")]
    Closed,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// What is known of one lane to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The peer.
    pub peer: Name,
    /// Which lane.
    pub lane: Lane,
    /// Whether a connection is open.
    pub is_open: bool,
    /// How many connections there were.
    pub connections: u64,
    /// What is under way to the peer, in bytes with overhead.
    pub under_way_bytes: usize,
    /// What is held here for receivers that have not taken it, in bytes with overhead.
    pub held_bytes: usize,
    /// Why the last attempt to connect failed, or why the last connection ended.
    pub last_problem: Option<String>,
}

/// The links of a node. Cheap to clone; when the last clone goes, all connections are closed.
#[derive(Clone)]
pub struct Links(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub(super) struct Shared {
    pub(super) me: NodeId,
    pub(super) cluster: u128,
    pub(super) network: Arc<dyn Network>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) tuning: Tuning,
    origin: Instant,
    random: Mutex<fastrand::Rng>,
    runtime: Handle,
    peers: RwLock<BTreeMap<Name, Arc<Peer>>>,
    listener: Mutex<Option<JoinHandle<()>>>,
    next_ping: AtomicU64,
}

pub(super) struct Peer {
    pub(super) name: Name,
    /// Where it listens, as far as is known.
    pub(super) address: Mutex<Option<String>>,
    /// It was given up, and nobody has said since that it lives: nothing is taken over for it.
    is_down: AtomicBool,
    control: Arc<LaneState>,
    bulk: Arc<LaneState>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// One lane to one peer, shared between its driver and those who send.
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) inner: Mutex<LaneInner>,
    /// What was released and the link does not know of yet. Locked after `inner`, or alone.
    pub(super) released: Mutex<Ledger>,
    /// Something is to be written, or to be looked at.
    pub(super) changed: Notify,
}

pub(super) struct LaneInner {
    pub(super) link: Link,
    /// Its driver has nothing to do, and waits for `changed`.
    pub(super) is_idle: bool,
    /// Somebody has something for the peer that is only taken over when the two have met again.
    pub(super) is_wanted: bool,
    /// A connection that the peer made and that its driver has not looked at yet. A newer one takes its place.
    pub(super) incoming: Option<Accepted>,
    /// Verdicts that its driver has not carried out yet: the peer is given up. At most one matters.
    pub(super) verdict: Option<Option<BootId>>,
    /// The open connection is to be replaced by a new one.
    pub(super) renew: bool,
    /// Wakers of those who wait for room.
    pub(super) waiters: VecDeque<Waker>,
    /// What was agreed on with the last hello.
    pub(super) version: Option<u16>,
    pub(super) pings: BTreeMap<u64, PendingPing>,
    pub(super) connections: u64,
    pub(super) last_problem: Option<String>,
}

pub(super) struct PendingPing {
    pub(super) asked_at: Instant,
    pub(super) is_sent: bool,
    pub(super) answer: oneshot::Sender<Result<Duration, PingError>>,
}

/// A connection that the peer made, after its hello.
pub(super) struct Accepted {
    pub(super) connection: Connection,
    pub(super) hello: Hello,
    pub(super) decoder: crate::link::Decoder,
}

impl Links {
    /// The links of a node, without peers, on the current tokio runtime. Takes connections in from now on.
    ///
    /// # Panics
    /// When it is called outside of a tokio runtime.
    #[must_use]
    pub fn start(options: LinksOptions) -> Self {
        let shared = Arc::new(Shared {
            me: options.me,
            cluster: options.cluster,
            network: options.network,
            handler: options.handler,
            tuning: options.tuning,
            origin: Instant::now(),
            random: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            runtime: Handle::current(),
            peers: RwLock::new(BTreeMap::new()),
            listener: Mutex::new(None),
            next_ping: AtomicU64::new(1),
        });
        let listener = tokio::spawn(accept::run(Arc::downgrade(&shared)));
        *shared.listener.lock() = Some(listener);
        Self(Arc::new(Owner(shared)))
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> &NodeId {
        &self.0.0.me
    }

    /// Tells of a peer and where it listens. It is dialled when there is something to send.
    pub fn know(&self, peer: &Name, address: &str) {
        if *peer == self.0.0.me.name {
            return;
        }
        let peer = self.0.0.peer(peer);
        peer.is_down.store(false, Ordering::Release);
        let before = peer.address.lock().replace(address.to_owned());
        if before.as_deref() != Some(address) {
            peer.control.changed.notify_one();
            peer.bulk.changed.notify_one();
        }
    }

    /// Tells where a node listens of which nobody has said that it lives: it can be reached on the control lane, and agents' messages
    /// are not taken over for it.
    pub fn introduce(&self, peer: &Name, address: &str) {
        if *peer == self.0.0.me.name {
            return;
        }
        let is_new = self.0.0.known(peer).is_none();
        let peer = self.0.0.peer(peer);
        if is_new {
            peer.is_down.store(true, Ordering::Release);
        }
        let before = peer.address.lock().replace(address.to_owned());
        if before.as_deref() != Some(address) {
            peer.control.changed.notify_one();
            peer.bulk.changed.notify_one();
        }
    }

    /// Gives a peer up: its connections are closed and a new epoch begins on both lanes, of which the handler is told
    /// ([`Handler::broken`]). With `boot`, only if that is the process that the links run with. Nothing is taken over for it until
    /// [`Links::know`] says that it lives, or it makes a connection.
    pub fn down(&self, peer: &Name, boot: Option<BootId>) {
        if let Some(peer) = self.0.0.known(peer) {
            let known = peer.bulk.inner.lock().link.peer_boot();
            if boot.is_none() || known.is_none() || boot == known {
                peer.is_down.store(true, Ordering::Release);
            }
            for lane in [&peer.control, &peer.bulk] {
                lane.inner.lock().verdict = Some(boot);
                lane.changed.notify_one();
            }
        }
    }

    /// Closes the open connections to a peer; new ones take their place and go on where those stopped. For new certificates.
    pub fn reconnect(&self, peer: &Name) {
        if let Some(peer) = self.0.0.known(peer) {
            for lane in [&peer.control, &peer.bulk] {
                let mut inner = lane.inner.lock();
                inner.renew = inner.link.is_open();
                drop(inner);
                lane.changed.notify_one();
            }
        }
    }

    /// Forgets a peer that is no member any more: its links end, without a word to the handler. What was under way to it is gone.
    pub fn forget(&self, peer: &Name) {
        let forgotten = self.0.0.peers.write().remove(peer);
        if let Some(peer) = forgotten {
            for task in peer.tasks.lock().drain(..) {
                task.abort();
            }
        }
    }

    /// Takes a message over, for `peer`. From then on it arrives once and in order, or is told to the handler as lost. Never waits;
    /// with a waker, a sender that finds no room is woken when there may be some.
    ///
    /// After a verdict there is no room on the bulk lane until the two have met again: the peer may have given this side up as well, and what
    /// was taken over before it has said so would be lost with the epoch.
    ///
    /// # Errors
    /// [`NotOffered`], with the message.
    pub fn offer(
        &self,
        peer: &Name,
        lane: Lane,
        message: Message,
        waker: Option<&Waker>,
    ) -> Result<(), NotOffered> {
        // What nodes say to each other may be what brings it back.
        let is_open =
            |peer: &Arc<Peer>| lane == Lane::Control || !peer.is_down.load(Ordering::Acquire);
        let Some(peer) = self.0.0.known(peer).filter(is_open) else {
            return Err(NotOffered::NoPeer(message));
        };
        let state = peer.lane(lane);
        let mut inner = state.inner.lock();
        let offered = if lane == Lane::Bulk && inner.is_parted() {
            inner.is_wanted = true;
            Err(Refused::Full(message))
        } else {
            inner.link.offer(message)
        };
        if matches!(offered, Err(Refused::Full(_))) {
            inner.wait(waker);
        }
        // A driver that is at work sees it by itself.
        let wakes = (offered.is_ok() || inner.is_wanted) && std::mem::take(&mut inner.is_idle);
        drop(inner);
        if wakes {
            state.changed.notify_one();
        }
        offered.map_err(|refused| match refused {
            Refused::TooLarge(message) => NotOffered::TooLarge(message),
            Refused::Full(message) => NotOffered::Full(message),
        })
    }

    /// Takes a message over, and waits for room. Dropping the future while it waits sends nothing.
    ///
    /// # Errors
    /// [`NotOffered::NoPeer`] and [`NotOffered::TooLarge`].
    pub async fn send(&self, peer: &Name, lane: Lane, message: Message) -> Result<(), NotOffered> {
        let mut message = Some(message);
        std::future::poll_fn(|cx| {
            let Some(next) = message.take() else {
                return std::task::Poll::Ready(Ok(()));
            };
            match self.offer(peer, lane, next, Some(cx.waker())) {
                Err(NotOffered::Full(back)) => {
                    message = Some(back);
                    std::task::Poll::Pending
                }
                done => std::task::Poll::Ready(done),
            }
        })
        .await
    }

    /// Asks a peer for a sign of life over the control lane, dialling it if need be. How long that took, the dialling included.
    ///
    /// # Errors
    /// [`PingError`]: which of them says whether the host is alive ([`DialError::Refused`]).
    pub async fn ping(&self, peer: &Name, within: Duration) -> Result<Duration, PingError> {
        self.ping_over(peer, Lane::Control, within).await
    }

    /// The same over one of the lanes. After an answer both sides have agreed on the lane's epoch: what is sent then is not given up
    /// because of verdicts that came before.
    ///
    /// # Errors
    /// As [`Links::ping`].
    pub async fn ping_over(
        &self,
        peer: &Name,
        lane: Lane,
        within: Duration,
    ) -> Result<Duration, PingError> {
        let known = self.0.0.known(peer).ok_or(PingError::NoPeer)?;
        let state = match lane {
            Lane::Control => known.control.clone(),
            Lane::Bulk => known.bulk.clone(),
        };
        let token = self.0.0.next_ping.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        state.inner.lock().pings.insert(
            token,
            PendingPing {
                asked_at: Instant::now(),
                is_sent: false,
                answer,
            },
        );
        state.changed.notify_one();
        let outcome = tokio::time::timeout(within, answered).await;
        state.inner.lock().pings.remove(&token);
        match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(PingError::Closed),
            Err(_) => Err(PingError::Timeout(within)),
        }
    }

    /// Which process of a peer this node last spoke to.
    #[must_use]
    pub fn peer_boot(&self, peer: &Name) -> Option<BootId> {
        let peer = self.0.0.known(peer)?;
        let boot = peer.control.inner.lock().link.peer_boot();
        boot.or_else(|| peer.bulk.inner.lock().link.peer_boot())
    }

    /// The version that this node and a peer last agreed on; none before they have met.
    #[must_use]
    pub fn wire_version(&self, peer: &Name) -> Option<u16> {
        let peer = self.0.0.known(peer)?;
        let version = peer.control.inner.lock().version;
        version.or_else(|| peer.bulk.inner.lock().version)
    }

    /// All lanes to all peers.
    #[must_use]
    pub fn list(&self) -> Vec<LinkInfo> {
        let peers: Vec<Arc<Peer>> = self.0.0.peers.read().values().cloned().collect();
        peers
            .iter()
            .flat_map(|peer| Lane::ALL.map(|lane| peer.info(lane)))
            .collect()
    }

    /// Closes all connections, for good. What was not acknowledged by then may not have arrived.
    pub fn close(&self) {
        self.0.0.close();
    }
}

impl Shared {
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(super) fn random(&self) -> u64 {
        self.random.lock().u64(..)
    }

    fn known(&self, name: &Name) -> Option<Arc<Peer>> {
        self.peers.read().get(name).cloned()
    }

    /// The peer of that name, with its drivers. Only members and holders of a certificate come here.
    pub(super) fn peer(self: &Arc<Self>, name: &Name) -> Arc<Peer> {
        if let Some(peer) = self.known(name) {
            return peer;
        }
        let mut peers = self.peers.write();
        if let Some(peer) = peers.get(name) {
            return peer.clone();
        }
        let state = |lane| {
            Arc::new(LaneState {
                lane,
                inner: Mutex::new(LaneInner {
                    link: Link::new(
                        self.me.clone(),
                        self.cluster,
                        name.clone(),
                        lane,
                        self.tuning.limits,
                    )
                    .speaking(self.tuning.versions),
                    is_idle: false,
                    is_wanted: false,
                    version: None,
                    incoming: None,
                    verdict: None,
                    renew: false,
                    waiters: VecDeque::new(),
                    pings: BTreeMap::new(),
                    connections: 0,
                    last_problem: None,
                }),
                released: Mutex::new(Ledger::new(&self.tuning.limits)),
                changed: Notify::new(),
            })
        };
        let peer = Arc::new(Peer {
            name: name.clone(),
            address: Mutex::new(None),
            is_down: AtomicBool::new(false),
            control: state(Lane::Control),
            bulk: state(Lane::Bulk),
            tasks: Mutex::new(Vec::new()),
        });
        let tasks = Lane::ALL.map(|lane| {
            self.runtime.spawn(lane::run(
                Arc::downgrade(self),
                Arc::downgrade(&peer),
                peer.lane(lane).clone(),
            ))
        });
        peer.tasks.lock().extend(tasks);
        peers.insert(name.clone(), peer.clone());
        peer
    }

    fn close(&self) {
        if let Some(listener) = self.listener.lock().take() {
            listener.abort();
        }
        for peer in std::mem::take(&mut *self.peers.write()).into_values() {
            for task in peer.tasks.lock().drain(..) {
                task.abort();
            }
        }
    }
}

impl Peer {
    /// It has made a connection, or answered one.
    pub(super) fn is_up(&self) {
        self.is_down.store(false, Ordering::Release);
    }

    pub(super) fn lane(&self, lane: Lane) -> &Arc<LaneState> {
        match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
        }
    }

    fn info(&self, lane: Lane) -> LinkInfo {
        let inner = self.lane(lane).settled();
        LinkInfo {
            peer: self.name.clone(),
            lane,
            is_open: inner.link.is_open(),
            connections: inner.connections,
            under_way_bytes: inner.link.under_way_bytes(),
            held_bytes: inner.link.held_bytes(),
            last_problem: inner.last_problem.clone(),
        }
    }
}

impl LaneState {
    /// The lane, after the link was told of what was released.
    pub(super) fn settled(&self) -> MutexGuard<'_, LaneInner> {
        let mut inner = self.inner.lock();
        let released = self.released.lock().take();
        for (held, (messages, bytes)) in released {
            inner
                .link
                .release(held.epoch, held.receiver, messages, bytes);
        }
        inner
    }
}

impl LaneInner {
    /// Whether a connection is wanted.
    pub(super) fn wants_connection(&self) -> bool {
        self.is_wanted || self.link.wants_connection() || !self.pings.is_empty()
    }

    /// Whether the peer was given up, and has not been met since.
    fn is_parted(&self) -> bool {
        self.verdict.is_some() || self.link.is_given_up()
    }

    fn wait(&mut self, waker: Option<&Waker>) {
        if let Some(waker) = waker
            && self.waiters.len() < WAITERS_MAX
            && !self.waiters.iter().any(|known| known.will_wake(waker))
        {
            self.waiters.push_back(waker.clone());
        }
    }

    /// Hands pings that wait to the link.
    pub(super) fn send_pings(&mut self) {
        for (token, ping) in &mut self.pings {
            if !ping.is_sent {
                ping.is_sent = self.link.ping(*token);
            }
        }
    }

    pub(super) fn fail_pings(&mut self, error: &PingError) {
        for (_, ping) in std::mem::take(&mut self.pings) {
            // Who no longer waits does not need to know.
            drop(ping.answer.send(Err(error.clone())));
        }
    }

    /// Those who wait for room, to be woken without the lock: a waker may come right back.
    pub(super) fn take_waiters(&mut self) -> VecDeque<Waker> {
        std::mem::take(&mut self.waiters)
    }
}
