//! The tables and what is done to them on this node.

use super::entry::{Claim, Holder, Key, Stamp, Value};
use super::log::{ENTRIES_MAX, Log};
use crate::identity::{BootId, NodeId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// How far a name reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// This node only. Nobody else hears of it, and other nodes may use the same one.
    Local,
    /// The whole cluster.
    Cluster,
}

/// The numbers that names go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesParameters {
    /// How long writes are gathered before the others are told.
    pub flush: Duration,
    /// How often a random member is asked whether it knows the same.
    pub check_interval: Duration,
    /// After what time an unanswered pull is taken for lost.
    pub pull_timeout: Duration,
    /// How long the loser of a conflict has to hand over before it is stopped.
    pub handover: Duration,
}

impl Default for NamesParameters {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(20),
            check_interval: Duration::from_secs(5),
            pull_timeout: Duration::from_secs(1),
            handover: Duration::from_secs(5),
        }
    }
}

/// Why a name was not registered. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Somebody else has it, as far as this node knows. Free again when that one gives it up or ends.
    #[error("the name {name} is held by {} on {}", holder.address, holder.node)]
    Taken {
        /// The name.
        name: Name,
        /// Who has it.
        holder: Holder,
    },
    /// This node has as many entries as one node may have. Unregister something first.
    #[error("this node has {ENTRIES_MAX} names and memberships, which is the most")]
    Full,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is a member (membership's `Alive`).
    Up {
        /// Which.
        node: NodeId,
    },
    /// A node is none any more (`Down` or `Left`). What it wrote is dropped; when it heals, it is fetched anew.
    Down {
        /// Which process.
        boot: BootId,
    },
    /// A message of names came from a member, over a link or by broadcast.
    Message {
        /// The process that sent it.
        from: BootId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The loser of a conflict has handed over.
    HandedOver {
        /// The name that it loses.
        name: Name,
        /// The loser.
        address: Address,
    },
    /// The time that [`Names::next_wake`] named has come.
    Tick,
}

/// What is to be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send a message over the peer link. Losing it is allowed.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Tell all members. At most [`BROADCAST_BYTES_MAX`](crate::membership::BROADCAST_BYTES_MAX) bytes. Losing it is allowed.
    Broadcast(Vec<u8>),
    /// Something changed that others want to know.
    Tell(NameChange),
}

/// A change of the tables as this node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameChange {
    /// A name of class cluster has another holder, or none.
    Held {
        /// The name.
        name: Name,
        /// Who has it now.
        holder: Option<Holder>,
    },
    /// An agent of this node has lost its name to another. It is still running: tell it, and answer with [`Event::HandedOver`].
    Conflict {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
        /// Who has the name on every node.
        winner: Holder,
        /// By when it has to have handed over.
        until: Duration,
    },
    /// The winner of a conflict is gone before the loser was: the agent here has its name again.
    Reinstated {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
    },
    /// The agent here has handed over, or its time is up. Stop it.
    Lost {
        /// The name.
        name: Name,
        /// The agent here.
        address: Address,
        /// Who has the name.
        winner: Holder,
    },
    /// How many times an agent is in a group.
    Group {
        /// The group.
        group: Name,
        /// The agent.
        address: Address,
        /// The node that it lives on.
        node: NodeId,
        /// How many times, 0 for no more.
        count: u32,
    },
}

/// What was refused, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamesCounters {
    /// Messages that did not parse.
    pub malformed: u64,
    /// Messages of processes that are no members.
    pub strangers: u64,
    /// Conflicts that an agent of this node lost.
    pub conflicts: u64,
    /// Pulls that this node sent.
    pub pulls: u64,
}

/// The names and groups of the cluster as one node sees them.
pub struct Names {
    pub(super) me: NodeId,
    pub(super) parameters: NamesParameters,
    pub(super) now: Duration,
    /// The members and what they wrote; this node is one of them.
    pub(super) owners: BTreeMap<BootId, Owner>,
    /// Answers lookups. Never iterated: its order is random.
    held: HashMap<Name, Held>,
    local: HashMap<Name, Address>,
    /// Group, then (agent, node's process).
    groups: HashMap<Name, BTreeMap<(Address, BootId), u32>>,
    conflicts: BTreeMap<Name, Conflict>,
    stamp: Stamp,
    pub(super) flushed: u64,
    flush_at: Option<Duration>,
    check_at: Duration,
    pub(super) random: fastrand::Rng,
    pub(super) counters: NamesCounters,
    pub(super) out: Vec<Decision>,
}

/// A member and what is known of its entries.
pub(super) struct Owner {
    pub(super) node: NodeId,
    pub(super) log: Log,
    /// The highest version that somebody has spoken of.
    pub(super) heard_of: u64,
    /// When its entries were last asked for, if no answer came yet.
    pub(super) pulled_at: Option<Duration>,
}

/// A name of class cluster: its holder, and all processes that claim it (the holder's too), in order.
struct Held {
    address: Address,
    boot: BootId,
    claimants: Vec<BootId>,
}

struct Conflict {
    address: Address,
    until: Duration,
}

impl Owner {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            log: Log::default(),
            heard_of: 0,
            pulled_at: None,
        }
    }
}

impl Names {
    /// The tables of the node `me`, which are empty. `seed` drives every random choice.
    #[must_use]
    pub fn new(me: NodeId, parameters: NamesParameters, seed: u64, now: Duration) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let check_at = now + parameters.check_interval.mul_f64(random.f64());
        let own = Owner::new(me.clone());
        Self {
            owners: BTreeMap::from([(me.boot, own)]),
            me,
            parameters,
            now,
            held: HashMap::new(),
            local: HashMap::new(),
            groups: HashMap::new(),
            conflicts: BTreeMap::new(),
            stamp: Stamp::default(),
            flushed: 0,
            flush_at: None,
            check_at,
            random,
            counters: NamesCounters::default(),
            out: Vec::new(),
        }
    }

    /// Registers `name` for an agent of this node. Doing it again changes nothing. `wall_millis` is the wall clock since 1970; when it is
    /// wrong, the worst that follows is another winner of a later conflict.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register(
        &mut self,
        name: &Name,
        address: Address,
        class: Class,
        priority: u8,
        wall_millis: u64,
    ) -> Result<(), RegisterError> {
        if let Some(holder) = self.whereis(name.as_str()) {
            if holder.address == address {
                return Ok(());
            }
            let name = name.clone();
            return Err(RegisterError::Taken { name, holder });
        }
        match class {
            Class::Local => {
                if self.local.len() >= ENTRIES_MAX {
                    return Err(RegisterError::Full);
                }
                self.local.insert(name.clone(), address);
            }
            Class::Cluster => {
                self.has_room()?;
                self.stamp = self.stamp.next(wall_millis);
                let claim = Claim {
                    address,
                    priority,
                    stamp: self.stamp,
                };
                self.write(Key::Name(name.clone()), Some(Value::Claim(claim)));
            }
        }
        Ok(())
    }

    /// Gives up a name of an agent of this node, of whichever class. False when this agent did not have it.
    pub fn unregister(&mut self, name: &Name, address: Address) -> bool {
        if self.local.get(name) == Some(&address) {
            self.local.remove(name);
            return true;
        }
        let key = Key::Name(name.clone());
        let is_own = matches!(self.own().get(&key), Some(Value::Claim(c)) if c.address == address);
        is_own && self.write(key, None)
    }

    /// Puts an agent of this node into `group`, once more if it is in it already. The group is a multiset.
    ///
    /// # Errors
    /// [`RegisterError::Full`].
    pub fn join(&mut self, group: &Name, address: Address) -> Result<(), RegisterError> {
        let key = Key::Member(group.clone(), address);
        let count = self.own_count(&key);
        if count == 0 {
            self.has_room()?;
        }
        self.write(key, Some(Value::Count(count.saturating_add(1))));
        Ok(())
    }

    /// Takes an agent of this node out of `group` once. False when it was not in it.
    pub fn leave(&mut self, group: &Name, address: Address) -> bool {
        let key = Key::Member(group.clone(), address);
        match self.own_count(&key) {
            0 => false,
            1 => self.write(key, None),
            count => self.write(key, Some(Value::Count(count - 1))),
        }
    }

    /// Who holds `name`, of class local first. From memory; may be stale.
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Holder> {
        if let Some(address) = self.local.get(name) {
            return Some(Holder {
                address: *address,
                node: self.me.clone(),
            });
        }
        let held = self.held.get(name)?;
        let node = self.owners.get(&held.boot)?.node.clone();
        let address = held.address;
        Some(Holder { address, node })
    }

    /// The address behind `name`, of class local first. The fastest lookup.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<Address> {
        let local = self.local.get(name).copied();
        local.or_else(|| self.held.get(name).map(|held| held.address))
    }

    /// The members of `group` on all nodes, an agent as often as it joined, in order of addresses.
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<Holder> {
        let Some(members) = self.groups.get(group) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(members.len());
        for ((address, boot), count) in members {
            if let Some(owner) = self.owners.get(boot) {
                let node = owner.node.clone();
                let address = *address;
                let holder = Holder { address, node };
                all.extend(std::iter::repeat_n(holder, *count as usize));
            }
        }
        all
    }

    /// The number of names of class cluster that have a holder.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no name of class cluster has a holder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What was refused so far.
    #[must_use]
    pub fn counters(&self) -> NamesCounters {
        self.counters
    }

    /// Takes `event` in at `now` and says what to do about it. Never panics, whatever the bytes in `event` are.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Decision> {
        self.now = self.now.max(now);
        match event {
            Event::Up { node } => self.up(node),
            Event::Down { boot } => self.down(boot),
            Event::Message { from, bytes } => self.message(from, &bytes),
            Event::HandedOver { name, address } => self.lose(&name, address),
            Event::Tick => self.tick(),
        }
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due next.
    #[must_use]
    pub fn next_wake(&self) -> Duration {
        let conflict = self.conflicts.values().map(|conflict| conflict.until).min();
        let wakes = [self.flush_at, conflict];
        wakes
            .into_iter()
            .flatten()
            .fold(self.check_at, Duration::min)
    }

    fn tick(&mut self) {
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.flush_at = None;
            self.announce();
        }
        if self.check_at <= self.now {
            let jitter = 0.75 + 0.5 * self.random.f64();
            self.check_at = self.now + self.parameters.check_interval.mul_f64(jitter);
            self.check();
        }
        let over: Vec<(Name, Address)> = self
            .conflicts
            .iter()
            .filter(|(_, conflict)| conflict.until <= self.now)
            .map(|(name, conflict)| (name.clone(), conflict.address))
            .collect();
        for (name, address) in over {
            self.lose(&name, address);
        }
    }

    fn up(&mut self, node: NodeId) {
        if node.boot == self.me.boot {
            return;
        }
        let boot = node.boot;
        self.owners.entry(boot).or_insert_with(|| Owner::new(node));
        self.greet(boot);
    }

    fn down(&mut self, boot: BootId) {
        if boot == self.me.boot {
            return;
        }
        let Some(owner) = self.owners.remove(&boot) else {
            return;
        };
        for key in owner.log.keys() {
            match key {
                Key::Name(name) => self.unclaim(name, boot),
                Key::Member(group, address) => {
                    self.set_member(group, *address, &owner.node, 0);
                }
            }
        }
    }

    pub(super) fn own(&self) -> &Log {
        // The entry of this node is made with the table and never removed.
        &self.owners[&self.me.boot].log
    }

    fn own_count(&self, key: &Key) -> u32 {
        match self.own().get(key) {
            Some(Value::Count(count)) => count,
            _ => 0,
        }
    }

    fn has_room(&self) -> Result<(), RegisterError> {
        if self.own().len() < ENTRIES_MAX {
            Ok(())
        } else {
            Err(RegisterError::Full)
        }
    }

    fn write(&mut self, key: Key, value: Option<Value>) -> bool {
        let boot = self.me.boot;
        let Some(owner) = self.owners.get_mut(&boot) else {
            return false;
        };
        if !owner.log.write(key.clone(), value) {
            return false;
        }
        let at = self.now + self.parameters.flush;
        self.flush_at.get_or_insert(at);
        self.changed(boot, &key);
        true
    }

    /// Brings the indexes up to date with what `boot` says about `key` now.
    pub(super) fn changed(&mut self, boot: BootId, key: &Key) {
        let Some(owner) = self.owners.get(&boot) else {
            return;
        };
        let value = owner.log.get(key);
        match key {
            Key::Name(name) => match value {
                Some(Value::Claim(claim)) => {
                    self.stamp = self.stamp.max(claim.stamp);
                    self.claim(name, boot, claim.address);
                }
                _ => self.unclaim(name, boot),
            },
            Key::Member(group, address) => {
                let count = match value {
                    Some(Value::Count(count)) => count,
                    _ => 0,
                };
                let node = owner.node.clone();
                self.set_member(group, *address, &node, count);
            }
        }
    }

    fn set_member(&mut self, group: &Name, address: Address, node: &NodeId, count: u32) {
        let members = self.groups.entry(group.clone()).or_default();
        let before = if count == 0 {
            members.remove(&(address, node.boot))
        } else {
            members.insert((address, node.boot), count)
        };
        if members.is_empty() {
            self.groups.remove(group);
        }
        if before.unwrap_or(0) != count {
            self.out.push(Decision::Tell(NameChange::Group {
                group: group.clone(),
                address,
                node: node.clone(),
                count,
            }));
        }
    }

    fn claim(&mut self, name: &Name, boot: BootId, address: Address) {
        let Some(held) = self.held.get_mut(name) else {
            let claimants = vec![boot];
            let held = Held {
                address,
                boot,
                claimants,
            };
            self.held.insert(name.clone(), held);
            return self.tell_holder(name);
        };
        if let Err(place) = held.claimants.binary_search(&boot) {
            held.claimants.insert(place, boot);
        }
        self.elect(name);
    }

    fn unclaim(&mut self, name: &Name, boot: BootId) {
        if boot == self.me.boot {
            self.conflicts.remove(name);
        }
        let Some(held) = self.held.get_mut(name) else {
            return;
        };
        held.claimants.retain(|other| *other != boot);
        if held.claimants.is_empty() {
            self.held.remove(name);
            return self.tell_holder(name);
        }
        self.elect(name);
    }

    /// Picks the holder among those who claim the name: by priority, then the later claim, then the node. Every node picks the same.
    fn elect(&mut self, name: &Name) {
        let Some(held) = self.held.get(name) else {
            return;
        };
        let key = Key::Name(name.clone());
        let winner = held
            .claimants
            .iter()
            .filter_map(|boot| {
                let owner = self.owners.get(boot)?;
                match owner.log.get(&key)? {
                    Value::Claim(claim) => Some((claim.priority, claim.stamp, &owner.node, claim)),
                    Value::Count(_) => None,
                }
            })
            .max_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));
        let Some((_, _, node, claim)) = winner else {
            return;
        };
        let winner = Holder {
            address: claim.address,
            node: node.clone(),
        };
        let is_news = held.boot != winner.node.boot || held.address != winner.address;
        if is_news && let Some(held) = self.held.get_mut(name) {
            held.boot = winner.node.boot;
            held.address = winner.address;
            self.tell_holder(name);
        }
        self.settle_own(name, &key, winner);
    }

    /// Begins or ends the conflict of this node's own claim.
    fn settle_own(&mut self, name: &Name, key: &Key, winner: Holder) {
        let Some(Value::Claim(own)) = self.own().get(key) else {
            return;
        };
        if winner.node.boot == self.me.boot {
            if let Some(conflict) = self.conflicts.remove(name) {
                self.out.push(Decision::Tell(NameChange::Reinstated {
                    name: name.clone(),
                    address: conflict.address,
                }));
            }
        } else if !self.conflicts.contains_key(name) {
            let until = self.now + self.parameters.handover;
            let address = own.address;
            self.counters.conflicts += 1;
            self.conflicts
                .insert(name.clone(), Conflict { address, until });
            self.out.push(Decision::Tell(NameChange::Conflict {
                name: name.clone(),
                address,
                winner,
                until,
            }));
        }
    }

    fn lose(&mut self, name: &Name, address: Address) {
        let is_lost = self
            .conflicts
            .get(name)
            .is_some_and(|conflict| conflict.address == address);
        if !is_lost {
            return;
        }
        let winner = self.held.get(name).and_then(|held| {
            let node = self.owners.get(&held.boot)?.node.clone();
            let address = held.address;
            Some(Holder { address, node })
        });
        self.write(Key::Name(name.clone()), None);
        if let Some(winner) = winner {
            self.out.push(Decision::Tell(NameChange::Lost {
                name: name.clone(),
                address,
                winner,
            }));
        }
    }

    fn tell_holder(&mut self, name: &Name) {
        let holder = self.held.get(name).and_then(|held| {
            let node = self.owners.get(&held.boot)?.node.clone();
            let address = held.address;
            Some(Holder { address, node })
        });
        self.out.push(Decision::Tell(NameChange::Held {
            name: name.clone(),
            holder,
        }));
    }
}
