//! Jobs: the node makes the attempts, the client gets the one result.

use crate::api::fault::Fault;
use crate::api::input::{JOB_BODY_BYTES_MAX, JobBody, NoBody};
use crate::api::server::Api;
use crate::api::types::RunEnded;
use crate::dispatch::{
    Attempts, BiddingWorkers, DurableRun, Entry, Job, JobId, JobResult, NoWorkers, NotRecorded,
    RUNS_MAX, RecordedWorkers, RunName, Workers, go_on_with_one,
};
use crate::node::NoJournal;
use axum::Json;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Name;
use tokio::sync::Semaphore;

/// Attempts of one job unless it says so.
const ATTEMPTS: u32 = 3;
/// Attempts of one job.
const ATTEMPTS_MAX: u32 = 1_000;
/// How long one attempt may take unless the job says so.
const DEADLINE_MS: u64 = 60_000;
/// How long one attempt may take.
const DEADLINE_MS_MAX: u64 = 24 * 3600 * 1000;
/// How long a job waits for a worker to come back when none of its group is alive. Restarts take milliseconds; a group that
/// is empty for longer is stopped or misspelled.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much memory the jobs under way may hold, in MiB. A job that finds no room waits in line, unread.
const MEMORY_MIB: u32 = 512;
const MIB: usize = 1024 * 1024;

/// The memory for jobs under way, one permit per MiB.
pub(in crate::api) struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Self(Semaphore::new(MEMORY_MIB as usize))
    }
}

/// [`JobRequest`](crate::api::types::JobRequest) with the input unread.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    group: Name,
    id: JobId,
    task: String,
    #[serde(default = "null")]
    input: Box<RawValue>,
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    run: Option<String>,
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

pub(in crate::api) async fn perform(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<JobResult>, Fault> {
    // Room is taken before the body is read. The semaphore is never closed, and a job without room would be harmless.
    let _room = api.room.0.acquire_many(mebibytes(&request)).await;
    let JobBody(order) = JobBody::<Order>::from_request(request, &()).await?;
    let attempts = order.attempts.unwrap_or(ATTEMPTS);
    if !(1..=ATTEMPTS_MAX).contains(&attempts) {
        return Err(Fault::invalid(
            "attempts",
            format!("{attempts} is not within 1 to {ATTEMPTS_MAX}"),
            format!("for example {ATTEMPTS}"),
        ));
    }
    let deadline_ms = order.deadline_ms.unwrap_or(DEADLINE_MS);
    if !(1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Err(Fault::invalid(
            "deadline_ms",
            format!("{deadline_ms} is not within 1 to {DEADLINE_MS_MAX}"),
            format!("for example {DEADLINE_MS}"),
        ));
    }
    let workers = api.desk.workers(
        api.node.system(),
        &order.group,
        Duration::from_millis(deadline_ms),
        PATIENCE,
    );
    let workers = match api.node.cluster() {
        Some(_) => workers.naming_nodes(),
        None => workers,
    };
    let job = Job {
        id: order.id,
        task: order.task,
        input: order.input,
    };
    let run = match &order.run {
        Some(name) => Some(durable_run(&api, name).await?),
        None => None,
    };
    let done = match order.protocol.as_deref() {
        None => perform_by(&workers, run.as_deref(), job, attempts).await,
        Some("contract-net") => {
            let caller = api.node.caller().await.map_err(|error| {
                Fault::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no-workers",
                    error.to_string(),
                    "`swarmctl status` shows the node's state",
                )
            })?;
            let workers = BiddingWorkers::new(workers, caller);
            perform_by(&workers, run.as_deref(), job, attempts).await
        }
        Some(other) => {
            return Err(Fault::invalid(
                "protocol",
                format!("{other:?} is no way to choose a worker"),
                "contract-net, or leave it out",
            ));
        }
    };
    done.map(Json)
}

/// Has the job done; of a durable run, unless it was.
async fn perform_by<W: Workers>(
    workers: &W,
    run: Option<&DurableRun>,
    job: Job,
    attempts_max: u32,
) -> Result<JobResult, Fault> {
    let Some(run) = run else {
        let done = go_on_with_one(workers, job, Attempts::default(), attempts_max).await;
        return done.map_err(|error| no_workers(&error));
    };
    let looked = run.look_at(job).await;
    let (job, before) = match looked.map_err(|error| not_recorded(&error))? {
        Entry::Known(result) | Entry::Bad(result) => return Ok(result),
        Entry::Job(job) => (job, Attempts::default()),
        Entry::Resumed(job, before) => (job, before),
    };
    let workers = RecordedWorkers::new(workers, run);
    let result = go_on_with_one(&workers, job, before, attempts_max)
        .await
        .map_err(|error| no_workers(&error))?;
    run.finish(result)
        .await
        .map_err(|error| not_recorded(&error))
}

async fn durable_run(api: &Api, name: &str) -> Result<Arc<DurableRun>, Fault> {
    let name = run_name(name)?;
    let journal = api.node.open_journal().await.map_err(no_journal)?;
    let run = api.runs.get(&journal, &name).await;
    run.map_err(|error| not_recorded(&error))?.ok_or_else(|| {
        Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-runs",
            format!("this node works on {RUNS_MAX} durable runs, as many as it can"),
            "try again when one has ended",
        )
    })
}

/// `DELETE /v1/runs/{run}`: it has come to its end, and its results are where they belong.
pub(in crate::api) async fn end_run(
    State(api): State<Api>,
    Path(name): Path<String>,
    NoBody: NoBody,
) -> Result<Json<RunEnded>, Fault> {
    let run = durable_run(&api, &name).await?;
    run.end().await.map_err(|error| not_recorded(&error))?;
    api.runs.forget(run.name()).await;
    Ok(Json(RunEnded {
        run: run.name().to_string(),
    }))
}

fn run_name(name: &str) -> Result<RunName, Fault> {
    RunName::new(name).map_err(|error| Fault::invalid("run", error, "for example run-1"))
}

pub(in crate::api) fn no_journal(error: NoJournal) -> Fault {
    Fault::new(
        StatusCode::CONFLICT,
        "no-journal",
        error.to_string(),
        "`swarmctl up --data DIR` starts a node with a data folder; its log says why a journal does not open",
    )
}

fn not_recorded(error: &NotRecorded) -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "not-recorded",
        error.to_string(),
        "look at the node's log and disk; after a restart of the node the same run goes on",
    )
}

fn no_workers(error: &NoWorkers) -> Fault {
    match error {
        NoWorkers::NobodyAlive { .. } | NoWorkers::Unreachable(_) => Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-workers",
            error.to_string(),
            "`swarmctl actor ls` shows the groups and the states of their members",
        ),
        NoWorkers::NotRecorded(error) => Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "not-recorded",
            error.clone(),
            "look at the node's log and disk; after a restart of the node the same run goes on",
        ),
    }
}

/// How much the body may take; the most there can be where its length is not declared.
fn mebibytes(request: &Request) -> u32 {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok())
        .unwrap_or(JOB_BODY_BYTES_MAX)
        .min(JOB_BODY_BYTES_MAX);
    u32::try_from(declared / MIB + 1)
        .unwrap_or(MEMORY_MIB)
        .min(MEMORY_MIB)
}
