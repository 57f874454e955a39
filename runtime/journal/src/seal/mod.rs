//! Encryption at rest: what events, turns' facts and snapshots say is sealed before it goes to the log, by category.
//!
//! A stream's category is its name up to the first `-`; each has keys of its own, the last of which seals what is written now,
//! while the older ones still open what was written with them. So a key is rotated by adding another one, and what a category
//! ever said is out of reach for good when its keys are destroyed.
//!
//! - Sealed are the payload and metadata of events, the facts of turns (messages, timers) and snapshots: AES-256-GCM with a random
//!   nonce, bound to the stream's name and to the event's type and version. At most 2^32 of them should be sealed with one key.
//! - In the clear stay: names of streams, sizes, times, numbers, types and versions, tags, and the ids of commands. Tools that verify,
//!   export, compact and repair need no key. Where that is too much, encrypt the file system.
//! - The order of a stream's events is protected by sums against accidents, not against somebody who can write the log.

mod keys;
mod sealed;

pub use keys::{KeyFileRefused, Keys};
pub use sealed::SealedJournal;
