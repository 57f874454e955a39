//! Swarm's journal on disk.
//!
//! What is acknowledged is an append-only log of segments: a group of appends is one write and one fdatasync, and it is
//! answered after that. Behind the log, off the write path, an index spares reading it again; it can be deleted at any time.
//! The only crate that names sled, which is that index.
//!
//! ```text
//! DIR/log/LOCK                              held while the journal is open
//! DIR/log/0000000001-0000000001-0.segment   the log
//! DIR/index/                                sled; deleting it loses nothing
//! ```
//!
//! What it refuses to do: skip damage, acknowledge what is not on disk, go on after a failed sync, write a directory that
//! somebody else has open.

mod compactor;
pub mod files;
mod frame;
mod index;
mod journal;
mod number_set;
mod options;
mod reader;
mod recover;
mod scan;
pub mod seal;
mod segment;
mod shared;
mod store;
pub mod tools;
mod writer;

pub use journal::{DiskJournal, Opening};
pub use options::{Compaction, Options};

use std::path::{Path, PathBuf};

/// Where a node keeps its journal within its data folder.
#[must_use]
pub fn directory_in(data: &Path) -> PathBuf {
    data.join("journal")
}
