//! The task that keeps names up to date, and the handle that answers from memory.

use super::entry::Holder;
use super::event::{
    Class, Decision, Event, NameChange, NamesCounters, NamesParameters, RegisterError,
};
use super::table::Names;
use super::wire;
use crate::gossip::{GossipClosed, GossipHandle, Notice};
use crate::identity::{BootId, NodeId};
use crate::membership::{self, Change, MemberState};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use swarm_protocols::{Address, Name};
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Messages from links that wait for the task. When full, further ones are dropped: the next check repairs what was lost.
const INBOX_MAX: usize = 1024;

/// What names need of their surroundings.
pub trait NamesOutside: Send + Sync + 'static {
    /// Sends a message of names over the peer link, or drops it. Must not wait. The other side passes it to [`NamesHandle::received`].
    fn send(&self, to: &NodeId, bytes: Vec<u8>);

    /// Something changed. Called from the task, one change after the other, and must not wait.
    fn changed(&self, change: NameChange);
}

/// What a node's names are made of.
pub struct NamesOptions {
    /// This node.
    pub me: NodeId,
    /// The numbers that they go by.
    pub parameters: NamesParameters,
    /// Drives random choices. Not secret.
    pub seed: u64,
    /// Says who is a member, and carries announcements.
    pub gossip: GossipHandle,
    /// Carries the rest, and hears of changes.
    pub outside: Arc<dyn NamesOutside>,
}

/// The owner of a node's names. Dropping it ends the task; handles go on answering from what is known by then.
pub struct NamesService {
    handle: NamesHandle,
    task: JoinHandle<()>,
}

/// How others use a node's names. Cheap to clone; lookups take a read lock for less than a microsecond.
#[derive(Clone)]
pub struct NamesHandle {
    names: Arc<RwLock<Names>>,
    inbox: mpsc::Sender<Event>,
    written: Arc<Notify>,
}

impl NamesService {
    /// Starts the task on `runtime`.
    ///
    /// # Errors
    /// [`GossipClosed`] when gossip has ended; nothing was started.
    pub fn start(options: NamesOptions, runtime: &Handle) -> Result<Self, GossipClosed> {
        let notices = options.gossip.listen()?;
        let (inbox, events) = mpsc::channel(INBOX_MAX);
        let names = Names::new(options.me, options.parameters, options.seed, Duration::ZERO);
        let handle = NamesHandle {
            names: Arc::new(RwLock::new(names)),
            inbox,
            written: Arc::new(Notify::new()),
        };
        let driver = Driver {
            names: Arc::clone(&handle.names),
            written: Arc::clone(&handle.written),
            members: BTreeSet::new(),
            gossip: options.gossip,
            outside: options.outside,
            origin: Instant::now(),
        };
        let task = runtime.spawn(driver.run(notices, events));
        Ok(Self { handle, task })
    }

    /// How others use it.
    #[must_use]
    pub fn handle(&self) -> NamesHandle {
        self.handle.clone()
    }
}

impl Drop for NamesService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NamesHandle {
    /// Registers `name` for an agent of this node, see [`Names::register`]. Others hear of it within tens of milliseconds.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register(
        &self,
        name: &Name,
        address: Address,
        class: Class,
        priority: u8,
    ) -> Result<(), RegisterError> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall = since_1970.map_or(0, |time| time.as_millis() as u64);
        let mut names = self.names.write();
        let registered = names.register(name, address, class, priority, wall);
        drop(names);
        self.written.notify_one();
        registered
    }

    /// Gives up a name of an agent of this node. False when it did not have it.
    pub fn unregister(&self, name: &Name, address: Address) -> bool {
        let was_its = self.names.write().unregister(name, address);
        self.written.notify_one();
        was_its
    }

    /// Puts an agent of this node into a group, once more if it is in it already.
    ///
    /// # Errors
    /// [`RegisterError::Full`].
    pub fn join(&self, group: &Name, address: Address) -> Result<(), RegisterError> {
        let joined = self.names.write().join(group, address);
        self.written.notify_one();
        joined
    }

    /// Takes an agent of this node out of a group once. False when it was not in it.
    pub fn leave(&self, group: &Name, address: Address) -> bool {
        let was_in = self.names.write().leave(group, address);
        self.written.notify_one();
        was_in
    }

    /// Who holds `name`. From memory; may be stale.
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Holder> {
        self.names.read().whereis(name)
    }

    /// The address behind `name`. The fastest lookup.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<Address> {
        self.names.read().address_of(name)
    }

    /// The members of a group on all nodes, an agent as often as it joined.
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<Holder> {
        self.names.read().members(group)
    }

    /// What was refused so far.
    #[must_use]
    pub fn counters(&self) -> NamesCounters {
        self.names.read().counters()
    }

    /// The loser of a conflict has handed over. Dropped when a thousand messages wait; the deadline does the rest then.
    pub fn handed_over(&self, name: &Name, address: Address) {
        let name = name.clone();
        self.pass(Event::HandedOver { name, address });
    }

    /// A message of names came over a link. Dropped when a thousand wait.
    pub fn received(&self, from: BootId, bytes: Vec<u8>) {
        self.pass(Event::Message { from, bytes });
    }

    fn pass(&self, event: Event) {
        if self.inbox.try_send(event).is_err() {
            tracing::debug!("an event for names was dropped");
        }
    }
}

struct Driver {
    names: Arc<RwLock<Names>>,
    written: Arc<Notify>,
    /// Who is a member, as far as names were told.
    members: BTreeSet<NodeId>,
    gossip: GossipHandle,
    outside: Arc<dyn NamesOutside>,
    origin: Instant,
}

impl Driver {
    async fn run(
        mut self,
        mut notices: broadcast::Receiver<Notice>,
        mut inbox: mpsc::Receiver<Event>,
    ) {
        self.compare_members().await;
        loop {
            let wake = self.origin + self.names.read().next_wake();
            let event = tokio::select! {
                biased;
                notice = notices.recv() => match notice {
                    Ok(notice) => self.heard(notice),
                    Err(RecvError::Lagged(_)) => {
                        self.compare_members().await;
                        None
                    }
                    Err(RecvError::Closed) => return,
                },
                event = inbox.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = self.written.notified() => Some(Event::Tick),
                () = tokio::time::sleep_until(wake) => Some(Event::Tick),
            };
            if let Some(event) = event {
                self.handle(event);
            }
        }
    }

    fn heard(&mut self, notice: Notice) -> Option<Event> {
        match notice {
            Notice::Change(Change::Alive { node, .. }) => {
                self.members.insert(node.clone());
                Some(Event::Up { node })
            }
            Notice::Change(Change::Down { node, .. } | Change::Left { node }) => {
                self.members.remove(&node);
                Some(Event::Down { boot: node.boot })
            }
            Notice::Broadcast { origin, payload } if wire::is_ours(&payload) => {
                Some(Event::Message {
                    from: origin,
                    bytes: payload,
                })
            }
            Notice::Change(_) | Notice::Broadcast { .. } => None,
        }
    }

    /// Finds out who is a member now: at the start, and when notices were missed.
    async fn compare_members(&mut self) {
        let Ok(view) = self.gossip.members().await else {
            return;
        };
        let there: BTreeSet<NodeId> = view
            .into_iter()
            .filter(|m| matches!(m.state, MemberState::Alive | MemberState::Suspect))
            .map(|m| m.node)
            .collect();
        for gone in self.members.difference(&there) {
            self.handle(Event::Down { boot: gone.boot });
        }
        for new in there.difference(&self.members) {
            self.handle(Event::Up { node: new.clone() });
        }
        self.members = there;
    }

    fn handle(&self, event: Event) {
        let now = self.origin.elapsed();
        let decisions = self.names.write().handle(event, now);
        for decision in decisions {
            match decision {
                Decision::Send { to, bytes } => self.outside.send(&to, bytes),
                Decision::Tell(change) => self.outside.changed(change),
                Decision::Broadcast(payload) => {
                    let event = membership::Event::Broadcast { payload };
                    if let Err(error) = self.gossip.offer(event) {
                        tracing::debug!(%error, "an announcement of names was dropped");
                    }
                }
            }
        }
    }
}
