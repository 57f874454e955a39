//! Streamable HTTP for rmcp, over our own connections.
//!
//! Not rmcp's client on reqwest: TLS in a shared reqwest would change, by Cargo's union of features, what every other user
//! of it in the program needs to set up. A new connection for each request.

use super::session::MESSAGE_BYTES_MAX;
use crate::http::{Connector, Trust};
use futures_util::stream::{BoxStream, StreamExt};
use futures_util::{Stream, TryStreamExt};
use http_body_util::{BodyDataStream, BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
/// How long a connection may take to come about. Answers have deadlines of their own.
const CONNECT: Duration = Duration::from_secs(15);

/// The client.
#[derive(Clone)]
pub(super) struct Web {
    connector: Arc<Connector>,
}

/// What goes wrong on the way.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("an event has more than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
}

type Failed = StreamableHttpError<WebError>;

/// An answer, and the connection that it comes over.
struct Answer {
    response: Response<Incoming>,
    connection: AbortOnDropHandle<()>,
}

impl Web {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            connector: Arc::new(Connector::new(trust)),
        }
    }

    async fn send(&self, uri: &str, request: Builder, body: Vec<u8>) -> Result<Answer, WebError> {
        let refused = |what: &str| WebError::Connect(what.to_owned());
        let url = Url::parse(uri).map_err(|_| refused("no URL"))?;
        let host = url.host_str().ok_or_else(|| refused("no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or_else(|| refused("no port"))?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request: Request<Full<Bytes>> = request
            .uri(target)
            .header(header::HOST, authority)
            .body(Full::new(body.into()))?;
        let connect = async {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let addresses: Vec<_> = tokio::net::lookup_host((bare, port))
                .await
                .map_err(|error| WebError::Connect(format!("no address for {host}: {error}")))?
                .collect();
            let tls_name = (url.scheme() == "https").then_some(host);
            let connection = self.connector.open(&addresses, tls_name).await;
            connection.map_err(|error| WebError::Connect(error.to_string()))
        };
        let connection = tokio::time::timeout(CONNECT, connect)
            .await
            .map_err(|_| refused("no connection in time"))??;
        let (response, connection) = connection.send(request).await?;
        Ok(Answer {
            response,
            connection,
        })
    }
}

impl Answer {
    fn is(&self, content_type: &str) -> bool {
        let value = self.response.headers().get(header::CONTENT_TYPE);
        value.is_some_and(|value| value.as_bytes().starts_with(content_type.as_bytes()))
    }

    fn other_type(&self) -> Failed {
        let value = self.response.headers().get(header::CONTENT_TYPE);
        StreamableHttpError::UnexpectedContentType(
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        )
    }

    /// A status that is not a success, without what the server says about it.
    fn failed(&self) -> Failed {
        HttpStatusError::new(self.response.status().as_u16(), None).into()
    }

    fn events(self) -> BoxStream<'static, Result<Sse, SseError>> {
        let connection = self.connection;
        let bytes = bounded(BodyDataStream::new(self.response.into_body()));
        let events = SseStream::from_bytes_stream(bytes);
        // The connection lives as long as the stream.
        events
            .inspect(move |_| {
                let _ = &connection;
            })
            .boxed()
    }

    async fn json(self) -> Result<ServerJsonRpcMessage, Failed> {
        let _connection = self.connection;
        let body = Limited::new(self.response.into_body(), MESSAGE_BYTES_MAX);
        let body = body.collect().await.map_err(|error| {
            StreamableHttpError::UnexpectedServerResponse(error.to_string().into())
        })?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }
}

/// Cuts a stream off in an event, or a comment, that is too long. An event ends with an empty line.
fn bounded(
    bytes: impl Stream<Item = Result<Bytes, hyper::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, WebError>> + Send + 'static {
    let mut size = EventSize::default();
    bytes.map_err(WebError::Http).map(move |chunk| {
        let chunk = chunk?;
        size.add(&chunk, MESSAGE_BYTES_MAX)
            .then_some(chunk)
            .ok_or(WebError::TooLarge)
    })
}

#[derive(Default)]
struct EventSize {
    bytes: usize,
    line_is_empty: bool,
}

impl EventSize {
    /// Counts on. Returns whether no event has more than `bytes_max`.
    fn add(&mut self, chunk: &[u8], bytes_max: usize) -> bool {
        for byte in chunk {
            self.bytes += 1;
            match byte {
                b'\n' if self.line_is_empty => self.bytes = 0,
                b'\n' => self.line_is_empty = true,
                b'\r' => {}
                _ => self.line_is_empty = false,
            }
            if self.bytes > bytes_max {
                return false;
            }
        }
        true
    }
}

fn request(
    method: Method,
    auth: Option<String>,
    headers: HashMap<HeaderName, HeaderValue>,
) -> Builder {
    let mut request = Request::builder()
        .method(method)
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, "swarm");
    if let Some(token) = auth {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

fn client(error: WebError) -> Failed {
    StreamableHttpError::Client(error)
}

impl StreamableHttpClient for Web {
    type Error = WebError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?;
        let had_session = session.is_some();
        let mut request = request(Method::POST, auth, headers)
            .header(header::CONTENT_TYPE, JSON)
            .header(header::ACCEPT, format!("{JSON}, {EVENTS}"));
        if let Some(session) = session {
            request = request.header(SESSION, &*session);
        }
        let answer = self.send(&uri, request, body).await.map_err(client)?;
        match answer.response.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
                return Ok(StreamableHttpPostResponse::Accepted);
            }
            StatusCode::NOT_FOUND if had_session => {
                return Err(StreamableHttpError::SessionExpired);
            }
            status if !status.is_success() => return Err(answer.failed()),
            _ => {}
        }
        let asks = matches!(message, ClientJsonRpcMessage::Request(_));
        let session = answer.response.headers().get(SESSION);
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        if answer.is(EVENTS) {
            Ok(StreamableHttpPostResponse::Sse(answer.events(), session))
        } else if !asks {
            // Some servers answer what needs no answer, with whatever they like.
            Ok(StreamableHttpPostResponse::Accepted)
        } else if answer.is(JSON) {
            Ok(StreamableHttpPostResponse::Json(
                answer.json().await?,
                session,
            ))
        } else {
            Err(answer.other_type())
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        let request = request(Method::DELETE, auth, headers).header(SESSION, &*session);
        let answer = self.send(&uri, request, Vec::new()).await.map_err(client)?;
        match answer.response.status() {
            // It need not know how to end one.
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(answer.failed()),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        let mut request = request(Method::GET, auth, headers).header(header::ACCEPT, EVENTS);
        if let Some(session) = session {
            request = request.header(SESSION, &*session);
        }
        if let Some(id) = last_event {
            request = request.header(LAST_EVENT, id);
        }
        let answer = self.send(&uri, request, Vec::new()).await.map_err(client)?;
        match answer.response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if !status.is_success() => Err(answer.failed()),
            _ if answer.is(EVENTS) => Ok(answer.events()),
            _ => Err(answer.other_type()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_bounded_and_a_stream_is_not() {
        let mut size = EventSize::default();
        for _ in 0..100 {
            assert!(size.add(b"data: 1\r\n", 20) && size.add(b"\r\n", 20));
        }
        assert!(!EventSize::default().add(b"data: 123456789012345\n", 20));
        let mut lines = EventSize::default();
        assert!(
            lines.add(b"data: 1\n", 20)
                && lines.add(b"data: 2\n", 20)
                && !lines.add(b"data: 3\n", 20)
        );
    }
}
