//! Durable agents: what they are promised.

mod account;
mod model;
mod promises;
