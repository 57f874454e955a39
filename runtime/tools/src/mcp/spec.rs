//! Which server, and how it is reached.

use crate::http::Trust;
use crate::tool::Limits;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use swarm_protocols::Name;
use url::Url;

/// An MCP server whose tools are wanted.
#[derive(Clone, Debug)]
pub struct McpSpec {
    /// What it is called here: its tools are `NAME/tool`.
    pub name: Name,
    /// How it is reached.
    pub reach: Reach,
    /// The bounds of the calls of each of its tools.
    pub limits: Limits,
    /// How many calls of all its tools may run at once; the next one is `overloaded`. 64.
    pub calls_max: usize,
}

/// How a server is reached.
#[derive(Clone)]
pub enum Reach {
    /// A child process that speaks on its standard input and output. Of this process's environment it gets `PATH`, `HOME`,
    /// `USER`, `LANG`, `TMPDIR` and `TZ`, and nothing else that is not in `environment`. What it writes to standard error
    /// becomes `tracing` events of level debug.
    Command {
        /// The program, looked for in `PATH` unless it is a path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Variables of its environment.
        environment: BTreeMap<String, String>,
        /// Its working folder; that of this process unless given.
        folder: Option<PathBuf>,
    },
    /// Streamable HTTP at a URL. Redirects are not followed.
    Http {
        /// The URL; see [`McpSpec::http`].
        url: Url,
        /// What follows `Authorization: Bearer`.
        bearer: Option<String>,
        /// Whose certificates are believed.
        trust: Trust,
    },
}

/// Why a specification is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// The text is no URL of the schemes http and https with a host.
    #[error("{url:?} is no http or https URL")]
    Url {
        /// The text.
        url: String,
    },
    /// The secret cannot stand in a header.
    #[error("the bearer token has characters that cannot be in a header")]
    Bearer,
}

const CALLS_MAX_DEFAULT: usize = 64;

impl McpSpec {
    /// A server in a child process.
    #[must_use]
    pub fn command(name: Name, program: impl Into<PathBuf>, arguments: Vec<String>) -> Self {
        Self::new(
            name,
            Reach::Command {
                program: program.into(),
                arguments,
                environment: BTreeMap::new(),
                folder: None,
            },
        )
    }

    /// A server at a URL, whose certificate the machine's trust store vouches for if it is an https one.
    ///
    /// # Errors
    /// [`BadSpec`].
    pub fn http(name: Name, url: &str, bearer: Option<String>) -> Result<Self, BadSpec> {
        let bad = || BadSpec::Url {
            url: url.to_owned(),
        };
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(bad());
        }
        let in_header = |secret: &String| secret.bytes().all(|b| (0x21..0x7f).contains(&b));
        if !bearer.as_ref().is_none_or(in_header) {
            return Err(BadSpec::Bearer);
        }
        Ok(Self::new(
            name,
            Reach::Http {
                url: parsed,
                bearer,
                trust: Trust::System,
            },
        ))
    }

    /// By any way to reach it, with default bounds.
    #[must_use]
    pub fn new(name: Name, reach: Reach) -> Self {
        Self {
            name,
            reach,
            limits: Limits::default(),
            calls_max: CALLS_MAX_DEFAULT,
        }
    }
}

/// Without values of the environment and without the bearer token, which may be secrets.
impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command {
                program,
                arguments,
                environment,
                folder,
            } => f
                .debug_struct("Command")
                .field("program", program)
                .field("arguments", arguments)
                .field("environment", &environment.keys())
                .field("folder", folder)
                .finish(),
            Self::Http { url, bearer, .. } => f
                .debug_struct("Http")
                .field("url", &url.as_str())
                .field("bearer", &bearer.as_ref().map(|_| "…"))
                .finish_non_exhaustive(),
        }
    }
}
