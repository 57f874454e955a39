//! The records of one protocol actor.

use super::book::ConversationLimits;
use super::message::{Answers, Asked, OpenError};
use super::view::{ConversationView, MessageView, PartyView};
use crate::ask::ReplyTo;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use swarm_protocols::interaction::{Action, Conversation, Outcome};
use swarm_protocols::{AclMessage, ConversationId, Incarnation, Path, Timestamp};

/// One side of one conversation, as it is kept.
pub(super) struct Record {
    pub(super) machine: Conversation,
    pub(super) opened: Timestamp,
    /// The life of the agent that takes part; `None` when any may.
    pub(super) life: Option<Incarnation>,
    /// How many questions were asked.
    pub(super) questions: u32,
    /// When it is woken, as the actor knows it.
    pub(super) armed: Option<Timestamp>,
    /// Its next step panics, for tests.
    pub(super) is_to_crash: bool,
    pub(super) messages: Log,
    /// What only initiators from outside have.
    pub(super) outside: Option<Box<Outside>>,
}

pub(super) struct Outside {
    pub(super) answers: Option<Answers>,
    pub(super) ended: Option<ReplyTo<Result<Outcome, OpenError>>>,
}

/// The first message and the latest.
#[derive(Default)]
pub(super) struct Log {
    kept: VecDeque<Logged>,
    left_out: u64,
}

struct Logged {
    at: Timestamp,
    is_received: bool,
    message: Arc<AclMessage>,
    /// How many bytes its content had.
    bytes: usize,
}

/// How many bytes of a message's content are kept to be looked at. Of a longer one a copy without the rest is kept.
const CONTENT_KEPT_MAX: usize = 4096;

impl Log {
    pub(super) fn note(
        &mut self,
        message: &Arc<AclMessage>,
        at: Timestamp,
        is_received: bool,
        max: usize,
    ) {
        if max == 0 {
            self.left_out += 1;
            return;
        }
        if self.kept.len() >= max {
            // The first one says what it was all about.
            self.kept.remove(usize::from(max > 1));
            self.left_out += 1;
        }
        if self.kept.capacity() == 0 {
            self.kept.reserve_exact(2);
        }
        let bytes = message.content.as_ref().map_or(0, Vec::len);
        let message = if bytes <= CONTENT_KEPT_MAX {
            message.clone()
        } else {
            Arc::new(beginning_of(message))
        };
        self.kept.push_back(Logged {
            at,
            is_received,
            message,
            bytes,
        });
    }
}

impl Log {
    /// Notes what a machine says.
    pub(super) fn note_said(&mut self, actions: &[Action], at: Timestamp, max: usize) {
        for action in actions {
            if let Action::Send(message) = action {
                self.note(message, at, false, max);
            }
        }
    }

    pub(super) fn heard(&self) -> Vec<Arc<AclMessage>> {
        self.kept
            .iter()
            .filter(|logged| logged.is_received)
            .map(|logged| logged.message.clone())
            .collect()
    }
}

/// A message with no more of its content than is kept.
fn beginning_of(message: &AclMessage) -> AclMessage {
    AclMessage {
        sender: message.sender.clone(),
        receiver: message.receiver.clone(),
        content: message
            .content
            .as_ref()
            .map(|content| content[..content.len().min(CONTENT_KEPT_MAX)].to_vec()),
        protocol: message.protocol.clone(),
        conversation_id: message.conversation_id.clone(),
        reply_with: message.reply_with.clone(),
        in_reply_to: message.in_reply_to.clone(),
        reply_by: message.reply_by,
        ..AclMessage::new(message.performative)
    }
}

/// What the last turn sends: until the next turn begins it may not have been sent.
pub(super) enum Unsent {
    Said(Arc<AclMessage>),
    Asked(Asked),
}

/// All records of one protocol actor.
pub(super) struct Records {
    limits: ConversationLimits,
    /// Looked up by id, never walked through to decide anything.
    /// Each in a box of its own: a table has room for more than there is in it.
    by_id: HashMap<ConversationId, Box<Record>>,
    /// Those that have ended, in order of their end.
    ended: VecDeque<ConversationId>,
    open: usize,
    pub(super) unsent: Vec<Unsent>,
    /// How many conversations were ever opened here; part of fresh ids.
    pub(super) opened: u64,
}

impl Records {
    pub(super) fn new(limits: ConversationLimits) -> Self {
        Self {
            limits,
            by_id: HashMap::new(),
            ended: VecDeque::new(),
            open: 0,
            unsent: Vec::new(),
            opened: 0,
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn has_room(&self) -> bool {
        self.open < self.limits.open_per_agent
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.by_id.get_mut(id).map(Box::as_mut)
    }

    pub(super) fn put(&mut self, id: ConversationId, record: Record) {
        self.open += 1;
        self.by_id.insert(id, Box::new(record));
    }

    /// Keeps what a machine says until the next turn begins: a life that ends before may not have sent it.
    pub(super) fn keep_unsent(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Send(message) = action {
                self.unsent.push(Unsent::Said(message.clone()));
            }
        }
    }

    /// Notes an end, and gives back the oldest that is too much, to be dropped where no lock is held. A commit that was not
    /// acknowledged goes to the back instead.
    #[expect(clippy::vec_box, reason = "they are in boxes already")]
    pub(super) fn note_end(&mut self, id: &ConversationId) -> Vec<Box<Record>> {
        self.open -= 1;
        self.ended.push_back(id.clone());
        let mut dropped = Vec::new();
        let mut tries = self.ended.len();
        while self.ended.len() > self.limits.ended_per_agent && tries > 0 {
            tries -= 1;
            let Some(oldest) = self.ended.pop_front() else {
                break;
            };
            let must_stay = self
                .by_id
                .get(&oldest)
                .is_some_and(|record| !record.machine.may_be_forgotten());
            if must_stay {
                self.ended.push_back(oldest);
            } else {
                dropped.extend(self.by_id.remove(&oldest));
            }
        }
        dropped
    }

    pub(super) fn forget(&mut self, id: &ConversationId) {
        self.by_id.remove(id);
        // Those that are forgotten in time are among the oldest.
        if let Some(at) = self.ended.iter().position(|other| other == id) {
            self.ended.remove(at);
        }
    }

    /// Takes a record out that can no longer be stepped. True when it was open.
    pub(super) fn remove_crashed(&mut self, id: &ConversationId) -> bool {
        let was_open = self
            .by_id
            .remove(id)
            .is_some_and(|record| record.machine.outcome().is_none());
        self.open -= usize::from(was_open);
        was_open
    }

    /// The ids of all records that are open, in order of id: what is done to all of them is done in that order.
    pub(super) fn open_ids(&self) -> Vec<ConversationId> {
        let mut ids: Vec<_> = self
            .by_id
            .iter()
            .filter(|(_, record)| record.machine.outcome().is_none())
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// When each record is due, for a new life.
    pub(super) fn dues(&self) -> Vec<(Timestamp, ConversationId)> {
        self.by_id
            .iter()
            .filter_map(|(id, record)| Some((record.machine.due()?, id.clone())))
            .collect()
    }

    pub(super) fn views(&self, actor: &Path) -> Vec<ConversationView> {
        let mut views: Vec<_> = self
            .by_id
            .values()
            .map(|record| record.view(actor, false))
            .collect();
        views.sort_by(|a, b| (a.opened_ms, &a.id).cmp(&(b.opened_ms, &b.id)));
        views
    }

    pub(super) fn view(&self, actor: &Path, id: &ConversationId) -> Option<ConversationView> {
        Some(self.by_id.get(id)?.view(actor, true))
    }
}

impl Record {
    fn view(&self, actor: &Path, with_messages: bool) -> ConversationView {
        let machine = &self.machine;
        ConversationView {
            id: machine.id().clone(),
            protocol: machine.protocol().token().to_owned(),
            role: machine.role(),
            actor: actor.clone(),
            agent: machine.me().name.to_string(),
            state: machine.state().to_owned(),
            parties: machine
                .parties()
                .into_iter()
                .map(|(who, state)| PartyView {
                    name: who.name.to_string(),
                    state: state.to_owned(),
                })
                .collect(),
            outcome: machine.outcome().map(|outcome| outcome.end),
            opened_ms: self.opened.as_millis(),
            ended_ms: machine.ended_at().map(Timestamp::as_millis),
            expires_ms: machine.expires_at().map(Timestamp::as_millis),
            messages: if with_messages {
                self.messages
                    .kept
                    .iter()
                    .map(|m| MessageView {
                        content_bytes: m.bytes,
                        ..MessageView::of(&m.message, m.at.as_millis(), m.is_received)
                    })
                    .collect()
            } else {
                Vec::new()
            },
            messages_left_out: self.messages.left_out,
        }
    }
}
