//! Where a platform takes messages.

use std::fmt;
use std::str::FromStr;

/// `http://HOST[:PORT][/PATH]` or the same with `https`, checked: what is in it can stand in a request without further ado.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerUrl {
    is_secure: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Begins with a slash.
    path: String,
}

/// A text that is no such URL. Another one is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no http://HOST:PORT/PATH or https://HOST:PORT/PATH")]
pub struct BadUrl(pub String);

/// The longest URL.
const BYTES_MAX: usize = 2048;

impl PeerUrl {
    /// The host, for connecting to it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is an `https` one.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The port; 80 where the URL names none, or 443 of an `https` one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as a `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for PeerUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        parse(text).ok_or_else(|| BadUrl(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<PeerUrl> {
    if text.len() > BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let is_secure = scheme.eq_ignore_ascii_case("https");
    if !is_secure && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let default_port = if is_secure { 443 } else { 80 };
    let rest = rest.split('#').next()?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, behind) = v6.split_once(']')?;
            let host: std::net::Ipv6Addr = host.parse().ok()?;
            (host.to_string(), behind)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let is_host = !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            is_host.then(|| (host.to_ascii_lowercase(), port))?
        }
    };
    let port = match port.strip_prefix(':') {
        Some("") => default_port,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None if port.is_empty() => default_port,
        _ => return None,
    };
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    (port != 0).then_some(PeerUrl {
        is_secure,
        host,
        port,
        path,
    })
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let url: PeerUrl = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.to_string(), expected);
    }

    #[test]
    fn a_url_has_a_host_and_may_have_port_and_path() {
        check("http://127.0.0.1:7778/acc", "http://127.0.0.1:7778/acc");
        check("HTTP://Host", "http://host:80/");
        check("http://h:/a?b#c", "http://h:80/a?b");
        check("http://h?b", "http://h:80/?b");
        check("http://[::1]:7/acc", "http://[::1]:7/acc");
        check("HTTPS://h/acc", "https://h:443/acc");
    }

    #[test]
    fn what_could_not_stand_in_a_request_is_no_url() {
        for text in [
            "",
            "http://",
            "httpss://h/acc",
            "iiop://h",
            "http://h:0/",
            "http://h:99999/",
            "http://h:+1/",
            "http://user@h/",
            "http://h/a b",
            "http://h/\r\nX: y",
            "http://[::1/acc",
            "http://é/",
        ] {
            assert!(text.parse::<PeerUrl>().is_err(), "{text:?}");
        }
    }
}
