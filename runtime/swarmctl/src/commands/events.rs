//! `events`.

use crate::cli::{Events, Format, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::{Output, write_stdout};
use crate::table::{Align, Table, printable};
use futures_util::StreamExt;
use swarm_runtime::api::types::{EventRecord, EventsAnswer, EventsQuery, LaggedRecord};

pub(crate) async fn run(
    global: &Global,
    output: Output,
    events: &Events,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    if events.follow {
        follow(&client, output, events).await
    } else {
        list(&client, output, events).await
    }
}

async fn list(client: &NodeClient, output: Output, events: &Events) -> Result<ExitStatus, Stop> {
    let query = EventsQuery {
        after: events.after,
        limit: events.limit,
    };
    let answer: EventsAnswer = client.get("/v1/events", &query).await?;
    let records: Vec<_> = answer
        .events
        .into_iter()
        .filter(|event| is_wanted(event, events))
        .collect();
    output.list(&records, || {
        let mut table = Table::new(&[
            ("SEQ", Align::Right),
            ("TIME", Align::Left),
            ("KIND", Align::Left),
            ("PATH", Align::Left),
            ("LIFE", Align::Right),
            ("REASON", Align::Left),
        ]);
        for event in &records {
            table.row(vec![
                event.seq.to_string(),
                event.at.to_string(),
                event.kind.clone(),
                event.path.clone().unwrap_or_default(),
                event.incarnation.map(|n| n.to_string()).unwrap_or_default(),
                event.reason.clone().unwrap_or_default(),
            ]);
        }
        table
    })?;
    if answer.missed > 0 {
        output.note(&format!(
            "{} older events are no longer in the node's history",
            answer.missed
        ));
    }
    Ok(ExitStatus::Done)
}

async fn follow(client: &NodeClient, output: Output, events: &Events) -> Result<ExitStatus, Stop> {
    if output.format == Format::Json {
        return Err(
            Failure::usage("a stream has no end, so it is no JSON document", "-o jsonl").into(),
        );
    }
    let query = EventsQuery {
        after: events.after,
        limit: None,
    };
    let stream = client.follow("/v1/events", &query).await?;
    let mut stream = std::pin::pin!(stream);
    let mut left = events.limit;
    while left != Some(0) {
        let Some(event) = stream.next().await else {
            return Err(Failure::new(
                ExitStatus::Unreachable,
                "stream-ended",
                format!(
                    "{} ended the stream of events: the node was stopped",
                    client.address()
                ),
                "swarmctl status",
            )
            .into());
        };
        let (name, data) = event?;
        let bad = |_| {
            Failure::new(
                ExitStatus::Failed,
                "bad-event",
                "the node sent an event that this program cannot read",
                "compare swarmctl version with the node's",
            )
        };
        match name.as_str() {
            "swarm" => {
                let event: EventRecord = serde_json::from_str(&data).map_err(bad)?;
                if is_wanted(&event, events) {
                    write_stdout(&line(&event, output, &data))?;
                    left = left.map(|left| left - 1);
                }
            }
            "lagged" => {
                let lagged: LaggedRecord = serde_json::from_str(&data).map_err(bad)?;
                output.note(&format!(
                    "{} events were missed: this program read too slowly",
                    lagged.missed
                ));
            }
            // Newer nodes may say more.
            _ => {}
        }
    }
    Ok(ExitStatus::Done)
}

fn line(event: &EventRecord, output: Output, data: &str) -> String {
    if output.is_json() {
        return format!("{}\n", data.replace('\n', ""));
    }
    let part = |text: Option<&str>| text.map(|text| format!(" {text}")).unwrap_or_default();
    let life = event
        .incarnation
        .map(|n| format!("#{n}"))
        .unwrap_or_default();
    let text = format!(
        "{} {}{}{life}{}",
        event.at,
        event.kind,
        part(event.path.as_deref()),
        part(event.reason.as_deref())
    );
    format!("{}\n", printable(&text))
}

fn is_wanted(event: &EventRecord, asked: &Events) -> bool {
    let is_kind = asked.kind.as_ref().is_none_or(|kind| &event.kind == kind);
    let is_under = asked.under.as_ref().is_none_or(|under| {
        let under = under.trim_end_matches('/');
        event.path.as_deref().is_some_and(|path| {
            path.strip_prefix(under)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    });
    is_kind && is_under
}
