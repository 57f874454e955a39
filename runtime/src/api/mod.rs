//! The node's HTTP API: what it says on the wire, and the server that says it.

mod fault;
mod guard;
mod input;
mod time;
pub mod types;

pub use input::{BODY_BYTES_MAX, JOB_BODY_BYTES_MAX};
