//! Write an agent in Rust that runs as a WebAssembly component under Swarm.
//!
//! Implement [`Agent`] (or [`DurableAgent`], whose state is what its events made of it), name the type in [`export_agent!`] (or
//! [`export_durable_agent!`]), build for `wasm32-unknown-unknown`. What the agent may ask of its
//! host stands in [`messaging`], [`state`], [`timers`], [`clock`], [`random`], [`log`] and [`tools`]; what it does not call is
//! not imported, and what it imports its manifest must grant. [`testkit`] runs the same agent natively, without a host.
//!
//! ```
//! use swarm_guest::{Agent, Act, Message, export_agent, messaging};
//!
//! struct Echo;
//!
//! impl Agent for Echo {
//!     fn on_start(_config: &str) -> Result<Self, String> {
//!         Ok(Echo)
//!     }
//!     fn on_message(&mut self, message: Message) -> Result<(), String> {
//!         let mut answer = message.reply(Act::Inform);
//!         answer.content = message.content;
//!         messaging::answer(&answer).map_err(|error| error.to_string())
//!     }
//! }
//!
//! export_agent!(Echo);
//!
//! let mut bench = swarm_guest::testkit::Bench::<Echo>::start("{}").expect("starts");
//! let told = bench.tell(Message::text(Act::Request, "hello")).expect("ends well");
//! assert_eq!(told.answers[0].content.as_deref(), Some(b"hello".as_slice()));
//! ```

mod agent;
#[doc(hidden)]
pub mod bindings;
mod durable;
mod host;
mod message;
pub mod testkit;

pub use agent::Agent;
pub use bindings::swarm::agent::types::{
    Aid, Error, Event, Message, Performative as Act, Resolver, SavedState,
};
pub use durable::DurableAgent;
pub use host::{clock, log, messaging, random, state, timers, tools};
