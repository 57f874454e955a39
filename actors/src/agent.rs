//! What a developer writes: an agent.

use crate::signal::{Down, Exit, GroupChange, NameNews, Watched};
use crate::turn::Turn;
use std::future::Future;
use std::sync::Arc;
use swarm_protocols::{AclMessage, ExitReason, Performative};

/// Any error that a turn may end with. Its message and those of its sources become the exit reason `error`.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure whose exit reason is this one, instead of `error` with its text. For behaviours that run other people's code and
/// know better why it ended: which limit it broke, or what it crashed with.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EndWith(pub ExitReason);

/// The exit reason of a failed callback.
pub(crate) fn reason_of(failure: &Failure) -> ExitReason {
    match failure.downcast_ref::<EndWith>() {
        Some(EndWith(reason)) => reason.clone(),
        None => ExitReason::error(&**failure),
    }
}

/// What an agent can be told. Local sends move the value; nothing is serialized.
pub trait Message: Send + 'static {
    /// A second copy, where there can be one. It is asked for only where a failed message is to be redelivered or kept
    /// for replay ([`MailboxOptions`](crate::MailboxOptions)); without one, the dead letter has only the message's
    /// description.
    #[must_use]
    fn copy(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// How it travels to other nodes: [`MessageCodec::postcard`](crate::MessageCodec::postcard) for a type that serde knows. Without
    /// one, agents with this message type take ACL messages from other nodes, and none of this type.
    #[must_use]
    fn codec() -> Option<crate::MessageCodec<Self>>
    where
        Self: Sized,
    {
        None
    }
}

/// The message type of an agent that only speaks ACL.
#[derive(Clone, Copy, Debug)]
pub enum NoMessage {}

impl Message for NoMessage {}

/// How an init ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// The agent is ready for its first message.
    Ready,
    /// The agent is started; [`Agent::on_continue`] runs before any message. For slow set-up, as a supervisor's start
    /// is synchronous (otp.md B3, `handle_continue`).
    Continue,
    /// The agent does not want to run now; that is no error (otp.md S14).
    Ignore,
}

/// A named, addressed, supervised unit with a mailbox, handling one message at a time.
///
/// Each callback is a *turn*: what it asks of the runtime through [`Turn`] takes effect when it returns `Ok`, and not at
/// all when it fails, panics or is cut off. A failed turn ends this life; the supervisor decides whether there is another.
/// Callbacks but `init` run under the agent's turn deadline and are dropped at their next await when it passes, or on a kill;
/// `init` has the start time-out of its spec, if there is one.
pub trait Agent: Send + Sized + 'static {
    /// What this agent can be told, besides ACL messages.
    type Message: Message;

    /// Prepares this life. Runs inside the supervisor's start, which waits for it.
    fn init(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<Init, Failure>> + Send {
        let _ = turn;
        async { Ok(Init::Ready) }
    }

    /// Runs before any message, when init ended with [`Init::Continue`].
    fn on_continue(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = turn;
        async { Ok(()) }
    }

    /// Handles one message.
    fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Self::Message,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Handles one ACL message. By default it is answered with `not-understood`, unless it is itself a `not-understood`
    /// or a `failure` (fipa.md a.2, R6).
    fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async move {
            match message.performative {
                Performative::NotUnderstood | Performative::Failure => {}
                _ => turn.answer(message.reply(Performative::NotUnderstood)),
            }
            Ok(())
        }
    }

    /// A monitored life has ended.
    fn on_down(
        &mut self,
        turn: &mut Turn<'_, Self>,
        down: Down,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (turn, down);
        async { Ok(()) }
    }

    /// A linked life has ended. By default this agent ends too, with the same reason, unless that is `normal` (otp.md B1,
    /// link). An agent that wants to trap exits overrides this.
    fn on_exit(
        &mut self,
        turn: &mut Turn<'_, Self>,
        exit: Exit,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async move {
            if !matches!(exit.reason, ExitReason::Normal) {
                turn.stop(exit.reason);
            }
            Ok(())
        }
    }

    /// A watched cell was restarted or has ended.
    fn on_watch(
        &mut self,
        turn: &mut Turn<'_, Self>,
        watched: Watched,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (turn, watched);
        async { Ok(()) }
    }

    /// A monitored group has changed.
    fn on_group(
        &mut self,
        turn: &mut Turn<'_, Self>,
        change: GroupChange,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (turn, change);
        async { Ok(()) }
    }

    /// Something has become of its registered name in the cluster. By default a conflict is answered at once: there is nothing to hand
    /// over. An agent with a state that the winner should have sends it there, now or in later turns, and then says
    /// [`Turn::handed_over`]. What follows is its spec's choice ([`OnNameConflict`](crate::OnNameConflict)).
    fn on_name(
        &mut self,
        turn: &mut Turn<'_, Self>,
        news: NameNews,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async move {
            if let NameNews::Conflict { name, .. } = news {
                turn.handed_over(&name);
            }
            Ok(())
        }
    }

    /// Is about to be taken off its shell for want of messages: lets go of what it can have again. A message that comes now is
    /// handled as any other.
    fn on_sleep(&mut self) {}

    /// Cleans up at an ordered end: when the supervisor says so, or after [`Turn::stop`]. Never runs after a crash or a
    /// kill.
    fn terminate(&mut self, reason: &ExitReason) -> impl Future<Output = ()> + Send {
        let _ = reason;
        async {}
    }
}
