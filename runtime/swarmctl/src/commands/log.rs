//! The log of a node that runs inside a command.

use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use swarm_runtime::config::LogFormat;
use swarm_runtime::telemetry::{self, LogFilter};

/// Sets up log and panic hook for a command that runs a node on the side: by default only errors are logged, so that they
/// don't drown what the command has to say. `SWARM_LOG` and `RUST_LOG` go before `-v`.
pub(crate) fn init_for_command(output: Output) -> Result<(), Failure> {
    let filter = ["SWARM_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| {
            match output.verbosity() {
                0 => "error",
                1 => "info",
                2 => "debug",
                _ => "trace",
            }
            .to_owned()
        });
    let format = if output.is_json() {
        LogFormat::Json
    } else {
        LogFormat::Plain
    };
    init(&filter, format).map(drop)
}

/// Sets up log and panic hook. An agent's panic is told by its crash report and not printed a second time.
pub(crate) fn init(filter: &str, format: LogFormat) -> Result<LogFilter, Failure> {
    swarm_actors::install_panic_hook();
    telemetry::init(filter, format).map_err(|error| {
        Failure::new(
            ExitStatus::Usage,
            "bad-log-filter",
            error.to_string(),
            "SWARM_LOG=info or SWARM_LOG=warn,swarm_runtime=debug",
        )
    })
}
