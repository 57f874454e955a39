//! Threads for agents alone: one that holds its thread cannot keep the program from hearing a signal or writing a result.

use crate::exit::ExitStatus;
use crate::failure::Failure;
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// A tokio runtime for a node's agents. When it is dropped it does not wait for code that does not yield.
pub(crate) struct AgentThreads(Option<Runtime>);

impl AgentThreads {
    pub(crate) fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .thread_name("swarm-agents")
            .enable_all()
            .build()
            .map_err(|error| no_threads(&error))?;
        Ok(Self(Some(runtime)))
    }

    /// What is made under the guard runs on these threads.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        match &self.0 {
            Some(runtime) => runtime.enter(),
            None => unreachable!("taken only when dropped"),
        }
    }
}

impl Drop for AgentThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn no_threads(error: &std::io::Error) -> Failure {
    Failure::new(
        ExitStatus::Failed,
        "no-threads",
        format!("cannot start the program's threads: {error}"),
        "check the limits on processes and memory (ulimit -a)",
    )
}
