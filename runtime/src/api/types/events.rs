//! What happened, and what could not be delivered.

use super::{Time, Unanswered};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `GET /v1/events` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only events with a greater sequence number, of the node that is asked; without it those of all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many, the oldest first; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/events` as one document. With `Accept: text/event-stream` it is a stream instead: each event has the sequence
/// number as `id`, `swarm` as `event` and an [`EventRecord`] as `data`; an event named `lagged` says how many were missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// The events, oldest first.
    pub events: Vec<EventRecord>,
    /// What to give as `after` next time, to the same node.
    pub next: u64,
    /// Events after `after` that the history no longer holds.
    pub missed: u64,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its number on this node, counting up from 1.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The node.
    pub node: String,
    /// What happened, as a stable word: started, exited, restarted, dead-letter, …
    pub kind: String,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In which life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else belongs to an event of this kind.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// The data of the stream event `lagged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaggedRecord {
    /// How many events this client missed because it read too slowly.
    pub missed: u64,
}

/// `GET /v1/dead-letters`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLettersAnswer {
    /// The dead letters kept, oldest first.
    pub dead_letters: Vec<DeadLetterSummary>,
    /// How many were pushed out of the bounded stores.
    pub dropped: u64,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// One dead letter in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterSummary {
    /// Its number, on its node.
    pub id: u64,
    /// The node that keeps it.
    #[serde(default)]
    pub node: String,
    /// When it died.
    pub at: Time,
    /// To whom it was to go.
    pub to: String,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why it died, as a stable word.
    pub reason: String,
    /// The message's type, or its act.
    pub message: String,
    /// Whether it can be replayed.
    pub replayable: bool,
}

/// `GET /v1/dead-letters/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: DeadLetterSummary,
    /// The content, where the message can show it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// Everything else that is known of it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub more: Value,
}

/// `POST /v1/dead-letters/{id}/replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAnswer {
    /// Its number.
    pub id: u64,
    /// Where it went.
    pub to: String,
    /// The mailbox took it; the dead letter is gone.
    pub accepted: bool,
}

/// `DELETE /v1/dead-letters[/{id}]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswer {
    /// How many were removed.
    pub purged: u64,
}
