//! `events`.

use super::stream::Stream;
use crate::cli::{Events, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table, printable};
use swarm_runtime::api::types::{EventRecord, EventsAnswer, EventsQuery};

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
            ("NODE", Align::Left),
            ("KIND", Align::Left),
            ("PATH", Align::Left),
            ("LIFE", Align::Right),
            ("REASON", Align::Left),
        ]);
        for event in &records {
            table.row(vec![
                event.seq.to_string(),
                event.at.to_string(),
                event.node.clone(),
                event.kind.clone(),
                event.path.clone().unwrap_or_default(),
                event.incarnation.map(|n| n.to_string()).unwrap_or_default(),
                event.reason.clone().unwrap_or_default(),
            ]);
        }
        table
    })?;
    output.unanswered(&answer.unanswered);
    if answer.missed > 0 {
        output.note(&format!(
            "{} older events are no longer in the nodes' histories",
            answer.missed
        ));
    }
    Ok(ExitStatus::Done)
}

async fn follow(client: &NodeClient, output: Output, events: &Events) -> Result<ExitStatus, Stop> {
    let query = EventsQuery {
        after: events.after,
        limit: None,
    };
    let stream = Stream {
        path: "/v1/events",
        query: &query,
        event: "swarm",
        what: "events",
        limit: events.limit,
    };
    let wanted = |event: &EventRecord| is_wanted(event, events).then(|| line(event));
    stream.follow(client, output, wanted).await
}

fn line(event: &EventRecord) -> String {
    let part = |text: Option<&str>| text.map(|text| format!(" {text}")).unwrap_or_default();
    let life = event
        .incarnation
        .map(|n| format!("#{n}"))
        .unwrap_or_default();
    printable(&format!(
        "{} {}{}{life}{}",
        event.at,
        event.kind,
        part(event.path.as_deref()),
        part(event.reason.as_deref())
    ))
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
