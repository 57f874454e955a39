//! Components as durable agents, over a journal in memory. `examples/guests/account` is the guest.

#![allow(clippy::unwrap_used, reason = "test code")]

mod hostile;
mod kit;
mod promises;
mod twin;
mod upgrade;
