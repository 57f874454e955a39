//! What an operator does to a cluster.

use super::nodes::cluster;
use crate::api::fault::Fault;
use crate::api::input::{JsonBody, NoBody};
use crate::api::server::Api;
use crate::api::types::{
    DrainAnswer, DrainRequest, EvictAnswer, EvictRequest, NodeChaos, ReachabilityAnswer,
    RotateAnswer, RouteSummary, RttAnswer, Unanswered,
};
use crate::cluster::{EvictError, NodeFault, NodeFaultError, RotateError, Route};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::time::{Duration, Instant};
use swarm_protocols::Name;

/// How long a drain may take unless the request says so.
const DRAIN_MS: u64 = 30_000;
/// How long it may take.
const DRAIN_MS_MAX: u64 = 24 * 3600 * 1000;

fn summary(route: Route) -> RouteSummary {
    let (rtt_us, problem) = match route.rtt {
        Ok(rtt) => (
            Some(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            None,
        ),
        Err(problem) => (None, Some(problem)),
    };
    RouteSummary {
        to: route.to.to_string(),
        rtt_us,
        problem,
    }
}

fn answer(node: &Name, routes: Vec<Route>) -> RttAnswer {
    RttAnswer {
        node: node.to_string(),
        routes: routes.into_iter().map(summary).collect(),
    }
}

fn silent(names: Vec<Name>) -> Vec<Unanswered> {
    names
        .into_iter()
        .map(|name| Unanswered {
            node: name.to_string(),
            why: "no answer".to_owned(),
        })
        .collect()
}

pub(in crate::api) async fn rtt(State(api): State<Api>) -> Result<Json<RttAnswer>, Fault> {
    let cluster = cluster(&api)?;
    let routes = cluster.measure().await;
    Ok(Json(answer(&cluster.me().name, routes)))
}

pub(in crate::api) async fn reachability(
    State(api): State<Api>,
) -> Result<Json<ReachabilityAnswer>, Fault> {
    let (mut nodes, mut missing) = (Vec::new(), Vec::new());
    for (name, routes) in cluster(&api)?.reachability().await {
        match routes {
            Some(routes) => nodes.push(answer(&name, routes)),
            None => missing.push(name),
        }
    }
    Ok(Json(ReachabilityAnswer {
        nodes,
        unanswered: silent(missing),
    }))
}

pub(in crate::api) async fn evict(
    State(api): State<Api>,
    JsonBody(request): JsonBody<EvictRequest>,
) -> Result<Json<EvictAnswer>, Fault> {
    let no_such_node = || {
        Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-node",
            format!("no node {} is known here", request.name),
            "`swarmctl node ls` lists the members",
        )
    };
    let name = Name::new(&request.name).map_err(|_| no_such_node())?;
    let cluster = cluster(&api)?;
    let evicted = cluster.evict(&name).await.map_err(|error| match error {
        EvictError::NoSuchNode(_) => no_such_node(),
        EvictError::Itself => Fault::new(
            StatusCode::CONFLICT,
            "is-itself",
            error.to_string(),
            "ask another member, or `swarmctl leave`",
        ),
    })?;
    let mut told: Vec<String> = evicted.told.iter().map(Name::to_string).collect();
    told.push(cluster.me().name.to_string());
    told.sort();
    Ok(Json(EvictAnswer {
        name: name.to_string(),
        boot_id: evicted.boot.map(|boot| boot.to_string()),
        told,
        unanswered: silent(evicted.unanswered),
    }))
}

pub(in crate::api) async fn rotate(
    State(api): State<Api>,
    NoBody: NoBody,
) -> Result<Json<RotateAnswer>, Fault> {
    let rotation = cluster(&api)?.rotate_keys().await.map_err(|error| {
        let code = match &error {
            RotateError::NoRandomness => "no-randomness",
            RotateError::NotInstalled(_) => "key-not-installed",
            RotateError::NotUsed(_) => "key-not-used",
        };
        Fault::new(
            StatusCode::CONFLICT,
            code,
            error.to_string(),
            "`swarmctl node ls` shows who does not answer; try again when they do, or evict them",
        )
    })?;
    Ok(Json(RotateAnswer {
        key: rotation.key,
        members: rotation.members as u64,
        absent: rotation.absent.iter().map(Name::to_string).collect(),
    }))
}

pub(in crate::api) async fn drain(
    State(api): State<Api>,
    JsonBody(request): JsonBody<DrainRequest>,
) -> Result<Json<DrainAnswer>, Fault> {
    let deadline_ms = request.deadline_ms.unwrap_or(DRAIN_MS);
    if !(1..=DRAIN_MS_MAX).contains(&deadline_ms) {
        return Err(Fault::invalid(
            "deadline_ms",
            format!("{deadline_ms} is not within 1 to {DRAIN_MS_MAX}"),
            format!("for example {DRAIN_MS}"),
        ));
    }
    let cluster = cluster(&api)?;
    let began = Instant::now();
    let limit = Duration::from_millis(deadline_ms);
    // First what others take over, so that it finishes its work where it is known.
    let left = api.node.drain_placed(limit).await;
    let limit = limit.saturating_sub(began.elapsed());
    let drained = cluster.drain(limit).await && left == 0;
    Ok(Json(DrainAnswer {
        node: cluster.me().name.to_string(),
        drained,
    }))
}

pub(in crate::api) async fn chaos(
    State(api): State<Api>,
    JsonBody(request): JsonBody<NodeChaos>,
) -> Result<Json<NodeChaos>, Fault> {
    let duration = Duration::from_millis(request.for_ms);
    let fault = match request.fault.as_str() {
        "node-kill" => NodeFault::Kill,
        "cut" => NodeFault::Cut(duration),
        "pause" => NodeFault::Pause(duration),
        other => {
            return Err(Fault::invalid(
                "fault",
                format!("there is no fault {other:?} of nodes"),
                "one of node-kill, cut, pause",
            ));
        }
    };
    let known = cluster(&api)?.members().await;
    let name = known
        .into_iter()
        .map(|member| member.name)
        .find(|name| name.as_str() == request.node);
    let name = name.ok_or_else(|| {
        Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-node",
            format!("no node {} is known here", request.node),
            "`swarmctl node ls` lists the members",
        )
    })?;
    let inflicted = cluster(&api)?.inflict(&name, fault).await;
    inflicted.map_err(|error| match &error {
        NodeFaultError::NotAllowed(_) => Fault::new(
            StatusCode::FORBIDDEN,
            "chaos-not-allowed",
            error.to_string(),
            "start that node with --allow-chaos",
        ),
        NodeFaultError::NoAnswer(_) => Fault::new(
            StatusCode::GATEWAY_TIMEOUT,
            "node-silent",
            error.to_string(),
            "`swarmctl node ls` shows its state; look before doing it again",
        ),
        NodeFaultError::TooLong => Fault::invalid("for_ms", &error, "for example 5000"),
    })?;
    Ok(Json(request))
}
