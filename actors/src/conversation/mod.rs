//! Protocol actors: they hold an agent's conversations, so that the agent only answers the questions that are its own.
//!
//! One supervised [`ProtocolActor`] stands beside an agent and bears its name: whoever addresses the agent in ACL reaches it.
//! Each conversation is a record: a machine of `swarm_protocols::interaction`, stepped under a `catch_unwind` of its own, with
//! its messages up to a bound. The records lie outside of the behaviour: when the protocol actor crashes, its next life goes on
//! from them and sends again what its last turn may not have sent (receivers know a duplicate). A record whose machine panics
//! ends with failure to all sides.
//!
//! The agent is asked ([`Prompt::Asked`]) and answers ([`Asked::answer`]). An agent that only negotiates is written as a
//! [`Negotiator`] and run by a [`Speaker`].
//!
//! A death is noticed by monitors, not by deadlines: of a participant (the initiator's side counts it as failed at once), of
//! the agent behind a protocol actor (its open parts fail, and the other sides are told), of the initiator.
//!
//! Everything is bounded ([`ConversationLimits`]): what is too much is refused, in the protocol's own words.
//!
//! A message between native agents of one node is never serialized: an `Arc` is handed on.
//!
//! It refuses to: decide anything for an agent, keep anything on a disk (a conversation ends with its node). Receivers on other
//! platforms are reached by the system's gateway; their deaths are known by deadlines and by the ams's word alone.

mod actor;
mod book;
mod carry;
mod deaths;
mod log;
mod message;
mod nodes;
mod packed;
mod places;
mod record;
mod speaker;
mod spec;
mod view;

pub use actor::ProtocolActor;
pub use book::{ConversationBook, ConversationCounts, ConversationLimits, Followed};
pub use message::{Answers, Asked, OpenError, Prompt, ProtocolMessage, ProtocolRef, RunError};
pub use speaker::{Negotiator, Speaker};
pub use spec::{OnAgentCrash, ProtocolSpec};
pub use view::{ConversationView, MessageView, PartyView};
