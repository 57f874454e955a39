//! The node's book of conversations: where records are kept, how many there may be, and what can be seen of them.

use super::places::Places;
use super::record::Records;
use super::view::{ConversationView, MessageView};
use crate::reference::AnyRef;
use crate::sync_plain::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_protocols::{Address, ConversationId, Path};
use tokio::sync::broadcast;

/// What conversations may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationLimits {
    /// How many open conversations one agent has at most. One more is refused in the protocol's own words. Default 4096.
    pub open_per_agent: usize,
    /// How many open conversations all agents of the node have at most. Default 100 000.
    pub open_per_node: usize,
    /// How many conversations of one agent that have ended are kept at most; the oldest go first, and what comes for them
    /// later is answered as of an unknown conversation. A commit that was not acknowledged is kept whatever this says.
    /// Default 512.
    pub ended_per_agent: usize,
    /// How long a conversation that has ended can be looked at. Late messages are answered that long too, and at least for
    /// its linger. Default 5 minutes.
    pub kept_for: Duration,
    /// How many messages of a conversation are kept to be looked at; the first one and the latest. Default 64.
    pub messages: usize,
}

impl Default for ConversationLimits {
    fn default() -> Self {
        Self {
            open_per_agent: 4096,
            open_per_node: 100_000,
            ended_per_agent: 512,
            kept_for: Duration::from_secs(300),
            messages: 64,
        }
    }
}

/// What has happened in all conversations of a node, counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConversationCounts {
    /// How many are open now.
    pub open: usize,
    /// How many were opened, each side counted.
    pub opened: u64,
    /// How many have ended.
    pub ended: u64,
    /// How many were refused because of a bound.
    pub refused: u64,
    /// Messages that had no place in their conversation's state, or came from somebody else.
    pub out_of_sequence: u64,
    /// Messages that came a second time.
    pub duplicates: u64,
    /// Messages that came too late.
    pub late: u64,
    /// Messages of no conversation that opened none.
    pub unknown: u64,
    /// Records that ended because their machine crashed.
    pub crashed: u64,
}

/// What somebody who follows the conversations sees.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// The agent on whose side it was seen.
    pub agent: Path,
    /// The message.
    pub message: MessageView,
    /// Whether it is seen for the first time: when it is sent, or when it comes from somebody whose side is not seen here.
    pub is_first: bool,
}

/// How many messages a follower may be behind before it misses some.
const FOLLOW_CAPACITY: usize = 4096;

/// The conversations of one node. Cheap to clone; each protocol actor is given one.
#[derive(Clone)]
pub struct ConversationBook(Arc<Inner>);

struct Inner {
    limits: ConversationLimits,
    open: AtomicUsize,
    counters: Counters,
    tables: Mutex<BTreeMap<Path, Entry>>,
    follow: broadcast::Sender<Followed>,
}

struct Entry {
    table: Weak<Table>,
    /// The agent that a protocol actor speaks for, and the actor.
    agent: Option<Address>,
    actor: Option<AnyRef>,
}

#[derive(Default)]
struct Counters {
    opened: AtomicU64,
    ended: AtomicU64,
    refused: AtomicU64,
    out_of_sequence: AtomicU64,
    duplicates: AtomicU64,
    late: AtomicU64,
    unknown: AtomicU64,
    crashed: AtomicU64,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Refused,
    OutOfSequence,
    Duplicate,
    Late,
    Unknown,
    Crashed,
}

/// The records of one protocol actor: they outlive its lives.
pub(super) struct Table {
    pub(super) book: ConversationBook,
    pub(super) records: Mutex<Records>,
    pub(super) places: Places,
}

impl Drop for Table {
    fn drop(&mut self) {
        let open = self.records.get_mut().open();
        self.book.0.open.fetch_sub(open, Ordering::Relaxed);
    }
}

impl Default for ConversationBook {
    fn default() -> Self {
        Self::new(ConversationLimits::default())
    }
}

impl ConversationBook {
    /// An empty book.
    #[must_use]
    pub fn new(limits: ConversationLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            open: AtomicUsize::new(0),
            counters: Counters::default(),
            tables: Mutex::new(BTreeMap::new()),
            follow: broadcast::channel(FOLLOW_CAPACITY).0,
        }))
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &ConversationLimits {
        &self.0.limits
    }

    /// What can be seen of all conversations, in order of agent, then of opening. Without their messages.
    #[must_use]
    pub fn list(&self) -> Vec<ConversationView> {
        let mut views = Vec::new();
        for (path, table) in self.tables() {
            views.extend(table.records.lock().views(&path));
        }
        views
    }

    /// Both sides of one conversation, as far as they are on this node, with their messages; the initiator's first.
    #[must_use]
    pub fn get(&self, id: &ConversationId) -> Vec<ConversationView> {
        let mut views: Vec<_> = self
            .tables()
            .into_iter()
            .filter_map(|(path, table)| table.records.lock().view(&path, id))
            .collect();
        views.sort_by_key(|view| (view.role, view.opened_ms));
        views
    }

    /// Follows the messages of all conversations from now on. A follower that is too slow misses some, and is told how many.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Followed> {
        self.0.follow.subscribe()
    }

    /// The protocol actor that speaks for an agent.
    #[must_use]
    pub fn speaker_of(&self, agent: Address) -> Option<AnyRef> {
        self.0
            .tables
            .lock()
            .values()
            .find(|entry| entry.agent == Some(agent))
            .and_then(|entry| entry.actor.clone())
    }

    /// Makes the next step of both sides of a conversation panic, for tests. False when it is not known.
    pub fn inject_crash(&self, id: &ConversationId) -> bool {
        let mut is_known = false;
        for (_, table) in self.tables() {
            if let Some(record) = table.records.lock().get_mut(id) {
                record.is_to_crash = true;
                is_known = true;
            }
        }
        is_known
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> ConversationCounts {
        let c = &self.0.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConversationCounts {
            open: self.0.open.load(Ordering::Relaxed),
            opened: get(&c.opened),
            ended: get(&c.ended),
            refused: get(&c.refused),
            out_of_sequence: get(&c.out_of_sequence),
            duplicates: get(&c.duplicates),
            late: get(&c.late),
            unknown: get(&c.unknown),
            crashed: get(&c.crashed),
        }
    }

    pub(super) fn table(&self) -> Arc<Table> {
        Arc::new(Table {
            book: self.clone(),
            records: Mutex::new(Records::new(self.0.limits)),
            places: Places::default(),
        })
    }

    pub(super) fn enter(
        &self,
        path: Path,
        table: &Arc<Table>,
        agent: Option<Address>,
        actor: AnyRef,
    ) {
        let mut tables = self.0.tables.lock();
        tables.retain(|_, entry| entry.table.strong_count() > 0);
        let entry = Entry {
            table: Arc::downgrade(table),
            agent,
            actor: Some(actor),
        };
        tables.insert(path, entry);
    }

    pub(super) fn is_protocol_actor(&self, agent: &AnyRef) -> bool {
        agent.typed::<super::ProtocolMessage>().is_some()
    }

    /// Takes a place for one more open conversation. False when there is none.
    pub(super) fn take_place(&self) -> bool {
        let limit = self.0.limits.open_per_node;
        let taken = self
            .0
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < limit).then_some(open + 1)
            })
            .is_ok();
        if taken {
            self.0.counters.opened.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    pub(super) fn give_place_back(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.counters.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, what: Count) {
        let c = &self.0.counters;
        let counter = match what {
            Count::Refused => &c.refused,
            Count::OutOfSequence => &c.out_of_sequence,
            Count::Duplicate => &c.duplicates,
            Count::Late => &c.late,
            Count::Unknown => &c.unknown,
            Count::Crashed => &c.crashed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_followed(&self) -> bool {
        self.0.follow.receiver_count() > 0
    }

    pub(super) fn publish(&self, followed: impl FnOnce() -> Followed) {
        if self.is_followed() {
            // Nobody listening any more is no error.
            let _ = self.0.follow.send(followed());
        }
    }

    fn tables(&self) -> Vec<(Path, Arc<Table>)> {
        self.0
            .tables
            .lock()
            .iter()
            .filter_map(|(path, entry)| Some((path.clone(), entry.table.upgrade()?)))
            .collect()
    }
}
