//! What a grant of `http-fetch` allows.

use super::address::{Network, is_public};
use crate::grant::Arguments;
use crate::tool::BadArguments;
use hyper::Method;
use serde_json::Value;
use std::net::IpAddr;
use url::{Host, Url};

/// The keys of a grant.
const KEYS: [&str; 5] = ["hosts", "methods", "schemes", "addresses", "body_bytes_max"];
/// How many hosts, and how many ranges of addresses, a grant may list.
const LIST_MAX: usize = 256;
/// The largest body of an answer, unless the grant says otherwise.
const BODY_BYTES_DEFAULT: u64 = 512 * 1024;
/// The largest that a grant may say.
const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The methods that may be granted. CONNECT and TRACE are not for this.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// A parsed grant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FetchGrant {
    hosts: Vec<HostRule>,
    methods: Vec<Method>,
    http: bool,
    https: bool,
    addresses: Vec<Network>,
    pub(super) body_bytes_max: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct HostRule {
    host: HostPattern,
    /// None means the port that the scheme implies.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq)]
enum HostPattern {
    Is(Host),
    /// A name that ends with this, which begins with a dot.
    Below(String),
}

impl FetchGrant {
    pub(super) fn parse(arguments: &Arguments) -> Result<Self, BadArguments> {
        BadArguments::unless_only(arguments, &KEYS)?;
        let hosts = texts(arguments, "hosts")?.unwrap_or_default();
        if hosts.is_empty() {
            let mut bad = BadArguments::new(
                "hosts",
                "says which hosts may be spoken to, and is missing or empty",
            );
            bad.suggestion = Some("hosts = [\"api.example.com\"]".to_owned());
            return Err(bad);
        }
        let schemes = texts(arguments, "schemes")?.unwrap_or_else(|| vec!["https"]);
        if let Some(other) = schemes.iter().find(|s| !matches!(**s, "http" | "https")) {
            return Err(BadArguments::new(
                "schemes",
                format!("{other:?} is neither http nor https"),
            ));
        }
        let methods = texts(arguments, "methods")?.unwrap_or_else(|| vec!["GET", "HEAD"]);
        let addresses = texts(arguments, "addresses")?.unwrap_or_default();
        let network = |text: &&str| {
            text.parse()
                .map_err(|no| BadArguments::new("addresses", format!("{text:?}: {no}")))
        };
        Ok(Self {
            hosts: hosts
                .iter()
                .map(|text| host_rule(text))
                .collect::<Result<_, _>>()?,
            methods: methods
                .iter()
                .map(|text| method(text))
                .collect::<Result<_, _>>()?,
            http: schemes.contains(&"http"),
            https: schemes.contains(&"https"),
            addresses: addresses.iter().map(network).collect::<Result<_, _>>()?,
            body_bytes_max: body_bytes(arguments)?,
        })
    }

    /// Whether a request may be made, but for the address behind the host.
    pub(super) fn check(&self, method: &Method, url: &Url) -> Result<(), String> {
        if !self.methods.contains(method) {
            return Err(format!("the method {method} is not granted"));
        }
        let scheme_granted = match url.scheme() {
            "https" => self.https,
            "http" => self.http,
            _ => false,
        };
        if !scheme_granted {
            return Err(format!("the scheme {} is not granted", url.scheme()));
        }
        let Some(host) = url.host() else {
            return Err("there is no host".to_owned());
        };
        let granted = self.hosts.iter().any(|rule| {
            let port = match rule.port {
                Some(port) => url.port_or_known_default() == Some(port),
                None => url.port().is_none(),
            };
            port && rule.host.matches(&host)
        });
        granted.then_some(()).ok_or_else(|| match url.port() {
            Some(port) => format!("the host {host} at port {port} is not granted"),
            None => format!("the host {host} is not granted"),
        })
    }

    /// Whether an address may be connected to.
    pub(super) fn allows_address(&self, address: IpAddr) -> bool {
        is_public(address)
            || self
                .addresses
                .iter()
                .any(|network| network.contains(address))
    }
}

impl HostPattern {
    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Is(own), other) => own.to_string() == other.to_string(),
            (Self::Below(end), Host::Domain(name)) => {
                name.len() > end.len() && name.ends_with(end.as_str())
            }
            (Self::Below(_), _) => false,
        }
    }
}

fn host_rule(text: &str) -> Result<HostRule, BadArguments> {
    let bad = |problem: &str| BadArguments::new("hosts", format!("{text:?}: {problem}"));
    // A colon outside of brackets is before a port.
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after_brackets..].rfind(':') {
        Some(at) => {
            let (host, port) = text.split_at(after_brackets + at);
            let port = port[1..]
                .parse()
                .map_err(|_| bad("no port behind the colon"))?;
            (host, Some(port))
        }
        None => (text, None),
    };
    let parse = |host: &str| Host::parse(host).map_err(|_| bad("no host, such as api.example.com"));
    let host = match host.strip_prefix("*.") {
        Some(end) => match parse(end)? {
            // A star before one label would be all of a top-level domain.
            Host::Domain(end) if end.contains('.') => HostPattern::Below(format!(".{end}")),
            _ => {
                return Err(bad(
                    "a star stands before a name with a dot in it, as in *.example.com",
                ));
            }
        },
        None if host.contains('*') => {
            return Err(bad("a star stands only at the beginning, before a dot"));
        }
        None => HostPattern::Is(parse(host)?),
    };
    Ok(HostRule { host, port })
}

fn method(text: &str) -> Result<Method, BadArguments> {
    let known = METHODS.into_iter().find(|method| method.as_str() == text);
    known.ok_or_else(|| BadArguments::new("methods", format!("{text:?} cannot be granted")))
}

fn body_bytes(arguments: &Arguments) -> Result<usize, BadArguments> {
    let Some(value) = arguments.get("body_bytes_max") else {
        return Ok(BODY_BYTES_DEFAULT as usize);
    };
    match value.as_u64() {
        Some(bytes) if (1..=BODY_BYTES_MAX).contains(&bytes) => Ok(bytes as usize),
        _ => Err(BadArguments::new(
            "body_bytes_max",
            format!("must be a whole number from 1 to {BODY_BYTES_MAX}"),
        )),
    }
}

fn texts<'a>(arguments: &'a Arguments, key: &str) -> Result<Option<Vec<&'a str>>, BadArguments> {
    let Some(value) = arguments.get(key) else {
        return Ok(None);
    };
    let texts = value
        .as_array()
        .and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    match texts {
        Some(texts) if texts.len() <= LIST_MAX => Ok(Some(texts)),
        _ => Err(BadArguments::new(
            key,
            format!("must be a list of at most {LIST_MAX} strings"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(arguments: Value) -> Result<FetchGrant, BadArguments> {
        FetchGrant::parse(arguments.as_object().expect("an object"))
    }

    fn allowed(grant: &FetchGrant, url: &str) -> bool {
        grant
            .check(&Method::GET, &Url::parse(url).expect("a URL"))
            .is_ok()
    }

    #[test]
    fn a_host_is_granted_as_it_is_written_and_no_other() {
        let grant = grant(json!({"hosts": ["api.example.com", "*.example.org", "other.example:8443", "Bücher.example"]})).expect("a grant");
        for url in [
            "https://api.example.com/x",
            "https://API.EXAMPLE.COM:443/",
            "https://a.example.org",
            "https://a.b.example.org",
            "https://other.example:8443/",
            "https://xn--bcher-kva.example/",
        ] {
            assert!(allowed(&grant, url), "{url}");
        }
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.org",
            "https://evilexample.org",
            "https://api.example.com.evil.test/",
            "https://other.example/",
            "https://x.api.example.com",
            "file:///etc/passwd",
            "https://example.com#api.example.com",
        ] {
            assert!(!allowed(&grant, url), "{url}");
        }
    }

    #[test]
    fn addresses_in_any_notation_are_hosts_like_others() {
        let grant = grant(json!({"hosts": ["127.0.0.1:80", "[::1]:81"], "schemes": ["http"]}))
            .expect("a grant");
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[0:0::1]:81/",
        ] {
            assert!(allowed(&grant, url), "{url}");
        }
        assert!(!allowed(&grant, "http://127.0.0.2/"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_key() {
        for (arguments, key) in [
            (json!({}), "hosts"),
            (json!({"hosts": []}), "hosts"),
            (json!({"hosts": "api.example.com"}), "hosts"),
            (json!({"hosts": ["*"]}), "hosts"),
            (json!({"hosts": ["*.com"]}), "hosts"),
            (json!({"hosts": ["https://api.example.com"]}), "hosts"),
            (json!({"hosts": ["a:99999"]}), "hosts"),
            (json!({"hosts": ["a"], "methods": ["CONNECT"]}), "methods"),
            (json!({"hosts": ["a"], "schemes": ["ftp"]}), "schemes"),
            (
                json!({"hosts": ["a"], "addresses": ["10.0.0.0/40"]}),
                "addresses",
            ),
            (
                json!({"hosts": ["a"], "body_bytes_max": 0}),
                "body_bytes_max",
            ),
            (json!({"hosts": ["a"], "host": ["b"]}), "host"),
        ] {
            let bad = grant(arguments.clone()).expect_err("refused");
            assert_eq!(bad.key, key, "{arguments}");
        }
    }
}
