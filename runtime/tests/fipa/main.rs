//! The FIPA HTTP transport over real connections, with the bytes that JADE 4.6.5 was seen to send, and with peers that
//! answer as it does.

mod inward;
mod kit;
mod outward;
mod refusals;
mod secure;
