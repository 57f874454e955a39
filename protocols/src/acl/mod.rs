//! The FIPA ACL message: all parameters and the 22 communicative acts (FIPA SC00061G and SC00037J), how a reply is made and
//! how it is matched.
//!
//! Only values are here. A message knows no clock, no transport and no spelling; the codecs stand beside it.

mod act;
mod aid;
mod id;
mod message;
mod reply;
mod time;

pub use act::{Performative, UnknownPerformative};
pub use aid::Aid;
pub use id::{ConversationId, ReplyWith};
pub use message::AclMessage;
pub use reply::DuplicateKey;
pub use time::{Timestamp, TimestampOutOfRange};
