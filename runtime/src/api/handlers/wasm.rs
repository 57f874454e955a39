//! Components that the node keeps, and deployments of new code. What reads a disk or compiles runs where that may block.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::JsonBody;
use crate::api::server::Api;
use crate::api::types::{ComponentsAnswer, DeploymentReport, DeploymentRequest, DeploymentsAnswer};
use crate::manifest::component::Wasm;
use crate::manifest::{Code, Declaration};
use crate::node::{Node, UpgradeFault, Upgrades};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use swarm_actors::AnyRef;
use swarm_protocols::Name;

pub(in crate::api) async fn kept(State(api): State<Api>) -> Result<Json<ComponentsAnswer>, Fault> {
    let components = blocking(&api, |upgrades, _| upgrades.kept()).await?;
    Ok(Json(ComponentsAnswer { components }))
}

pub(in crate::api) async fn discard(
    State(api): State<Api>,
    Path(digest): Path<String>,
) -> Result<Json<ComponentsAnswer>, Fault> {
    let discarded = blocking(&api, move |upgrades, _| upgrades.discard(&digest)).await?;
    if !discarded.map_err(refused)? {
        return Err(no_such_component());
    }
    kept(State(api)).await
}

pub(super) fn no_such_component() -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "no-such-component",
        "there is no component of that digest",
        "`swarmctl wasm ls` lists them",
    )
}

pub(in crate::api) async fn deploy(
    State(api): State<Api>,
    JsonBody(request): JsonBody<DeploymentRequest>,
) -> Result<Json<DeploymentReport>, Fault> {
    let begun = blocking(&api, move |upgrades, node| {
        let agents = agents(node, &request)?;
        upgrades.deploy(&request, agents).map_err(refused)
    });
    begun.await?.map(|begun| Json(of_this_node(&api, begun)))
}

pub(in crate::api) async fn deployments(
    State(api): State<Api>,
    scope: Scope,
) -> Result<Json<DeploymentsAnswer>, Fault> {
    let own = upgrades(&api.node)?.deployments().into_iter();
    let own = own.map(|report| of_this_node(&api, report));
    let others: Gathered<DeploymentsAnswer> =
        fanout::gather(&api, scope, "/v1/deployments", &()).await;
    let mut answer = DeploymentsAnswer {
        deployments: own.collect(),
        unanswered: others.unanswered,
    };
    for (node, other) in others.answers {
        let theirs = other.deployments.into_iter();
        // It is known here who they are, whatever they say.
        answer
            .deployments
            .extend(theirs.map(|report| DeploymentReport {
                node: node.clone(),
                ..report
            }));
    }
    // Each node's own are in order of their numbers.
    answer
        .deployments
        .sort_by(|one, other| one.node.cmp(&other.node));
    Ok(Json(answer))
}

pub(in crate::api) async fn deployment(
    State(api): State<Api>,
    Path(id): Path<u64>,
) -> Result<Json<DeploymentReport>, Fault> {
    let known = upgrades(&api.node)?.deployments().into_iter();
    let found = known.rev().find(|known| known.id == id);
    let found = found.map(|found| Json(of_this_node(&api, found)));
    found.ok_or_else(|| no_such_deployment(id))
}

pub(in crate::api) async fn abort(
    State(api): State<Api>,
    Path(id): Path<u64>,
) -> Result<Json<DeploymentReport>, Fault> {
    let aborted = upgrades(&api.node)?.abort(id).await;
    let aborted = aborted.map(|aborted| Json(of_this_node(&api, aborted)));
    aborted.ok_or_else(|| no_such_deployment(id))
}

fn of_this_node(api: &Api, report: DeploymentReport) -> DeploymentReport {
    DeploymentReport {
        node: api.node.name().to_string(),
        ..report
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&dyn Upgrades, &Node) -> T + Send + 'static,
) -> Result<T, Fault> {
    let node = api.node.clone();
    let task = tokio::task::spawn_blocking(move || Ok(work(upgrades(&node)?, &node)));
    task.await.unwrap_or_else(|_| {
        Err(Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the work was cut off",
            "look at the node's log",
        ))
    })
}

fn upgrades(node: &Node) -> Result<&dyn Upgrades, Fault> {
    node.upgrades().ok_or_else(|| {
        Fault::new(
            StatusCode::CONFLICT,
            "no-wasm",
            "this node's program runs no WebAssembly agents",
            "run a node with swarmctl up",
        )
    })
}

/// The WebAssembly agents of this node that a request means, by path, with what the manifest says of each.
fn agents(node: &Node, request: &DeploymentRequest) -> Result<Vec<(AnyRef, Wasm)>, Fault> {
    let mut found: Vec<AnyRef> = if request.target.starts_with('/') {
        let path = super::path_of(&request.target)?;
        let actors = node.system().actors().into_iter();
        let below = actors.filter(|actor| actor.path.is_within(&path));
        below
            .filter_map(|actor| node.system().lookup(&actor.path))
            .collect()
    } else {
        let group = Name::new(&request.target)
            .map_err(|error| Fault::invalid("target", error, "a path such as /pool, or a group"))?;
        node.system().group_here(&group)
    };
    let manifest = node.manifest();
    found.sort_by(|one, other| one.path().cmp(other.path()));
    let mut agents: Vec<(AnyRef, Wasm)> = found
        .into_iter()
        .filter_map(|agent| {
            let (Declaration::Agent(declared) | Declaration::Template(declared)) =
                manifest.find(agent.path())?
            else {
                return None;
            };
            match &declared.code {
                Code::Wasm(wasm) => Some((agent, Wasm::clone(wasm))),
                Code::Native(_) => None,
            }
        })
        .collect();
    if agents.is_empty() {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-target",
            format!("{} has no WebAssembly agent on this node", request.target),
            "`swarmctl actor ls` lists the actors, with their kinds and groups",
        ));
    }
    let share = request.share_percent.unwrap_or(100);
    if !(1..=100).contains(&share) {
        let next_step = "a part of the agents, such as 25";
        return Err(Fault::invalid(
            "share_percent",
            "not within 1 to 100",
            next_step,
        ));
    }
    agents.truncate((agents.len() * usize::from(share)).div_ceil(100));
    Ok(agents)
}

fn no_such_deployment(id: u64) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "no-such-deployment",
        format!("this node has no deployment {id}"),
        "`swarmctl actor deployment ls` lists the latest of all nodes; `--on NODE` asks the one that has it",
    )
}

pub(super) fn refused(fault: UpgradeFault) -> Fault {
    match fault {
        UpgradeFault::Invalid { field, message } => {
            Fault::invalid(field, message, "see docs/wasm.md")
        }
        UpgradeFault::Refused(message) => Fault::new(
            StatusCode::CONFLICT,
            "refused",
            message,
            "`swarmctl wasm ls` and `swarmctl actor deployment ls` show what there is",
        ),
        UpgradeFault::Failed(message) => Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            message,
            "look at the node's log and at its disk",
        ),
    }
}
