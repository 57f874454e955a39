//! How fast the disk journal is beside its floor (the same bytes appended to a file with one fdatasync per group, on the same
//! disk, cell by cell in turn) and, with the feature `peers`, beside other engines; and what durable agents cost.

pub mod durable;
pub mod floor;
pub mod journal;
pub mod measure;
#[cfg(feature = "peers")]
pub mod peers;
