//! Snapshots: states that shorten a replay. They are never needed for a stream to be right, only for it to be read fast;
//! but events that a snapshot replaces may be truncated, and then it is kept like them.

use super::{Seq, StreamName};
use serde::{Deserialize, Serialize};

/// How many bytes a snapshot may have.
pub const SNAPSHOT_BYTES_MAX: usize = 16 << 20;

/// A state as of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whose state it is.
    pub stream: StreamName,
    /// What is known of it.
    pub meta: SnapshotMeta,
    /// What its writer wants to be known of it, unread by the journal.
    pub note: Vec<u8>,
    /// The state: at most 16 MiB, unread by the journal.
    pub payload: Vec<u8>,
}

/// What is known of a snapshot without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last event that is in it. There is one snapshot for each number.
    pub seq: Seq,
    /// The last batch that is in it.
    pub batch: u64,
    /// When it was taken, in milliseconds since 1970.
    pub at_ms: u64,
    /// What kind of state it is.
    pub type_id: u32,
    /// Which version of that kind's form the payload has.
    pub version: u16,
}

/// Which snapshots are meant. The default is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criteria {
    /// The lowest number.
    pub seq_min: Seq,
    /// The highest number.
    pub seq_max: Seq,
    /// The earliest time, in milliseconds since 1970.
    pub at_ms_min: u64,
    /// The latest time, in milliseconds since 1970.
    pub at_ms_max: u64,
}

impl Default for Criteria {
    fn default() -> Self {
        Self {
            seq_min: Seq(0),
            seq_max: Seq(u64::MAX),
            at_ms_min: 0,
            at_ms_max: u64::MAX,
        }
    }
}

impl Criteria {
    /// Those with at most this number.
    #[must_use]
    pub fn up_to(seq: Seq) -> Self {
        Self {
            seq_max: seq,
            ..Self::default()
        }
    }

    /// The one with this number, whenever it was taken.
    #[must_use]
    pub fn exactly(seq: Seq) -> Self {
        Self {
            seq_min: seq,
            seq_max: seq,
            ..Self::default()
        }
    }

    /// Of those, the ones that were taken at that time or before.
    #[must_use]
    pub fn taken_by(self, at_ms: u64) -> Self {
        Self {
            at_ms_max: at_ms,
            ..self
        }
    }

    /// Whether a snapshot fulfils them.
    #[must_use]
    pub fn admits(&self, meta: &SnapshotMeta) -> bool {
        (self.seq_min..=self.seq_max).contains(&meta.seq)
            && (self.at_ms_min..=self.at_ms_max).contains(&meta.at_ms)
    }
}
