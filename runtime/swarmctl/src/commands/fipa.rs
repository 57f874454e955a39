//! The FIPA HTTP transport of `up`.

use crate::cli::FipaFlags;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use std::sync::Arc;
use swarm_actors::platform::{OwnAlone, PlatformOptions};
use swarm_runtime::cluster::Cluster;
use swarm_runtime::fipa::{FipaOptions, FipaServer, StartError, TlsFiles};
use swarm_runtime::node::Node;

/// Starts the AMS and the DF, as those of the cluster's one platform.
pub(crate) async fn start_platform(
    node: &Node,
    cluster: &Cluster,
    flags: &FipaFlags,
) -> Result<(), Failure> {
    let mut options = PlatformOptions::new(cluster.name().as_str());
    options.rights = Arc::new(OwnAlone {
        platforms: flags.trust.clone(),
    });
    node.start_platform(options).await.map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            "no-platform",
            error.to_string(),
            "report this with the log above",
        )
    })?;
    if let Some(platform) = node.platform() {
        cluster.serve_platform(platform);
    }
    Ok(())
}

/// Starts it, if it was asked for: on a thread that may block, as binding may.
pub(crate) async fn start(
    node: &Node,
    cluster: &Cluster,
    flags: &FipaFlags,
) -> Result<Option<FipaServer>, Failure> {
    let Some(listen) = flags.http else {
        return Ok(None);
    };
    let mut options = FipaOptions::new(listen, cluster.name().as_str());
    options.public.clone_from(&flags.address);
    options.tls = TlsFiles {
        own: flags.cert.clone().zip(flags.key.clone()),
        roots: flags.ca.clone(),
    };
    let node = node.clone();
    let started = tokio::task::spawn_blocking(move || FipaServer::start(&node, options)).await;
    let (error, next_step) = match started {
        Ok(Ok(server)) => return Ok(Some(server)),
        Ok(Err(error)) => (error.to_string(), next_step(&error)),
        Err(error) => (error.to_string(), "report this"),
    };
    Err(Failure::new(
        ExitStatus::Refused,
        "no-fipa",
        error,
        next_step,
    ))
}

fn next_step(error: &StartError) -> &'static str {
    match error {
        StartError::Bind { .. } => {
            "choose a free address of this machine with --fipa-http ADDRESS:PORT"
        }
        StartError::NoPublicAddress(_) => {
            "say how others reach it, with --fipa-address http://HOST:PORT/acc"
        }
        StartError::Tls(_) => "give --fipa-cert and --fipa-key files in PEM that belong together",
        StartError::Thread(_) => "look at the limits of the process (ulimit -u, ulimit -n)",
    }
}
