//! `dispatch`: jobs to the workers of a group, one result each.

mod durable;
mod embedded;
mod faults;
mod progress;
mod remote;
mod sink;
mod source;
mod verify;

use crate::cli::{Dispatch, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::start::interrupted;
use crate::words::{count, span_ms};
use durable::Ceased;
use remote::RemoteWorkers;
use serde::Serialize;
use sink::Sink;
use source::{Earlier, Source};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm_protocols::Name;
use swarm_runtime::api::types::{ActorsAnswer, ActorsQuery, StatusAnswer};
use swarm_runtime::dispatch::{
    DurableRun, Finished, NoWorkers, Progress, RunName, Settings, Stopped, Workers,
};
use tokio::sync::mpsc;
use verify::Answers;

/// How many results may wait to be written. Results beyond stay in the engine's window.
const RESULTS_WAITING: usize = 64;

/// What one run is made of.
struct Run<'a> {
    output: Output,
    asked: &'a Dispatch,
    source: Source,
    sink: Sink,
    finished: Finished,
    /// The run in the journal of the node that this command runs.
    recorded: Option<Arc<DurableRun>>,
}

/// How the run itself went; what it cost the workers is known to whoever runs them.
struct Ended {
    how: How,
    /// What the workers answered, where it was kept to be verified.
    answers: Option<Answers>,
    summary: Summary,
}

enum How {
    ToTheEnd,
    Interrupted,
    NobodyReads,
    Failed(Failure),
}

#[derive(Debug, Serialize)]
struct Summary {
    event: &'static str,
    jobs: u64,
    ok: u64,
    failed: u64,
    poisoned: u64,
    /// Jobs that had their result from an earlier run.
    skipped: u64,
    attempts: u64,
    /// Restarts of the group's members while it ran.
    restarts: u64,
    /// Workers killed by `--chaos`.
    killed: u64,
    ms: u64,
    per_second: f64,
}

impl Summary {
    fn words(&self) -> String {
        let mut text = format!(
            "{} in {} ({:.0}/s): {} ok, {} failed",
            count(self.jobs, "job"),
            span_ms(self.ms),
            self.per_second,
            self.ok,
            self.failed
        );
        if self.poisoned > 0 {
            text.push_str(&format!(" ({} poisoned)", self.poisoned));
        }
        if self.skipped > 0 {
            text.push_str(&format!(", {} done before", self.skipped));
        }
        text.push_str(&format!(
            "; {}, {}",
            count(self.attempts, "attempt"),
            count(self.restarts, "restart")
        ));
        if self.killed > 0 {
            text.push_str(&format!(
                ", {} killed by chaos",
                count(self.killed, "worker")
            ));
        }
        text
    }
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    asked: Dispatch,
) -> Result<ExitStatus, Stop> {
    let group = Name::new(&asked.to)
        .map_err(|error| Failure::usage(format!("--to {:?}: {error}", asked.to), "--to workers"))?;
    verify::check(&asked)?;
    let run_name = durable::name_of(&asked)?;
    let source = Source::open(&asked)?;
    // The tree comes before the file of results: a manifest that cannot be used leaves that untouched.
    let host = match &asked.manifest {
        Some(file) => {
            Host::Embedded(embedded::Embedded::start(output, &asked, file, &group).await?)
        }
        None => Host::Remote(NodeClient::new(global)?),
    };
    let ended = begin(output, &asked, &host, source, run_name.as_ref()).await;
    if let Host::Embedded(node) = host {
        node.stop().await;
    }
    conclude(output, &asked, ended?)
}

async fn begin(
    output: Output,
    asked: &Dispatch,
    host: &Host,
    source: Source,
    run_name: Option<&RunName>,
) -> Result<Ended, Failure> {
    let recorded = match (host, run_name) {
        (Host::Embedded(node), Some(name)) => Some(node.durable_run(output, name).await?),
        (Host::Remote(_), _) | (_, None) => None,
    };
    let (sink, finished) = Sink::open(asked, output.format)?;
    let run = Run {
        output,
        asked,
        source,
        sink,
        finished,
        recorded: recorded.clone(),
    };
    let mut ended = match host {
        Host::Embedded(node) => node.run(run).await,
        Host::Remote(client) => at_node(client, run, run_name).await?,
    };
    if matches!(ended.how, How::ToTheEnd)
        && let Some(name) = run_name
        && let Err(failure) = durable::end(host, recorded.as_deref(), name).await
    {
        ended.how = How::Failed(failure);
    }
    Ok(ended)
}

enum Host {
    Embedded(embedded::Embedded),
    Remote(NodeClient),
}

/// Has the jobs done by a node that runs already.
async fn at_node(
    client: &NodeClient,
    run: Run<'_>,
    run_name: Option<&RunName>,
) -> Result<Ended, Failure> {
    let asked = run.asked;
    let restarts_before = restarts_at(client, &asked.to).await?;
    let status: StatusAnswer = client.get("/v1/status", &()).await?;
    let workers = RemoteWorkers::new(client, &status, asked, run_name);
    let faults = faults::Faults::start(client, asked).await?;
    let mut ended = tokio::select! {
        ended = run.execute(&workers) => ended,
        never = faults.go_on() => match never {},
    };
    ended.summary.killed = faults.stop().await;
    if let Some(failure) = workers.take_failure() {
        ended.how = How::Failed(failure);
    }
    // What the run cost is of use only if the node can still be asked.
    if let Ok(restarts_after) = restarts_at(client, &asked.to).await {
        ended.summary.restarts = restarts_after.saturating_sub(restarts_before);
    }
    Ok(ended)
}

/// How often the members of the group were restarted so far. A group without members is told before anything is done.
async fn restarts_at(client: &NodeClient, group: &str) -> Result<u64, Failure> {
    let query = ActorsQuery {
        group: Some(group.to_owned()),
        ..ActorsQuery::default()
    };
    let answer: ActorsAnswer = client.get("/v1/actors", &query).await?;
    if answer.total == 0 {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "no-workers",
            format!("group {group} has no member at {}", client.address()),
            "swarmctl actor ls shows the groups there are; --manifest runs a node of its own",
        ));
    }
    Ok(answer.actors.iter().map(|actor| actor.restarts).sum())
}

impl Run<'_> {
    /// Reads, has done and writes, until there is nothing left or something stops it.
    async fn execute<W: Workers>(self, workers: &W) -> Ended {
        let Self {
            output,
            asked,
            source,
            sink,
            finished,
            recorded,
        } = self;
        if !finished.is_empty() {
            output.note(&format!(
                "going on: {} already",
                count(finished.len() as u64, "result")
            ));
        }
        let settings = Settings {
            jobs_max: asked.window as usize,
            faults_max: asked.attempts.get(),
            is_ordered: asked.ordered,
            ..Settings::default()
        };
        let progress = Progress::default();
        let skipped = Arc::new(AtomicU64::new(0));
        let not_text = source.not_text();
        let (give, entries) = mpsc::channel(1);
        let (results, taken) = mpsc::channel(RESULTS_WAITING);
        let earlier = Earlier {
            finished,
            recorded: recorded.clone(),
        };
        let feeder = {
            let skipped = Arc::clone(&skipped);
            tokio::task::spawn_blocking(move || source::feed(source, &earlier, &skipped, &give))
        };
        let writer = tokio::task::spawn_blocking(move || sink.write(taken));
        let start = Instant::now();
        let work = durable::work(
            settings,
            workers,
            entries,
            results,
            &progress,
            recorded.as_deref(),
        );
        // Whichever ends first, the others are dropped here: the engine lets go of both channels, and the writer ends when it
        // has written what it got.
        let stopped = tokio::select! {
            stopped = work => Some(stopped),
            () = interrupted() => None,
            () = progress::draw(&progress, output, asked.out.is_none()) => None,
        };
        let elapsed = start.elapsed();
        let (written, answers) = match writer.await {
            Ok(Ok(answers)) => (Ok(()), answers),
            Ok(Err(error)) => (Err(error), None),
            Err(error) => (Err(io::Error::other(error)), None),
        };
        let how = match (stopped, written) {
            (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => How::NobodyReads,
            (_, Err(error)) => How::Failed(output_failed(asked, &error)),
            (None, Ok(())) => How::Interrupted,
            (Some(Err(Ceased::NotRecorded(error))), Ok(())) => {
                How::Failed(durable::not_recorded(&error))
            }
            (Some(Ok(())), Ok(())) => match feeder
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
            {
                Ok(()) => How::ToTheEnd,
                Err(error) => How::Failed(Failure::new(
                    ExitStatus::Failed,
                    "input-failed",
                    format!("the jobs could not be read to their end: {error}"),
                    "check the input; with --out the same command goes on where this one stopped",
                )),
            },
            (Some(Err(Ceased::Engine(Stopped::NoWorkers(why)))), Ok(())) => {
                How::Failed(no_workers(&why))
            }
            (Some(Err(Ceased::Engine(Stopped::NobodyReads))), Ok(())) => How::NobodyReads,
        };
        if let Some(not_text) = not_text {
            let not_text = not_text.load(Ordering::Relaxed);
            if not_text > 0 {
                output.note(&format!(
                    "{} passed over: not UTF-8 text",
                    count(not_text, "file")
                ));
            }
        }
        Ended {
            how,
            answers,
            summary: Summary::of(&progress, skipped.load(Ordering::Relaxed), elapsed),
        }
    }
}

impl Summary {
    fn of(progress: &Progress, skipped: u64, elapsed: Duration) -> Self {
        let jobs = progress.done();
        let seconds = elapsed.as_secs_f64();
        let per_second = if seconds > 0.0 {
            jobs as f64 / seconds
        } else {
            0.0
        };
        Self {
            event: "summary",
            jobs,
            ok: progress.ok.load(Ordering::Relaxed),
            failed: progress.failed.load(Ordering::Relaxed),
            poisoned: progress.poisoned.load(Ordering::Relaxed),
            skipped,
            attempts: progress.attempts.load(Ordering::Relaxed),
            restarts: 0,
            killed: 0,
            ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            per_second: (per_second * 10.0).round() / 10.0,
        }
    }
}

fn output_failed(asked: &Dispatch, error: &io::Error) -> Failure {
    match &asked.out {
        Some(path) => Failure::file("write results to", path, error),
        None => Failure::new(
            ExitStatus::Failed,
            "stdout-failed",
            format!("cannot write to stdout: {error}"),
            "check where stdout goes, or use --out FILE",
        ),
    }
}

fn no_workers(why: &NoWorkers) -> Failure {
    Failure::new(
        ExitStatus::Unreachable,
        "no-workers",
        why.to_string(),
        "swarmctl status and swarmctl events say why they are gone; with --out the same command goes on where this one stopped",
    )
}

/// Tells how it went and compares, where that was asked for.
fn conclude(output: Output, asked: &Dispatch, ended: Ended) -> Result<ExitStatus, Stop> {
    let Ended {
        how,
        answers,
        summary,
    } = ended;
    output.report(&summary, || summary.words());
    match how {
        How::ToTheEnd => {}
        How::NobodyReads => return Err(Stop::NobodyReads),
        How::Failed(failure) => return Err(failure.into()),
        How::Interrupted => {
            output.note(if asked.durable {
                "interrupted: what is done is recorded; the same command goes on"
            } else if asked.out.is_some() {
                "interrupted: what is done is in the file; the same command goes on"
            } else {
                "interrupted: jobs without a result were not done, or not to their end"
            });
            return Ok(ExitStatus::Interrupted);
        }
    }
    if asked.verify {
        let answers = match (answers, &asked.out) {
            (Some(answers), _) => answers,
            (None, Some(out)) => Answers::read(out)?,
            (None, None) => Answers::default(),
        };
        let comparison = verify::compare(asked, &answers)?;
        output.report(&comparison, || comparison.words());
        if !comparison.is_equal() {
            return Err(Failure::new(
                ExitStatus::CheckFailed,
                "not-equal",
                "the dispatched counts are not those of a sequential count",
                "look at the results of the jobs that differ; files may have changed meanwhile",
            )
            .into());
        }
    }
    if summary.failed > 0 {
        return Err(Failure::new(
            ExitStatus::Partial,
            "jobs-failed",
            format!(
                "{} of {} failed",
                summary.failed,
                count(summary.jobs, "job")
            ),
            "the results with \"ok\":false say why",
        )
        .into());
    }
    Ok(ExitStatus::Done)
}
