//! The request that an input asks for.

use crate::error::ToolError;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

/// Headers that the connection, not the caller, decides.
const OWN_HEADERS: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": 8192},
            "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "default": "GET"},
            "headers": {
                "type": "object",
                "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 8192}
            },
            "body": {"type": "string", "description": "sent as UTF-8"}
        },
        "required": ["url"],
        "additionalProperties": false
    })
}

/// What is sent next; changes with each redirect.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Wanted {
    /// Of an input that is valid for the schema.
    pub(super) fn of(input: &Value) -> Result<Self, ToolError> {
        let url = input["url"].as_str().unwrap_or_default();
        let method = input["method"].as_str().unwrap_or("GET");
        Ok(Self {
            method: method
                .parse()
                .map_err(|_| ToolError::invalid("/method", "no method"))?,
            url: parse_url(url).map_err(|problem| ToolError::invalid("/url", problem))?,
            headers: headers(&input["headers"])?,
            body: input["body"].as_str().unwrap_or_default().to_owned().into(),
        })
    }

    /// What follows a redirect, by RFC 9110, 15.4. Headers go to another origin only if they say nothing of the caller.
    pub(super) fn redirected(mut self, status: StatusCode, location: &str) -> Result<Self, String> {
        let url = self
            .url
            .join(location)
            .map_err(|_| "the redirect leads to no URL".to_owned())?;
        let url = parse_url(url.as_str())?;
        if url.origin() != self.url.origin() {
            let harmless = [
                header::ACCEPT,
                header::ACCEPT_LANGUAGE,
                header::CONTENT_TYPE,
            ];
            self.headers = harmless
                .into_iter()
                .filter_map(|name| Some((name.clone(), self.headers.get(name)?.clone())))
                .collect();
        }
        let keeps_method = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if !keeps_method && !matches!(self.method, Method::GET | Method::HEAD) {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(header::CONTENT_TYPE);
        }
        Ok(Self { url, ..self })
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or a password in it is not fetched".to_owned());
    }
    Ok(url)
}

fn headers(given: &Value) -> Result<HeaderMap, ToolError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        // The name is foreign; the place would repeat it.
        let bad = |problem: &str| ToolError::invalid("/headers", problem);
        let name: HeaderName = name
            .parse()
            .map_err(|_| bad("a name that no header can have"))?;
        if OWN_HEADERS.contains(&name) {
            return Err(bad(&format!("{name} is not for the caller to set")));
        }
        let value = value.as_str().unwrap_or_default();
        let value =
            HeaderValue::from_str(value).map_err(|_| bad("a value that no header can have"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(method: &str) -> Wanted {
        let input = json!({
            "url": "https://a.example/one?x=1", "method": method, "body": "b",
            "headers": {"authorization": "secret", "x-key": "secret", "accept": "text/html"}
        });
        Wanted::of(&input).expect("a request")
    }

    #[test]
    fn headers_of_the_caller_do_not_follow_to_another_origin() {
        for location in [
            "https://b.example/",
            "https://a.example:8443/",
            "http://a.example/",
        ] {
            let next = wanted("GET")
                .redirected(StatusCode::FOUND, location)
                .expect("a redirect");
            assert_eq!(next.headers.len(), 1, "{location}");
            assert_eq!(next.headers["accept"], "text/html");
        }
        let same = wanted("GET")
            .redirected(StatusCode::FOUND, "/two")
            .expect("a redirect");
        assert_eq!(
            (same.url.as_str(), same.headers.len()),
            ("https://a.example/two", 3)
        );
    }

    #[test]
    fn a_redirected_post_becomes_a_get_unless_the_status_keeps_it() {
        for status in [301, 302, 303] {
            let status = StatusCode::from_u16(status).expect("a status");
            let next = wanted("POST")
                .redirected(status, "/two")
                .expect("a redirect");
            assert_eq!((next.method, next.body.len()), (Method::GET, 0));
        }
        for status in [307, 308] {
            let status = StatusCode::from_u16(status).expect("a status");
            let next = wanted("POST")
                .redirected(status, "/two")
                .expect("a redirect");
            assert_eq!((next.method, next.body.len()), (Method::POST, 1));
        }
    }

    #[test]
    fn hostile_requests_are_refused() {
        for input in [
            json!({"url": "/relative"}),
            json!({"url": "https://user:pass@a.example/"}),
            json!({"url": "https://a.example/", "headers": {"Host": "b"}}),
            json!({"url": "https://a.example/", "headers": {"x": "a\r\ny: b"}}),
            json!({"url": "https://a.example/", "headers": {"x\r\n": "a"}}),
            json!({"url": "https://a.example/", "headers": {"Transfer-Encoding": "chunked"}}),
        ] {
            assert!(
                matches!(Wanted::of(&input), Err(ToolError::InvalidInput { .. })),
                "{input}"
            );
        }
    }
}
