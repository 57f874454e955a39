//! Writing what is kept of some segments into one new segment.

use crate::files::{File, Files};
use crate::frame::{Buffer, Frame, HEAD_BYTES, Kind, Listed};
use crate::scan::listed_as;
use crate::segment::{Identity, SEGMENT_HEAD_BYTES, Segment};
use std::collections::BTreeSet;
use std::sync::Arc;
use swarm_actors::journal::{JournalError, StreamName};

const GROUP_BYTES: usize = 1 << 20;
const GROUP_FRAMES: usize = 4096;

/// A segment in the making. It has no name that counts until [`Rewrite::finish`].
pub(crate) struct Rewrite<'a> {
    files: &'a dyn Files,
    identity: Identity,
    file: Box<dyn File>,
    buffer: Buffer,
    listed: Vec<Listed>,
    named: BTreeSet<u64>,
    names: &'a dyn Fn(u64) -> Option<StreamName>,
    unsynced: u64,
    last_number: u64,
    failed: Option<JournalError>,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn begin(
        files: &'a dyn Files,
        identity: Identity,
        names: &'a dyn Fn(u64) -> Option<StreamName>,
    ) -> Result<Self, JournalError> {
        let temporary = format!("{}.new", identity.name());
        if files.list()?.contains(&temporary) {
            files.remove(&temporary)?;
        }
        let (_, file) = Segment::create(files, identity, temporary)?;
        Ok(Self {
            files,
            identity,
            file,
            buffer: Buffer::new(identity.salt(), SEGMENT_HEAD_BYTES),
            listed: Vec::new(),
            named: BTreeSet::new(),
            names,
            unsynced: 0,
            last_number: identity.next_number,
            failed: None,
        })
    }

    /// Keeps a frame. Its body stays as it is, byte for byte. Where it stands now.
    pub(crate) fn keep(&mut self, frame: &Frame<'_>) -> u64 {
        let (number, stream) = (frame.head.number, frame.head.stream);
        if self.named.insert(stream)
            && let Some(name) = (self.names)(stream)
        {
            self.buffer.put(Kind::Name, number, stream, |out| {
                out.extend(name.as_str().as_bytes());
            });
            self.listed.push(Listed {
                kind: Kind::Name as u8,
                stream,
                seq: 0,
            });
        }
        let (offset, _) = self.buffer.put(frame.head.kind, number, stream, |out| {
            out.extend(frame.body)
        });
        self.listed.push(listed_as(frame));
        self.last_number = number;
        if self.listed.len() >= GROUP_FRAMES || self.buffer.bytes.len() >= GROUP_BYTES {
            self.end_group();
        }
        offset
    }

    /// How much was written since it was last synced.
    pub(crate) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// Brings what was written to the disk, so that not all of it comes at once in the end.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.unsynced = 0;
        self.file.sync_data()
    }

    fn end_group(&mut self) {
        if self.listed.is_empty() {
            return;
        }
        let listed = std::mem::take(&mut self.listed);
        self.buffer.put(Kind::GroupEnd, self.last_number, 0, |out| {
            let _ = postcard::to_io(&listed, out);
        });
        self.write();
    }

    fn write(&mut self) {
        let at = self.buffer.base;
        if self.failed.is_none()
            && let Err(error) = self.file.write_at(at, &self.buffer.bytes)
        {
            self.failed = Some(error);
        }
        let next = at + self.buffer.bytes.len() as u64;
        self.unsynced += self.buffer.bytes.len() as u64;
        self.buffer.reset(self.identity.salt(), next);
    }

    /// Gives up: what was written goes.
    pub(crate) fn abandon(self) {
        drop(self.files.remove(&format!("{}.new", self.identity.name())));
    }

    /// Syncs it and gives it its name; from then on it counts, and what it covers is left over. How long it is. When that fails,
    /// what was written is removed, if it can be.
    pub(crate) fn finish(mut self, next_number: u64) -> Result<u64, JournalError> {
        self.end_group();
        self.buffer
            .put(Kind::Seal, next_number.saturating_sub(1), 0, |_| {});
        self.write();
        let temporary = format!("{}.new", self.identity.name());
        if let Some(error) = self.failed {
            drop(self.files.remove(&temporary));
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            drop(self.files.remove(&temporary));
            return Err(error);
        }
        self.files.rename(&temporary, &self.identity.name())?;
        self.files.sync()?;
        Ok(self.buffer.base)
    }
}

/// How many bytes a frame takes.
pub(crate) fn cost(frame: &Frame<'_>) -> u64 {
    (HEAD_BYTES + frame.body.len() + 16) as u64
}

/// What covers `run` once more compacted.
pub(crate) fn identity_over(run: &[Arc<Segment>]) -> Option<Identity> {
    let (first, last) = (run.first()?, run.last()?);
    Some(Identity {
        last: last.identity.last,
        generation: run.iter().map(|s| s.identity.generation).max()? + 1,
        ..first.identity
    })
}
