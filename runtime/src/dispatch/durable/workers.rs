//! Workers whose attempts are counted in a journal.

use super::run::DurableRun;
use crate::dispatch::job::Job;
use crate::dispatch::workers::{NoWorkers, Report, Workers};
use std::sync::Arc;

/// Counts each attempt in the journal before the job is handed over, and how it ended.
pub struct RecordedWorkers<'a, W> {
    workers: &'a W,
    run: &'a DurableRun,
}

impl<'a, W> RecordedWorkers<'a, W> {
    /// Those workers, for the jobs of `run`.
    pub fn new(workers: &'a W, run: &'a DurableRun) -> Self {
        Self { workers, run }
    }
}

impl<W: Workers> Workers for RecordedWorkers<'_, W> {
    type Chosen = W::Chosen;

    async fn choose(&self, job: &Arc<Job>) -> Result<W::Chosen, NoWorkers> {
        self.workers.choose(job).await
    }

    async fn perform(&self, chosen: W::Chosen, job: Arc<Job>) -> Result<Report, NoWorkers> {
        let not_recorded = |error: super::NotRecorded| NoWorkers::NotRecorded(error.to_string());
        self.run.begun(&job).await.map_err(not_recorded)?;
        let report = self.workers.perform(chosen, Arc::clone(&job)).await?;
        self.run
            .ended(&job, &report.end)
            .await
            .map_err(not_recorded)?;
        Ok(report)
    }
}
