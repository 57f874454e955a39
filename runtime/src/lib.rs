//! The Swarm node: what turns the crates below into a running system.
//!
//! A [`manifest`] declares the tree, [`config`] says how the process is set up, [`node`] runs both, [`api`] is how
//! everything outside speaks to it. The program `swarmctl` uses the API like any other client.

pub mod api;
pub mod behaviours;
pub mod cluster;
pub mod config;
pub mod data;
pub mod dispatch;
pub mod duration;
pub mod fipa;
pub mod manifest;
pub mod node;
mod placement;
pub mod telemetry;
#[cfg(feature = "wasm")]
pub mod wasm;
