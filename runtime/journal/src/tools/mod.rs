//! What operators do with a journal that nobody has open: verify, compact, export, import, repair. Verify and export also work on
//! one that is in use ([`DiskJournal::verify`](crate::DiskJournal::verify), [`DiskJournal::export`](crate::DiskJournal::export)).

mod compact;
mod export;
mod live;
mod repair;
mod verify;

pub use compact::{Compacted, compact, compact_over};
pub use export::{EXPORT_FORMAT, ExportError, Exported, Manifest, ManifestStream, export, import};
pub use repair::{Dropped, Repaired, repair};
pub use verify::{Report, verify};

/// Who is told how far a tool is: bytes done, and all there are.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);
