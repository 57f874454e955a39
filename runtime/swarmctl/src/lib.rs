//! `swarmctl`: starts, watches and tests Swarm nodes from the command line.
//!
//! The contract with scripts: data on stdout, everything else on stderr; `-o json` is one document and `-o jsonl` one
//! object per line, an empty list is `[]`; failures are one JSON object with a stable code under both; the exit status is
//! an [`ExitStatus`]. Human text may change, the rest only grows.
//!
//! A node is reached through its public API alone. The exceptions run a node in this process: `up`, and `dispatch` with a
//! manifest.

mod agent_threads;
mod behaviours;
mod cli;
mod client;
mod commands;
mod confirm;
mod contexts;
mod exit;
mod failure;
mod output;
mod start;
mod table;
mod words;

pub use exit::ExitStatus;
pub use start::main;
