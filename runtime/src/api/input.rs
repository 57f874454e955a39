//! What comes in: bodies and query strings, bounded, typed, and refused with the field that is wrong.

use super::fault::Fault;
use super::guard::is_json;
use crate::dispatch::LINE_BYTES_MAX;
use axum::body::BodyDataStream;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest body of a job: the longest line of a job file, and room for the fields around it.
pub const JOB_BODY_BYTES_MAX: usize = LINE_BYTES_MAX + 64 * 1024;

/// The longest body that is a component.
pub(super) const COMPONENT_BODY_BYTES_MAX: usize = 64 << 20;

/// How much of a body that is too large is read before the answer.
const HEARD_BYTES_MAX: usize = 1 << 30;
/// How long that may take.
const HEARD_TIME_MAX: Duration = Duration::from_secs(5);

/// How many a list is to have, of which it is not to have more than `max`.
pub(super) fn page_of(asked: Option<usize>, default: usize, max: usize) -> Result<usize, Fault> {
    let limit = asked.unwrap_or(default);
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(Fault::invalid(
        "limit",
        format!("{limit} is not within 1 to {max}"),
        format!("for example {default}"),
    ))
}

/// Whether what is asked for is a stream of events.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

/// A JSON body of at most [`BODY_BYTES_MAX`].
pub(super) struct JsonBody<T>(pub(super) T);

/// A JSON body of at most [`JOB_BODY_BYTES_MAX`].
pub(super) struct JobBody<T>(pub(super) T);

/// A WebAssembly component of at most [`COMPONENT_BODY_BYTES_MAX`], as `application/wasm`.
pub(super) struct ComponentBody(pub(super) Vec<u8>);

/// No body, or the empty object.
pub(super) struct NoBody;

/// A query string.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (headers, bytes) = read(request, BODY_BYTES_MAX).await?;
        parse(&headers, &bytes).map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JobBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (headers, bytes) = read(request, JOB_BODY_BYTES_MAX).await?;
        parse(&headers, &bytes).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for ComponentBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        // As with JSON, a page of another origin cannot declare that without being asked first.
        let declared = request.headers().get(CONTENT_TYPE);
        if declared.is_none_or(|declared| declared != "application/wasm") {
            return Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-wasm",
                "the body is not declared as a component",
                "send the header `content-type: application/wasm`",
            ));
        }
        let (_, bytes) = read(request, COMPONENT_BODY_BYTES_MAX).await?;
        Ok(Self(bytes))
    }
}

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let (headers, bytes) = read(request, BODY_BYTES_MAX).await?;
        if bytes.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            return Ok(Self);
        }
        if !is_json(&headers) {
            return Err(not_json());
        }
        if !bytes.is_empty() {
            parse::<Nothing>(&headers, &bytes)?;
        }
        Ok(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(bad_query(&rejection)),
        }
    }
}

fn bad_query(rejection: &QueryRejection) -> Fault {
    let text = rejection.body_text();
    let reason = text
        .rsplit_once("query string: ")
        .map_or(text.as_str(), |(_, reason)| reason);
    Fault::new(
        StatusCode::BAD_REQUEST,
        "bad-query",
        format!("query string: {reason}"),
        "see GET /openapi.json for the parameters and their types",
    )
}

async fn read(request: Request, bytes_max: usize) -> Result<(HeaderMap, Vec<u8>), Fault> {
    let (parts, body) = request.into_parts();
    let mut stream = body.into_data_stream();
    // A declared length is believed when it is too big: there is no need to read that much to say no.
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max as u64) {
        // Who asks first does not send when the answer is no.
        if !parts.headers.contains_key(EXPECT) {
            hear_out(stream).await;
        }
        return Err(too_large(bytes_max));
    }
    let expected = declared.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(expected.unwrap_or(0).min(bytes_max));
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            Fault::new(
                StatusCode::BAD_REQUEST,
                "body-unreadable",
                format!("the body ended early: {error}"),
                "send it again",
            )
        })?;
        if bytes.len() + chunk.len() > bytes_max {
            hear_out(stream).await;
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((parts.headers, bytes))
}

/// Reads on without keeping anything, for a bounded time and length. A connection that is closed while its client is still
/// sending is reset, and many a client then never sees the answer.
async fn hear_out(mut stream: BodyDataStream) {
    let reading = async {
        let mut heard = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            heard += chunk.len();
            if heard > HEARD_BYTES_MAX {
                return;
            }
        }
    };
    // Whether it came to an end makes no difference to the answer.
    let _ = tokio::time::timeout(HEARD_TIME_MAX, reading).await;
}

fn too_large(bytes_max: usize) -> Fault {
    Fault::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("the body is longer than {bytes_max} bytes"),
        "send less at once, or a file's name instead of its content",
    )
}

fn not_json() -> Fault {
    Fault::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "the body is not declared as JSON",
        "send the header `content-type: application/json`",
    )
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Fault> {
    if !is_json(headers) {
        return Err(not_json());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let next_step = "see GET /openapi.json for the fields and their types";
        if inner.is_syntax() || inner.is_eof() {
            Fault::new(
                StatusCode::BAD_REQUEST,
                "bad-json",
                format!("the body is no JSON: {inner}"),
                next_step,
            )
        } else {
            let message = if path == "." {
                inner.to_string()
            } else {
                format!("{path}: {inner}")
            };
            Fault::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "wrong-type",
                message,
                next_step,
            )
        }
    })?;
    deserializer.end().map_err(|error| {
        Fault::new(
            StatusCode::BAD_REQUEST,
            "bad-json",
            format!("something follows the body's JSON: {error}"),
            "send one JSON object",
        )
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::CallRequest;
    use axum::body::Body;

    fn body(text: &str) -> Result<CallRequest, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().expect("a value"));
        parse(&headers, text.as_bytes())
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_field() {
        let fault = body(r#"{"path":"/a","timeout_ms":"soon"}"#).expect_err("no number");
        assert_eq!(fault.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            fault
                .error
                .message
                .starts_with("timeout_ms: invalid type: string"),
            "{}",
            fault.error.message
        );
        let fault = body(r#"{"path":"/a","tmeout_ms":1}"#).expect_err("unknown");
        assert!(
            fault.error.message.contains("unknown field `tmeout_ms`"),
            "{}",
            fault.error.message
        );
        let fault = body("{}").expect_err("no path");
        assert!(
            fault.error.message.contains("missing field `path`"),
            "{}",
            fault.error.message
        );
    }

    #[test]
    fn what_is_no_json_is_a_bad_request() {
        for text in ["", "{", "nonsense", r#"{"path":"/a"} x"#] {
            let fault = body(text).expect_err(text);
            assert_eq!(
                (fault.status, fault.error.code.as_str()),
                (StatusCode::BAD_REQUEST, "bad-json"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_bound_is_too_large_with_and_without_a_declared_length() {
        let declared = Request::builder()
            .header("content-length", "101")
            .body(Body::empty())
            .expect("a request");
        let fault = read(declared, 100).await.expect_err("too large");
        assert_eq!(fault.status, StatusCode::PAYLOAD_TOO_LARGE);
        let undeclared = Request::builder()
            .body(Body::from(vec![b' '; 101]))
            .expect("a request");
        let fault = read(undeclared, 100).await.expect_err("too large");
        assert_eq!(fault.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
