//! The command line: one definition, from which parsing, help and completions follow.

mod actor;
mod fipa;
mod guests;
mod journal;
mod node;
mod values;
mod work;

pub(crate) use actor::{
    Actor, ActorLs, ActorSort, ActorUpgrade, DeadLetter, Deployment, Events, Say, Tree, TreeAction,
};
pub(crate) use fipa::{Acl, AclForm, Ams, Cfp, Conversation, Df, DfRegister, DfSearch};
pub(crate) use guests::{Language, Mcp, New, Tool, Wasm, WasmCheck};
pub(crate) use journal::{ActorHistory, ActorState, Journal, JournalCommand, PastOf};
pub(crate) use node::{
    Apply, Config, Context, FipaFlags, Join, Keys, Leave, Manifest, NodeCommand, NodeFlags,
    PlacementCommand, Plan, TokenCommand, Up,
};
pub(crate) use work::{Chaos, ChaosRun, Dispatch, DispatchProtocol, Expectation, Fault, Whatif};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::time::Duration;
use values::{some_time, watch_interval};

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tree_takes_a_path_or_an_action() {
        for line in ["tree", "tree /a", "tree start", "tree / --depth 2"] {
            let words = std::iter::once("swarmctl").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
