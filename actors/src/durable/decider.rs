//! What a developer writes: a decider.

use super::acl;
use super::behaviour::DurableBehaviour;
use super::codec::{CodecError, Stored, encode};
use super::facts::{Facts, Ledger, Outgoing, TimerFact};
use crate::agent::Failure;
use crate::journal::Tag;
use crate::reference::AnyRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_protocols::{AclMessage, Path, Performative};

/// How many messages of one agent may wait to be settled. A turn that sends more fails.
pub const OUTBOX_MAX: usize = 65_536;

/// How many timers one durable agent may have. A turn that sets more fails.
pub const TIMERS_PER_DURABLE_MAX: usize = 4096;

/// The behaviour of a durable agent: two functions, without a state of their own. Both must be the same functions of their
/// arguments always, or a replay ends elsewhere than the life that it repeats.
pub trait Decider: Send + Sync + Sized + 'static {
    /// What is made of the events; its default is the state before any. Its bytes are a snapshot.
    type State: Default + Serialize + DeserializeOwned + Send + 'static;
    /// What it can be told. Its bytes are what waits in another agent's outbox, or in a timer.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What can happen to it.
    type Event: Stored;
    /// What an asker is told.
    type Answer: Send + 'static;

    /// The version of the state's form. With another one a snapshot is left aside and the events are read instead.
    const STATE_VERSION: u16 = 1;

    /// Decides what a command leads to, and what its asker is told; the answer counts once the events are in the journal.
    ///
    /// # Errors
    /// An error ends this life like one of any agent's turn: nothing has happened. A refusal that the asker is to see is an
    /// answer.
    fn decide(
        &self,
        state: &Self::State,
        command: Self::Command,
        turn: &mut Decision<'_, Self>,
    ) -> Result<Self::Answer, Failure>;

    /// Applies an event that is in the journal. It cannot fail: what may not happen is not decided.
    fn evolve(&self, state: &mut Self::State, event: &Self::Event);

    /// The command that an ACL message asks for; `None` when it is not understood, which is the default.
    fn acl_command(&self, message: &AclMessage) -> Option<Self::Command> {
        let _ = message;
        None
    }

    /// What an ACL message is answered when what it led to is in the journal; an empty `inform` by default.
    fn acl_answer(&self, message: &AclMessage, answer: Self::Answer) -> AclMessage {
        drop(answer);
        message.reply(Performative::Inform)
    }

    /// What an event can be found by in the journal, beside its stream.
    fn tags(&self, event: &Self::Event) -> Vec<Tag> {
        let _ = event;
        Vec::new()
    }
}

/// What a decision is made of: buffered, and written in one append.
pub struct Decision<'a, D: DurableBehaviour> {
    pub(super) events: Vec<D::Event>,
    /// Messages that are sent once it is committed, and not kept.
    pub(super) told: Vec<(AnyRef, AclMessage)>,
    /// The last batch of its stream.
    pub(super) last_batch: u64,
    pub(super) facts: Facts,
    pub(super) ledger: &'a Ledger,
    pub(super) failed: Option<Overrun>,
    pub(super) now_ms: u64,
    pub(super) random: u64,
    pub(super) from: Option<Path>,
}

/// A decision that asks for more than an agent may have. It ends the turn; nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// Too many messages wait to be settled.
    #[error("more than {OUTBOX_MAX} messages wait to be settled")]
    Outbox,
    /// Too many timers.
    #[error("a durable agent has at most {TIMERS_PER_DURABLE_MAX} timers")]
    Timers,
    /// A command whose bytes would be taken for an ACL message.
    #[error("the command cannot be told from an ACL message")]
    Ambiguous,
    /// What is to be sent cannot be made bytes of.
    #[error(transparent)]
    Codec(CodecError),
}

impl<D: DurableBehaviour> Decision<'_, D> {
    /// Records an event.
    pub fn record(&mut self, event: D::Event) {
        self.events.push(event);
    }

    /// Sends a command to another durable agent, which applies it exactly once, however often either side crashes. Messages
    /// from one agent to another keep their order.
    pub fn send<To: Decider>(&mut self, to: &Path, command: &To::Command) {
        self.send_bytes(to, encode(command));
    }

    /// Sends an ACL message, as [`Decision::send`] sends a command: a durable agent applies it exactly once, whatever its
    /// commands are. A volatile one gets it at least once: it is sent again after a crash of the node unless it was on record that
    /// the mailbox had taken it.
    pub fn send_acl(&mut self, to: &Path, message: &AclMessage) {
        self.put(to, acl::write(message));
    }

    /// Sends an ACL message to any agent when the turn is committed, at most once: a crash right then may lose it.
    pub fn tell_acl(&mut self, to: AnyRef, message: AclMessage) {
        self.told.push((to, message));
    }

    /// The same with the command as bytes.
    pub(crate) fn send_bytes(&mut self, to: &Path, payload: Result<Vec<u8>, CodecError>) {
        if payload.as_ref().is_ok_and(|payload| acl::is_one(payload)) {
            self.failed = Some(Overrun::Ambiguous);
            return;
        }
        self.put(to, payload);
    }

    fn put(&mut self, to: &Path, payload: Result<Vec<u8>, CodecError>) {
        match payload {
            Ok(payload) => {
                let pending = self.facts.sent.len() + self.ledger.outbox_len();
                if pending >= OUTBOX_MAX {
                    self.failed = Some(Overrun::Outbox);
                }
                let seq = self.ledger.next_to(to) + self.facts.sent_to(to);
                self.facts.sent.push(Outgoing {
                    to: to.as_str().to_owned(),
                    seq,
                    payload,
                });
            }
            Err(error) => self.failed = Some(Overrun::Codec(error)),
        }
    }

    /// Gives this agent `command` at that time (milliseconds since 1970), whatever crashes until then. A timer of the same key
    /// is replaced.
    pub fn schedule(&mut self, key: &str, at_ms: u64, command: &D::Command) {
        match D::write_command(command) {
            Ok(payload) => {
                if self.facts.timers.len() + self.ledger.timers_len() >= TIMERS_PER_DURABLE_MAX {
                    self.failed = Some(Overrun::Timers);
                }
                self.facts.timers.push(TimerFact {
                    key: key.to_owned(),
                    set: Some((at_ms, payload)),
                });
            }
            Err(error) => self.failed = Some(Overrun::Codec(error)),
        }
    }

    /// Cancels a timer; it does not fire after this turn.
    pub fn cancel(&mut self, key: &str) {
        self.facts.timers.push(TimerFact {
            key: key.to_owned(),
            set: None,
        });
    }

    /// How many timers the agent had when the turn began.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.ledger.timers_len()
    }

    /// A number that no other turn of this agent that wrote anything has, and that rises from turn to turn.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.last_batch + 1
    }

    /// When the turn began, in milliseconds since 1970: the only time that a decision may go by.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A random number of this turn's: the only chance that a decision may go by.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.random
    }

    /// Which durable agent sent the command, if one did.
    #[must_use]
    pub fn from(&self) -> Option<&Path> {
        self.from.as_ref()
    }
}
