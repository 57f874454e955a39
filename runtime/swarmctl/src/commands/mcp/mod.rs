//! `mcp`: a node as an MCP server.

mod tools;

use crate::cli::{Global, Mcp};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use swarm_tools::mcp::serve;
use swarm_tools::{Access, Caller, Grants, Tools, ToolsOptions};
use tokio_util::sync::CancellationToken;
use tools::NodeTool;

/// What a client is told about all of it.
const INSTRUCTIONS: &str = "A Swarm node: agents under Erlang-style supervisors. Paths such as /pool/worker-1 name actors; \
    tree shows who supervises whom, events what happened, describe one actor with its last crash and messages.";

pub(crate) async fn run(global: &Global, mcp: &Mcp) -> Result<ExitStatus, Stop> {
    match mcp {
        Mcp::Serve { allow_write } => serve_node(global, *allow_write).await,
    }
}

/// Serves until the client hangs up. The node need not be there yet: each call says if it is not.
async fn serve_node(global: &Global, allow_write: bool) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let access = access(&client, allow_write)
        .map_err(|problem| Failure::new(ExitStatus::Failed, "no-tools", problem, "report this"))?;
    let served = serve(
        access,
        INSTRUCTIONS,
        tokio::io::stdin(),
        tokio::io::stdout(),
        CancellationToken::new(),
    );
    served.await.map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            "mcp-failed",
            error.to_string(),
            "start it from an MCP client: it speaks MCP on stdin and stdout",
        )
    })?;
    Ok(ExitStatus::Done)
}

/// All tools are registered, and the grants decide: a client that calls what it may not call is told so, not that it does
/// not exist.
fn access(client: &NodeClient, allow_write: bool) -> Result<Access, String> {
    let tools = Tools::new(ToolsOptions::default());
    let mut grants = Grants::new();
    for tool in NodeTool::all(client) {
        let (name, writes) = (tool.name(), tool.writes());
        tools
            .register(name, tool)
            .map_err(|error| error.to_string())?;
        if allow_write || !writes {
            grants = grants.with(name).map_err(|error| error.to_string())?;
        }
    }
    let caller = Caller::new("mcp").map_err(|error| error.to_string())?;
    Ok(Access::new(tools, caller, grants))
}
