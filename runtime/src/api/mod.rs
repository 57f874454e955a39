//! The node's HTTP API: what it says on the wire, and the server that says it.

mod time;
pub mod types;
