//! What durable agents are sent, and the handle that sends it.

use super::behaviour::DurableBehaviour;
use crate::agent::Message;
use crate::ask::{AskError, ReplyTo};
use crate::journal::{AppendError, Appended, Class, CommandId};
use crate::reference::{AgentRef, NotSent};
use crate::system::System;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Path;

/// What any durable agent can be sent. Made by [`DurableRef`] and by the runtime.
pub struct DurableMessage(pub(super) Kind);

impl Message for DurableMessage {}

pub(super) enum Kind {
    Command(Box<Letter>),
    /// From another durable agent's outbox.
    Delivery {
        from: Path,
        seq: u64,
        payload: Arc<[u8]>,
    },
    /// The receiver has applied everything up to there.
    Settled {
        by: Path,
        up_to: u64,
    },
    /// A timer is due, or something is to be sent again.
    Tick,
    /// For the agent's code.
    Aside(Box<dyn Any + Send>),
}

pub(super) struct Letter {
    /// A command of the receiver's type.
    pub(super) command: Box<dyn Any + Send>,
    pub(super) id: Option<CommandId>,
    pub(super) class: Class,
    pub(super) reply: Option<Port>,
}

pub(super) type Port = ReplyTo<Result<Done<Box<dyn Any + Send>>, CommandError>>;

/// What became of a command with an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<A> {
    /// It took effect now; this is the answer.
    Now(A),
    /// It took effect before, when it was first sent: this is what it wrote.
    Before(Appended),
}

/// A command, and how it is to be treated.
#[derive(Clone, Debug)]
pub struct Command<C> {
    /// The command.
    pub command: C,
    /// Its id, if it must not take effect twice however often it is sent (within ten minutes; later it is refused).
    pub id: Option<CommandId>,
    /// When it is answered: once it is on disk, or before.
    pub class: Class,
}

/// Why a command has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The ask failed; see there for whether it may have taken effect. With an id it may be sent again in any case.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The journal did not take it. It did not take effect, unless the error says that this is unknown.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The agent takes commands of another type. Nothing was handled.
    #[error("the agent takes commands of another type")]
    WrongType,
}

/// Tells the code of a durable agent something that is no command: nothing of it is written, and nothing of it is sent again. What
/// `make` makes of the place for the answer comes to [`DurableBehaviour::aside`].
///
/// # Errors
/// [`AskError`]. Code that does not know such a message drops it, which is `NoReply`.
pub async fn aside<T: Send + 'static, M: Send + 'static>(
    agent: &AgentRef<DurableMessage>,
    make: impl FnOnce(ReplyTo<T>) -> M,
    within: Duration,
) -> Result<T, AskError> {
    let message = |reply| DurableMessage(Kind::Aside(Box::new(make(reply))));
    agent.ask(message, within).await
}

/// A durable agent that can be sent commands of `D`'s type.
pub struct DurableRef<D> {
    agent: AgentRef<DurableMessage>,
    decider: PhantomData<fn() -> D>,
}

impl<D> Clone for DurableRef<D> {
    fn clone(&self) -> Self {
        Self::new(self.agent.clone())
    }
}

impl<D> DurableRef<D> {
    pub(super) fn new(agent: AgentRef<DurableMessage>) -> Self {
        Self {
            agent,
            decider: PhantomData,
        }
    }
}

impl<D: DurableBehaviour> DurableRef<D> {
    /// The durable agent at a path. Whether its commands are of `D`'s type shows when the first is sent.
    #[must_use]
    pub fn find(system: &System, path: &Path) -> Option<Self> {
        system.lookup_typed(path).map(Self::new)
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &AgentRef<DurableMessage> {
        &self.agent
    }

    /// Its path: its name in the journal too.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.agent.path()
    }

    /// Sends a command, at most once: a crash may lose it.
    ///
    /// # Errors
    /// [`NotSent`].
    pub async fn tell(&self, command: D::Command) -> Result<(), NotSent> {
        let letter = Letter {
            command: Box::new(command),
            id: None,
            class: Class::Durable,
            reply: None,
        };
        let message = DurableMessage(Kind::Command(Box::new(letter)));
        self.agent.send(message).await.map_err(|e| e.why)
    }

    /// Sends a command, and waits until what it led to is in the journal.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn ask(
        &self,
        command: D::Command,
        within: Duration,
    ) -> Result<D::Answer, CommandError> {
        let command = Command {
            command,
            id: None,
            class: Class::Durable,
        };
        match self.ask_with(command, within).await? {
            Done::Now(answer) => Ok(answer),
            // Without an id nothing is a repeat.
            Done::Before(_) => Err(AskError::NoReply.into()),
        }
    }

    /// Sends a command with options.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn ask_with(
        &self,
        command: Command<D::Command>,
        within: Duration,
    ) -> Result<Done<D::Answer>, CommandError> {
        let make = |reply| {
            DurableMessage(Kind::Command(Box::new(Letter {
                command: Box::new(command.command),
                id: command.id,
                class: command.class,
                reply: Some(reply),
            })))
        };
        match self.agent.ask(make, within).await?? {
            Done::Now(answer) => match answer.downcast::<D::Answer>() {
                Ok(answer) => Ok(Done::Now(*answer)),
                Err(_) => Err(CommandError::WrongType),
            },
            Done::Before(appended) => Ok(Done::Before(appended)),
        }
    }
}
