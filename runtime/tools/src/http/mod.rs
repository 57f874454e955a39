//! HTTP/1.1 over a connection to an address that was chosen beforehand.
//!
//! Not a general client on purpose: no pool, no proxies from the environment, no redirects, no names looked up here. What
//! is connected to is what was checked.

mod connect;

pub(crate) use connect::Connector;
pub use connect::Trust;
