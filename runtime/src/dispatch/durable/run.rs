//! One durable run over a journal.

use super::book::Book;
use super::form::{self, Counted, Reader, RunEvent, RunName};
use crate::dispatch::job::{Entry, FailureCode, Job, JobId, JobResult, Outcome};
use crate::dispatch::verdict::{Attempts, End};
use futures_util::stream::{FuturesOrdered, StreamExt};
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::journal::{
    Append, AppendError, Appended, Bounds, Class, EventData, Journal, JournalError, Start,
    StreamName,
};
use tokio::sync::mpsc;

/// How long to leave a journal alone that has too much to write.
const OVERLOADED_PAUSE: Duration = Duration::from_millis(2);

/// How many results may wait for the journal at once: enough that one sync carries many.
const RESULTS_IN_FLIGHT: usize = 256;

/// A run whose jobs' states are in a journal. Shared by all that work on it.
pub struct DurableRun {
    name: RunName,
    stream: StreamName,
    journal: Arc<dyn Journal>,
    /// Locked for single look-ups and changes only.
    book: Mutex<Book>,
}

/// What an earlier process has left of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that have their result.
    pub done: u64,
    /// Jobs that were begun and have none.
    pub begun: u64,
}

/// Why a run cannot go on. What was given out until then is recorded; the run can be started again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The journal did not take it, or nobody knows whether it did: the run's next start finds out.
    #[error("run {run} cannot be recorded: {cause}")]
    Journal {
        /// Which run.
        run: RunName,
        /// Why.
        #[source]
        cause: AppendError,
    },
    /// What is recorded cannot be read.
    #[error("what is recorded of run {run} cannot be read: {cause}")]
    Unreadable {
        /// Which run.
        run: RunName,
        /// Why.
        cause: String,
    },
}

impl DurableRun {
    /// The run with that name: as an earlier process has left it, or new. Reads its stream, and blocks for that.
    ///
    /// # Errors
    /// [`NotRecorded`]: nothing was changed.
    pub fn open(
        journal: Arc<dyn Journal>,
        name: RunName,
    ) -> Result<(Self, Recovered), NotRecorded> {
        let stream = name.stream();
        let mut book = Book::default();
        let (mut reader, mut parts) = (Reader::default(), 0);
        let mut failed = None;
        let replayed = journal.replay(&stream, Start::AfterBatch(0), &mut |batch| {
            for (event, seq) in batch.events.iter().zip(batch.first_seq..) {
                match reader.read(seq, event.type_id, event.version, event.payload.0) {
                    Ok(RunEvent::Part) => parts += 1,
                    Ok(event) => {
                        book.apply(&event, seq, parts);
                        parts = 0;
                    }
                    Err(error) => {
                        failed = Some(error.to_string());
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        });
        let failed = failed.or(replayed.err().map(|error| error.to_string()));
        if let Some(cause) = failed {
            return Err(NotRecorded::Unreadable { run: name, cause });
        }
        let (done, begun) = book.counts();
        let run = Self {
            name,
            stream,
            journal,
            book: Mutex::new(book),
        };
        Ok((run, Recovered { done, begun }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RunName {
        &self.name
    }

    /// What is to be done with an entry: a job that has its result becomes that result, one that was begun goes on with its
    /// attempts counted. Reads the journal, and blocks for that.
    ///
    /// # Errors
    /// [`NotRecorded::Unreadable`].
    pub fn look(&self, entry: Entry) -> Result<Entry, NotRecorded> {
        let Entry::Job(job) = entry else {
            return Ok(entry);
        };
        match self.attempts_at(&job) {
            Ok(None) => Ok(Entry::Job(job)),
            Ok(Some(attempts)) => Ok(Entry::Resumed(job, attempts)),
            Err((first, count)) => self.result(first, count).map(Entry::Known),
        }
    }

    /// The same for one job, without blocking.
    ///
    /// # Errors
    /// [`NotRecorded::Unreadable`].
    pub async fn look_at(&self, job: Job) -> Result<Entry, NotRecorded> {
        match self.attempts_at(&job) {
            Ok(None) => Ok(Entry::Job(job)),
            Ok(Some(attempts)) => Ok(Entry::Resumed(job, attempts)),
            Err((first, count)) => self.recorded(first, count).await.map(Entry::Known),
        }
    }

    /// The attempts that were made at a job, if there were any; where its result is, if it has one.
    fn attempts_at(&self, job: &Job) -> Result<Option<Attempts>, (u64, u64)> {
        let state = *self.book.lock().of(&job.id, form::fingerprint(job));
        match state.result {
            Some(place) => Err(place),
            None if state.attempts == 0 => Ok(None),
            None => Ok(Some(Attempts::resumed(state.attempts, state.faults))),
        }
    }

    fn result(&self, first: u64, count: u64) -> Result<JobResult, NotRecorded> {
        let read = read_result(&*self.journal, &self.stream, first, count);
        read.map_err(|cause| NotRecorded::Unreadable {
            run: self.name.clone(),
            cause,
        })
    }

    /// Does what may block where that is allowed.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Journal, &StreamName) -> T + Send + 'static,
    ) -> Option<T> {
        let (journal, stream) = (self.journal.clone(), self.stream.clone());
        if !journal.reads_block() {
            return Some(work(&*journal, &stream));
        }
        tokio::task::spawn_blocking(move || work(&*journal, &stream))
            .await
            .ok()
    }

    /// Counts an attempt that begins now.
    ///
    /// # Errors
    /// [`NotRecorded::Journal`]: the job must not be handed over.
    pub async fn begun(&self, job: &Job) -> Result<(), NotRecorded> {
        let fingerprint = form::fingerprint(job);
        let counted = self.book.lock().of(&job.id, fingerprint).begin(&job.id);
        self.count(&counted).await
    }

    /// Counts how an attempt ended.
    ///
    /// # Errors
    /// [`NotRecorded::Journal`].
    pub async fn ended(&self, job: &Job, end: &End) -> Result<(), NotRecorded> {
        let fingerprint = form::fingerprint(job);
        let counted = self.book.lock().of(&job.id, fingerprint).end(&job.id, end);
        match counted {
            Some(counted) => self.count(&counted).await,
            None => Ok(()),
        }
    }

    /// A count survives a kill at once, and a power loss with the next result: it costs no sync of its own.
    async fn count(&self, counted: &Counted) -> Result<(), NotRecorded> {
        let events = vec![form::counted(counted)];
        self.append(events, Class::Relaxed).await.map(drop)
    }

    /// Records a result; from then on it is the job's one result, and may be given out. What comes back is that result: the
    /// one that was recorded first, if there is one. Results of what was no job are not recorded.
    ///
    /// # Errors
    /// [`NotRecorded::Journal`]: it must not be given out.
    pub async fn finish(&self, result: JobResult) -> Result<JobResult, NotRecorded> {
        let Some(id) = result.id.clone() else {
            return Ok(result);
        };
        let known = self.book.lock().get(&id).copied();
        match known {
            None => Ok(result),
            Some(state) => match state.result {
                Some((first, count)) => self.recorded(first, count).await,
                None => self.record(id, state.fingerprint, result).await,
            },
        }
    }

    async fn recorded(&self, first: u64, count: u64) -> Result<JobResult, NotRecorded> {
        let read = self
            .off_thread(move |journal, stream| read_result(journal, stream, first, count))
            .await;
        read.unwrap_or_else(|| Err("the read was cut off".to_owned()))
            .map_err(|cause| NotRecorded::Unreadable {
                run: self.name.clone(),
                cause,
            })
    }

    /// Whether the job of that result has one that is recorded.
    fn has_result(&self, result: &JobResult) -> bool {
        let Some(id) = &result.id else {
            return false;
        };
        let mut book = self.book.lock();
        book.get(id).is_some_and(|state| state.result.is_some())
    }

    async fn record(
        &self,
        id: JobId,
        fingerprint: u64,
        mut result: JobResult,
    ) -> Result<JobResult, NotRecorded> {
        let events = match form::finished(fingerprint, &result) {
            Some(events) => events,
            None => {
                result.outcome = Outcome::failed(
                    FailureCode::Failed,
                    &format!(
                        "the result has more than {} bytes, more than a durable run records",
                        form::RESULT_BYTES_MAX
                    ),
                );
                form::finished(fingerprint, &result).unwrap_or_default()
            }
        };
        let count = events.len() as u64;
        let appended = self.append(events, Class::Durable).await?;
        let mine = (appended.first.0, count);
        let first = {
            let mut book = self.book.lock();
            let state = book.of(&id, fingerprint);
            // Two may have been recorded at the same time. The one that stands first is the job's, here and after a restart.
            let known = state.result.get_or_insert(mine);
            *known = (*known).min(mine);
            *known
        };
        if first == mine {
            return Ok(result);
        }
        self.recorded(first.0, first.1).await
    }

    async fn append(&self, events: Vec<EventData>, class: Class) -> Result<Appended, NotRecorded> {
        let mut append = Append::new(self.stream.clone(), events);
        append.class = class;
        loop {
            match self.journal.append(append.clone()).await {
                Ok(appended) => return Ok(appended),
                Err(AppendError::Overloaded) => tokio::time::sleep(OVERLOADED_PAUSE).await,
                Err(cause) => {
                    return Err(NotRecorded::Journal {
                        run: self.name.clone(),
                        cause,
                    });
                }
            }
        }
    }

    /// The run has come to its end, and its results are where they belong: it is forgotten. To be called when these are as
    /// safe as they are to be.
    ///
    /// # Errors
    /// [`NotRecorded::Journal`]: the next run of this name gets the results of this one.
    pub async fn end(&self) -> Result<(), NotRecorded> {
        let failed = |cause| NotRecorded::Journal {
            run: self.name.clone(),
            cause,
        };
        if self
            .journal
            .head(&self.stream)
            .map_err(|e| failed(e.into()))?
            .is_none()
        {
            return Ok(());
        }
        let appended = self.append(vec![form::ended()], Class::Durable).await?;
        *self.book.lock() = Book::default();
        let last = appended.last;
        let truncated = self
            .off_thread(move |journal, stream| journal.truncate(stream, last))
            .await;
        match truncated {
            Some(receipt) => receipt.await.map(drop).map_err(failed),
            None => Err(failed(JournalError::Unknown.into())),
        }
    }
}

fn read_result(
    journal: &dyn Journal,
    stream: &StreamName,
    first: u64,
    count: u64,
) -> Result<JobResult, String> {
    let bounds = Bounds::from(first).to(first + count - 1);
    let replay = journal
        .read(stream, bounds)
        .map_err(|error| error.to_string())?;
    form::result_of(&replay.events).map_err(|error| error.to_string())
}

/// Takes results from the engine, records them, and hands them on in the order in which they came, until there are no more or
/// nobody takes them.
///
/// # Errors
/// [`NotRecorded`]: the results behind it are not handed on, which stops the engine.
pub async fn record(
    run: &DurableRun,
    mut results: mpsc::Receiver<JobResult>,
    onward: mpsc::Sender<JobResult>,
) -> Result<(), NotRecorded> {
    let mut recording = FuturesOrdered::new();
    let mut is_open = true;
    while is_open || !recording.is_empty() {
        tokio::select! {
            result = results.recv(), if is_open && recording.len() < RESULTS_IN_FLIGHT => match result {
                Some(result) => recording.push_back(async move {
                    // It came from the journal.
                    if run.has_result(&result) {
                        return Ok(result);
                    }
                    run.finish(result).await
                }),
                None => is_open = false,
            },
            Some(recorded) = recording.next(), if !recording.is_empty() => {
                if onward.send(recorded?).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{
        NoWorkers, Progress, RecordedWorkers, Report, Settings, Workers, run as run_engine,
    };
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    use swarm_actors::journal::MemoryJournal;
    use swarm_protocols::ExitReason;

    fn job(id: u32, input: &str) -> Job {
        Job {
            id: JobId::Number(id.into()),
            task: "t".to_owned(),
            input: RawValue::from_string(input.to_owned()).unwrap(),
        }
    }

    fn result(id: u32, output: &str) -> JobResult {
        JobResult {
            id: Some(JobId::Number(id.into())),
            line: None,
            outcome: Outcome::Done(RawValue::from_string(output.to_owned()).unwrap()),
            worker: None,
            node: None,
            attempts: 1,
            ms: 0,
        }
    }

    fn output(result: &JobResult) -> &str {
        match &result.outcome {
            Outcome::Done(output) => output.get(),
            Outcome::Failed { error, .. } => error.get(),
        }
    }

    fn name() -> RunName {
        RunName::new("r").unwrap()
    }

    fn open(journal: &Arc<MemoryJournal>) -> (DurableRun, Recovered) {
        DurableRun::open(journal.clone(), name()).unwrap()
    }

    #[tokio::test]
    async fn a_recorded_result_is_told_again_and_no_other_one_is() {
        let journal = Arc::new(MemoryJournal::new());
        let (run, recovered) = open(&journal);
        assert_eq!(recovered, Recovered::default());
        run.begun(&job(1, "1")).await.unwrap();
        run.begun(&job(2, "2")).await.unwrap();
        let first = run.finish(result(1, "10")).await.unwrap();
        let second = run.finish(result(1, "11")).await.unwrap();
        assert_eq!((output(&first), output(&second)), ("10", "10"));
        let (run, recovered) = open(&journal);
        assert_eq!(recovered, Recovered { done: 1, begun: 1 });
        let Entry::Known(known) = run.look(Entry::Job(job(1, "1"))).unwrap() else {
            panic!("it has a result")
        };
        assert_eq!(output(&known), "10");
        let Entry::Resumed(_, attempts) = run.look_at(job(2, "2")).await.unwrap() else {
            panic!("it was begun")
        };
        assert_eq!(attempts, Attempts::resumed(1, 0));
        let other = run.look(Entry::Job(job(1, "\"another input\""))).unwrap();
        assert!(matches!(other, Entry::Job(_)), "it is another job");
    }

    #[tokio::test]
    async fn faults_are_counted_across_restarts() {
        let journal = Arc::new(MemoryJournal::new());
        for expected in 1..=3 {
            let (run, _) = open(&journal);
            let job = job(1, "1");
            run.begun(&job).await.unwrap();
            let fault = End::Died(ExitReason::panic_text("p"));
            run.ended(&job, &fault).await.unwrap();
            run.begun(&job).await.unwrap();
            run.ended(&job, &End::NotTaken).await.unwrap();
            let (run, _) = open(&journal);
            let Entry::Resumed(_, attempts) = run.look(Entry::Job(job)).unwrap() else {
                panic!("it was begun")
            };
            assert_eq!(attempts, Attempts::resumed(expected, expected));
        }
    }

    #[tokio::test]
    async fn a_run_that_has_ended_is_forgotten() {
        let journal = Arc::new(MemoryJournal::new());
        let (run, _) = open(&journal);
        run.end().await.unwrap();
        run.begun(&job(1, "1")).await.unwrap();
        run.finish(result(1, "10")).await.unwrap();
        run.end().await.unwrap();
        let (run, recovered) = open(&journal);
        assert_eq!(recovered, Recovered::default());
        let looked = run.look(Entry::Job(job(1, "1"))).unwrap();
        assert!(matches!(looked, Entry::Job(_)));
    }

    #[tokio::test]
    async fn a_result_that_is_too_long_becomes_a_failure() {
        let journal = Arc::new(MemoryJournal::new());
        let (run, _) = open(&journal);
        run.begun(&job(1, "1")).await.unwrap();
        let long = format!("\"{}\"", "x".repeat(form::RESULT_BYTES_MAX));
        let told = run.finish(result(1, &long)).await.unwrap();
        assert!(!told.outcome.is_ok());
        let (run, _) = open(&journal);
        let Entry::Known(known) = run.look(Entry::Job(job(1, "1"))).unwrap() else {
            panic!("it has a result")
        };
        assert_eq!(output(&known), output(&told));
    }

    /// Workers that answer with how many attempts were made so far at all, so that no two results are the same.
    struct Counting<'a>(&'a AtomicU32);

    impl Workers for Counting<'_> {
        type Chosen = ();

        async fn choose(&self, _: &Arc<Job>) -> Result<(), NoWorkers> {
            tokio::task::yield_now().await;
            Ok(())
        }

        async fn perform(&self, (): (), _: Arc<Job>) -> Result<Report, NoWorkers> {
            let attempt = self.0.fetch_add(1, Ordering::Relaxed);
            let end = if attempt.is_multiple_of(5) {
                End::Died(ExitReason::Killed)
            } else {
                End::Answered(Outcome::Done(
                    RawValue::from_string(attempt.to_string()).unwrap(),
                ))
            };
            tokio::time::sleep(Duration::from_millis(u64::from(attempt % 7))).await;
            Ok(Report::of("/w", end))
        }
    }

    /// A process that works on the run until it is killed, and what it has given out by then.
    async fn process(
        journal: &Arc<MemoryJournal>,
        attempts: &AtomicU32,
        killed_after: Duration,
    ) -> (BTreeMap<JobId, String>, bool) {
        let (run, _) = open(journal);
        let (give, entries) = mpsc::channel(1);
        let (results, mut taken) = mpsc::channel::<JobResult>(1);
        let (raw, unrecorded) = mpsc::channel(1);
        let workers = Counting(attempts);
        let workers = RecordedWorkers::new(&workers, &run);
        let progress = Progress::default();
        let settings = Settings {
            jobs_max: 8,
            ..Settings::default()
        };
        let mut told = BTreeMap::new();
        let work = async {
            let feed = async {
                for id in 0..40 {
                    let entry = run.look(Entry::Job(job(id, "0"))).unwrap();
                    if give.send(vec![entry]).await.is_err() {
                        return;
                    }
                }
                drop(give);
            };
            let take = async {
                while let Some(result) = taken.recv().await {
                    let was = told.insert(result.id.clone().unwrap(), output(&result).to_owned());
                    assert_eq!(was, None, "told twice by one process");
                }
            };
            let (ended, recorded, (), ()) = tokio::join!(
                run_engine(settings, &workers, entries, raw, &progress),
                record(&run, unrecorded, results),
                feed,
                take
            );
            ended.unwrap();
            recorded.unwrap();
        };
        let is_done = tokio::time::timeout(killed_after, work).await.is_ok();
        (told, is_done)
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_killed_each_job_is_told_one_result() {
        for seed in 0..30 {
            let mut random = fastrand::Rng::with_seed(seed);
            let journal = Arc::new(MemoryJournal::new());
            let attempts = AtomicU32::new(0);
            let mut told: BTreeMap<JobId, String> = BTreeMap::new();
            let mut is_done = false;
            for life in 0..1000 {
                let until = Duration::from_millis(random.u64(1..12 + life));
                let (these, done) = process(&journal, &attempts, until).await;
                for (id, output) in these {
                    let known = told.entry(id.clone()).or_insert_with(|| output.clone());
                    assert_eq!(known, &output, "job {id} was told two results, seed {seed}");
                }
                is_done = done;
                if is_done {
                    break;
                }
            }
            assert!(is_done, "seed {seed}");
            assert_eq!(told.len(), 40, "seed {seed}");
        }
    }
}
