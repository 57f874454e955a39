//! Answers in JSON, as the native behaviours give them.

use serde_json::json;
use swarm_actors::{Agent, Turn};
use swarm_protocols::{AclMessage, Performative};

const LANGUAGE: &str = "application/json";

/// It is done, and this JSON is what came out.
pub(super) fn inform(request: &AclMessage, output: &str) -> AclMessage {
    with_content(request, Performative::Inform, output.to_owned())
}

/// It cannot be done.
pub(super) fn failure(request: &AclMessage, error: &str) -> AclMessage {
    with_content(
        request,
        Performative::Failure,
        json!({ "error": error }).to_string(),
    )
}

/// It would do it, with this queue before it and this fitness.
pub(super) fn propose(call: &AclMessage, queue: u64, fitness: f64) -> AclMessage {
    let content = json!({ "queue": queue, "fitness": fitness }).to_string();
    with_content(call, Performative::Propose, content)
}

/// It will not do it.
pub(super) fn refuse(call: &AclMessage, why: &str) -> AclMessage {
    with_content(
        call,
        Performative::Refuse,
        json!({ "error": why }).to_string(),
    )
}

/// Answers an act that the agent has no use for; some are themselves answers and get none.
pub(super) fn not_understood<A: Agent>(turn: &mut Turn<'_, A>, message: &AclMessage) {
    match message.performative {
        Performative::NotUnderstood | Performative::Failure | Performative::Inform => {}
        _ => turn.answer(message.reply(Performative::NotUnderstood)),
    }
}

fn with_content(request: &AclMessage, act: Performative, content: String) -> AclMessage {
    let mut answer = request.reply(act);
    answer.language = Some(LANGUAGE.into());
    answer.content = Some(content.into_bytes());
    answer
}
