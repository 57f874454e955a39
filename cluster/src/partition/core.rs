//! The state machine.

use super::{Decision, Event, PartitionParameters, Side, Strategy};
use crate::identity::{BootId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_protocols::Name;

/// Partitions as one node sees them. A pure function of (state, event, now); `now` never goes back.
pub struct Partition {
    me: Name,
    parameters: PartitionParameters,
    /// Who was a member when all were last seen, or when it was last decided to go on without the others. Those who come while somebody
    /// is missing count only after that: a side must not grow into a majority.
    agreed: BTreeSet<Name>,
    /// Who is there.
    alive: BTreeMap<Name, BootId>,
    suspects: BTreeSet<Name>,
    /// Without whom it was decided to go on.
    lost: BTreeSet<Name>,
    changed_at: Duration,
    /// The change that the last decision was made after.
    decided_for: Option<Duration>,
    side: Side,
    out: Vec<Decision>,
}

impl Partition {
    /// A node that knows nobody. With a static quorum of more than one it is on the lesser side until the others are there.
    #[must_use]
    pub fn new(me: &NodeId, parameters: PartitionParameters) -> Self {
        let mut new = Self {
            me: me.name.clone(),
            parameters,
            agreed: BTreeSet::from([me.name.clone()]),
            alive: BTreeMap::from([(me.name.clone(), me.boot)]),
            suspects: BTreeSet::new(),
            lost: BTreeSet::new(),
            changed_at: Duration::ZERO,
            decided_for: None,
            side: Side::Whole,
            out: Vec::new(),
        };
        if !new.has_quorum() {
            new.side = Side::Lesser;
        }
        new
    }

    /// Where this node is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// The members that are missing: undecided ones, and those without whom this side goes on.
    #[must_use]
    pub fn missing(&self) -> Vec<Name> {
        let gone = self.agreed.iter().filter(|n| !self.alive.contains_key(*n));
        gone.chain(&self.lost).cloned().collect()
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Decision> {
        match event {
            Event::Up { node } => {
                self.changed_at = now;
                self.suspects.remove(&node.name);
                self.lost.remove(&node.name);
                self.alive.insert(node.name, node.boot);
            }
            Event::Suspect { node } => {
                if self.is_there(&node) {
                    self.changed_at = now;
                    self.suspects.insert(node.name);
                }
            }
            Event::Refuted { node } => {
                if self.is_there(&node) && self.suspects.remove(&node.name) {
                    self.changed_at = now;
                }
            }
            Event::Down { node } => self.down(&node, now),
            Event::Left { node } => {
                if self.is_there(&node) {
                    self.forget(&node.name, now);
                } else if !self.alive.contains_key(&node.name) {
                    // It was missing, and somebody knows that it went in order.
                    self.forget(&node.name, now);
                }
            }
            Event::Tick => {}
        }
        self.decide(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due; none while nothing waits.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let is_missing = |name: &Name| !self.alive.contains_key(name);
        let waits = self.suspects.is_empty()
            && self.decided_for != Some(self.changed_at)
            && self.agreed.iter().any(is_missing);
        waits.then(|| self.changed_at + self.parameters.stable_after)
    }

    fn is_there(&self, node: &NodeId) -> bool {
        self.alive.get(&node.name) == Some(&node.boot)
    }

    fn down(&mut self, node: &NodeId, now: Duration) {
        // A verdict on an earlier process of that name says nothing about this one.
        if !self.is_there(node) || node.name == self.me {
            return;
        }
        self.changed_at = now;
        self.alive.remove(&node.name);
        self.suspects.remove(&node.name);
        if self.agreed.contains(&node.name) {
            let missing = self.missing();
            let agreed = self.agreed.len();
            self.out.push(Decision::Detected { missing, agreed });
            if self.side == Side::Whole || self.side == Side::Greater {
                self.go_to(Side::Undecided);
            }
        }
    }

    fn forget(&mut self, name: &Name, now: Duration) {
        self.changed_at = now;
        self.alive.remove(name);
        self.suspects.remove(name);
        self.agreed.remove(name);
        self.lost.remove(name);
    }

    fn decide(&mut self, now: Duration) {
        let is_missing = |name: &Name| !self.alive.contains_key(name);
        if !self.agreed.iter().any(is_missing) {
            return self.nobody_is_missing();
        }
        let is_stable =
            self.suspects.is_empty() && now >= self.changed_at + self.parameters.stable_after;
        if !is_stable {
            return;
        }
        self.decided_for = Some(self.changed_at);
        if self.may_go_on() {
            let alive: BTreeSet<Name> = self.alive.keys().cloned().collect();
            self.lost.extend(self.agreed.difference(&alive).cloned());
            self.agreed = alive;
            self.go_to(Side::Greater);
        } else {
            self.go_to(Side::Lesser);
        }
    }

    /// All that were agreed on are there; so may be others, who are agreed on now.
    fn nobody_is_missing(&mut self) {
        self.agreed = self.alive.keys().cloned().collect();
        if !self.has_quorum() {
            return self.go_to(Side::Lesser);
        }
        if !self.lost.is_empty() {
            return self.go_to(Side::Greater);
        }
        if self.side != Side::Whole {
            self.go_to(Side::Whole);
            self.out.push(Decision::Healed);
        }
    }

    fn may_go_on(&self) -> bool {
        let here = self.agreed.iter().filter(|n| self.alive.contains_key(*n));
        let here = here.count();
        match self.parameters.strategy {
            Strategy::None => true,
            Strategy::StaticQuorum { .. } => self.has_quorum(),
            Strategy::KeepMajority if here * 2 == self.agreed.len() => {
                let first = self.agreed.first();
                first.is_some_and(|first| self.alive.contains_key(first))
            }
            Strategy::KeepMajority => here * 2 > self.agreed.len(),
        }
    }

    fn has_quorum(&self) -> bool {
        match self.parameters.strategy {
            Strategy::StaticQuorum { size } => self.alive.len() >= size as usize,
            Strategy::None | Strategy::KeepMajority => true,
        }
    }

    fn go_to(&mut self, side: Side) {
        if self.side != side {
            self.side = side;
            self.out.push(Decision::Side(side));
        }
    }
}
