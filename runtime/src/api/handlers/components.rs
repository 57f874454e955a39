//! A component on its way to all members: the node that is given one keeps it and has the others fetch it from there, by its
//! digest. A member that is cut off or joins later fetches it at its start (`node/components.rs`).

use super::wasm::{blocking, refused};
use crate::api::fanout::Scope;
use crate::api::fault::Fault;
use crate::api::input::{ComponentBody, JsonBody};
use crate::api::server::Api;
use crate::api::types::{ComponentFetch, ComponentKept, ComponentSummary, Unanswered};
use crate::cluster::{Cluster, Forwarded};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use std::time::Duration;
use swarm_protocols::Name;

/// How long a member may take to fetch and keep a component.
const FETCH_LIMIT: Duration = Duration::from_secs(60);
/// How many members fetch at once: each takes the whole component from the same node.
const MEMBERS_AT_ONCE: usize = 4;

pub(in crate::api) async fn keep(
    State(api): State<Api>,
    scope: Scope,
    ComponentBody(bytes): ComponentBody,
) -> Result<Json<ComponentKept>, Fault> {
    let kept = blocking(&api, move |upgrades, _| upgrades.keep(&bytes)).await?;
    let component = kept.map_err(refused)?;
    let mut nodes = vec![api.node.name().to_string()];
    let mut unanswered = Vec::new();
    if let (Scope::Cluster, Some(cluster)) = (scope, api.node.cluster()) {
        let fetch = ComponentFetch {
            digest: component.digest.clone(),
            from: api.node.name().to_string(),
        };
        spread(cluster, &fetch, &mut nodes, &mut unanswered).await;
    }
    Ok(Json(ComponentKept {
        component,
        nodes,
        unanswered,
    }))
}

async fn spread(
    cluster: &Cluster,
    fetch: &ComponentFetch,
    nodes: &mut Vec<String>,
    unanswered: &mut Vec<Unanswered>,
) {
    let body = serde_json::to_vec(fetch).unwrap_or_default();
    let members = cluster.members().await.into_iter();
    let others = members.filter(|member| !member.is_self && member.state != "left");
    let asked = others.map(|member| {
        let body = body.clone();
        async move {
            let fetched = match member.state {
                "down" => Err("down".to_owned()),
                _ => ask(cluster, &member.name, body).await,
            };
            (member.name.to_string(), fetched)
        }
    });
    let mut said: Vec<(String, Result<(), String>)> = stream::iter(asked)
        .buffer_unordered(MEMBERS_AT_ONCE)
        .collect()
        .await;
    said.sort_by(|a, b| a.0.cmp(&b.0));
    for (node, fetched) in said {
        match fetched {
            Ok(()) => nodes.push(node),
            Err(why) => unanswered.push(Unanswered { node, why }),
        }
    }
}

async fn ask(cluster: &Cluster, node: &Name, body: Vec<u8>) -> Result<(), String> {
    let request = Forwarded {
        method: "POST".to_owned(),
        target: "/v1/components/fetch".to_owned(),
        body,
    };
    let answered = cluster
        .request(node, request, FETCH_LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    if answered.is_success() {
        return Ok(());
    }
    Err(format!("answered with status {}", answered.status))
}

/// Fetches a component from another member, if it is not here already.
pub(in crate::api) async fn fetch(
    State(api): State<Api>,
    JsonBody(wanted): JsonBody<ComponentFetch>,
) -> Result<Json<ComponentSummary>, Fault> {
    let here = blocking(&api, |upgrades, _| upgrades.kept()).await?;
    if let Some(kept) = here.into_iter().find(|kept| kept.digest == wanted.digest) {
        return Ok(Json(kept));
    }
    let from = Name::new(&wanted.from)
        .map_err(|error| Fault::invalid("from", error, "the name of a member"))?;
    let cluster = api.node.cluster().ok_or_else(|| {
        Fault::invalid("from", "this node is in no cluster", "push it here instead")
    })?;
    let request = Forwarded::get(format!("/v1/components/{}", wanted.digest));
    let not_there = |why: String| {
        Fault::new(
            StatusCode::BAD_GATEWAY,
            "not-fetched",
            format!("{} from {from}: {why}", wanted.digest),
            "push it again",
        )
    };
    let answered = cluster.request(&from, request, FETCH_LIMIT).await;
    let answered = answered.map_err(|error| not_there(error.to_string()))?;
    if !answered.is_success() {
        return Err(not_there(format!("status {}", answered.status)));
    }
    let digest = wanted.digest.clone();
    let kept = blocking(&api, move |upgrades, _| {
        let kept = upgrades.keep(&answered.body)?;
        if kept.digest != digest {
            // Not what was asked for: it does not stay.
            upgrades.discard(&kept.digest)?;
            return Ok(None);
        }
        Ok(Some(kept))
    });
    let kept = kept.await?.map_err(refused)?;
    kept.map(Json)
        .ok_or_else(|| not_there("it is another component".to_owned()))
}

/// The component itself.
pub(in crate::api) async fn content(
    State(api): State<Api>,
    Path(digest): Path<String>,
) -> Result<Response, Fault> {
    let found = blocking(&api, move |upgrades, _| upgrades.content(&digest)).await?;
    match found.map_err(refused)? {
        Some(bytes) => Ok(([(CONTENT_TYPE, "application/wasm")], bytes).into_response()),
        None => Err(super::wasm::no_such_component()),
    }
}
