//! An awake durable agent's state, and how it is brought back from its stream.

use super::behaviour::{DurableBehaviour, Written};
use super::codec::{Form, decode};
use super::durability::RecoveryFailed;
use super::facts::{Facts, Ledger};
use super::wait::wait;
use crate::agent::Failure;
use crate::journal::record::Batch;
use crate::journal::{
    Criteria, Journal, JournalError, Seq, Snapshot, SnapshotMeta, Start, StreamName,
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

/// The type of a snapshot's envelope, and the version of its form.
const ENVELOPE: u32 = 1;

/// What of an agent is in memory while it is awake.
pub(super) struct Awake<B: DurableBehaviour> {
    pub(super) state: B::State,
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

impl<B: DurableBehaviour> Awake<B> {
    fn new(state: B::State) -> Self {
        Self {
            state,
            ledger: Ledger::default(),
            last_seq: 0,
            last_batch: 0,
            events: 0,
            bytes: 0,
            snapshot: None,
        }
    }

    fn begin(behaviour: &B, stream: &StreamName) -> Result<Self, RecoveryFailed> {
        let begun = wait(behaviour.begin(stream));
        begun
            .map(Self::new)
            .map_err(|cause| not_begun(stream, &cause))
    }

    /// Reads the stream from the newest readable snapshot on, up to an event if so wanted. May block. Stops between two batches
    /// when it is called off.
    pub(super) fn recover(
        behaviour: &B,
        journal: &dyn Journal,
        stream: &StreamName,
        up_to: Option<Seq>,
        is_called_off: &AtomicBool,
    ) -> Result<Self, RecoveryFailed> {
        let failed = |cause: JournalError| RecoveryFailed::Journal {
            stream: stream.clone(),
            cause,
        };
        let Some(head) = journal.head(stream).map_err(failed)? else {
            return Self::begin(behaviour, stream);
        };
        let limit = up_to.unwrap_or(Seq(u64::MAX));
        let restored = Self::from_snapshot(behaviour, journal, stream, limit)?;
        let mut awake = match restored {
            Some(awake) => awake,
            None => Self::begin(behaviour, stream)?,
        };
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
                if batch.first_seq > limit.0 || is_called_off.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                match awake.read(behaviour, stream, batch, limit) {
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
        behaviour: &B,
        journal: &dyn Journal,
        stream: &StreamName,
        limit: Seq,
    ) -> Result<Option<Self>, RecoveryFailed> {
        let failed = |cause: JournalError| RecoveryFailed::Journal {
            stream: stream.clone(),
            cause,
        };
        let mut below = limit;
        // One that cannot be read is passed over: an older one, or the events, will do.
        while let Some(snapshot) = journal
            .load_snapshot(stream, Criteria::up_to(below))
            .map_err(failed)?
        {
            let meta = snapshot.meta;
            if meta.type_id == ENVELOPE
                && meta.version == B::STATE_VERSION
                && let Some(envelope) = decode::<Envelope>(&snapshot.payload)
                && let Some(state) = wait(behaviour.restore(stream, &envelope.state))
                    .map_err(|cause| not_begun(stream, &cause))?
            {
                return Ok(Some(Self {
                    ledger: envelope.ledger,
                    last_seq: meta.seq.0,
                    last_batch: meta.batch,
                    snapshot: Some(meta.seq.0),
                    ..Self::new(state)
                }));
            }
            match meta.seq.0.checked_sub(1) {
                Some(next) => below = Seq(next),
                None => break,
            }
        }
        Ok(None)
    }

    fn read(
        &mut self,
        behaviour: &B,
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
            let written = Written {
                form,
                meta: event.meta.0,
                payload: event.payload.0,
            };
            wait(behaviour.replay(&mut self.state, written)).map_err(|e| undecodable(seq, e))?;
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
    pub(super) async fn take_snapshot(
        &mut self,
        behaviour: &B,
        stream: &StreamName,
        now_ms: u64,
    ) -> Option<Snapshot> {
        let state = behaviour.save(&mut self.state).await?;
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
                version: B::STATE_VERSION,
            },
            note: Vec::new(),
            payload,
        })
    }
}

fn not_begun(stream: &StreamName, cause: &Failure) -> RecoveryFailed {
    RecoveryFailed::NotBegun {
        stream: stream.clone(),
        cause: cause.to_string(),
    }
}
