//! The API over real connections: what it answers, and what it does not let through.

mod acting;
mod client;
mod conversing;
mod guarding;
mod looking;
mod staying_up;
mod subjects;
mod working;
