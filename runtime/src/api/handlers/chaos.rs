//! Chaos runs: started, looked at, stopped. The node remembers the latest.

use super::path_of;
use crate::api::fault::Fault;
use crate::api::input::JsonBody;
use crate::api::server::Api;
use crate::api::types::{ChaosReport, ChaosRequest, Time};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm_actors::chaos::{self, ChaosError, ChaosPlan, FaultKind, Target};
use swarm_protocols::Name;
use tokio::sync::watch;

/// Runs at the same time.
const RUNNING_MAX: usize = 8;
/// Runs that are remembered; the oldest that is over goes first.
const REMEMBERED_MAX: usize = 64;
/// How long after the last fault everything may take to come back.
const GRACE: Duration = Duration::from_secs(10);
/// How long `DELETE` waits for the report.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

const FAULTS: [(&str, FaultKind); 5] = [
    ("kill", FaultKind::Kill),
    ("panic", FaultKind::Panic),
    ("hang", FaultKind::Hang),
    ("slow", FaultKind::Slow),
    ("full", FaultKind::Full),
];

/// All runs that are remembered.
#[derive(Default)]
pub(in crate::api) struct Runs(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    runs: BTreeMap<u64, Arc<Run>>,
}

struct Run {
    id: u64,
    request: ChaosRequest,
    seed: u64,
    started_at: Time,
    began: Instant,
    stop: watch::Sender<bool>,
    /// Faults so far.
    injected: AtomicU64,
    outcome: watch::Sender<Option<Result<chaos::ChaosReport, ChaosError>>>,
}

impl Runs {
    /// Adds a run, unless too many are running.
    fn add(&self, request: ChaosRequest, seed: u64) -> Option<Arc<Run>> {
        let mut table = self.0.lock();
        if table.runs.values().filter(|run| run.is_running()).count() >= RUNNING_MAX {
            return None;
        }
        while table.runs.len() >= REMEMBERED_MAX {
            let over = table
                .runs
                .iter()
                .find(|(_, run)| !run.is_running())
                .map(|(id, _)| *id)?;
            table.runs.remove(&over);
        }
        table.last += 1;
        let run = Arc::new(Run {
            id: table.last,
            request,
            seed,
            started_at: Time::now(),
            began: Instant::now(),
            stop: watch::Sender::new(false),
            injected: AtomicU64::new(0),
            outcome: watch::Sender::new(None),
        });
        table.runs.insert(run.id, run.clone());
        Some(run)
    }

    fn get(&self, id: &str) -> Result<Arc<Run>, Fault> {
        let found = id
            .parse()
            .ok()
            .and_then(|id: u64| self.0.lock().runs.get(&id).cloned());
        found.ok_or_else(|| {
            Fault::new(
                StatusCode::NOT_FOUND,
                "no-such-run",
                format!("there is no chaos run {id}, or none any more"),
                format!("POST /v1/chaos starts one; the latest {REMEMBERED_MAX} are remembered"),
            )
        })
    }
}

impl Run {
    fn is_running(&self) -> bool {
        self.outcome.borrow().is_none()
    }

    fn report(&self) -> ChaosReport {
        let mut report = ChaosReport {
            id: self.id,
            state: "running".to_owned(),
            target: self.request.target.clone(),
            fault: self.request.fault.clone(),
            rate: self.request.rate,
            seed: self.seed,
            started_at: self.started_at,
            ran_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            injected: self.injected.load(Ordering::Relaxed),
            skipped: 0,
            restarts: 0,
            not_restarted: 0,
            lost: 0,
            more: serde_json::Value::Null,
        };
        match &*self.outcome.borrow() {
            None => {}
            Some(Err(error)) => {
                report.state = "failed".to_owned();
                report.more = json!({ "error": error.to_string() });
            }
            Some(Ok(done)) => {
                let stopped = *self.stop.borrow();
                report.state = if stopped { "stopped" } else { "finished" }.to_owned();
                report.ran_ms = done.took_ms;
                report.injected = done.injected.values().sum();
                let strokes =
                    (self.request.rate * self.request.for_ms as f64 / 1000.0).floor() as u64;
                if !stopped {
                    report.skipped = strokes.saturating_sub(report.injected);
                }
                report.restarts = done.restarts;
                report.not_restarted = done.missing.len() as u64;
                report.lost = done.lost.values().sum();
                report.more = json!({
                    "hit": done.hit,
                    "missing": done.missing,
                    "lost_by_reason": done.lost,
                });
            }
        }
        report
    }
}

pub(in crate::api) async fn start(
    State(api): State<Api>,
    JsonBody(request): JsonBody<ChaosRequest>,
) -> Result<(StatusCode, Json<ChaosReport>), Fault> {
    let seed = request.seed.unwrap_or_else(|| fastrand::u64(..));
    let plan = plan_of(&request, seed)?;
    plan.check().map_err(|error| refused(&error))?;
    let system = api.node.system();
    let is_there = match &plan.target {
        Target::Path(path) => system
            .agents()
            .iter()
            .any(|agent| agent.path().is_within(path)),
        Target::Group(name) => !system.group(name).is_empty(),
    };
    if !is_there {
        return Err(refused(&ChaosError::NoTarget(plan.target)));
    }
    let Some(run) = api.chaos.add(request, seed) else {
        return Err(Fault::new(
            StatusCode::CONFLICT,
            "too-many-runs",
            format!("{RUNNING_MAX} chaos runs are under way"),
            "wait for one to end, or stop one with DELETE /v1/chaos/ID",
        ));
    };
    let node = api.node.clone();
    let mut stop = run.stop.subscribe();
    let mut stopping = api.stopping.clone();
    let carried_out = run.clone();
    // Beside the agents: a high rate must not keep the API from answering. Ends by itself, with the time of the plan.
    api.node.spawn_beside_agents(async move {
        let told = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        };
        let outcome = chaos::run_counted(node.system(), &plan, told, &carried_out.injected).await;
        carried_out.outcome.send_replace(Some(outcome));
    });
    Ok((StatusCode::CREATED, Json(run.report())))
}

pub(in crate::api) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<ChaosReport>, Fault> {
    Ok(Json(api.chaos.get(&id)?.report()))
}

pub(in crate::api) async fn stop(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<ChaosReport>, Fault> {
    let run = api.chaos.get(&id)?;
    if run.is_running() {
        run.stop.send_replace(true);
        let mut outcome = run.outcome.subscribe();
        // What is not over in time is reported as it stands.
        let _ = tokio::time::timeout(STOP_TIMEOUT, outcome.wait_for(Option::is_some)).await;
    }
    Ok(Json(run.report()))
}

fn plan_of(request: &ChaosRequest, seed: u64) -> Result<ChaosPlan, Fault> {
    let target = if request.target.starts_with('/') {
        Target::Path(path_of(&request.target)?)
    } else {
        Target::Group(Name::new(&request.target).map_err(|error| {
            Fault::invalid(
                "target",
                error,
                "a path such as /pool or a group such as workers",
            )
        })?)
    };
    let fault = FAULTS
        .iter()
        .find(|(word, _)| *word == request.fault)
        .map(|(_, fault)| *fault)
        .ok_or_else(|| {
            let words: Vec<_> = FAULTS.iter().map(|(word, _)| *word).collect();
            Fault::invalid(
                "fault",
                format!("there is no fault {:?}", request.fault),
                format!("one of {}", words.join(", ")),
            )
        })?;
    Ok(ChaosPlan {
        target,
        faults: vec![fault],
        rate: request.rate,
        duration: Duration::from_millis(request.for_ms),
        seed,
        expect: Vec::new(),
        grace: GRACE,
    })
}

fn refused(error: &ChaosError) -> Fault {
    match error {
        ChaosError::BadRate(_) => Fault::invalid("rate", error, "for example 10"),
        ChaosError::BadDuration(_) => Fault::invalid("for_ms", error, "for example 10000"),
        ChaosError::NoFault => Fault::invalid("fault", error, "for example kill"),
        ChaosError::NoTarget(target) => {
            let what = match target {
                Target::Path(path) => format!("there is no agent at or below {path}"),
                Target::Group(name) => format!("the group {name} has no member"),
            };
            Fault::new(
                StatusCode::NOT_FOUND,
                "no-such-target",
                what,
                "`swarmctl actor ls` lists paths and groups",
            )
        }
    }
}
