//! `context ls | show | use | add | rm | validate`.

use crate::cli::{Context, Global};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::contexts::{self, Contexts};
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use serde::Serialize;
use swarm_runtime::api::types::StatusAnswer;

#[derive(Serialize)]
struct Row {
    name: String,
    node: String,
    current: bool,
}

#[derive(Serialize)]
struct Checked {
    name: String,
    node: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    context: &Context,
) -> Result<ExitStatus, Stop> {
    let mut contexts = contexts::read()?;
    match context {
        Context::Ls => {
            let rows: Vec<Row> = contexts
                .entries
                .keys()
                .filter_map(|name| row(&contexts, name))
                .collect();
            output.list(&rows, || table(&rows))?;
        }
        Context::Show { name } => {
            let shown = match (name, &contexts.current) {
                (Some(name), _) | (None, Some(name)) => {
                    row(&contexts, name).ok_or_else(|| contexts::unknown(name, &contexts))?
                }
                (None, None) => return Err(none_in_use().into()),
            };
            output.document(&shown, || format!("{} {}\n", shown.name, shown.node))?;
        }
        Context::Use { name } => {
            let name = contexts.use_context(name)?;
            contexts::write(&contexts)?;
            tell(output, &contexts, &name, "in use")?;
        }
        Context::Add { name, is_used } => {
            if global.node.is_none() {
                return Err(Failure::usage(
                    "a context needs a node",
                    format!("swarmctl context add {name} --node http://127.0.0.1:7590"),
                )
                .into());
            }
            // What is no address is refused before it is written down.
            contexts.add(name, NodeClient::new(global)?.url())?;
            if *is_used {
                contexts.use_context(name)?;
            }
            contexts::write(&contexts)?;
            tell(output, &contexts, name, "added")?;
        }
        Context::Rm { name } => {
            let shown = row(&contexts, name).ok_or_else(|| contexts::unknown(name, &contexts))?;
            confirm(global, &format!("forget context {name} ({})", shown.node))?;
            contexts.remove(name)?;
            contexts::write(&contexts)?;
            output.document(&shown, || format!("context {name} forgotten\n"))?;
        }
        Context::Validate { name } => return validate(global, output, &contexts, name).await,
    }
    Ok(ExitStatus::Done)
}

fn row(contexts: &Contexts, name: &str) -> Option<Row> {
    let context = contexts.entries.get(name)?;
    Some(Row {
        name: name.to_owned(),
        node: context.node.clone(),
        current: contexts.current.as_deref() == Some(name),
    })
}

fn tell(output: Output, contexts: &Contexts, name: &str, what: &str) -> Result<(), Stop> {
    let Some(row) = row(contexts, name) else {
        return Err(contexts::unknown(name, contexts).into());
    };
    output.document(&row, || format!("context {name} ({}) {what}\n", row.node))?;
    Ok(())
}

fn none_in_use() -> Failure {
    Failure::new(
        ExitStatus::NotFound,
        "no-context",
        "no context is in use",
        "swarmctl context use NAME",
    )
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("USED", Align::Left),
        ("NAME", Align::Left),
        ("NODE", Align::Left),
    ]);
    for row in rows {
        let mark = if row.current { "*" } else { "" };
        table.row(vec![mark.to_owned(), row.name.clone(), row.node.clone()]);
    }
    table
}

/// Asks every node that is named; one after the other, each with the time that `--timeout` gives.
async fn validate(
    global: &Global,
    output: Output,
    contexts: &Contexts,
    name: &Option<String>,
) -> Result<ExitStatus, Stop> {
    if let Some(name) = name
        && !contexts.entries.contains_key(name)
    {
        return Err(contexts::unknown(name, contexts).into());
    }
    let mut checked = Vec::new();
    for (known, context) in &contexts.entries {
        if name.as_ref().is_some_and(|name| name != known) {
            continue;
        }
        let asked = Global {
            node: Some(context.node.clone()),
            context: None,
            ..global.clone()
        };
        let answer = match NodeClient::new(&asked) {
            Ok(client) => client.get::<StatusAnswer>("/v1/status", &()).await,
            Err(failure) => Err(failure),
        };
        checked.push(Checked {
            name: known.clone(),
            node: context.node.clone(),
            ok: answer.is_ok(),
            error: answer.err().map(|failure| failure.error),
        });
    }
    output.list(&checked, || {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("NODE", Align::Left),
            ("ANSWERS", Align::Left),
        ]);
        for row in &checked {
            let answers = row.error.clone().unwrap_or_else(|| "yes".to_owned());
            table.row(vec![row.name.clone(), row.node.clone(), answers]);
        }
        table
    })?;
    let silent: Vec<&str> = checked
        .iter()
        .filter(|row| !row.ok)
        .map(|row| row.name.as_str())
        .collect();
    if silent.is_empty() {
        return Ok(ExitStatus::Done);
    }
    Err(Failure::new(
        ExitStatus::CheckFailed,
        "context-fails",
        format!("no node answers for {}", silent.join(", ")),
        "start those nodes, or swarmctl context add NAME --node URL with another address",
    )
    .into())
}
