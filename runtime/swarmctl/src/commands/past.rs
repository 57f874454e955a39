//! `actor history` and `actor state`: the past of durable agents.

use super::journal::{open, stopped_failure};
use super::{config, manifest};
use crate::behaviours::behaviours;
use crate::cli::{ActorHistory, ActorState, Global, PastOf};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table, printable};
use jiff::Timestamp;
use serde_json::Value;
use std::path::Path as FilePath;
use std::sync::Arc;
use swarm_actors::journal::Seq;
use swarm_journal::directory_in;
use swarm_journal::seal::{Keys, SealedJournal};
use swarm_protocols::Path;
use swarm_runtime::api::types::{
    HistoryAnswer, HistoryEvent, HistoryQuery, PastStateAnswer, StateQuery,
};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{self, Behaviours, Moment, PastRefused};

/// How many events one request to a node asks for.
const PAGE: usize = 1000;

pub(super) async fn history(
    global: &Global,
    output: Output,
    asked: &ActorHistory,
) -> Result<ExitStatus, Stop> {
    let answer = match Stopped::of(&asked.past)? {
        Some(stopped) => {
            let path = path_of(&asked.path)?;
            let past = node::history(
                &stopped.manifest,
                &stopped.behaviours,
                &stopped.journal,
                &path,
                Seq(asked.from),
                asked.limit,
            );
            HistoryAnswer::of(&asked.path, &past.map_err(|error| refused(&error))?)
        }
        None => pages(&NodeClient::new(global)?, asked).await?,
    };
    if answer.truncated >= asked.from && !output.is_json() {
        output.note(&format!(
            "events up to {} are truncated; the state that they led to is in a snapshot",
            answer.truncated
        ));
    }
    output.list(&answer.events, || table(&answer.events))?;
    Ok(ExitStatus::Done)
}

async fn pages(client: &NodeClient, asked: &ActorHistory) -> Result<HistoryAnswer, Failure> {
    let mut whole: Option<HistoryAnswer> = None;
    let (mut from, mut left) = (asked.from, asked.limit);
    loop {
        let query = HistoryQuery {
            path: asked.path.clone(),
            from: Some(from),
            limit: Some(left.min(PAGE)),
        };
        let page: HistoryAnswer = client.get("/v1/actor/history", &query).await?;
        let (count, last) = (page.events.len(), page.events.last().map(|event| event.seq));
        match &mut whole {
            Some(whole) => whole.events.extend(page.events),
            None => whole = Some(page),
        }
        left -= count.min(left);
        from = last.unwrap_or(from) + 1;
        if (left == 0 || count < PAGE)
            && let Some(whole) = whole.take()
        {
            return Ok(whole);
        }
    }
}

fn table(events: &[HistoryEvent]) -> Table {
    let mut table = Table::new(&[
        ("SEQ", Align::Right),
        ("AT", Align::Left),
        ("EVENT", Align::Left),
    ]);
    for event in events {
        let text = match &event.unreadable {
            Some(why) => format!("({why})"),
            None => {
                let texts: Vec<String> = event.events.iter().map(Value::to_string).collect();
                texts.join(" ")
            }
        };
        table.row(vec![
            event.seq.to_string(),
            event.at.to_string(),
            printable(&text),
        ]);
    }
    table
}

pub(super) async fn state(
    global: &Global,
    output: Output,
    asked: &ActorState,
) -> Result<ExitStatus, Stop> {
    let moment = moment_of(asked.at.as_deref())?;
    let answer = match Stopped::of(&asked.past)? {
        Some(stopped) => {
            let path = path_of(&asked.path)?;
            let then = node::state_at(
                &stopped.manifest,
                &stopped.behaviours,
                &stopped.journal,
                &path,
                moment,
            )
            .map_err(|error| refused(&error))?;
            PastStateAnswer {
                path: asked.path.clone(),
                seq: then.seq.0,
                state: then.state,
            }
        }
        None => {
            let query = StateQuery {
                path: asked.path.clone(),
                seq: match moment {
                    Moment::Seq(seq) => Some(seq.0),
                    Moment::Now | Moment::At(_) => None,
                },
                at: match moment {
                    Moment::At(_) => asked.at.clone(),
                    Moment::Now | Moment::Seq(_) => None,
                },
            };
            let client = NodeClient::new(global)?;
            client.get("/v1/actor/state", &query).await?
        }
    };
    output.document(&answer, || {
        let state = serde_json::to_string_pretty(&answer.state).unwrap_or_default();
        format!("{} after event {}:\n{state}\n", answer.path, answer.seq)
    })?;
    Ok(ExitStatus::Done)
}

fn moment_of(at: Option<&str>) -> Result<Moment, Failure> {
    let Some(text) = at else {
        return Ok(Moment::Now);
    };
    if let Ok(seq) = text.parse() {
        return Ok(Moment::Seq(Seq(seq)));
    }
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(Moment::At(u64::try_from(at.as_millisecond()).unwrap_or(0))),
        Err(error) => Err(Failure::usage(
            format!("--at {text:?} is neither the number of an event nor a time: {error}"),
            "--at 17, or --at 2026-11-21T20:15:00Z",
        )),
    }
}

fn path_of(text: &str) -> Result<Path, Failure> {
    Path::new(text)
        .map_err(|error| Failure::usage(format!("{text:?}: {error}"), "a path looks like /counter"))
}

/// The journal of a node that is stopped, and what can read it.
struct Stopped {
    manifest: Manifest,
    behaviours: Behaviours,
    journal: SealedJournal,
}

impl Stopped {
    fn of(past: &PastOf) -> Result<Option<Self>, Failure> {
        let (Some(data), Some(file)) = (&past.data, &past.manifest) else {
            return Ok(None);
        };
        let keys = match config::journal_keys(past.journal_keys.as_deref()) {
            Some(file) => Keys::read(&file).map_err(|error| {
                Failure::new(
                    ExitStatus::Usage,
                    "bad-keys",
                    error.to_string(),
                    "each line of the file is CATEGORY NUMBER KEY, see docs/durability.md",
                )
            })?,
            None => Keys::none(),
        };
        let disk = open(&directory_in(FilePath::new(data)))?;
        Ok(Some(Self {
            manifest: manifest::load(file, ExitStatus::Usage)?,
            behaviours: behaviours(None)?,
            journal: SealedJournal::new(Arc::new(disk), Arc::new(keys)),
        }))
    }
}

fn refused(error: &PastRefused) -> Failure {
    match error {
        PastRefused::NoAgent(_) => Failure::new(
            ExitStatus::NotFound,
            "no-such-actor",
            error.to_string(),
            "swarmctl validate shows the manifest's agents",
        ),
        PastRefused::NotDurable(_) | PastRefused::Config { .. } => Failure::new(
            ExitStatus::Refused,
            "not-durable",
            error.to_string(),
            "swarmctl journal heads lists what is recorded",
        ),
        PastRefused::Recovery(_) => Failure::new(
            ExitStatus::Refused,
            "no-such-state",
            error.to_string(),
            "swarmctl journal verify; events before a snapshot may have been truncated",
        ),
        PastRefused::Journal(error) => stopped_failure(error),
    }
}
