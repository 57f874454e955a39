//! What a system knows of one other node: bonds with its agents, asks that wait for it, and signals on their way to it.

use super::codec::{Exported, PendingAsk};
use super::park::Parking;
use super::wire::{Note, encode};
use crate::ask::AskError;
use crate::cell::core::Watcher;
use crate::signal::MonitorId;
use crate::sync_plain::{Mutex, RwLock};
use crate::transport::{NotCarried, Parcel, Transport};
use parking_lot::MutexGuard;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use swarm_protocols::{Address, Name};
use tokio::runtime::Handle;

/// How many asks may wait for the answers of one node.
pub(super) const ASKS_MAX: usize = 65_536;
/// How many senders are remembered by address; the oldest are forgotten first.
const LEARNED_MAX: usize = 16_384;

/// The other nodes of a system with a transport.
pub(crate) struct Remotes {
    transport: Arc<dyn Transport>,
    runtime: Handle,
    nodes: RwLock<BTreeMap<Name, Arc<Far>>>,
    pub(super) parking: Parking,
    /// Where senders of other nodes are, for answers to them.
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    nodes: BTreeMap<Address, Name>,
    order: VecDeque<Address>,
}

/// One other node.
pub(crate) struct Far {
    pub(crate) node: Name,
    transport: Arc<dyn Transport>,
    this: Weak<Far>,
    pub(super) state: Mutex<FarState>,
    /// Signals that found no room. They are bounded by the bonds and asks that they are about, each of which somebody here or there
    /// pays for within their own bounds. While there are any, nothing else goes to that node.
    spilled: Mutex<Spilled>,
    has_spilled: AtomicBool,
}

#[derive(Default)]
struct Spilled {
    signals: VecDeque<Parcel>,
    /// Senders of letters behind them: each waits with one at a time.
    waiters: Vec<Waker>,
}

/// The bonds over a node's border. The parts that are about its agents end with it.
#[derive(Default)]
pub(super) struct FarState {
    /// Of agents here, or outside callers, on its agents.
    pub(super) monitors: BTreeMap<MonitorId, (Address, Watcher)>,
    pub(super) watches: BTreeMap<Address, Vec<Watcher>>,
    /// Agents here with agents there.
    pub(super) links: BTreeSet<(Address, Address)>,
    /// Of its agents on agents here: our number for it to (its number, our agent), and back.
    pub(super) monitored: BTreeMap<MonitorId, (u64, Address)>,
    pub(super) monitored_by: BTreeMap<u64, MonitorId>,
    /// Agents here that this node watches.
    pub(super) watched: BTreeSet<Address>,
    asks: BTreeMap<u64, Box<dyn PendingAsk>>,
    /// At this many asks those that nobody waits for are looked for.
    prune_at: usize,
}

impl Remotes {
    pub(crate) fn new(transport: Arc<dyn Transport>, runtime: Handle) -> Self {
        Self {
            transport,
            runtime,
            nodes: RwLock::new(BTreeMap::new()),
            parking: Parking::default(),
            learned: Mutex::new(Learned::default()),
        }
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What is known of a node.
    pub(crate) fn far(&self, node: &Name) -> Arc<Far> {
        if let Some(far) = self.nodes.read().get(node) {
            return far.clone();
        }
        self.nodes
            .write()
            .entry(node.clone())
            .or_insert_with(|| {
                Arc::new_cyclic(|this| Far {
                    node: node.clone(),
                    transport: self.transport.clone(),
                    this: this.clone(),
                    state: Mutex::new(FarState::default()),
                    spilled: Mutex::new(Spilled::default()),
                    has_spilled: AtomicBool::new(false),
                })
            })
            .clone()
    }

    pub(super) fn learn(&self, address: Address, node: &Name) {
        if address == Address(0) {
            return;
        }
        let mut learned = self.learned.lock();
        if learned.nodes.get(&address) == Some(node) {
            return;
        }
        if learned.nodes.insert(address, node.clone()).is_none() {
            learned.order.push_back(address);
            if learned.order.len() > LEARNED_MAX
                && let Some(oldest) = learned.order.pop_front()
            {
                learned.nodes.remove(&oldest);
            }
        }
    }

    pub(crate) fn node_of(&self, address: Address) -> Option<Name> {
        self.learned.lock().nodes.get(&address).cloned()
    }

    /// Breaks the circles of references when the system goes.
    pub(crate) fn clear(&self) {
        self.parking.clear();
        let nodes = std::mem::take(&mut *self.nodes.write());
        for far in nodes.values() {
            let state = std::mem::take(&mut *far.state.lock());
            drop(state);
            far.forget_spilled();
        }
    }
}

impl Far {
    pub(super) fn is_doubtful(&self) -> bool {
        self.transport.is_doubtful(&self.node)
    }

    /// Hands a letter over, if there is room.
    pub(super) fn carry(&self, parcel: Parcel, waker: Option<&Waker>) -> Result<(), NotCarried> {
        if self.has_spilled.load(Ordering::Acquire) && !self.flush(waker) {
            // Signals go first; this letter's sender waits with them.
            return Err(NotCarried::Full(parcel));
        }
        self.transport.carry(&self.node, parcel, waker)
    }

    /// Tells something that must not be lost for want of room. False when the node cannot be reached.
    pub(super) fn tell(&self, sender: Address, receiver: Address, note: &Note<'_>) -> bool {
        let parcel = Parcel {
            sender,
            receiver,
            body: encode(note),
        };
        let mut spilled = self.spilled.lock();
        if !spilled.signals.is_empty() {
            spilled.signals.push_back(parcel);
            return true;
        }
        match self.hand_over(parcel) {
            Ok(()) => true,
            Err(NotCarried::Full(parcel)) => {
                spilled.signals.push_back(parcel);
                self.has_spilled.store(true, Ordering::Release);
                true
            }
            Err(NotCarried::Unreachable(_) | NotCarried::TooLarge(_)) => false,
        }
    }

    fn hand_over(&self, parcel: Parcel) -> Result<(), NotCarried> {
        let waker = self.this.upgrade().map(Waker::from);
        self.transport.carry(&self.node, parcel, waker.as_ref())
    }

    /// Sends signals that found no room before. False when some still wait; the waker is woken when none does.
    fn flush(&self, waker: Option<&Waker>) -> bool {
        let mut spilled = self.spilled.lock();
        while let Some(parcel) = spilled.signals.pop_front() {
            if let Err(NotCarried::Full(parcel)) = self.hand_over(parcel) {
                spilled.signals.push_front(parcel);
                if let Some(waker) = waker
                    && !spilled.waiters.iter().any(|known| known.will_wake(waker))
                {
                    spilled.waiters.push(waker.clone());
                }
                return false;
            }
        }
        self.let_go(spilled);
        true
    }

    /// Nothing waits any more: who stood behind it goes on.
    fn let_go(&self, mut spilled: MutexGuard<'_, Spilled>) {
        self.has_spilled.store(false, Ordering::Release);
        let waiters = std::mem::take(&mut spilled.waiters);
        drop(spilled);
        for waiter in waiters {
            waiter.wake();
        }
    }

    pub(super) fn forget_spilled(&self) {
        let mut spilled = self.spilled.lock();
        spilled.signals.clear();
        self.let_go(spilled);
    }

    /// Notes the asks of a message before it goes. False when too many wait: nothing was noted.
    pub(super) fn note_asks(&self, exported: Exported) -> bool {
        if exported.0.is_empty() {
            return true;
        }
        let mut state = self.state.lock();
        if state.asks.len() + exported.0.len() > state.prune_at.max(64) {
            state.asks.retain(|_, ask| !ask.is_over());
            state.prune_at = state.asks.len() * 2;
        }
        if state.asks.len() + exported.0.len() > ASKS_MAX {
            return false;
        }
        state.asks.extend(exported.0);
        true
    }

    pub(super) fn forget_asks(&self, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let forgotten: Vec<_> = ids.iter().map(|id| state.asks.remove(id)).collect();
        drop(state);
        drop(forgotten);
    }

    pub(super) fn answered(&self, id: u64, outcome: Result<&[u8], AskError>) {
        let ask = self.state.lock().asks.remove(&id);
        if let Some(ask) = ask {
            ask.answered(outcome);
        }
    }

    pub(super) fn take_asks(&self) -> Vec<Box<dyn PendingAsk>> {
        std::mem::take(&mut self.state.lock().asks)
            .into_values()
            .collect()
    }
}

impl Wake for Far {
    fn wake(self: Arc<Self>) {
        self.flush(None);
    }
}
