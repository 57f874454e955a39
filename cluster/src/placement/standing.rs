//! What a node says of itself.

use super::label::Labels;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use swarm_protocols::Path;

/// The most declarations with a place in one manifest.
pub const DECLARED_MAX: usize = 1024;
/// The most placed children of one manifest, replicas counted one by one.
pub const PLACED_MAX: u32 = 10_000;

/// How a declared child is spread over the nodes that may run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// On any node; replicas fall where they fall.
    Any,
    /// On as many nodes as there are: no node has two more replicas than another that has room.
    Spread,
    /// Once on each node.
    EachNode,
}

/// Which manifest of the cluster a node runs: the higher generation rules, and of two with one generation the higher digest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Edition {
    /// 0 for the manifest that a node was started with; the first that is applied to the cluster has 1.
    pub generation: u64,
    /// What tells two of one generation apart.
    pub digest: u64,
}

/// A child, or a row of replicas, that a manifest lets run on any node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Declared {
    /// Where it stands in the tree of the node that runs it; with replicas, where `-1`, `-2`, … are added.
    pub path: Path,
    /// How many there are; none: one, at `path` itself. With [`Mode::EachNode`] there are none.
    pub replicas: Option<u32>,
    /// How they are spread.
    pub mode: Mode,
    /// The labels that a node must have.
    pub labels: Labels,
    /// How many agents each of them is, which counts against a node's room.
    pub agents: u32,
    /// What tells two declarations of one path apart.
    pub digest: u64,
}

impl Declared {
    /// The places of all its children, in order.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        let single = self.replicas.is_none().then(|| self.path.clone());
        let numbered = (1..=self.replicas.unwrap_or(0)).filter_map(|n| self.replica(n));
        single.into_iter().chain(numbered)
    }

    /// The place of one replica; none where its name would be too long.
    pub(super) fn replica(&self, n: u32) -> Option<Path> {
        Path::new(&format!("{}-{n}", self.path)).ok()
    }

    /// How many children it stands for on one node or, with replicas, on all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.replicas.unwrap_or(1)
    }
}

/// What a node has and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it is labelled with.
    pub labels: Labels,
    /// Whether it takes nothing new and gives away what it has.
    pub is_draining: bool,
    /// How many placed agents it takes at most; none: any number.
    pub room: Option<u32>,
    /// Which manifest it runs.
    pub edition: Edition,
    /// What that manifest declares. In order of paths, at most [`DECLARED_MAX`].
    pub declared: Vec<Declared>,
    /// The placed children that it starts, runs or is stopping.
    pub holds: BTreeSet<Path>,
    /// Those that it will start once every live node has heard of that and none has a better claim.
    pub claims: BTreeSet<Path>,
}

impl Standing {
    /// Whether it holds or claims this.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.holds.contains(path) || self.claims.contains(path)
    }

    /// Whether exactly this is among what it declares.
    pub(super) fn declares(&self, declared: &Declared) -> bool {
        let found = self
            .declared
            .binary_search_by(|other| other.path.cmp(&declared.path));
        found.is_ok_and(|at| self.declared[at] == *declared)
    }
}
