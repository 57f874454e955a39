//! From a manifest to what a supervisor starts.

use super::registry::Behaviours;
use crate::manifest::component::{Class, Wasm};
use crate::manifest::{Agent, Child, ChildPolicy, Children, Code, ConfigFault, Supervisor};
use std::collections::BTreeMap;
use swarm_actors::System;
use swarm_protocols::{Name, Path};
use swarm_supervisors::ChildSpec;

/// An agent whose behaviour does not take its configuration after all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct BadAgent {
    /// Which one.
    pub path: Path,
    /// What its behaviour says.
    #[source]
    pub fault: ConfigFault,
}

/// Whether any agent of a tree needs the node's journal.
pub(super) fn needs_journal(supervisor: &Supervisor, behaviours: &Behaviours) -> bool {
    match &supervisor.children {
        Children::Template { agent, .. } => behaviours.needs_journal(agent),
        Children::Static(declared) => declared.iter().any(|child| match child {
            Child::Agent(agent) => behaviours.needs_journal(agent),
            Child::Supervisor(inner) => needs_journal(inner, behaviours),
        }),
    }
}

/// How many instances of a template there is room for at least.
const TEMPLATE_ROOM: u64 = 1000;

/// Calls `each` with every WebAssembly agent of a tree, its component, and how many of it there may be.
pub(super) fn for_each_component<'t, E>(
    supervisor: &'t Supervisor,
    each: &mut impl FnMut(&'t Agent, &'t Wasm, u64) -> Result<(), E>,
) -> Result<(), E> {
    match &supervisor.children {
        Children::Template { agent, instances } => match &agent.code {
            Code::Wasm(wasm) => each(agent, wasm, u64::from(*instances).max(TEMPLATE_ROOM)),
            Code::Native(_) => Ok(()),
        },
        Children::Static(children) => children.iter().try_for_each(|child| match child {
            Child::Supervisor(inner) => for_each_component(inner, each),
            Child::Agent(agent) => match &agent.code {
                Code::Wasm(wasm) => each(agent, wasm, u64::from(agent.replicas.unwrap_or(1))),
                Code::Native(_) => Ok(()),
            },
        }),
    }
}

/// Makes room for the WebAssembly agents of a tree.
pub(super) fn reserve(tree: &Supervisor, behaviours: &Behaviours) -> Result<(), BadAgent> {
    let mut counts: BTreeMap<Class, u64> = BTreeMap::new();
    let mut last = None;
    for_each_component(tree, &mut |agent, wasm, count| {
        *counts.entry(wasm.class).or_default() += count;
        last = Some(agent.path.clone());
        Ok::<(), BadAgent>(())
    })?;
    let Some(path) = last else {
        return Ok(());
    };
    let reserved = behaviours
        .components()
        .and_then(|components| components.reserve(&counts));
    reserved.map_err(|fault| BadAgent { path, fault })
}

/// Compiles every component of a tree and checks its types, without starting anything. Blocks for as long as that takes.
///
/// # Errors
/// [`BadAgent`]: the first that could not be started.
pub fn compile_all(tree: &Supervisor, behaviours: &Behaviours) -> Result<(), BadAgent> {
    reserve(tree, behaviours)?;
    for_each_component(tree, &mut |agent, wasm, _| {
        let compiled = behaviours
            .components()
            .and_then(|components| components.compile(wasm));
        compiled.map_err(|fault| BadAgent {
            path: agent.path.clone(),
            fault,
        })
    })
}

pub(super) fn with_policy(mut spec: ChildSpec, policy: &ChildPolicy) -> ChildSpec {
    spec = spec
        .restart(policy.restart)
        .shutdown(policy.shutdown)
        .significant(policy.significant);
    if let Some(delay) = policy.restart_delay {
        spec = spec.restart_delay(delay);
    }
    if let Some(timeout) = policy.start_timeout {
        spec = spec.start_timeout(timeout);
    }
    spec
}

/// Starts the instances that the manifest wants of its templates. Says which could not be started.
pub(super) async fn start_instances(system: &System, tree: &Supervisor) -> Vec<String> {
    let mut failures = Vec::new();
    for (path, stem, instances) in templates(tree) {
        let Some(supervisor) = system.supervisor(&path).await else {
            failures.push(format!(
                "{path} has no running supervisor to start its instances"
            ));
            continue;
        };
        for n in 1..=instances {
            let Ok(name) = Name::new(&format!("{stem}-{n}")) else {
                continue;
            };
            if let Err(error) = supervisor.start_instance(Some(name.clone()), None).await {
                failures.push(format!("{path}: instance {name} did not start: {error}"));
            }
        }
    }
    failures
}

fn templates(supervisor: &Supervisor) -> Vec<(Path, Name, u32)> {
    match &supervisor.children {
        Children::Template { agent, instances } => match agent.path.name() {
            Some(stem) if *instances > 0 => vec![(supervisor.path.clone(), stem, *instances)],
            _ => Vec::new(),
        },
        Children::Static(children) => children
            .iter()
            .flat_map(|child| match child {
                Child::Supervisor(inner) => templates(inner),
                Child::Agent(_) => Vec::new(),
            })
            .collect(),
    }
}
