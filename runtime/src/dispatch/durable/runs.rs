//! The durable runs that clients of a node work on.

use super::form::RunName;
use super::run::{DurableRun, NotRecorded};
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::journal::Journal;
use tokio::sync::Mutex;

/// How many runs a node works on at once. When there are more, those that nobody uses at the moment leave memory (what is
/// recorded of them stays); when all are in use, one more is refused.
pub const RUNS_MAX: usize = 64;

/// The runs of a node that are in memory. A run comes into memory with its first job.
#[derive(Default)]
pub struct DurableRuns(Mutex<BTreeMap<RunName, Arc<DurableRun>>>);

impl DurableRuns {
    /// The run of that name; `None` when there are too many in use.
    ///
    /// # Errors
    /// [`NotRecorded`]: what is recorded of it cannot be read.
    pub async fn get(
        &self,
        journal: &Arc<dyn Journal>,
        name: &RunName,
    ) -> Result<Option<Arc<DurableRun>>, NotRecorded> {
        // Held while the stream is read, so that it is read once; others that begin a run wait for that.
        let mut runs = self.0.lock().await;
        if let Some(run) = runs.get(name) {
            return Ok(Some(run.clone()));
        }
        if runs.len() >= RUNS_MAX {
            runs.retain(|_, run| Arc::strong_count(run) > 1);
        }
        if runs.len() >= RUNS_MAX {
            return Ok(None);
        }
        let (theirs, its) = (journal.clone(), name.clone());
        let opened = tokio::task::spawn_blocking(move || DurableRun::open(theirs, its));
        let (run, recovered) = opened.await.map_err(|error| NotRecorded::Unreadable {
            run: name.clone(),
            cause: error.to_string(),
        })??;
        tracing::info!(run = %name, done = recovered.done, begun = recovered.begun, "durable run");
        let run = Arc::new(run);
        runs.insert(name.clone(), run.clone());
        Ok(Some(run))
    }

    /// Lets go of a run that has ended.
    pub async fn forget(&self, name: &RunName) {
        self.0.lock().await.remove(name);
    }
}
