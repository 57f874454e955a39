//! A node for the run alone: the tree of a manifest, without an API.

use super::durable::not_recorded;
use super::{Ended, How, Run};
use crate::agent_threads::AgentThreads;
use crate::behaviours::behaviours;
use crate::cli::{Dispatch, DispatchProtocol, NodeFlags};
use crate::commands::{config, log, manifest, membership};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::words::count;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_actors::System;
use swarm_actors::conversation::ProtocolRef;
use swarm_protocols::Name;
use swarm_runtime::api::types::NodeState;
use swarm_runtime::cluster::Cluster;
use swarm_runtime::data::DataFolder;
use swarm_runtime::dispatch::{BiddingWorkers, Desk, DurableRun, GroupWorkers, Recovered, RunName};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};

/// How long the tree's ordered stop may take: the jobs are done, or their results not wanted any more.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The node's name, where the manifest has none.
const NAME: &str = "dispatch";

pub(super) struct Embedded {
    node: Node,
    group: Name,
    /// Who calls for bids, where jobs are awarded by them.
    caller: Option<ProtocolRef>,
    /// Its place in a cluster, for the run.
    cluster: Option<Cluster>,
    /// Dropped after the node.
    _threads: AgentThreads,
}

impl Embedded {
    pub(super) async fn start(
        output: Output,
        asked: &Dispatch,
        file: &Path,
        group: &Name,
    ) -> Result<Self, Failure> {
        let manifest = manifest::load(file, ExitStatus::Usage)?;
        log::init_for_command(output)?;
        let name = match &manifest.node.name {
            // Beside the nodes that the cluster has.
            _ if !asked.join.is_empty() => {
                let name = format!("{NAME}-{:08x}", fastrand::u32(..));
                Name::new(&name).expect("it is a name")
            }
            Some(name) => name.value.clone(),
            None => Name::new(NAME).expect("it is a name"),
        };
        let data = data_folder(asked, &manifest, &name)?;
        let folder = data.as_ref().map(|data| data.path().to_owned());
        let mut options = NodeOptions::new(name, manifest, behaviours(folder.as_deref())?);
        options.data = folder;
        options.journal_keys = config::journal_keys(None);
        options.seed = asked.seed;
        let threads = AgentThreads::start()?;
        let node = {
            let _guard = threads.enter();
            Node::new(options)
        };
        node.start_tree().await.map_err(|error| {
            Failure::new(
                ExitStatus::Failed,
                "tree-failed",
                error.to_string(),
                format!("swarmctl validate {}; -v shows more", file.display()),
            )
        })?;
        let cluster = match (asked.join.as_slice(), &asked.token) {
            ([], _) | (_, None) => None,
            (contacts, Some(token)) => Some(membership::visit(&node, contacts, token).await?),
        };
        let system = node.system();
        // The members of other nodes become known in a moment; they are waited for as those that restart are.
        if cluster.is_none() && system.group(group).is_empty() {
            let groups: Vec<String> = system
                .groups()
                .iter()
                .map(|(name, _)| name.to_string())
                .collect();
            let next_step = match groups.as_slice() {
                [] => format!("give workers in {} groups = [\"{group}\"]", file.display()),
                groups => format!("--to {}", groups.join(" or --to ")),
            };
            return Err(Failure::new(
                ExitStatus::NotFound,
                "no-workers",
                format!(
                    "no agent in {} is a member of group {group}",
                    file.display()
                ),
                next_step,
            ));
        }
        let caller = match asked.protocol {
            None => None,
            Some(DispatchProtocol::ContractNet) => Some(node.caller().await.map_err(|error| {
                Failure::new(
                    ExitStatus::Failed,
                    "tree-failed",
                    error.to_string(),
                    "leave --protocol out",
                )
            })?),
        };
        Ok(Self {
            caller,
            cluster,
            node,
            group: group.clone(),
            _threads: threads,
        })
    }

    /// The run in this node's journal: as an earlier process has left it, or new.
    pub(super) async fn durable_run(
        &self,
        output: Output,
        name: &RunName,
    ) -> Result<Arc<DurableRun>, Failure> {
        let journal = self.node.open_journal().await.map_err(|error| {
            Failure::new(
                ExitStatus::Refused,
                "no-journal",
                error.to_string(),
                "if a node runs on that data folder, leave --manifest out and give --node; else swarmctl journal verify",
            )
        })?;
        let name = name.clone();
        let opened = tokio::task::spawn_blocking(move || DurableRun::open(journal, name));
        let (run, recovered) = match opened.await {
            Ok(opened) => opened.map_err(|error| not_recorded(&error))?,
            Err(error) => {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    "not-recorded",
                    error.to_string(),
                    "swarmctl journal verify",
                ));
            }
        };
        if recovered != Recovered::default() {
            output.note(&format!(
                "going on with run {}: {} recorded, {} begun",
                run.name(),
                count(recovered.done, "result"),
                count(recovered.begun, "more job")
            ));
        }
        Ok(Arc::new(run))
    }

    pub(super) async fn run(&self, run: Run<'_>) -> Ended {
        let system = self.node.system();
        let asked = run.asked;
        let workers = Desk::default().workers(system, &self.group, asked.deadline, asked.patience);
        let workers = match &self.cluster {
            Some(_) => workers.naming_nodes(),
            None => workers,
        };
        let restarts_before = self.restarts();
        let killed = AtomicU64::new(0);
        let mut ended = tokio::select! {
            ended = self.execute(run, workers) => ended,
            never = kill_at_rate(system, &self.group, asked, &killed) => match never {},
            never = forget_dead_letters(system) => match never {},
        };
        ended.summary.killed = killed.load(Ordering::Relaxed);
        ended.summary.restarts = self.restarts().saturating_sub(restarts_before);
        if let (How::Failed(failure), (NodeState::TreeFailed, reason)) =
            (&mut ended.how, self.node.state())
        {
            failure.error = format!(
                "{}; the tree failed: {}",
                failure.error,
                reason.unwrap_or_default()
            );
        }
        ended
    }

    async fn execute(&self, run: Run<'_>, workers: GroupWorkers) -> Ended {
        match &self.caller {
            None => run.execute(&workers).await,
            Some(caller) => {
                run.execute(&BiddingWorkers::new(workers, caller.clone()))
                    .await
            }
        }
    }

    pub(super) async fn stop(self) {
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        self.node.stop(STOP_DEADLINE).await;
    }

    fn restarts(&self) -> u64 {
        let members = self.node.system().group(&self.group);
        members
            .iter()
            .map(|member| u64::from(member.info().restarts))
            .sum()
    }
}

/// The node's data folder, where it needs one: for a durable run, or because one is named.
fn data_folder(
    asked: &Dispatch,
    manifest: &Manifest,
    name: &Name,
) -> Result<Option<DataFolder>, Failure> {
    if !asked.durable && asked.data.is_none() {
        return Ok(None);
    }
    let flags = NodeFlags {
        data: asked.data.clone(),
        name: Some(name.to_string()),
        ..NodeFlags::default()
    };
    let settings = config::settings(&flags, manifest)?;
    DataFolder::open(&settings.data.value)
        .map(Some)
        .map_err(|error| {
            Failure::new(
                ExitStatus::Refused,
                "bad-data-folder",
                error.to_string(),
                error.next_step(),
            )
        })
}

/// How often dead letters are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_millis(100);

/// Each job whose worker died leaves a dead letter with its whole input. Nobody can look at them here, and the jobs are handed
/// over again by the dispatcher.
async fn forget_dead_letters(system: &System) -> Infallible {
    let mut ticks = tokio::time::interval(FORGET_INTERVAL);
    loop {
        ticks.tick().await;
        system.dead_letters().purge_all();
    }
}

/// Kills random living members of the group at the rate asked for, for as long as it is polled.
async fn kill_at_rate(
    system: &System,
    group: &Name,
    asked: &Dispatch,
    killed: &AtomicU64,
) -> Infallible {
    let Some(rate) = asked.chaos else {
        return std::future::pending().await;
    };
    let mut random = match asked.seed {
        Some(seed) => fastrand::Rng::with_seed(seed),
        None => fastrand::Rng::new(),
    };
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    loop {
        ticks.tick().await;
        let mut members = system.group(group);
        members.retain(swarm_actors::AnyRef::is_alive);
        if let Some(victim) = random.choice(members) {
            victim.kill();
            killed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
