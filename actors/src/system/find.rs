//! Who is there: by path, by name, by address, in groups.

use super::System;
use crate::groups::Groups;
use crate::info::ActorInfo;
use crate::reference::{AgentRef, AnyRef};
use crate::registry::{Cells, Names};
use crate::remote::Remotes;
use crate::services::is_service;
use crate::transport::{Place, Transport};
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_protocols::{Address, Name, Path};

impl System {
    /// The agent at a place in the tree.
    #[must_use]
    pub fn lookup(&self, path: &Path) -> Option<AnyRef> {
        self.0.cells.get(path)
    }

    /// The agent at a place in the tree, if it takes messages of type `M`.
    #[must_use]
    pub fn lookup_typed<M: crate::Message>(&self, path: &Path) -> Option<AgentRef<M>> {
        self.lookup(path)?.typed()
    }

    /// The agent that is registered under a name: here, or else on another node, as far as the transport knows.
    #[must_use]
    pub fn whereis(&self, name: &Name) -> Option<AnyRef> {
        let here = self.0.names.get(name.as_str());
        if let Some((agent, false)) = here {
            return Some(agent);
        }
        let place = self
            .remotes()
            .and_then(|remotes| remotes.transport().whereis(name));
        match place {
            Some(place) => Some(self.at(&place)),
            None => here.map(|(agent, _)| agent),
        }
    }

    /// Notes whether the agent here that is registered under a name gives way to one of another node: then that one is found by it.
    /// For whoever settles conflicts of names. Of no effect when the agent does not have the name.
    pub fn give_way(&self, name: &Name, agent: Address, is_giving_way: bool) {
        self.0.names.give_way(name, agent, is_giving_way);
    }

    /// Reaches other nodes through `transport` from now on. Once: a second one is not taken, and false is returned.
    pub fn attach(&self, transport: Arc<dyn Transport>) -> bool {
        let remotes = Arc::new(Remotes::new(transport, self.runtime().clone()));
        let is_first = self.0.remotes.set(remotes).is_ok();
        if is_first {
            self.0.cells.index();
        }
        is_first
    }

    /// The agent with this address: here, or on another node that something came from lately in its name. What answers a sender.
    #[must_use]
    pub fn find(&self, address: Address) -> Option<AnyRef> {
        self.find_local(address).or_else(|| {
            let node = self.remotes()?.node_of(address)?;
            Some(self.remote(&node, address, None))
        })
    }

    /// The agent at a place in the cluster.
    #[must_use]
    pub fn at(&self, place: &Place) -> AnyRef {
        if place.node == *self.node()
            && let Some(local) = self.find_local(place.address)
        {
            return local;
        }
        self.remote(&place.node, place.address, Some(&place.path))
    }

    /// All registered names.
    #[must_use]
    pub fn registered(&self) -> BTreeMap<Name, AnyRef> {
        self.0.names.list()
    }

    /// The members of a group, each once: those here first, then those of other nodes that the transport knows.
    #[must_use]
    pub fn group(&self, name: &Name) -> Vec<AnyRef> {
        let mut members = self.group_here(name);
        if let Some(remotes) = self.remotes() {
            let places = remotes.transport().members(name);
            members.extend(places.iter().map(|place| self.at(place)));
        }
        members
    }

    /// The members of a group on this node, each once.
    #[must_use]
    pub fn group_here(&self, name: &Name) -> Vec<AnyRef> {
        self.0.groups.members(name.as_str())
    }

    /// All groups with members, and how many each has.
    #[must_use]
    pub fn groups(&self) -> Vec<(Name, usize)> {
        self.0.groups.list()
    }

    /// All agents of the tree; the node's own are [`System::service_agents`].
    #[must_use]
    pub fn agents(&self) -> Vec<AnyRef> {
        let mut agents = self.0.cells.all();
        agents.retain(|agent| !is_service(agent.path()));
        agents
    }

    /// How many agents there are, the node's own among them.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.0.cells.len()
    }

    /// All agents and supervisors of the tree, in order of path. Plain ractor children are known to their supervisor only.
    #[must_use]
    pub fn actors(&self) -> Vec<ActorInfo> {
        let mut actors: Vec<ActorInfo> = self.agents().iter().map(AnyRef::info).collect();
        let supervisors = self.0.supervisors.read();
        let of_the_tree = supervisors.iter().filter(|(path, _)| !is_service(path));
        actors.extend(of_the_tree.map(|(path, line)| ActorInfo {
            path: path.clone(),
            kind: "supervisor".to_owned(),
            state: line.state,
            node: self.node().clone(),
            groups: Vec::new(),
            restarts: line.restarts,
            mailbox: 0,
            address: line.pid.address,
            incarnation: line.pid.incarnation,
            began_ms: line.began_ms,
            turns: 0,
            mailbox_ms: 0,
        }));
        drop(supervisors);
        actors.sort_by(|a, b| a.path.cmp(&b.path));
        actors
    }

    pub(crate) fn remotes(&self) -> Option<Arc<Remotes>> {
        self.0.remotes.get().cloned()
    }

    /// The agent with this address, if it lives here. Only with a transport: nobody else knows agents by it.
    pub(crate) fn find_local(&self, address: Address) -> Option<AnyRef> {
        self.0.cells.find(address)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn cells_table(&self) -> &Cells {
        &self.0.cells
    }

    pub(crate) fn groups_table(&self) -> &Groups {
        &self.0.groups
    }
}
