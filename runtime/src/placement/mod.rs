//! Placed children of a node: the task that runs the pure core of [`swarm_cluster::placement`] beside the node's tree.
//!
//! It hears who is a member, says and hears what each node has, and starts and stops children below the node's own supervisors. It
//! decides nothing by itself. Without a cluster it runs as well: a node alone has everything.

mod declared;
mod driver;

pub(crate) use declared::declared;
pub(crate) use driver::{PlacementHandle, start};
