//! The log: `tracing` events as lines on standard error, plain for people or JSON for programs.
//!
//! A library never sets this up; a program calls [`init`] once, at its start, and may change the filter later.

use crate::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Why the log was not set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("{filter:?} is no log filter: {cause}")]
    BadFilter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        cause: tracing_subscriber::filter::ParseError,
    },
    /// Something in this process has set up a log before.
    #[error("the log is set up already")]
    AlreadySetUp,
    /// The log that this belonged to is gone.
    #[error("the log is gone")]
    Gone,
}

/// Changes what is logged while the program runs. Copies mean the same log.
#[derive(Clone, Debug)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogFilter {
    /// Lets from now on only what passes `filter` be logged.
    ///
    /// # Errors
    /// [`TelemetryError`]; the old filter stays in force then.
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        let parsed = parse(filter)?;
        self.handle.reload(parsed).map_err(|_| TelemetryError::Gone)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|cause| TelemetryError::BadFilter {
            filter: filter.to_owned(),
            cause,
        })
}

/// Sends what passes `filter` to standard error. Colours only where that is a terminal and `NO_COLOR` is not set. What is
/// returned changes the filter later; without it the log goes on as it is.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(filter: &str, format: LogFormat) -> Result<LogFilter, TelemetryError> {
    let (parsed, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(parsed);
    let done = match format {
        LogFormat::Plain => {
            let colours = std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry
                .with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours))
                .try_init()
        }
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    done.map_err(|_| TelemetryError::AlreadySetUp)?;
    Ok(LogFilter { handle })
}
