//! Components that were made to do harm: bytes that are changed, tables that grow, arguments that no compiler would pass.

#![allow(clippy::unwrap_used, reason = "test code")]

mod calls;
#[path = "../kit/forge.rs"]
mod forge;
#[path = "../kit/mod.rs"]
mod kit;
mod mutated;
mod tables;

/// A number of `/proc/self/status`.
#[cfg(target_os = "linux")]
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
