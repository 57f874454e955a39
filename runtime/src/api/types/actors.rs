//! Actors: listed, described, acted upon.

use super::Supervision;
use super::Time;
use super::Unanswered;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `GET /v1/actors` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorsQuery {
    /// `path` (default), `mailbox`, `restarts`, `handled` or `age`; all but `path` biggest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// At most so many; never more than 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only members of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only this path and what stands below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
}

/// `GET /v1/actors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActorsAnswer {
    /// The actors, sorted and cut as asked for.
    pub actors: Vec<ActorSummary>,
    /// How many matched before the cut.
    pub total: u64,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// One actor in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActorSummary {
    /// Its place in the tree.
    pub path: String,
    /// `supervisor`, `native`, `ractor`, …
    pub kind: String,
    /// Its state: running, paused, asleep, draining, starting, restarting, stopped or ended.
    pub state: String,
    /// The node it is on.
    pub node: String,
    /// The groups it is a member of.
    pub groups: Vec<String>,
    /// How many times it has been restarted.
    pub restarts: u64,
    /// Messages queued.
    pub mailbox: u64,
    /// Its identity, 32 hexadecimal digits; stable over restarts.
    pub address: String,
    /// Which life this is.
    pub incarnation: u64,
    /// Its registered name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<String>,
    /// For how long this life has been running, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Turns since the actor exists, over all lives.
    #[serde(default)]
    pub handled: u64,
    /// How long the oldest queued message has been waiting.
    #[serde(default)]
    pub mailbox_ms: u64,
}

/// What `GET /v1/actor` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorQuery {
    /// Which one.
    pub path: String,
}

/// `GET /v1/actor?path=`: all that is known of one actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActorDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: ActorSummary,
    /// The path of its supervisor; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<String>,
    /// How its supervisor treats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<ChildSpecSummary>,
    /// What it does as a supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<Supervision>,
    /// The mailbox's bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox_capacity: Option<u64>,
    /// Why its last life ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ExitSummary>,
    /// The message that is being handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnSummary>,
    /// The last messages, oldest first: metadata, never content.
    #[serde(default)]
    pub recent: Vec<RecentMessage>,
    /// Everything else that the actor's kind reports about itself.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub more: Value,
}

/// How a supervisor treats a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSpecSummary {
    /// permanent, transient, temporary.
    pub restart: String,
    /// `brutal_kill`, `infinity` or a duration such as `5s`.
    pub shutdown: String,
    /// worker or supervisor.
    pub child_type: String,
    /// Whether its end can end its supervisor.
    pub significant: bool,
}

/// Why a life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitSummary {
    /// normal, shutdown, killed, error, panic, limit, noproc, unreachable.
    pub kind: String,
    /// The reason in full, for people.
    pub reason: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A turn in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnSummary {
    /// The message's type.
    pub message: String,
    /// How long ago the message was put into the mailbox: the turn has been running for at most so long.
    pub running_ms: u64,
    /// Whether it was seen to hold its thread without yielding.
    pub stuck: bool,
}

/// An entry of the flight recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentMessage {
    /// When its turn began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its type, or its act for an ACL message.
    pub message: String,
}

/// `POST /v1/actor/{kill|stop|restart|pause|resume}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRequest {
    /// Which actor.
    pub path: String,
}

/// What an action on an actor led to, as observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionAnswer {
    /// Which actor.
    pub path: String,
    /// What was done: kill, stop, restart, pause, resume.
    pub action: String,
    /// The actor's state afterwards; `gone` when it exists no longer.
    pub state: String,
    /// The life before.
    pub incarnation_before: u64,
    /// The life afterwards.
    pub incarnation: u64,
}
