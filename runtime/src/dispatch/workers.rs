//! How the engine reaches workers.

use super::job::Job;
use super::verdict::End;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How one attempt went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The path of the worker that had it.
    pub worker: Option<Arc<str>>,
    /// The node of that worker, where there are several.
    pub node: Option<Arc<str>>,
    /// How it ended.
    pub end: End,
    /// How many attempts were made and counted elsewhere before this one (by the node, when the job went through its API).
    pub attempts_before: u32,
}

impl Report {
    /// The report on an attempt by the worker at `path`.
    #[must_use]
    pub fn of(path: &str, end: End) -> Self {
        Self {
            worker: Some(path.into()),
            node: None,
            end,
            attempts_before: 0,
        }
    }
}

/// There was nobody to give a job to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWorkers {
    /// The group had no living member for as long as the dispatcher waits. Nothing was handed over; may be tried again.
    #[error("no member of group {group} was alive for {waited:?}")]
    NobodyAlive {
        /// The group's name.
        group: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// Whoever was to hand the job over cannot be reached any more. A job that was under way may have been done.
    #[error("{0}")]
    Unreachable(String),
    /// What becomes of the job could not be recorded, so it was not handed over, or its result is not told. A durable run goes
    /// on from what is recorded when it is started again.
    #[error("{0}")]
    NotRecorded(String),
}

/// Where a job is done. Choosing and performing are two steps, so that a choice can be an auction: the future of `choose`
/// may ask for bids.
pub trait Workers: Send + Sync {
    /// A worker that is set aside for one attempt, until this value is dropped.
    type Chosen: Send;

    /// Chooses a worker for `job`, waiting until one is free.
    fn choose(
        &self,
        job: &Arc<Job>,
    ) -> impl Future<Output = Result<Self::Chosen, NoWorkers>> + Send;

    /// Lets the chosen worker perform one attempt. Ends by the deadline in any case.
    fn perform(
        &self,
        chosen: Self::Chosen,
        job: Arc<Job>,
    ) -> impl Future<Output = Result<Report, NoWorkers>> + Send;
}
