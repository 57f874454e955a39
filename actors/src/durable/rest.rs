//! What is written when enough has happened, and before an agent leaves memory.

use super::agent::Shared;
use super::awake::Awake;
use super::behaviour::DurableBehaviour;
use super::facts::Facts;
use super::life::Life;
use super::wait::wait;
use crate::journal::{Append, AppendError, Appended, Criteria, Expected, Receipt, Seq, StreamName};
use swarm_protocols::ExitReason;

impl<D: DurableBehaviour> Life<D> {
    /// Leaves memory, but for its timer.
    pub(super) fn fall_asleep(&mut self) {
        // Nobody waits for what this writes: what is read later is read behind it.
        drop(self.leave());
        let (is_due, now_ms) = (self.is_snapshot_due_at_rest(), self.last_ms);
        if let (Some(mut awake), true) = (self.awake.take(), is_due) {
            let (shared, stream) = (self.shared.clone(), self.stream.clone());
            let durability = shared.durability.clone();
            if D::BLOCKS {
                durability.off_turn(true, move || {
                    wait(snapshot(&shared, &stream, &mut awake, now_ms));
                });
            } else {
                wait(snapshot(&shared, &stream, &mut awake, now_ms));
            }
        }
    }

    /// Ends in order.
    pub(super) async fn end(&mut self, reason: &ExitReason) {
        let receipt = self.leave();
        if self.is_snapshot_due_at_rest()
            && let Some(awake) = &mut self.awake
        {
            snapshot(&self.shared, &self.stream, awake, self.last_ms).await;
        }
        if let Some(awake) = &mut self.awake {
            self.shared.behaviour.stop(&mut awake.state, reason).await;
        }
        if let Some(receipt) = receipt {
            drop(receipt.await);
        }
    }

    pub(super) async fn snapshot_if_due(&mut self, now_ms: u64) {
        let policy = self.shared.snapshots;
        let is_due = self
            .awake
            .as_ref()
            .is_some_and(|awake| awake.events >= policy.events || awake.bytes >= policy.bytes);
        if is_due && let Some(awake) = &mut self.awake {
            snapshot(&self.shared, &self.stream, awake, now_ms).await;
        }
    }

    /// What is to be in the journal before this agent leaves memory, besides a snapshot.
    fn leave(&mut self) -> Option<Receipt<Appended, AppendError>> {
        let (Some(awake), false) = (&self.awake, self.settled.is_empty()) else {
            return None;
        };
        let facts = Facts {
            settled: std::mem::take(&mut self.settled).into_iter().collect(),
            ..Facts::default()
        };
        let append = Append {
            expected: Expected::Exact(Seq(awake.last_seq)),
            facts: super::codec::encode(&facts).ok()?,
            wake_at_ms: awake.ledger.wake_after(&facts),
            epoch: self.shared.durability.epoch(),
            ..Append::new(self.stream.clone(), Vec::new())
        };
        Some(self.shared.durability.journal().append(append))
    }

    /// Whether it has changed enough for a snapshot before it leaves memory.
    fn is_snapshot_due_at_rest(&self) -> bool {
        let at_rest = self.shared.snapshots.at_rest.max(1);
        self.awake
            .as_ref()
            .is_some_and(|awake| awake.events >= at_rest)
    }
}

/// Hands a snapshot to the journal; nobody waits for it. What it and the one before it replace may go.
async fn snapshot<D: DurableBehaviour>(
    shared: &Shared<D>,
    stream: &StreamName,
    awake: &mut Awake<D>,
    now_ms: u64,
) {
    let before = awake.snapshot;
    let Some(snapshot) = awake.take_snapshot(&shared.behaviour, stream, now_ms).await else {
        // The next try is as far away as after one that went well.
        (awake.events, awake.bytes) = (0, 0);
        return;
    };
    let journal = shared.durability.journal();
    // The journal takes these in order; a snapshot that fails only makes the next recovery longer.
    drop(journal.save_snapshot(snapshot));
    if let Some(before) = before {
        if let Some(older) = before.checked_sub(1) {
            drop(journal.delete_snapshots(stream, Criteria::up_to(Seq(older))));
        }
        if shared.snapshots.compacts {
            let (journal, durability) = (journal.clone(), shared.durability.clone());
            let stream = stream.clone();
            durability.off_turn(false, move || drop(journal.truncate(&stream, Seq(before))));
        }
    }
}
