//! What of a manifest may run on any node.

use crate::manifest::{Child, Children, Supervisor};
use swarm_cluster::placement::{Declared, digest_of};

/// The children with a place, those of nested supervisors among them.
pub(crate) fn declared(root: &Supervisor) -> Vec<Declared> {
    let mut found = Vec::new();
    add(root, &mut found);
    found
}

/// How many agents a tree starts on every node that runs it.
pub(crate) fn fixed_agents(supervisor: &Supervisor) -> u64 {
    let Children::Static(children) = &supervisor.children else {
        return supervisor.agents_at_start();
    };
    let here = children
        .iter()
        .filter(|child| child.policy().place.is_none());
    here.map(|child| match child {
        Child::Agent(agent) => u64::from(agent.replicas.unwrap_or(1)),
        Child::Supervisor(inner) => fixed_agents(inner),
    })
    .sum()
}

fn add(supervisor: &Supervisor, found: &mut Vec<Declared>) {
    let Children::Static(children) = &supervisor.children else {
        return;
    };
    for child in children {
        let Some(place) = &child.policy().place else {
            if let Child::Supervisor(inner) = child {
                add(inner, found);
            }
            continue;
        };
        let (replicas, agents) = match child {
            Child::Agent(agent) => (agent.replicas, 1),
            Child::Supervisor(inner) => {
                let agents = u32::try_from(inner.agents_at_start()).unwrap_or(u32::MAX);
                (None, agents)
            }
        };
        found.push(Declared {
            path: child.path().clone(),
            replicas,
            mode: place.mode,
            labels: place.labels.clone(),
            agents,
            digest: digest_of(&format!("{child:?}")),
        });
    }
}
