//! Probes, status, metrics and the description of the API.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::metrics;
use crate::api::server::Api;
use crate::api::types::Time;
use crate::api::types::{LiveAnswer, NodeState, ReadyAnswer, StatusAnswer};
use crate::api::view;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;

/// What "the last five minutes" are in milliseconds.
const RECENT_MS: i64 = 5 * 60 * 1000;

/// How many actors are named as stuck.
const ALARMS_MAX: usize = 20;

pub(in crate::api) async fn live() -> Json<LiveAnswer> {
    Json(LiveAnswer { live: true })
}

pub(in crate::api) async fn ready(State(api): State<Api>) -> Response {
    let (state, reason) = api.node.state();
    let ready = state == NodeState::Running;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(ReadyAnswer {
            ready,
            state,
            reason,
        }),
    )
        .into_response()
}

pub(in crate::api) async fn status(State(api): State<Api>, scope: Scope) -> Json<StatusAnswer> {
    let others: Gathered<StatusAnswer> = fanout::gather(&api, scope, "/v1/status", &()).await;
    let mut status = status_here(&api);
    status.nodes = others.answers.into_iter().map(|(_, other)| other).collect();
    status.unanswered = others.unanswered;
    Json(status)
}

fn status_here(api: &Api) -> StatusAnswer {
    let node = &api.node;
    let system = node.system();
    let (state, reason) = node.state();
    let actors = system.actors();
    let mut actors_by_state = BTreeMap::new();
    for actor in &actors {
        *actors_by_state
            .entry(actor.state.as_str().to_owned())
            .or_insert(0) += 1;
    }
    let now = Time::now();
    let history = system.events().since(0, usize::MAX);
    let restarts_5m = history
        .iter()
        .filter(|event| {
            view::is_restart(event) && view::time(event.at_ms).unix_ms >= now.unix_ms - RECENT_MS
        })
        .count() as u64;
    let mut alarms = Vec::new();
    if let Some(reason) = &reason {
        alarms.push(format!("{state}: {reason}"));
    }
    alarms.extend(node.alarms());
    let stuck = view::stuck(&history);
    alarms.extend(
        stuck
            .iter()
            .take(ALARMS_MAX)
            .map(|path| format!("{path} holds its thread without yielding")),
    );
    StatusAnswer {
        node: node.name().to_string(),
        state,
        reason,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: node.boot_id().to_owned(),
        process_id: std::process::id(),
        started_at: node.started_at(),
        uptime_ms: u64::try_from(now.unix_ms - node.started_at().unix_ms).unwrap_or(0),
        api: Some(format!("http://{}", api.address)),
        data: node.data().map(|data| data.display().to_string()),
        manifest: node
            .manifest()
            .file
            .as_ref()
            .map(|file| file.display().to_string()),
        actors: actors.len() as u64,
        actors_by_state,
        restarts: actors.iter().map(|actor| u64::from(actor.restarts)).sum(),
        restarts_5m,
        mailbox: actors.iter().map(|actor| actor.mailbox).sum(),
        dead_letters: system.dead_letters().len() as u64,
        alarms,
        nodes: Vec::new(),
        unanswered: Vec::new(),
    }
}

pub(in crate::api) async fn metrics(State(api): State<Api>) -> Response {
    let text = metrics::render(&metrics::Snapshot::of(&api.node).await);
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

pub(in crate::api) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], crate::api::OPENAPI).into_response()
}

pub(in crate::api) async fn unknown_path(uri: axum::http::Uri) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "unknown-path",
        format!("there is nothing at {}", uri.path()),
        "GET /openapi.json lists the paths",
    )
}

pub(in crate::api) async fn wrong_method(
    method: axum::http::Method,
    uri: axum::http::Uri,
) -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        format!("{} does not take {method}", uri.path()),
        "GET /openapi.json lists the methods",
    )
}
