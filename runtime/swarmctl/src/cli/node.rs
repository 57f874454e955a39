//! Nodes and clusters: `up`, `join`, `token`, `node`, `leave`, `keys`, `placement`, manifests and contexts.

use super::values::{duration, some_time};
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use swarm_runtime::fipa::PeerUrl;

#[derive(Debug, Subcommand)]
pub(crate) enum PlacementCommand {
    /// List them with their nodes, and those that run nowhere
    Ls,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The tree to start; without one the node starts with an empty tree
    pub(crate) manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: NodeFlags,
    #[command(flatten)]
    pub(crate) fipa: FipaFlags,
}

/// The FIPA HTTP transport of a node.
#[derive(Debug, Default, Args)]
pub(crate) struct FipaFlags {
    /// Talk with other FIPA platforms over HTTP: where to listen for them; port 0 picks a free one [default: off]
    #[arg(
        long = "fipa-http",
        value_name = "ADDRESS:PORT",
        env = "SWARM_FIPA_HTTP",
        hide_env_values = true
    )]
    pub(crate) http: Option<SocketAddr>,
    /// What other FIPA platforms are told to write to [default: where it listens]
    #[arg(
        long = "fipa-address",
        value_name = "URL",
        env = "SWARM_FIPA_ADDRESS",
        hide_env_values = true,
        requires = "http"
    )]
    pub(crate) address: Option<PeerUrl>,
    /// A FIPA platform whose agents may have entries in the DF; may be given several times
    #[arg(
        long = "fipa-trust",
        value_name = "PLATFORM",
        value_delimiter = ',',
        env = "SWARM_FIPA_TRUST",
        hide_env_values = true
    )]
    pub(crate) trust: Vec<String>,
    /// Take their messages by HTTPS alone: the node's certificate, and those above it, in PEM
    #[arg(
        long = "fipa-cert",
        value_name = "FILE",
        env = "SWARM_FIPA_CERT",
        hide_env_values = true,
        requires = "key"
    )]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(
        long = "fipa-key",
        value_name = "FILE",
        env = "SWARM_FIPA_KEY",
        hide_env_values = true,
        requires = "cert"
    )]
    pub(crate) key: Option<PathBuf>,
    /// Authorities to believe besides the system's when a platform has an https address, in PEM
    #[arg(
        long = "fipa-ca",
        value_name = "FILE",
        env = "SWARM_FIPA_CA",
        hide_env_values = true
    )]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// Where members are, tried in turn
    #[arg(required = true, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) contacts: Vec<String>,
    /// What lets it in; in the environment it is not seen by other users
    #[arg(long, env = "SWARM_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// The tree to start; without one the node starts with an empty tree
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: NodeFlags,
    #[command(flatten)]
    pub(crate) fipa: FipaFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is told once
    Create {
        /// For how long nodes can join with it
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
        expires: Duration,
        /// How many nodes can join with it [default: any number]
        #[arg(long, value_name = "N")]
        uses: Option<NonZeroU32>,
        /// Nodes that join with it hold the key of the cluster's authority, and can let others in
        #[arg(long)]
        voters: bool,
    },
    /// List the tokens that were made at the node
    Ls,
    /// Take a token back
    Revoke {
        /// Which
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the members, as the node sees them
    Ls,
    /// Everything about one member
    Describe {
        /// Which
        name: String,
    },
    /// How long the other members take to answer over their links
    Rtt {
        /// Only this one
        name: Option<String>,
    },
    /// Who reaches whom: each member measures its links to all others
    Reachability,
    /// Throw a member out, for good: nobody has a link with it until a token lets it in again
    Evict {
        /// Which
        name: String,
    },
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Leave {
    /// First take the node's agents out of names and groups, and wait until none of them has anything to do
    #[arg(long)]
    pub(crate) drain: bool,
    /// How long to wait for that; the node leaves all the same
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = some_time, requires = "drain")]
    pub(crate) drain_deadline: Duration,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Keys {
    /// Exchange the key on all members: a new one is installed, used, and the old one removed
    Rotate,
}

/// Settings of a node. Flag beats environment beats file beats default; checked where they are folded.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Node settings")]
pub(crate) struct NodeFlags {
    /// The node's name [env: SWARM_NAME]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Let the node suffer node-kill, cut and pause of chaos run
    #[arg(long)]
    pub(crate) allow_chaos: bool,
    /// A label of the node, for placement; may be given several times [env: SWARM_LABELS]
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// How many agents it has at most; one more is refused [env: SWARM_AGENTS_MAX] [default: any number]
    #[arg(long, value_name = "N")]
    pub(crate) agents_max: Option<String>,
    /// The data folder [env: SWARM_DATA]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Seal what the journal holds with the keys in this file, see docs/durability.md [env: SWARM_JOURNAL_KEYS]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal_keys: Option<PathBuf>,
    /// Where other nodes reach this one, over TCP and UDP [env: SWARM_LISTEN] [default: 0.0.0.0:7591, or a free port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// What other nodes are told to connect to [env: SWARM_ADVERTISE]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Where the API answers; port 0 picks a free one [env: SWARM_API] [default: 127.0.0.1:7590]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) api: Option<String>,
    /// What is logged, such as info or warn,swarm_runtime=debug [env: SWARM_LOG, RUST_LOG]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// plain or json [env: SWARM_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// How long an ordered stop may take [env: SWARM_SHUTDOWN_DEADLINE]
    #[arg(long, value_name = "DURATION")]
    pub(crate) shutdown_deadline: Option<String>,
    /// End with status 1 when the tree fails, instead of staying up for `tree start`
    #[arg(long)]
    pub(crate) exit_on_tree_failure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The manifest
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The manifest
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How long to wait until everything runs where it belongs; 0s for not at all [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Manifest {
    /// The manifest
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) manifest: Option<PathBuf>,
    /// The manifest, for those who are used to -f
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The settings that `up` would use
    Show {
        /// Where each comes from
        #[arg(long)]
        origin: bool,
        /// The manifest that `up` would get
        manifest: Option<PathBuf>,
        #[command(flatten)]
        settings: Box<NodeFlags>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Context {
    /// List contexts
    Ls,
    /// One context: the one in use unless named
    Show {
        /// Its name
        name: Option<String>,
    },
    /// Use this context from now on; `-` goes back to the one before
    Use {
        /// Its name
        #[arg(allow_hyphen_values = true)]
        name: String,
    },
    /// Name a node; --node says which
    Add {
        /// The new context's name
        name: String,
        /// And use it from now on
        #[arg(long = "use")]
        is_used: bool,
    },
    /// Forget a context
    Rm {
        /// Its name
        name: String,
    },
    /// Check that the node of each context (or of one) answers
    Validate {
        /// Its name
        name: Option<String>,
    },
}
