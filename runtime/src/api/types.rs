//! The wire form of the API: one type per request and answer, used by the server and by every Rust client.
//!
//! States and kinds are lowercase words, times are RFC 3339, durations are whole milliseconds in a field that ends in
//! `_ms`. Answers may gain fields; requests refuse fields they do not know.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

pub use super::time::Time;

/// The form of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ApiError,
}

/// One failure: what went wrong and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// A stable word in kebab-case; programs decide by it.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do next, for people.
    #[serde(rename = "try")]
    pub next_step: String,
}

/// `GET /livez`: the process turns its loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveAnswer {
    /// Always true; a process that is not live does not answer.
    pub live: bool,
}

/// `GET /readyz`: 200 when the node takes work, 503 when it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAnswer {
    /// Whether it takes work.
    pub ready: bool,
    /// The state that this follows from.
    pub state: NodeState,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// The tree is being started.
    Starting,
    /// The tree runs.
    Running,
    /// The root supervisor gave up or could not be started; `POST /v1/tree/start` starts it again.
    TreeFailed,
    /// The tree is being stopped in order.
    Draining,
    /// The tree has been stopped.
    Stopped,
}

impl NodeState {
    /// The state as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::TreeFailed => "tree-failed",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `GET /v1/status`: one screen about the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The node's name.
    pub node: String,
    /// Where it is in its life.
    pub state: NodeState,
    /// Why the tree failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The program's version.
    pub version: String,
    /// Random per process start.
    pub boot_id: String,
    /// The operating system's process id.
    pub process_id: u32,
    /// When the process started.
    pub started_at: Time,
    /// How long ago that was.
    pub uptime_ms: u64,
    /// Where the API answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The data folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The manifest's file, when the tree came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// How many actors there are.
    pub actors: u64,
    /// How many there are in each state.
    pub actors_by_state: BTreeMap<String, u64>,
    /// Restarts since the tree's start, of the actors that exist now.
    pub restarts: u64,
    /// Restarts in the last five minutes, as far as the event history reaches.
    pub restarts_5m: u64,
    /// Messages queued in all mailboxes.
    pub mailbox: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// What needs attention, one sentence each; empty when nothing does.
    pub alarms: Vec<String>,
}

/// `GET /v1/tree`: an actor and what stands below it, in start order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its path.
    pub path: String,
    /// `supervisor`, `native`, `ractor`, …
    pub kind: String,
    /// Its state.
    pub state: String,
    /// How many times it has been restarted.
    pub restarts: u64,
    /// Messages queued.
    pub mailbox: u64,
    /// Which life this is; 0 when it never lived.
    pub incarnation: u64,
    /// When it is restarted: permanent, transient, temporary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// What a supervisor does when a child dies, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervision: Option<Supervision>,
    /// Its children. Empty too when the depth asked for ends here; then `omitted` counts them.
    #[serde(default)]
    pub children: Vec<TreeNode>,
    /// Children that are not listed because of the depth asked for.
    #[serde(default)]
    pub omitted: u64,
}

/// What `GET /v1/tree` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeQuery {
    /// Where to begin; `/` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many levels below it; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u64>,
}

/// A supervisor's flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// one_for_one, one_for_all, rest_for_one, simple_one_for_one.
    pub strategy: String,
    /// Restarts allowed within the period.
    pub intensity: u32,
    /// The period.
    pub period_ms: u64,
    /// never, any_significant, all_significant.
    pub auto_shutdown: String,
}

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

/// `POST /v1/actor/send`: an ACL message for an actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// To whom.
    pub path: String,
    /// The act; `inform` unless given (`request` for a call).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performative: Option<String>,
    /// What is said. Under the default language any JSON value; under any other a string, sent as its bytes.
    #[serde(default)]
    pub content: Value,
    /// The content's language; `application/json` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The content's ontology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// The interaction protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAnswer {
    /// To whom.
    pub path: String,
    /// The mailbox took it. That it is handled well is not promised.
    pub accepted: bool,
    /// Messages queued there right afterwards.
    pub mailbox: u64,
}

/// `POST /v1/actor/call`: an ACL message that is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// To whom.
    pub path: String,
    /// The act; `request` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performative: Option<String>,
    /// What is said; see [`SendRequest::content`].
    #[serde(default)]
    pub content: Value,
    /// The content's language; `application/json` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The content's ontology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// The interaction protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// How long to wait for the answer; 5000 unless given, at most 600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An actor's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// Who answered.
    pub path: String,
    /// The act: inform, failure, refuse, not-understood, …
    pub performative: String,
    /// What was said: JSON where the language is JSON, else text (bytes that are no UTF-8 replaced).
    pub content: Value,
    /// The content's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// How long it took.
    pub ms: u64,
}

/// What `GET /v1/events` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only events with a greater sequence number.
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
    /// What to give as `after` next time.
    pub next: u64,
    /// Events after `after` that the history no longer holds.
    pub missed: u64,
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
    /// How many were pushed out of the bounded store.
    pub dropped: u64,
}

/// One dead letter in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterSummary {
    /// Its number.
    pub id: u64,
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

/// `POST /v1/chaos`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChaosRequest {
    /// A path (`/pool/worker-1`) or a group (`workers`).
    pub target: String,
    /// kill, panic, hang, slow or full.
    pub fault: String,
    /// Faults per second, above 0 and at most 10000.
    pub rate: f64,
    /// For how long; at most a day.
    pub for_ms: u64,
    /// The seed of the choice of victims; a random one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What a chaos run did. While it is running the counts are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosReport {
    /// The run.
    pub id: u64,
    /// running, finished (its time was over), stopped (by `DELETE`), failed.
    pub state: String,
    /// As asked for.
    pub target: String,
    /// As asked for.
    pub fault: String,
    /// As asked for.
    pub rate: f64,
    /// The seed that repeats it.
    pub seed: u64,
    /// When it began.
    pub started_at: Time,
    /// For how long it has been running, or ran.
    pub ran_ms: u64,
    /// Faults injected.
    pub injected: u64,
    /// Faults that were due when there was no victim to choose.
    pub skipped: u64,
    /// New lives of those that were hit.
    pub restarts: u64,
    /// Those that were hit and did not come back.
    pub not_restarted: u64,
    /// Messages of the whole node that became dead letters meanwhile, those whose turn a fault hit among them.
    pub lost: u64,
    /// What else the engine reports.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub more: Value,
}

/// `POST /v1/tree/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStartAnswer {
    /// The node's state afterwards.
    pub state: NodeState,
    /// Actors in the tree.
    pub actors: u64,
}

/// `POST /v1/jobs`: one job for the workers of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Whose workers.
    pub group: String,
    /// The caller's name for the job; comes back with the result.
    pub id: Value,
    /// What to do.
    pub task: String,
    /// What to do it with.
    #[serde(default)]
    pub input: Value,
    /// After so many attempts that end by panic, error, limit or deadline the job is given up; 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How long one attempt may take; 60000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// The result of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobAnswer {
    /// The caller's name for it.
    pub id: Value,
    /// Whether there is an output.
    pub ok: bool,
    /// What the worker answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why there is no output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// What kind of failure that is: failed, poisoned, bad-job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The path of the last worker.
    #[serde(default)]
    pub worker: Option<String>,
    /// How many workers were given the job.
    pub attempts: u32,
    /// From taking the job to its result.
    pub ms: u64,
}
