//! Who is alive and how bytes get there.
//!
//! The crate carries bytes between nodes and keeps what all nodes should agree on: who is a member, who owns which name, who is in which
//! group. It knows nothing of what is inside an agent.
//!
//! - [`identity`]: what a node is called on the wire.
//! - [`membership`]: SWIM with its repairs; a pure core that never reads a clock and opens no socket.
//! - [`gossip`]: the packets of membership, sealed, and the UDP task that carries them.
//! - [`names`]: names and groups over the cluster; a pure core.
//! - [`partition`]: what a node does when it cannot see all of the cluster; a pure core.
//! - [`placement`]: where children run that may run on any node; a pure core.
//! - [`link`]: authenticated connections between two nodes.
//! - [`security`]: certificates, the authority that issues them, and tokens to join with.
//! - [`transport`]: how envelopes travel over them.

pub mod gossip;
pub mod identity;
pub mod link;
pub mod membership;
pub mod names;
pub mod partition;
pub mod placement;
pub mod security;
pub mod transport;
