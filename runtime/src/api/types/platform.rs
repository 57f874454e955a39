//! The FIPA platform: agents as the AMS has them, offers as the DF has them.

use super::{Time, Unanswered};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /v1/ams`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmsAnswer {
    /// The platform's name.
    pub platform: String,
    /// The agents: of the answering node first, then of the others in order of their names; on each in order of their paths.
    pub agents: Vec<AmsEntry>,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// An agent, as the AMS describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmsEntry {
    /// `name@platform`; for an agent without a registered name, its path in front of the `@`.
    pub name: String,
    /// initiated, active, suspended, waiting.
    pub state: String,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// The node that it is on.
    pub node: String,
}

/// What is looked for in the DF. Every field that is there must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DfQuery {
    /// The agent's name, with or without its platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The type of a service.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// The name of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A protocol that the agent speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// An ontology that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// A content language that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How many federated directories deep; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<u32>,
    /// How many at most; as many as the DF gives unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u32>,
}

/// `GET /v1/df`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DfAnswer {
    /// The entries that match, in order of their names.
    pub entries: Vec<DfEntry>,
}

/// An entry of the DF: the body of `POST /v1/df`, too, and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DfEntry {
    /// Whose it is: `name@platform`; a name without a platform is one of this.
    pub agent: String,
    /// Where the agent can be written to, for one of another platform.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// What it offers.
    #[serde(default)]
    pub services: Vec<DfService>,
    /// The protocols that it speaks.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// The ontologies that it knows.
    #[serde(default)]
    pub ontologies: Vec<String>,
    /// The content languages that it reads.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Until when the entry stands; none for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Time>,
    /// For a request: for how long the entry is to stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

impl Eq for DfEntry {}

/// A service of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DfService {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub service_type: String,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Whatever else it is said to be: texts by name. A value that is no text is shown in SL.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub properties: Value,
}

/// `DELETE /v1/df`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DfAgentQuery {
    /// Whose entry.
    pub agent: String,
}
