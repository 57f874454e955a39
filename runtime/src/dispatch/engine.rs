//! The thin shell around the core: one loop in which everything that can happen to a run is one arm.

use super::core::{Dispatcher, Settings};
use super::job::{Entry, JobResult, Outcome};
use super::verdict::{Attempts, Verdict};
use super::workers::{NoWorkers, Workers};
use super::{FailureCode, Job};
use futures_util::future::{BoxFuture, Fuse, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How far a run is. Counts only go up; they may be read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries that were read.
    pub read: AtomicU64,
    /// Results with an output.
    pub ok: AtomicU64,
    /// Results without one, the poisoned among them.
    pub failed: AtomicU64,
    /// Jobs that were given up as poisoned.
    pub poisoned: AtomicU64,
    /// Attempts of the jobs that have a result.
    pub attempts: AtomicU64,
}

impl Progress {
    /// How many results were given out.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.ok.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    fn count(&self, result: &JobResult) {
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        match &result.outcome {
            Outcome::Done(_) => {
                add(&self.ok, 1);
            }
            Outcome::Failed { code, .. } => {
                add(&self.failed, 1);
                if *code == FailureCode::Poisoned {
                    add(&self.poisoned, 1);
                }
            }
        }
        add(&self.attempts, result.attempts.into());
    }
}

/// Why a run ended before its jobs did. What was given out until then is right; the other jobs have no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Nobody takes the results any more.
    #[error("nobody takes the results any more")]
    NobodyReads,
    /// There was nobody to give the jobs to.
    #[error(transparent)]
    NoWorkers(#[from] NoWorkers),
}

/// Has all jobs of `entries` done by `workers` and gives each one's result to `results`.
///
/// Nothing is read while the window of `settings` is full, and the window stays full while nobody takes results: a slow
/// reader of the results slows the reading of jobs. Entries come in batches, so that small jobs don't cost a wake-up each;
/// what bounds memory is the channel's capacity times the size of a batch, on top of the window. Ends when `entries` is
/// closed and all results are out. Dropping the future stops the run; workers finish what they have begun.
///
/// # Errors
/// [`Stopped`] when the results are not taken any more, or nobody can be found to do the jobs.
pub async fn run<W: Workers>(
    settings: Settings,
    workers: &W,
    mut entries: mpsc::Receiver<Vec<Entry>>,
    results: mpsc::Sender<JobResult>,
    progress: &Progress,
) -> Result<(), Stopped> {
    let start = Instant::now();
    let mut dispatcher = Dispatcher::new(settings);
    let mut batch = VecDeque::new();
    let mut is_read_to_end = false;
    let mut next_result: Option<JobResult> = None;
    let mut running = FuturesUnordered::new();
    // One choice at a time, for the job that is next, so that jobs are handed over in their order.
    let mut choosing: Fuse<BoxFuture<'_, _>> = Fuse::terminated();
    let mut is_choosing = false;
    loop {
        while dispatcher.has_room()
            && let Some(entry) = batch.pop_front()
        {
            dispatcher.offer(entry);
            progress.read.fetch_add(1, Ordering::Relaxed);
        }
        if next_result.is_none() {
            next_result = dispatcher.next_result();
        }
        if !is_choosing && let Some((ticket, job)) = dispatcher.next_job() {
            is_choosing = true;
            choosing = async move {
                let chosen = workers.choose(&job).await;
                (ticket, job, chosen)
            }
            .boxed()
            .fuse();
        }
        let is_idle = dispatcher.held() == 0 && batch.is_empty() && next_result.is_none();
        if is_idle && is_read_to_end {
            return Ok(());
        }
        tokio::select! {
            permit = results.reserve(), if next_result.is_some() => {
                let permit = permit.map_err(|_| Stopped::NobodyReads)?;
                if let Some(result) = next_result.take() {
                    progress.count(&result);
                    permit.send(result);
                }
            }
            Some((ticket, report)) = running.next(), if !running.is_empty() => {
                dispatcher.ended(ticket, report?, start.elapsed());
            }
            (ticket, job, chosen) = &mut choosing, if is_choosing => {
                is_choosing = false;
                let chosen = chosen?;
                dispatcher.handed_over(ticket, start.elapsed());
                running.push(async move { (ticket, workers.perform(chosen, job).await) });
            }
            more = entries.recv(), if !is_read_to_end && batch.is_empty() && dispatcher.has_room() => {
                match more {
                    Some(more) => batch.extend(more),
                    None => is_read_to_end = true,
                }
            }
        }
    }
}

/// Has one job done: what the node's API does for a job that comes over HTTP.
///
/// # Errors
/// [`NoWorkers`] when nobody can be found to do it.
pub async fn run_one<W: Workers>(
    workers: &W,
    job: Job,
    faults_max: u32,
) -> Result<JobResult, NoWorkers> {
    go_on_with_one(workers, job, Attempts::default(), faults_max).await
}

/// The same for a job at which these attempts were made before.
///
/// # Errors
/// As [`run_one`].
pub async fn go_on_with_one<W: Workers>(
    workers: &W,
    job: Job,
    mut attempts: Attempts,
    faults_max: u32,
) -> Result<JobResult, NoWorkers> {
    let job = Arc::new(job);
    let mut start = None;
    loop {
        let chosen = workers.choose(&job).await?;
        let start = *start.get_or_insert_with(Instant::now);
        let report = workers.perform(chosen, Arc::clone(&job)).await?;
        attempts.add(report.attempts_before);
        if let Verdict::Decided(outcome) = attempts.ended(report.end, faults_max) {
            return Ok(JobResult {
                id: Some(job.id.clone()),
                line: None,
                outcome,
                worker: report.worker,
                node: report.node,
                attempts: attempts.made(),
                ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{End, JobId, Report};
    use super::*;
    use serde_json::value::RawValue;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;
    use swarm_protocols::ExitReason;
    use tokio::sync::{OwnedSemaphorePermit, Semaphore};

    /// Workers that kill themselves on every third attempt and panic on each attempt at a job with task `panic`.
    struct Scripted {
        free: Arc<Semaphore>,
        attempts: AtomicUsize,
    }

    impl Scripted {
        fn new(count: usize) -> Self {
            Self {
                free: Arc::new(Semaphore::new(count)),
                attempts: AtomicUsize::new(0),
            }
        }
    }

    impl Workers for Scripted {
        type Chosen = OwnedSemaphorePermit;

        async fn choose(&self, _: &Arc<Job>) -> Result<OwnedSemaphorePermit, NoWorkers> {
            Ok(Arc::clone(&self.free).acquire_owned().await.expect("open"))
        }

        async fn perform(
            &self,
            _chosen: OwnedSemaphorePermit,
            job: Arc<Job>,
        ) -> Result<Report, NoWorkers> {
            let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(attempt as u64 % 7)).await;
            Ok(Report::of(
                "/w",
                if job.task == "panic" {
                    End::Died(ExitReason::panic_text("told to"))
                } else if attempt.is_multiple_of(3) {
                    End::Died(ExitReason::Killed)
                } else {
                    End::Answered(Outcome::Done(job.input.clone()))
                },
            ))
        }
    }

    fn job(id: usize, task: &str) -> Entry {
        Entry::Job(Job {
            id: JobId::Number(id as i128),
            task: task.into(),
            input: RawValue::from_string(id.to_string()).unwrap(),
        })
    }

    async fn results_of(is_ordered: bool, count: usize) -> Vec<JobResult> {
        let settings = Settings {
            jobs_max: 16,
            is_ordered,
            ..Settings::default()
        };
        let workers = Scripted::new(4);
        let (give, entries) = mpsc::channel(1);
        let (results, mut taken) = mpsc::channel(1);
        let progress = Progress::default();
        let feed = async move {
            for start in (0..count).step_by(10) {
                let batch = (start..start + 10)
                    .map(|id| job(id, if id == 5 { "panic" } else { "echo" }))
                    .collect();
                give.send(batch).await.unwrap();
            }
        };
        let collect = async {
            let mut all = Vec::new();
            while let Some(result) = taken.recv().await {
                all.push(result);
            }
            all
        };
        let (ended, (), all) = tokio::join!(
            async { run(settings, &workers, entries, results, &progress).await },
            feed,
            collect
        );
        ended.unwrap();
        assert_eq!(progress.done(), count as u64);
        all
    }

    #[tokio::test(start_paused = true)]
    async fn every_job_has_one_result_though_a_third_of_the_attempts_is_killed() {
        let mut results = results_of(false, 1000).await;
        results.sort_by_key(|result| result.id.clone());
        for (id, result) in results.iter().enumerate() {
            assert_eq!(result.id, Some(JobId::Number(id as i128)));
            match &result.outcome {
                Outcome::Done(output) => assert_eq!(output.get(), id.to_string()),
                Outcome::Failed { code, .. } => {
                    assert_eq!((id, *code), (5, FailureCode::Poisoned));
                }
            }
        }
        assert_eq!(results.len(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn ordered_results_are_in_the_order_of_the_jobs() {
        let ids: Vec<_> = results_of(true, 300)
            .await
            .into_iter()
            .map(|result| result.id.unwrap())
            .collect();
        let expected: Vec<_> = (0..300).map(JobId::Number).collect();
        assert_eq!(ids, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_of_results_that_goes_away_stops_the_run() {
        let (give, entries) = mpsc::channel(1);
        let (results, taken) = mpsc::channel(1);
        drop(taken);
        give.send(vec![job(0, "echo"), job(1, "echo")])
            .await
            .unwrap();
        let workers = Scripted::new(1);
        let progress = Progress::default();
        let ended = run(Settings::default(), &workers, entries, results, &progress).await;
        assert_eq!(ended, Err(Stopped::NobodyReads));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_input_is_read_no_faster_than_results_are_taken() {
        let (give, entries) = mpsc::channel(1);
        let (results, _taken) = mpsc::channel(1);
        let settings = Settings {
            jobs_max: 8,
            ..Settings::default()
        };
        let workers = Scripted::new(2);
        let progress = Progress::default();
        let feed = async {
            for id in 0.. {
                if give.send(vec![job(id, "echo")]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            _ = run(settings, &workers, entries, results, &progress) => panic!("cannot end"),
            () = feed => panic!("cannot end"),
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        // The window, the result that waits for the reader, and the one in the channel.
        assert_eq!(progress.read.load(Ordering::Relaxed), 8 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_job_alone_has_its_attempts_too() {
        let workers = Scripted::new(1);
        let Entry::Job(job) = job(1, "panic") else {
            panic!("a job")
        };
        let result = run_one(&workers, job, 2).await.unwrap();
        assert_eq!(result.attempts, 2);
        assert!(!result.outcome.is_ok());
    }
}
