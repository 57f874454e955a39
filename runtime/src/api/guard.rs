//! Who may ask: the local user's programs, not web pages that the local user happens to look at.
//!
//! On loopback the local user is trusted. A web page is not the local user: it can make a browser send requests here. Two
//! tricks are closed. *DNS rebinding*, a foreign name that suddenly means 127.0.0.1: the `Host` must be a loopback name.
//! *Cross-site requests*: an `Origin` must be this very server, and a body must be declared as JSON, which a page of another
//! origin cannot do without a preflight that is never granted.

use super::fault::Fault;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::AssertUnwindSafe;

/// Lets a request pass that comes from a local program.
pub(super) async fn local_programs_only(request: Request, next: Next) -> Result<Response, Fault> {
    // A target in absolute form has a host of its own, which counts before the header.
    if let Some(authority) = request.uri().authority()
        && !is_loopback(authority.as_str())
    {
        return Err(foreign_host(format!(
            "{authority} is not a name of this machine's loopback"
        )));
    }
    check(request.headers())?;
    Ok(next.run(request).await)
}

/// Turns a panic in a handler into an answer: a client that gets none cannot tell what happened.
pub(super) async fn answered_in_any_case(request: Request, next: Next) -> Result<Response, Fault> {
    let what = format!("{} {}", request.method(), request.uri().path());
    // What a handler shares with others is behind locks that a panic leaves usable.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => Ok(response),
        Err(_) => {
            tracing::error!(request = %what, "a request handler panicked");
            Err(Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                format!("{what} failed by a mistake in the node's own code"),
                "report it with the node's log; other requests still work",
            ))
        }
    }
}

fn check(headers: &HeaderMap) -> Result<(), Fault> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(foreign_host("the request has not exactly one Host header"));
    };
    let host = host.to_str().unwrap_or_default();
    if !is_loopback(host) {
        return Err(foreign_host(format!(
            "{host:?} is not a name of this machine's loopback"
        )));
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let same = origin
            .strip_prefix("http://")
            .is_some_and(|o| o.eq_ignore_ascii_case(host));
        if !same {
            return Err(Fault::new(
                StatusCode::FORBIDDEN,
                "foreign-origin",
                format!("requests from pages of {origin:?} are refused"),
                "call the API from a program such as swarmctl, not from a web page",
            ));
        }
    }
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "requests from pages of other sites are refused",
            "call the API from a program such as swarmctl, not from a web page",
        ));
    }
    Ok(())
}

fn foreign_host(message: impl Into<String>) -> Fault {
    Fault::new(
        StatusCode::FORBIDDEN,
        "foreign-host",
        message,
        "address the node as http://127.0.0.1:PORT or http://localhost:PORT",
    )
}

/// Whether a Host header, with or without a port, names the loopback interface.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                return address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
                    && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if !port.is_none_or(is_port) {
        return false;
    }
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Whether the headers declare the body as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(declared) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let media_type = declared.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header value"));
        }
        headers
    }

    #[test]
    fn only_loopback_names_are_hosts() {
        for good in [
            "localhost",
            "LocalHost:1",
            "127.0.0.1:7590",
            "127.1.2.3",
            "[::1]",
            "[::1]:7590",
        ] {
            assert!(check(&headers(&[("host", good)])).is_ok(), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:7590",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::1",
            "[::1]x",
            "::1",
            "localhost:",
            "localhost:x",
            "localhost:1:2",
            "127.0.0.1@evil",
        ] {
            let fault = check(&headers(&[("host", bad)])).expect_err(bad);
            assert_eq!(
                (fault.status, fault.error.code.as_str()),
                (StatusCode::FORBIDDEN, "foreign-host")
            );
        }
        assert!(check(&headers(&[])).is_err());
        assert!(check(&headers(&[("host", "localhost"), ("host", "localhost")])).is_err());
    }

    #[test]
    fn an_origin_must_be_this_server() {
        let with = |origin| check(&headers(&[("host", "127.0.0.1:7590"), ("origin", origin)]));
        assert!(with("http://127.0.0.1:7590").is_ok());
        for bad in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:3000",
            "https://127.0.0.1:7590",
            "http://localhost:7590",
            "",
        ] {
            assert_eq!(with(bad).expect_err(bad).error.code, "foreign-origin");
        }
        let site = |site| check(&headers(&[("host", "localhost"), ("sec-fetch-site", site)]));
        assert!(site("same-origin").is_ok() && site("none").is_ok());
        assert!(site("cross-site").is_err() && site("same-site").is_err());
    }

    #[test]
    fn json_is_declared_with_or_without_parameters() {
        assert!(is_json(&headers(&[("content-type", "application/json")])));
        assert!(is_json(&headers(&[(
            "content-type",
            "Application/JSON; charset=utf-8"
        )])));
        assert!(!is_json(&headers(&[("content-type", "text/plain")])));
        assert!(!is_json(&headers(&[("content-type", "application/jsonx")])));
        assert!(!is_json(&headers(&[])));
    }
}
