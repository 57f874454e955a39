//! `text`: a worker that does jobs on texts.

use super::answer::{failure, inform, not_understood};
use super::tasks;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use swarm_actors::{Agent, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Performative};

/// Does what a `request` with the content `{"task":…,"input":…}` asks for and answers with `inform` and the output, or with
/// `failure` and `{"error":…}`. Keeps nothing from one job to the next, so any life of it is as good as any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextWorker;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

impl Agent for TextWorker {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        if message.performative != Performative::Request {
            not_understood(turn, &message);
            return Ok(());
        }
        let order = serde_json::from_slice::<Order<'_>>(message.content.as_deref().unwrap_or(b""));
        let done = match order {
            Ok(order) => tasks::perform(&order.task, order.input.unwrap_or(RawValue::NULL))
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(format!("no {{\"task\", \"input\"}}: {error}")),
        };
        turn.answer(match done {
            Ok(output) => inform(&message, output.get()),
            Err(error) => failure(&message, &error),
        });
        Ok(())
    }
}
