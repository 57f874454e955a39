//! `counter`: a number that lives as long as its agent does.

use super::answer::{failure, inform, not_understood};
use serde_json::{Value, json};
use std::sync::Arc;
use swarm_actors::{Agent, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Performative};

/// Adds the number in a `request` and answers with `{"count":…}`; without a number it only answers. An `inform` with a
/// number adds it without an answer. `"panic"` makes it panic. A new life begins with the first number again: nothing is
/// kept.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    count: i64,
}

impl Counter {
    /// A counter that begins with `first`.
    #[must_use]
    pub fn new(first: i64) -> Self {
        Self { count: first }
    }
}

fn counted(count: i64) -> String {
    json!({ "count": count }).to_string()
}

impl Agent for Counter {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let is_asked = match message.performative {
            Performative::Request | Performative::QueryRef => true,
            Performative::Inform => false,
            _ => {
                not_understood(turn, &message);
                return Ok(());
            }
        };
        let said: Result<Value, _> = match message.content.as_deref() {
            None | Some(b"") => Ok(Value::Null),
            Some(content) => serde_json::from_slice(content),
        };
        let answer = match said {
            Ok(Value::Null) => inform(&message, &counted(self.count)),
            Ok(Value::String(text)) if text == "panic" => panic!("told to panic"),
            Ok(said) => match said.as_i64().and_then(|n| self.count.checked_add(n)) {
                Some(count) => {
                    self.count = count;
                    inform(&message, &counted(count))
                }
                None => failure(
                    &message,
                    &format!("{said} is no whole number that can be added"),
                ),
            },
            Err(error) => failure(&message, &format!("not JSON: {error}")),
        };
        if is_asked {
            turn.answer(answer);
        }
        Ok(())
    }
}
