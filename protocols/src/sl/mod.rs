//! Content in FIPA SL: as much of it as agent management and subscriptions need (FIPA SC00008I, fipa.md e).
//!
//! [`Term`] is the syntax: what SL0 can say, and besides it `iota`, `any`, `all`, `=` and variables, which subscriptions
//! use. [`management`] is the ontology FIPA-Agent-Management over it: descriptions, actions, and the reasons of refusals.
//!
//! Kept apart from the codecs of messages: a message carries any content, and nothing there knows SL. What is not here:
//! the modal operators and quantifiers of full SL, and any reasoning.

pub mod management;
mod reader;
mod term;
mod writer;

pub use reader::{parse, parse_term};
pub use term::{Arguments, Call, Term};
pub use writer::{WriteError, write, write_term};

/// The name of the language, as Swarm writes it.
pub const LANGUAGE: &str = "fipa-sl0";

/// Whether content in that language is read here: `fipa-sl` and its three subsets, in any case.
#[must_use]
pub fn is_sl(language: &str) -> bool {
    ["fipa-sl", "fipa-sl0", "fipa-sl1", "fipa-sl2"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(language))
}
