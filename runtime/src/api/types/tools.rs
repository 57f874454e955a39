//! Tools, the MCP servers behind them, and their calls.

use super::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /v1/tools`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolsAnswer {
    /// The tools that there are now, by name.
    pub tools: Vec<ToolSummary>,
    /// The MCP servers that the manifest declares.
    pub servers: Vec<McpServerSummary>,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSummary {
    /// Its name: `time`, or `server/tool`.
    pub name: String,
    /// What it does.
    pub about: String,
    /// The JSON schema of its input.
    pub schema: Value,
}

/// One MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServerSummary {
    /// Its name.
    pub name: String,
    /// `connecting`, `up`, `down`, `stopped`, or `refused` if it was not started at all.
    pub state: String,
    /// Why it is down, or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it waits after it went down before it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// What it calls itself, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
    /// How many of its tools there are.
    pub tools: u64,
    /// How often it was started, or connected to.
    pub attempts: u64,
    /// Tools of it that cannot be used, with the reason; the first 32.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// What `GET /v1/tools/calls` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCallsQuery {
    /// Only calls with a greater number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// `GET /v1/tools/calls`: the latest calls of tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallsAnswer {
    /// The calls, oldest first; at most 1024 are kept.
    pub calls: Vec<ToolCallRecord>,
}

/// One call of a tool. Its input and answer are never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallRecord {
    /// Counts all calls from 1.
    pub number: u64,
    /// When it began.
    pub at: Time,
    /// Who called: an agent's path, or another party's name.
    pub caller: String,
    /// What was called.
    pub tool: String,
    /// How long it took.
    pub took_ms: u64,
    /// `done`, `abandoned`, or how it failed: denied, unknown, invalid-input, too-large, timed-out, overloaded, key-reused,
    /// failed.
    pub outcome: String,
    /// Whether an earlier call with the same key gave the answer.
    pub repeated: bool,
    /// The size of the input as JSON.
    pub input_bytes: u64,
    /// The size of the answer as JSON.
    pub answer_bytes: u64,
}
