//! What of a segment is still needed.

use super::rewrite::cost;
use crate::files::Files;
use crate::frame::{Frame, Kind};
use crate::index::{Index, Place};
use crate::scan::{Lost, Sink, scan};
use crate::segment::{SEGMENT_HEAD_BYTES, Segment};
use std::collections::BTreeMap;
use swarm_actors::journal::record::Batch;
use swarm_actors::journal::{COMMAND_WINDOW, JournalError};

/// What decides whether a frame lives. As of when compaction began: what is truncated later lives on until the next one.
pub(crate) struct Needed<'a> {
    /// Up to which batch each stream is truncated, by number from 1.
    truncated: Vec<u64>,
    /// Of streams that are truncated, the first batch whose command may still be repeated: it is needed, and all behind it, as
    /// a stream has no gaps.
    young: BTreeMap<u64, u64>,
    /// Commands from there on may be repeated.
    since_ms: u64,
    /// Whether that is where a snapshot of the stream stands that counts.
    is_saved: &'a dyn Fn(u64, Place) -> bool,
}

/// How much of a segment lives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Living {
    /// Bytes of frames that live.
    pub(crate) bytes: u64,
    /// How many these are.
    pub(crate) frames: u64,
    /// Bytes of those that do not, names apart.
    pub(crate) dropped: u64,
    /// The number behind its seal.
    pub(crate) next_number: u64,
    /// Whether all of it was sound.
    pub(crate) is_sound: bool,
}

impl<'a> Needed<'a> {
    /// By what is known of the streams now.
    pub(crate) fn new(
        index: &Index,
        now_ms: u64,
        is_saved: &'a dyn Fn(u64, Place) -> bool,
    ) -> Self {
        let window = u64::try_from(COMMAND_WINDOW.as_millis()).unwrap_or(u64::MAX);
        let truncated = index.known.iter().map(|known| known.head.truncated_batch);
        Self {
            truncated: truncated.collect(),
            young: BTreeMap::new(),
            since_ms: now_ms.saturating_sub(window),
            is_saved,
        }
    }

    /// Looks through a segment; to be done for all of them, in order, before any is rewritten.
    pub(crate) fn look(
        &mut self,
        files: &dyn Files,
        segment: &Segment,
    ) -> Result<Living, JournalError> {
        struct Young<'a, 'b>(&'a mut Needed<'b>);
        impl Sink for Young<'_, '_> {
            fn frame(&mut self, frame: &Frame<'_>) {
                if frame.head.kind == Kind::Batch
                    && let Ok(batch) = Batch::decode(frame.body)
                    && (batch.command.is_some() && batch.at_ms >= self.0.since_ms)
                    && batch.batch <= self.0.truncated(frame.head.stream)
                {
                    self.0.young.entry(frame.head.stream).or_insert(batch.batch);
                }
            }
            fn lost(&mut self, _: Lost) {}
        }
        let bytes = segment.read_from(files, SEGMENT_HEAD_BYTES)?;
        let first = segment.identity.next_number;
        scan(segment, &bytes, SEGMENT_HEAD_BYTES, first, &mut Young(self));
        Ok(self.sift(segment, &bytes, &mut |_, _| {}))
    }

    /// Hands out the frames of a segment, and with each whether it lives. Names are left out: they are written again where they
    /// are needed.
    pub(crate) fn sift(
        &self,
        segment: &Segment,
        bytes: &[u8],
        each: &mut dyn FnMut(&Frame<'_>, bool),
    ) -> Living {
        struct Sieve<'a> {
            needed: &'a Needed<'a>,
            segment: u64,
            found: Living,
            each: &'a mut dyn FnMut(&Frame<'_>, bool),
        }
        impl Sink for Sieve<'_> {
            fn frame(&mut self, frame: &Frame<'_>) {
                if frame.head.kind == Kind::Name {
                    return;
                }
                let lives = self.needed.lives(self.segment, frame);
                if lives {
                    self.found.bytes += cost(frame);
                    self.found.frames += 1;
                } else {
                    self.found.dropped += cost(frame);
                }
                (self.each)(frame, lives);
            }
            fn lost(&mut self, _: Lost) {
                self.found.is_sound = false;
            }
        }
        let mut sieve = Sieve {
            needed: self,
            segment: segment.key(),
            found: Living {
                is_sound: true,
                ..Living::default()
            },
            each,
        };
        let first = segment.identity.next_number;
        let end = scan(segment, bytes, SEGMENT_HEAD_BYTES, first, &mut sieve);
        sieve.found.next_number = end.next_number;
        sieve.found
    }

    fn truncated(&self, number: u64) -> u64 {
        let at = (number as usize).checked_sub(1);
        at.and_then(|at| self.truncated.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// Whether anybody may still want a frame: a batch behind what is truncated, a snapshot that counts. Deletions have done
    /// their work, as all segments before are compacted by then.
    fn lives(&self, segment: u64, frame: &Frame<'_>) -> bool {
        let number = frame.head.stream;
        match frame.head.kind {
            Kind::Batch => {
                let young = self.young.get(&number).copied();
                let from = young.unwrap_or_else(|| self.truncated(number) + 1);
                Batch::decode(frame.body).is_ok_and(|batch| batch.batch >= from)
            }
            Kind::Snapshot => {
                let offset = frame.offset;
                (self.is_saved)(number, Place { segment, offset })
            }
            Kind::Name | Kind::Deleted | Kind::GroupEnd | Kind::Seal => false,
        }
    }
}

/// Whether a snapshot of the stream that counts stands there.
pub(crate) fn is_saved(index: &Index, number: u64, place: Place) -> bool {
    let known = (number as usize)
        .checked_sub(1)
        .and_then(|at| index.known.get(at));
    let snapshots = known.and_then(|known| known.snapshots.as_ref());
    snapshots.is_some_and(|snapshots| snapshots.values().any(|saved| saved.place == place))
}
