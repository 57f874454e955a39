//! The node's HTTP API: what it says on the wire, and the server that says it. `docs/api.md` describes it for its users.

mod fanout;
mod fault;
mod guard;
mod handlers;
mod input;
mod metrics;
mod server;
mod time;
pub mod types;
mod view;

pub use input::{BODY_BYTES_MAX, JOB_BODY_BYTES_MAX};
pub use server::{ApiServer, ServeError};

/// The OpenAPI description, as `GET /openapi.json` gives it.
pub const OPENAPI: &str = include_str!("openapi.json");
