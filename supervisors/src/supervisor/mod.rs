//! The supervisor as others see it, and the ractor actor that runs the decision core.

mod actor;
mod call;
mod drive;
mod handle;
mod life;
mod link;
mod root;
mod start;

pub use call::{Args, CallError, ChildEntry, ChildKey, ChildStarted, ChildState, Counts, SpecView};
pub use handle::SupervisorRef;
pub use link::Link;
pub use root::{Root, start_root, start_root_at};
pub use start::SupervisorChild;

#[cfg(feature = "scenario")]
pub(crate) use {
    call::{Call, Reply},
    drive::panic_reason,
    root::start_root_child,
};
