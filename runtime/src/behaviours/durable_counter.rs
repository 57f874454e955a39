//! `durable-counter`: a number that outlives its agent, its node and the power.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use swarm_actors::Failure;
use swarm_actors::durable::{Decider, Decision, Form, Stored};
use swarm_protocols::{AclMessage, Performative};

/// Adds the number in a `request` and answers with `{"count":…}` once that is on disk; without a number it only answers.
/// `"panic"` makes it panic.
#[derive(Clone, Copy, Debug)]
pub struct DurableCounter;

/// What a [`DurableCounter`] can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Count {
    /// Add that.
    Add(i64),
    /// Only answer.
    Tell,
    /// Panic.
    Panic,
}

/// What can happen to a [`DurableCounter`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Counted {
    /// That was added.
    Added(i64),
}

impl Stored for Counted {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for DurableCounter {
    type State = i64;
    type Command = Count;
    type Event = Counted;
    type Answer = i64;

    fn decide(
        &self,
        count: &i64,
        command: Count,
        turn: &mut Decision<'_, Self>,
    ) -> Result<i64, Failure> {
        match command {
            Count::Add(n) => {
                let count = count.checked_add(n).ok_or("the count has no more room")?;
                turn.record(Counted::Added(n));
                Ok(count)
            }
            Count::Tell => Ok(*count),
            Count::Panic => panic!("told to panic"),
        }
    }

    fn evolve(&self, count: &mut i64, Counted::Added(n): &Counted) {
        *count = count.saturating_add(*n);
    }

    fn acl_command(&self, message: &AclMessage) -> Option<Count> {
        if !matches!(
            message.performative,
            Performative::Request | Performative::QueryRef
        ) {
            return None;
        }
        match message.content.as_deref() {
            None | Some(b"") => Some(Count::Tell),
            Some(content) => match serde_json::from_slice(content).ok()? {
                Value::Null => Some(Count::Tell),
                Value::String(text) if text == "panic" => Some(Count::Panic),
                said => said.as_i64().map(Count::Add),
            },
        }
    }

    fn acl_answer(&self, message: &AclMessage, count: i64) -> AclMessage {
        let mut answer = message.reply(Performative::Inform);
        answer.content = Some(json!({ "count": count }).to_string().into_bytes());
        answer
    }
}
