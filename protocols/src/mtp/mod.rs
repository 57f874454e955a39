//! How messages travel between platforms: the FIPA HTTP message transport as values and pure functions (FIPA SC00067F,
//! SC00084F, SC00085J, fipa.md c).
//!
//! [`TransportEnvelope`] says where a message goes, [`xml`] is its form, [`multipart`] is the body that carries an envelope
//! and a message, and [`package`] puts the three together. Sockets, clocks and HTTP itself are elsewhere.

mod date;
mod envelope;
pub mod multipart;
pub mod package;
pub mod xml;

pub use envelope::{Received, TransportEnvelope};
