//! Durable agents: state that is made of events, and events that are in a journal.
//!
//! A developer writes a [`Decider`]: `decide` says what a command leads to, `evolve` says what an event does to the state. A
//! turn of a durable agent is:
//!
//! 1. decide, on the state as it is; nothing has happened yet;
//! 2. one append to the journal: the events, the messages that are to go out (outbox), the timers, and the message that was
//!    consumed, all of it or nothing;
//! 3. evolve, answer, and send. A crash before 2 undoes all; after 2 it undoes nothing.
//!
//! After a crash the next life reads its stream (from a snapshot on) and is where the last one was. Replay never repeats
//! effects: what the outbox holds is sent until it is settled, and its receiver applies it once.
//!
//! A durable agent's name in the journal is its path. When it is idle it leaves memory; its next message or timer brings it
//! back. What it cannot do: ask others within a turn, and see a clock or chance other than its turn's.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use swarm_actors::durable::{Decider, Decision, Durability, DurableSpec, Form, Stored};
//! use swarm_actors::journal::MemoryJournal;
//! use swarm_actors::testkit::TestSystem;
//! use swarm_actors::Failure;
//!
//! struct Account;
//! #[derive(Serialize, Deserialize)]
//! enum Command { Deposit(u64) }
//! #[derive(Clone, Serialize, Deserialize)]
//! enum Event { Deposited(u64) }
//! impl Stored for Event {
//!     fn form(&self) -> Form { Form { type_id: 1, version: 1 } }
//! }
//! impl Decider for Account {
//!     type State = u64;
//!     type Command = Command;
//!     type Event = Event;
//!     type Answer = u64;
//!     fn decide(&self, balance: &u64, command: Command, turn: &mut Decision<'_, Self>) -> Result<u64, Failure> {
//!         let Command::Deposit(amount) = command;
//!         turn.record(Event::Deposited(amount));
//!         Ok(balance + amount)
//!     }
//!     fn evolve(&self, balance: &mut u64, event: &Event) {
//!         let Event::Deposited(amount) = event;
//!         *balance += amount;
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let system = TestSystem::start().await;
//! let durability = Durability::new(std::sync::Arc::new(MemoryJournal::new()));
//! let account = DurableSpec::new("alice", Account, &durability)?;
//! let account = system.spawn_durable(account).await?;
//! assert_eq!(account.ask(Command::Deposit(5), std::time::Duration::from_secs(1)).await?, 5);
//! # Ok(())
//! # }
//! ```

mod acl;
mod agent;
mod awake;
mod behaviour;
mod codec;
mod decider;
mod durability;
mod facts;
mod history;
mod life;
mod outbox;
mod reference;
mod rest;
mod spec;
mod wait;

pub use agent::DurableAgent;
pub use behaviour::{Asker, DurableBehaviour, Written};
pub use codec::{CodecError, Form, Stored, UPCASTS_MAX};
pub(crate) use codec::{decode, encode};
pub use decider::{Decider, Decision, OUTBOX_MAX, Overrun, TIMERS_PER_DURABLE_MAX};
pub use durability::{Durability, RECOVERIES_AT_ONCE_DEFAULT, RecoveryFailed};
pub use history::{StateAt, state_at};
pub use reference::{Command, CommandError, Done, DurableMessage, DurableRef, aside};
pub use spec::{DurableSpec, SnapshotPolicy};
pub use wait::wait;
