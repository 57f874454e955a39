//! What a node is called on the wire.

use serde::{Deserialize, Serialize};
use std::fmt;
use swarm_protocols::Name;

/// Which process of a name this is: 128 bits drawn at random when the process starts.
///
/// It tells a restart (new boot id) from a healed partition (same boot id), whatever SWIM's own generation does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub u128);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

/// One running process of the cluster: a name and the boot id of its process.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeId {
    /// The name, unique in the cluster at any time.
    pub name: Name,
    /// Which process of that name.
    pub boot: BootId,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.boot)
    }
}
