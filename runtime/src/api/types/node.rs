//! The node as a whole, its tree, and how requests fail.

use super::{Time, Unanswered};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ApiError,
}

/// One failure: what went wrong and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// A stable word in kebab-case; programs decide by it.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do next, for people.
    #[serde(rename = "try")]
    pub next_step: String,
}

/// `GET /livez`: the process turns its loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveAnswer {
    /// Always true; a process that is not live does not answer.
    pub live: bool,
}

/// `GET /readyz`: 200 when the node takes work, 503 when it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAnswer {
    /// Whether it takes work.
    pub ready: bool,
    /// The state that this follows from.
    pub state: NodeState,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// The tree is being started.
    Starting,
    /// The tree runs.
    Running,
    /// The root supervisor gave up or could not be started; `POST /v1/tree/start` starts it again.
    TreeFailed,
    /// The tree is being stopped in order.
    Draining,
    /// The tree has been stopped.
    Stopped,
}

impl NodeState {
    /// The state as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::TreeFailed => "tree-failed",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `GET /v1/status`: one screen about the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The node's name.
    pub node: String,
    /// Where it is in its life.
    pub state: NodeState,
    /// Why the tree failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The program's version.
    pub version: String,
    /// Random per process start.
    pub boot_id: String,
    /// The operating system's process id.
    pub process_id: u32,
    /// When the process started.
    pub started_at: Time,
    /// How long ago that was.
    pub uptime_ms: u64,
    /// Where the API answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The data folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The manifest's file, when the tree came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// How many actors there are.
    pub actors: u64,
    /// How many there are in each state.
    pub actors_by_state: BTreeMap<String, u64>,
    /// Restarts since the tree's start, of the actors that exist now.
    pub restarts: u64,
    /// Restarts in the last five minutes, as far as the event history reaches.
    pub restarts_5m: u64,
    /// Messages queued in all mailboxes.
    pub mailbox: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// What needs attention, one sentence each; empty when nothing does.
    pub alarms: Vec<String>,
    /// The other nodes of the cluster that answered, in order of names; what is above is about the answering one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<StatusAnswer>,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// `GET /v1/tree`: an actor and what stands below it, in start order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its path.
    pub path: String,
    /// `supervisor`, `native`, `ractor`, …
    pub kind: String,
    /// Its state.
    pub state: String,
    /// How many times it has been restarted.
    pub restarts: u64,
    /// Messages queued.
    pub mailbox: u64,
    /// Which life this is; 0 when it never lived.
    pub incarnation: u64,
    /// When it is restarted: permanent, transient, temporary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// What a supervisor does when a child dies, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<Supervision>,
    /// Its children. Empty too when the depth asked for ends here; then `omitted` counts them.
    #[serde(default)]
    pub children: Vec<TreeNode>,
    /// Children that are not listed because of the depth asked for.
    #[serde(default)]
    pub omitted: u64,
}

/// `GET /v1/tree`: the tree of the answering node, and those of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeAnswer {
    /// The tree of the answering node, or of the first that has what was asked for.
    #[serde(flatten)]
    pub tree: TreeNode,
    /// Whose that is.
    #[serde(default)]
    pub node: String,
    /// Those of the other nodes, in order of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<NodeTree>,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// The tree of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTree {
    /// Whose it is.
    pub node: String,
    /// The tree.
    #[serde(flatten)]
    pub tree: TreeNode,
}

/// What `GET /v1/tree` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeQuery {
    /// Where to begin; `/` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many levels below it; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u64>,
}

/// A supervisor's flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// one_for_one, one_for_all, rest_for_one, simple_one_for_one.
    pub strategy: String,
    /// Restarts allowed within the period.
    pub intensity: u32,
    /// The period.
    pub period_ms: u64,
    /// never, any_significant, all_significant.
    pub auto_shutdown: String,
}

/// `POST /v1/tree/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStartAnswer {
    /// The node's state afterwards.
    pub state: NodeState,
    /// Actors in the tree.
    pub actors: u64,
}
