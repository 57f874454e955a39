//! Compaction: what lives of segments goes into new, synced ones, then the old ones go. On a stopped journal by
//! [`tools::compact`](crate::tools::compact), on one in use by a thread beside the writer.

mod living;
mod moved;
mod online;
mod rewrite;

pub(crate) use living::{Needed, is_saved};
pub(crate) use moved::{Moved, Whereabouts};
pub(crate) use online::{Compactor, Cut, Progress};
pub(crate) use rewrite::{Rewrite, identity_over};
