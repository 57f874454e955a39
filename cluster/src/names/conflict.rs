//! Who holds a name, when more than one claims it.

use super::entry::{Holder, Key, Value};
use super::event::{Decision, NameChange};
use super::table::Names;
use crate::identity::BootId;
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// A name of class cluster: its holder, and all processes that claim it (the holder's too), in order.
pub(super) struct Held {
    pub(super) address: Address,
    pub(super) boot: BootId,
    pub(super) claimants: Vec<BootId>,
}

/// An agent of this node that loses its name, or came second, and has time to hand over.
pub(super) struct Conflict {
    pub(super) address: Address,
    pub(super) until: Duration,
}

impl Names {
    pub(super) fn claim(&mut self, name: &Name, boot: BootId, address: Address) {
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

    pub(super) fn unclaim(&mut self, name: &Name, boot: BootId) {
        if boot == self.me.boot {
            self.conflicts.remove(name);
        }
        let Some(held) = self.held.get_mut(name) else {
            return;
        };
        held.claimants.retain(|other| *other != boot);
        if held.claimants.is_empty() {
            self.held.remove(name);
            self.tell_holder(name);
            return self.come_free(name);
        }
        self.elect(name);
    }

    /// An agent here is registered under a name that an agent of another node has.
    pub(super) fn come_second(&mut self, name: &Name, address: Address, winner: &Holder) {
        let is_told = self.losers.get(name) == Some(&address)
            || self
                .conflicts
                .get(name)
                .is_some_and(|conflict| conflict.address == address);
        if !is_told {
            self.losers.remove(name);
            self.begin_conflict(name, address, winner.clone());
        }
    }

    /// Nobody has the name: the one here that lost it, or came second, may have it again.
    fn come_free(&mut self, name: &Name) {
        let conflict = self.conflicts.remove(name);
        let loser = self.losers.remove(name);
        if let Some(address) = conflict.map(|conflict| conflict.address).or(loser) {
            let name = name.clone();
            self.out
                .push(Decision::Tell(NameChange::Regained { name, address }));
        }
    }

    /// An agent here no longer wants the name: nothing more is told about it.
    pub(super) fn give_up(&mut self, name: &Name, address: Address) {
        if self.losers.get(name) == Some(&address) {
            self.losers.remove(name);
        }
        if let Some(conflict) = self.conflicts.get(name)
            && conflict.address == address
        {
            self.conflicts.remove(name);
            // Perhaps nobody was told yet.
            self.out.retain(|decision| {
                !matches!(decision, Decision::Tell(NameChange::Conflict { name: told, .. }) if told == name)
            });
        }
    }

    fn begin_conflict(&mut self, name: &Name, address: Address, winner: Holder) {
        let until = self.now + self.parameters.handover;
        self.counters.conflicts += 1;
        let name = name.clone();
        self.conflicts
            .insert(name.clone(), Conflict { address, until });
        self.out.push(Decision::Tell(NameChange::Conflict {
            name,
            address,
            winner,
            until,
        }));
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
                    Value::Count(_) | Value::Description(_) => None,
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
        let address = own.address;
        if winner.node.boot == self.me.boot {
            if let Some(conflict) = self.conflicts.remove(name) {
                self.out.push(Decision::Tell(NameChange::Regained {
                    name: name.clone(),
                    address: conflict.address,
                }));
            }
        } else if !self.conflicts.contains_key(name) {
            self.begin_conflict(name, address, winner);
        }
    }

    /// The loser has handed over, or its time is up.
    pub(super) fn lose(&mut self, name: &Name, address: Address) {
        let is_lost = self
            .conflicts
            .get(name)
            .is_some_and(|conflict| conflict.address == address);
        if !is_lost {
            return;
        }
        self.conflicts.remove(name);
        self.losers.insert(name.clone(), address);
        let winner = self.holder(name);
        // Not there if it came second.
        self.write(Key::Name(name.clone()), None);
        if let Some(winner) = winner {
            self.out.push(Decision::Tell(NameChange::Lost {
                name: name.clone(),
                address,
                winner,
            }));
        }
    }

    fn holder(&self, name: &Name) -> Option<Holder> {
        let held = self.held.get(name)?;
        let node = self.owners.get(&held.boot)?.node.clone();
        let address = held.address;
        Some(Holder { address, node })
    }

    fn tell_holder(&mut self, name: &Name) {
        let holder = self.holder(name);
        self.out.push(Decision::Tell(NameChange::Held {
            name: name.clone(),
            holder,
        }));
    }
}
