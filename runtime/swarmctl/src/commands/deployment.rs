//! `actor upgrade` and `actor deployment`: new code for WebAssembly agents that run.

use super::components;
use crate::cli::{ActorUpgrade, Deployment, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table, printable};
use crate::words::{count, span_ms};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use swarm_runtime::api::types::{DeploymentReport, DeploymentRequest, DeploymentsAnswer};

/// How often a deployment is asked how it is doing.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Compiling may take as long as its budget, and going back as long as the agents' mailboxes.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(150);

/// Gives agents new code, and waits for the end unless told otherwise.
pub(crate) async fn upgrade(
    global: &Global,
    output: Output,
    asked: &ActorUpgrade,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let component = if asked.wasm.starts_with("sha256:") {
        asked.wasm.clone()
    } else {
        let kept = components::push_to(&client, Path::new(&asked.wasm)).await?;
        kept.component.digest
    };
    let patient = client.with_timeout(BEGIN_TIMEOUT);
    let request = request(asked, component);
    let mut report: DeploymentReport = patient.post("/v1/deployments", &request).await?;
    if asked.no_wait {
        return tell(output, &report);
    }
    let begun = format!(
        "deployment {}: {} to {}; swarmctl actor deployment abort {} takes it back",
        report.id,
        report.strategy,
        count(report.agents.len() as u64, "agent"),
        report.id
    );
    output.note(&begun);
    let path = format!("/v1/deployments/{}", report.id);
    let mut told = String::new();
    while !report.is_over {
        tokio::time::sleep(LOOK_EVERY).await;
        report = client.get(&path, &()).await?;
        let now = stage(&report);
        if now != told && !report.is_over {
            output.note(&now);
            told = now;
        }
    }
    tell(output, &report)
}

fn request(asked: &ActorUpgrade, component: String) -> DeploymentRequest {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    DeploymentRequest {
        target: asked.target.clone(),
        component,
        share_percent: asked.share,
        strategy: asked.strategy.map(|strategy| strategy.word().to_owned()),
        probation_turns: asked.probation,
        stages_percent: (!asked.stages.is_empty()).then(|| asked.stages.clone()),
        stage_ms: asked.stage_time.map(ms),
        stage_turns: asked.stage_turns,
        errors_per_mille_max: asked.max_error_rate,
        restarts_max: asked.max_restarts,
        turn_max_ms: asked.max_turn_time.map(ms),
        within_ms: asked.within.map(ms),
    }
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    command: &Deployment,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match command {
        Deployment::Ls => list(&client, output).await,
        Deployment::Show { id } => {
            let report = client.get(&format!("/v1/deployments/{id}"), &()).await?;
            shown(output, &report)?;
            Ok(ExitStatus::Done)
        }
        Deployment::Abort { id } => {
            let patient = client.with_timeout(BEGIN_TIMEOUT);
            let report = patient.delete(&format!("/v1/deployments/{id}")).await?;
            shown(output, &report)?;
            Ok(ExitStatus::Done)
        }
    }
}

async fn list(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let answer: DeploymentsAnswer = client.get("/v1/deployments", &()).await?;
    output.list(&answer.deployments, || {
        let mut table = Table::new(&[
            ("NODE", Align::Left),
            ("ID", Align::Right),
            ("STRATEGY", Align::Left),
            ("STATE", Align::Left),
            ("AGENTS", Align::Right),
            ("TURNS", Align::Right),
            ("FAILED", Align::Right),
            ("TIME", Align::Right),
            ("REASON", Align::Left),
        ]);
        for one in &answer.deployments {
            table.row(vec![
                one.node.clone(),
                one.id.to_string(),
                one.strategy.clone(),
                stage(one),
                one.agents.len().to_string(),
                one.turns.to_string(),
                one.failed.to_string(),
                span_ms(one.elapsed_ms),
                one.reason.clone().unwrap_or_default(),
            ]);
        }
        table
    })?;
    output.unanswered(&answer.unanswered);
    Ok(ExitStatus::Done)
}

/// What it is about, in a word or two.
fn stage(report: &DeploymentReport) -> String {
    match report.stage_percent {
        Some(percent) => format!("{} {percent}%", report.state),
        None => report.state.clone(),
    }
}

/// The report, and a failure if the new code is not in place.
fn tell(output: Output, report: &DeploymentReport) -> Result<ExitStatus, Stop> {
    shown(output, report)?;
    if report.state != "taken-back" {
        return Ok(ExitStatus::Done);
    }
    Err(Failure::new(
        ExitStatus::Refused,
        "taken-back",
        format!(
            "deployment {} was taken back: {}",
            report.id,
            printable(report.reason.as_deref().unwrap_or("no reason is known"))
        ),
        format!(
            "swarmctl actor deployment show {} has the details",
            report.id
        ),
    )
    .into())
}

fn shown(output: Output, report: &DeploymentReport) -> Result<(), Stop> {
    output.document(report, || text(report))?;
    Ok(())
}

fn text(report: &DeploymentReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {}", printable(value));
    };
    line("deployment", &report.id.to_string());
    line("node", &report.node);
    line("component", &report.component);
    line("strategy", &report.strategy);
    line("state", &stage(report));
    if let Some(reason) = &report.reason {
        line("reason", reason);
    }
    line("time", &span_ms(report.elapsed_ms));
    let turns = format!(
        "{} of the new code, {} failed, 95% within {} us",
        count(report.turns, "turn"),
        report.failed,
        report.turn_p95_us
    );
    line("seen", &turns);
    let ends = format!(
        "{} restarts, {} went back",
        report.restarts, report.went_back
    );
    line("", &ends);
    if report.same + report.different > 0 {
        let compared = format!(
            "{} turns the same, {} different",
            report.same, report.different
        );
        line("compared", &compared);
    }
    for difference in &report.differences {
        line("", difference);
    }
    for agent in &report.agents {
        let reason = agent.reason.as_ref();
        let why = reason.map(|why| format!(": {why}")).unwrap_or_default();
        line(&agent.state, &format!("{}{why}", agent.path));
    }
    text
}
