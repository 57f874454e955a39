//! The journal, read-only, and the past of durable agents. What reads a disk runs where that may block.

use super::jobs::no_journal;
use super::path_of;
use crate::api::fault::Fault;
use crate::api::input::{JsonBody, NoBody, QueryOf};
use crate::api::server::Api;
use crate::api::types::{
    HistoryAnswer, HistoryQuery, JournalEventsAnswer, JournalEventsQuery, JournalExportAnswer,
    JournalExportRequest, JournalHeadsAnswer, JournalHeadsQuery, JournalReport, PastStateAnswer,
    StateQuery,
};
use crate::node::{Moment, NoJournal, PastRefused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use std::path::PathBuf;
use swarm_actors::journal::{Bounds, Journal, JournalError, Seq, StreamName};
use swarm_journal::DiskJournal;
use swarm_journal::tools::ExportError;

/// How many streams or events one answer has.
const LIMIT: usize = 1000;

pub(in crate::api) async fn heads(
    State(api): State<Api>,
    QueryOf(query): QueryOf<JournalHeadsQuery>,
) -> Result<Json<JournalHeadsAnswer>, Fault> {
    let after = query.after.as_deref().map(stream_of).transpose()?;
    let limit = query.limit.unwrap_or(LIMIT).min(LIMIT);
    let heads = with(&api, move |journal| journal.heads(after.as_ref(), limit)).await?;
    let heads = heads.map_err(|error| unreadable(&error))?;
    Ok(Json(JournalHeadsAnswer {
        streams: heads.iter().map(Into::into).collect(),
    }))
}

pub(in crate::api) async fn events(
    State(api): State<Api>,
    QueryOf(query): QueryOf<JournalEventsQuery>,
) -> Result<Json<JournalEventsAnswer>, Fault> {
    let stream = stream_of(&query.stream)?;
    let limit = query.limit.unwrap_or(LIMIT).min(LIMIT);
    let bounds = Bounds::from(query.from.unwrap_or(1)).limit(limit);
    let replay = with(&api, move |journal| journal.read(&stream, bounds)).await?;
    let replay = replay.map_err(|error| unreadable(&error))?;
    Ok(Json(JournalEventsAnswer {
        last_seq: replay.highest.0,
        events: replay.events.iter().map(Into::into).collect(),
    }))
}

pub(in crate::api) async fn verify(
    State(api): State<Api>,
    NoBody: NoBody,
) -> Result<Json<JournalReport>, Fault> {
    let report = with(&api, |journal| journal.verify(&mut |_, _| {})).await?;
    let report = report.map_err(|error| unreadable(&error))?;
    Ok(Json(JournalReport::from(&report)))
}

pub(in crate::api) async fn export(
    State(api): State<Api>,
    JsonBody(request): JsonBody<JournalExportRequest>,
) -> Result<Json<JournalExportAnswer>, Fault> {
    let to = PathBuf::from(&request.to);
    if !to.is_absolute() {
        return Err(Fault::invalid(
            "to",
            format!("{} is no absolute path", request.to),
            "for example /var/backups/swarm/monday",
        ));
    }
    let done = with(&api, move |journal| journal.export(&to, &mut |_, _| {})).await?;
    let done = done.map_err(|error| match error {
        ExportError::Journal(error) => unreadable(&error),
        ExportError::NotEmpty(_) => Fault::new(
            StatusCode::CONFLICT,
            "not-empty",
            error.to_string(),
            "give an empty or new folder",
        ),
        ExportError::NoExport { .. } | ExportError::Differs(_) | ExportError::Io { .. } => {
            Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "not-exported",
                error.to_string(),
                "check the folder's disk, owner and mode",
            )
        }
    })?;
    Ok(Json(JournalExportAnswer {
        streams: done.streams,
        events: done.events,
        bytes: done.bytes,
    }))
}

pub(in crate::api) async fn history(
    State(api): State<Api>,
    QueryOf(query): QueryOf<HistoryQuery>,
) -> Result<Json<HistoryAnswer>, Fault> {
    let path = path_of(&query.path)?;
    let from = Seq(query.from.unwrap_or(1));
    let limit = query.limit.unwrap_or(LIMIT).min(LIMIT);
    let node = api.node.clone();
    let past = with_contents(&api, move |journal| {
        node.history(journal, &path, from, limit)
    });
    let past = past.await?.map_err(|error| no_past(&error))?;
    Ok(Json(HistoryAnswer::of(&query.path, &past)))
}

pub(in crate::api) async fn state(
    State(api): State<Api>,
    QueryOf(query): QueryOf<StateQuery>,
) -> Result<Json<PastStateAnswer>, Fault> {
    let path = path_of(&query.path)?;
    let moment = match (query.seq, query.at.as_deref()) {
        (None, None) => Moment::Now,
        (Some(seq), None) => Moment::Seq(Seq(seq)),
        (None, Some(at)) => Moment::At(time_of(at)?),
        (Some(_), Some(_)) => {
            return Err(Fault::invalid(
                "at",
                "a number was given as well",
                "give one of seq and at",
            ));
        }
    };
    let node = api.node.clone();
    let then = with_contents(&api, move |journal| node.state_at(journal, &path, moment));
    let then = then.await?.map_err(|error| no_past(&error))?;
    Ok(Json(PastStateAnswer {
        path: query.path,
        seq: then.seq.0,
        state: then.state,
    }))
}

/// Reads the contents of the node's journal, opened where they are sealed, where that may block.
async fn with_contents<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&dyn Journal) -> T + Send + 'static,
) -> Result<T, Fault> {
    let node = api.node.clone();
    node.existing_journal().await.map_err(no_journal)?;
    let journal = node.journal().ok_or(NoJournal::NeverUsed);
    let journal = journal.map_err(no_journal)?;
    let work = tokio::task::spawn_blocking(move || read(&*journal));
    work.await.map_err(|error| cut_off(&error))
}

/// Reads the node's journal as it is on disk, where that may block.
async fn with<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&DiskJournal) -> T + Send + 'static,
) -> Result<T, Fault> {
    let journal = api.node.existing_journal().await.map_err(no_journal)?;
    let work = tokio::task::spawn_blocking(move || read(&journal));
    work.await.map_err(|error| cut_off(&error))
}

fn cut_off(error: &tokio::task::JoinError) -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "journal-failed",
        error.to_string(),
        "look at the node's log",
    )
}

fn stream_of(text: &str) -> Result<StreamName, Fault> {
    StreamName::new(text)
        .map_err(|error| Fault::invalid("stream", error, "`swarmctl journal heads` lists them"))
}

fn time_of(text: &str) -> Result<u64, Fault> {
    let parsed = text.parse::<Timestamp>();
    let at = parsed.map_err(|error| Fault::invalid("at", error, "at=2026-11-21T20:15:00Z"))?;
    Ok(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

fn unreadable(error: &JournalError) -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        match error {
            JournalError::Damaged(_) => "journal-damaged",
            _ => "journal-failed",
        },
        error.to_string(),
        "swarmctl journal verify",
    )
}

fn no_past(error: &PastRefused) -> Fault {
    let (status, code, next_step) = match error {
        PastRefused::NoAgent(_) => (
            StatusCode::NOT_FOUND,
            "no-such-actor",
            "`swarmctl actor ls` lists the actors",
        ),
        PastRefused::NotDurable(_) | PastRefused::Config { .. } => (
            StatusCode::CONFLICT,
            "not-durable",
            "`swarmctl journal heads` lists what is recorded",
        ),
        PastRefused::Recovery(_) => (
            StatusCode::CONFLICT,
            "no-such-state",
            "`swarmctl journal verify`; events before a snapshot may have been truncated",
        ),
        PastRefused::Journal(error) => return unreadable(error),
    };
    Fault::new(status, code, error.to_string(), next_step)
}
