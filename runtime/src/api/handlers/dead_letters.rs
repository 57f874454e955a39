//! Dead letters: seen, replayed, removed.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::NoBody;
use crate::api::server::Api;
use crate::api::types::{DeadLetterDetail, DeadLettersAnswer, PurgeAnswer, ReplayAnswer};
use crate::api::view;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use swarm_actors::ReplayError;

fn number(text: &str) -> Result<u64, Fault> {
    text.parse().map_err(|_| no_such_letter(text))
}

fn no_such_letter(id: impl std::fmt::Display) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "no-such-dead-letter",
        format!("there is no dead letter {id}"),
        "`swarmctl deadletter ls` lists them",
    )
}

pub(in crate::api) async fn list(State(api): State<Api>, scope: Scope) -> Json<DeadLettersAnswer> {
    let others: Gathered<DeadLettersAnswer> =
        fanout::gather(&api, scope, "/v1/dead-letters", &()).await;
    let letters = api.node.system().dead_letters();
    let mut answer = DeadLettersAnswer {
        dead_letters: letters
            .list()
            .iter()
            .map(|letter| view::dead_letter(letter, api.node.name()))
            .collect(),
        dropped: letters.evicted(),
        unanswered: others.unanswered,
    };
    for (_, other) in others.answers {
        answer.dropped += other.dropped;
        answer.dead_letters.extend(other.dead_letters);
    }
    // Each node's own are in order of their deaths; equal times keep that.
    answer.dead_letters.sort_by_key(|letter| letter.at);
    Json(answer)
}

pub(in crate::api) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<DeadLetterDetail>, Fault> {
    let id = number(&id)?;
    let letter = api
        .node
        .system()
        .dead_letters()
        .get(id)
        .ok_or_else(|| no_such_letter(id))?;
    Ok(Json(view::dead_letter_detail(&letter, api.node.name())))
}

pub(in crate::api) async fn replay(
    State(api): State<Api>,
    Path(id): Path<String>,
    NoBody: NoBody,
) -> Result<Json<ReplayAnswer>, Fault> {
    let id = number(&id)?;
    let letter = api
        .node
        .system()
        .dead_letters()
        .get(id)
        .ok_or_else(|| no_such_letter(id))?;
    api.node
        .system()
        .replay(id)
        .map_err(|error| not_replayed(id, &error))?;
    Ok(Json(ReplayAnswer {
        id,
        to: letter.receiver.to_string(),
        accepted: true,
    }))
}

pub(in crate::api) async fn purge(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<PurgeAnswer>, Fault> {
    let id = number(&id)?;
    if !api.node.system().dead_letters().purge(id) {
        return Err(no_such_letter(id));
    }
    Ok(Json(PurgeAnswer { purged: 1 }))
}

pub(in crate::api) async fn purge_all(State(api): State<Api>) -> Json<PurgeAnswer> {
    Json(PurgeAnswer {
        purged: api.node.system().dead_letters().purge_all() as u64,
    })
}

fn not_replayed(id: u64, error: &ReplayError) -> Fault {
    match error {
        ReplayError::NotFound(_) => no_such_letter(id),
        ReplayError::NotKept(_) | ReplayError::WrongType(_) => Fault::new(
            StatusCode::CONFLICT,
            "not-replayable",
            error.to_string(),
            "`swarmctl deadletter show` has what was kept; send it again by hand",
        ),
        ReplayError::NoReceiver(_) => Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-actor",
            error.to_string(),
            "start the receiver first; the dead letter is kept",
        ),
        ReplayError::NotTaken(_) => Fault::new(
            StatusCode::CONFLICT,
            "not-taken",
            error.to_string(),
            "try again once the receiver has room; the dead letter is kept",
        ),
    }
}
