//! Named tools that agents may call: native ones, built-in ones, and those of MCP servers.
//!
//! [`Tools`] is the registry of a node. Who calls holds an [`Access`]: the registry, who it is ([`Caller`]), and what it may
//! call ([`Grants`]). Everything that is promised about a call is kept in one place, the way through [`Access::call`]:
//!
//! 1. denied unless granted, also for tools that do not exist;
//! 2. the input is bounded, parsed, and valid for the tool's JSON schema before the tool sees it;
//! 3. no more calls at once than the tool takes: the next one is `overloaded`, nothing waits in a queue;
//! 4. a deadline, after which the call is given up; a panic of the tool is a failed call;
//! 5. calls with the same idempotency key are one call;
//! 6. the answer is bounded;
//! 7. a record of every call, without its input, in the registry's ring and as a `tracing` event.
//!
//! The crate knows nothing of nodes, manifests, or WebAssembly; a host wires an [`Access`] to each agent. It keeps no
//! process-wide state: two registries in one process know nothing of each other.
//!
//! ```
//! use serde_json::{Value, json};
//! use swarm_tools::{Access, Call, Caller, Grants, Tool, ToolError, Tools, ToolsOptions};
//!
//! struct Double;
//!
//! impl Tool for Double {
//!     fn about(&self) -> &str {
//!         "doubles a whole number"
//!     }
//!     fn schema(&self) -> Value {
//!         json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
//!     }
//!     async fn call(&self, input: Value, _call: Call) -> Result<Value, ToolError> {
//!         let n = input["n"].as_i64().and_then(|n| n.checked_mul(2));
//!         n.map(Value::from).ok_or_else(|| ToolError::invalid("/n", "is too big"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tools = Tools::new(ToolsOptions::default());
//! tools.register("double", Double)?;
//! let access = Access::new(tools, Caller::new("/pool/worker-1")?, Grants::new().with("double")?);
//! assert_eq!(access.call("double", json!({"n": 21}), Default::default()).await?, json!(42));
//!
//! let wrong = access.call("double", json!({"n": "many"}), Default::default()).await;
//! assert!(matches!(wrong, Err(ToolError::InvalidInput { at, .. }) if at == "/n"));
//! let other = access.call("http-fetch", json!({}), Default::default()).await;
//! assert!(matches!(other, Err(ToolError::Denied { .. })));
//! # Ok(()) }
//! ```

pub mod builtin;
#[cfg(feature = "http-fetch")]
pub mod fetch;
#[cfg(feature = "mcp")]
pub mod mcp;

#[cfg(feature = "http")]
mod http;

mod access;
mod audit;
mod error;
mod grant;
mod keyed;
mod name;
mod registry;
mod run;
mod schema;
mod tool;

pub use access::{Access, CallOptions, KEY_BYTES_MAX};
pub use audit::{AuditRecord, Outcome};
pub use error::{Effect, REASON_BYTES_MAX, Side, ToolError};
pub use grant::{Arguments, BadGrant, GRANTS_MAX, Grants};
#[cfg(feature = "http")]
pub use http::Trust;
pub use name::{BadName, Caller, ToolName, ToolPattern};
pub use registry::{RegisterError, Tools, ToolsOptions};
pub use schema::{BadSchema, SCHEMA_BYTES_MAX};
pub use tool::{BadArguments, Call, Limits, Tool, ToolInfo};
