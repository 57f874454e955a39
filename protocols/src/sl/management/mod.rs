//! The ontology FIPA-Agent-Management: what is said to and by an AMS and a DF (FIPA SC00023K, fipa.md e).
//!
//! Objects are read from terms and written as terms. What cannot be read comes back as the [`Reason`] that the standard has
//! for it, ready to be sent in a refuse or a not-understood.

mod action;
mod answer;
mod description;
mod reason;
mod slots;

pub use action::{Act, Action, Description, SearchConstraints};
pub use answer::{
    Answer, delivery_failure, done, failed, notification, refused, result, subscribed, subscription,
};
pub use description::{
    AgentState, AmsAgentDescription, ApDescription, ApService, DfAgentDescription, Property,
    ServiceDescription,
};
pub use reason::Reason;

/// The name of the ontology.
pub const ONTOLOGY: &str = "FIPA-Agent-Management";
