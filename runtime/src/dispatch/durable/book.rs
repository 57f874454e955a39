//! What is known of a run's jobs. Pure: a function of the events of its stream.

use super::form::{Counted, RunEvent};
use crate::dispatch::job::JobId;
use crate::dispatch::seen::{Already, hash_of};
use crate::dispatch::verdict::End;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The jobs of one run by their ids. Holds some 50 bytes per job of the run, and nothing of its input or result.
#[derive(Default)]
pub(super) struct Book {
    jobs: HashMap<u64, JobState, BuildHasherDefault<Already>>,
}

/// One job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobState {
    pub(super) fingerprint: u64,
    pub(super) attempts: u32,
    pub(super) faults: u32,
    /// The first event of its result, and how many there are.
    pub(super) result: Option<(u64, u64)>,
}

impl JobState {
    fn new(fingerprint: u64) -> Self {
        Self {
            fingerprint,
            attempts: 0,
            faults: 0,
            result: None,
        }
    }
}

impl Book {
    /// Takes in an event of the stream, which has this number; `parts` is how many parts of a result stood before it.
    pub(super) fn apply(&mut self, event: &RunEvent, seq: u64, parts: u64) {
        match event {
            RunEvent::Counted(counted) => {
                let state = self.of(&counted.id, counted.fingerprint);
                state.attempts = counted.attempts;
                state.faults = counted.faults;
            }
            RunEvent::Finished { id, fingerprint } => {
                // The first that was recorded is the job's.
                let state = self.of(id, *fingerprint);
                state.result.get_or_insert((seq - parts, parts + 1));
            }
            RunEvent::Part => {}
            RunEvent::Ended => self.jobs.clear(),
        }
    }

    /// What is known of the job with that id and fingerprint. One that had the id before and another fingerprint is forgotten.
    pub(super) fn of(&mut self, id: &JobId, fingerprint: u64) -> &mut JobState {
        let state = self
            .jobs
            .entry(hash_of(id))
            .or_insert_with(|| JobState::new(fingerprint));
        if state.fingerprint != fingerprint {
            *state = JobState::new(fingerprint);
        }
        state
    }

    /// The same, if there is one with that id.
    pub(super) fn get(&mut self, id: &JobId) -> Option<&mut JobState> {
        self.jobs.get_mut(&hash_of(id))
    }

    /// How many jobs have a result, and how many were begun and have none.
    pub(super) fn counts(&self) -> (u64, u64) {
        let done = self
            .jobs
            .values()
            .filter(|job| job.result.is_some())
            .count() as u64;
        (done, self.jobs.len() as u64 - done)
    }
}

impl JobState {
    /// An attempt begins.
    pub(super) fn begin(&mut self, id: &JobId) -> Counted {
        self.attempts = self.attempts.saturating_add(1);
        self.counted(id)
    }

    /// An attempt ended so; none when that changes nothing.
    pub(super) fn end(&mut self, id: &JobId, end: &End) -> Option<Counted> {
        if matches!(end, End::NotTaken) {
            self.attempts = self.attempts.saturating_sub(1);
        } else if end.is_fault() {
            self.faults = self.faults.saturating_add(1);
        } else {
            return None;
        }
        Some(self.counted(id))
    }

    fn counted(&self, id: &JobId) -> Counted {
        Counted {
            id: id.clone(),
            fingerprint: self.fingerprint,
            attempts: self.attempts,
            faults: self.faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocols::ExitReason;

    #[test]
    fn what_was_counted_is_there_again_after_the_events_were_read() {
        let id = JobId::Number(1);
        let mut book = Book::default();
        let mut events = vec![book.of(&id, 5).begin(&id)];
        let fault = End::Died(ExitReason::panic_text("p"));
        events.extend(book.of(&id, 5).end(&id, &fault));
        events.push(book.of(&id, 5).begin(&id));
        events.extend(book.of(&id, 5).end(&id, &End::Died(ExitReason::Killed)));
        let mut again = Book::default();
        for (seq, event) in (1..).zip(&events) {
            again.apply(&RunEvent::Counted(event.clone()), seq, 0);
        }
        assert_eq!(again.get(&id), book.get(&id));
        assert_eq!(
            again.get(&id).map(|job| (job.attempts, job.faults)),
            Some((2, 1))
        );
        assert_eq!(again.counts(), (0, 1));
        let finished = RunEvent::Finished {
            id: id.clone(),
            fingerprint: 5,
        };
        again.apply(&finished, 9, 2);
        assert_eq!(again.get(&id).and_then(|job| job.result), Some((7, 3)));
        assert_eq!(again.counts(), (1, 0));
    }

    #[test]
    fn another_job_with_the_same_id_is_another_job() {
        let id = JobId::Number(1);
        let mut book = Book::default();
        let finished = RunEvent::Finished {
            id: id.clone(),
            fingerprint: 5,
        };
        book.apply(&finished, 1, 0);
        assert_eq!(book.of(&id, 6).result, None);
        assert_eq!(book.of(&id, 5).result, None, "the older one is forgotten");
    }
}
