//! The records of one protocol actor.

use super::book::ConversationLimits;
use super::log::Log;
use super::message::{Answers, Asked, OpenError};
use super::packed::Packed;
use super::view::{ConversationView, MessageView, PartyView};
use crate::ask::ReplyTo;
use ahash::AHashMap;
use std::collections::VecDeque;
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

/// What the last turn sends: until the next turn begins it may not have been sent.
pub(super) enum Unsent {
    Said(Arc<AclMessage>),
    Asked(Asked),
}

/// Each in a box of its own: a table has room for more than there is in it.
enum Kept {
    Whole(Box<Record>),
    /// It has ended, and nobody spoke of it since.
    Packed(Box<Packed>),
}

impl Kept {
    fn is_open(&self) -> bool {
        match self {
            Self::Whole(record) => record.machine.outcome().is_none(),
            Self::Packed(_) => false,
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Whole(record) => record.machine.due(),
            Self::Packed(packed) => packed.due,
        }
    }

    fn armed(&self) -> Option<Timestamp> {
        match self {
            Self::Whole(record) => record.armed,
            Self::Packed(packed) => packed.armed,
        }
    }
}

/// All records of one protocol actor.
pub(super) struct Records {
    limits: ConversationLimits,
    /// Looked up by id, never walked through to decide anything.
    by_id: AHashMap<ConversationId, Kept>,
    /// Those that have ended, in order of their end.
    ended: VecDeque<ConversationId>,
    /// In this turn; packed when it is over.
    just_ended: Vec<ConversationId>,
    open: usize,
    /// Room to pack in.
    scratch: Vec<u8>,
    pub(super) unsent: Vec<Unsent>,
    /// How many conversations were ever opened here; part of fresh ids.
    pub(super) opened: u64,
}

impl Records {
    pub(super) fn new(limits: ConversationLimits) -> Self {
        Self {
            limits,
            by_id: AHashMap::new(),
            ended: VecDeque::new(),
            just_ended: Vec::new(),
            open: 0,
            scratch: Vec::new(),
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
        let kept = self.by_id.get_mut(id)?;
        if let Kept::Packed(packed) = kept {
            // It stays whole: what was spoken of late may be again, and to pack it each time is work that anybody could cause.
            let record = packed.unpack()?;
            *kept = Kept::Whole(Box::new(record));
        }
        match kept {
            Kept::Whole(record) => Some(record),
            Kept::Packed(_) => None,
        }
    }

    /// Packs what has ended in this turn. What they were is to be dropped where no lock is held.
    #[expect(clippy::vec_box, reason = "they are in boxes already")]
    pub(super) fn pack_ended(&mut self) -> Vec<Box<Record>> {
        let mut were = Vec::new();
        for id in std::mem::take(&mut self.just_ended) {
            let Some(kept) = self.by_id.get_mut(&id) else {
                continue;
            };
            if let Kept::Whole(record) = kept
                && record.may_be_packed()
                && let Some(packed) = Packed::of(record, &mut self.scratch)
                && let Kept::Whole(record) = std::mem::replace(kept, Kept::Packed(Box::new(packed)))
            {
                were.push(record);
            }
        }
        were
    }

    /// Notes when a record is woken, and says when it was to be before; `None` when there is no such record.
    pub(super) fn arm(&mut self, id: &str, at: Option<Timestamp>) -> Option<Option<Timestamp>> {
        let armed = match self.by_id.get_mut(id)? {
            Kept::Whole(record) => &mut record.armed,
            Kept::Packed(packed) => &mut packed.armed,
        };
        Some(std::mem::replace(armed, at))
    }

    pub(super) fn put(&mut self, id: ConversationId, record: Record) {
        self.open += 1;
        self.by_id.insert(id, Kept::Whole(Box::new(record)));
    }

    /// Keeps what a machine says until the next turn begins: a life that ends before may not have sent it.
    pub(super) fn keep_unsent(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Send(message) = action {
                self.unsent.push(Unsent::Said(message.clone()));
            }
        }
    }

    /// Notes an end, and forgets the oldest that is too much: which it was, and when it was to be woken. A commit that was not
    /// acknowledged goes to the back instead.
    pub(super) fn note_end(&mut self, id: &ConversationId) -> Vec<(ConversationId, Timestamp)> {
        self.open -= 1;
        self.ended.push_back(id.clone());
        self.just_ended.push(id.clone());
        let mut dropped = Vec::new();
        let mut tries = self.ended.len();
        while self.ended.len() > self.limits.ended_per_agent && tries > 0 {
            tries -= 1;
            let Some(oldest) = self.ended.pop_front() else {
                break;
            };
            let must_stay = self.by_id.get(&oldest).is_some_and(|kept| match kept {
                Kept::Whole(record) => !record.machine.may_be_forgotten(),
                Kept::Packed(_) => false,
            });
            if must_stay {
                self.ended.push_back(oldest);
            } else if let Some(kept) = self.by_id.remove(&oldest) {
                dropped.extend(kept.armed().map(|at| (oldest, at)));
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
        let was_open = self.by_id.remove(id).is_some_and(|kept| kept.is_open());
        self.open -= usize::from(was_open);
        was_open
    }

    /// The ids of all records that are open, in order of id: what is done to all of them is done in that order.
    pub(super) fn open_ids(&self) -> Vec<ConversationId> {
        let mut ids: Vec<_> = self
            .by_id
            .iter()
            .filter(|(_, kept)| kept.is_open())
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// When each record is due, for a new life.
    pub(super) fn dues(&self) -> Vec<(Timestamp, ConversationId)> {
        self.by_id
            .iter()
            .filter_map(|(id, kept)| Some((kept.due()?, id.clone())))
            .collect()
    }

    pub(super) fn views(&self, actor: &Path) -> Vec<ConversationView> {
        let mut views: Vec<_> = self
            .by_id
            .values()
            .filter_map(|kept| kept.view(actor, false))
            .collect();
        views.sort_by(|a, b| (a.opened_ms, &a.id).cmp(&(b.opened_ms, &b.id)));
        views
    }

    pub(super) fn view(&self, actor: &Path, id: &ConversationId) -> Option<ConversationView> {
        self.by_id.get(id)?.view(actor, true)
    }
}

impl Kept {
    fn view(&self, actor: &Path, with_messages: bool) -> Option<ConversationView> {
        match self {
            Self::Whole(record) => Some(record.view(actor, with_messages)),
            Self::Packed(packed) => Some(packed.unpack()?.view(actor, with_messages)),
        }
    }
}

impl Record {
    /// Not so while a commit was not acknowledged, while somebody is to hear of the end, or where a step is to crash.
    fn may_be_packed(&self) -> bool {
        let is_told = self.outside.as_ref().is_none_or(|o| o.ended.is_none());
        self.machine.may_be_forgotten() && is_told && !self.is_to_crash
    }

    pub(super) fn view(&self, actor: &Path, with_messages: bool) -> ConversationView {
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
