//! FIPA: `cfp`, `conversation`, `acl`, `ams`, `df`.

use super::values::some_time;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

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
