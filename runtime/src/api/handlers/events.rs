//! What happened: a page of it, or a stream.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::{QueryOf, page_of, wants_stream};
use crate::api::server::Api;
use crate::api::types::{EventsAnswer, EventsQuery, LaggedRecord};
use crate::api::view;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use swarm_actors::Event;
use tokio::sync::{broadcast, watch};

/// Events in one page unless asked otherwise.
const LIMIT: usize = 1_000;
/// Events in one page.
const LIMIT_MAX: usize = 10_000;

pub(in crate::api) async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
    scope: Scope,
    QueryOf(query): QueryOf<EventsQuery>,
) -> Result<Response, Fault> {
    let limit = page_of(query.limit, LIMIT, LIMIT_MAX)?;
    if wants_stream(&headers) {
        // A client that reconnects says where it was.
        let resumed = headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok());
        return Ok(follow(&api, resumed.or(query.after)).into_response());
    }
    // Numbers count on one node each.
    let scope = match query.after {
        None => scope,
        Some(_) => Scope::Node,
    };
    let others: Gathered<EventsAnswer> = fanout::gather(&api, scope, "/v1/events", &query).await;
    let after = query.after.unwrap_or(0);
    let stream = api.node.system().events();
    let found = stream.since(after, limit);
    let node = api.node.name().as_str();
    let missed = found
        .first()
        .map_or(0, |first| first.seq.saturating_sub(after + 1));
    let mut answer = EventsAnswer {
        next: found.last().map_or(after, |last| last.seq),
        missed,
        events: found.iter().map(|event| view::event(node, event)).collect(),
        unanswered: others.unanswered,
    };
    for (_, other) in others.answers {
        answer.missed += other.missed;
        answer.events.extend(other.events);
    }
    // Each node's own are in order; equal times keep that.
    answer.events.sort_by_key(|event| event.at);
    if answer.events.len() > limit {
        answer.events.truncate(limit);
        let own = answer.events.iter().rev().find(|event| event.node == node);
        answer.next = own.map_or(after, |last| last.seq);
    }
    Ok(Json(answer).into_response())
}

/// A client that follows. It reads from the history as long as that reaches, so a client that is slow for a while
/// misses nothing; one that is slow for longer is told how much it missed.
struct Follower {
    api: Api,
    live: broadcast::Receiver<Arc<Event>>,
    waiting: VecDeque<Arc<Event>>,
    seen: u64,
    stopping: watch::Receiver<bool>,
}

fn follow(
    api: &Api,
    after: Option<u64>,
) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>> {
    let events = api.node.system().events();
    // Subscribed before the history is read: what happens in between is in both and told once.
    let live = events.subscribe();
    let seen = after.unwrap_or_else(|| events.last_seq());
    let follower = Follower {
        api: api.clone(),
        live,
        waiting: VecDeque::new(),
        seen,
        stopping: api.stopping.clone(),
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Follower {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                let missed = event.seq.saturating_sub(self.seen + 1);
                if missed > 0 {
                    self.seen = event.seq - 1;
                    self.waiting.push_front(event);
                    return Some(sse("lagged", None, &LaggedRecord { missed }));
                }
                self.seen = event.seq;
                let record = view::event(self.api.node.name().as_str(), &event);
                return Some(sse("swarm", Some(event.seq), &record));
            }
            self.waiting
                .extend(self.api.node.system().events().since(self.seen, LIMIT));
            if !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                // What arrives is only the sign that there is something: the history has it, in order and without gaps.
                woken = self.live.recv() => match woken {
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                // True, or the server is gone.
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
    }
}

fn sse(name: &str, seq: Option<u64>, data: &impl serde::Serialize) -> SseEvent {
    let event = SseEvent::default()
        .event(name)
        .data(serde_json::to_string(data).unwrap_or_default());
    match seq {
        Some(seq) => event.id(seq.to_string()),
        None => event,
    }
}
