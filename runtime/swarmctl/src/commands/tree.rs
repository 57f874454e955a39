//! `tree` and `tree start`.

use crate::cli::{Global, Tree, TreeAction};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use crate::words::{count, span_ms};
use serde::Serialize;
use swarm_runtime::api::types::{NodeState, TreeAnswer, TreeNode, TreeStartAnswer};

pub(crate) async fn run(global: &Global, output: Output, tree: &Tree) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match tree.action {
        Some(TreeAction::Start) => start(&client, output).await,
        None => show(&client, output, tree).await,
    }
}

#[derive(Serialize)]
struct Query<'a> {
    path: Option<&'a str>,
    depth: Option<u32>,
}

async fn show(client: &NodeClient, output: Output, tree: &Tree) -> Result<ExitStatus, Stop> {
    let query = Query {
        path: tree.path.as_deref(),
        depth: tree.depth,
    };
    let answer: TreeAnswer = client.get("/v1/tree", &query).await?;
    output.document(&answer, || {
        let mut columns = vec![
            ("TREE", Align::Left),
            ("STATE", Align::Left),
            ("RESTARTS", Align::Right),
            ("MAILBOX", Align::Right),
            ("SUPERVISION", Align::Left),
        ];
        if output.is_wide() {
            columns.extend([("KIND", Align::Left), ("LIFE", Align::Right)]);
        }
        let mut table = Table::new(&columns);
        let is_one = answer.others.is_empty();
        let mut all = |node: &str, tree: &TreeNode| {
            if !is_one {
                let mut row = vec![String::new(); columns.len()];
                row[0] = format!("node {node}");
                table.row(row);
            }
            add(&mut table, tree, 0, output.is_wide());
        };
        all(&answer.node, &answer.tree);
        for other in &answer.others {
            all(&other.node, &other.tree);
        }
        table.render()
    })?;
    output.unanswered(&answer.unanswered);
    Ok(ExitStatus::Done)
}

fn add(table: &mut Table, node: &TreeNode, level: usize, is_wide: bool) {
    let name = match node.path.rsplit('/').next() {
        // The place where the listing begins is named in full.
        Some(name) if level > 0 && !name.is_empty() => name,
        _ => &node.path,
    };
    let supervision = match (&node.supervision, &node.restart) {
        (Some(flags), _) => format!(
            "{}, {} in {}",
            flags.strategy,
            count(flags.intensity.into(), "restart"),
            span_ms(flags.period_ms)
        ),
        (None, Some(restart)) => restart.clone(),
        (None, None) => String::new(),
    };
    let mut row = vec![
        format!("{}{name}", "  ".repeat(level)),
        node.state.clone(),
        node.restarts.to_string(),
        node.mailbox.to_string(),
        supervision,
    ];
    if is_wide {
        row.extend([node.kind.clone(), node.incarnation.to_string()]);
    }
    let cells = row.len();
    table.row(row);
    for child in &node.children {
        add(table, child, level + 1, is_wide);
    }
    if node.omitted > 0 {
        let mut row = vec![String::new(); cells];
        row[0] = format!(
            "{}({} more, see --depth)",
            "  ".repeat(level + 1),
            node.omitted
        );
        table.row(row);
    }
}

async fn start(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let answer: TreeStartAnswer = client
        .post("/v1/tree/start", &serde_json::json!({}))
        .await?;
    if answer.state != NodeState::Running {
        return Err(Failure::new(
            ExitStatus::Failed,
            "tree-not-running",
            format!("the tree is {}", answer.state),
            "swarmctl status says why; swarmctl events shows what led to it",
        )
        .into());
    }
    output.document(&answer, || {
        format!("the tree is running: {}\n", count(answer.actors, "actor"))
    })?;
    Ok(ExitStatus::Done)
}
