//! Tools: what there is, and what was called.

use crate::api::fault::Fault;
use crate::api::input::QueryOf;
use crate::api::server::Api;
use crate::api::types::{
    McpServerSummary, Time, ToolCallRecord, ToolCallsAnswer, ToolCallsQuery, ToolSummary,
    ToolsAnswer,
};
use axum::Json;
use axum::extract::State;
use swarm_tools::AuditRecord;
use swarm_tools::mcp::{McpState, McpStatus};

pub(in crate::api) async fn list(State(api): State<Api>) -> Json<ToolsAnswer> {
    let tools = api.node.tools().list().into_iter().map(|tool| ToolSummary {
        name: tool.name,
        about: tool.about,
        schema: tool.schema,
    });
    let servers = api
        .node
        .mcp_servers()
        .into_iter()
        .map(|server| match server {
            Ok((name, status)) => summary(name.to_string(), status),
            Err(refused) => McpServerSummary {
                name: refused.name.to_string(),
                state: "refused".to_owned(),
                reason: Some(refused.reason),
                retry_in_ms: None,
                implementation: None,
                tools: 0,
                attempts: 0,
                left_out: Vec::new(),
            },
        });
    Json(ToolsAnswer {
        tools: tools.collect(),
        servers: servers.collect(),
    })
}

fn summary(name: String, status: McpStatus) -> McpServerSummary {
    let (state, reason, retry_in) = match status.state {
        McpState::Connecting => ("connecting", None, None),
        McpState::Up => ("up", None, None),
        McpState::Down { reason, retry_in } => ("down", Some(reason), Some(retry_in)),
        McpState::Stopped => ("stopped", None, None),
    };
    let left_out = status.left_out.iter();
    McpServerSummary {
        name,
        state: state.to_owned(),
        reason,
        retry_in_ms: retry_in.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
        implementation: status.implementation,
        tools: status.tools as u64,
        attempts: status.attempts,
        left_out: left_out
            .map(|left| format!("{}: {}", left.tool, left.reason))
            .collect(),
    }
}

pub(in crate::api) async fn calls(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ToolCallsQuery>,
) -> Result<Json<ToolCallsAnswer>, Fault> {
    let after = query.after.unwrap_or(0);
    let records = api.node.tools().records().into_iter();
    let calls = records.filter(|record| record.number > after).map(call);
    Ok(Json(ToolCallsAnswer {
        calls: calls.collect(),
    }))
}

fn call(record: AuditRecord) -> ToolCallRecord {
    ToolCallRecord {
        number: record.number,
        at: Time::from(record.at),
        caller: record.caller.to_string(),
        tool: record.tool,
        took_ms: record.took.as_millis().try_into().unwrap_or(u64::MAX),
        outcome: record.outcome.word().to_owned(),
        repeated: record.repeated,
        input_bytes: record.input_bytes,
        answer_bytes: record.answer_bytes,
    }
}
