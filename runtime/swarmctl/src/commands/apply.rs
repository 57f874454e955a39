//! `plan` and `apply`: one manifest for all nodes.

use super::manifest;
use crate::cli::{Apply, Global, Plan};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::words::{count, span};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use swarm_runtime::api::types::{ManifestPlan, ManifestRequest, PlanStep};

/// How much longer than the wait itself an answer may take: stops and starts on every node.
const APPLY_LIMIT: Duration = Duration::from_secs(120);

/// What would be done.
pub(crate) async fn plan(
    global: &Global,
    output: Output,
    asked: &Plan,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let plan = ask(&client, &text_of(&asked.file)?, None).await?;
    output.document(&plan, || words(&plan))?;
    output.unanswered(&plan.unanswered);
    Ok(if has_steps(&plan) {
        ExitStatus::PlanDiffers
    } else {
        ExitStatus::Done
    })
}

/// Shows it, asks, does it and waits for the effect.
pub(crate) async fn apply(
    global: &Global,
    output: Output,
    asked: &Apply,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let text = text_of(&asked.file)?;
    let plan = ask(&client, &text, None).await?;
    if !has_steps(&plan) {
        output.document(&plan, || words(&plan))?;
        output.unanswered(&plan.unanswered);
        return Ok(ExitStatus::Done);
    }
    if !output.is_json() {
        words(&plan).lines().for_each(|line| output.note(line));
    }
    let nodes = count(plan.nodes.len() as u64, "node");
    confirm(global, &format!("this changes {nodes}"))?;
    let wait = asked.wait.unwrap_or(Duration::from_secs(60));
    let done = ask(&client, &text, Some(wait)).await?;
    output.document(&done, || outcome(&done))?;
    output.unanswered(&done.unanswered);
    let is_partial =
        !done.unanswered.is_empty() || done.nodes.iter().any(|node| !node.problems.is_empty());
    if is_partial {
        return Ok(ExitStatus::Partial);
    }
    if !done.settled && !wait.is_zero() {
        return Err(Failure::new(
            ExitStatus::TimedOut,
            "not-settled",
            format!("it was applied, but not everything runs where it belongs after {}", span(wait)),
            "swarmctl events shows what moves; swarmctl plan -f FILE tells whether anything is left to do",
        )
        .into());
    }
    Ok(ExitStatus::Done)
}

/// The manifest's text, once it is valid here: its mistakes are told with their places in the file.
fn text_of(file: &Path) -> Result<String, Failure> {
    manifest::load(file, ExitStatus::Usage)?;
    std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))
}

/// Asks for the plan, or, with a wait, for the deed.
async fn ask(
    client: &NodeClient,
    text: &str,
    wait: Option<Duration>,
) -> Result<ManifestPlan, Failure> {
    let request = ManifestRequest {
        text: text.to_owned(),
        dry_run: wait.is_none(),
        generation: None,
        wait_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    };
    let client = match wait {
        Some(wait) => client.with_timeout(wait + APPLY_LIMIT),
        None => client.with_timeout(Duration::from_secs(30)),
    };
    client.post("/v1/manifest", &request).await
}

fn has_steps(plan: &ManifestPlan) -> bool {
    plan.nodes.iter().any(|node| !node.steps.is_empty())
}

/// One line for each step, with the nodes that it is for unless it is for all.
fn words(plan: &ManifestPlan) -> String {
    if !has_steps(plan) {
        let nodes = count(plan.nodes.len() as u64, "node");
        return format!("nothing to do: {nodes} run what the manifest says\n");
    }
    let mut steps: BTreeMap<(&str, &str, &PlanStep), Vec<&str>> = BTreeMap::new();
    for node in &plan.nodes {
        for step in &node.steps {
            let key = (step.path.as_str(), step.change.as_str(), step);
            steps.entry(key).or_default().push(&node.node);
        }
    }
    let mut text = String::new();
    for ((path, _, step), nodes) in steps {
        let mark = match step.change.as_str() {
            "add" => '+',
            "remove" => '-',
            "adjust" => '~',
            _ => '!',
        };
        let mut line = format!("{mark} {path}  {}", step.kind);
        if !step.keys.is_empty() {
            let verb = if mark == '!' {
                "stopped and started: "
            } else {
                ""
            };
            write!(line, "  {verb}{}", step.keys.join(", ")).expect("a String takes all text");
        }
        if nodes.len() < plan.nodes.len() {
            write!(line, "  on {}", nodes.join(", ")).expect("a String takes all text");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for node in &plan.nodes {
        for problem in &node.problems {
            writeln!(text, "{}: {problem}", node.node).expect("a String takes all text");
        }
    }
    text
}

fn outcome(done: &ManifestPlan) -> String {
    let generation = done.nodes.iter().map(|node| node.generation).max();
    let mut text = format!(
        "applied as generation {} to {}{}\n",
        generation.unwrap_or(0),
        count(done.nodes.len() as u64, "node"),
        match done.settled {
            true => ": everything runs where it belongs",
            false => "",
        }
    );
    for node in &done.nodes {
        for problem in &node.problems {
            writeln!(text, "{}: {problem}", node.node).expect("a String takes all text");
        }
    }
    text
}
