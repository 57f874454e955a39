//! The interaction protocols, row by row of the state tables (fipa.md d), under random events, and both roles over a bad wire.

mod kit;

mod auctions;
mod commit;
mod common;
mod contract_net;
mod dialogue;
mod proxy;
mod random;
mod request;
mod subscribe;
mod wire;
