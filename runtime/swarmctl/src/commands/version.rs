//! `version` and `completions`.

use crate::cli::Cli;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use clap::CommandFactory;
use serde::Serialize;

/// The version with the commit and the platform that it was built for, as `--version` says it.
pub(crate) const LONG_VERSION: &str = if COMMIT.is_empty() {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("SWARM_TARGET"), ")")
} else {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (",
        env!("SWARM_COMMIT"),
        " ",
        env!("SWARM_TARGET"),
        ")"
    )
};

/// The commit that the program was built from; empty when it was built outside a repository.
const COMMIT: &str = env!("SWARM_COMMIT");

#[derive(Serialize)]
struct Version {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    target: &'static str,
    arch: &'static str,
    os: &'static str,
}

pub(crate) fn run(output: Output) -> Result<ExitStatus, Stop> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: (!COMMIT.is_empty()).then_some(COMMIT),
        target: env!("SWARM_TARGET"),
        arch: std::env::consts::ARCH,
        os: std::env::consts::OS,
    };
    output.document(&version, || format!("swarmctl {LONG_VERSION}\n"))?;
    Ok(ExitStatus::Done)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "swarmctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
