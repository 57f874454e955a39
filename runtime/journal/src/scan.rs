//! Reading a segment from front to back, and telling a torn tail from damage in the middle.
//!
//! Groups are written one after the other, the next one only when the last was synced. So when the power goes, at most the
//! last group of the last segment is not whole: a *torn tail*, which nobody was told of, and which may be dropped. Whatever
//! else is not whole is *damage*: there is something sound behind it that was written later, or a seal, so it was whole once.
//! Damage is never dropped: what was lost is told, and where it can, by the list at the end of its group, of whom it was.

use crate::frame::{Frame, HEAD_BYTES, Head, Kind, Listed, NoFrame, frame_at, next_head};
use crate::segment::Segment;
use swarm_actors::journal::record::Batch;

/// Takes what a scan finds.
pub(crate) trait Sink {
    /// A sound frame of a group that was written whole.
    fn frame(&mut self, frame: &Frame<'_>);
    /// Frames that are not there any more.
    fn lost(&mut self, lost: Lost);
}

/// What was lost in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) offset: u64,
    /// Of whom, as far as can be told.
    pub(crate) of: Vec<Listed>,
    /// How many frames were lost of which not even that can be told; at least, in compacted segments.
    pub(crate) unknown: u64,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Behind the last whole group.
    pub(crate) offset: u64,
    pub(crate) how: How,
    /// The number of the frame that comes next.
    pub(crate) next_number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With a seal: nothing was to come any more.
    Sealed,
    /// With a whole group.
    Open,
    /// With part of a group.
    Torn,
}

/// Reads the segment from `base` on, of which `bytes` are all that there is. `number` is the number of the first frame there.
pub(crate) fn scan(
    segment: &Segment,
    bytes: &[u8],
    base: u64,
    number: u64,
    sink: &mut dyn Sink,
) -> End {
    Scan {
        bytes,
        base,
        salt: segment.salt(),
        is_dense: segment.identity.generation == 0,
        number,
        group: Vec::new(),
        group_at: base,
        group_number: number,
        holes: Vec::new(),
        sink,
    }
    .run()
}

/// A place where something is missing in what is being read.
struct Hole {
    offset: u64,
    /// Numbers of the frames that are missing; empty in compacted segments.
    numbers: std::ops::Range<u64>,
    /// The head, where only the body is altered.
    known: Option<Head>,
}

struct Scan<'a> {
    bytes: &'a [u8],
    base: u64,
    salt: u32,
    is_dense: bool,
    /// Of the next frame.
    number: u64,
    /// Frames whose group has not ended yet.
    group: Vec<Frame<'a>>,
    group_at: u64,
    group_number: u64,
    holes: Vec<Hole>,
    sink: &'a mut dyn Sink,
}

impl<'a> Scan<'a> {
    fn run(mut self) -> End {
        let mut at = self.base;
        loop {
            match frame_at(self.bytes, self.base, self.salt, at) {
                Ok(frame) => {
                    if self.is_dense && frame.head.number != self.number {
                        self.hole(at, frame.head.number, None);
                    }
                    at = frame.end();
                    self.number = frame.head.number + 1;
                    match frame.head.kind {
                        Kind::GroupEnd => self.end_group(&frame),
                        Kind::Seal => return self.sealed(&frame),
                        Kind::Name | Kind::Batch | Kind::Snapshot | Kind::Deleted => {
                            self.group.push(frame);
                        }
                    }
                }
                Err(no_frame) => match self.go_on(at, no_frame) {
                    Some(next) => at = next,
                    None => return self.open_end(at, no_frame),
                },
            }
        }
    }

    /// Where a sound frame stands that was written after what is missing at `at`; `None` when this is the end.
    fn go_on(&mut self, at: u64, no_frame: NoFrame) -> Option<u64> {
        if no_frame == NoFrame::End {
            return None;
        }
        let (next, head) = self.later(at)?;
        let known = match no_frame {
            NoFrame::BadBody(head) => Some(head),
            NoFrame::BadHead | NoFrame::End => None,
        };
        self.hole(at, head.number, known);
        self.number = head.number;
        Some(next)
    }

    /// The first sound head behind `at`, if any sound head behind it belongs to something that was written later than the group
    /// that `at` is in.
    fn later(&self, at: u64) -> Option<(u64, Head)> {
        let sound = |from: u64| next_head(self.bytes, self.base, self.salt, from);
        let first = sound(at + 1)?;
        let mut next = Some(first);
        let mut group_is_over = !self.is_dense;
        while let Some((offset, head)) = next {
            if group_is_over || head.kind == Kind::Seal {
                return Some(first);
            }
            let frame = frame_at(self.bytes, self.base, self.salt, offset).ok();
            if head.kind == Kind::GroupEnd {
                let listed = frame.and_then(|frame| listed(&frame));
                let begins = listed.map(|listed| head.number.saturating_sub(listed.len() as u64));
                if begins.is_some_and(|begins| begins > self.number) {
                    return Some(first);
                }
                group_is_over = true;
            }
            next = sound(frame.map_or(offset + HEAD_BYTES as u64, |frame| frame.end()));
        }
        None
    }

    fn hole(&mut self, offset: u64, next_number: u64, known: Option<Head>) {
        let numbers = if self.is_dense && next_number >= self.number {
            self.number..next_number
        } else {
            0..0
        };
        self.holes.push(Hole {
            offset,
            numbers,
            known,
        });
    }

    fn end_group(&mut self, end: &Frame<'a>) {
        let listed = listed(end).unwrap_or_default();
        let begins = end.head.number.saturating_sub(listed.len() as u64);
        for hole in std::mem::take(&mut self.holes) {
            let mut of: Vec<Listed> = Vec::new();
            if self.is_dense {
                for number in hole.numbers.clone() {
                    let at = number
                        .checked_sub(begins)
                        .and_then(|n| usize::try_from(n).ok());
                    of.extend(at.and_then(|at| listed.get(at)));
                }
            } else {
                let mut missing = listed.clone();
                for frame in &self.group {
                    let here = listed_as(frame);
                    if let Some(at) = missing.iter().position(|l| *l == here) {
                        missing.swap_remove(at);
                    }
                }
                of = missing;
            }
            // The frame before a group's first is the end of the group before, which nobody misses.
            let ends = u64::from(self.is_dense && hole.numbers.contains(&(begins.wrapping_sub(1))));
            let told = of.len() as u64 + ends;
            let count = if self.is_dense {
                hole.numbers.end - hole.numbers.start
            } else {
                u64::from(of.is_empty())
            };
            self.tell(&hole, of, count.saturating_sub(told));
        }
        self.deliver();
        self.group_at = end.end();
        self.group_number = end.head.number + 1;
    }

    fn tell(&mut self, hole: &Hole, mut of: Vec<Listed>, unknown: u64) {
        let mut unknown = unknown;
        if let Some(head) = hole.known
            && of.is_empty()
        {
            match head.kind {
                Kind::GroupEnd | Kind::Seal => {}
                Kind::Name | Kind::Batch | Kind::Snapshot | Kind::Deleted => of.push(Listed {
                    kind: head.kind as u8,
                    stream: head.stream,
                    seq: 0,
                }),
            }
            unknown = unknown.saturating_sub(1);
        }
        if !of.is_empty() || unknown > 0 {
            self.sink.lost(Lost {
                offset: hole.offset,
                of,
                unknown,
            });
        }
    }

    fn deliver(&mut self) {
        for frame in std::mem::take(&mut self.group) {
            self.sink.frame(&frame);
        }
    }

    /// Holes whose group's end is missing too.
    fn tell_the_rest(&mut self, harmless: Option<u64>) {
        for hole in std::mem::take(&mut self.holes) {
            let count = hole.numbers.end - hole.numbers.start;
            let ends = u64::from(harmless.is_some_and(|number| hole.numbers.contains(&number)));
            let unknown = if self.is_dense {
                count.saturating_sub(ends)
            } else {
                1
            };
            self.tell(&hole, Vec::new(), unknown);
        }
    }

    fn sealed(mut self, seal: &Frame<'a>) -> End {
        // What stands right before a seal is the end of a group.
        self.tell_the_rest(seal.head.number.checked_sub(1));
        self.deliver();
        End {
            offset: seal.end(),
            how: How::Sealed,
            next_number: seal.head.number + 1,
        }
    }

    fn open_end(mut self, at: u64, no_frame: NoFrame) -> End {
        let is_torn = no_frame != NoFrame::End || !self.group.is_empty();
        self.tell_the_rest(None);
        if self.is_dense && is_torn {
            return End {
                offset: self.group_at,
                how: How::Torn,
                next_number: self.group_number,
            };
        }
        if is_torn {
            // A compacted segment was synced before it got its name: what is missing was there.
            self.sink.lost(Lost {
                offset: at,
                of: Vec::new(),
                unknown: 1,
            });
            self.deliver();
        }
        End {
            offset: at,
            how: How::Open,
            next_number: self.number,
        }
    }
}

fn listed(end: &Frame<'_>) -> Option<Vec<Listed>> {
    postcard::from_bytes(end.body).ok()
}

/// How a group's end lists a frame.
pub(crate) fn listed_as(frame: &Frame<'_>) -> Listed {
    let seq = match frame.head.kind {
        Kind::Batch => Batch::decode(frame.body).map_or(0, |batch| batch.first_seq),
        Kind::Name | Kind::Snapshot | Kind::Deleted | Kind::GroupEnd | Kind::Seal => 0,
    };
    Listed {
        kind: frame.head.kind as u8,
        stream: frame.head.stream,
        seq,
    }
}
