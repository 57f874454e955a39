//! A tool of a server, as the registry sees it.

use super::server::Shared;
use crate::error::ToolError;
use crate::tool::{Call, Tool};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode,
};
use rmcp::service::ServiceError;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Where a call's idempotency key stands in the request's `_meta`, for servers that know it.
const KEY_IN_META: &str = "swarm/idempotency-key";

/// A tool of an MCP server. Its answer has the form that MCP gives it: `content` (a list of blocks), and
/// `structuredContent` if the tool has it.
pub(super) struct RemoteTool {
    pub(super) shared: Arc<Shared>,
    /// Its name at the server.
    pub(super) name: String,
    pub(super) about: String,
    pub(super) schema: Value,
}

impl Tool for RemoteTool {
    fn about(&self) -> &str {
        &self.about
    }

    fn schema(&self) -> Value {
        self.schema.clone()
    }

    async fn call(&self, input: Value, call: Call) -> Result<Value, ToolError> {
        let Value::Object(input) = input else {
            return Err(ToolError::invalid("", "an MCP tool takes an object"));
        };
        let Some(peer) = self.shared.peer() else {
            return Err(ToolError::not_tried(self.shared.why_down()));
        };
        let Ok(_slot) = self.shared.slots.try_acquire() else {
            return Err(ToolError::Overloaded {
                reason: format!(
                    "the server {} has as many calls as it may have",
                    self.shared.name
                ),
            });
        };
        let mut params = CallToolRequestParams::new(self.name.clone()).with_arguments(input);
        if let Some(key) = call.idempotency_key {
            let meta = Map::from_iter([(KEY_IN_META.to_owned(), key.into())]);
            params.meta = Some(meta.into());
        }
        let unanswered = Unanswered(&self.shared);
        let response = peer.call_tool_once(params).await;
        std::mem::forget(unanswered);
        match response {
            Ok(CallToolResponse::Complete(result)) => answer(result),
            Ok(_) => Err(ToolError::failed(
                "the tool asks for more than an input, which is not supported",
            )),
            Err(error) => Err(failure(error, self)),
        }
    }
}

/// A call whose answer has not come. Dropped, it came to its deadline or its caller went: the server may hang.
struct Unanswered<'s>(&'s Shared);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.suspected.notify_one();
    }
}

fn answer(result: CallToolResult) -> Result<Value, ToolError> {
    if result.is_error == Some(true) {
        let texts: Vec<_> = result.content.iter().filter_map(text).collect();
        let said = texts.join(" ");
        return Err(ToolError::failed(if said.is_empty() {
            "the tool failed without a word".to_owned()
        } else {
            said
        }));
    }
    let content = serde_json::to_value(&result.content)
        .map_err(|error| ToolError::failed(format!("the answer is no JSON: {error}")))?;
    let mut answer = json!({"content": content});
    if let Some(structured) = result.structured_content {
        answer["structuredContent"] = structured;
    }
    Ok(answer)
}

fn text(block: &ContentBlock) -> Option<&str> {
    block.as_text().map(|text| text.text.as_str())
}

fn failure(error: ServiceError, tool: &RemoteTool) -> ToolError {
    match error {
        ServiceError::McpError(error) if error.code == ErrorCode::INVALID_PARAMS => {
            ToolError::invalid("", crate::error::plain(&error.message))
        }
        ServiceError::McpError(error) if error.code == ErrorCode::METHOD_NOT_FOUND => {
            ToolError::Unknown {
                tool: format!("{}/{}", tool.shared.name, tool.name),
            }
        }
        other => ToolError::failed(other),
    }
}
