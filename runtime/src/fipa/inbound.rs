//! The way in: one request, from its head to its answer.

use super::acc::{Acc, now};
use super::counts::count;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::time::{Duration, Instant};
use swarm_actors::NotSent;
use swarm_protocols::acl::{Limits, Reading};
use swarm_protocols::mtp::TransportEnvelope;
use swarm_protocols::mtp::multipart::SplitError;
use swarm_protocols::mtp::package::{self, Refusal};
use swarm_protocols::sl;
use swarm_protocols::sl::management::{ApDescription, ApService};
use swarm_protocols::{AclMessage, Aid};

/// How long the body of a request may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Where messages are taken.
pub(super) const PATH: &str = "/acc";

/// Answers one request.
pub(super) async fn answer(acc: Acc, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match take(&acc, request).await {
        Ok(response) => response,
        Err(no) => {
            count(&acc.counters().refused);
            tracing::info!(status = no.status.as_u16(), why = %no.why, "a FIPA request was refused");
            no.response()
        }
    }
}

/// A request that is not taken.
struct No {
    status: StatusCode,
    why: String,
}

impl No {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self {
            status,
            why: why.into(),
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        // With a line end: JADE reads what follows a body as part of its last line. And closed: what is left of the request
        // is not worth reading.
        let mut response = Response::new(Full::from(format!("{}\r\n", self.why)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, text);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}

async fn take(acc: &Acc, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, No> {
    // The target may be a whole URL; only its path counts.
    let path = request.uri().path();
    if path != PATH && path != "/acc/" {
        let why = format!("there is nothing at {path}; messages are taken at {PATH}");
        return Err(No::new(StatusCode::NOT_FOUND, why));
    }
    match *request.method() {
        Method::POST => {}
        Method::GET | Method::HEAD => return Ok(description(acc)),
        ref other => {
            let why = format!("{other} is not among GET, HEAD and POST");
            return Err(No::new(StatusCode::METHOD_NOT_ALLOWED, why));
        }
    }
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = body(request.into_body()).await?;
    let incoming = package::read(&content_type, &body, &Reading::at(now())).map_err(refused)?;
    if incoming.envelope.was_received_by(acc.url()) {
        let why = "the message has been here before: it goes round in circles";
        return Err(No::new(StatusCode::BAD_REQUEST, why));
    }
    // Nobody outside speaks in the name of an agent of here.
    if let Some(sender) = incoming.message.sender.as_ref()
        && acc.is_here(sender)
    {
        let why = format!("{} is a name of this platform", sender.name);
        return Err(No::new(StatusCode::FORBIDDEN, why));
    }
    deliver(acc, incoming.envelope, incoming.message, incoming.payload);
    count(&acc.counters().received);
    let mut response = Response::new(Full::default());
    let no_cache = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(CACHE_CONTROL, no_cache);
    Ok(response)
}

async fn body(body: Incoming) -> Result<Bytes, No> {
    let limit = package::body_bytes_max(Limits::default().bytes_max);
    let too_large = || {
        let why = format!("the body is longer than {limit} bytes");
        No::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(No::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be read: {error}"),
        )),
        Err(_) => Err(No::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not come within {} s", BODY_TIME_MAX.as_secs()),
        )),
    }
}

fn refused(refusal: Refusal) -> No {
    let status = match &refusal {
        Refusal::Split(SplitError::NotMultipart(_))
        | Refusal::Representation(_)
        | Refusal::Charset(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Split(_)
        | Refusal::Envelope(_)
        | Refusal::NoReceiver
        | Refusal::NoRepresentation
        | Refusal::Message(_) => StatusCode::BAD_REQUEST,
    };
    No::new(status, refusal.to_string())
}

/// What a platform says of itself: JADE asks for it when it is told of another platform by its URL.
fn description(acc: &Acc) -> Response<Full<Bytes>> {
    const HTTP: &str = "fipa.mts.mtp.http.std";
    let description = ApDescription {
        name: Some(acc.options().platform.clone()),
        services: vec![ApService {
            name: Some(HTTP.to_owned()),
            service_type: Some(HTTP.to_owned()),
            addresses: vec![acc.url().to_owned()],
        }],
    };
    let text = sl::write_term(&description.term()).unwrap_or_default();
    let mut response = Response::new(Full::from(format!("{text}\r\n")));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Hands the message to each receiver. What cannot have it is told to the sender.
fn deliver(acc: &Acc, envelope: TransportEnvelope, mut message: AclMessage, payload: &[u8]) {
    let counters = acc.counters();
    if let Some(key) = message.duplicate_key() {
        let mut recent = acc.recent().lock();
        if recent.is_copy(&key, envelope.recipients(), payload, Instant::now()) {
            count(&counters.duplicates);
            return;
        }
    }
    // Whom to answer, and where, the envelope may know better than the message.
    if let (Some(sender), Some(from)) = (&mut message.sender, &envelope.from)
        && sender.addresses.is_empty()
        && sender == from
    {
        sender.addresses.clone_from(&from.addresses);
    }
    for receiver in envelope.recipients() {
        let why = match acc.agent(receiver) {
            None => format!("Agent not found: no agent {} here", receiver.name),
            Some(agent) => match agent.try_send_acl(message.clone()) {
                Ok(()) => {
                    count(&counters.delivered);
                    continue;
                }
                Err(why) => unreachable_because(&why),
            },
        };
        count(&counters.undeliverable);
        tell(acc, &message, receiver, &why);
    }
}

fn unreachable_because(why: &NotSent) -> String {
    let reason = match why {
        NotSent::Ended => "Agent not found",
        NotSent::Rejected(_) => "Not authorized",
        NotSent::Full | NotSent::Refused | NotSent::Unreachable | NotSent::NotCarried(_) => {
            "Agent unreachable"
        }
    };
    format!("{reason}: {why}")
}

/// Tells the sender that its message did not arrive.
fn tell(acc: &Acc, message: &AclMessage, receiver: &Aid, why: &str) {
    tracing::info!(receiver = %receiver.name, why, "an ACL message from outside could not be delivered");
    let failure = acc.failure(message, receiver, why);
    if let (Some(sender), Some(failure)) = (&message.sender, failure) {
        count(&acc.counters().failures);
        acc.send(None, failure, sender);
    }
}
