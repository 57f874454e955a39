//! Durable agents: what they are promised.

mod account;
mod acl;
mod model;
mod promises;
