//! `node ls | describe | rtt | reachability | evict`, `token create | ls | revoke`, `keys rotate`, `leave`.

use crate::cli::{Global, Keys, Leave, NodeCommand, TokenCommand};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table, printable};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;
use swarm_runtime::api::types::{
    DrainAnswer, DrainRequest, EvictAnswer, EvictRequest, LeaveAnswer, NodeSummary, NodesAnswer,
    ReachabilityAnswer, RevokeAnswer, RotateAnswer, RttAnswer, TokenAnswer, TokenRequest,
    TokenSummary, TokensAnswer,
};

/// Each of the steps waits for all members.
const ROTATE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(
    global: &Global,
    output: Output,
    command: &NodeCommand,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match command {
        NodeCommand::Ls => {
            let answer: NodesAnswer = client.get("/v1/nodes", &()).await?;
            output.list(&answer.nodes, || nodes_table(&answer.nodes))?;
        }
        NodeCommand::Describe { name } => {
            let answer: NodesAnswer = client.get("/v1/nodes", &()).await?;
            let node = answer.nodes.iter().find(|node| node.name == *name);
            let node = node.ok_or_else(|| no_such_node(name))?;
            output.document(node, || node_text(node))?;
        }
        NodeCommand::Rtt { name } => rtt(&client, output, name.as_deref()).await?,
        NodeCommand::Reachability => reachability(&client, output).await?,
        NodeCommand::Evict { name } => {
            return evict(global, &client, output, name).await;
        }
    }
    Ok(ExitStatus::Done)
}

fn no_such_node(name: &str) -> Failure {
    Failure::new(
        ExitStatus::NotFound,
        "no-such-node",
        format!("no node {name} is known"),
        "swarmctl node ls",
    )
}

fn routes_table(nodes: &[RttAnswer]) -> Table {
    let mut table = Table::new(&[
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("RTT", Align::Right),
        ("PROBLEM", Align::Left),
    ]);
    for node in nodes {
        for route in &node.routes {
            table.row(vec![
                node.node.clone(),
                route.to.clone(),
                route
                    .rtt_us
                    .map(|us| format!("{:.2}ms", us as f64 / 1000.0))
                    .unwrap_or_default(),
                route.problem.clone().unwrap_or_default(),
            ]);
        }
    }
    table
}

async fn rtt(client: &NodeClient, output: Output, name: Option<&str>) -> Result<(), Stop> {
    let mut answer: RttAnswer = client.get("/v1/nodes/rtt", &()).await?;
    if let Some(name) = name {
        answer.routes.retain(|route| route.to == name);
        if answer.routes.is_empty() {
            return Err(no_such_node(name).into());
        }
    }
    output.list(&answer.routes, || {
        routes_table(std::slice::from_ref(&answer))
    })?;
    Ok(())
}

async fn reachability(client: &NodeClient, output: Output) -> Result<(), Stop> {
    let answer: ReachabilityAnswer = client.get("/v1/nodes/reachability", &()).await?;
    output.list(&answer.nodes, || routes_table(&answer.nodes))?;
    output.unanswered(&answer.unanswered);
    Ok(())
}

async fn evict(
    global: &Global,
    client: &NodeClient,
    output: Output,
    name: &str,
) -> Result<ExitStatus, Stop> {
    let what = format!(
        "throw node {name} out of the cluster of {}",
        client.address()
    );
    confirm(global, &what)?;
    let request = EvictRequest {
        name: name.to_owned(),
    };
    let answer: EvictAnswer = client.post("/v1/nodes/evict", &request).await?;
    output.document(&answer, || {
        format!(
            "node {name} is out: {} refuse it; swarmctl keys rotate takes the gossip key from it\n",
            answer.told.join(", ")
        )
    })?;
    output.unanswered(&answer.unanswered);
    Ok(match answer.unanswered.is_empty() {
        true => ExitStatus::Done,
        false => ExitStatus::Partial,
    })
}

pub(crate) async fn keys(
    global: &Global,
    output: Output,
    command: Keys,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?.with_timeout(global.timeout.max(ROTATE_LIMIT));
    match command {
        Keys::Rotate => {
            let answer: RotateAnswer = client.post("/v1/keys/rotate", &json!({})).await?;
            output.document(&answer, || {
                format!(
                    "key {} is in use on {} members\n",
                    answer.key, answer.members
                )
            })?;
            for name in &answer.absent {
                output.note(&format!(
                    "node {name} is down: it gets the key when it comes back"
                ));
            }
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

pub(crate) async fn leave(
    global: &Global,
    output: Output,
    leave: Leave,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let what = format!("take the node at {} out of its cluster", client.address());
    confirm(global, &what)?;
    let mut is_drained = true;
    if leave.drain {
        let request = DrainRequest {
            deadline_ms: u64::try_from(leave.drain_deadline.as_millis()).ok(),
        };
        let patient = client.with_timeout(global.timeout + leave.drain_deadline);
        let answer: DrainAnswer = patient.post("/v1/drain", &request).await?;
        is_drained = answer.drained;
        if !is_drained {
            output.note("agents still had something to do at the deadline");
        }
    }
    let answer: LeaveAnswer = client.post("/v1/leave", &json!({})).await?;
    output.document(&answer, || {
        format!(
            "node {} has left; it runs on alone until it is stopped\n",
            answer.node
        )
    })?;
    Ok(match is_drained {
        true => ExitStatus::Done,
        false => ExitStatus::Partial,
    })
}
