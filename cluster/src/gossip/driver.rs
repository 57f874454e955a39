//! The task that runs membership: one loop that takes packets, timers, verdicts and commands, one at a time.

use super::key::{GossipKey, KeyId, KeyRing, KeyRingError};
use super::seal::{OpenError, PACKET_BYTES_MAX, Sealer};
use crate::identity::BootId;
use crate::membership::{
    Change, Contact, Counters, Decision, Event, LinkProbe, LinkVerdict, LocalHealth, MemberView,
    Membership, Parameters, Peer,
};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Commands that wait for the task. When full, callers wait.
const COMMANDS_MAX: usize = 256;
/// Notices that a slow listener may be behind by. Beyond that it is told how many it lost, and reads the whole view again.
const NOTICES_MAX: usize = 1024;

/// How long the task waits after the network refused to receive.
const RECEIVE_RETRY: Duration = Duration::from_millis(1);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What carries packets. Losing, doubling and reordering them is allowed.
pub trait Datagrams: Send + Sync + 'static {
    /// The next packet, with its length and where it seems to come from. Cancel-safe.
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> Boxed<'a, io::Result<(usize, SocketAddr)>>;

    /// Sends a packet, or drops it when that would have to wait.
    ///
    /// # Errors
    /// Whatever the network says; the packet is dropped.
    fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()>;
}

impl Datagrams for UdpSocket {
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> Boxed<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(self.recv_from(buffer))
    }

    fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.try_send_to(packet, to).map(|_| ())
    }
}

/// What membership needs of peer links.
pub trait PeerLinks: Send + Sync + 'static {
    /// Sends a message of membership, or drops it. Must not wait. The other side hands it to its membership as
    /// [`Event::Link`](crate::membership::Event::Link).
    fn send(&self, to: Contact, bytes: Vec<u8>);

    /// Finds out within `within` whether `peer` lives. Dropping the future ends the attempt.
    fn probe(&self, peer: Peer, within: Duration) -> Boxed<'static, LinkVerdict>;
}

/// What a node's gossip is made of.
pub struct GossipOptions {
    /// This node, at the address that others reach it at.
    pub me: Peer,
    /// How patient it is.
    pub parameters: Parameters,
    /// Drives random choices. Not secret.
    pub seed: u64,
    /// The keys of the cluster.
    pub keys: KeyRing,
    /// Where packets go and come from.
    pub datagrams: Arc<dyn Datagrams>,
    /// The peer links.
    pub links: Arc<dyn PeerLinks>,
}

/// Something that listeners hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The view changed.
    Change(Change),
    /// A member said something to all.
    Broadcast {
        /// The process that said it.
        origin: BootId,
        /// What it said.
        payload: Vec<u8>,
    },
}

/// What happened to packets, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GossipCounters {
    /// Packets sent.
    pub sent: u64,
    /// Bytes sent, without the headers of UDP and below.
    pub sent_bytes: u64,
    /// Packets opened.
    pub received: u64,
    /// Packets that were dropped because they could not be sealed or sent at once.
    pub unsent: u64,
    /// Packets that were no packets of this version.
    pub malformed: u64,
    /// Packets sealed with a key that is not installed.
    pub unknown_key: u64,
    /// Packets that came before.
    pub replayed: u64,
    /// Packets that were not authentic or meant for another process.
    pub forged: u64,
    /// What membership refused of what was opened.
    pub membership: Counters,
    /// How far this node trusts its own opinion.
    pub health: LocalHealth,
}

/// The task is gone: the node has left, or its gossip was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gossip has ended")]
pub struct GossipClosed;

/// Why an event was not taken. It had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// 256 commands wait. Try again, or drop it if losing it is allowed.
    #[error("gossip is behind")]
    Full,
    /// The task is gone, for good.
    #[error(transparent)]
    Closed(#[from] GossipClosed),
}

/// The owner of a node's gossip. Dropping it ends the task at once, without a goodbye.
pub struct Gossip {
    handle: GossipHandle,
    task: JoinHandle<()>,
}

/// How others speak to a node's gossip. Cheap to clone.
#[derive(Clone)]
pub struct GossipHandle {
    commands: mpsc::Sender<Command>,
    notices: broadcast::WeakSender<Notice>,
}

enum Command {
    Event(Event),
    Members(oneshot::Sender<Vec<MemberView>>),
    Counters(oneshot::Sender<GossipCounters>),
    Install(GossipKey, oneshot::Sender<Result<KeyId, KeyRingError>>),
    Use(KeyId, oneshot::Sender<Result<(), KeyRingError>>),
    Remove(KeyId, oneshot::Sender<Result<(), KeyRingError>>),
    Keys(oneshot::Sender<KeyRing>),
}

impl Gossip {
    /// Starts the task on `runtime`. The node is alone until it joins or somebody joins it.
    #[must_use]
    pub fn start(options: GossipOptions, runtime: &Handle) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        let handle = GossipHandle {
            commands,
            notices: notices.downgrade(),
        };
        let task = runtime.spawn(async move {
            Driver::new(options, inbox, notices).run().await;
        });
        Self { handle, task }
    }

    /// How others speak to it.
    #[must_use]
    pub fn handle(&self) -> GossipHandle {
        self.handle.clone()
    }

    /// Says goodbye to the others and ends the task. Cancelling this ends it without the goodbye.
    pub async fn leave(mut self) {
        let _ended = self.handle.tell(Event::Leave).await;
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GossipHandle {
    /// Passes an event to membership: what came over a link, a wish to join, an eviction. Waits while 256 commands wait.
    ///
    /// # Errors
    /// [`GossipClosed`]; the event was lost.
    pub async fn tell(&self, event: Event) -> Result<(), GossipClosed> {
        let sent = self.commands.send(Command::Event(event)).await;
        sent.map_err(|_| GossipClosed)
    }

    /// Passes an event to membership if that takes no waiting.
    ///
    /// # Errors
    /// [`NotTaken`]; the event was lost.
    pub fn offer(&self, event: Event) -> Result<(), NotTaken> {
        self.commands
            .try_send(Command::Event(event))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NotTaken::Full,
                mpsc::error::TrySendError::Closed(_) => NotTaken::Closed(GossipClosed),
            })
    }

    /// Every member, this node included.
    ///
    /// # Errors
    /// [`GossipClosed`].
    pub async fn members(&self) -> Result<Vec<MemberView>, GossipClosed> {
        self.ask(Command::Members).await
    }

    /// What happened so far.
    ///
    /// # Errors
    /// [`GossipClosed`].
    pub async fn counters(&self) -> Result<GossipCounters, GossipClosed> {
        self.ask(Command::Counters).await
    }

    /// Adds a key that opens packets.
    ///
    /// # Errors
    /// [`GossipClosed`]; inside, what the ring says.
    pub async fn install_key(
        &self,
        key: GossipKey,
    ) -> Result<Result<KeyId, KeyRingError>, GossipClosed> {
        self.ask(|answer| Command::Install(key, answer)).await
    }

    /// Seals with this key from now on.
    ///
    /// # Errors
    /// [`GossipClosed`]; inside, what the ring says.
    pub async fn use_key(&self, id: KeyId) -> Result<Result<(), KeyRingError>, GossipClosed> {
        self.ask(|answer| Command::Use(id, answer)).await
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`GossipClosed`]; inside, what the ring says.
    pub async fn remove_key(&self, id: KeyId) -> Result<Result<(), KeyRingError>, GossipClosed> {
        self.ask(|answer| Command::Remove(id, answer)).await
    }

    /// The keys, for a node that joins.
    ///
    /// # Errors
    /// [`GossipClosed`].
    pub async fn keys(&self) -> Result<KeyRing, GossipClosed> {
        self.ask(Command::Keys).await
    }

    /// What happens from now on. A listener that is behind by more than 1024 notices is told how many it lost.
    ///
    /// # Errors
    /// [`GossipClosed`].
    pub fn listen(&self) -> Result<broadcast::Receiver<Notice>, GossipClosed> {
        let notices = self.notices.upgrade().ok_or(GossipClosed)?;
        Ok(notices.subscribe())
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, GossipClosed> {
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(command(answer)).await;
        sent.map_err(|_| GossipClosed)?;
        answered.await.map_err(|_| GossipClosed)
    }
}

struct Driver {
    core: Membership,
    sealer: Sealer,
    datagrams: Arc<dyn Datagrams>,
    links: Arc<dyn PeerLinks>,
    inbox: mpsc::Receiver<Command>,
    notices: broadcast::Sender<Notice>,
    /// At most as many as membership lets be under way (64).
    probes: JoinSet<(LinkProbe, LinkVerdict)>,
    counters: GossipCounters,
    origin: Instant,
}

impl Driver {
    fn new(
        options: GossipOptions,
        inbox: mpsc::Receiver<Command>,
        notices: broadcast::Sender<Notice>,
    ) -> Self {
        let me = options.me.boot();
        Self {
            core: Membership::new(options.me, options.parameters, options.seed, Duration::ZERO),
            sealer: Sealer::new(me, options.keys),
            datagrams: options.datagrams,
            links: options.links,
            inbox,
            notices,
            probes: JoinSet::new(),
            counters: GossipCounters::default(),
            origin: Instant::now(),
        }
    }

    async fn run(mut self) {
        let mut buffer = vec![0; PACKET_BYTES_MAX + 1];
        let datagrams = Arc::clone(&self.datagrams);
        loop {
            let wake = self.core.next_wake().map(|at| self.origin + at);
            let event = tokio::select! {
                // Timers first: a flood of packets must not hold them up. In this order a run can be repeated.
                biased;
                () = wait_until(wake) => Some(Event::Tick),
                command = self.inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(done) = self.probes.join_next() => {
                    done.ok().map(|(probe, verdict)| Event::LinkVerdict { probe, verdict })
                }
                received = datagrams.receive(&mut buffer) => match received {
                    Ok((length, _)) => self.open(buffer.get(..length).unwrap_or_default()),
                    // The system reports that an earlier packet met a closed port, or has no memory. That is no reason to stop, nor to spin.
                    Err(_) => {
                        tokio::time::sleep(RECEIVE_RETRY).await;
                        None
                    }
                },
            };
            if let Some(event) = event
                && self.handle(event).is_break()
            {
                return;
            }
        }
    }

    fn open(&mut self, packet: &[u8]) -> Option<Event> {
        let refused = match self.sealer.open(packet) {
            Ok(opened) => {
                self.counters.received += 1;
                return Some(Event::Packet {
                    from: opened.from,
                    bytes: opened.bytes,
                });
            }
            Err(OpenError::Length { .. } | OpenError::Version { .. }) => {
                &mut self.counters.malformed
            }
            Err(OpenError::UnknownKey { .. }) => &mut self.counters.unknown_key,
            Err(OpenError::Replayed { .. }) => &mut self.counters.replayed,
            Err(OpenError::Forged) => &mut self.counters.forged,
        };
        *refused += 1;
        None
    }

    fn handle(&mut self, event: Event) -> std::ops::ControlFlow<()> {
        let now = self.origin.elapsed();
        for decision in self.core.handle(event, now) {
            match decision {
                Decision::Send { to, bytes } => self.send(&to, &bytes),
                Decision::SendLink { to, bytes } => self.links.send(to, bytes),
                Decision::ProbeLink {
                    probe,
                    peer,
                    within,
                } => self.probe(probe, peer, within),
                Decision::Tell(change) => {
                    let is_over = change == Change::Departed;
                    self.notify(Notice::Change(change));
                    if is_over {
                        return std::ops::ControlFlow::Break(());
                    }
                }
                Decision::Deliver { origin, payload } => {
                    self.notify(Notice::Broadcast { origin, payload });
                }
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn send(&mut self, to: &Peer, bytes: &[u8]) {
        let sent = match self.sealer.seal(to.boot(), bytes) {
            Ok(packet) => {
                self.counters.sent_bytes += packet.len() as u64;
                self.datagrams.send(&packet, to.address()).is_ok()
            }
            Err(_) => false,
        };
        if sent {
            self.counters.sent += 1;
        } else {
            self.counters.unsent += 1;
        }
    }

    fn probe(&mut self, probe: LinkProbe, peer: Peer, within: Duration) {
        let attempt = self.links.probe(peer, within);
        self.probes.spawn(async move {
            let verdict = tokio::time::timeout(within, attempt).await;
            (probe, verdict.unwrap_or(LinkVerdict::Silent))
        });
    }

    fn notify(&self, notice: Notice) {
        if let Notice::Change(change) = &notice {
            tracing::info!(node = %self.core.me().node(), ?change, "membership changed");
        }
        let _nobody_listens = self.notices.send(notice);
    }

    fn obey(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Event(event) => return Some(event),
            Command::Members(asker) => answer(asker, self.core.members()),
            Command::Counters(asker) => {
                let counters = GossipCounters {
                    membership: self.core.counters(),
                    health: self.core.health(),
                    ..self.counters
                };
                answer(asker, counters);
            }
            Command::Install(key, asker) => answer(asker, self.sealer.ring_mut().install(key)),
            Command::Use(id, asker) => answer(asker, self.sealer.ring_mut().use_key(id)),
            Command::Remove(id, asker) => answer(asker, self.sealer.ring_mut().remove(id)),
            Command::Keys(asker) => answer(asker, self.sealer.ring().clone()),
        }
        None
    }
}

/// Whoever does not wait for the answer any more does not get it.
fn answer<T>(asker: oneshot::Sender<T>, value: T) {
    let _nobody_waits = asker.send(value);
}

async fn wait_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
