//! How a disk journal is to work.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Settings of a disk journal. The defaults are for a node.
#[derive(Clone)]
pub struct Options {
    /// When a segment is as long as this, the next one is begun. Default 64 MiB; taken for 1 GiB when it is more.
    pub segment_bytes: u64,
    /// How many requests one group has at most. Default 4096.
    pub group_requests: usize,
    /// A group takes no further request when it has as many bytes as this. Default 1 MiB.
    pub group_bytes: usize,
    /// How many requests may wait for the writer. More are refused as overloaded. Default 32 768.
    pub queue: usize,
    /// How many bytes of appends may wait for the writer. More are refused as overloaded. Default 128 MiB.
    pub queue_bytes: usize,
    /// After how many bytes of log the index is brought up to date. Default 32 MiB.
    pub checkpoint_bytes: u64,
    /// Whether there is an index behind the log. Without one every opening reads the whole log. Default true.
    pub has_index: bool,
    /// Room that is filled with zeros ahead of what is written, so that a sync need not write the file's length too. Default
    /// 4 MiB; 0 for none.
    pub preallocate: u64,
    /// When what is dead is given back while the journal is in use.
    pub compaction: Compaction,
    /// Says how many milliseconds it is since 1970.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// When a journal in use gives back the room of what is dead: of batches that are truncated and whose commands nobody may
/// repeat any more, and of snapshots that are deleted.
///
/// When something has died since it last looked, and the segments that are not being written have grown by `dead_share`
/// since, it reads them through; when `dead_share` of their bytes are dead it copies what lives. So dead bytes never are
/// much more than that share, and of each byte written only a few are written again. It takes as much memory as a segment
/// has bytes while it works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// Whether it is done at all. Default true.
    pub is_on: bool,
    /// How often it is asked whether it is worth it. Default 60 s.
    pub every: Duration,
    /// See above; between 0 and 1. Default 0.2.
    pub dead_share: f64,
    /// How many bytes a second it reads, and how many it writes, at most. Default 16 MiB.
    pub bytes_per_second: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            is_on: true,
            every: Duration::from_secs(60),
            dead_share: 0.2,
            bytes_per_second: 16 << 20,
        }
    }
}

/// Places in a segment are kept in 32 bits, and a group may begin just below the bound.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

impl Options {
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.min(SEGMENT_BYTES_MAX)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            group_requests: 4096,
            group_bytes: 1 << 20,
            queue: 32_768,
            queue_bytes: 128 << 20,
            checkpoint_bytes: 32 << 20,
            has_index: true,
            preallocate: 4 << 20,
            compaction: Compaction::default(),
            clock: Arc::new(|| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
            }),
        }
    }
}
