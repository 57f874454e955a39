//! `up`: a node in the foreground.

use super::membership::{self, ClusterLine, JoinCommand};
use super::reload::Reload;
use super::{config, fipa, log, manifest};
use crate::agent_threads::AgentThreads;
use crate::behaviours::behaviours;
use crate::cli::{Global, Join, Up};
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::words::{count, span};
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use swarm_runtime::api::ApiServer;
use swarm_runtime::cluster::Way;
use swarm_runtime::config::{API_DEFAULT, Origin, Settings};
use swarm_runtime::data::DataFolder;
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{self, Ended, Node, NodeOptions, StopOrder};

/// What is told once, when the node takes work.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    node: String,
    api: String,
    /// Where other FIPA platforms write to, where that is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    fipa: Option<String>,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    actors: u64,
    process_id: u32,
    version: &'static str,
    cluster: ClusterLine,
    /// How others join it, on a first node.
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<JoinCommand>,
}

/// A node that joins a cluster.
pub(crate) async fn join(global: &Global, output: Output, join: Join) -> Result<ExitStatus, Stop> {
    let way = membership::way_of(&join)?;
    let up = Up {
        manifest: join.manifest,
        settings: join.settings,
        fipa: join.fipa,
    };
    start_node(global, output, &up, Some(way)).await
}

/// A node that is the first of a cluster, or comes back to its own.
pub(crate) async fn run(global: &Global, output: Output, up: &Up) -> Result<ExitStatus, Stop> {
    start_node(global, output, up, None).await
}

async fn start_node(
    global: &Global,
    output: Output,
    up: &Up,
    joins: Option<Way>,
) -> Result<ExitStatus, Stop> {
    let manifest = match &up.manifest {
        Some(file) => manifest::load(file, ExitStatus::Usage)?,
        None => Manifest::empty(),
    };
    let mut settings = config::settings(&up.settings, &manifest)?;
    if joins.is_some() {
        apart_from_the_first(&mut settings);
    }
    let settings = settings;
    let filter = log::init(&log_filter(global, &settings), settings.log_format.value)?;
    let reload = Reload::new(global, up, filter, &settings, &manifest);
    let data = DataFolder::open(&settings.data.value).map_err(|error| {
        Failure::new(
            ExitStatus::Refused,
            "bad-data-folder",
            error.to_string(),
            error.next_step(),
        )
    })?;
    let mut options = NodeOptions::new(
        settings.name.value.clone(),
        manifest,
        behaviours(Some(data.path()))?,
    );
    options.data = Some(data.path().to_owned());
    options.journal_keys = config::journal_keys(up.settings.journal_keys.as_deref());
    options.labels = settings.labels.value.clone();
    options.agents_max = settings.agents_max.value;
    let threads = AgentThreads::start()?;
    let node = {
        let _guard = threads.enter();
        Node::new(options)
    };
    let server = match serve(&node, settings.api.value).await {
        // On one machine the first node has the default address.
        Err(_) if joins.is_some() && settings.api.origin == Origin::Default => {
            serve(&node, SocketAddr::from(([127, 0, 0, 1], 0))).await?
        }
        served => served?,
    };
    let is_first = joins.is_none();
    let way = joins.unwrap_or_else(|| Way::First {
        cluster: membership::default_cluster(),
    });
    let (cluster, joined) = match membership::enter(&node, &settings, data.path(), way).await {
        Ok(entered) => entered,
        Err(failure) => {
            server.stop().await;
            return Err(failure.into());
        }
    };
    fipa::start_platform(&node, &cluster, &up.fipa).await?;
    if up.settings.allow_chaos {
        cluster.allow_faults();
    }
    let fipa = fipa::start(&node, &cluster, &up.fipa).await?;
    let order = StopOrder {
        deadline: settings.shutdown_deadline.value,
        exit_on_tree_failure: settings.exit_on_tree_failure.value,
    };
    let ready = Ready {
        event: "ready",
        node: settings.name.value.to_string(),
        api: format!("http://{}", server.address()),
        fipa: fipa.as_ref().map(|fipa| fipa.url().to_owned()),
        data: data.path().display().to_string(),
        manifest: up.manifest.as_ref().map(|file| file.display().to_string()),
        actors: 0,
        process_id: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        cluster: membership::line(&cluster, joined).await,
        join: if is_first {
            membership::join_command(&cluster)
        } else {
            None
        },
    };
    // A signal stops a node that is still starting, too.
    let starting = start(output, up, &node, ready);
    let running = node::run_until_stopped(&node, order);
    let (started, ended) = tokio::select! {
        both = async { tokio::join!(starting, running) } => both,
        why = cluster.expelled() => {
            node.stop(order.deadline).await;
            server.stop().await;
            return Err(membership::expelled(&why).into());
        }
        never = reload.at_every_hangup() => match never {},
    };
    if let Some(fipa) = fipa {
        fipa.stop().await;
    }
    cluster.leave().await;
    server.stop().await;
    started?;
    how_it_ended(output, &settings, ended)
}

/// A node that joins on the machine of the first one, with nothing said about it, keeps its data in a folder of its own.
fn apart_from_the_first(settings: &mut Settings) {
    if settings.data.origin == Origin::Default {
        let mut folder = settings.data.value.clone().into_os_string();
        folder.push(format!("-{}", settings.name.value));
        settings.data.value = folder.into();
    }
}

/// Starts the API: on a thread that may block, as binding may, and as giving up a server that was half made does.
async fn serve(node: &Node, address: SocketAddr) -> Result<ApiServer, Failure> {
    let node = node.clone();
    let started = tokio::task::spawn_blocking(move || ApiServer::start(node, address)).await;
    let (error, next_step) = match started {
        Ok(Ok(server)) => return Ok(server),
        Ok(Err(error)) => (error.to_string(), error.next_step()),
        Err(error) => (error.to_string(), "report this".to_owned()),
    };
    Err(Failure::new(
        ExitStatus::Refused,
        "no-api",
        error,
        next_step,
    ))
}

/// Starts the tree and says so. A tree that does not start leaves the node up: the API tells why, and `tree start` tries
/// again.
async fn start(output: Output, up: &Up, node: &Node, ready: Ready) -> Result<(), Stop> {
    node.join_components().await;
    if let Err(error) = node.start_tree().await {
        output.failure(&Failure::new(
            ExitStatus::Failed,
            "tree-failed",
            error.to_string(),
            "mend what it names, then swarmctl tree start; Ctrl-C ends the node",
        ));
        return Ok(());
    }
    let ready = Ready {
        actors: node.system().actors().len() as u64,
        ..ready
    };
    match output.document(&ready, || ready_text(up, &ready)) {
        // Nobody wants to know; the node is of use all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn ready_text(up: &Up, ready: &Ready) -> String {
    let mut text = format!(
        "node {} is ready: {}\n",
        ready.node,
        count(ready.actors, "actor")
    );
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<9} {value}").expect("a String takes all text");
    };
    line("api", &ready.api);
    if let Some(fipa) = &ready.fipa {
        line("fipa", fipa);
    }
    line("data", &ready.data);
    let members = ready.cluster.members.len() as u64;
    line(
        "cluster",
        &format!(
            "{} at {}: {}, after {} ms",
            ready.cluster.name,
            ready.cluster.address,
            count(members, "member"),
            ready.cluster.took_ms
        ),
    );
    if let Some(join) = &ready.join {
        line(
            "join",
            &format!("swarmctl join {} --token {}", join.address, join.token),
        );
    }
    line(
        "manifest",
        ready
            .manifest
            .as_deref()
            .unwrap_or("none: the tree is empty"),
    );
    let node = if ready.api == format!("http://{API_DEFAULT}") {
        String::new()
    } else {
        format!(" --node {}", ready.api)
    };
    let next_step = if up.manifest.is_some() {
        format!("swarmctl tree{node}")
    } else {
        format!(
            "swarmctl status{node}, or swarmctl up examples/dispatch/swarm.toml for a tree with workers"
        )
    };
    line("try", &next_step);
    line("stop", "Ctrl-C");
    text
}

/// `-v` says more than the default, but not more than what was asked for by name.
pub(super) fn log_filter(global: &Global, settings: &Settings) -> String {
    match (&settings.log.origin, global.verbose, global.quiet) {
        (Origin::Default, 0, true) => "error".to_owned(),
        (Origin::Default, 1, _) => "debug".to_owned(),
        (Origin::Default, 2.., _) => "trace".to_owned(),
        _ => settings.log.value.clone(),
    }
}

fn how_it_ended(
    output: Output,
    settings: &Settings,
    ended: io::Result<Ended>,
) -> Result<ExitStatus, Stop> {
    let failure = match ended {
        Ok(Ended::InOrder) => return Ok(ExitStatus::Done),
        Ok(Ended::Forced) => {
            output.note("stopped at once: agents had no time to clean up");
            return Ok(ExitStatus::Interrupted);
        }
        Ok(Ended::AtDeadline) => Failure::new(
            ExitStatus::TimedOut,
            "killed-at-deadline",
            format!(
                "agents that had not stopped after {} were killed",
                span(settings.shutdown_deadline.value)
            ),
            "--shutdown-deadline with more time",
        ),
        Ok(Ended::TreeFailed { reason }) => Failure::new(
            ExitStatus::Failed,
            "tree-failed",
            format!("the tree failed: {reason}"),
            "look at the log above; without --exit-on-tree-failure the node stays up to be looked at",
        ),
        Err(error) => Failure::new(
            ExitStatus::Failed,
            "no-signals",
            format!("the system does not hand over signals: {error}"),
            "report this with the system's name and version",
        ),
    };
    Err(failure.into())
}
