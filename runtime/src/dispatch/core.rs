//! The decisions of dispatch: no clock, no task, no worker in here.

use super::job::{Entry, Job, JobResult, Outcome};
use super::verdict::{Attempts, Verdict};
use super::workers::Report;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a dispatcher may hold and how it decides.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many jobs may be held at once, from reading to giving out the result. More than there are workers, so that
    /// none waits for the reader; in ordered mode also how far the others may run ahead of a slow job. At least 1.
    pub jobs_max: usize,
    /// How many bytes of jobs and results may be held before no more are read. One job may exceed it, so that any job
    /// that was read can be done: what is held is less than this and one job more.
    pub bytes_max: usize,
    /// How many attempts may end by the job's own doing; the last of them makes it poisoned. At least 1.
    pub faults_max: u32,
    /// Whether results come in the order of the jobs instead of the order in which they are done.
    pub is_ordered: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jobs_max: 256,
            bytes_max: 256 << 20,
            faults_max: 3,
            is_ordered: false,
        }
    }
}

/// Names one attempt at one job. The report on an attempt that was already reported on changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    arrival: u64,
    hand_over: u32,
}

/// The state of a run: which jobs are held and what stands to be done with each.
pub struct Dispatcher {
    settings: Settings,
    /// How many entries were offered so far; an entry's number among them is its key in `held`.
    arrivals: u64,
    held: BTreeMap<u64, Slot>,
    /// Keys of the slots that wait for a worker, the next one in front. A job that is to be tried again goes to the front:
    /// it is the oldest, and in ordered mode the others wait for it.
    waiting: VecDeque<u64>,
    /// Keys of the slots that are done, in completion order. Not used in ordered mode, where the front of `held` is next.
    done: VecDeque<u64>,
    bytes: usize,
}

enum Slot {
    Waiting(Held),
    Running(Held),
    Done(JobResult),
}

struct Held {
    job: Arc<Job>,
    attempts: Attempts,
    /// How often it was handed over; differs from the attempts by those that no worker took.
    hand_overs: u32,
    /// When it was first handed over.
    started: Option<Duration>,
}

impl Dispatcher {
    /// A dispatcher that holds nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            arrivals: 0,
            held: BTreeMap::new(),
            waiting: VecDeque::new(),
            done: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Whether there is room for another entry. When not, the reader waits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held.len() < self.settings.jobs_max.max(1) && self.bytes < self.settings.bytes_max
    }

    /// Takes in what was read. What is no job has its result at once, which in ordered mode waits for its turn.
    pub fn offer(&mut self, entry: Entry) {
        let key = self.arrivals;
        self.arrivals += 1;
        match entry {
            Entry::Job(job) => self.wait(key, job, Attempts::default()),
            Entry::Resumed(job, attempts) => self.wait(key, job, attempts),
            Entry::Bad(result) | Entry::Known(result) => self.finish(key, result),
        }
    }

    fn wait(&mut self, key: u64, job: Job, attempts: Attempts) {
        self.bytes += job.bytes();
        let held = Held {
            job: Arc::new(job),
            attempts,
            hand_overs: 0,
            started: None,
        };
        self.held.insert(key, Slot::Waiting(held));
        self.waiting.push_back(key);
    }

    /// The job that goes to a worker next, if one waits, and the ticket for handing it over.
    #[must_use]
    pub fn next_job(&self) -> Option<(Ticket, Arc<Job>)> {
        let arrival = *self.waiting.front()?;
        match self.held.get(&arrival)? {
            Slot::Waiting(held) => Some((
                Ticket {
                    arrival,
                    hand_over: held.hand_overs + 1,
                },
                Arc::clone(&held.job),
            )),
            Slot::Running(_) | Slot::Done(_) => None,
        }
    }

    /// Notes that the job of this ticket was handed over: from now on a report on the attempt is awaited. The job need not
    /// be the next one any more: another may have come back to the front while a worker was being chosen for this one.
    pub fn handed_over(&mut self, ticket: Ticket, now: Duration) {
        let key = ticket.arrival;
        let Some(slot) = self.held.get_mut(&key) else {
            return;
        };
        let Slot::Waiting(held) = slot else {
            return;
        };
        // Near the front: only jobs that came back meanwhile stand before it.
        if let Some(place) = self.waiting.iter().position(|waiting| *waiting == key) {
            self.waiting.remove(place);
        }
        held.started.get_or_insert(now);
        held.hand_overs += 1;
        let held = Held {
            job: Arc::clone(&held.job),
            ..*held
        };
        *slot = Slot::Running(held);
    }

    /// Takes in how an attempt ended.
    pub fn ended(&mut self, ticket: Ticket, report: Report, now: Duration) {
        let Some(slot) = self.held.get_mut(&ticket.arrival) else {
            return;
        };
        let Slot::Running(held) = slot else {
            return;
        };
        if held.hand_overs != ticket.hand_over {
            return;
        }
        held.attempts.add(report.attempts_before);
        let verdict = held.attempts.ended(report.end, self.settings.faults_max);
        let started = held.started.unwrap_or(now);
        let held = Held {
            job: Arc::clone(&held.job),
            ..*held
        };
        match verdict {
            Verdict::Again => {
                *slot = Slot::Waiting(held);
                self.waiting.push_front(ticket.arrival);
            }
            Verdict::Decided(outcome) => {
                self.bytes -= held.job.bytes();
                let ms = now.saturating_sub(started).as_millis();
                let result = JobResult {
                    id: Some(held.job.id.clone()),
                    line: None,
                    outcome,
                    worker: report.worker,
                    node: report.node,
                    attempts: held.attempts.made(),
                    ms: u64::try_from(ms).unwrap_or(u64::MAX),
                };
                self.finish(ticket.arrival, result);
            }
        }
    }

    /// The result that may be given out next. Each entry that was offered yields exactly one.
    pub fn next_result(&mut self) -> Option<JobResult> {
        let key = if self.settings.is_ordered {
            let (key, slot) = self.held.first_key_value()?;
            matches!(slot, Slot::Done(_)).then_some(*key)?
        } else {
            self.done.pop_front()?
        };
        match self.held.remove(&key)? {
            Slot::Done(result) => {
                self.bytes -= result_bytes(&result);
                Some(result)
            }
            Slot::Waiting(_) | Slot::Running(_) => unreachable!("only finished jobs are given out"),
        }
    }

    /// How many jobs are held: read, and their result not yet given out.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many bytes of jobs and results are held, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(&mut self, key: u64, result: JobResult) {
        self.bytes += result_bytes(&result);
        self.held.insert(key, Slot::Done(result));
        if !self.settings.is_ordered {
            self.done.push_back(key);
        }
    }
}

fn result_bytes(result: &JobResult) -> usize {
    let text = match &result.outcome {
        Outcome::Done(output) => output.get().len(),
        Outcome::Failed { error, .. } => error.get().len(),
    };
    text + size_of::<JobResult>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{End, FailureCode, JobId};
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use swarm_protocols::ExitReason;

    fn job(id: i128) -> Entry {
        Entry::Job(Job {
            id: JobId::Number(id),
            task: "t".into(),
            input: RawValue::from_string("1".into()).unwrap(),
        })
    }

    fn answer() -> Report {
        Report::of(
            "/w",
            End::Answered(Outcome::Done(RawValue::from_string("2".into()).unwrap())),
        )
    }

    fn died(reason: ExitReason) -> Report {
        Report::of("/w", End::Died(reason))
    }

    fn settings(is_ordered: bool) -> Settings {
        Settings {
            jobs_max: 4,
            is_ordered,
            ..Settings::default()
        }
    }

    const NOW: Duration = Duration::ZERO;

    fn hand_over(dispatcher: &mut Dispatcher) -> Option<Ticket> {
        let (ticket, _) = dispatcher.next_job()?;
        dispatcher.handed_over(ticket, NOW);
        Some(ticket)
    }

    #[test]
    fn results_come_as_they_are_done_unless_order_is_asked_for() {
        for (is_ordered, expected) in [(false, [1, 0]), (true, [0, 1])] {
            let mut dispatcher = Dispatcher::new(settings(is_ordered));
            dispatcher.offer(job(0));
            dispatcher.offer(job(1));
            let first = hand_over(&mut dispatcher).unwrap();
            let second = hand_over(&mut dispatcher).unwrap();
            dispatcher.ended(second, answer(), NOW);
            let early = dispatcher.next_result();
            assert_eq!(early.is_none(), is_ordered);
            dispatcher.ended(first, answer(), NOW);
            let ids: Vec<_> = early
                .into_iter()
                .chain(std::iter::from_fn(|| dispatcher.next_result()))
                .map(|result| result.id)
                .collect();
            assert_eq!(ids, expected.map(|id| Some(JobId::Number(id))));
        }
    }

    #[test]
    fn a_job_that_lost_its_worker_goes_before_the_others() {
        let mut dispatcher = Dispatcher::new(settings(false));
        dispatcher.offer(job(0));
        dispatcher.offer(job(1));
        let ticket = hand_over(&mut dispatcher).unwrap();
        dispatcher.ended(ticket, died(ExitReason::Killed), NOW);
        assert_eq!(dispatcher.next_job().unwrap().1.id, JobId::Number(0));
    }

    #[test]
    fn a_late_report_on_an_attempt_changes_nothing() {
        let mut dispatcher = Dispatcher::new(settings(false));
        dispatcher.offer(job(0));
        let first = hand_over(&mut dispatcher).unwrap();
        dispatcher.ended(first, died(ExitReason::Killed), NOW);
        dispatcher.ended(first, answer(), NOW);
        assert!(dispatcher.next_result().is_none());
        let second = hand_over(&mut dispatcher).unwrap();
        dispatcher.ended(first, answer(), NOW);
        assert!(dispatcher.next_result().is_none());
        dispatcher.ended(second, answer(), NOW);
        assert_eq!(dispatcher.next_result().unwrap().attempts, 2);
        dispatcher.ended(second, answer(), NOW);
        assert!(dispatcher.next_result().is_none());
    }

    #[test]
    fn nothing_more_is_read_while_the_window_is_full() {
        let mut dispatcher = Dispatcher::new(settings(true));
        for id in 0..4 {
            assert!(dispatcher.has_room());
            dispatcher.offer(job(id));
        }
        assert!(!dispatcher.has_room());
        let ticket = hand_over(&mut dispatcher).unwrap();
        dispatcher.ended(ticket, answer(), NOW);
        assert!(!dispatcher.has_room(), "its result was not given out yet");
        dispatcher.next_result().unwrap();
        assert!(dispatcher.has_room());
    }

    #[test]
    fn big_jobs_fill_the_window_by_their_bytes() {
        let mut dispatcher = Dispatcher::new(Settings {
            bytes_max: 1,
            ..settings(false)
        });
        dispatcher.offer(job(0));
        assert!(!dispatcher.has_room());
        let ticket = hand_over(&mut dispatcher).unwrap();
        dispatcher.ended(ticket, answer(), NOW);
        dispatcher.next_result().unwrap();
        assert_eq!(dispatcher.bytes(), 0);
        assert!(dispatcher.has_room());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer,
        OfferBad,
        HandOver,
        /// The end of the running attempt with this number (modulo how many run).
        End(usize, usize),
        /// A report that was made before, once more.
        Repeat(usize),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Offer),
            1 => Just(Step::OfferBad),
            6 => Just(Step::HandOver),
            6 => (any::<usize>(), 0..9usize).prop_map(|(which, end)| Step::End(which, end)),
            1 => any::<usize>().prop_map(Step::Repeat),
            3 => Just(Step::Take),
        ]
    }

    fn nth_report(end: usize) -> Report {
        match end {
            0 => died(ExitReason::Killed),
            1 => died(ExitReason::panic_text("p")),
            2 => died(ExitReason::SHUTDOWN),
            3 => died(ExitReason::Normal),
            4 => Report::of("/w", End::NotTaken),
            5 => Report::of(
                "/w",
                End::Overdue {
                    deadline: Duration::from_secs(1),
                },
            ),
            6 => Report::of(
                "/w",
                End::Answered(Outcome::failed(FailureCode::Failed, "f")),
            ),
            _ => answer(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn however_attempts_end_each_job_has_exactly_one_result(
            steps in prop::collection::vec(step(), 0..200),
            is_ordered in any::<bool>(),
        ) {
            let mut dispatcher = Dispatcher::new(settings(is_ordered));
            let mut offered = 0_i128;
            let mut running = Vec::new();
            let mut past = Vec::new();
            let mut results = Vec::new();
            for step in steps {
                match step {
                    Step::Offer if dispatcher.has_room() => {
                        dispatcher.offer(job(offered));
                        offered += 1;
                    }
                    Step::OfferBad if dispatcher.has_room() => {
                        let id = Some(JobId::Number(offered));
                        dispatcher.offer(Entry::Bad(JobResult::bad(id, Some(1), "bad")));
                        offered += 1;
                    }
                    Step::Offer | Step::OfferBad => {}
                    Step::HandOver => running.extend(hand_over(&mut dispatcher)),
                    Step::End(which, end) => {
                        if !running.is_empty() {
                            let ticket = running.swap_remove(which % running.len());
                            dispatcher.ended(ticket, nth_report(end), NOW);
                            past.push(ticket);
                        }
                    }
                    Step::Repeat(which) => {
                        if !past.is_empty() {
                            dispatcher.ended(past[which % past.len()], answer(), NOW);
                        }
                    }
                    Step::Take => results.extend(dispatcher.next_result()),
                }
                prop_assert!(dispatcher.held() <= 4);
            }
            // Then all goes well until nothing is left.
            for ticket in running {
                dispatcher.ended(ticket, answer(), NOW);
            }
            while let Some(ticket) = hand_over(&mut dispatcher) {
                dispatcher.ended(ticket, answer(), NOW);
            }
            results.extend(std::iter::from_fn(|| dispatcher.next_result()));
            prop_assert_eq!(dispatcher.held(), 0);
            prop_assert_eq!(dispatcher.bytes(), 0);
            let mut ids: Vec<_> = results.into_iter().map(|result| result.id).collect();
            if !is_ordered {
                ids.sort();
            }
            let expected: Vec<_> = (0..offered).map(|id| Some(JobId::Number(id))).collect();
            prop_assert_eq!(ids, expected);
        }
    }
}
