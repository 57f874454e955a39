//! Jobs: the node makes the attempts, the client gets the one result.

use crate::api::fault::Fault;
use crate::api::input::{JOB_BODY_BYTES_MAX, JobBody};
use crate::api::server::Api;
use crate::dispatch::{BiddingWorkers, Job, JobId, JobResult, NoWorkers, run_one};
use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use serde::Deserialize;
use serde_json::value::RawValue;
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
    let job = Job {
        id: order.id,
        task: order.task,
        input: order.input,
    };
    let done = match order.protocol.as_deref() {
        None => run_one(&workers, job, attempts).await,
        Some("contract-net") => {
            let caller = api.node.caller().await.map_err(|error| {
                Fault::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no-workers",
                    error.to_string(),
                    "`swarmctl status` shows the node's state",
                )
            })?;
            run_one(&BiddingWorkers::new(workers, caller), job, attempts).await
        }
        Some(other) => {
            return Err(Fault::invalid(
                "protocol",
                format!("{other:?} is no way to choose a worker"),
                "contract-net, or leave it out",
            ));
        }
    };
    match done {
        Ok(result) => Ok(Json(result)),
        Err(error @ (NoWorkers::NobodyAlive { .. } | NoWorkers::Unreachable(_))) => {
            Err(Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-workers",
                error.to_string(),
                "`swarmctl actor ls` shows the groups and the states of their members",
            ))
        }
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
