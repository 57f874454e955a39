//! The node as a member of a cluster: who it is, whom it trusts, its links, its gossip, and those it lets in.
//!
//! [`Cluster`] puts the parts of `swarm-cluster` together for one node and keeps what must outlive the process in the data folder: the
//! cluster's id and roots, the node's certificate, its copy of the ledger (gossip keys, tokens as hashes, names that were thrown out) and, on
//! voters, the authority. All of it is in one file that is sealed with a key in a second file; both are readable by the node's user only.
//!
//! It decides nothing about agents: with a cluster, [`swarm_actors::System`] gets a transport, and verdicts reach it.

mod admission;
mod attend;
mod certificates;
mod cut;
mod descriptions;
mod desk;
mod directory;
mod faults;
mod follow;
mod identity;
mod kept;
mod ledger;
mod losers;
mod member;
mod orders;
mod replicate;
mod requests;
mod seek;
mod simulated;
mod verbs;

pub(crate) use attend::Said;
pub use faults::{FAULT_LIMIT, NodeFault, NodeFaultError};
pub use kept::KeptError;
pub use member::{Cluster, ClusterError, ClusterOptions, Expelled, Joined, Member, Way};
pub use requests::{Answered, Answerer, Forwarded, REQUEST_BYTES_MAX, RequestError};
pub use simulated::Simulated;
pub use verbs::{EvictError, Eviction, RotateError, Rotation, Route, Row};
