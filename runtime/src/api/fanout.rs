//! One answer for the whole cluster: what is asked here is asked of every member, each for a bounded time, and who did not answer is named.
//!
//! A request that came over a link is answered for this node alone, as is one with the header `swarm-scope: node`. One with the header
//! `swarm-node: NAME` is answered by that node, whatever it is about; streams are not passed on.

use super::fault::Fault;
use super::server::Api;
use super::types::Unanswered;
use crate::cluster::{Answered, Answerer, Cluster, Forwarded, REQUEST_BYTES_MAX, RequestError};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::identity::NodeId;
use swarm_protocols::Name;
use tokio::runtime::Handle;
use tower::ServiceExt;

/// Says that only the node that is asked is meant.
const SCOPE: &str = "swarm-scope";
/// Names the node that is meant.
const NODE: &str = "swarm-node";
/// How long a member has for its part of an answer.
const MEMBER_LIMIT: Duration = Duration::from_secs(2);
/// How many members are asked at once.
const MEMBERS_AT_ONCE: usize = 64;
/// How long another node has for a request that was meant for it alone: some wait for effects.
const PASSED_ON_LIMIT: Duration = Duration::from_secs(90);
/// The longest answer that is passed on.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// For whom an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every member.
    Cluster,
    /// This node.
    Node,
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let asked = parts.headers.get(SCOPE);
        Ok(match asked.is_some_and(|scope| scope == "node") {
            true => Self::Node,
            false => Self::Cluster,
        })
    }
}

/// What the other members say.
pub(super) struct Gathered<T> {
    /// The answers, in order of names.
    pub(super) answers: Vec<(String, T)>,
    /// Those without an answer, in order of names.
    pub(super) unanswered: Vec<Unanswered>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            unanswered: Vec::new(),
        }
    }
}

/// Asks every other member for what is at `path`. Nobody, outside of a cluster and for a request about one node.
pub(super) async fn gather<T: DeserializeOwned>(
    api: &Api,
    scope: Scope,
    path: &str,
    query: &impl Serialize,
) -> Gathered<T> {
    let (Scope::Cluster, Some(cluster)) = (scope, api.node.cluster()) else {
        return Gathered::default();
    };
    let target = format!("{path}{}", query_string(query));
    let others = cluster.members().await;
    let asked = others
        .into_iter()
        .filter(|member| !member.is_self && member.state != "left")
        .map(|member| {
            let target = target.clone();
            async move {
                let answer = match member.state {
                    "down" => Err("down".to_owned()),
                    _ => ask(cluster, &member.name, target).await,
                };
                (member.name.to_string(), answer)
            }
        });
    let mut said: Vec<(String, Result<T, String>)> = stream::iter(asked)
        .buffer_unordered(MEMBERS_AT_ONCE)
        .collect()
        .await;
    said.sort_by(|a, b| a.0.cmp(&b.0));
    let mut gathered = Gathered::default();
    for (node, answer) in said {
        match answer {
            Ok(answer) => gathered.answers.push((node, answer)),
            Err(why) => gathered.unanswered.push(Unanswered { node, why }),
        }
    }
    gathered
}

async fn ask<T: DeserializeOwned>(
    cluster: &Cluster,
    node: &Name,
    target: String,
) -> Result<T, String> {
    let answered = cluster
        .request(node, Forwarded::get(target), MEMBER_LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    if answered.status == StatusCode::NOT_FOUND.as_u16() {
        return Err(NOT_THERE.to_owned());
    }
    if !answered.is_success() {
        return Err(format!("answered with status {}", answered.status));
    }
    serde_json::from_slice(&answered.body)
        .map_err(|_| "its answer cannot be read: another version".to_owned())
}

/// Why a member that lacks what was asked for has no part in the answer.
pub(super) const NOT_THERE: &str = "has no such thing";

/// `?key=value&…` of a flat value.
fn query_string(query: &impl Serialize) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else {
        return String::new();
    };
    let mut text = String::new();
    for (key, value) in fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(value) => value,
            other => other.to_string(),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&key);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    text.push(byte.into());
                }
                other => text.push_str(&format!("%{other:02X}")),
            }
        }
    }
    text
}

/// Answers what other members ask, by the handlers of the API.
pub(super) struct LocalAnswers {
    router: Router,
    runtime: Handle,
}

impl LocalAnswers {
    /// By this router, on the current tokio runtime.
    pub(super) fn new(router: Router) -> Arc<Self> {
        Arc::new(Self {
            router,
            runtime: Handle::current(),
        })
    }
}

impl Answerer for LocalAnswers {
    fn answer(&self, _: NodeId, request: Forwarded) -> BoxFuture<'static, Answered> {
        let router = self.router.clone();
        let task = self.runtime.spawn(answer_here(router, request));
        async move {
            task.await
                .unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR))
        }
        .boxed()
    }
}

fn refusal(status: StatusCode) -> Answered {
    Answered {
        status: status.as_u16(),
        body: Vec::new(),
    }
}

async fn answer_here(router: Router, forwarded: Forwarded) -> Answered {
    let mut request = Request::builder()
        .method(forwarded.method.as_str())
        .uri(&forwarded.target)
        .header(SCOPE, "node");
    if !forwarded.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let Ok(request) = request.body(Body::from(forwarded.body)) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    // A stream would never end.
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    {
        return refusal(StatusCode::NOT_ACCEPTABLE);
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    match body.collect().await {
        Ok(body) => Answered {
            status: status.as_u16(),
            body: body.to_bytes().to_vec(),
        },
        Err(_) => refusal(StatusCode::INSUFFICIENT_STORAGE),
    }
}

/// Hands a request that names another node to that node.
pub(super) async fn to_named_node(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let Some(named) = request.headers().get(NODE).map(HeaderValue::to_owned) else {
        return Ok(next.run(request).await);
    };
    let name = named
        .to_str()
        .ok()
        .and_then(|text| Name::new(text).ok())
        .ok_or_else(|| no_such_node(&String::from_utf8_lossy(named.as_bytes())))?;
    if name == *api.node.name() {
        let mut request = request;
        request
            .headers_mut()
            .insert(SCOPE, HeaderValue::from_static("node"));
        return Ok(next.run(request).await);
    }
    pass_on(&api, &name, request).await
}

async fn pass_on(api: &Api, name: &Name, request: Request) -> Result<Response, Fault> {
    let cluster = api
        .node
        .cluster()
        .ok_or_else(|| no_such_node(name.as_str()))?;
    let is_stream = request
        .headers()
        .get(ACCEPT)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return Err(Fault::new(
            StatusCode::NOT_ACCEPTABLE,
            "not-passed-on",
            "streams are not passed on to other nodes",
            "ask that node itself: its API is in `swarmctl status -o wide`",
        ));
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| not_read(&*error))?
        .to_bytes();
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    let method = match parts.method {
        Method::HEAD => Method::GET,
        method => method,
    };
    let forwarded = Forwarded {
        method: method.to_string(),
        target: target.to_owned(),
        body: body.to_vec(),
    };
    let answered = cluster
        .request(name, forwarded, PASSED_ON_LIMIT)
        .await
        .map_err(|error| not_answered(name, &error))?;
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Ok((status, [(CONTENT_TYPE, "application/json")], answered.body).into_response())
}

fn not_read(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    if error.is::<LengthLimitError>() {
        return Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("a request to another node has at most {REQUEST_BYTES_MAX} bytes"),
            "send it to that node itself",
        );
    }
    Fault::new(
        StatusCode::BAD_REQUEST,
        "bad-body",
        error.to_string(),
        "send it again",
    )
}

fn no_such_node(name: &str) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "no-such-node",
        format!("no node {name} is known here"),
        "`swarmctl node ls` lists the members",
    )
}

fn not_answered(name: &Name, error: &RequestError) -> Fault {
    let (status, code) = match error {
        RequestError::NoSuchNode(_) => return no_such_node(name.as_str()),
        RequestError::Down => (StatusCode::SERVICE_UNAVAILABLE, "node-down"),
        RequestError::Timeout(_) | RequestError::Incomplete => {
            (StatusCode::GATEWAY_TIMEOUT, "node-silent")
        }
        RequestError::TooLarge | RequestError::TooMany => {
            (StatusCode::SERVICE_UNAVAILABLE, "node-busy")
        }
    };
    Fault::new(
        status,
        code,
        format!("node {name} did not answer: {error}"),
        "`swarmctl node ls` shows its state; look before doing it again",
    )
}

#[cfg(test)]
mod tests {
    use super::query_string;
    use crate::api::types::ActorsQuery;

    #[test]
    fn queries_are_written_as_they_were_read() {
        let query = ActorsQuery {
            group: Some("a b&c".to_owned()),
            limit: Some(3),
            ..ActorsQuery::default()
        };
        assert_eq!(query_string(&query), "?group=a%20b%26c&limit=3");
        assert_eq!(query_string(&()), "");
    }
}
