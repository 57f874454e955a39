//! What crosses a wire in Swarm: identifiers, names, exit reasons, messages and the envelope around them.
//!
//! Pure data and pure functions: this crate starts no task, opens no socket and reads no clock.

pub mod acl;
mod envelope;
mod exit;
mod id;
pub mod interaction;
pub mod mtp;
mod name;
pub mod platform;
pub mod sl;

pub use acl::{
    AclMessage, Aid, ConversationId, DuplicateKey, Performative, ReplyWith, Timestamp,
    TimestampOutOfRange, UnknownPerformative,
};
pub use envelope::{
    ENVELOPE_VERSION, Envelope, ExtensionError, Extensions, Priority, TraceContext,
};
pub use exit::{ErrorChain, ExitReason, Limit, PanicReport};
pub use id::{Address, Incarnation, Pid};
pub use name::{Name, NameError, Path, PathError};
/// A text that costs nothing to clone: up to 23 bytes stand in the value itself, longer ones are shared.
pub use smol_str::{SmolStr, format_smolstr};
/// A vector that takes eight bytes while it is empty.
pub use thin_vec::{ThinVec, thin_vec};
