//! The settings of a node's process: where it stores, listens and answers, and what it logs.
//!
//! Each setting has four sources; a flag beats the environment, the environment beats the file (the manifest's `[node]`),
//! the file beats the default. Where a value came from is kept beside it. `docs/manifest.md` lists them.

mod check;
mod layers;

pub use check::{
    LogFormat, SettingError, check_advertise, check_agents_max, check_api, check_data,
    check_labels, check_listen, check_log, check_log_format,
};
pub use layers::{Entry, Flags, Origin, Setting, SettingRejected, Settings};

/// Where the API answers unless told otherwise.
pub const API_DEFAULT: &str = "127.0.0.1:7590";
/// Where other nodes reach this one unless told otherwise.
pub const LISTEN_DEFAULT: &str = "0.0.0.0:7591";
/// What is logged unless told otherwise.
pub const LOG_DEFAULT: &str = "info";
/// How long an ordered stop may take unless told otherwise. Service managers commonly kill after 30 seconds.
pub const SHUTDOWN_DEADLINE_DEFAULT: std::time::Duration = std::time::Duration::from_secs(25);
