//! The FIPA ACL message: all parameters and the 22 communicative acts (FIPA SC00061G and SC00037J), how a reply is made and
//! how it is matched.
//!
//! A message knows no clock, no transport and no spelling. The codecs stand beside it: [`string`].

mod act;
mod aid;
mod codec;
mod id;
mod message;
mod reply;
pub mod string;
mod time;

pub use act::{Performative, UnknownPerformative};
pub use aid::Aid;
pub use codec::{Charset, Fault, Limits, ParseError, Place, Reading};
pub use id::{ConversationId, ReplyWith};
pub use message::AclMessage;
pub use reply::DuplicateKey;
pub use time::{Timestamp, TimestampOutOfRange};
