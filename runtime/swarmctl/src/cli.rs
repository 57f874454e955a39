//! The command line: one definition, from which parsing, help and completions follow.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use swarm_runtime::fipa::PeerUrl;

/// Start, watch and test Swarm nodes.
#[derive(Debug, Parser)]
#[command(
    name = "swarmctl",
    version = crate::commands::version::LONG_VERSION,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 unreachable, 5 timed out (outcome unknown), 6 refused, 7 check failed, 8 partly done, 9 plan differs, 130 interrupted.\n\nFirst steps: swarmctl up, then swarmctl tree in another terminal."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Show it again every so often, until interrupted; for commands that only read [default: 2s]
    #[arg(long, global = true, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = watch_interval)]
    pub(crate) watch: Option<Duration>,
    /// How data is written: tables for people, json as one document, jsonl as one object per line
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "SWARM_OUTPUT"
    )]
    pub(crate) output: Format,
    /// The node to speak to [env: SWARM_NODE] [default: that of the context, else http://127.0.0.1:7590]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) node: Option<String>,
    /// The context whose node is meant, see swarmctl context [env: SWARM_CONTEXT] [default: the one in use]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "node")]
    pub(crate) context: Option<String>,
    /// Of that node only, where the answer would be for the whole cluster
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// Have this member of the cluster do it, through the node that is spoken to
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    pub(crate) on: Option<String>,
    /// How long to wait for an answer
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = some_time, env = "SWARM_TIMEOUT")]
    pub(crate) timeout: Duration,
    /// Whether messages have colours; NO_COLOR is heeded
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
    /// Say nothing but data and failures
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Don't ask before something is destroyed
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask: what would have to be confirmed is refused
    #[arg(long, global = true, conflicts_with = "yes")]
    pub(crate) no_input: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For people, with more columns
    Wide,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
    /// A sequence diagram, of a conversation only
    Mermaid,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a node in the foreground
    Up(Box<Up>),
    /// Start a node in the foreground, as a member of a cluster that is there
    Join(Box<Join>),
    /// Tokens with which nodes join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Members of the cluster
    #[command(subcommand, name = "node")]
    NodeCommand(NodeCommand),
    /// Take a node out of its cluster; it runs on alone
    Leave(Leave),
    /// The keys that seal the cluster's gossip
    #[command(subcommand)]
    Keys(Keys),
    /// One screen about a node
    Status,
    /// The supervision tree
    Tree(Tree),
    /// Look at actors and act on them
    #[command(subcommand)]
    Actor(Actor),
    /// What happened on the nodes
    Events(Events),
    /// Messages that could not be delivered or whose turn failed for good
    #[command(subcommand)]
    Deadletter(DeadLetter),
    /// Check a manifest without starting anything
    Validate(Manifest),
    /// Show what applying a manifest to all nodes would do; exit 9 if anything
    Plan(Plan),
    /// Make the trees of all nodes what a manifest declares
    Apply(Apply),
    /// Where placed children run
    #[command(subcommand)]
    Placement(PlacementCommand),
    /// The settings of a node
    #[command(subcommand)]
    Config(Config),
    /// Play what would happen in a tree, in virtual time, on the real supervisors
    Whatif(Whatif),
    /// Make things fail on purpose
    #[command(subcommand)]
    Chaos(Chaos),
    /// Have jobs done by the workers of a group
    Dispatch(Box<Dispatch>),
    /// Have the members of a group bid for one task
    Cfp(Cfp),
    /// Look at conversations
    #[command(subcommand)]
    Conversation(Conversation),
    /// The FIPA directory facilitator: who offers what
    #[command(subcommand)]
    Df(Df),
    /// The FIPA agent management system: who is on the platform
    #[command(subcommand)]
    Ams(Ams),
    /// Name nodes, and choose which one is meant
    #[command(subcommand)]
    Context(Context),
    /// Work with ACL messages
    #[command(subcommand)]
    Acl(Acl),
    /// Make a project to begin with
    #[command(subcommand)]
    New(New),
    /// Look at WebAssembly components
    #[command(subcommand)]
    Wasm(Wasm),
    /// Look after a node's journal: of one that is stopped, or read-only with --node of one that runs
    Journal(Journal),
    /// The tools that a node offers to its agents
    #[command(subcommand)]
    Tool(Tool),
    /// Speak MCP, the Model Context Protocol
    #[command(subcommand)]
    Mcp(Mcp),
    /// Print shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the program's version
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlacementCommand {
    /// List them with their nodes, and those that run nowhere
    Ls,
}

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// An agent that runs as a WebAssembly component
    Agent(NewAgent),
}

#[derive(Debug, Args)]
pub(crate) struct NewAgent {
    /// The agent's name
    pub(crate) name: String,
    /// The language
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lang: Language,
    /// Where to; a folder of the agent's name unless given
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    #[default]
    Rust,
    /// C, by clang
    C,
    /// JavaScript, by componentize-qjs
    Js,
    /// Python, by componentize-py
    Python,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wasm {
    /// What a component is: its world, imports, exports, and what it would have to be granted
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Compile a component and check its types, as a start would, without starting it
    Check(WasmCheck),
    /// How many agents of each class fit into a process on this machine
    Capacity,
    /// Have a node keep a component, so that manifests and upgrades can name it by its digest
    Push {
        /// The component
        file: PathBuf,
    },
    /// List the components that a node keeps
    Ls,
    /// Have a node forget a component; agents that run it go on
    Rm {
        /// Its digest
        digest: String,
    },
    /// Compile what comes in on stdin; for this program's own use
    #[command(hide = true)]
    Compile {
        /// The class
        class: WasmClass,
        /// `metered` or `plain`
        metered: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WasmCheck {
    /// The component
    pub(crate) file: PathBuf,
    /// The density class to compile for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) class: WasmClass,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WasmClass {
    /// Compiled guests
    #[default]
    Default,
    /// Very many small ones
    Compact,
    /// Guests that bring an interpreter
    Interpreter,
}

impl WasmClass {
    pub(crate) fn class(self) -> swarm_wasm::Class {
        match self {
            Self::Default => swarm_wasm::Class::Default,
            Self::Compact => swarm_wasm::Class::Compact,
            Self::Interpreter => swarm_wasm::Class::Interpreter,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// List the tools, with the keys of their input
    Ls,
    /// Show a tool with the JSON schema of its input
    Describe {
        /// Its name, such as time, or server/tool
        name: String,
    },
    /// List the MCP servers
    Servers,
    /// List the latest calls: who called what, when, and how it ended
    Calls {
        /// Only calls with a greater number
        #[arg(long)]
        after: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mcp {
    /// Offer a node to an MCP client on stdin and stdout: status, tree, list-actors, describe, events
    #[command(
        after_help = "An MCP client starts it; for example in its settings: {\"command\": \"swarmctl\", \"args\": [\"mcp\", \"serve\"]}"
    )]
    Serve {
        /// Also offer send and ask, which can change what agents do
        #[arg(long)]
        allow_write: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Journal {
    /// The data folder of the node [env: SWARM_DATA]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The name of the node, whose default data folder is meant [env: SWARM_NAME]
    #[arg(long, global = true)]
    pub(crate) name: Option<String>,
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read all of it, change nothing, and say whether it is sound; status 7 if not
    Verify,
    /// Each stream: how many events, up to where truncated, and its hash
    Heads,
    /// The events of a stream
    Show {
        /// Which stream: the path of its agent
        stream: String,
        /// Only the event with this number
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        /// At most so many, from the first
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Copy it to an empty or new folder, with a manifest to verify it by
    Export {
        /// The folder
        to: PathBuf,
    },
    /// Make a node's journal of an export; there must be none yet
    Import {
        /// The folder that export made
        from: PathBuf,
    },
    /// Give up the first events of a stream; asks
    Truncate {
        /// Which stream
        stream: String,
        /// The last event that goes
        #[arg(long, value_name = "SEQ")]
        up_to: u64,
    },
    /// Write what lives into new segments and give back the rest
    Compact,
    /// Keep what can be proven of a damaged journal; says what goes, and asks
    Repair,
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
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Tree {
    #[command(subcommand)]
    pub(crate) action: Option<TreeAction>,
    /// Where to begin; the root unless given
    pub(crate) path: Option<String>,
    /// How many levels to show
    #[arg(long)]
    pub(crate) depth: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TreeAction {
    /// Start the tree again after its root gave up
    Start,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Actor {
    /// List actors
    Ls(ActorLs),
    /// All that is known of one actor
    Describe {
        /// Its path
        path: String,
    },
    /// Send a message
    Send(Say),
    /// Send a message and wait for the answer
    Call(Say),
    /// End its life at once; its supervisor decides what follows
    Kill {
        /// Its path
        path: String,
    },
    /// Stop it in order; it stays down until it is restarted
    Stop {
        /// Its path
        path: String,
    },
    /// Stop it in order and start it from the same spec
    Restart {
        /// Its path
        path: String,
    },
    /// Let its messages wait
    Pause {
        /// Its path
        path: String,
    },
    /// Go on after a pause
    Resume {
        /// Its path
        path: String,
    },
    /// What happened to a durable agent, from its journal
    History(ActorHistory),
    /// What the state of a durable agent is in its journal, or was
    State(ActorState),
    /// Give WebAssembly agents that run new code
    Upgrade(ActorUpgrade),
    /// Look at deployments of new code, or have one taken back
    #[command(subcommand)]
    Deployment(Deployment),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deployment {
    /// List the latest
    Ls,
    /// How one is doing, agent by agent
    Show {
        /// Its number
        id: u64,
    },
    /// Have one taken back, and wait for that
    Abort {
        /// Its number
        id: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ActorUpgrade {
    /// An agent's path, a path with agents below it, or a group
    pub(crate) target: String,
    /// The new code: a file, or the digest of a component that the node keeps
    #[arg(long, value_name = "FILE|DIGEST")]
    pub(crate) wasm: String,
    /// What part of the agents, such as 25%; the first ones by path [default: all]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) share: Option<u8>,
    /// How the code comes to the agents
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<UpgradeStrategy>,
    /// For so many turns an agent goes back by itself when one fails [default: 10]
    #[arg(long, value_name = "TURNS")]
    pub(crate) probation: Option<u32>,
    /// What part of the agents a canary goes to, stage by stage [default: 10%,50%,100%]
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = percent)]
    pub(crate) stages: Vec<u8>,
    /// How long a stage lasts at least [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) stage_time: Option<Duration>,
    /// How many turns of the new code a stage must see [default: 20]
    #[arg(long, value_name = "TURNS")]
    pub(crate) stage_turns: Option<u64>,
    /// Take it back when more turns than that fail, such as 0.5% [default: 5%]
    #[arg(long, value_name = "PERCENT", value_parser = per_mille)]
    pub(crate) max_error_rate: Option<u64>,
    /// Take it back when an agent restarts more often [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) max_restarts: Option<u64>,
    /// Take it back when 95 of 100 turns take longer
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) max_turn_time: Option<Duration>,
    /// Take it back when it is not done by then [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) within: Option<Duration>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UpgradeStrategy {
    /// To all at once; each goes back by itself when one of its first turns fails (default)
    Direct,
    /// First beside all with copies of their messages, then to all at once
    BlueGreen,
    /// To some, then to more, back if it does badly
    Canary,
    /// Beside all with copies of their messages; compared, and never more than that
    Shadow,
}

impl UpgradeStrategy {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// `25%`, or `25`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse() {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err("a whole percentage from 1% to 100%".to_owned()),
    }
}

/// `0.5%` as parts of 1000.
fn per_mille(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        // Within the bounds the product is exact enough, and no larger than 1000.
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10.0).round() as u64),
        _ => Err("a percentage from 0% to 100%".to_owned()),
    }
}

/// Where the journal is that is looked into: a running node's, or a folder's.
#[derive(Debug, Args)]
pub(crate) struct PastOf {
    /// Look into the data folder of a node that is stopped; needs --manifest
    #[arg(long, value_name = "DIR", requires = "manifest")]
    pub(crate) data: Option<String>,
    /// The manifest of that node
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(crate) manifest: Option<PathBuf>,
    /// The keys of its journal, if that is sealed [env: SWARM_JOURNAL_KEYS]
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(crate) journal_keys: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ActorHistory {
    /// Its path
    pub(crate) path: String,
    /// From this event on
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub(crate) from: u64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) past: PastOf,
}

#[derive(Debug, Args)]
pub(crate) struct ActorState {
    /// Its path
    pub(crate) path: String,
    /// After the event with this number, or at this time, such as 2026-11-21T20:15:00Z
    #[arg(long, value_name = "SEQ|TIME")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) past: PastOf,
}

#[derive(Debug, Args)]
pub(crate) struct ActorLs {
    /// What comes first
    #[arg(long, value_enum)]
    pub(crate) sort: Option<ActorSort>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only members of this group
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only this path and what is below it
    #[arg(long, value_name = "PATH")]
    pub(crate) under: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ActorSort {
    /// By path
    Path,
    /// The longest queue first
    Mailbox,
    /// The most restarts first
    Restarts,
    /// The oldest life first
    Age,
}

#[derive(Debug, Args)]
pub(crate) struct Say {
    /// To whom
    pub(crate) path: String,
    /// What is said: JSON, or `-` to read it from stdin
    #[arg(default_value = "null", hide_default_value = true)]
    pub(crate) content: String,
    /// Take the content as text instead of JSON
    #[arg(long)]
    pub(crate) text: bool,
    /// The communicative act, such as inform or request
    #[arg(long, value_name = "ACT")]
    pub(crate) performative: Option<String>,
    /// The content's language
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// The content's ontology
    #[arg(long)]
    pub(crate) ontology: Option<String>,
    /// The interaction protocol
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// The conversation
    #[arg(long, value_name = "ID")]
    pub(crate) conversation_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with what happens next
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events after this number, of the node that is asked
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only events of this kind, such as exited or restarted
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only this path and what is below it
    #[arg(long, value_name = "PATH")]
    pub(crate) under: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetter {
    /// List them
    Ls,
    /// All that is known of one
    Show {
        /// Its number
        id: u64,
    },
    /// Send one again
    Replay {
        /// Its number
        id: u64,
    },
    /// Forget one, or all
    Purge {
        /// Its number
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<u64>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Cfp {
    /// The group to call
    #[arg(long, value_name = "GROUP")]
    pub(crate) to: String,
    /// What is to be done
    #[arg(long)]
    pub(crate) task: String,
    /// What it is to be done with: JSON, or a text
    #[arg(long)]
    pub(crate) content: Option<String>,
    /// How long the members have for their bids
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = some_time)]
    pub(crate) deadline: Duration,
    /// How long those that were awarded have for their results
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = some_time)]
    pub(crate) result_within: Duration,
    /// How many bids to accept
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) accept: u32,
    /// Let the next best bidder take the place of one that fails
    #[arg(long)]
    pub(crate) reserve: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Conversation {
    /// List those that are open or ended a short time ago, each side by itself
    Ls {
        /// Only those of this protocol, such as fipa-contract-net
        #[arg(long)]
        protocol: Option<String>,
        /// Only those in this state; open for all that have not ended
        #[arg(long)]
        state: Option<String>,
        /// The latest so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// One of them, with what was said as a sequence chart
    Show {
        /// Its conversation-id
        id: String,
    },
    /// What is said from now on
    Tail {
        /// Only in this conversation
        id: Option<String>,
        /// End after so many messages
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
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
pub(crate) enum Acl {
    /// Turn one message from stdin into another form, on stdout; where it is wrong is said with status 7
    Convert {
        /// The form that comes in
        #[arg(long, value_enum, value_name = "FORM")]
        from: AclForm,
        /// The form that goes out
        #[arg(long, value_enum, value_name = "FORM")]
        to: AclForm,
    },
}

/// The forms of an ACL message, see docs/fipa.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AclForm {
    /// fipa.acl.rep.string.std
    String,
    /// Swarm's JSON form
    Json,
    /// fipa.acl.rep.bitefficient.std
    BitEfficient,
}

impl std::fmt::Display for AclForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Json => "JSON",
            Self::BitEfficient => "bit-efficient",
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ams {
    /// List the agents of the platform
    Ls,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Df {
    /// Find entries; what is not given matches anything
    Search(DfSearch),
    /// Make an entry for an agent
    Register(DfRegister),
    /// Take an agent's entry away
    Deregister {
        /// The agent: NAME or NAME@PLATFORM
        agent: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DfSearch {
    /// The agent: NAME or NAME@PLATFORM
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The type of a service
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) service_type: Option<String>,
    /// The name of a service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// A protocol that the agent speaks
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// An ontology that it knows
    #[arg(long)]
    pub(crate) ontology: Option<String>,
    /// A content language that it reads
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// How many federated directories deep
    #[arg(long, value_name = "N")]
    pub(crate) max_depth: Option<u32>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) max_results: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct DfRegister {
    /// The agent: NAME or NAME@PLATFORM
    pub(crate) agent: String,
    /// Where the agent can be written to, for one of another platform
    #[arg(long, value_name = "URL")]
    pub(crate) address: Vec<String>,
    /// A service, as TYPE or NAME:TYPE; may be given several times
    #[arg(long, value_name = "[NAME:]TYPE")]
    pub(crate) service: Vec<String>,
    /// A protocol that the agent speaks; may be given several times
    #[arg(long)]
    pub(crate) protocol: Vec<String>,
    /// An ontology that it knows; may be given several times
    #[arg(long)]
    pub(crate) ontology: Vec<String>,
    /// A content language that it reads; may be given several times
    #[arg(long)]
    pub(crate) language: Vec<String>,
    /// For how long the entry stands; for ever unless given
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) lease: Option<Duration>,
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

#[derive(Debug, Args)]
pub(crate) struct Whatif {
    /// The scenario, as JSON; `-` reads it from stdin
    #[arg(required_unless_present = "manifest", conflicts_with = "manifest")]
    pub(crate) scenario: Option<PathBuf>,
    /// Take the tree of this manifest
    #[arg(long, value_name = "FILE", requires = "crash")]
    pub(crate) manifest: Option<PathBuf>,
    /// and let these crash, one after the other
    #[arg(
        long,
        value_name = "PATH",
        value_delimiter = ',',
        requires = "manifest"
    )]
    pub(crate) crash: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Chaos {
    /// Inject faults for a time and check what became of it
    Run(ChaosRun),
}

#[derive(Debug, Args)]
pub(crate) struct ChaosRun {
    /// A path, or the name of a group; for node-kill, cut and pause the name of a node that was started with --allow-chaos
    #[arg(long, value_name = "PATH|GROUP|NODE")]
    pub(crate) target: String,
    /// What is done to a victim
    #[arg(long, value_enum)]
    pub(crate) fault: Fault,
    /// How often, such as 50/s, 30/m or 2
    #[arg(long, value_parser = rate, default_value = "1/s")]
    pub(crate) rate: f64,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", value_parser = some_time, default_value = "10s")]
    pub(crate) duration: Duration,
    /// Repeats the choice of the victims
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// What must hold in the end; the exit status is 7 when it does not
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) expect: Vec<Expectation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// End its life at once
    Kill,
    /// Panic in its next turn
    Panic,
    /// Never end its next turn
    Hang,
    /// Take long for its next turn
    Slow,
    /// Fill its mailbox
    Full,
    /// End the process of a node (--target NODE) without a word
    NodeKill,
    /// A node's links and gossip carry nothing
    Cut,
    /// A node's process stands still
    Pause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expectation {
    /// Every victim came back
    Restarts,
    /// No message became a dead letter
    NoLoss,
}

#[derive(Debug, Args)]
pub(crate) struct Dispatch {
    /// The jobs, one JSON object {"id","task","input"} per line; `-` reads stdin
    #[arg(required_unless_present = "files", conflicts_with = "files")]
    pub(crate) jobs: Option<PathBuf>,
    /// Make one job of each text file below this folder
    #[arg(long, value_name = "DIR", requires = "task")]
    pub(crate) files: Option<PathBuf>,
    /// Only files that match, such as *.md,src/**.rs
    #[arg(long, value_name = "PATTERNS", requires = "files")]
    pub(crate) glob: Option<String>,
    /// The task of jobs that name none; of all jobs made of files
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// The group of workers
    #[arg(long, value_name = "GROUP")]
    pub(crate) to: String,
    /// Run a node with this tree for as long as it takes, instead of using the one at --node
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Have the node that --manifest runs join this cluster meanwhile: the group's members of all nodes get jobs
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        requires = "manifest",
        requires = "token"
    )]
    pub(crate) join: Vec<String>,
    /// The token to join with
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "join",
        hide_env_values = true,
        env = "SWARM_TOKEN"
    )]
    pub(crate) token: Option<String>,
    /// Write results to this file instead of stdout, and go on where it ends
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Give results in the order of the jobs
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Give a job up after so many attempts that end by panic, error, limit or deadline
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) attempts: NonZeroU32,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = some_time)]
    pub(crate) deadline: Duration,
    /// How long to wait for a worker to come back when none is alive
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) patience: Duration,
    /// How many jobs may be under way at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) window: u32,
    /// Kill random workers of the group while it runs, such as 50/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) chaos: Option<f64>,
    /// How the worker of each job is chosen
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub(crate) protocol: Option<DispatchProtocol>,
    /// Repeats the choice of those killed
    #[arg(long, requires = "chaos")]
    pub(crate) seed: Option<u64>,
    /// In the end compare the word counts with those of a plain sequential count
    #[arg(long)]
    pub(crate) verify: bool,
    /// Keep what becomes of each job in the node's journal: after a kill the same command goes on, and ends with one result each
    #[arg(long)]
    pub(crate) durable: bool,
    /// The durable run's name, instead of one that follows from where jobs come from and go to
    #[arg(long, value_name = "NAME", requires = "durable")]
    pub(crate) run: Option<String>,
    /// The data folder of the node that --manifest runs [env: SWARM_DATA]
    #[arg(long, value_name = "DIR", requires = "manifest")]
    pub(crate) data: Option<String>,
}

/// How a worker is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DispatchProtocol {
    /// Workers bid their queue and their fitness for the task
    ContractNet,
}

fn duration(text: &str) -> Result<Duration, String> {
    swarm_runtime::duration::parse_duration(text).map_err(|error| match error.suggestion() {
        Some(suggestion) => format!("{error}; write {suggestion}"),
        None => error.to_string(),
    })
}

/// A duration in which something can happen.
fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        time => Ok(time),
    }
}

/// The shortest interval at which a node is asked again.
const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// An interval: a duration, or a bare number of seconds.
fn watch_interval(text: &str) -> Result<Duration, String> {
    let interval = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => duration(text)?,
    };
    if interval < WATCH_INTERVAL_MIN {
        return Err("must be 100ms or more".to_owned());
    }
    Ok(interval)
}

/// The most faults per second that can be asked for.
const RATE_MAX: f64 = 10_000.0;

/// Reads times per second: `50/s`, `30/m`, or a bare number.
fn rate(text: &str) -> Result<f64, String> {
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.split('/').next().unwrap_or(text), 1.0),
        Some((number, "m")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some(_) => return Err("a rate is a number per s, m or h, such as 50/s".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number / seconds <= RATE_MAX => Ok(number / seconds),
        Ok(_) => Err(format!("a rate is above 0 and at most {RATE_MAX}/s")),
        Err(_) => Err("a rate is a number per s, m or h, such as 50/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_are_per_second_minute_or_hour() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("30/m"), Ok(0.5));
        assert_eq!(rate("2"), Ok(2.0));
        for bad in ["0", "-1/s", "x", "5/d", "nan", "inf", "1e9/s", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_interval_is_a_duration_or_a_number_of_seconds() {
        assert_eq!(watch_interval("3"), Ok(Duration::from_secs(3)));
        assert_eq!(watch_interval("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "", "1ms", "x"] {
            assert!(watch_interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tree_takes_a_path_or_an_action() {
        for line in ["tree", "tree /a", "tree start", "tree / --depth 2"] {
            let words = std::iter::once("swarmctl").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
