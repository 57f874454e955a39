//! `agents_max` of the node and `children_max` of supervisors: what a manifest declares must fit its own bounds.

use super::declared::Declared;
use super::problem::Problems;
use std::collections::BTreeMap;
use swarm_protocols::Path;

/// Checks both. What is placed counts where it runs, so not here; it counts for its supervisor, which may have all of it.
pub(super) fn check(declared: &Declared, problems: &mut Problems<'_>) {
    let mut children: BTreeMap<Path, u64> = BTreeMap::new();
    let mut is_placed_at: BTreeMap<&Path, bool> = BTreeMap::new();
    for supervisor in &declared.supervisors {
        is_placed_at.insert(&supervisor.path, supervisor.child.place.is_some());
        if let Some(parent) = supervisor.path.parent() {
            *children.entry(parent).or_default() += 1;
        }
    }
    let mut agents = 0_u64;
    for agent in &declared.agents {
        let count = u64::from(agent.replicas.as_ref().map_or(1, |replicas| replicas.value));
        let mut is_placed = agent.child.place.is_some();
        let mut above = agent.path.parent();
        if let Some(parent) = above.clone() {
            *children.entry(parent).or_default() += count;
        }
        while let Some(path) = above {
            is_placed |= is_placed_at.get(&path).copied().unwrap_or(false);
            above = path.parent();
        }
        agents += if is_placed { 0 } else { count };
    }
    for supervisor in &declared.supervisors {
        let count = children.get(&supervisor.path).copied().unwrap_or(0);
        if let Some(max) = &supervisor.children_max
            && count > u64::from(max.value)
        {
            problems.note(
                &max.span,
                format!("{}.children_max", supervisor.key),
                format!("{} declares {count} children", supervisor.path),
                Some(count.to_string()),
            );
        }
    }
    if let Some(max) = &declared.node.agents_max
        && agents > u64::from(max.value)
    {
        problems.note_line(
            max.line,
            "node.agents_max",
            format!("the manifest starts {agents} agents on every node"),
            Some(agents.to_string()),
        );
    }
}
