//! What the supervisors of a node are to look after: asked anew by each life of each supervisor.
//!
//! A supervisor's init reads its part of the blueprint. So a supervisor that restarts, or is told to reconfigure itself, comes to what
//! the manifest says now and to the placed children that are here now.

use super::registry::Behaviours;
use super::tree::{BadAgent, with_policy};
use crate::manifest::{Agent, Child, ChildPolicy, Children, Supervisor};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use swarm_actors::System;
use swarm_protocols::{ExitReason, Name, Path};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorInit, SupervisorSpec};
use swarm_tools::Tools;

/// The blueprint of one node. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Blueprint(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    /// Every declared supervisor.
    outlines: BTreeMap<Path, Outline>,
    /// The placed children that are to run here.
    held: BTreeSet<Path>,
}

/// One supervisor.
struct Outline {
    flags: SupervisorFlags,
    entries: Vec<Entry>,
}

/// One declaration below a supervisor.
enum Entry {
    /// An agent, or its replicas, or a template.
    Agents {
        specs: Vec<ChildSpec>,
        is_placed: bool,
    },
    Supervisor {
        path: Path,
        id: Name,
        policy: ChildPolicy,
    },
}

/// A tree's outlines, ready to be taken over.
pub(super) struct Draft(BTreeMap<Path, Outline>);

impl Draft {
    /// What a declared tree comes to.
    pub(super) fn of(
        root: &Supervisor,
        behaviours: &Behaviours,
        system: &System,
        tools: &Tools,
    ) -> Result<Self, BadAgent> {
        let mut draft = Self(BTreeMap::new());
        draft.add(root, behaviours, system, tools)?;
        Ok(draft)
    }

    fn add(
        &mut self,
        supervisor: &Supervisor,
        behaviours: &Behaviours,
        system: &System,
        tools: &Tools,
    ) -> Result<(), BadAgent> {
        let agents = |agent: &Agent| {
            let specs = behaviours.specs(agent, system, tools);
            let specs = specs.map_err(|fault| BadAgent {
                path: agent.path.clone(),
                fault,
            })?;
            Ok(Entry::Agents {
                specs,
                is_placed: agent.child.place.is_some(),
            })
        };
        let mut entries = Vec::new();
        match &supervisor.children {
            Children::Template { agent, .. } => entries.push(agents(agent)?),
            Children::Static(children) => {
                for child in children {
                    entries.push(match child {
                        Child::Agent(agent) => agents(agent)?,
                        Child::Supervisor(inner) => {
                            self.add(inner, behaviours, system, tools)?;
                            Entry::Supervisor {
                                path: inner.path.clone(),
                                id: inner.path.name().expect("only the root has no name"),
                                policy: inner.child.clone(),
                            }
                        }
                    });
                }
            }
        }
        let flags = supervisor.flags;
        self.0
            .insert(supervisor.path.clone(), Outline { flags, entries });
        Ok(())
    }
}

impl Blueprint {
    /// Goes by this from now on. Running supervisors do when they are told to.
    pub(super) fn take_over(&self, draft: Draft) {
        self.0.write().outlines = draft.0;
    }

    /// The init of the supervisor at a place.
    pub(super) fn init(&self, path: Path) -> impl SupervisorInit {
        Init {
            blueprint: self.clone(),
            path,
        }
    }

    /// Has a placed child run here: it is among its supervisor's children from the next life on.
    pub(super) fn hold(&self, path: &Path) {
        self.0.write().held.insert(path.clone());
    }

    /// Ends [`Blueprint::hold`].
    pub(super) fn let_go(&self, path: &Path) {
        self.0.write().held.remove(path);
    }

    /// Forgets which placed children are here, as when a new tree is started.
    pub(super) fn hold_nothing(&self) {
        self.0.write().held.clear();
    }

    fn supervisor(&self, id: &Name, path: &Path, policy: &ChildPolicy) -> ChildSpec {
        let init = self.init(path.clone());
        with_policy(ChildSpec::supervisor(id.clone(), init), policy)
    }

    fn spec(&self, path: &Path) -> Option<SupervisorSpec> {
        let state = self.0.read();
        let outline = state.outlines.get(path)?;
        let is_held = |id: &Name| state.held.contains(&path.child(id));
        let mut children = Vec::new();
        for entry in &outline.entries {
            match entry {
                Entry::Agents { specs, is_placed } => {
                    let here = specs.iter().filter(|spec| !is_placed || is_held(&spec.id));
                    children.extend(here.cloned());
                }
                Entry::Supervisor { id, path, policy } => {
                    if policy.place.is_none() || is_held(id) {
                        children.push(self.supervisor(id, path, policy));
                    }
                }
            }
        }
        Some(SupervisorSpec::new(outline.flags, children))
    }
}

struct Init {
    blueprint: Blueprint,
    path: Path,
}

impl SupervisorInit for Init {
    /// None when the supervisor is not declared any more.
    fn init(&self) -> Result<Option<SupervisorSpec>, ExitReason> {
        Ok(self.blueprint.spec(&self.path))
    }
}
