//! What the machinery of durable agents needs of their code.
//!
//! Whoever writes Rust writes a [`Decider`], and every decider is such a behaviour. Code that must be awaited (a component in a
//! sandbox, which is interrupted wherever it is) implements this trait itself. What makes an agent durable (the one write per
//! turn, the outbox, timers, recovery, snapshots) stands once, in [`DurableAgent`], and is the same for both.

use super::codec::{CodecError, Form, Stored, decode, encode};
use super::decider::{Decider, Decision};
use super::{DurableAgent, acl};
use crate::agent::Failure;
use crate::journal::{EventData, StreamName};
use crate::turn::Turn;
use std::any::Any;
use std::future::{Future, ready};
use std::sync::Arc;
use swarm_protocols::{AclMessage, ExitReason};

/// The code of a durable agent, as the runtime calls it. Not meant to be implemented beside [`Decider`], but under it.
///
/// What is said of [`Decider`]'s functions holds here too: a state is a function of its events, whoever applies them and when.
/// Every future may be dropped at any await; the state that it was given is dropped then as well.
pub trait DurableBehaviour: Send + Sync + Sized + 'static {
    /// What is made of the events.
    type State: Send + 'static;
    /// What it can be told.
    type Command: Send + 'static;
    /// What can happen to it.
    type Event: Send + Sync;
    /// What an asker is told.
    type Answer: Send + 'static;

    /// The version of the bytes that [`save`](Self::save) gives. A snapshot of another version is passed over.
    const STATE_VERSION: u16;
    /// Whether replaying and saving take the time of a thread that others want: then they are done on one that may block.
    const BLOCKS: bool = false;
    /// Whether a state is of no use any more once a decision that was made on it is not carried out.
    const DECIDING_SPOILS: bool = false;

    /// The state before any event.
    ///
    /// # Errors
    /// An error is one of the moment, such as no room: it is tried again.
    fn begin(
        &self,
        stream: &StreamName,
    ) -> impl Future<Output = Result<Self::State, Failure>> + Send;

    /// The state that [`save`](Self::save) made these bytes of; none if it cannot be read: an older snapshot, or the events,
    /// will do.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn restore(
        &self,
        stream: &StreamName,
        bytes: &[u8],
    ) -> impl Future<Output = Result<Option<Self::State>, Failure>> + Send;

    /// A state's bytes; none when there are none at the moment. No snapshot is taken then.
    fn save(&self, state: &mut Self::State) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// Decides what a command leads to. The state is not changed, as far as [`save`](Self::save) shows.
    ///
    /// # Errors
    /// An error ends this life; nothing has happened.
    fn decide(
        &self,
        state: &mut Self::State,
        command: Self::Command,
        turn: &mut Decision<'_, Self>,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// Applies an event that was just decided and is in the journal now.
    ///
    /// # Errors
    /// An error ends this life. The event has happened: the next life finds it.
    fn evolve(
        &self,
        state: &mut Self::State,
        event: &Self::Event,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Applies an event as the journal has it.
    ///
    /// # Errors
    /// [`CodecError`]. The agent is held.
    fn replay(
        &self,
        state: &mut Self::State,
        event: Written<'_>,
    ) -> impl Future<Output = Result<(), CodecError>> + Send;

    /// An event as the journal is to have it.
    ///
    /// # Errors
    /// [`CodecError::NotEncoded`]. The turn fails, and nothing has happened.
    fn write(&self, event: &Self::Event) -> Result<EventData, CodecError>;

    /// A command's bytes: what waits in a timer.
    ///
    /// # Errors
    /// [`CodecError::NotEncoded`].
    fn write_command(command: &Self::Command) -> Result<Vec<u8>, CodecError>;

    /// Reads such bytes; none if they are no command.
    fn read_command(payload: &[u8]) -> Option<Self::Command>;

    /// The command that an ACL message is; none when it is not understood.
    fn acl_command(&self, message: &Arc<AclMessage>) -> Option<Self::Command>;

    /// What an ACL message is answered. `asker` says who waits for that.
    fn acl_answers(
        &self,
        message: &AclMessage,
        answer: Self::Answer,
        asker: Asker,
    ) -> Vec<AclMessage>;

    /// An ordered end, behind the last snapshot. Not called when it falls asleep, nor at a crash or a kill.
    fn stop(
        &self,
        state: &mut Self::State,
        reason: &ExitReason,
    ) -> impl Future<Output = ()> + Send {
        let _ = (state, reason);
        ready(())
    }

    /// Handles what was sent with [`aside`](super::aside): a matter of the code and not of the agent, of which nothing is
    /// written. Nothing is handled by default.
    ///
    /// # Errors
    /// An error ends this life.
    fn aside(
        &self,
        state: &mut Self::State,
        message: Box<dyn Any + Send>,
        turn: &mut Turn<'_, DurableAgent<Self>>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (state, turn);
        drop(message);
        ready(Ok(()))
    }
}

/// An event as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// Its type and version.
    pub form: Form,
    /// What is known of it beside its payload.
    pub meta: &'a [u8],
    /// The event itself.
    pub payload: &'a [u8],
}

/// Who sent an ACL message to a durable agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A volatile agent, or somebody outside.
    Volatile,
    /// A durable agent: the answer goes through the outbox and is applied there once.
    Durable,
}

impl<D: Decider> DurableBehaviour for D {
    type State = D::State;
    type Command = D::Command;
    type Event = D::Event;
    type Answer = D::Answer;

    const STATE_VERSION: u16 = <D as Decider>::STATE_VERSION;

    fn begin(&self, _: &StreamName) -> impl Future<Output = Result<D::State, Failure>> + Send {
        ready(Ok(D::State::default()))
    }

    fn restore(
        &self,
        _: &StreamName,
        bytes: &[u8],
    ) -> impl Future<Output = Result<Option<D::State>, Failure>> + Send {
        ready(Ok(decode(bytes)))
    }

    fn save(&self, state: &mut D::State) -> impl Future<Output = Option<Vec<u8>>> + Send {
        ready(encode(state).ok())
    }

    fn decide(
        &self,
        state: &mut D::State,
        command: D::Command,
        turn: &mut Decision<'_, Self>,
    ) -> impl Future<Output = Result<D::Answer, Failure>> + Send {
        ready(Decider::decide(self, state, command, turn))
    }

    fn evolve(
        &self,
        state: &mut D::State,
        event: &D::Event,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        Decider::evolve(self, state, event);
        ready(Ok(()))
    }

    fn replay(
        &self,
        state: &mut D::State,
        event: Written<'_>,
    ) -> impl Future<Output = Result<(), CodecError>> + Send {
        let read = D::Event::read(event.form, event.payload);
        ready(read.map(|events| {
            for event in &events {
                Decider::evolve(self, state, event);
            }
        }))
    }

    fn write(&self, event: &D::Event) -> Result<EventData, CodecError> {
        let form = event.form();
        Ok(EventData {
            type_id: form.type_id,
            version: form.version,
            tags: self.tags(event),
            meta: Vec::new(),
            payload: event.encode()?,
        })
    }

    fn write_command(command: &D::Command) -> Result<Vec<u8>, CodecError> {
        encode(command)
    }

    fn read_command(payload: &[u8]) -> Option<D::Command> {
        decode(payload)
    }

    fn acl_command(&self, message: &Arc<AclMessage>) -> Option<D::Command> {
        Decider::acl_command(self, message)
    }

    fn acl_answers(
        &self,
        message: &AclMessage,
        answer: D::Answer,
        asker: Asker,
    ) -> Vec<AclMessage> {
        // Two durable agents would answer each other's answers for ever.
        if asker == Asker::Durable && acl::is_answer(message) {
            return Vec::new();
        }
        vec![self.acl_answer(message, answer)]
    }
}
