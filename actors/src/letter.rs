//! What lies in a mailbox: a message or a signal, and what is known of it.

use crate::ask::{AskHold, ReplyTo};
use crate::fault::Fault;
use crate::mailbox::Posted;
use crate::signal::Signal;
use crate::timers::TimerId;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, Extensions, Incarnation, Priority, TraceContext};

pub(crate) struct Letter<M> {
    pub(crate) body: Body<M>,
    /// The asker, where somebody waits for an answer.
    pub(crate) ask: Option<AskHold>,
    /// Who sent it, where it was an agent.
    pub(crate) sender: Sender,
    pub(crate) extra: Option<Box<Extra>>,
    /// When it was put in, on the system's coarse clock, in milliseconds.
    pub(crate) at_ms: u32,
    pub(crate) priority: Priority,
    /// How many lives this letter has already ended.
    pub(crate) deliveries: u8,
}

pub(crate) enum Body<M> {
    Message(M),
    Acl(Arc<AclMessage>),
    Timer(TimerId, M),
    /// For the life that it was sent to; the next one does not get it.
    Signal(Incarnation, Box<Signal>),
}

/// The address of the agent that sent a letter, in half the room of an `Option<Address>`; no agent has the address 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender([u64; 2]);

impl Sender {
    pub(crate) const NONE: Self = Self([0; 2]);

    pub(crate) fn address(self) -> Option<Address> {
        (self != Self::NONE).then(|| Address(u128::from(self.0[0]) << 64 | u128::from(self.0[1])))
    }

    /// The lower half; 0 when it came from outside.
    pub(crate) fn low(self) -> u64 {
        self.0[1]
    }
}

impl From<Address> for Sender {
    fn from(address: Address) -> Self {
        Self([(address.0 >> 64) as u64, address.0 as u64])
    }
}

/// What a turn knows of the letter that it is for, beside what the letter says.
pub(crate) struct Given {
    /// Who sent it.
    pub(crate) from: Sender,
    pub(crate) kind: LetterKind,
    /// Whether it carries a trace or the like; the cell has it.
    pub(crate) has_extra: bool,
    pub(crate) wants_copy: bool,
    /// The port of its asker, where it is ACL and somebody waits.
    pub(crate) acl_port: Option<ReplyTo<AclMessage>>,
    /// A fault that is to show in its turn.
    pub(crate) fault: Option<Box<Fault>>,
}

impl Given {
    pub(crate) const NOTHING: Self = Self {
        from: Sender::NONE,
        kind: LetterKind::Continue,
        has_extra: false,
        wants_copy: false,
        acl_port: None,
        fault: None,
    };
}

/// What only few letters carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Not to be handled after this time on the system's clock, in milliseconds.
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) extensions: Extensions,
}

impl<M> Letter<M> {
    pub(crate) fn new(body: Body<M>, at_ms: u32) -> Self {
        Self {
            body,
            ask: None,
            sender: Sender::NONE,
            extra: None,
            at_ms,
            priority: Priority::Normal,
            deliveries: 0,
        }
    }
}

impl<M> Posted for Letter<M> {
    fn priority(&self) -> Priority {
        self.priority
    }

    fn is_counted(&self) -> bool {
        match self.body {
            Body::Message(_) | Body::Acl(_) => true,
            Body::Timer(..) | Body::Signal(..) => false,
        }
    }
}

/// What kind of thing a letter is: shown in flight recorders, dead letters and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetterKind {
    /// A message of the agent's own type.
    Message,
    /// A FIPA ACL message.
    Acl,
    /// A fired timer.
    Timer,
    /// The end of a monitored actor.
    Down,
    /// The end of a linked actor.
    Exit,
    /// A restart or end of a watched actor.
    Watch,
    /// A change in a monitored group.
    Group,
    /// What becomes of its registered name in the cluster.
    Name,
    /// What the agent told itself to do after its start.
    Continue,
}

impl LetterKind {
    /// The kind as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Acl => "acl",
            Self::Timer => "timer",
            Self::Down => "down",
            Self::Exit => "exit",
            Self::Watch => "watch",
            Self::Group => "group",
            Self::Name => "name",
            Self::Continue => "continue",
        }
    }
}

impl<M> Body<M> {
    pub(crate) fn kind(&self) -> LetterKind {
        match self {
            Self::Message(_) => LetterKind::Message,
            Self::Acl(_) => LetterKind::Acl,
            Self::Timer(..) => LetterKind::Timer,
            Self::Signal(_, signal) => match **signal {
                Signal::Down(_) => LetterKind::Down,
                Signal::Exit(_) => LetterKind::Exit,
                Signal::Watch(_) => LetterKind::Watch,
                Signal::Group(_) => LetterKind::Group,
                Signal::Name(_) => LetterKind::Name,
            },
        }
    }
}
