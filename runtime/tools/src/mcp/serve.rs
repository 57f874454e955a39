//! A registry as an MCP server.

use crate::access::{Access, CallOptions};
use crate::error::ToolError;
use crate::tool::ToolInfo;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{QuitReason, RequestContext, RoleServer};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ErrorData, ServerHandler, ServiceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// The longest message that a client may send, in bytes.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why a client was not served to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not shake hands.
    #[error("the handshake failed: {reason}")]
    Handshake {
        /// How.
        reason: String,
    },
    /// The server's task was cut off.
    #[error("the conversation was cut off: {reason}")]
    CutOff {
        /// How.
        reason: String,
    },
}

/// Serves one client the tools of `access` until it closes `input` or `stop` is cancelled.
///
/// A call that fails is an answer with `isError`, whose structured content is `{"error": {code, message, at}}`. Messages
/// of more than 8 MiB are dropped.
///
/// # Errors
/// [`ServeError`]. A client that leaves without a handshake is none.
pub async fn serve<R, W>(
    access: Access,
    instructions: &str,
    input: R,
    output: W,
    stop: CancellationToken,
) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let offer = Offer {
        access,
        instructions: instructions.to_owned(),
    };
    let transport = AsyncRwTransport::new(input, output).with_max_line_length(MESSAGE_BYTES_MAX);
    let service = match offer.serve_with_ct(transport, stop).await {
        Ok(service) => service,
        Err(
            rmcp::service::ServerInitializeError::ConnectionClosed(_)
            | rmcp::service::ServerInitializeError::Cancelled,
        ) => {
            return Ok(());
        }
        Err(error) => {
            return Err(ServeError::Handshake {
                reason: error.to_string(),
            });
        }
    };
    match service.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(ServeError::CutOff {
            reason: error.to_string(),
        }),
        Ok(_) => Ok(()),
    }
}

struct Offer {
    access: Access,
    instructions: String,
}

impl ServerHandler for Offer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("swarm", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(self.instructions.clone());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.access.available().into_iter().map(listed).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let input = request.arguments.map_or_else(|| json!({}), Value::Object);
        let call = self
            .access
            .call(&request.name, input, CallOptions::default());
        let called = tokio::select! {
            () = context.ct.cancelled() => Err(ToolError::failed("the client gave the call up")),
            called = call => called,
        };
        let result = match called {
            Ok(answer) => CallToolResult::structured(answer),
            Err(error) => failure(&error),
        };
        Ok(result.into())
    }
}

fn listed(info: ToolInfo) -> Tool {
    let schema = match info.schema {
        Value::Object(schema) => schema,
        // `true` and `false` are schemas, too, but MCP wants an object.
        _ => serde_json::Map::from_iter([("type".to_owned(), "object".into())]),
    };
    Tool::new(info.name, info.about, Arc::new(schema))
}

fn failure(error: &ToolError) -> CallToolResult {
    let at = match error {
        ToolError::InvalidInput { at, .. } => Some(at),
        _ => None,
    };
    let told = json!({"error": {"code": error.code(), "message": error.to_string(), "at": at}});
    let mut result = CallToolResult::structured_error(told);
    result.content = vec![ContentBlock::text(error.to_string())];
    result
}
