//! Workers of a node that is reached through its API.

use crate::cli::{Dispatch, DispatchProtocol};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use swarm_runtime::dispatch::{
    End, FailureCode, Job, JobId, NoWorkers, Outcome, Report, RunName, Workers,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many jobs may be at the node at once: enough to keep its workers busy over a round trip, few enough for the
/// connections to fit any limit on open files.
const JOBS_IN_FLIGHT: usize = 64;

/// How soon a node that is gone is looked for again; the wait grows up to the second value.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Has a node make the attempts. Each job is one request; its answer is final.
pub(super) struct RemoteWorkers {
    client: NodeClient,
    group: String,
    attempts: u32,
    deadline: Duration,
    protocol: Option<DispatchProtocol>,
    /// The durable run that the jobs belong to.
    run: Option<RunName>,
    /// How long a durable run waits for a node that is gone.
    patience: Duration,
    slots: Arc<Semaphore>,
    /// The failure that stopped the run, with its exit status and next step.
    failure: Mutex<Option<Failure>>,
}

#[derive(Serialize)]
struct Request<'a> {
    group: &'a str,
    id: &'a JobId,
    task: &'a str,
    input: &'a RawValue,
    attempts: u32,
    deadline_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    output: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
    code: Option<FailureCode>,
    worker: Option<String>,
    attempts: u32,
}

impl RemoteWorkers {
    pub(super) fn new(client: &NodeClient, asked: &Dispatch, run: Option<&RunName>) -> Self {
        // The node ends every attempt by its deadline and has the last word on time; how often a job is started over because
        // its worker was killed is not bounded, so neither is this wait. A node that dies closes the connection.
        let patient = client.with_timeout(Duration::from_secs(365 * 24 * 3600));
        Self {
            client: patient,
            group: asked.to.clone(),
            attempts: asked.attempts.get(),
            deadline: asked.deadline,
            protocol: asked.protocol,
            run: run.cloned(),
            patience: asked.patience,
            slots: Arc::new(Semaphore::new((asked.window as usize).min(JOBS_IN_FLIGHT))),
            failure: Mutex::new(None),
        }
    }

    /// Sends one job. A durable run waits for a node that cannot be reached: it may be started again, and then answers what it
    /// has recorded.
    async fn post(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut pause = LOOK_AGAIN.0;
        let mut gone_since: Option<Instant> = None;
        loop {
            let failure = match self.client.post::<Answer>("/v1/jobs", request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let is_gone = matches!(failure.code.as_str(), "unreachable" | "connection-lost");
            let since = *gone_since.get_or_insert_with(Instant::now);
            if self.run.is_none() || !is_gone || since.elapsed() >= self.patience {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN.1);
        }
    }

    /// What stopped the run, if the node did.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    fn stop(&self, failure: Failure) -> NoWorkers {
        let why = failure.error.clone();
        self.failure.lock().get_or_insert(failure);
        NoWorkers::Unreachable(why)
    }
}

impl Workers for RemoteWorkers {
    type Chosen = OwnedSemaphorePermit;

    async fn choose(&self, _: &Arc<Job>) -> Result<OwnedSemaphorePermit, NoWorkers> {
        match Arc::clone(&self.slots).acquire_owned().await {
            Ok(slot) => Ok(slot),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    async fn perform(
        &self,
        _slot: OwnedSemaphorePermit,
        job: Arc<Job>,
    ) -> Result<Report, NoWorkers> {
        let request = Request {
            group: &self.group,
            id: &job.id,
            task: &job.task,
            input: &job.input,
            attempts: self.attempts,
            deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            protocol: self.protocol.map(|protocol| match protocol {
                DispatchProtocol::ContractNet => "contract-net",
            }),
            run: self.run.as_ref().map(RunName::as_str),
        };
        match self.post(&request).await {
            Ok(answer) => Ok(Report {
                worker: answer.worker.as_deref().map(Arc::from),
                attempts_before: answer.attempts.saturating_sub(1),
                end: End::Answered(outcome(answer)),
            }),
            // The node does not take this job, others it may.
            Err(failure) if failure.exit == ExitStatus::Usage => Ok(Report {
                worker: None,
                attempts_before: 0,
                end: End::Answered(Outcome::failed(FailureCode::BadJob, &failure.error)),
            }),
            // Refused for now, but the workers are not there any more: the same as in a node of one's own.
            Err(failure) if failure.code == "no-workers" => Err(self.stop(Failure {
                exit: ExitStatus::Unreachable,
                ..failure
            })),
            Err(failure) => Err(self.stop(failure)),
        }
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer {
            ok: true, output, ..
        } => Outcome::Done(output.unwrap_or_else(|| RawValue::NULL.to_owned())),
        Answer { error, code, .. } => Outcome::Failed {
            code: code.unwrap_or(FailureCode::Failed),
            error: error.unwrap_or_else(|| RawValue::NULL.to_owned()),
        },
    }
}
