//! SIGHUP while `up` runs: the settings are read again, and what can change does.

use super::up::log_filter;
use super::{config, manifest};
use crate::cli::{Global, Up};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use std::convert::Infallible;
use std::future::pending;
use swarm_runtime::config::Settings;
use swarm_runtime::manifest::{Manifest, Supervisor};
use swarm_runtime::telemetry::LogFilter;
use tokio::signal::unix::{SignalKind, signal};

/// The one setting that a running node takes over.
const RELOADABLE: &str = "log";

/// What a node was started with, to be compared with what it would be started with now.
pub(super) struct Reload<'a> {
    global: &'a Global,
    up: &'a Up,
    filter: LogFilter,
    in_force: Vec<(&'static str, String)>,
    tree: Supervisor,
}

impl<'a> Reload<'a> {
    pub(super) fn new(
        global: &'a Global,
        up: &'a Up,
        filter: LogFilter,
        settings: &Settings,
        manifest: &Manifest,
    ) -> Self {
        Self {
            global,
            up,
            filter,
            in_force: shown(settings),
            tree: manifest.root.clone(),
        }
    }

    /// Reads the settings again whenever the process gets SIGHUP, for as long as it is polled. Where the system does not
    /// hand the signal over, this does nothing and the signal ends the process, as the system has it.
    pub(super) async fn at_every_hangup(mut self) -> Infallible {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return pending().await;
        };
        while hangup.recv().await.is_some() {
            match self.reload() {
                Ok(()) => {}
                Err(failure) => tracing::error!(
                    error = failure.error,
                    next_step = failure.next_step,
                    "the settings cannot be read again; those in force stay"
                ),
            }
        }
        pending().await
    }

    fn reload(&mut self) -> Result<(), Failure> {
        let manifest = match &self.up.manifest {
            Some(file) => manifest::load(file, ExitStatus::Usage)?,
            None => Manifest::empty(),
        };
        let settings = config::settings(&self.up.settings, &manifest)?;
        let changes = changes(&self.in_force, &shown(&settings));
        for (name, value) in &changes {
            if *name != RELOADABLE {
                tracing::warn!(
                    setting = name,
                    value,
                    "a changed setting takes effect when the node is started again"
                );
                continue;
            }
            let filter = log_filter(self.global, &settings);
            if let Err(error) = self.filter.set(&filter) {
                tracing::error!(%error, "the log filter stays as it is");
                continue;
            }
            if let Some(entry) = self.in_force.iter_mut().find(|(known, _)| known == name) {
                entry.1.clone_from(value);
            }
            tracing::info!(log = filter, "the log filter was changed");
        }
        let tree_changed = manifest.root != self.tree;
        if tree_changed {
            tracing::warn!("the changed tree takes effect when the node is started again");
        }
        if changes.is_empty() && !tree_changed {
            tracing::info!("the settings were read again; none has changed");
        }
        Ok(())
    }
}

fn shown(settings: &Settings) -> Vec<(&'static str, String)> {
    settings
        .entries()
        .into_iter()
        .map(|entry| (entry.name, entry.value.to_string()))
        .collect()
}

/// The settings of `new` that `old` has otherwise.
fn changes(
    old: &[(&'static str, String)],
    new: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    new.iter()
        .filter(|entry| !old.contains(entry))
        .cloned()
        .collect()
}
