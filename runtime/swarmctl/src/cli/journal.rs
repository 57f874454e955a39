//! The journal, and the past of durable agents.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
