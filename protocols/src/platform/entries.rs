//! What a directory has: entries of its own with their leases, and those of the same platform's directories on other nodes.

use super::leases::Leases;
use crate::acl::{Aid, Timestamp};
use crate::sl::management::DfAgentDescription;
use std::collections::BTreeMap;

/// The entries that searches find: one for each agent, an own one before one of another node.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    own: BTreeMap<Aid, DfAgentDescription>,
    leases: Leases,
    /// How often `own` changed.
    revision: u64,
    /// By AID and node.
    elsewhere: BTreeMap<Aid, BTreeMap<String, DfAgentDescription>>,
}

/// What one agent's entry was and is.
pub(super) struct Changed {
    pub(super) before: Option<DfAgentDescription>,
    pub(super) after: Option<DfAgentDescription>,
}

impl Entries {
    pub(super) fn own(&self) -> &BTreeMap<Aid, DfAgentDescription> {
        &self.own
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The entry of an agent: of here, or else of the node whose name comes first.
    pub(super) fn get(&self, agent: &Aid) -> Option<&DfAgentDescription> {
        let of_others = || self.elsewhere.get(agent)?.values().next();
        self.own.get(agent).or_else(of_others)
    }

    /// All entries, those of here first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DfAgentDescription> {
        let of_others = self.elsewhere.iter();
        let of_others = of_others.filter(|(agent, _)| !self.own.contains_key(*agent));
        self.own
            .values()
            .chain(of_others.filter_map(|(_, nodes)| nodes.values().next()))
    }

    /// The node that has entered an agent, where that is another one.
    pub(super) fn node_of(&self, agent: &Aid) -> Option<&str> {
        let nodes = self.elsewhere.get(agent)?;
        nodes.keys().next().map(String::as_str)
    }

    /// Makes or replaces an own entry.
    pub(super) fn enter(&mut self, agent: Aid, entry: DfAgentDescription) -> Changed {
        self.revision += 1;
        self.leases.set(&agent, entry.lease_time);
        let before = self.own.insert(agent.clone(), entry.clone());
        if let Some(before) = &before
            && before.lease_time != entry.lease_time
        {
            self.leases.end(&agent, before.lease_time);
        }
        Changed {
            before,
            after: Some(entry),
        }
    }

    /// Takes an own entry out.
    pub(super) fn remove(&mut self, agent: &Aid) -> Option<Changed> {
        let before = self.own.remove(agent)?;
        self.revision += 1;
        self.leases.end(agent, before.lease_time);
        Some(Changed {
            before: Some(before),
            after: self.get(agent).cloned(),
        })
    }

    /// Another node has entered or changed an agent, or removed it (`None`).
    pub(super) fn hear(
        &mut self,
        node: &str,
        agent: &Aid,
        entry: Option<DfAgentDescription>,
    ) -> Changed {
        let before = self.get(agent).cloned();
        match entry {
            Some(entry) => {
                let nodes = self.elsewhere.entry(agent.clone()).or_default();
                nodes.insert(node.to_owned(), entry);
            }
            None => {
                if let Some(nodes) = self.elsewhere.get_mut(agent) {
                    nodes.remove(node);
                    if nodes.is_empty() {
                        self.elsewhere.remove(agent);
                    }
                }
            }
        }
        Changed {
            before,
            after: self.get(agent).cloned(),
        }
    }

    /// When the next lease is over.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.leases.next()
    }

    /// Whose lease is over, one at a time. Its entry is still there.
    pub(super) fn over(&mut self, now: Timestamp) -> Option<Aid> {
        self.leases.over(now)
    }
}
