//! `text`: a worker that does jobs on texts.

use super::answer::{failure, inform, not_understood, propose, refuse};
use super::tasks;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::{Agent, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Performative};

/// Does what a `request` with the content `{"task":…,"input":…}` asks for and answers with `inform` and the output, or with
/// `failure` and `{"error":…}`. Takes part in contract nets (fipa.md d.4): it bids its queue and its fitness for the task, as
/// `{"queue":…,"fitness":…}`, and does the job that the acceptance carries. Keeps nothing from one job to the next but how
/// many went well, so any life of it is as good as any other.
#[derive(Clone, Debug, Default)]
pub struct TextWorker {
    record: BTreeMap<&'static str, Tries>,
}

/// How a task went so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    done: u32,
    failed: u32,
}

impl Tries {
    /// The share that went well, by Laplace's rule: a half for what was never tried.
    fn fitness(self) -> f64 {
        f64::from(self.done.saturating_add(1))
            / f64::from(self.done.saturating_add(self.failed).saturating_add(2))
    }
}

/// The name of a task that this worker knows.
fn known(task: &str) -> Option<&'static str> {
    tasks::TASKS
        .iter()
        .find(|(name, _)| *name == task)
        .map(|(name, _)| *name)
}

impl TextWorker {
    fn bid(&self, turn: &Turn<'_, Self>, call: &AclMessage) -> AclMessage {
        let order = serde_json::from_slice::<Order<'_>>(call.content.as_deref().unwrap_or(b""));
        let Ok(order) = order else {
            return call.reply(Performative::NotUnderstood);
        };
        match known(&order.task) {
            Some(task) => {
                let tries = self.record.get(task).copied().unwrap_or_default();
                let queue = turn.me().any().mailbox_depth();
                propose(call, queue, tries.fitness())
            }
            None => refuse(call, &format!("unknown task {:?}", order.task)),
        }
    }

    async fn perform(&mut self, order: &AclMessage) -> AclMessage {
        let content = order.content.as_deref().unwrap_or(b"");
        let (task, done) = match serde_json::from_slice::<Order<'_>>(content) {
            Ok(read) => (
                known(&read.task),
                tasks::perform(&read.task, read.input.unwrap_or(RawValue::NULL))
                    .await
                    .map_err(|error| error.to_string()),
            ),
            Err(error) => (None, Err(format!("no {{\"task\", \"input\"}}: {error}"))),
        };
        if let Some(task) = task {
            let tries = self.record.entry(task).or_default();
            let count = if done.is_ok() {
                &mut tries.done
            } else {
                &mut tries.failed
            };
            *count = count.saturating_add(1);
        }
        match done {
            Ok(output) => inform(order, output.get()),
            Err(error) => failure(order, &error),
        }
    }
}

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
        match message.performative {
            Performative::Request | Performative::AcceptProposal => {
                let answer = self.perform(&message).await;
                turn.answer(answer);
            }
            Performative::Cfp => {
                let bid = self.bid(turn, &message);
                turn.answer(bid);
            }
            // Nothing is begun before a proposal is accepted, and what is begun is done before this is read.
            Performative::Cancel => turn.answer(message.reply(Performative::Inform)),
            Performative::RejectProposal => {}
            _ => not_understood(turn, &message),
        }
        Ok(())
    }
}
