//! Runs WebAssembly components as agents of `swarm-actors`.
//!
//! A [`Host`] belongs to one node. It has an engine for each [`Class`] of agents, compiles each component once, and hands out
//! what makes the lives of a [`GuestAgent`]. A component may do what its [`Grants`] say, as much as its [`Limits`] say; what
//! goes beyond ends that agent's life with a reason, and its supervisor decides.
//!
//! This is the only crate that names wasmtime. The contract with guests is the WIT package in `actors/wit`; docs/wasm.md is the
//! guide for those who write them, docs/security.md says what the sandbox promises. Nothing here reads a manifest or knows of
//! clusters, and no WASI function is ever provided.

mod agent;
mod bindings;
mod cache;
mod capacity;
mod change;
mod class;
mod compile;
mod convert;
pub mod deployment;
mod digest;
pub mod durable;
mod engine;
mod frames;
mod grants;
mod host;
mod imports;
mod inspect;
mod kept;
mod life;
mod limits;
mod sandbox;
mod shadow;
mod signature;
mod store;
mod tools;
mod trap;
mod trial;
mod upgrade;

pub use agent::{GuestAgent, GuestMessage, Plan};
pub use capacity::{Capacity, TooManyAgents};
pub use class::Class;
pub use compile::{CompileError, Isolation, compile_stdin};
pub use digest::{Digest, NotADigest};
pub use grants::{Excess, Grants, Messaging};
pub use host::{Component, Host, HostOptions, LoadError, check_file};
pub use inspect::{
    COMPONENT_BYTES_MAX, Inspection, InvalidComponent, World, inspect, inspect_file,
};
pub use limits::Limits;
pub use store::Kept;
pub use trial::Observed;
pub use upgrade::{Order, PROBATION_TURNS_DEFAULT, Settlement, UpgradeError, Upgraded, upgrade};
