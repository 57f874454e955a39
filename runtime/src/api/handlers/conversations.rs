//! Conversations: listed, looked at, followed, and a contract net for a caller that is no agent.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::{JsonBody, QueryOf, page_of, wants_stream};
use crate::api::server::Api;
use crate::api::types::{
    CfpAnswer, CfpBid, CfpRequest, ConversationDetail, ConversationQuery, ConversationsAnswer,
    ConversationsQuery, LaggedRecord,
};
use crate::api::view::conversations as view;
use crate::dispatch::rank;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::AnyRef;
use swarm_actors::conversation::{Answers, Followed, RunError};
use swarm_protocols::interaction::{
    About, Decision, Opening, Outcome, PARTICIPANTS_MAX, Part, Proposal, Question, Rules,
};
use swarm_protocols::{AclMessage, Aid, ConversationId, Name};
use tokio::sync::{broadcast, watch};

/// Conversations in one answer unless asked otherwise.
const LIMIT: usize = 1_000;
/// Conversations in one answer.
const LIMIT_MAX: usize = 10_000;
/// How long the members have for their bids unless the call says so.
const DEADLINE_MS: u64 = 2_000;
/// How long those that were awarded have unless the call says so.
const RESULT_MS: u64 = 60_000;
/// The longest of both.
const TIME_MS_MAX: u64 = 24 * 3600 * 1000;
/// How much longer the answer is waited for than the conversation lasts.
const GRACE: Duration = Duration::from_secs(5);
/// The language of tasks.
const LANGUAGE: &str = "application/json";

pub(in crate::api) async fn list(
    State(api): State<Api>,
    scope: Scope,
    headers: HeaderMap,
    QueryOf(query): QueryOf<ConversationsQuery>,
) -> Result<Response, Fault> {
    let limit = page_of(query.limit, LIMIT, LIMIT_MAX)?;
    if wants_stream(&headers) {
        return Ok(follow(&api).into_response());
    }
    let book = api.node.conversations();
    let mut views = book.list();
    views.retain(|view| {
        let is_protocol = query
            .protocol
            .as_ref()
            .is_none_or(|protocol| view.protocol.eq_ignore_ascii_case(protocol));
        let is_state = query.state.as_ref().is_none_or(|state| {
            *state == view.state || (state == "open" && view.outcome.is_none())
        });
        is_protocol && is_state
    });
    views.sort_by(|a, b| {
        (a.opened_ms, &a.id, a.role, &a.agent).cmp(&(b.opened_ms, &b.id, b.role, &b.agent))
    });
    let first = views.len().saturating_sub(limit);
    let node = api.node.name();
    let mut answer = ConversationsAnswer {
        conversations: views[first..]
            .iter()
            .map(|view| view::summary(view, node))
            .collect(),
        counts: view::counts(book.counts()),
        unanswered: Vec::new(),
    };
    let others: Gathered<ConversationsAnswer> =
        fanout::gather(&api, scope, "/v1/conversations", &query).await;
    answer.unanswered = others.unanswered;
    if !others.answers.is_empty() {
        for (_, other) in others.answers {
            view::add(&mut answer.counts, &other.counts);
            answer.conversations.extend(other.conversations);
        }
        answer.conversations.sort_by(|a, b| {
            (a.opened_at, &a.id, &a.role, &a.agent).cmp(&(b.opened_at, &b.id, &b.role, &b.agent))
        });
        let first = answer.conversations.len().saturating_sub(limit);
        answer.conversations.drain(..first);
    }
    Ok(Json(answer).into_response())
}

pub(in crate::api) async fn show(
    State(api): State<Api>,
    scope: Scope,
    QueryOf(query): QueryOf<ConversationQuery>,
) -> Result<Json<ConversationDetail>, Fault> {
    let id = ConversationId::from(query.id.as_str());
    let views = api.node.conversations().get(&id);
    let others: Gathered<ConversationDetail> =
        fanout::gather(&api, scope, "/v1/conversation", &query).await;
    if views.is_empty() && others.answers.is_empty() {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-conversation",
            format!("there is no conversation {}", query.id),
            "`swarmctl conversation ls` lists those that are open or ended a short time ago",
        ));
    }
    let mut detail = view::detail(&views, api.node.name());
    for (_, other) in others.answers {
        view::join(&mut detail, other);
    }
    detail.unanswered = others.unanswered;
    detail
        .unanswered
        .retain(|other| other.why != fanout::NOT_THERE);
    Ok(Json(detail))
}

/// What is said from now on, each message once: as its sender sent it.
fn follow(api: &Api) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>> {
    let live = api.node.conversations().follow();
    let state = (live, api.stopping.clone());
    let events = stream::unfold(state, |(mut live, mut stopping)| async move {
        let event = next(&mut live, &mut stopping).await?;
        Some((Ok(event), (live, stopping)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn next(
    live: &mut broadcast::Receiver<Followed>,
    stopping: &mut watch::Receiver<bool>,
) -> Option<SseEvent> {
    loop {
        let followed = tokio::select! {
            followed = live.recv() => followed,
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        match followed {
            Ok(step) if step.is_first => {
                let message = view::message(&step.conversation, &step.message);
                return Some(sse("message", &message));
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                return Some(sse("lagged", &LaggedRecord { missed }));
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

fn sse(name: &str, data: &impl serde::Serialize) -> SseEvent {
    SseEvent::default()
        .event(name)
        .data(serde_json::to_string(data).unwrap_or_default())
}

fn time(field: &str, asked: Option<u64>, default: u64) -> Result<Duration, Fault> {
    let ms = asked.unwrap_or(default);
    if (1..=TIME_MS_MAX).contains(&ms) {
        Ok(Duration::from_millis(ms))
    } else {
        Err(Fault::invalid(
            field,
            format!("{ms} is not within 1 to {TIME_MS_MAX}"),
            format!("for example {default}"),
        ))
    }
}

pub(in crate::api) async fn cfp(
    State(api): State<Api>,
    JsonBody(asked): JsonBody<CfpRequest>,
) -> Result<Json<CfpAnswer>, Fault> {
    let group = Name::new(&asked.group)
        .map_err(|error| Fault::invalid("group", error, "for example workers"))?;
    let reply_within = time("deadline_ms", asked.deadline_ms, DEADLINE_MS)?;
    let result_within = time("result_ms", asked.result_ms, RESULT_MS)?;
    let members = members(&api, &group)?;
    let expires_in = reply_within + result_within.saturating_mul(2) + GRACE;
    let id = format!("cfp.{:016x}", api.node.system().random());
    let opening = Opening {
        reply_within: Some(reply_within),
        result_within: Some(result_within),
        expires_in: Some(expires_in),
        ..Opening::new(
            id.as_str(),
            Aid::named(""),
            members.iter().map(|(aid, _)| aid.clone()).collect(),
            Rules::ContractNet,
            About {
                content: json!({ "task": asked.task, "input": asked.content })
                    .to_string()
                    .into_bytes(),
                language: Some(LANGUAGE.into()),
                ..About::default()
            },
        )
    };
    let bids = Arc::new(Mutex::new(Vec::new()));
    let answers = award(&asked, opening.about.content.clone(), bids.clone());
    let places = members.iter().map(|(_, member)| member.clone()).collect();
    let start = Instant::now();
    let outcome = api
        .node
        .caller()
        .await
        .map_err(|error| unavailable("no-tree", &error))?
        .run(opening, places, answers, expires_in + GRACE)
        .await
        .map_err(|error| match error {
            RunError::NotOpened(why) => unavailable("refused", &why),
            RunError::NoAnswer(why) => unavailable("no-answer", &why),
        })?;
    let bids = std::mem::take(&mut *bids.lock());
    Ok(Json(CfpAnswer {
        conversation: id,
        end: outcome.end.to_string(),
        bids: parts(&members, &bids, outcome),
        ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

fn unavailable(code: &str, why: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        StatusCode::SERVICE_UNAVAILABLE,
        code,
        why.to_string(),
        "`swarmctl status` shows the node's state",
    )
}

/// The members of a group that can be called: the protocol actor that speaks for one, else the agent itself. Of several with
/// the same name only the first can be told apart.
fn members(api: &Api, group: &Name) -> Result<Vec<(Aid, AnyRef)>, Fault> {
    let mut members: Vec<(Aid, AnyRef)> = Vec::new();
    for member in api.node.system().group(group) {
        let speaker = api.node.conversations().speaker_of(member.address());
        let called = speaker.unwrap_or(member);
        let aid = called.aid();
        if members.iter().all(|(other, _)| *other != aid) {
            members.push((aid, called));
        }
    }
    members.sort_by(|a, b| a.0.cmp(&b.0));
    members.truncate(PARTICIPANTS_MAX);
    if members.is_empty() {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-group",
            format!("group {group} has no member"),
            "`swarmctl actor ls` shows the groups of the actors",
        ));
    }
    Ok(members)
}

/// Accepts the best bids, and notes all of them, best first.
fn award(asked: &CfpRequest, content: Vec<u8>, bids: Arc<Mutex<Vec<Proposal>>>) -> Answers {
    let count = asked.accept.unwrap_or(1) as usize;
    let with_reserve = asked.reserve;
    Arc::new(move |question| {
        let Question::Evaluate(proposals) = question else {
            return None;
        };
        let order = rank(proposals);
        *bids.lock() = order
            .iter()
            .filter_map(|bidder| proposals.iter().find(|p| p.bidder == *bidder).cloned())
            .collect();
        let (accept, rest) = order.split_at(count.min(order.len()));
        Some(Decision::Award {
            accept: accept.to_vec(),
            reserve: if with_reserve {
                rest.to_vec()
            } else {
                Vec::new()
            },
            content: content.clone(),
        })
    })
}

/// Each member's part: those that bid in the order of their bids, then the others.
fn parts(members: &[(Aid, AnyRef)], bids: &[Proposal], outcome: Outcome) -> Vec<CfpBid> {
    let place = |part: &Part| {
        bids.iter()
            .position(|bid| bid.participant == part.participant)
    };
    let mut parts = outcome.parts;
    parts.sort_by_key(|part| place(part).unwrap_or(usize::MAX));
    parts
        .into_iter()
        .map(|part| {
            let bid = place(&part).map(|at| &bids[at].message);
            let path = members
                .iter()
                .find(|(aid, _)| *aid == part.participant)
                .map(|(_, member)| member.path().to_string());
            // What ended it is its result, unless it is the bid itself: then it was rejected.
            let result = part
                .message
                .as_ref()
                .filter(|message| bid.is_none_or(|bid| !Arc::ptr_eq(bid, message)));
            CfpBid {
                awarded: bid.is_some() && part.end != swarm_protocols::interaction::End::Rejected,
                bid: bid.map(|bid| content_of(bid)),
                result: result.map(|message| content_of(message)),
                end: part.end.to_string(),
                bidder: part.participant.name.into(),
                path: path.unwrap_or_default(),
            }
        })
        .collect()
}

fn content_of(message: &AclMessage) -> Value {
    let text = String::from_utf8_lossy(message.content.as_deref().unwrap_or_default());
    serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()))
}
