//! The journal of a node that runs: read-only, through its API.

use super::rows;
use crate::cli::{Global, Journal, JournalCommand};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::words::count;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use swarm_runtime::api::types::{
    JournalEventsAnswer, JournalEventsQuery, JournalExportAnswer, JournalExportRequest,
    JournalHead, JournalHeadsAnswer, JournalHeadsQuery, JournalReport,
};

/// How many streams or events one request asks for.
const PAGE: usize = 1000;

/// How long reading or copying a whole journal may take.
const WHOLE: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(
    global: &Global,
    output: Output,
    journal: &Journal,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match &journal.command {
        JournalCommand::Verify => verify(&client, output).await,
        JournalCommand::Heads => heads(&client, output).await,
        JournalCommand::Show { stream, at, limit } => {
            show(&client, output, stream, *at, *limit).await
        }
        JournalCommand::Export { to } => export(&client, output, to).await,
        JournalCommand::Import { .. }
        | JournalCommand::Truncate { .. }
        | JournalCommand::Compact
        | JournalCommand::Repair => Err(Failure::usage(
            "a running node's journal can be looked at and exported, and not changed",
            "stop the node, and give its folder with --data DIR instead of --node",
        )
        .into()),
    }
}

async fn verify(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let client = client.with_timeout(WHOLE);
    let report: JournalReport = client.post("/v1/journal/verify", &json!({})).await?;
    output.document(&report, || {
        let verdict = if report.sound { "sound" } else { "damaged" };
        let mut text = format!(
            "{verdict}: {}, {} in {}, {} bytes (at {})\n",
            count(report.streams, "stream"),
            count(report.events, "event"),
            count(report.segments, "segment"),
            report.bytes,
            client.address()
        );
        for damage in &report.damaged {
            text.push_str(&format!(
                "damaged: stream {} from event {} on, {}: {}\n",
                damage.stream.as_deref().unwrap_or("unknown"),
                damage.seq.unwrap_or(0),
                damage.place,
                damage.what
            ));
        }
        text
    })?;
    Ok(if report.sound {
        ExitStatus::Done
    } else {
        ExitStatus::CheckFailed
    })
}

async fn heads(client: &NodeClient, output: Output) -> Result<ExitStatus, Stop> {
    let mut all: Vec<JournalHead> = Vec::new();
    loop {
        let query = JournalHeadsQuery {
            after: all.last().map(|head| head.stream.clone()),
            limit: Some(PAGE),
        };
        let page: JournalHeadsAnswer = client.get("/v1/journal/heads", &query).await?;
        let is_last = page.streams.len() < PAGE;
        all.extend(page.streams);
        if is_last {
            return rows::heads(output, &all);
        }
    }
}

async fn show(
    client: &NodeClient,
    output: Output,
    stream: &str,
    at: Option<u64>,
    limit: usize,
) -> Result<ExitStatus, Stop> {
    let mut events = Vec::new();
    let (mut from, mut left) = at.map_or((1, limit), |at| (at, 1));
    let last_seq = loop {
        let query = JournalEventsQuery {
            stream: stream.to_owned(),
            from: Some(from),
            limit: Some(left.min(PAGE)),
        };
        let page: JournalEventsAnswer = client.get("/v1/journal/events", &query).await?;
        let count = page.events.len();
        events.extend(page.events);
        left -= count.min(left);
        from = events.last().map_or(from, |event| event.seq + 1);
        if left == 0 || count < PAGE {
            break page.last_seq;
        }
    };
    events.retain(|event| at.is_none_or(|at| event.seq == at));
    if let (Some(at), true) = (at, events.is_empty()) {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "event-not-found",
            format!("stream {stream} has no event {at}; its last is {last_seq}"),
            format!("swarmctl journal show {stream} --node {}", client.address()),
        )
        .into());
    }
    rows::events(output, &events)
}

async fn export(client: &NodeClient, output: Output, to: &Path) -> Result<ExitStatus, Stop> {
    let to = std::path::absolute(to).map_err(|error| Failure::file("copy to", to, &error))?;
    let request = JournalExportRequest {
        to: to.to_string_lossy().into_owned(),
    };
    let client = client.with_timeout(WHOLE);
    let done: JournalExportAnswer = client.post("/v1/journal/export", &request).await?;
    let value = json!({
        "done": "exported",
        "to": to,
        "streams": done.streams,
        "events": done.events,
        "bytes": done.bytes,
    });
    output.document(&value, || {
        format!(
            "exported {} with {}, {} bytes, to {} on the node's machine\n",
            count(done.streams, "stream"),
            count(done.events, "event"),
            done.bytes,
            to.display()
        )
    })?;
    Ok(ExitStatus::Done)
}
