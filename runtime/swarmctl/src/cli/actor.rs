//! Agents of a running node: `tree`, `actor`, `events`, `deadletter`.

use super::journal::{ActorHistory, ActorState};
use super::values::duration;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

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
    /// List the latest of all nodes
    Ls,
    /// How one is doing, agent by agent; of another node with --on
    Show {
        /// Its number
        id: u64,
    },
    /// Have one taken back, and wait for that; of another node with --on
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
