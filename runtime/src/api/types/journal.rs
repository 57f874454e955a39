//! The journal of a node, and the past of its durable agents.

use super::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `GET /v1/journal/heads` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHeadsQuery {
    /// Streams behind this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/journal/heads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeadsAnswer {
    /// The streams in the order of their names; fewer than the limit when there are no more.
    pub streams: Vec<JournalHead>,
}

/// What is known of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Its name: the path of its agent.
    pub stream: String,
    /// Its last event.
    pub last_seq: u64,
    /// Events up to here are truncated.
    pub truncated: u64,
    /// Its last batch.
    pub last_batch: u64,
    /// The sum of that batch, which holds those of all before it.
    pub hash: String,
    /// The position of its last event in the journal.
    pub position: u64,
    /// Its owner.
    pub epoch: u64,
    /// When its owner wants to be woken.
    #[serde(default)]
    pub wake_at: Option<Time>,
}

/// What `GET /v1/journal/events` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEventsQuery {
    /// Which stream.
    pub stream: String,
    /// The first event; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// At most so many; 1000 unless given, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/journal/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEventsAnswer {
    /// The stream's last event; 0 when it was never written.
    pub last_seq: u64,
    /// The events, in order.
    pub events: Vec<JournalEvent>,
}

/// One event as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEvent {
    /// Its number in its stream.
    pub seq: u64,
    /// Its position in the journal.
    pub position: u64,
    /// When it was written.
    pub at: Time,
    /// Who owned the stream then.
    pub epoch: u64,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub type_id: u32,
    /// Which version of its form.
    pub version: u16,
    /// The command that it is an effect of.
    #[serde(default)]
    pub command: Option<String>,
    /// What it can be found by.
    pub tags: Vec<String>,
    /// Its bytes, in hexadecimal.
    pub payload: String,
}

/// `POST /v1/journal/verify`: whether the journal is sound, as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalReport {
    /// Whether nothing is damaged.
    pub sound: bool,
    /// How many streams there are.
    pub streams: u64,
    /// How many events that are not truncated.
    pub events: u64,
    /// How many segments the log has.
    pub segments: u64,
    /// How many bytes.
    pub bytes: u64,
    /// What is damaged.
    pub damaged: Vec<JournalDamage>,
}

/// One damaged place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalDamage {
    /// Which stream, where that can be told.
    #[serde(default)]
    pub stream: Option<String>,
    /// From which event on.
    #[serde(default)]
    pub seq: Option<u64>,
    /// Where it is.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// `POST /v1/journal/export`: copies the journal as it is at this moment to a folder of the node's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalExportRequest {
    /// The folder, as an absolute path; empty or not there.
    pub to: String,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalExportAnswer {
    /// How many streams.
    pub streams: u64,
    /// How many events.
    pub events: u64,
    /// How many bytes of log.
    pub bytes: u64,
}

/// What `GET /v1/actor/history` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Which durable agent.
    pub path: String,
    /// The first event; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// At most so many; 1000 unless given, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/actor/history`: what happened to a durable agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// Which one.
    pub path: String,
    /// Its last event.
    pub last_seq: u64,
    /// Events up to here are truncated.
    pub truncated: u64,
    /// The events, in order.
    pub events: Vec<HistoryEvent>,
}

/// One event of a durable agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Its number.
    pub seq: u64,
    /// When it was written.
    pub at: Time,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub type_id: u32,
    /// Which version of its form.
    pub version: u16,
    /// The command that it is an effect of.
    #[serde(default)]
    pub command: Option<String>,
    /// What it says; several where an old form has become several events.
    pub events: Vec<Value>,
    /// Why its behaviour cannot read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What `GET /v1/actor/state` takes: a number or a time, or neither for the state as it is in the journal now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateQuery {
    /// Which durable agent.
    pub path: String,
    /// After this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// At this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// `GET /v1/actor/state`: what the state of a durable agent was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastStateAnswer {
    /// Which one.
    pub path: String,
    /// The last event that is in it; 0 for the state before any.
    pub seq: u64,
    /// The state.
    pub state: Value,
}
