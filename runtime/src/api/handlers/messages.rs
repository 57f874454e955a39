//! Messages into the tree: sent, or sent and answered.

use super::{agent_at, path_of};
use crate::api::fault::Fault;
use crate::api::input::JsonBody;
use crate::api::server::Api;
use crate::api::types::{CallAnswer, CallRequest, SendAnswer, SendRequest};
use crate::api::view;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use std::time::{Duration, Instant};
use swarm_actors::{AskError, NotSent};
use swarm_protocols::{AclMessage, Path, Performative};

/// How long a call waits unless it says so.
const CALL_TIMEOUT_MS: u64 = 5_000;
/// How long a call may wait.
const CALL_TIMEOUT_MS_MAX: u64 = 600_000;

/// The parts that a send and a call have in common.
struct Draft {
    performative: Option<String>,
    content: Value,
    language: Option<String>,
    ontology: Option<String>,
    protocol: Option<String>,
    conversation_id: Option<String>,
}

impl Draft {
    fn message(self, default: Performative) -> Result<AclMessage, Fault> {
        let performative = match &self.performative {
            None => default,
            Some(word) => word.parse().map_err(|error| {
                let acts: Vec<_> = Performative::ALL.iter().map(|act| act.as_str()).collect();
                Fault::invalid("performative", error, format!("one of {}", acts.join(", ")))
            })?,
        };
        let language = self
            .language
            .unwrap_or_else(|| view::JSON_LANGUAGE.to_owned());
        let content = match self.content {
            value if language == view::JSON_LANGUAGE => value.to_string().into_bytes(),
            Value::String(text) => text.into_bytes(),
            _ => {
                return Err(Fault::invalid(
                    "content",
                    format!("must be a string where the language is {language:?}"),
                    "leave the language away to send JSON",
                ));
            }
        };
        let mut message = AclMessage::new(performative);
        message.content = Some(content);
        message.language = Some(language.into());
        message.ontology = self.ontology.map(Into::into);
        message.protocol = self.protocol.map(Into::into);
        message.conversation_id = self.conversation_id.map(Into::into);
        Ok(message)
    }
}

pub(in crate::api) async fn send(
    State(api): State<Api>,
    JsonBody(request): JsonBody<SendRequest>,
) -> Result<Json<SendAnswer>, Fault> {
    let path = path_of(&request.path)?;
    let message = Draft {
        performative: request.performative,
        content: request.content,
        language: request.language,
        ontology: request.ontology,
        protocol: request.protocol,
        conversation_id: request.conversation_id,
    }
    .message(Performative::Inform)?;
    let agent = agent_at(&api, &path)?;
    // A client of the API is told at once when there is no room: it can wait by itself, the node's memory cannot.
    agent
        .try_send_acl(message)
        .map_err(|why| not_sent(&path, &why))?;
    Ok(Json(SendAnswer {
        path: path.to_string(),
        accepted: true,
        mailbox: agent.mailbox_depth(),
    }))
}

pub(in crate::api) async fn call(
    State(api): State<Api>,
    JsonBody(request): JsonBody<CallRequest>,
) -> Result<Json<CallAnswer>, Fault> {
    let path = path_of(&request.path)?;
    let timeout_ms = request.timeout_ms.unwrap_or(CALL_TIMEOUT_MS);
    if !(1..=CALL_TIMEOUT_MS_MAX).contains(&timeout_ms) {
        return Err(Fault::invalid(
            "timeout_ms",
            format!("{timeout_ms} is not within 1 to {CALL_TIMEOUT_MS_MAX}"),
            format!("for example {CALL_TIMEOUT_MS}"),
        ));
    }
    let message = Draft {
        performative: request.performative,
        content: request.content,
        language: request.language,
        ontology: request.ontology,
        protocol: request.protocol,
        conversation_id: request.conversation_id,
    }
    .message(Performative::Request)?;
    let agent = agent_at(&api, &path)?;
    let start = Instant::now();
    let within = Duration::from_millis(timeout_ms);
    let answer = agent
        .ask_acl(message, within)
        .await
        .map_err(|error| not_answered(&path, &error))?;
    Ok(Json(CallAnswer {
        path: path.to_string(),
        performative: answer.performative.to_string(),
        content: view::acl_content(&answer),
        language: answer.language.map(Into::into),
        conversation_id: answer.conversation_id.map(Into::into),
        ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

fn not_sent(path: &Path, why: &NotSent) -> Fault {
    let (status, code, next_step) = match why {
        NotSent::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            "mailbox-full",
            "try again in a moment; `swarmctl actor describe` shows what it is busy with",
        ),
        NotSent::Refused => (
            StatusCode::CONFLICT,
            "takes-no-messages",
            "`swarmctl actor restart` starts a stopped actor",
        ),
        NotSent::Ended => (
            StatusCode::NOT_FOUND,
            "no-such-actor",
            "`swarmctl actor ls` lists the actors",
        ),
        NotSent::Unreachable => (
            StatusCode::BAD_GATEWAY,
            "unreachable",
            "`swarmctl node ls` shows which nodes are alive",
        ),
        NotSent::Rejected(_) | NotSent::NotCarried(_) => (
            StatusCode::CONFLICT,
            "refused",
            "the message is refused by a rule of this node",
        ),
    };
    Fault::new(status, code, format!("{path}: {why}"), next_step)
}

fn not_answered(path: &Path, error: &AskError) -> Fault {
    let (status, code, next_step) = match error {
        AskError::Timeout { .. } => (
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "the outcome is unknown; look with `swarmctl actor describe` before trying again",
        ),
        AskError::NoProc => (
            StatusCode::NOT_FOUND,
            "no-such-actor",
            "`swarmctl actor ls` lists the actors",
        ),
        AskError::Crashed(_) => (
            StatusCode::BAD_GATEWAY,
            "actor-crashed",
            "its supervisor has restarted it or will; trying again reaches the next life",
        ),
        AskError::NoReply => (
            StatusCode::BAD_GATEWAY,
            "no-reply",
            "the actor handled the message without answering; use `swarmctl actor send` for such messages",
        ),
        AskError::Refused | AskError::ToSelf => (
            StatusCode::CONFLICT,
            "takes-no-messages",
            "`swarmctl actor restart` starts a stopped actor",
        ),
        AskError::Unreachable => (
            StatusCode::BAD_GATEWAY,
            "unreachable",
            "the outcome is unknown; `swarmctl node ls` shows which nodes are alive",
        ),
        AskError::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            "mailbox-full",
            "try again in a moment",
        ),
    };
    Fault::new(status, code, format!("{path}: {error}"), next_step)
}
