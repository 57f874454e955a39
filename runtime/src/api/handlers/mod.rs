//! What the node does for each request.

pub(super) mod actors;
pub(super) mod chaos;
pub(super) mod components;
pub(super) mod conversations;
pub(super) mod dead_letters;
pub(super) mod events;
pub(super) mod health;
pub(super) mod jobs;
pub(super) mod journal;
pub(super) mod manifest;
pub(super) mod messages;
pub(super) mod nodes;
pub(super) mod placement;
pub(super) mod platform;
pub(super) mod tools;
pub(super) mod tree;
pub(super) mod verbs;
pub(super) mod wasm;

use super::fault::Fault;
use super::server::Api;
use axum::http::StatusCode;
use swarm_actors::AnyRef;
use swarm_protocols::Path;

/// A path as a client wrote it.
pub(super) fn path_of(text: &str) -> Result<Path, Fault> {
    Path::new(text).map_err(|error| {
        Fault::invalid(
            "path",
            error,
            "a path looks like /pool/worker-1; `swarmctl actor ls` lists them",
        )
    })
}

pub(super) fn no_such_actor(path: &Path) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "no-such-actor",
        format!("there is no actor {path}"),
        "`swarmctl actor ls` lists the actors",
    )
}

/// The agent at a path.
pub(super) fn agent_at(api: &Api, path: &Path) -> Result<AnyRef, Fault> {
    match api.node.system().lookup(path) {
        Some(agent) => Ok(agent),
        None if api.node.is_supervisor(path) => Err(Fault::new(
            StatusCode::CONFLICT,
            "not-an-agent",
            format!("{path} is a supervisor, which takes no messages"),
            "send to one of its agents; `swarmctl tree` shows them",
        )),
        None => Err(no_such_actor(path)),
    }
}
