//! `dispatch --chaos` at a node that runs already: the node's own chaos runs, one after the other, for as long as it takes.

use crate::cli::Dispatch;
use crate::client::NodeClient;
use crate::failure::Failure;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;
use swarm_runtime::api::types::{ChaosReport, ChaosRequest};

/// How long one run is asked for. A client that dies leaves the node in peace after this at the latest.
const SLICE: Duration = Duration::from_secs(30);

/// How long to wait before a run that was not started is asked for again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The faults that go with one dispatch.
pub(super) struct Faults<'a> {
    client: &'a NodeClient,
    plan: Option<Plan>,
    progress: Mutex<Progress>,
}

struct Plan {
    group: String,
    rate: f64,
    seed: u64,
}

/// Never locked across an await.
#[derive(Default)]
struct Progress {
    /// Of the runs that are over.
    killed: u64,
    /// The run under way.
    running: Option<u64>,
    /// Runs so far.
    runs: u64,
}

impl<'a> Faults<'a> {
    /// Starts the first run, where faults were asked for.
    pub(super) async fn start(client: &'a NodeClient, asked: &Dispatch) -> Result<Self, Failure> {
        let faults = Self {
            client,
            plan: asked.chaos.map(|rate| Plan {
                group: asked.to.clone(),
                rate,
                seed: asked.seed.unwrap_or_else(|| fastrand::u64(..)),
            }),
            progress: Mutex::default(),
        };
        if let Some(plan) = &faults.plan {
            faults.run(plan).await?;
        }
        Ok(faults)
    }

    async fn run(&self, plan: &Plan) -> Result<(), Failure> {
        let runs = self.progress.lock().runs;
        let request = ChaosRequest {
            target: plan.group.clone(),
            fault: "kill".to_owned(),
            rate: plan.rate,
            for_ms: u64::try_from(SLICE.as_millis()).unwrap_or(u64::MAX),
            // Each run chooses otherwise, and the same seed chooses the same again.
            seed: Some(plan.seed.wrapping_add(runs)),
        };
        let begun: ChaosReport = self.client.post("/v1/chaos", &request).await?;
        let mut progress = self.progress.lock();
        progress.runs += 1;
        progress.running = Some(begun.id);
        Ok(())
    }

    /// Starts a new run whenever one is over, for as long as it is polled.
    pub(super) async fn go_on(&self) -> Infallible {
        let Some(plan) = &self.plan else {
            return pending().await;
        };
        loop {
            tokio::time::sleep(SLICE).await;
            self.count_last().await;
            // A node that is being restarted, or has no worker at the moment, may take the next one.
            while self.run(plan).await.is_err() {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Stops the run under way; how many workers were killed in all, as far as the node can still be asked.
    pub(super) async fn stop(&self) -> u64 {
        self.count_last().await;
        self.progress.lock().killed
    }

    /// Ends the latest run and counts what it did.
    async fn count_last(&self) {
        let Some(id) = self.progress.lock().running.take() else {
            return;
        };
        let ended = self
            .client
            .delete::<ChaosReport>(&format!("/v1/chaos/{id}"))
            .await;
        if let Ok(report) = ended {
            self.progress.lock().killed += report.injected;
        }
    }
}
