//! MCP, both ways: tools of MCP servers in a registry ([`McpServer`]), and a registry as an MCP server ([`serve`]).
//!
//! The only place that names rmcp. Spoken is the protocol with a handshake (2025-11-25 and before), which servers of the
//! later one speak, too. A server gets nothing from here but calls: no sampling, no roots, no elicitation.

mod backoff;
mod process;
mod remote;
mod serve;
mod server;
mod session;
mod spec;
mod web;

pub use serve::{ServeError, serve};
pub use server::{LeftOut, McpServer, McpState, McpStatus};
pub use spec::{BadSpec, McpSpec, Reach};
