//! State that several agents share: one value with a version, held by a durable agent of its own.
//!
//! Whoever changes it says which version the change follows (compare-and-set); one that follows another is refused with the
//! version that is, and nothing has happened. Each change is in the journal before it is answered, and each durable agent that
//! watches the state is told of each change once and in order, whatever crashes in between.
//!
//! What it is not: a place for many values (one agent per value; a node holds a million), or a lock: who wants to change reads,
//! decides, writes, and begins again if somebody was faster.

mod shared;

pub use shared::{
    Change, Kept, NoWatcher, NotWatched, SharedState, StateCommand, StateEvent, StateRefused,
    WATCHERS_MAX,
};
