//! `deadletter ls | show | replay | purge`.

use crate::cli::{DeadLetter, Global};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table, printable};
use crate::words::count;
use std::fmt::Write as _;
use swarm_runtime::api::types::{
    DeadLetterDetail, DeadLetterSummary, DeadLettersAnswer, PurgeAnswer, ReplayAnswer,
};

pub(crate) async fn run(
    global: &Global,
    output: Output,
    letter: &DeadLetter,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match letter {
        DeadLetter::Ls => list(&client, output).await?,
        DeadLetter::Show { id } => {
            let detail = show(&client, *id).await?;
            output.document(&detail, || show_text(&detail))?;
        }
        DeadLetter::Replay { id } => {
            let DeadLetterDetail { summary, .. } = show(&client, *id).await?;
            confirm(
                global,
                &format!(
                    "send dead letter {id} ({}) to {} again, at {}",
                    summary.message,
                    summary.to,
                    client.address()
                ),
            )?;
            let path = format!("/v1/dead-letters/{id}/replay");
            let answer: ReplayAnswer = client.post(&path, &serde_json::json!({})).await?;
            output.document(&answer, || {
                format!("dead letter {} went to {}\n", answer.id, answer.to)
            })?;
        }
        DeadLetter::Purge { id, .. } => purge(global, &client, output, *id).await?,
    }
    Ok(ExitStatus::Done)
}

async fn list(client: &NodeClient, output: Output) -> Result<(), Stop> {
    let answer: DeadLettersAnswer = client.get("/v1/dead-letters", &()).await?;
    output.list(&answer.dead_letters, || table(&answer.dead_letters))?;
    output.unanswered(&answer.unanswered);
    if answer.dropped > 0 {
        output.note(&format!(
            "{} older ones were pushed out of the store",
            answer.dropped
        ));
    }
    Ok(())
}

fn table(letters: &[DeadLetterSummary]) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("TIME", Align::Left),
        ("TO", Align::Left),
        ("FROM", Align::Left),
        ("REASON", Align::Left),
        ("MESSAGE", Align::Left),
        ("REPLAY", Align::Left),
    ]);
    for letter in letters {
        table.row(vec![
            letter.id.to_string(),
            letter.at.to_string(),
            letter.to.clone(),
            letter.from.clone().unwrap_or_default(),
            letter.reason.clone(),
            letter.message.clone(),
            if letter.replayable { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

async fn show(client: &NodeClient, id: u64) -> Result<DeadLetterDetail, crate::failure::Failure> {
    client.get(&format!("/v1/dead-letters/{id}"), &()).await
}

fn show_text(detail: &DeadLetterDetail) -> String {
    let letter = &detail.summary;
    let mut text = format!(
        "dead letter {} for {}: {}\n",
        letter.id, letter.to, letter.reason
    );
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<8} {}", printable(value)).expect("a String takes all text");
    };
    line("time", &letter.at.to_string());
    line("from", letter.from.as_deref().unwrap_or("outside"));
    line("message", &letter.message);
    line(
        "replay",
        if letter.replayable {
            "possible"
        } else {
            "not possible"
        },
    );
    if !detail.content.is_null() {
        line("content", &detail.content.to_string());
    }
    text
}

async fn purge(
    global: &Global,
    client: &NodeClient,
    output: Output,
    id: Option<u64>,
) -> Result<(), Stop> {
    let (what, path) = match id {
        Some(id) => (
            format!("dead letter {id}"),
            format!("/v1/dead-letters/{id}"),
        ),
        None => ("all dead letters".to_owned(), "/v1/dead-letters".to_owned()),
    };
    confirm(global, &format!("forget {what} at {}", client.address()))?;
    let answer: PurgeAnswer = client.delete(&path).await?;
    output.document(&answer, || {
        format!("{} forgotten\n", count(answer.purged, "dead letter"))
    })?;
    Ok(())
}
