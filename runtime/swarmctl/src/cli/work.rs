//! Work and faults: `dispatch`, `chaos`, `whatif`.

use super::values::{duration, rate, some_time};
use clap::{Args, Subcommand, ValueEnum};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

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
