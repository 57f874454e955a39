//! One module per command. Each takes what was parsed and ends with an exit status or a [`Stop`](crate::failure::Stop).

pub(crate) mod acl;
pub(crate) mod actor;
pub(crate) mod cfp;
pub(crate) mod chaos;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod conversation;
pub(crate) mod dead_letter;
pub(crate) mod dispatch;
pub(crate) mod events;
mod fipa;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod mcp;
mod membership;
pub(crate) mod new;
pub(crate) mod node;
mod reload;
pub(crate) mod status;
pub(crate) mod tool;
pub(crate) mod tree;
pub(crate) mod up;
pub(crate) mod version;
pub(crate) mod wasm;
pub(crate) mod watch;
pub(crate) mod whatif;
