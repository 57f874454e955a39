//! The tree as its manifest orders it.

use super::listing::natural;
use super::{restart_word, supervision};
use crate::api::types::TreeNode;
use crate::manifest::{Child, Children, Declaration, Manifest, Supervisor};
use std::collections::HashMap;
use swarm_actors::ActorInfo;
use swarm_protocols::Path;

/// The tree from `top` down, in the order of the manifest; what it does not declare comes last, by path.
pub(in crate::api) fn tree(
    manifest: &Manifest,
    actors: &[ActorInfo],
    top: &Path,
    depth: Option<u64>,
) -> Option<TreeNode> {
    let declared = Declarations::of(manifest);
    let mut known: HashMap<&str, &ActorInfo> = HashMap::with_capacity(actors.len());
    let mut below: HashMap<String, Vec<(usize, &ActorInfo)>> = HashMap::new();
    for actor in actors {
        known.insert(actor.path.as_str(), actor);
        if let Some(parent) = actor.path.parent() {
            let place = declared
                .find(&actor.path)
                .map_or(usize::MAX, |(place, _)| place);
            below.entry(parent.into()).or_default().push((place, actor));
        }
    }
    for children in below.values_mut() {
        children.sort_by(|(place_a, a), (place_b, b)| {
            place_a.cmp(place_b).then_with(|| natural(&a.path, &b.path))
        });
    }
    let view = TreeView { declared, below };
    known.get(top.as_str()).map(|info| view.node(info, depth))
}

/// What a manifest declares, by path, with its place in the order of the file.
struct Declarations<'m>(HashMap<&'m str, (usize, Declaration<'m>)>);

impl<'m> Declarations<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let mut declarations = Self(HashMap::new());
        declarations.add(&manifest.root);
        declarations
    }

    fn add(&mut self, supervisor: &'m Supervisor) {
        let place = self.0.len();
        self.0.insert(
            supervisor.path.as_str(),
            (place, Declaration::Supervisor(supervisor)),
        );
        for child in supervisor.static_children() {
            match child {
                Child::Supervisor(inner) => self.add(inner),
                Child::Agent(agent) => {
                    let place = self.0.len();
                    self.0
                        .insert(agent.path.as_str(), (place, Declaration::Agent(agent)));
                }
            }
        }
    }

    /// As [`Manifest::find`], in constant time.
    fn find(&self, path: &Path) -> Option<(usize, Declaration<'m>)> {
        let stem = || path.as_str().rsplit_once('-').map(|(stem, _)| stem);
        for candidate in [Some(path.as_str()), stem()].into_iter().flatten() {
            match self.0.get(candidate) {
                Some((place, Declaration::Agent(agent))) if agent.is_at(path) => {
                    return Some((*place, Declaration::Agent(agent)));
                }
                Some((place, Declaration::Supervisor(supervisor))) if &supervisor.path == path => {
                    return Some((*place, Declaration::Supervisor(supervisor)));
                }
                _ => {}
            }
        }
        match self.0.get(path.parent()?.as_str())? {
            (place, Declaration::Supervisor(supervisor)) => match &supervisor.children {
                Children::Template { agent, .. } => Some((*place, Declaration::Template(agent))),
                Children::Static(_) => None,
            },
            _ => None,
        }
    }
}

struct TreeView<'m, 'a> {
    declared: Declarations<'m>,
    below: HashMap<String, Vec<(usize, &'a ActorInfo)>>,
}

impl TreeView<'_, '_> {
    fn node(&self, info: &ActorInfo, depth: Option<u64>) -> TreeNode {
        let path = &info.path;
        let children = self.below.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        let (restart, flags) = match self.declared.find(path) {
            Some((_, Declaration::Supervisor(supervisor))) => (
                (!path.is_root()).then_some(supervisor.child.restart),
                Some(supervision(&supervisor.flags)),
            ),
            Some((_, Declaration::Agent(agent) | Declaration::Template(agent))) => {
                (Some(agent.child.restart), None)
            }
            None => (None, None),
        };
        let shown = depth != Some(0);
        TreeNode {
            path: path.to_string(),
            kind: info.kind.clone(),
            state: info.state.as_str().to_owned(),
            restarts: info.restarts.into(),
            mailbox: info.mailbox,
            incarnation: info.incarnation.0,
            restart: restart.map(|restart| restart_word(restart).to_owned()),
            supervision: flags,
            children: if shown {
                children
                    .iter()
                    .map(|(_, child)| self.node(child, depth.map(|depth| depth - 1)))
                    .collect()
            } else {
                Vec::new()
            },
            omitted: if shown { 0 } else { children.len() as u64 },
        }
    }
}
