//! The tables and what is done to them on this node.

use super::conflict::{Conflict, Held};
use super::entry::{Claim, Holder, Key, Stamp, Value};
use super::event::{
    Class, Decision, Event, NameChange, NamesCounters, NamesParameters, RegisterError,
};
use super::log::{ENTRIES_MAX, Log};
use super::wire::{AID_BYTES_MAX, DESCRIPTION_BYTES_MAX};
use crate::identity::{BootId, NodeId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// The names and groups of the cluster as one node sees them.
pub struct Names {
    pub(super) me: NodeId,
    pub(super) parameters: NamesParameters,
    pub(super) now: Duration,
    /// The members and what they wrote; this node is one of them.
    pub(super) owners: BTreeMap<BootId, Owner>,
    /// Answers lookups. Never iterated: its order is random.
    pub(super) held: HashMap<Name, Held>,
    pub(super) local: HashMap<Name, Address>,
    /// Group, then (agent, node's process).
    pub(super) groups: HashMap<Name, BTreeMap<(Address, BootId), u32>>,
    pub(super) conflicts: BTreeMap<Name, Conflict>,
    /// Agents of this node that have lost their names to others, and have been told all there is to tell. Each until its name is free or
    /// it gives it up; no more than there are agents here that were registered.
    pub(super) losers: BTreeMap<Name, Address>,
    pub(super) stamp: Stamp,
    pub(super) flushed: u64,
    pub(super) flush_at: Option<Duration>,
    pub(super) check_at: Duration,
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
            losers: BTreeMap::new(),
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
    /// An agent whose name another node's agent has is told as the loser of a conflict is: [`NameChange::Conflict`] with the next event,
    /// later [`NameChange::Lost`], or [`NameChange::Regained`] if the name is free before; then it may be registered. Whoever registers
    /// keeps trying, or calls [`Names::unregister`].
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
            if class == Class::Cluster && holder.node.boot != self.me.boot {
                self.come_second(name, address, &holder);
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
                self.losers.remove(name);
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
        self.give_up(name, address);
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

    /// Enters what the directory facilitator of this node has of an agent, for the other nodes to know; `None` removes it. Doing it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`RegisterError::Full`] and [`RegisterError::TooLong`].
    pub fn describe(
        &mut self,
        agent: &str,
        description: Option<&str>,
    ) -> Result<(), RegisterError> {
        let key = Key::Description(agent.into());
        let value = match description {
            None => None,
            Some(text) if agent.len() <= AID_BYTES_MAX && text.len() <= DESCRIPTION_BYTES_MAX => {
                if self.own().get(&key).is_none() {
                    self.has_room()?;
                }
                Some(Value::Description(text.into()))
            }
            Some(_) => {
                let agent = agent.chars().take(64).collect();
                return Err(RegisterError::TooLong { agent });
            }
        };
        self.write(key, value);
        Ok(())
    }

    /// What other nodes have entered of their agents: AID, node, description.
    pub fn described(&self) -> impl Iterator<Item = (&str, &NodeId, &str)> {
        let others = self.owners.values().filter(|o| o.node.boot != self.me.boot);
        others.flat_map(|owner| {
            owner
                .log
                .keys()
                .filter_map(move |key| match (key, owner.log.get(key)) {
                    (Key::Description(agent), Some(Value::Description(text))) => {
                        Some((&**agent, &owner.node, &**text))
                    }
                    _ => None,
                })
        })
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
        if !self.out.is_empty() {
            return self.now;
        }
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
                Key::Description(agent) => self.out.push(Decision::Tell(NameChange::Described {
                    agent: agent.clone(),
                    node: owner.node.clone(),
                    description: None,
                })),
            }
        }
    }

    pub(super) fn own(&self) -> &Log {
        // The entry of this node is made with the table and never removed.
        &self.owners[&self.me.boot].log
    }

    fn own_count(&self, key: &Key) -> u32 {
        match self.own().get(key) {
            Some(Value::Count(count)) => *count,
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

    pub(super) fn write(&mut self, key: Key, value: Option<Value>) -> bool {
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
                Some(&Value::Claim(claim)) => {
                    self.stamp = self.stamp.max(claim.stamp);
                    self.claim(name, boot, claim.address);
                }
                _ => self.unclaim(name, boot),
            },
            Key::Member(group, address) => {
                let count = match value {
                    Some(Value::Count(count)) => *count,
                    _ => 0,
                };
                let node = owner.node.clone();
                self.set_member(group, *address, &node, count);
            }
            Key::Description(agent) if boot != self.me.boot => {
                let description = match value {
                    Some(Value::Description(text)) => Some(text.clone()),
                    _ => None,
                };
                self.out.push(Decision::Tell(NameChange::Described {
                    agent: agent.clone(),
                    node: owner.node.clone(),
                    description,
                }));
            }
            // Its own directory told it.
            Key::Description(_) => {}
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
}
