//! Speaking to a node through its API.

use crate::cli::Global;
use crate::contexts;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use futures_util::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::time::Duration;
use swarm_runtime::api::types::ErrorAnswer;

/// How long to wait for a connection: a node on this machine accepts at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest event of a stream. The node's are far below; what is longer comes from something else.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// A node, seen from outside.
#[derive(Clone)]
pub(crate) struct NodeClient {
    base: Url,
    /// The context that names this node, if one was used.
    context: Option<String>,
    http: reqwest::Client,
    timeout: Duration,
    /// Only that node's own part is wanted.
    is_local: bool,
    /// The member that is meant.
    on: Option<String>,
}

impl NodeClient {
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let chosen = contexts::chosen(global)?;
        let base = parse(&chosen.node).ok_or_else(|| {
            Failure::usage(
                format!(
                    "{:?} is no address of a node ({})",
                    chosen.node, chosen.origin
                ),
                "--node http://127.0.0.1:7590 (or SWARM_NODE)",
            )
        })?;
        // A node on this machine is never behind the proxy that the environment may name.
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| {
                Failure::new(
                    ExitStatus::Failed,
                    "client-failed",
                    chain(&error),
                    "report this",
                )
            })?;
        Ok(Self {
            base,
            context: chosen.context,
            http,
            timeout: global.timeout,
            is_local: global.local,
            on: global.on.clone(),
        })
    }

    /// The node's address, for messages: with the context that named it, so that nobody acts on the wrong node.
    pub(crate) fn address(&self) -> String {
        let url = self.url();
        match &self.context {
            Some(context) => format!("{context} ({url})"),
            None => url,
        }
    }

    /// The node's address as a URL.
    pub(crate) fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Another node at that address, or nothing if it is none.
    pub(crate) fn at(&self, address: &str) -> Option<Self> {
        Some(Self {
            base: parse(address)?,
            context: None,
            on: None,
            ..self.clone()
        })
    }

    /// The same node, asked for its own part only.
    pub(crate) fn alone(&self) -> Self {
        Self {
            is_local: true,
            ..self.clone()
        }
    }

    /// The same node, asked itself, even where another one is meant: for what is too long to be passed on.
    pub(crate) fn to_whoever_answers(&self) -> Self {
        Self {
            on: None,
            ..self.clone()
        }
    }

    /// The same node with another patience.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path).query(query)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    /// Posts what is no JSON.
    pub(crate) async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", content_type).body(body);
        self.ask(request).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn delete_where<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(self.request(Method::DELETE, path).query(query))
            .await
    }

    /// Follows a stream of server-sent events; yields each event's name and data.
    pub(crate) async fn follow(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<impl Stream<Item = Result<(String, String), Failure>>, Failure> {
        let request = self
            .request(Method::GET, path)
            .query(query)
            .header("accept", "text/event-stream");
        let response = match tokio::time::timeout(self.timeout, request.send()).await {
            Ok(sent) => {
                self.accepted(sent.map_err(|error| self.unreachable(&error))?)
                    .await?
            }
            Err(_) => return Err(self.late()),
        };
        let node = self.clone();
        let chunks = response.bytes_stream();
        Ok(futures_util::stream::unfold(
            (chunks.boxed(), Vec::<u8>::new(), node),
            |(mut chunks, mut held, node)| async move {
                loop {
                    if let Some((event, used)) = first_event(&held) {
                        held.drain(..used);
                        match event {
                            Some(event) => return Some((Ok(event), (chunks, held, node))),
                            None => continue,
                        }
                    }
                    if held.len() > EVENT_BYTES_MAX {
                        held.clear();
                        return Some((Err(node.not_a_node()), (chunks, held, node)));
                    }
                    match chunks.next().await? {
                        Ok(chunk) => held.extend_from_slice(&chunk),
                        Err(error) => {
                            let failure = node.unreachable(&error);
                            return Some((Err(failure), (chunks, held, node)));
                        }
                    }
                }
            },
        ))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        let mut request = self.http.request(method, url);
        if self.is_local {
            request = request.header("swarm-scope", "node");
        }
        if let Some(on) = &self.on {
            request = request.header("swarm-node", on);
        }
        request
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let asked = async {
            let response = request
                .send()
                .await
                .map_err(|error| self.unreachable(&error))?;
            let response = self.accepted(response).await?;
            let body = response
                .bytes()
                .await
                .map_err(|error| self.unreachable(&error))?;
            serde_json::from_slice(&body).map_err(|_| self.not_a_node())
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late()),
        }
    }

    /// The response if it is a success, else the failure that it tells.
    async fn accepted(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<ErrorAnswer>(&body) {
            Ok(ErrorAnswer { error }) => Err(Failure::new(
                exit_for(status),
                &error.code,
                error.message,
                error.next_step,
            )),
            Err(_) => Err(self.not_a_node()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() {
            return Failure::new(
                ExitStatus::Unreachable,
                "unreachable",
                format!(
                    "no node answers at {}: {}",
                    self.address(),
                    root_cause(error)
                ),
                "swarmctl up to start one here, or name another with --node URL or SWARM_NODE",
            );
        }
        Failure::new(
            ExitStatus::TimedOut,
            "connection-lost",
            format!(
                "the connection to {} was lost before the answer was complete ({}); the outcome is unknown",
                self.address(),
                root_cause(error)
            ),
            "swarmctl status, then look before doing it again",
        )
    }

    fn late(&self) -> Failure {
        Failure::new(
            ExitStatus::TimedOut,
            "timed-out",
            format!(
                "{} did not answer within {}; the outcome is unknown",
                self.address(),
                crate::words::span(self.timeout)
            ),
            "look before doing it again; --timeout waits longer",
        )
    }

    fn not_a_node(&self) -> Failure {
        Failure::new(
            ExitStatus::Unreachable,
            "not-a-node",
            format!(
                "what answers at {} is no Swarm node, or one of another version",
                self.address()
            ),
            "check --node or SWARM_NODE, and compare swarmctl version with the node's",
        )
    }
}

/// A node's address, with or without its scheme.
fn parse(node: &str) -> Option<Url> {
    let node = node.trim();
    let with_scheme = if node.contains("://") {
        node.to_owned()
    } else {
        format!("http://{node}")
    };
    let url = Url::parse(&with_scheme).ok()?;
    (url.scheme() == "http" && url.host().is_some()).then_some(url)
}

/// The exit status that a refused request leads to.
fn exit_for(status: StatusCode) -> ExitStatus {
    match status {
        StatusCode::NOT_FOUND => ExitStatus::NotFound,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ExitStatus::TimedOut,
        StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => ExitStatus::Usage,
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::CONFLICT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE => ExitStatus::Refused,
        _ => ExitStatus::Failed,
    }
}

/// The first whole event in `bytes` and how many bytes it takes; no event for a block that is only a comment.
fn first_event(bytes: &[u8]) -> Option<(Option<(String, String)>, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let block = String::from_utf8_lossy(&bytes[..end]);
    let mut name = String::from("message");
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            _ => {}
        }
    }
    Some((data.map(|data| (name, data)), end + 2))
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_out_of_the_stream_whole() {
        let stream = b": hello\n\nid: 1\nevent: swarm\ndata: {\"a\":\ndata: 1}\n\nevent: sw";
        let (comment, used) = first_event(stream).unwrap();
        assert!(comment.is_none());
        let (event, more) = first_event(&stream[used..]).unwrap();
        assert_eq!(event, Some(("swarm".into(), "{\"a\":\n1}".into())));
        assert!(first_event(&stream[used + more..]).is_none());
    }
}
