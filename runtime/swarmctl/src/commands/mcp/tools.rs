//! What an MCP client can do with a node: each tool is one question to its API.

use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use std::time::Duration;
use swarm_tools::{Call, Effect, Limits, Tool, ToolError};
use tokio::time::Instant;

/// How many entries of a list are asked for when the client does not say. They end up in the context of a model.
const LIMIT_DEFAULT: u64 = 100;
/// How many it may ask for.
const LIMIT_MAX: u64 = 10_000;
/// How long an ask may wait, as the API has it.
const ASK_MAX: Duration = Duration::from_secs(600);

/// One tool.
pub(super) struct NodeTool {
    client: NodeClient,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Status,
    Tree,
    ListActors,
    Describe,
    Events,
    Send,
    Ask,
}

const ALL: [Does; 7] = [
    Does::Status,
    Does::Tree,
    Does::ListActors,
    Does::Describe,
    Does::Events,
    Does::Send,
    Does::Ask,
];

impl NodeTool {
    pub(super) fn all(client: &NodeClient) -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|does| Self {
            client: client.clone(),
            does,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.does {
            Does::Status => "status",
            Does::Tree => "tree",
            Does::ListActors => "list-actors",
            Does::Describe => "describe",
            Does::Events => "events",
            Does::Send => "send",
            Does::Ask => "ask",
        }
    }

    /// Whether it can change something. A message can.
    pub(super) fn writes(&self) -> bool {
        match self.does {
            Does::Send | Does::Ask => true,
            Does::Status | Does::Tree | Does::ListActors | Does::Describe | Does::Events => false,
        }
    }

    async fn get(&self, path: &str, query: &Value, left: Duration) -> Result<Value, Failure> {
        self.client.with_timeout(left).get(path, query).await
    }

    async fn post(&self, path: &str, body: &Value, left: Duration) -> Result<Value, Failure> {
        self.client.with_timeout(left).post(path, body).await
    }
}

impl Tool for NodeTool {
    fn about(&self) -> &str {
        match self.does {
            Does::Status => {
                "One screen about the node: state, actors, restarts, dead letters, alarms."
            }
            Does::Tree => "The supervision tree, or the part below `path`, `depth` levels deep.",
            Does::ListActors => {
                "Actors with state, mailbox, restarts; `sort` by mailbox, restarts, handled or age to find the remarkable ones."
            }
            Does::Describe => {
                "One actor in detail: spec, mailbox, last exits with their causes, last messages."
            }
            Does::Events => {
                "What happened: starts, exits, restarts, dead letters; continue with `after` set to the answer's `next`."
            }
            Does::Send => "Sends an ACL message to an agent and does not wait for an answer.",
            Does::Ask => "Sends an ACL message to an agent and waits for its answer.",
        }
    }

    fn schema(&self) -> Value {
        let path =
            json!({"type": "string", "description": "a path in the tree, such as /pool/worker-1"});
        let limit = json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT});
        let (properties, required): (Value, &[&str]) = match self.does {
            Does::Status => (json!({}), &[]),
            Does::Tree => (
                json!({"path": path, "depth": {"type": "integer", "minimum": 0}}),
                &[],
            ),
            Does::ListActors => (
                json!({
                    "sort": {"enum": ["path", "mailbox", "restarts", "handled", "age"]},
                    "limit": limit,
                    "group": {"type": "string"},
                    "under": path
                }),
                &[],
            ),
            Does::Describe => (json!({"path": path}), &["path"]),
            Does::Events => (
                json!({"after": {"type": "integer", "minimum": 0}, "limit": limit}),
                &[],
            ),
            Does::Send => (message(path), &["path"]),
            Does::Ask => {
                let mut properties = message(path);
                properties["timeout_ms"] = json!({
                    "type": "integer", "minimum": 1, "maximum": ASK_MAX.as_millis() as u64, "default": 5000
                });
                (properties, &["path"])
            }
        };
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    fn limits(&self) -> Limits {
        let longest = match self.does {
            // The API answers for itself when time is up; this is for a node that does not answer at all.
            Does::Ask => ASK_MAX + Duration::from_secs(10),
            _ => Duration::from_secs(30),
        };
        Limits {
            within_default: longest,
            within_max: longest,
            answer_bytes_max: 4 * 1024 * 1024,
            ..Limits::default()
        }
    }

    async fn call(&self, mut input: Value, call: Call) -> Result<Value, ToolError> {
        let left = call.deadline.saturating_duration_since(Instant::now());
        if let (Does::ListActors | Does::Events, Some(query)) = (self.does, input.as_object_mut()) {
            query.entry("limit").or_insert(LIMIT_DEFAULT.into());
        }
        let answered = match self.does {
            Does::Status => self.get("/v1/status", &input, left).await,
            Does::Tree => self.get("/v1/tree", &input, left).await,
            Does::ListActors => self.get("/v1/actors", &input, left).await,
            Does::Describe => self.get("/v1/actor", &input, left).await,
            Does::Events => self.get("/v1/events", &input, left).await,
            Does::Send => self.post("/v1/actor/send", &input, left).await,
            Does::Ask => self.post("/v1/actor/call", &input, left).await,
        };
        answered.map_err(|failure| refused(failure, self.writes()))
    }
}

/// The parts of a message.
fn message(path: Value) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    Value::Object(Map::from_iter([
        ("path".to_owned(), path),
        (
            "performative".to_owned(),
            text("the act, such as inform, request, query-ref"),
        ),
        ("content".to_owned(), json!({"description": "any JSON"})),
        (
            "language".to_owned(),
            text("the content's language, if it is not JSON; then content is a string"),
        ),
        ("ontology".to_owned(), text("the content's ontology")),
        ("protocol".to_owned(), text("the interaction protocol")),
        ("conversation_id".to_owned(), text("the conversation")),
    ]))
}

fn refused(failure: Failure, writes: bool) -> ToolError {
    let said = failure.to_string();
    match failure.exit {
        ExitStatus::Usage => ToolError::invalid("", said),
        ExitStatus::NotFound | ExitStatus::Refused | ExitStatus::Unreachable => {
            ToolError::not_tried(said)
        }
        _ => ToolError::Failed {
            reason: said,
            effect: if writes {
                Effect::Possible
            } else {
                Effect::None
            },
        },
    }
}
