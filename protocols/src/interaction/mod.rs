//! Interaction protocols: what may be said next, by whom, until when, and how it ends.
//!
//! Sans-IO state machines for both roles of FIPA's protocols (fipa.md d; SC00026H to SC00036H), for a two-phase commit and for
//! a dialogue. One shape for all: a [`Conversation`] takes an [`Event`] and the time, and gives back [`Action`]s. It decides
//! nothing that is the agent's to decide (will you? what do you bid? which bid is best?): it asks ([`Question`]) and waits for
//! a [`Decision`]. Everything else is its work: matching, duplicates, deadlines, cancel, late and misplaced messages, the
//! death of either side.
//!
//! It refuses to: read a clock, draw a random number, send anything, look into a content, know who is at which address.
//!
//! ```
//! use swarm_protocols::interaction::*;
//! use swarm_protocols::{Aid, Performative, Timestamp};
//!
//! let at = |ms| Timestamp::from_millis(ms).unwrap();
//!
//! let (a, b) = (Aid::named("a@p"), Aid::named("b@p"));
//! let opening = Opening::new("c1", a, vec![b.clone()], Rules::Request, About::text("paint it"));
//! let (mut asker, said) = Conversation::start(&opening, at(0)).unwrap();
//! let Action::Send(request) = &said[0] else { panic!() };
//!
//! let (mut asked, _question) = Conversation::open(request, b, &Terms::default(), at(1)).unwrap();
//! let said = asked.on(Event::Local(Decision::Done(b"painted".to_vec())), at(2));
//! let Action::Send(inform) = &said[0] else { panic!() };
//! assert_eq!(inform.performative, Performative::Inform);
//!
//! let _ = asker.on(Event::Received(inform.clone()), at(3));
//! assert_eq!(asker.outcome().unwrap().end, End::Done);
//! ```
//!
//! # Guarantees
//!
//! - Whatever comes in, in whatever order, leaves a conversation in one of its protocol's states, and no input panics.
//! - A conversation with `expires_in` ends, at the latest then.
//! - When an initiator's end is certain ([`End::is_certain`]) and the participant's is too, they match. When one side cannot
//!   know, its end says so.
//!
//! Not guaranteed, as no protocol over a wire that loses messages can: that both sides know.

mod achieve;
mod auction;
mod broker;
mod commit;
mod contract_net;
mod conversation;
mod dialogue;
mod event;
mod frame;
mod machine;
mod opening;
mod peer;
mod protocol;
mod session;

pub use conversation::{CONVERSATION_VERSION, Conversation, parent_id};
pub use dialogue::{Context, Utterance, Voice};
pub use event::{Action, Decision, End, Event, News, Notice, Outcome, Part, Proposal, Question};
pub use frame::PRICE_PARAMETER;
pub use opening::{
    About, Ascending, CONTENT_BYTES_MAX, Descending, DialogueRules, LINGER_DEFAULT, NotOpened,
    Opening, OpeningError, PARTICIPANTS_MAX, Rules, Terms, unopened,
};
pub use protocol::{Protocol, Role, UnknownProtocol};
