//! `version` and `completions`.

use crate::cli::Cli;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use clap::CommandFactory;
use serde::Serialize;

/// The version with the platform that it was built for.
pub(crate) const LONG_VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Version {
    version: &'static str,
    arch: &'static str,
    os: &'static str,
}

pub(crate) fn run(output: Output) -> Result<ExitStatus, Stop> {
    let version = Version {
        version: LONG_VERSION,
        arch: std::env::consts::ARCH,
        os: std::env::consts::OS,
    };
    output.document(&version, || {
        format!(
            "swarmctl {} ({} {})\n",
            version.version, version.arch, version.os
        )
    })?;
    Ok(ExitStatus::Done)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "swarmctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
