//! The manifest of all nodes: planned, applied, shown.

use super::Unanswered;
use serde::{Deserialize, Serialize};

/// `POST /v1/manifest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRequest {
    /// The manifest.
    pub text: String,
    /// Only says what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// As which generation, for one node that another one asks; the next one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// How long to wait until everything runs where it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// What is, or would be, done with a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestPlan {
    /// The nodes, in order of names.
    pub nodes: Vec<NodePlan>,
    /// Whether it was applied.
    pub applied: bool,
    /// Whether everything ran where it belongs when this was answered; false for a plan.
    pub settled: bool,
    /// Members that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// One node's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlan {
    /// The node.
    pub node: String,
    /// Which generation it runs: before, of a plan; afterwards, of what was applied.
    pub generation: u64,
    /// What is done there, parents before their children.
    pub steps: Vec<PlanStep>,
    /// Why it cannot be done there, or what did not come up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What is done with one declaration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanStep {
    /// add, remove, adjust (nothing stops) or replace (stopped and started).
    pub change: String,
    /// Where it stands.
    pub path: String,
    /// supervisor or agent.
    pub kind: String,
    /// The keys that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// `GET /v1/manifest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestAnswer {
    /// The node.
    pub node: String,
    /// 0 while it runs what it was started with.
    pub generation: u64,
    /// The manifest that was applied last; none with generation 0.
    pub text: Option<String>,
}
