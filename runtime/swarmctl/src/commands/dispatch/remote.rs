//! Workers of a cluster, reached through the API of one node, and of another member when that one is gone.

use crate::cli::{Dispatch, DispatchProtocol};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_runtime::api::types::StatusAnswer;
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

/// How long another member may take to say who it is.
const IDENTITY_LIMIT: Duration = Duration::from_secs(3);

/// A member's API.
struct Entrance {
    client: NodeClient,
    /// The process that must answer there: a loopback address means another node on another machine.
    boot_id: String,
}

/// Has a node make the attempts. Each job is one request; its answer is final. When the node is gone, another member of its cluster
/// takes its place: what was under way is asked for again, as after the death of any worker.
pub(super) struct RemoteWorkers {
    /// The node that was named, then the members that it knew.
    entrances: Vec<Entrance>,
    /// Which of them is spoken to. Only grows.
    current: AtomicUsize,
    changing: tokio::sync::Mutex<()>,
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
    node: Option<String>,
    attempts: u32,
}

impl RemoteWorkers {
    pub(super) fn new(
        client: &NodeClient,
        status: &StatusAnswer,
        asked: &Dispatch,
        run: Option<&RunName>,
    ) -> Self {
        // The node ends every attempt by its deadline and has the last word on time; how often a job is started over because
        // its worker was killed is not bounded, so neither is this wait. A node that dies closes the connection.
        let patient = client.with_timeout(Duration::from_secs(365 * 24 * 3600));
        // What a durable run has recorded is at its node, which comes back.
        let others = status.nodes.iter().filter(|_| run.is_none());
        let others = others.filter_map(|node| {
            Some(Entrance {
                client: patient.at(node.api.as_deref()?)?,
                boot_id: node.boot_id.clone(),
            })
        });
        let first = Entrance {
            client: patient.clone(),
            boot_id: status.boot_id.clone(),
        };
        Self {
            entrances: std::iter::once(first).chain(others).collect(),
            current: AtomicUsize::new(0),
            changing: tokio::sync::Mutex::default(),
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
    async fn post(&self, at: usize, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut pause = LOOK_AGAIN.0;
        let mut gone_since: Option<Instant> = None;
        loop {
            let failure = match self.entrances[at]
                .client
                .post::<Answer>("/v1/jobs", request)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let since = *gone_since.get_or_insert_with(Instant::now);
            if self.run.is_none() || !is_gone(&failure) || since.elapsed() >= self.patience {
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

    /// Goes on with the next member that answers, unless somebody has changed already. False when there is none left.
    async fn change_from(&self, gone: usize) -> bool {
        let _changing = self.changing.lock().await;
        if self.current.load(Ordering::Acquire) != gone {
            return true;
        }
        for (at, entrance) in self.entrances.iter().enumerate().skip(gone + 1) {
            let asked = entrance.client.with_timeout(IDENTITY_LIMIT).alone();
            let status = asked.get::<StatusAnswer>("/v1/status", &()).await;
            if status.is_ok_and(|status| status.boot_id == entrance.boot_id) {
                self.current.store(at, Ordering::Release);
                return true;
            }
        }
        false
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
        let at = self.current.load(Ordering::Acquire);
        match self.post(at, &request).await {
            Ok(answer) => Ok(Report {
                worker: answer.worker.as_deref().map(Arc::from),
                node: answer.node.as_deref().map(Arc::from),
                attempts_before: answer.attempts.saturating_sub(1),
                end: End::Answered(outcome(answer)),
            }),
            // The node does not take this job, others it may.
            Err(failure) if failure.exit == ExitStatus::Usage => Ok(Report {
                worker: None,
                node: None,
                attempts_before: 0,
                end: End::Answered(Outcome::failed(FailureCode::BadJob, &failure.error)),
            }),
            // Refused for now, but the workers are not there any more: the same as in a node of one's own.
            Err(failure) if failure.code == "no-workers" => Err(self.stop(Failure {
                exit: ExitStatus::Unreachable,
                ..failure
            })),
            Err(failure) if is_gone(&failure) && self.change_from(at).await => Ok(Report {
                worker: None,
                node: None,
                attempts_before: 0,
                // A connection that was not made carried no job.
                end: match failure.exit {
                    ExitStatus::Unreachable => End::NotTaken,
                    _ => End::Died(ExitReason::Unreachable),
                },
            }),
            Err(failure) => Err(self.stop(failure)),
        }
    }
}

/// Whether the node did not answer because it is not there any more.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure.code.as_str(), "unreachable" | "connection-lost")
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
