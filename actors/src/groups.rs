//! Groups: a name for a multiset of agents (otp.md B2, pg). Joining k times takes k leaves; an agent's final end removes it.

use crate::reference::AnyRef;
use crate::signal::{GroupChange, Signal};
use crate::sync_plain::RwLock;
use std::collections::BTreeMap;
use swarm_protocols::{Address, Name};

struct Member {
    reference: AnyRef,
    count: u32,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<Address, Member>,
    monitors: BTreeMap<Address, AnyRef>,
}

/// The groups of a system. An empty group that nobody monitors is no group.
#[derive(Default)]
pub(crate) struct Groups {
    groups: RwLock<BTreeMap<Name, Group>>,
}

impl Groups {
    pub(crate) fn join(&self, name: &Name, member: &AnyRef) {
        let mut groups = self.groups.write();
        let group = groups.entry(name.clone()).or_default();
        let entry = group
            .members
            .entry(member.address())
            .or_insert_with(|| Member {
                reference: member.clone(),
                count: 0,
            });
        entry.count += 1;
        let count = entry.count;
        group.tell(name, member.address(), count, true);
    }

    /// How often it is a member still; `None` when it was none.
    pub(crate) fn leave(&self, name: &Name, member: Address) -> Option<u32> {
        let mut groups = self.groups.write();
        let group = groups.get_mut(name)?;
        let entry = group.members.get_mut(&member)?;
        entry.count -= 1;
        let count = entry.count;
        if count == 0 {
            group.members.remove(&member);
        }
        group.tell(name, member, count, false);
        if group.is_nothing() {
            groups.remove(name);
        }
        Some(count)
    }

    /// Removes a member from the groups named, however often it joined.
    pub(crate) fn leave_all(&self, names: &[Name], member: Address) {
        let mut groups = self.groups.write();
        for name in names {
            let Some(group) = groups.get_mut(name) else {
                continue;
            };
            group.monitors.remove(&member);
            if group.members.remove(&member).is_some() {
                group.tell(name, member, 0, false);
            }
            if group.is_nothing() {
                groups.remove(name);
            }
        }
    }

    /// The members now, each with its count; from here on `watcher` is told of every change.
    pub(crate) fn monitor(&self, name: &Name, watcher: AnyRef) -> Vec<(AnyRef, u32)> {
        let mut groups = self.groups.write();
        let group = groups.entry(name.clone()).or_default();
        group.monitors.insert(watcher.address(), watcher);
        group
            .members
            .values()
            .map(|m| (m.reference.clone(), m.count))
            .collect()
    }

    pub(crate) fn demonitor(&self, name: &Name, watcher: Address) {
        let mut groups = self.groups.write();
        if let Some(group) = groups.get_mut(name) {
            group.monitors.remove(&watcher);
            if group.is_nothing() {
                groups.remove(name);
            }
        }
    }

    /// Each member once, in order of address.
    pub(crate) fn members(&self, name: &str) -> Vec<AnyRef> {
        self.groups.read().get(name).map_or_else(Vec::new, |group| {
            group
                .members
                .values()
                .map(|m| m.reference.clone())
                .collect()
        })
    }

    /// All groups that have members, with how many.
    pub(crate) fn list(&self) -> Vec<(Name, usize)> {
        self.groups
            .read()
            .iter()
            .filter(|(_, group)| !group.members.is_empty())
            .map(|(name, group)| (name.clone(), group.members.len()))
            .collect()
    }
}

impl Group {
    fn is_nothing(&self) -> bool {
        self.members.is_empty() && self.monitors.is_empty()
    }

    // Under the groups' lock, so that every watcher sees the changes in their order. A signal push takes only the
    // watcher's inbox lock.
    fn tell(&self, name: &Name, address: Address, count: u32, joined: bool) {
        for watcher in self.monitors.values() {
            watcher.signal_to(
                watcher.incarnation(),
                Signal::Group(GroupChange {
                    group: name.clone(),
                    address,
                    count,
                    joined,
                }),
            );
        }
    }
}
