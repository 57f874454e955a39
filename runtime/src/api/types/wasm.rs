//! Components that a node keeps, and deployments of new code.

use super::{Time, Unanswered};
use serde::{Deserialize, Serialize};

/// `POST /v1/components`, whose body is a component as `application/wasm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentKept {
    /// The component.
    pub component: ComponentSummary,
    /// The nodes that keep it now: the one that was asked, and the members that fetched it from there.
    pub nodes: Vec<String>,
    /// The members that did not.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
}

/// `POST /v1/components/fetch`: has a node keep what another member keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentFetch {
    /// What.
    pub digest: String,
    /// The name of that member.
    pub from: String,
}

/// A component that a node keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSummary {
    /// Its name by content, as manifests have it: `sha256:` and 64 digits.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
    /// When it was kept.
    pub kept_at: Time,
}

/// `GET /v1/components`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentsAnswer {
    /// All of them, by digest.
    pub components: Vec<ComponentSummary>,
}

/// `POST /v1/deployments`: new code for WebAssembly agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentRequest {
    /// Whose code: an agent's path, a path with agents below it, or a group.
    pub target: String,
    /// The new code: the digest of a component that the node keeps.
    pub component: String,
    /// What part of the agents, in percent; the first ones by path. All unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<u8>,
    /// `direct` (unless stated), `blue-green`, `canary` or `shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// For so many turns an agent goes back by itself when one fails. 10 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation_turns: Option<u32>,
    /// What part of the agents has the new code in each stage of a canary, in percent. 10, 50, 100 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_percent: Option<Vec<u8>>,
    /// How long a stage lasts at least. 30 s unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_ms: Option<u64>,
    /// How many turns of new code a stage must see. 20 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_turns: Option<u64>,
    /// How many of 1000 turns may fail. 50 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_per_mille_max: Option<u64>,
    /// How many lives of new code may follow a crash of it, of each agent. None unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts_max: Option<u64>,
    /// How long 95 of 100 turns may take at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_max_ms: Option<u64>,
    /// How long the deployment may take. An hour unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// A deployment: `POST /v1/deployments`, `GET` and `DELETE /v1/deployments/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentReport {
    /// Its number on its node.
    pub id: u64,
    /// The node that carries it out, for agents of its own. Empty from nodes of versions before this field.
    #[serde(default)]
    pub node: String,
    /// The digest of the new code.
    pub component: String,
    /// Its strategy.
    pub strategy: String,
    /// `watching`, `stage`, `taking-back`; at its end `deployed`, `watched` or `taken-back`.
    pub state: String,
    /// Whether it is over.
    pub is_over: bool,
    /// Why it is or was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What part of the agents has the new code in this stage, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_percent: Option<u8>,
    /// How long it has run, or ran.
    pub elapsed_ms: u64,
    /// The agents.
    pub agents: Vec<DeploymentAgent>,
    /// Turns of the new code.
    pub turns: u64,
    /// Those that failed.
    pub failed: u64,
    /// Lives that followed a crash of it.
    pub restarts: u64,
    /// Agents that went back by themselves.
    pub went_back: u64,
    /// The time that 95 of 100 turns did not go beyond, in microseconds, rounded up to a power of two.
    pub turn_p95_us: u64,
    /// Turns of shadows whose effects were those of the agent's own code.
    pub same: u64,
    /// Turns of shadows with other effects.
    pub different: u64,
    /// The first differences, in words.
    #[serde(default)]
    pub differences: Vec<String>,
}

/// One agent of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentAgent {
    /// Its path.
    pub path: String,
    /// `old`, `changing`, `new`, `joining`, `followed`, `returning`, `kept`, `back`, `failed`.
    pub state: String,
    /// Why it did not do what it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /v1/deployments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentsAnswer {
    /// The latest 64 of each node, by node and number.
    pub deployments: Vec<DeploymentReport>,
    /// The members that did not answer, whose part is missing.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
}
