//! `tool`: the tools of a node, its MCP servers, and the calls.

use crate::cli::{Global, Tool};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use swarm_runtime::api::types::{ToolCallsAnswer, ToolCallsQuery, ToolsAnswer};

pub(crate) async fn run(global: &Global, output: Output, tool: &Tool) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match tool {
        Tool::Ls => list(&client, output).await,
        Tool::Describe { name } => describe(&client, output, name).await,
        Tool::Servers => servers(&client, output).await,
        Tool::Calls { after } => calls(&client, output, *after).await,
    }
}

async fn ask(client: &NodeClient) -> Result<ToolsAnswer, Failure> {
    client.get("/v1/tools", &()).await
}

async fn list(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let answer = ask(client).await?;
    output.list(&answer.tools, || {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("INPUT", Align::Left),
            ("ABOUT", Align::Left),
        ]);
        for tool in &answer.tools {
            table.row(vec![
                tool.name.clone(),
                input(&tool.schema),
                tool.about.clone(),
            ]);
        }
        table
    })?;
    for server in answer.servers.iter().filter(|server| server.state != "up") {
        let reason = server
            .reason
            .as_deref()
            .unwrap_or("its tools come when it is up");
        output.note(&format!(
            "MCP server {} is {}: {reason}",
            server.name, server.state
        ));
    }
    Ok(ExitStatus::Done)
}

/// The keys of an input; those that must be there without a question mark.
fn input(schema: &serde_json::Value) -> String {
    let required = schema["required"].as_array();
    let is_required = |key: &str| required.is_some_and(|list| list.iter().any(|item| item == key));
    let keys = schema["properties"].as_object().into_iter().flatten();
    let keys: Vec<_> = keys
        .map(|(key, _)| {
            if is_required(key) {
                key.clone()
            } else {
                format!("{key}?")
            }
        })
        .collect();
    keys.join(", ")
}

async fn describe(client: &NodeClient, output: Output, name: &str) -> Result<ExitStatus, Stop> {
    let answer = ask(client).await?;
    let Some(tool) = answer.tools.iter().find(|tool| tool.name == name) else {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "no-such-tool",
            format!("{} has no tool {name}", client.address()),
            "swarmctl tool ls, or swarmctl tool servers if its server may be down",
        )
        .into());
    };
    output.document(tool, || {
        let schema = serde_json::to_string_pretty(&tool.schema).unwrap_or_default();
        format!("{}\n{}\n\n{schema}\n", tool.name, tool.about)
    })?;
    Ok(ExitStatus::Done)
}

async fn servers(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let answer = ask(client).await?;
    output.list(&answer.servers, || {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("STATE", Align::Left),
            ("TOOLS", Align::Right),
            ("ATTEMPTS", Align::Right),
            ("SERVER", Align::Left),
            ("REASON", Align::Left),
        ]);
        for server in &answer.servers {
            table.row(vec![
                server.name.clone(),
                server.state.clone(),
                server.tools.to_string(),
                server.attempts.to_string(),
                server.implementation.clone().unwrap_or_default(),
                server.reason.clone().unwrap_or_default(),
            ]);
        }
        table
    })?;
    for server in &answer.servers {
        for left_out in &server.left_out {
            output.note(&format!("{}: left out {left_out}", server.name));
        }
    }
    Ok(ExitStatus::Done)
}

async fn calls(
    client: &NodeClient,
    output: Output,
    after: Option<u64>,
) -> Result<ExitStatus, Stop> {
    let query = ToolCallsQuery { after };
    let answer: ToolCallsAnswer = client.get("/v1/tools/calls", &query).await?;
    output.list(&answer.calls, || {
        let mut table = Table::new(&[
            ("NUMBER", Align::Right),
            ("TIME", Align::Left),
            ("CALLER", Align::Left),
            ("TOOL", Align::Left),
            ("MS", Align::Right),
            ("OUTCOME", Align::Left),
        ]);
        for call in &answer.calls {
            let again = if call.repeated { " (again)" } else { "" };
            table.row(vec![
                call.number.to_string(),
                call.at.to_string(),
                call.caller.clone(),
                call.tool.clone(),
                call.took_ms.to_string(),
                format!("{}{again}", call.outcome),
            ]);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}
