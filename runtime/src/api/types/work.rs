//! Chaos and jobs.

use super::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/chaos`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChaosRequest {
    /// A path (`/pool/worker-1`) or a group (`workers`).
    pub target: String,
    /// kill, panic, hang, slow or full.
    pub fault: String,
    /// Faults per second, above 0 and at most 10000.
    pub rate: f64,
    /// For how long; at most a day.
    pub for_ms: u64,
    /// The seed of the choice of victims; a random one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What a chaos run did. While it is running the counts are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosReport {
    /// The run.
    pub id: u64,
    /// running, finished (its time was over), stopped (by `DELETE`), failed.
    pub state: String,
    /// As asked for.
    pub target: String,
    /// As asked for.
    pub fault: String,
    /// As asked for.
    pub rate: f64,
    /// The seed that repeats it.
    pub seed: u64,
    /// When it began.
    pub started_at: Time,
    /// For how long it has been running, or ran.
    pub ran_ms: u64,
    /// Faults injected so far; the numbers below are known at the end.
    pub injected: u64,
    /// Faults that were due when there was no victim to choose.
    pub skipped: u64,
    /// New lives of those that were hit.
    pub restarts: u64,
    /// Those that were hit and did not come back.
    pub not_restarted: u64,
    /// Messages of the whole node that became dead letters meanwhile, those whose turn a fault hit among them.
    pub lost: u64,
    /// What else the engine reports.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub more: Value,
}

/// `POST /v1/jobs`: one job for the workers of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Whose workers.
    pub group: String,
    /// The caller's name for the job; comes back with the result.
    pub id: Value,
    /// What to do.
    pub task: String,
    /// What to do it with.
    #[serde(default)]
    pub input: Value,
    /// After so many attempts that end by panic, error, limit or deadline the job is given up; 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How long one attempt may take; 60000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How the worker is chosen: `contract-net` awards the job by bids; the least loaded unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The durable run that the job belongs to: its result is recorded in the node's journal before it is told, and told again
    /// when the same job is sent again, until the run is ended. A name; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// `DELETE /v1/runs/{run}`: the durable run has ended, and what was recorded of it is forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    /// Its name.
    pub run: String,
}

/// The result of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobAnswer {
    /// The caller's name for it.
    pub id: Value,
    /// Whether there is an output.
    pub ok: bool,
    /// What the worker answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why there is no output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// What kind of failure that is: failed, poisoned, bad-job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The path of the last worker.
    #[serde(default)]
    pub worker: Option<String>,
    /// The node of that worker, in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How many workers were given the job.
    pub attempts: u32,
    /// From taking the job to its result.
    pub ms: u64,
}
