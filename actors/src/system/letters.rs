//! What happened: events, dead letters, crash reports.

use super::System;
use crate::cell::core::CellCore;
use crate::dead_letters::{Corpse, DeadLetters, DeathCause, ReplayError};
use crate::events::{EventStream, What};
use crate::letter::LetterKind;
use crate::outgoing::Outgoing;
use crate::recorder::CrashReport;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, Incarnation, Path, Priority};

impl System {
    /// The stream of events.
    #[must_use]
    pub fn events(&self) -> &EventStream {
        &self.0.events
    }

    /// Publishes an event of the embedding program's own.
    pub fn publish_custom(&self, path: Option<Path>, name: &str, detail: &str) {
        self.publish(
            path,
            None,
            What::Custom {
                name: name.to_owned(),
                detail: detail.to_owned(),
            },
        );
    }

    /// The dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }

    /// Sends a dead letter's message again, to whoever is at its receiver's place now, and removes it from the store.
    ///
    /// # Errors
    /// [`ReplayError`]; the dead letter is kept then.
    pub fn replay(&self, id: u64) -> Result<(), ReplayError> {
        let (path, kept) = self.0.dead_letters.take(id)?;
        let Some(receiver) = self.lookup(&path) else {
            self.0.dead_letters.put_back(id, Some(kept));
            return Err(ReplayError::NoReceiver(path));
        };
        match kept.resend(&receiver, &path) {
            Ok(()) => {
                self.0.dead_letters.purge(id);
                Ok(())
            }
            Err((kept, error)) => {
                self.0.dead_letters.put_back(id, kept);
                Err(error)
            }
        }
    }

    /// The latest crashes, oldest first.
    #[must_use]
    pub fn crash_reports(&self) -> Vec<Arc<CrashReport>> {
        self.0.crashes.lock().iter().cloned().collect()
    }

    pub(crate) fn event(&self, core: Option<&CellCore>, what: What) {
        self.publish(
            core.map(|core| core.path.clone()),
            core.map(|core| core.pid().incarnation),
            what,
        );
    }

    pub(super) fn publish(&self, path: Option<Path>, incarnation: Option<Incarnation>, what: What) {
        self.0
            .events
            .publish(self.wall_ms(), path, incarnation, what);
    }

    pub(crate) fn crashed(&self, report: Arc<CrashReport>) {
        tracing::warn!(
            path = %report.path,
            incarnation = report.pid.incarnation.0,
            reason = %report.reason,
            queued = report.queued,
            "agent crashed"
        );
        let mut crashes = self.0.crashes.lock();
        let is_full = crashes.len() == self.0.still.options.crash_reports.max(1);
        let evicted = if is_full { crashes.pop_front() } else { None };
        crashes.push_back(report);
        drop(crashes);
        drop(evicted);
    }

    pub(crate) fn bury(&self, corpse: Corpse) {
        let path = corpse.receiver.clone();
        let reason = corpse.cause.as_str();
        let (id, evicted) = self.0.dead_letters.bury(self.wall_ms(), corpse);
        if !evicted.is_empty() {
            // Whoever buries may hold a cell's lock.
            self.0
                .runtime
                .spawn(async move { crate::panics::drop_guarded(evicted) });
        }
        self.publish(
            Some(path),
            None,
            What::DeadLetter {
                id,
                reason: reason.into(),
            },
        );
    }

    /// An ACL message that names a receiver that nobody knows.
    pub(crate) fn bury_undeliverable(&self, from: Path, sender: Address, message: AclMessage) {
        self.bury(Corpse {
            cause: DeathCause::NoReceiver,
            receiver: from,
            sender: Some(sender),
            kind: LetterKind::Acl,
            message_type: "acl",
            priority: Priority::Normal,
            acl: Some(Arc::new(message)),
            kept: None,
        });
    }

    /// Delivers what an ended cell had committed: each message waits for room at most the send limit. The task ends by
    /// itself within that time for each message.
    pub(crate) fn deliver_late(&self, outgoing: VecDeque<Box<dyn Outgoing>>) {
        let limit = self.send_limit();
        let task = self.0.runtime.spawn(async move {
            for mut out in outgoing {
                if tokio::time::timeout(limit, poll_fn(|cx| out.poll(cx)))
                    .await
                    .is_err()
                {
                    out.abandon(DeathCause::Overloaded);
                }
            }
        });
        let mut background = self.0.background.lock();
        background.retain(|task| !task.is_finished());
        background.push(task);
    }
}
