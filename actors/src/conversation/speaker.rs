//! Agents that do nothing but negotiate: a trait with one method for each question, and the agent that runs it.

use super::book::ConversationBook;
use super::message::{Asked, Prompt};
use super::spec;
use crate::agent::{Agent, Failure};
use crate::system::System;
use crate::turn::Turn;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use swarm_protocols::interaction::{Context, Decision, News, Outcome, Proposal, Question};
use swarm_protocols::{AclMessage, ConversationId, NameError};
use swarm_supervisors::ChildSpec;

/// What an agent decides in conversations. Each method answers one question; the default refuses.
///
/// An error or a panic ends the agent's life, as in any turn: its open parts in conversations fail, and the other sides are
/// told at once.
pub trait Negotiator: Send + Sized + 'static {
    /// What do you bid? [`Decision::Propose`], [`Decision::Refuse`], in an auction [`Decision::Silent`] too.
    fn bid(
        &mut self,
        call: &AclMessage,
        price: Option<i64>,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = (call, price);
        async { Ok(Decision::Refuse(b"(not-bidding)".to_vec())) }
    }

    /// Your proposal was accepted, or you won: do it. [`Decision::Done`] or [`Decision::Failed`].
    fn perform(
        &mut self,
        task: &AclMessage,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = task;
        async { Ok(Decision::Failed(b"(not-performing)".to_vec())) }
    }

    /// Will you do what this request, query, subscription or proposal asks?
    fn decide(
        &mut self,
        call: &AclMessage,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = call;
        async { Ok(Decision::Refuse(b"(unsupported-function)".to_vec())) }
    }

    /// Which bids do you accept? By default the first.
    fn evaluate(
        &mut self,
        proposals: &[Proposal],
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let accept = proposals.first().map(|p| p.bidder).into_iter().collect();
        async move {
            Ok(Decision::Award {
                accept,
                reserve: Vec::new(),
                content: Vec::new(),
            })
        }
    }

    /// The initiator wants you to stop. By default you cannot.
    fn stop(
        &mut self,
        cancel: &AclMessage,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = cancel;
        async { Ok(Decision::GoOn(b"(cannot-stop)".to_vec())) }
    }

    /// Can you commit? By default you cannot.
    fn vote(
        &mut self,
        transaction: &AclMessage,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = transaction;
        async { Ok(Decision::Refuse(b"(cannot-prepare)".to_vec())) }
    }

    /// It is your turn in a dialogue. By default it is over.
    fn speak(
        &mut self,
        heard: Option<&AclMessage>,
        turns_left: u32,
        context: &Context,
    ) -> impl Future<Output = Result<Decision, Failure>> + Send {
        let _ = (heard, turns_left, context);
        async { Ok(Decision::End(b"(nothing-to-say)".to_vec())) }
    }

    /// Something to know.
    fn told(
        &mut self,
        conversation: &ConversationId,
        news: News,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (conversation, news);
        async { Ok(()) }
    }

    /// A conversation has ended.
    fn ended(
        &mut self,
        conversation: &ConversationId,
        outcome: Outcome,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (conversation, outcome);
        async { Ok(()) }
    }

    /// The child specs of this agent and of its protocol actor: `ID`, and `ID.protocol`, which is registered as `ID`.
    ///
    /// # Errors
    /// [`NameError`] when `id` is no name.
    fn children(
        system: &System,
        id: &str,
        book: &ConversationBook,
        make: impl Fn() -> Self + Send + Sync + 'static,
    ) -> Result<Vec<ChildSpec>, NameError> {
        spec::pair(system, id, book, make)
    }
}

/// How many questions are remembered to know one that comes a second time.
const ANSWERED_MAX: usize = 32;

/// The agent that runs a [`Negotiator`].
pub struct Speaker<N> {
    negotiator: N,
    /// Questions that were answered lately: a protocol actor that crashed may ask one again.
    answered: VecDeque<(ConversationId, u32)>,
}

impl<N: Negotiator> Speaker<N> {
    /// Around a negotiator.
    pub fn new(negotiator: N) -> Self {
        Self {
            negotiator,
            answered: VecDeque::new(),
        }
    }

    async fn decide(&mut self, question: &Question) -> Result<Decision, Failure> {
        let n = &mut self.negotiator;
        match question {
            Question::Decide(call) => n.decide(call).await,
            Question::Bid { call, price } => n.bid(call, *price).await,
            Question::Perform(task) => n.perform(task).await,
            Question::Evaluate(proposals) => n.evaluate(proposals).await,
            Question::Stop(cancel) => n.stop(cancel).await,
            Question::Vote(transaction) => n.vote(transaction).await,
            Question::Speak {
                heard,
                turns_left,
                context,
            } => {
                n.speak(heard.as_ref().map(Arc::as_ref), *turns_left, context)
                    .await
            }
        }
    }

    fn is_answered(&mut self, asked: &Asked) -> bool {
        let known = self
            .answered
            .iter()
            .any(|(id, number)| *number == asked.number && *id == asked.conversation);
        if !known {
            if self.answered.len() == ANSWERED_MAX {
                self.answered.pop_front();
            }
            self.answered
                .push_back((asked.conversation.clone(), asked.number));
        }
        known
    }
}

impl<N: Negotiator> Agent for Speaker<N> {
    type Message = Prompt;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, prompt: Prompt) -> Result<(), Failure> {
        match prompt {
            Prompt::Asked(asked) => {
                if asked.is_for(turn) && !self.is_answered(&asked) {
                    let decision = self.decide(&asked.question).await?;
                    asked.answer(turn, decision);
                }
                Ok(())
            }
            Prompt::Told { conversation, news } => self.negotiator.told(&conversation, news).await,
            Prompt::Ended {
                conversation,
                outcome,
            } => self.negotiator.ended(&conversation, outcome).await,
        }
    }
}
