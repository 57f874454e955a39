//! The children of one supervisor: who they are, in which order they were started, and how to find one.

use super::event::{SlotKey, TimerId};
use super::recipe::Recipe;
use crate::child::Disposition;
use crate::contain::Contained;
use crate::spec::{ChildType, Restart, Shutdown};
use crate::supervisor::{Args, ChildState};
use hashbrown::HashTable;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Pid};

/// What one child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The life that the slot's pid names.
    Running,
    /// Nothing runs, and nothing is under way that would change it (OTP: `undefined`).
    Stopped,
    /// An attempt failed; the message that asks for the next one is in the queue.
    Restarting,
    /// The next attempt waits for a timer.
    Delayed,
}

/// One child. What few children have anything of is boxed: there may be a million of them.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) recipe: Recipe,
    /// The last part of its path: the spec's id, or the instance's own name.
    pub(super) name: Name,
    /// Its place in the start order.
    pub(super) seq: u64,
    pub(super) state: State,
    /// Which start the running life came from. Exits of other lives are stale.
    pub(super) life: u64,
    /// That the running life has ended is known, but it was not its turn yet.
    pub(super) exited: Option<Box<ExitReason>>,
    pid: LastPid,
    pub(super) args: Option<Box<Contained<Args>>>,
    /// Named by init: it comes back with the next life of the supervisor.
    pub(super) is_static: bool,
    pub(super) disposition: Option<Disposition>,
    /// Where the spec wants a delay before restarts.
    pub(super) delays: Option<Box<Delays>>,
}

/// The last life, where there was one, in half the room of an `Option<Pid>`. No life has the incarnation 0.
#[derive(Clone, Copy, Debug, Default)]
struct LastPid([u64; 3]);

impl LastPid {
    fn get(self) -> Option<Pid> {
        let [high, low, incarnation] = self.0;
        (incarnation != 0).then(|| Pid {
            address: Address(u128::from(high) << 64 | u128::from(low)),
            incarnation: Incarnation(incarnation),
        })
    }
}

impl From<Pid> for LastPid {
    fn from(pid: Pid) -> Self {
        let Address(address) = pid.address;
        Self([(address >> 64) as u64, address as u64, pid.incarnation.0])
    }
}

/// The delayed restarts of one child.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// How many attempts were made in a row.
    pub(super) attempts: u32,
    pub(super) started_at: Duration,
    /// What the next attempt waits for.
    pub(super) timer: Option<TimerId>,
}

impl Slot {
    pub(super) fn restart(&self) -> Restart {
        self.recipe.restart
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.recipe.restart == Restart::Temporary
    }

    pub(super) fn shutdown(&self) -> Shutdown {
        self.recipe.shutdown
    }

    pub(super) fn child_state(&self) -> ChildState {
        match self.state {
            State::Running => ChildState::Running(self.running_pid()),
            State::Stopped => ChildState::Stopped,
            State::Restarting | State::Delayed => ChildState::Restarting,
        }
    }

    /// The last life.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.pid.get()
    }

    /// The life that is running, when one is.
    pub(super) fn running_pid(&self) -> Pid {
        self.pid()
            .expect("the pid is noted before the state says that it runs")
    }

    /// Alive as far as is known, which includes exits that are known but not handled yet.
    pub(super) fn is_active(&self) -> bool {
        self.state == State::Running && self.exited.is_none()
    }

    pub(super) fn is_supervisor(&self) -> bool {
        self.recipe.child_type == ChildType::Supervisor
    }
}

fn name_of(slots: &[Option<Slot>], key: SlotKey) -> Option<&Name> {
    slots
        .get(key as usize)
        .and_then(Option::as_ref)
        .map(|slot| &slot.name)
}

/// All children. Insertion at the end, removal and look-up of one among n cost O(log n) steps (S107, S121).
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<SlotKey>,
    order: BTreeMap<u64, SlotKey>,
    /// By the names that the slots have: of a million children each would be here a second time.
    names: HashTable<SlotKey>,
    hasher: RandomState,
    pids: HashMap<Pid, SlotKey>,
    next_seq: u64,
    /// Elementary steps made so far: what tests of scaling count instead of time.
    pub(super) steps: u64,
}

impl Slots {
    /// Room for so many, to begin with.
    pub(super) fn with_capacity(children: usize) -> Self {
        Self {
            slots: Vec::with_capacity(children),
            names: HashTable::with_capacity(children),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Adds a child as the last in start order.
    pub(super) fn push(
        &mut self,
        mut recipe: Recipe,
        name: Name,
        args: Option<Contained<Args>>,
    ) -> SlotKey {
        if let Some(Some(before)) = self.slots.last() {
            recipe.share(&before.recipe);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let slot = Slot {
            recipe,
            name,
            seq,
            state: State::Stopped,
            life: 0,
            exited: None,
            pid: LastPid::default(),
            args: args.map(Box::new),
            is_static: false,
            disposition: None,
            delays: None,
        };
        let key = match self.free.pop() {
            Some(key) => {
                self.slots[key as usize] = Some(slot);
                key
            }
            None => {
                let key = SlotKey::try_from(self.slots.len())
                    .expect("fewer children than a u32 counts: each takes more than a byte");
                self.slots.push(Some(slot));
                key
            }
        };
        self.order.insert(seq, key);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |key: &SlotKey| name_of(slots, *key).map_or(0, |name| hasher.hash_one(name));
        self.names.insert_unique(hash(&key), key, hash);
        self.count_search();
        key
    }

    pub(super) fn remove(&mut self, key: SlotKey) {
        self.count_search();
        let Some(slot) = self.slots.get_mut(key as usize).and_then(Option::take) else {
            return;
        };
        self.order.remove(&slot.seq);
        let hash = self.hasher.hash_one(&slot.name);
        if let Ok(entry) = self.names.find_entry(hash, |found| *found == key) {
            entry.remove();
        }
        if let Some(pid) = slot.pid() {
            self.pids.remove(&pid);
        }
        self.free.push(key);
    }

    pub(super) fn get(&self, key: SlotKey) -> Option<&Slot> {
        self.slots.get(key as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        self.slots.get_mut(key as usize)?.as_mut()
    }

    /// The child in a slot that an operation under way refers to.
    pub(super) fn at(&self, key: SlotKey) -> &Slot {
        self.get(key).expect(
            "a slot that an operation refers to is not removed before the operation is over",
        )
    }

    pub(super) fn at_mut(&mut self, key: SlotKey) -> &mut Slot {
        self.get_mut(key).expect(
            "a slot that an operation refers to is not removed before the operation is over",
        )
    }

    pub(super) fn by_name(&mut self, name: &Name) -> Option<SlotKey> {
        self.steps += 1;
        self.named(name)
    }

    fn named(&self, name: &Name) -> Option<SlotKey> {
        let hash = self.hasher.hash_one(name);
        let is_it = |key: &SlotKey| name_of(&self.slots, *key) == Some(name);
        self.names.find(hash, is_it).copied()
    }

    pub(super) fn by_pid(&mut self, pid: Pid) -> Option<SlotKey> {
        self.steps += 1;
        self.pids.get(&pid).copied()
    }

    /// Notes which life runs in a slot, so that an instance can be found by it.
    pub(super) fn set_pid(&mut self, key: SlotKey, pid: Pid, index: bool) {
        let slot = self.at_mut(key);
        let old = slot.pid();
        slot.pid = pid.into();
        if index {
            if let Some(old) = old {
                self.pids.remove(&old);
            }
            self.pids.insert(pid, key);
        }
    }

    /// The first child at or after a place in the start order.
    pub(super) fn first_from(&mut self, seq: u64) -> Option<SlotKey> {
        self.count_search();
        self.order.range(seq..).next().map(|(_, key)| *key)
    }

    /// The last child between two places in the start order, the second one excluded.
    pub(super) fn last_between(&mut self, from: u64, before: u64) -> Option<SlotKey> {
        self.count_search();
        if from >= before {
            return None;
        }
        self.order
            .range(from..before)
            .next_back()
            .map(|(_, key)| *key)
    }

    /// All children in start order.
    pub(super) fn in_order(&mut self) -> impl DoubleEndedIterator<Item = (SlotKey, &Slot)> {
        self.steps += self.order.len() as u64;
        let slots = &self.slots;
        self.order
            .values()
            .filter_map(move |key| Some((*key, slots.get(*key as usize)?.as_ref()?)))
    }

    pub(super) fn keys_in_order(&mut self) -> Vec<SlotKey> {
        self.steps += self.order.len() as u64;
        self.order.values().copied().collect()
    }

    /// Puts all children into a new start order. `keys` names each of them once.
    pub(super) fn reorder(&mut self, keys: &[SlotKey]) {
        debug_assert_eq!(keys.len(), self.order.len());
        self.order.clear();
        for key in keys {
            self.steps += 1;
            let seq = self.next_seq;
            self.next_seq += 1;
            self.at_mut(*key).seq = seq;
            self.order.insert(seq, *key);
        }
    }

    /// A search in a balanced tree counts as many steps as the tree is high.
    fn count_search(&mut self) {
        self.steps += u64::from(usize::BITS - self.order.len().leading_zeros()) + 1;
    }

    /// Panics when the parts do not agree with each other.
    pub(super) fn assert_consistent(&self) {
        let live = self.slots.iter().flatten().count();
        assert_eq!(
            live,
            self.order.len(),
            "each child has one place in the order"
        );
        assert_eq!(live, self.names.len(), "each child has one name");
        let mut pids = std::collections::HashSet::new();
        for (seq, key) in &self.order {
            let slot = self.at(*key);
            assert_eq!(slot.seq, *seq);
            assert_eq!(self.named(&slot.name), Some(*key));
            if slot.state == State::Running {
                assert!(pids.insert(slot.running_pid()), "no life runs in two slots");
            }
        }
    }
}
