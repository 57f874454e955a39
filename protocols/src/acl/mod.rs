//! The FIPA ACL message: all parameters and the 22 communicative acts (FIPA SC00061G and SC00037J), how a reply is made and
//! how it is matched.
//!
//! A message knows no clock, no transport and no spelling. The codecs stand beside it: [`string`], [`bit_efficient`] and [`json`].
//! Inside of Swarm a message travels as postcard, by its `serde` implementation.

mod act;
mod aid;
pub mod bit_efficient;
mod codec;
mod flat;
mod id;
pub mod json;
mod message;
mod reply;
pub mod string;
pub(crate) mod time;

pub use act::{Performative, UnknownPerformative};
pub use aid::Aid;
pub use codec::{Charset, EmitError, Fault, Limits, ParseError, Place, Reading};
pub use id::{ConversationId, ReplyWith};
pub use message::AclMessage;
pub use reply::DuplicateKey;
pub use time::{Timestamp, TimestampOutOfRange};
