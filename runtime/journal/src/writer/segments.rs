//! The segment that is being written: begun, filled ahead, ended.

use super::Writer;
use crate::files::File;
use crate::number_set::NumberSet;
use crate::segment::{Identity, SEGMENT_HEAD_BYTES, SEGMENT_NUMBER_MAX, Segment};
use crate::shared::Shared;
use std::sync::Arc;
use swarm_actors::journal::JournalError;

/// The segment that is being written.
pub(crate) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Box<dyn File>,
    /// Where the next group goes.
    pub(super) offset: u64,
    /// Up to where the file is filled with zeros.
    pub(super) filled: u64,
    /// Streams whose name stands in it.
    pub(super) named: NumberSet,
}

impl Writer {
    /// Makes the next one. It is on disk, empty, when this returns.
    pub(super) fn next_segment(&mut self) -> Result<Active, JournalError> {
        let identity = Identity {
            journal: self.journal,
            first: self.next_segment,
            last: self.next_segment,
            generation: 0,
            next_number: self.next_number,
            next_position: self.next_position,
        };
        let files = &*self.shared.files;
        if identity.first > SEGMENT_NUMBER_MAX {
            return Err(JournalError::Io {
                operation: "begin",
                path: files.path(&identity.name()),
                message: format!("a log has at most {SEGMENT_NUMBER_MAX} segments"),
            });
        }
        let (segment, file) = Segment::create(files, identity, identity.name())?;
        file.sync_data()?;
        files.sync()?;
        self.next_segment += 1;
        let mut segments = self.shared.segments.write();
        segments.insert(identity.key(), segment.clone());
        Ok(Active {
            segment,
            file,
            offset: SEGMENT_HEAD_BYTES,
            filled: SEGMENT_HEAD_BYTES,
            named: NumberSet::default(),
        })
    }
}

impl Active {
    /// Fills the file with zeros up to some way behind `end`, so that the writes up to there change no length.
    pub(super) fn fill(&mut self, end: u64, shared: &Shared) -> Result<(), JournalError> {
        const STEP: usize = 256 << 10;
        const FIRST: u64 = 64 << 10;
        static ZEROS: [u8; STEP] = [0; STEP];
        // The more is written, the more room is made at once: small journals stay small.
        let ahead = self.filled.max(FIRST).min(shared.options.preallocate);
        let until = end + ahead;
        let mut at = self.filled.max(end);
        while at < until {
            let bytes = STEP.min((until - at) as usize);
            self.file.write_at(at, &ZEROS[..bytes])?;
            at += bytes as u64;
        }
        self.filled = until;
        Ok(())
    }
}
