//! `chaos run`: faults on a node, for a time, and a verdict.

use crate::cli::{Chaos, ChaosRun, Expectation, Fault, Global};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::start::interrupted;
use crate::words::{count, span, span_ms};
use serde::Serialize;
use std::time::Duration;
use swarm_runtime::api::types::{ChaosReport, ChaosRequest, NodeChaos};

/// How often a run in progress is asked about.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long after its time a run may still be waiting for victims to come back.
const SETTLE_TIME: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    report: &'a ChaosReport,
    expectations: Vec<Expected>,
}

#[derive(Serialize)]
struct Expected {
    name: &'static str,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    chaos: &Chaos,
) -> Result<ExitStatus, Stop> {
    let Chaos::Run(run) = chaos;
    let client = NodeClient::new(global)?;
    let fault = match run.fault {
        Fault::Kill => "kill",
        Fault::Panic => "panic",
        Fault::Hang => "hang",
        Fault::Slow => "slow",
        Fault::Full => "full",
        Fault::NodeKill => return on_node(global, &client, output, run, "node-kill").await,
        Fault::Cut => return on_node(global, &client, output, run, "cut").await,
        Fault::Pause => return on_node(global, &client, output, run, "pause").await,
    };
    confirm(
        global,
        &format!(
            "inject {fault} into {} {}/s for {} at {}",
            run.target,
            run.rate,
            span(run.duration),
            client.address()
        ),
    )?;
    let request = ChaosRequest {
        target: run.target.clone(),
        fault: fault.to_owned(),
        rate: run.rate,
        for_ms: u64::try_from(run.duration.as_millis()).unwrap_or(u64::MAX),
        seed: run.seed,
    };
    let begun: ChaosReport = client.post("/v1/chaos", &request).await?;
    output.note(&format!(
        "chaos run {} at {}, seed {}; Ctrl-C stops it",
        begun.id,
        client.address(),
        begun.seed
    ));
    let path = format!("/v1/chaos/{}", begun.id);
    let is_interrupted;
    let report = tokio::select! {
        report = finished(&client, &path, run.duration) => {
            is_interrupted = false;
            report?
        }
        () = interrupted() => {
            is_interrupted = true;
            let report = client.delete(&path).await?;
            output.note("interrupted: the chaos run was stopped");
            report
        }
    };
    let expectations: Vec<Expected> = run
        .expect
        .iter()
        .map(|expectation| judge(*expectation, &report))
        .collect();
    let failed: Vec<String> = expectations
        .iter()
        .filter_map(|expected| {
            let why_not = expected.why_not.as_ref()?;
            Some(format!("{}: {why_not}", expected.name))
        })
        .collect();
    let outcome = Outcome {
        report: &report,
        expectations,
    };
    output.document(&outcome, || text(&outcome))?;
    if is_interrupted {
        return Ok(ExitStatus::Interrupted);
    }
    if failed.is_empty() && report.state != "failed" {
        return Ok(ExitStatus::Done);
    }
    let what = if failed.is_empty() {
        "the chaos run failed".to_owned()
    } else {
        failed.join("; ")
    };
    Err(Failure::new(
        ExitStatus::CheckFailed,
        "expectation-failed",
        what,
        format!(
            "the same command with --seed {}; swarmctl events and swarmctl deadletter ls show what happened",
            report.seed
        ),
    )
    .into())
}

/// One fault of a whole node. It was done when the node has agreed; a cut or a pause is waited for.
async fn on_node(
    global: &Global,
    client: &NodeClient,
    output: Output,
    run: &ChaosRun,
    fault: &str,
) -> Result<ExitStatus, Stop> {
    if !run.expect.is_empty() || run.seed.is_some() {
        return Err(Failure::usage(
            format!("--expect and --seed are not for {fault}"),
            "leave them out; swarmctl node ls and actor ls show what became of it",
        )
        .into());
    }
    let what = match run.fault {
        Fault::NodeKill => format!("kill node {}", run.target),
        _ => format!("{fault} node {} for {}", run.target, span(run.duration)),
    };
    confirm(global, &format!("{what}, through {}", client.address()))?;
    let request = NodeChaos {
        node: run.target.clone(),
        fault: fault.to_owned(),
        for_ms: u64::try_from(run.duration.as_millis()).unwrap_or(u64::MAX),
    };
    let agreed: NodeChaos = client.post("/v1/nodes/chaos", &request).await?;
    if run.fault != Fault::NodeKill {
        tokio::select! {
            () = tokio::time::sleep(run.duration) => {}
            () = interrupted() => {
                output.note("interrupted: the node comes back by itself when its time is over");
                return Ok(ExitStatus::Interrupted);
            }
        }
    }
    output.document(&agreed, || format!("{what}: done\n"))?;
    Ok(ExitStatus::Done)
}

async fn finished(
    client: &NodeClient,
    path: &str,
    duration: Duration,
) -> Result<ChaosReport, Failure> {
    let deadline = tokio::time::Instant::now() + duration + SETTLE_TIME;
    loop {
        let report: ChaosReport = client.get(path, &()).await?;
        if report.state != "running" {
            return Ok(report);
        }
        if tokio::time::Instant::now() >= deadline {
            let report: ChaosReport = client.delete(path).await?;
            return Ok(report);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn judge(expectation: Expectation, report: &ChaosReport) -> Expected {
    let (name, why_not) = match expectation {
        Expectation::Restarts => (
            "restarts",
            if report.not_restarted > 0 {
                Some(format!(
                    "{} did not come back",
                    count(report.not_restarted, "victim")
                ))
            } else if report.injected == 0 {
                Some("no fault was injected".to_owned())
            } else {
                None
            },
        ),
        Expectation::NoLoss => (
            "no-loss",
            (report.lost > 0).then(|| format!("{} lost", count(report.lost, "message"))),
        ),
    };
    Expected {
        name,
        holds: why_not.is_none(),
        why_not,
    }
}

fn text(outcome: &Outcome<'_>) -> String {
    let report = outcome.report;
    let mut text = format!(
        "chaos {}: {} injected in {}, {}, {} not back, {} lost (seed {})\n",
        report.state,
        count(report.injected, report.fault.as_str()),
        span_ms(report.ran_ms),
        count(report.restarts, "restart"),
        report.not_restarted,
        count(report.lost, "message"),
        report.seed
    );
    for expected in &outcome.expectations {
        let verdict = if expected.holds { "holds" } else { "fails" };
        text.push_str(&format!("{} {verdict}\n", expected.name));
    }
    text
}
