//! What goes to a protocol actor and what comes from it.

use super::actor::ProtocolActor;
use crate::agent::{Agent, Message};
use crate::ask::{AskError, ReplyTo};
use crate::info::ActorState;
use crate::reference::{AgentRef, AnyRef};
use crate::turn::Turn;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::interaction::{Decision, News, Opening, OpeningError, Outcome, Question};
use swarm_protocols::{ConversationId, Incarnation};

/// What a protocol actor says to its agent. An agent that has one takes it as a message: `From<Prompt>`.
#[derive(Debug)]
pub enum Prompt {
    /// A question that is the agent's own.
    Asked(Asked),
    /// Something it may want to know; no answer is expected.
    Told {
        /// Of which conversation.
        conversation: ConversationId,
        /// What.
        news: News,
    },
    /// A conversation of this agent's has ended.
    Ended {
        /// Which.
        conversation: ConversationId,
        /// How.
        outcome: Outcome,
    },
}

impl Message for Prompt {}

/// A question, with the way back.
pub struct Asked {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// What is asked.
    pub question: Question,
    /// The how-many-eth question of the conversation this is. The same number a second time is the same question.
    pub number: u32,
    /// The life that was asked; `None` when any may answer. A question to an earlier life is void: that life's part in the
    /// conversation has failed.
    pub life: Option<Incarnation>,
    pub(super) to: AgentRef<ProtocolMessage>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("conversation", &self.conversation)
            .field("question", &self.question)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Clone for Asked {
    fn clone(&self) -> Self {
        Self {
            conversation: self.conversation.clone(),
            question: self.question.clone(),
            number: self.number,
            life: self.life,
            to: self.to.clone(),
        }
    }
}

impl Asked {
    /// Answers when the turn commits. A question may have several answers, one after the other (agree, then done).
    pub fn answer<A: Agent>(&self, turn: &mut Turn<'_, A>, decision: Decision) {
        turn.send(&self.to, self.decided(decision));
    }

    /// Whether the life of this turn is the one that was asked.
    pub fn is_for<A: Agent>(&self, turn: &Turn<'_, A>) -> bool {
        self.life.is_none_or(|life| life == turn.incarnation())
    }

    fn decided(&self, decision: Decision) -> ProtocolMessage {
        ProtocolMessage(Said::Decided {
            conversation: self.conversation.clone(),
            number: Some(self.number),
            decision,
        })
    }
}

/// Answers questions of a conversation in place of the agent: for initiators that are no agents. Runs inside of the protocol
/// actor and must return at once; one that panics cancels its conversation.
pub type Answers = Arc<dyn Fn(&Question) -> Option<Decision> + Send + Sync>;

/// What a protocol actor is told. Made by [`ProtocolRef`] and [`Asked`].
#[derive(Debug)]
pub struct ProtocolMessage(pub(super) Said);

impl Message for ProtocolMessage {}

pub(super) enum Said {
    Decided {
        conversation: ConversationId,
        /// The question that this answers; `None` for what is said of the agent's own accord.
        number: Option<u32>,
        decision: Decision,
    },
    Open(Box<Open>),
    /// The time of the earliest deadline has come.
    Wake,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decided { .. } => "Decided",
            Self::Open(_) => "Open",
            Self::Wake => "Wake",
        })
    }
}

/// A conversation to be opened.
pub(super) struct Open {
    pub(super) opening: Opening,
    /// Where participants are that have no registered name.
    pub(super) places: Vec<AnyRef>,
    pub(super) answers: Option<Answers>,
    pub(super) opened: Option<ReplyTo<Result<ConversationId, OpenError>>>,
    pub(super) ended: Option<ReplyTo<Result<Outcome, OpenError>>>,
}

/// Why a conversation was not opened. Nothing was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The opening contradicts itself; retrying is of no use.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The agent has as many open conversations as it may. Retry when one has ended.
    #[error("the agent has {0} open conversations, as many as it may")]
    TooManyOfAgent(usize),
    /// The node has as many open conversations as it may. Retry when one has ended.
    #[error("the node has {0} open conversations, as many as it may")]
    TooManyOfNode(usize),
    /// An agent does not negotiate with itself.
    #[error("an agent does not hold a conversation with itself")]
    WithItself,
    /// There is a conversation of that id.
    #[error("there is a conversation {0} already")]
    Known(ConversationId),
}

/// Why a conversation that was waited for has no outcome.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// It was not opened.
    #[error(transparent)]
    NotOpened(#[from] OpenError),
    /// The protocol actor did not answer: it has ended, or the time was up. The conversation may go on.
    #[error(transparent)]
    NoAnswer(#[from] AskError),
}

/// A protocol actor from outside. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProtocolRef(pub(super) AgentRef<ProtocolMessage>);

impl ProtocolRef {
    /// The protocol actor at a reference, if there is one.
    #[must_use]
    pub fn of(agent: &AnyRef) -> Option<Self> {
        agent.typed::<ProtocolMessage>().map(Self)
    }

    /// The actor itself: it can be sent ACL messages, watched and stopped like any agent.
    #[must_use]
    pub fn agent(&self) -> &AgentRef<ProtocolMessage> {
        &self.0
    }

    /// Opens a conversation whose questions go to the agent. An empty id is replaced by a fresh one; the initiator is set.
    ///
    /// # Errors
    /// [`RunError`]; on [`RunError::NoAnswer`] it may have been opened.
    pub async fn open(&self, opening: Opening) -> Result<ConversationId, RunError> {
        let opened = self
            .0
            .ask(
                |reply| {
                    ProtocolMessage(Said::Open(Box::new(Open {
                        opening,
                        places: Vec::new(),
                        answers: None,
                        opened: Some(reply),
                        ended: None,
                    })))
                },
                Duration::from_secs(30),
            )
            .await?;
        Ok(opened?)
    }

    /// Opens a conversation whose questions `answers` answers, and waits for its end, at most `within`. `places` says where
    /// participants are that are not registered by name. When the future is dropped, the conversation goes on.
    ///
    /// # Errors
    /// [`RunError`]; after [`AskError::Timeout`] the conversation goes on. [`AskError::NoProc`] when the actor is stopped or
    /// ends: then the other sides take it for dead.
    pub async fn run(
        &self,
        opening: Opening,
        places: Vec<AnyRef>,
        answers: Answers,
        within: Duration,
    ) -> Result<Outcome, RunError> {
        let ended = self.0.ask(
            |reply| {
                ProtocolMessage(Said::Open(Box::new(Open {
                    opening,
                    places,
                    answers: Some(answers),
                    opened: None,
                    ended: Some(reply),
                })))
            },
            within,
        );
        tokio::select! {
            biased;
            ended = ended => Ok(ended??),
            // Its records may be kept for another life, but nobody knows whether there will be one.
            () = gone(self.0.any()) => Err(AskError::NoProc.into()),
        }
    }

    /// Opens a conversation when the turn commits; its questions go to the agent. For the agent's own turns.
    pub fn open_in<A: Agent>(&self, turn: &mut Turn<'_, A>, opening: Opening) {
        let open = Open {
            opening,
            places: Vec::new(),
            answers: None,
            opened: None,
            ended: None,
        };
        turn.send(&self.0, ProtocolMessage(Said::Open(Box::new(open))));
    }

    /// Says something in a conversation of the agent's own accord when the turn commits: a notification, a cancel, the
    /// result of long work.
    pub fn decide_in<A: Agent>(
        &self,
        turn: &mut Turn<'_, A>,
        conversation: ConversationId,
        decision: Decision,
    ) {
        turn.send(&self.0, Self::decided(conversation, decision));
    }

    /// The same from outside of any turn.
    ///
    /// # Errors
    /// [`SendError`](crate::SendError) when the protocol actor does not take it.
    pub async fn decide(
        &self,
        conversation: ConversationId,
        decision: Decision,
    ) -> Result<(), crate::SendError<ProtocolMessage>> {
        self.0.send(Self::decided(conversation, decision)).await
    }

    fn decided(conversation: ConversationId, decision: Decision) -> ProtocolMessage {
        ProtocolMessage(Said::Decided {
            conversation,
            number: None,
            decision,
        })
    }
}

/// How soon to look again at an actor that is between two lives.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Resolves when an actor is stopped, or has ended for good.
async fn gone(agent: AnyRef) {
    loop {
        match agent.state() {
            ActorState::Ended | ActorState::Stopped => return,
            _ if agent.is_alive() => {
                // Resolves with the end of this life; the next look tells what came of it.
                let _ = agent.monitor().await;
            }
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Where a protocol actor's prompts go.
pub(super) trait Listener: Send + Sync {
    fn prompt(&self, turn: &mut Turn<'_, ProtocolActor>, prompt: Prompt);
    fn any(&self) -> AnyRef;
}

pub(super) struct Ear<M>(pub(super) AgentRef<M>);

impl<M: Message + From<Prompt>> Listener for Ear<M> {
    fn prompt(&self, turn: &mut Turn<'_, ProtocolActor>, prompt: Prompt) {
        turn.send(&self.0, M::from(prompt));
    }

    fn any(&self) -> AnyRef {
        self.0.any()
    }
}
