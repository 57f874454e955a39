//! Streams as they are read.

use super::record::Batch;
use super::{
    Append, CommandId, Epoch, EventData, Journal, JournalError, Position, Seq, StreamName, Tag,
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What is known of a stream without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its name.
    pub stream: StreamName,
    /// Its last event; 0 when it has only facts.
    pub last_seq: Seq,
    /// Its last batch; batches are numbered from 1.
    pub last_batch: u64,
    /// The sum of its last batch, which contains that of the one before, and so on: two streams with the same hash and last
    /// batch are the same.
    pub hash: u32,
    /// Events up to here are truncated.
    pub truncated: Seq,
    /// Batches up to here are not read any more.
    pub truncated_batch: u64,
    /// Its owner.
    pub epoch: Epoch,
    /// The position of its last event.
    pub last_position: Position,
    /// When its owner wants to be woken: milliseconds since 1970, 0 for at once.
    pub wake_at_ms: Option<u64>,
}

/// An event as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whose event it is.
    pub stream: StreamName,
    /// Its number there.
    pub seq: Seq,
    /// Its number in the journal.
    pub position: Position,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who owned the stream then.
    pub epoch: Epoch,
    /// The command that it is an effect of.
    pub command: Option<CommandId>,
    /// The event.
    pub data: EventData,
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest number.
    pub from: Seq,
    /// The highest number.
    pub to: Seq,
    /// How many at most.
    pub limit: usize,
}

impl Bounds {
    /// All of them.
    pub const ALL: Self = Self {
        from: Seq(1),
        to: Seq(u64::MAX),
        limit: usize::MAX,
    };

    /// From this one on.
    #[must_use]
    pub fn from(seq: u64) -> Self {
        Self {
            from: Seq(seq),
            ..Self::ALL
        }
    }

    /// Up to and including this one.
    #[must_use]
    pub fn to(self, seq: u64) -> Self {
        Self {
            to: Seq(seq),
            ..self
        }
    }

    /// That many at most.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The events, in order.
    pub events: Vec<Recorded>,
    /// The number of the stream's last event, whatever the bounds were; 0 when it was never written.
    pub highest: Seq,
}

/// Where a replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the batch that holds this event or, if it is truncated, with the first one behind.
    Event(Seq),
    /// With the first batch behind this one.
    AfterBatch(u64),
}

pub(super) fn read<J: Journal + ?Sized>(
    journal: &J,
    stream: &StreamName,
    bounds: Bounds,
) -> Result<Replay, JournalError> {
    let Some(head) = journal.head(stream)? else {
        return Ok(Replay::default());
    };
    let mut replay = Replay {
        events: Vec::new(),
        highest: head.last_seq,
    };
    let from = bounds.from.max(head.truncated.next());
    if bounds.limit == 0 || from > bounds.to || from > head.last_seq {
        return Ok(replay);
    }
    journal.replay(stream, Start::Event(from), &mut |batch| {
        for event in batch.recorded(stream) {
            if event.seq > bounds.to || replay.events.len() == bounds.limit {
                return ControlFlow::Break(());
            }
            if event.seq >= from {
                replay.events.push(event);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(replay)
}

impl Batch<'_> {
    /// Its events, as of that stream.
    pub fn recorded<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = Recorded> + 'a {
        self.events.iter().zip(0..).map(move |(event, n)| Recorded {
            stream: stream.clone(),
            seq: Seq(self.first_seq + n),
            position: Position(self.position + n),
            at_ms: self.at_ms,
            epoch: Epoch(self.epoch),
            command: self.command.map(CommandId),
            data: EventData {
                type_id: event.type_id,
                version: event.version,
                tags: event
                    .tags
                    .iter()
                    .filter_map(|tag| Tag::new(tag).ok())
                    .collect(),
                meta: event.meta.0.to_vec(),
                payload: event.payload.0.to_vec(),
            },
        })
    }
}

impl Append {
    /// The same batch, but only if the stream ends where `head` says.
    #[must_use]
    pub fn behind(mut self, head: &Head) -> Self {
        self.expected = super::Expected::Exact(head.last_seq);
        self
    }
}
