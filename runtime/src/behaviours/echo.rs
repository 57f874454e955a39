//! `echo`: says back what it is told.

use super::answer::not_understood;
use std::sync::Arc;
use swarm_actors::{Agent, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Performative};

/// Answers a `request` or `query-ref` with `inform` and the same content in the same language.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Agent for Echo {
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
            Performative::Request | Performative::QueryRef => {
                let mut answer = message.reply(Performative::Inform);
                answer.content.clone_from(&message.content);
                turn.answer(answer);
            }
            _ => not_understood(turn, &message),
        }
        Ok(())
    }
}
