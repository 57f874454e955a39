//! An awake durable agent's state, and how it is brought back from its stream.

use super::codec::{Form, Stored, decode};
use super::decider::Decider;
use super::durability::RecoveryFailed;
use super::facts::{Facts, Ledger};
use crate::journal::record::Batch;
use crate::journal::{
    Criteria, Journal, JournalError, Seq, Snapshot, SnapshotMeta, Start, StreamName,
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The type of a snapshot's envelope, and the version of its form.
const ENVELOPE: u32 = 1;

/// What of an agent is in memory while it is awake.
pub(super) struct Awake<D: Decider> {
    pub(super) state: D::State,
    pub(super) ledger: Ledger,
    pub(super) last_seq: u64,
    pub(super) last_batch: u64,
    /// Since the last snapshot.
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The last snapshot.
    pub(super) snapshot: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    ledger: Ledger,
    state: Vec<u8>,
}

impl<D: Decider> Awake<D> {
    fn new() -> Self {
        Self {
            state: D::State::default(),
            ledger: Ledger::default(),
            last_seq: 0,
            last_batch: 0,
            events: 0,
            bytes: 0,
            snapshot: None,
        }
    }

    /// Reads the stream from the newest readable snapshot on, up to an event if so wanted. May block.
    pub(super) fn recover(
        decider: &D,
        journal: &dyn Journal,
        stream: &StreamName,
        up_to: Option<Seq>,
    ) -> Result<Self, RecoveryFailed> {
        let failed = |cause: JournalError| RecoveryFailed::Journal {
            stream: stream.clone(),
            cause,
        };
        let Some(head) = journal.head(stream).map_err(failed)? else {
            return Ok(Self::new());
        };
        let limit = up_to.unwrap_or(Seq(u64::MAX));
        let mut awake = Self::from_snapshot(journal, stream, limit).map_err(failed)?;
        if awake.last_batch < head.truncated_batch || awake.last_seq < head.truncated.0 {
            return Err(RecoveryFailed::NoSnapshot {
                stream: stream.clone(),
                seq: head.truncated,
            });
        }
        let mut undecodable = None;
        let start = Start::AfterBatch(awake.last_batch);
        journal
            .replay(stream, start, &mut |batch| {
                if batch.first_seq > limit.0 {
                    return ControlFlow::Break(());
                }
                match awake.read(decider, stream, batch, limit) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        undecodable = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .map_err(failed)?;
        undecodable.map_or(Ok(awake), Err)
    }

    fn from_snapshot(
        journal: &dyn Journal,
        stream: &StreamName,
        limit: Seq,
    ) -> Result<Self, JournalError> {
        let mut below = limit;
        // One that cannot be read is passed over: an older one, or the events, will do.
        while let Some(snapshot) = journal.load_snapshot(stream, Criteria::up_to(below))? {
            let meta = snapshot.meta;
            if meta.type_id == ENVELOPE
                && meta.version == D::STATE_VERSION
                && let Some(envelope) = decode::<Envelope>(&snapshot.payload)
                && let Some(state) = decode::<D::State>(&envelope.state)
            {
                return Ok(Self {
                    state,
                    ledger: envelope.ledger,
                    last_seq: meta.seq.0,
                    last_batch: meta.batch,
                    snapshot: Some(meta.seq.0),
                    ..Self::new()
                });
            }
            match meta.seq.0.checked_sub(1) {
                Some(next) => below = Seq(next),
                None => break,
            }
        }
        Ok(Self::new())
    }

    fn read(
        &mut self,
        decider: &D,
        stream: &StreamName,
        batch: &Batch<'_>,
        limit: Seq,
    ) -> Result<(), RecoveryFailed> {
        let undecodable = |seq: u64, cause| RecoveryFailed::Undecodable {
            stream: stream.clone(),
            seq: Seq(seq),
            cause,
        };
        for (event, seq) in batch.events.iter().zip(batch.first_seq..) {
            if seq > limit.0 {
                break;
            }
            let form = Form {
                type_id: event.type_id,
                version: event.version,
            };
            let events = D::Event::read(form, event.payload.0).map_err(|e| undecodable(seq, e))?;
            for event in &events {
                decider.evolve(&mut self.state, event);
            }
            self.last_seq = seq;
            self.bytes += event.payload.0.len() as u64;
            self.events += 1;
        }
        if !batch.facts.0.is_empty() {
            let form = Form {
                type_id: 0,
                version: 1,
            };
            let facts: Facts = decode(batch.facts.0)
                .ok_or_else(|| undecodable(batch.first_seq, super::CodecError::BadBytes(form)))?;
            self.ledger.apply(&facts);
        }
        self.last_batch = batch.batch;
        Ok(())
    }

    /// A snapshot of it as it is.
    pub(super) fn take_snapshot(&mut self, stream: &StreamName, now_ms: u64) -> Option<Snapshot> {
        let state = super::codec::encode(&self.state).ok()?;
        let envelope = Envelope {
            ledger: self.ledger.clone(),
            state,
        };
        let payload = super::codec::encode(&envelope).ok()?;
        self.events = 0;
        self.bytes = 0;
        self.snapshot = Some(self.last_seq);
        Some(Snapshot {
            stream: stream.clone(),
            meta: SnapshotMeta {
                seq: Seq(self.last_seq),
                batch: self.last_batch,
                at_ms: now_ms,
                type_id: ENVELOPE,
                version: D::STATE_VERSION,
            },
            note: Vec::new(),
            payload,
        })
    }
}
