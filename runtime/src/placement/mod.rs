//! Placed children of a node, and partitions: the task that runs the pure core of [`swarm_cluster::placement`] beside the node's tree.
//!
//! It hears who is a member, says and hears what each node has, and starts and stops children below the node's own supervisors. It
//! decides nothing by itself. Beside it runs the core of [`swarm_cluster::partition`], in the same task: what that one decides, placement hears
//! before anything else. Without a cluster it runs as well: a node alone has everything.

mod declared;
mod driver;
mod sides;

pub(crate) use declared::{declared, fixed_agents};
pub(crate) use driver::{PlacementHandle, start};
