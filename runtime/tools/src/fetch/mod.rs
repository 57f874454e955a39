//! The tool `http-fetch`: requests to hosts that a grant lists.
//!
//! The name is looked up here, each address is checked, and the connection is made to an address that passed: a name that
//! points to another place a moment later changes nothing. Redirects are followed while each of them is granted. Nothing
//! comes from the environment: no proxy, no cookies, no credentials. A new connection for each request.

mod address;
mod grant;
mod request;

use crate::error::{Effect, ToolError};
use crate::grant::Arguments;
use crate::http::{Connector, Trust};
use crate::tool::{BadArguments, Call, Limits, Tool};
use base64::Engine;
use grant::FetchGrant;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use request::Wanted;
use serde_json::{Map, Value, json};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// Fetches over HTTP/1.1, plain or with TLS 1.2 and 1.3.
///
/// Arguments of a grant: `hosts` (`api.example.com`, `*.example.com`, `host:8443`; without a port the scheme's own),
/// `schemes` (default `["https"]`), `methods` (default `["GET", "HEAD"]`), `addresses` (ranges outside of the public
/// internet that may be connected to; default none), `body_bytes_max` (of an answer; 512 KiB unless stated, at most 4 MiB).
///
/// Answers `{status, url, headers, body}`, or `body_base64` where the body is no UTF-8; any status is an answer.
#[derive(Clone)]
pub struct HttpFetch {
    connector: Arc<Connector>,
    lookup: Lookup,
}

/// How names are looked up: host and port to addresses.
pub type Lookup = Arc<dyn Fn(String, u16) -> LookingUp + Send + Sync>;
/// A look-up on its way.
pub type LookingUp = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

impl HttpFetch {
    /// With the machine's own look-up and trust store.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Trust::System, Arc::new(system_lookup))
    }

    /// With another trust or look-up.
    #[must_use]
    pub fn with(trust: Trust, lookup: Lookup) -> Self {
        Self {
            connector: Arc::new(Connector::new(trust)),
            lookup,
        }
    }

    /// Makes one request; does not follow redirects. Its effect is the caller's to judge.
    async fn exchange(&self, wanted: &Wanted, grant: &FetchGrant) -> Result<Answer, ToolError> {
        let addresses = self.addresses(&wanted.url, grant).await?;
        let tls_name = (wanted.url.scheme() == "https")
            .then(|| wanted.url.host_str())
            .flatten();
        let connection = self.connector.open(&addresses, tls_name).await;
        let connection = connection.map_err(ToolError::not_tried)?;
        let request = to_send(wanted).map_err(ToolError::not_tried)?;
        let (response, _open) = connection
            .send(request)
            .await
            .map_err(|error| ToolError::failed(chain(&error)))?;
        read(response, grant.body_bytes_max).await
    }

    async fn addresses(&self, url: &Url, grant: &FetchGrant) -> Result<Vec<SocketAddr>, ToolError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Domain(name)) => (self.lookup)(name.to_owned(), port)
                .await
                .map_err(|error| ToolError::not_tried(format!("no address for {name}: {error}")))?,
            None => Vec::new(),
        };
        let allowed: Vec<_> = found
            .iter()
            .copied()
            .filter(|address| grant.allows_address(address.ip()))
            .collect();
        if allowed.is_empty() {
            return Err(match found.first() {
                Some(address) => ToolError::denied(format!(
                    "{} is not on the public internet, and not granted",
                    address.ip()
                )),
                None => ToolError::not_tried("the host has no address"),
            });
        }
        Ok(allowed)
    }
}

impl Default for HttpFetch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetch").finish_non_exhaustive()
    }
}

fn system_lookup(host: String, port: u16) -> LookingUp {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
}

impl Tool for HttpFetch {
    fn about(&self) -> &str {
        "Makes an HTTP request to one of the hosts that the caller's grant lists, and answers with status, headers and body \
         (`body` as text, or `body_base64`)."
    }

    fn schema(&self) -> Value {
        request::schema()
    }

    fn limits(&self) -> Limits {
        Limits {
            within_max: Duration::from_secs(120),
            calls_max: 64,
            input_bytes_max: 1024 * 1024,
            // Bodies are bounded by the grant; as JSON they can be some times larger.
            answer_bytes_max: 16 * 1024 * 1024,
            ..Limits::default()
        }
    }

    fn check_arguments(&self, arguments: &Arguments) -> Result<(), BadArguments> {
        FetchGrant::parse(arguments).map(drop)
    }

    async fn call(&self, input: Value, call: Call) -> Result<Value, ToolError> {
        let grant = FetchGrant::parse(&call.arguments)
            .map_err(|bad| ToolError::denied(format!("the grant's {bad}")))?;
        let mut wanted = Wanted::of(&input)?;
        // Whether a request that may change something has been sent.
        let mut acted = false;
        for _ in 0..=REDIRECTS_MAX {
            grant
                .check(&wanted.method, &wanted.url)
                .map_err(|reason| judged(ToolError::denied(reason), acted))?;
            let safe = wanted.method.is_safe();
            let answer = self
                .exchange(&wanted, &grant)
                .await
                .map_err(|error| judged_of(error, safe, acted))?;
            acted |= !safe;
            let Some(location) = answer.redirect() else {
                return Ok(answer.into_json(&wanted.url));
            };
            let status = answer.status;
            wanted = wanted
                .redirected(status, &location)
                .map_err(|reason| judged(ToolError::not_tried(reason), acted))?;
        }
        Err(judged(
            ToolError::not_tried(format!("more than {REDIRECTS_MAX} redirects")),
            acted,
        ))
    }
}

/// An error after which nothing has been done is one that may have done something if an earlier request did.
fn judged(error: ToolError, acted: bool) -> ToolError {
    if acted && error.effect() == Effect::None {
        ToolError::failed(error)
    } else {
        error
    }
}

fn judged_of(error: ToolError, safe: bool, acted: bool) -> ToolError {
    match error {
        // A safe request that failed can be made again (RFC 9110, 9.2.1).
        ToolError::Failed { reason, .. } if safe && !acted => ToolError::not_tried(reason),
        error => judged(error, acted),
    }
}

fn to_send(wanted: &Wanted) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let url = &wanted.url;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder()
        .method(&wanted.method)
        .uri(target)
        .body(Full::new(wanted.body.clone()))?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("swarm"));
    for (name, value) in &wanted.headers {
        headers.insert(name, value.clone());
    }
    headers.insert(header::HOST, host.parse::<HeaderValue>()?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

struct Answer {
    status: hyper::StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Answer, ToolError> {
    let (head, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, bytes_max)
        .collect()
        .await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            ToolError::TooLarge {
                side: crate::Side::Answer,
                bytes_max: bytes_max as u64,
            }
        } else {
            ToolError::failed(chain(&*error))
        }
    })?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

impl Answer {
    fn redirect(&self) -> Option<String> {
        let is_redirect = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = self.headers.get(header::LOCATION).filter(|_| is_redirect)?;
        Some(location.to_str().ok()?.to_owned())
    }

    fn into_json(self, url: &Url) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|v| String::from_utf8_lossy(v.as_bytes()))
                .collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        let mut answer =
            json!({"status": self.status.as_u16(), "url": url.as_str(), "headers": headers});
        match String::from_utf8(self.body.into()) {
            Ok(text) => answer["body"] = text.into(),
            Err(no_text) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(no_text.as_bytes());
                answer["body_base64"] = encoded.into();
            }
        }
        answer
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
