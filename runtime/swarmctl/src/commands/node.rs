//! `node ls | describe`, `token create | ls | revoke`, `leave`.

use crate::cli::{Global, NodeCommand, TokenCommand};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table, printable};
use serde_json::json;
use std::fmt::Write as _;
use swarm_runtime::api::types::{
    LeaveAnswer, NodeSummary, NodesAnswer, RevokeAnswer, TokenAnswer, TokenRequest, TokenSummary,
    TokensAnswer,
};

pub(crate) async fn run(
    global: &Global,
    output: Output,
    command: &NodeCommand,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let answer: NodesAnswer = client.get("/v1/nodes", &()).await?;
    match command {
        NodeCommand::Ls => output.list(&answer.nodes, || nodes_table(&answer.nodes))?,
        NodeCommand::Describe { name } => {
            let node = answer.nodes.iter().find(|node| node.name == *name);
            let node = node.ok_or_else(|| {
                Failure::new(
                    ExitStatus::NotFound,
                    "no-such-node",
                    format!("no node {name} is known in cluster {}", answer.cluster),
                    "swarmctl node ls",
                )
            })?;
            output.document(node, || node_text(node))?;
        }
    }
    Ok(ExitStatus::Done)
}

fn nodes_table(nodes: &[NodeSummary]) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("ADDRESS", Align::Left),
        ("LINKS", Align::Right),
        ("BOOT ID", Align::Left),
    ]);
    for node in nodes {
        let open = node.links.iter().filter(|link| link.is_open).count();
        let name = if node.is_self {
            format!("{} (this node)", node.name)
        } else {
            node.name.clone()
        };
        table.row(vec![
            name,
            node.state.clone(),
            node.address.clone(),
            open.to_string(),
            node.boot_id.chars().take(8).collect(),
        ]);
    }
    table
}

fn node_text(node: &NodeSummary) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<9} {}", printable(value)).expect("a String takes all text");
    };
    line("name", &node.name);
    line("state", &node.state);
    line("address", &node.address);
    line("boot id", &node.boot_id);
    for link in &node.links {
        let state = if link.is_open { "open" } else { "closed" };
        let mut what = format!(
            "{state}, {} connections, {} bytes under way, {} held",
            link.connections, link.under_way_bytes, link.held_bytes
        );
        if let Some(problem) = &link.last_problem {
            write!(what, "; last: {problem}").expect("a String takes all text");
        }
        line(&link.lane, &what);
    }
    text
}

pub(crate) async fn token(
    global: &Global,
    output: Output,
    command: &TokenCommand,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match command {
        TokenCommand::Create {
            expires,
            uses,
            voters,
        } => {
            let request = TokenRequest {
                expires_in_ms: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
                uses: uses.map(std::num::NonZeroU32::get),
                voters: *voters,
            };
            let answer: TokenAnswer = client.post("/v1/tokens", &request).await?;
            output.document(&answer, || {
                format!(
                    "token     {} until {}\njoin      swarmctl join {} --token {}\n",
                    answer.id, answer.expires_at, answer.address, answer.token
                )
            })?;
        }
        TokenCommand::Ls => {
            let answer: TokensAnswer = client.get("/v1/tokens", &()).await?;
            output.list(&answer.tokens, || tokens_table(&answer.tokens))?;
        }
        TokenCommand::Revoke { id } => {
            let path = format!("/v1/tokens/{id}");
            let answer: RevokeAnswer = client.delete(&path).await?;
            output.document(&answer, || format!("token {} is revoked\n", answer.id))?;
        }
    }
    Ok(ExitStatus::Done)
}

fn tokens_table(tokens: &[TokenSummary]) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("USES", Align::Right),
        ("VOTERS", Align::Left),
        ("EXPIRES", Align::Left),
    ]);
    for token in tokens {
        table.row(vec![
            token.id.clone(),
            token.state.clone(),
            token.used.to_string(),
            token
                .uses
                .map_or_else(|| "any".to_owned(), |n| n.to_string()),
            if token.voters { "yes" } else { "no" }.to_owned(),
            token.expires_at.to_string(),
        ]);
    }
    table
}

pub(crate) async fn leave(global: &Global, output: Output) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let what = format!("take the node at {} out of its cluster", client.address());
    confirm(global, &what)?;
    let answer: LeaveAnswer = client.post("/v1/leave", &json!({})).await?;
    output.document(&answer, || {
        format!(
            "node {} has left; it runs on alone until it is stopped\n",
            answer.node
        )
    })?;
    Ok(ExitStatus::Done)
}
