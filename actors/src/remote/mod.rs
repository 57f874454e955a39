//! Agents on other nodes: references to them, and what arrives from them.
//!
//! A *remote cell* stands for a cell of another node. Sending to it encodes the message and hands it to the
//! [`Transport`](crate::Transport). For each node there is a *far* record: the bonds with its agents, the asks that wait for its
//! answers, and the signals that found no room. When the node is lost, everything in it ends: asks fail, monitors and links fire
//! with `unreachable`, once.
//!
//! What arrives finds its cell by its address and goes through the same mailbox as local letters; what comes for one receiver without
//! anything in between goes in at once. A letter counts against its
//! sender's window until its turn is over, so a slow agent slows those who send to it, wherever they are.

mod arrive;
mod bonds;
mod cell;
pub(crate) mod codec;
mod desk;
mod far;
mod lost;
mod park;
mod run;
mod scratch;
mod wire;

pub(crate) use cell::RemoteCell;
pub(crate) use desk::{Desk, desk};
pub(crate) use far::Remotes;
