//! Reading manifests, and `validate`.

use crate::behaviours::behaviours;
use crate::cli;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::words::count;
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use swarm_runtime::manifest::{Child, Children, LoadError, Manifest, Rejected, Supervisor};
use swarm_runtime::node;

/// Reads a manifest; what is wrong with it is the user's to mend, so it is told as such with `exit`.
pub(crate) fn load(file: &Path, exit: ExitStatus) -> Result<Manifest, Failure> {
    Manifest::load(file, &behaviours(None)?).map_err(|error| match error {
        LoadError::Unreadable { file, cause, .. } => Failure::file("read", &file, &cause),
        error @ LoadError::TooLong { .. } => Failure::new(
            exit,
            "manifest-too-long",
            error.to_string(),
            "check that this is the manifest",
        ),
        LoadError::Rejected(rejected) => refused(file, exit, &rejected),
    })
}

fn refused(file: &Path, exit: ExitStatus, rejected: &Rejected) -> Failure {
    let then = format!("then swarmctl validate {}", file.display());
    let next_step = match rejected.problems.as_slice() {
        [problem] => match &problem.suggestion {
            Some(suggestion) => format!("line {}: {suggestion}; {then}", problem.line),
            None => format!("mend line {}, {then}", problem.line),
        },
        _ => format!("mend these lines, {then}"),
    };
    let problems = rejected.problems.iter().map(|problem| {
        json!({
            "line": problem.line,
            "column": problem.column,
            "key": problem.key,
            "message": problem.message,
            "suggestion": problem.suggestion,
        })
    });
    Failure {
        problems: problems.collect(),
        ..Failure::new(exit, "bad-manifest", rejected.to_string(), next_step)
    }
}

#[derive(Serialize)]
struct Valid {
    valid: bool,
    file: String,
    supervisors: u64,
    agents: u64,
}

pub(crate) fn validate(output: Output, manifest: &cli::Manifest) -> Result<ExitStatus, Stop> {
    let file = manifest
        .manifest
        .as_deref()
        .or(manifest.file.as_deref())
        .unwrap_or(Path::new(""));
    let manifest = load(file, ExitStatus::CheckFailed)?;
    node::compile_all(&manifest.root, &behaviours(None)?).map_err(|bad| {
        Failure::new(
            ExitStatus::CheckFailed,
            "bad-component",
            bad.to_string(),
            format!("mend it, then swarmctl validate {}", file.display()),
        )
    })?;
    let (supervisors, agents) = size(&manifest.root);
    let valid = Valid {
        valid: true,
        file: file.display().to_string(),
        supervisors,
        agents,
    };
    output.document(&valid, || {
        format!(
            "{} is valid: {}, {}\n",
            valid.file,
            count(supervisors, "supervisor"),
            count(agents, "agent")
        )
    })?;
    Ok(ExitStatus::Done)
}

fn size(supervisor: &Supervisor) -> (u64, u64) {
    match &supervisor.children {
        Children::Template { instances, .. } => (1, u64::from(*instances)),
        Children::Static(children) => {
            children
                .iter()
                .fold((1, 0), |(supervisors, agents), child| match child {
                    Child::Agent(agent) => {
                        (supervisors, agents + u64::from(agent.replicas.unwrap_or(1)))
                    }
                    Child::Supervisor(inner) => {
                        let (inner_supervisors, inner_agents) = size(inner);
                        (supervisors + inner_supervisors, agents + inner_agents)
                    }
                })
        }
    }
}
