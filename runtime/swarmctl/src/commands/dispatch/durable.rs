//! `--durable`: the run's name, its recording, its end.
//!
//! What is done is recorded in the journal of the node that does it: of the one that this command runs (`--manifest`), or of the
//! one at `--node`. In the first case a kill of this process is a kill of the node; the same command reads the journal and goes
//! on. In the second a node that was killed and started again answers what it has recorded, and this command waits for it; when
//! this command was killed, the same command asks for everything again and is answered from the journal.

use super::Host;
use crate::cli::Dispatch;
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use std::path::Path;
use swarm_runtime::api::types::RunEnded;
use swarm_runtime::dispatch::{
    self, DurableRun, Entry, JobResult, NotRecorded, Progress, RecordedWorkers, RunName, Settings,
    Stopped, Workers,
};
use tokio::sync::mpsc;

/// Why a run ended before its jobs did.
pub(super) enum Ceased {
    Engine(Stopped),
    NotRecorded(NotRecorded),
}

/// The run's name, where it is to be durable: the one that was given, or one that is the same for the same command.
pub(super) fn name_of(asked: &Dispatch) -> Result<Option<RunName>, Failure> {
    if !asked.durable {
        return Ok(None);
    }
    if let Some(name) = &asked.run {
        return RunName::new(name)
            .map(Some)
            .map_err(|error| Failure::usage(format!("--run: {error}"), "--run nightly-1"));
    }
    let place = |path: Option<&Path>| match path {
        Some(path) if path.as_os_str() == "-" => "-".to_owned(),
        // Wherever the command is given from.
        Some(path) => std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .to_string_lossy()
            .into_owned(),
        None => String::new(),
    };
    let jobs = place(asked.jobs.as_deref());
    let files = place(asked.files.as_deref());
    let out = place(asked.out.as_deref());
    let task = asked.task.as_deref().unwrap_or_default();
    let glob = asked.glob.as_deref().unwrap_or_default();
    let texts = [jobs.as_str(), &files, glob, task, &asked.to, &out];
    Ok(Some(RunName::derived(&texts)))
}

/// Runs the engine; where there is a run in a journal, each attempt and each result is recorded there first.
pub(super) async fn work<W: Workers>(
    settings: Settings,
    workers: &W,
    entries: mpsc::Receiver<Vec<Entry>>,
    results: mpsc::Sender<JobResult>,
    progress: &Progress,
    run: Option<&DurableRun>,
) -> Result<(), Ceased> {
    let Some(run) = run else {
        let ended = dispatch::run(settings, workers, entries, results, progress).await;
        return ended.map_err(Ceased::Engine);
    };
    // What waits to be recorded waits there, and not in the channel as well.
    let (give, unrecorded) = mpsc::channel(1);
    let workers = RecordedWorkers::new(workers, run);
    let (ended, recorded) = tokio::join!(
        dispatch::run(settings, &workers, entries, give, progress),
        dispatch::record(run, unrecorded, results)
    );
    // A recorder that fails stops the engine.
    recorded.map_err(Ceased::NotRecorded)?;
    ended.map_err(Ceased::Engine)
}

/// Forgets a run whose results are all where they belong.
pub(super) async fn end(
    host: &Host,
    recorded: Option<&DurableRun>,
    name: &RunName,
) -> Result<(), Failure> {
    match (host, recorded) {
        (Host::Remote(client), _) => end_at(client, name).await,
        (Host::Embedded(_), Some(run)) => run.end().await.map_err(|error| not_recorded(&error)),
        (Host::Embedded(_), None) => Ok(()),
    }
}

async fn end_at(client: &NodeClient, name: &RunName) -> Result<(), Failure> {
    let path = format!("/v1/runs/{name}");
    client.delete::<RunEnded>(&path).await.map(drop)
}

pub(super) fn not_recorded(error: &NotRecorded) -> Failure {
    Failure::new(
        ExitStatus::Failed,
        "not-recorded",
        error.to_string(),
        "swarmctl journal verify; once the disk is well again, the same command goes on",
    )
}
