//! `placement ls`.

use crate::cli::{Global, PlacementCommand};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table};
use serde::Serialize;
use swarm_runtime::api::types::PlacementAnswer;

/// One placed child.
#[derive(Serialize)]
struct Row {
    path: String,
    /// None: it runs nowhere.
    node: Option<String>,
    why: Option<String>,
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    command: &PlacementCommand,
) -> Result<ExitStatus, Stop> {
    let PlacementCommand::Ls = command;
    let client = NodeClient::new(global)?;
    let answer: PlacementAnswer = client.get("/v1/placement", &()).await?;
    let rows = rows(&answer);
    output.list(&rows, || {
        let mut table = Table::new(&[
            ("PATH", Align::Left),
            ("NODE", Align::Left),
            ("WHY", Align::Left),
        ]);
        for row in &rows {
            table.row(vec![
                row.path.clone(),
                row.node.clone().unwrap_or_default(),
                row.why.clone().unwrap_or_default(),
            ]);
        }
        table
    })?;
    if !answer.is_settled {
        output.note("not everything is where it belongs yet");
    }
    Ok(ExitStatus::Done)
}

fn rows(answer: &PlacementAnswer) -> Vec<Row> {
    let mut rows: Vec<Row> = answer
        .nodes
        .iter()
        .flat_map(|node| {
            node.holds.iter().map(|path| Row {
                path: path.clone(),
                node: Some(node.name.clone()),
                why: None,
            })
        })
        .collect();
    rows.extend(answer.nowhere.iter().map(|nowhere| Row {
        path: nowhere.path.clone(),
        node: None,
        why: Some(nowhere.why.clone()),
    }));
    rows.sort_by(|a, b| (&a.path, &a.node).cmp(&(&b.path, &b.node)));
    rows
}
