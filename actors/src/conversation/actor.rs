//! The protocol actor: what reaches it, and which record that is for.

use super::book::{ConversationBook, Count, Table};
use super::carry::refusal;
use super::deaths::Watch;
use super::log::Log;
use super::message::{Listener, Open, OpenError, ProtocolMessage, Said};
use super::record::{Outside, Record, Records, Unsent};
use super::spec::OnAgentCrash;
use crate::agent::{Agent, Failure, Init};
use crate::gateway::Route;
use crate::info::ActorState;
use crate::reference::AnyRef;
use crate::signal::{Down, MonitorId, Watched};
use crate::system::System;
use crate::timers::TimerId;
use crate::turn::Turn;
use ahash::AHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::interaction::{
    Action, Conversation, Decision, Event, NotOpened, Protocol, Terms, parent_id, unopened,
};
use swarm_protocols::{
    AclMessage, Address, Aid, ConversationId, ExitReason, Incarnation, Path, Timestamp,
};
use tokio::time::Instant;

/// Finds the agent that a protocol actor speaks for, given its own path.
pub(super) type Find = dyn Fn(&System, &Path) -> Option<Arc<dyn Listener>> + Send + Sync;

/// What all lives of one protocol actor share.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) book: ConversationBook,
    pub(super) table: Arc<Table>,
    find: Option<Arc<Find>>,
    pub(super) terms: Terms,
    pub(super) on_crash: OnAgentCrash,
    pub(super) tell_ends: bool,
}

impl Setup {
    pub(super) fn new(book: &ConversationBook, find: Option<Arc<Find>>) -> Self {
        Self {
            book: book.clone(),
            table: book.table(),
            find,
            terms: Terms::default(),
            on_crash: OnAgentCrash::default(),
            tell_ends: true,
        }
    }
}

impl Setup {
    /// Whether the agent's conversations outlive its crash.
    pub(super) fn keeps_records(&self, agent: &AnyRef) -> bool {
        self.book.is_protocol_actor(agent) || self.table.places.is_keeper(agent.address())
    }

    pub(super) fn table_records(&self) -> parking_lot::MutexGuard<'_, Records> {
        self.table.records.lock()
    }
}

/// Holds the conversations of one agent. Described by a [`ProtocolSpec`](super::ProtocolSpec).
pub struct ProtocolActor {
    pub(super) setup: Setup,
    pub(super) listener: Option<Arc<dyn Listener>>,
    pub(super) me: Aid,
    pub(super) path: Option<Path>,
    /// What fresh conversation-ids begin with: different in each life.
    prefix: String,
    /// A moment on both clocks.
    origin: Option<(i64, Instant)>,
    /// When which record is to be woken.
    pub(super) dues: BTreeSet<(Timestamp, ConversationId)>,
    timer: Option<(TimerId, Timestamp)>,
    pub(super) watched: AHashMap<Address, Watch>,
    pub(super) agent_monitor: Option<MonitorId>,
    /// What this turn has still to do.
    pub(super) pending: VecDeque<(ConversationId, Event)>,
}

/// How many steps one message may lead to inside of a turn. What asks for more asks itself in a circle.
const STEPS_PER_TURN_MAX: u32 = 65_536;
/// After how long a record is looked at again whose deadline did not move although it had come.
const STUCK_DEADLINE: Duration = Duration::from_secs(1);

impl ProtocolActor {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            listener: None,
            me: Aid::named(""),
            path: None,
            prefix: String::new(),
            origin: None,
            dues: BTreeSet::new(),
            timer: None,
            watched: AHashMap::new(),
            agent_monitor: None,
            pending: VecDeque::new(),
        }
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.setup.table
    }

    pub(super) fn now(&self, turn: &Turn<'_, Self>) -> Timestamp {
        let millis = match self.origin {
            Some((origin, at)) => {
                let since = turn.now().saturating_duration_since(at).as_millis();
                origin.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
            }
            None => 0,
        };
        Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
    }

    /// What the last turn sent is sent: turns commit one after the other.
    fn begin_turn(&mut self) {
        self.table().records.lock().unsent.clear();
    }

    fn finish_turn(&mut self, turn: &mut Turn<'_, Self>) {
        for _ in 0..STEPS_PER_TURN_MAX {
            let Some((id, event)) = self.pending.pop_front() else {
                break;
            };
            self.step(turn, &id, event);
        }
        self.pending.clear();
        let were = self.table().records.lock().pack_ended();
        drop(were);
        self.arm(turn);
    }

    /// One timer for all: for the earliest of the deadlines.
    fn arm(&mut self, turn: &mut Turn<'_, Self>) {
        let Some((earliest, _)) = self.dues.first() else {
            return;
        };
        let earliest = *earliest;
        if self.timer.is_some_and(|(_, at)| at <= earliest) {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            turn.cancel(timer);
        }
        let after = earliest.saturating_since(self.now(turn));
        // There is one timer at most, so there is room for it.
        if let Ok(timer) = turn.schedule(after, ProtocolMessage(Said::Wake)) {
            self.timer = Some((timer, earliest));
        }
    }

    fn wake(&mut self, turn: &mut Turn<'_, Self>) {
        self.timer = None;
        let now = self.now(turn);
        let mut due = Vec::new();
        while self.dues.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.dues.pop_first() {
                due.push(id);
            }
        }
        for id in due {
            self.table().records.lock().arm(&id, None);
            self.step(turn, &id, Event::Deadline);
            let still = {
                let mut records = self.setup.table.records.lock();
                records.get_mut(&id).and_then(|record| {
                    let due = record.machine.due().filter(|_| record.armed.is_none())?;
                    let at = due.max(now.saturating_add(STUCK_DEADLINE));
                    record.armed = Some(at);
                    Some(at)
                })
            };
            if let Some(at) = still {
                self.dues.insert((at, id));
            }
        }
    }

    fn decided(
        &mut self,
        turn: &mut Turn<'_, Self>,
        id: &ConversationId,
        number: Option<u32>,
        decision: Decision,
    ) {
        let is_stale = self
            .table()
            .records
            .lock()
            .get_mut(id)
            .is_none_or(|record| is_stale(record, number, &decision));
        if !is_stale {
            self.step(turn, id, Event::Local(decision));
        }
    }

    fn open(&mut self, turn: &mut Turn<'_, Self>, open: Open) {
        let Open {
            mut opening,
            places,
            answers,
            opened,
            ended,
        } = open;
        for place in places {
            self.table().places.note(place.aid().name, place);
        }
        opening.initiator = self.me.clone();
        opening.linger = opening.linger.max(self.setup.book.limits().kept_for);
        if opening.id.is_empty() {
            let n = {
                let mut records = self.table().records.lock();
                records.opened += 1;
                records.opened
            };
            opening.id = format!("{}.{n}", self.prefix).into();
        }
        let id = opening.id.clone();
        let now = self.now(turn);
        let started = self.admit(&opening).and_then(|()| {
            let (machine, actions) = Conversation::start(&opening, now)?;
            if self.setup.book.take_place() {
                Ok((machine, actions))
            } else {
                Err(OpenError::TooManyOfNode(
                    self.setup.book.limits().open_per_node,
                ))
            }
        });
        match started {
            Ok((machine, actions)) => {
                let outside = (answers.is_some() || ended.is_some())
                    .then(|| Box::new(Outside { answers, ended }));
                let life = outside.is_none().then(|| self.agent_life()).flatten();
                self.enter(machine, now, life, outside, (None, &actions));
                if let Some(opened) = opened {
                    turn.reply(opened, Ok(id.clone()));
                }
                self.carry_out(turn, &id, actions, now);
            }
            Err(error) => {
                self.setup.book.count(Count::Refused);
                if let Some(opened) = opened {
                    turn.reply(opened, Err(error.clone()));
                }
                if let Some(ended) = ended {
                    turn.reply(ended, Err(error));
                }
            }
        }
    }

    fn admit(&self, opening: &swarm_protocols::interaction::Opening) -> Result<(), OpenError> {
        let records = self.table().records.lock();
        if records.knows(&opening.id) {
            return Err(OpenError::Known(opening.id.clone()));
        }
        if opening.participants.contains(&self.me) {
            return Err(OpenError::WithItself);
        }
        if !records.has_room() {
            return Err(OpenError::TooManyOfAgent(
                self.setup.book.limits().open_per_agent,
            ));
        }
        Ok(())
    }

    fn enter(
        &mut self,
        machine: Conversation,
        now: Timestamp,
        life: Option<Incarnation>,
        outside: Option<Box<Outside>>,
        (call, actions): (Option<&Arc<AclMessage>>, &[Action]),
    ) {
        let id = machine.id().clone();
        let max = self.setup.book.limits().messages;
        let mut messages = Log::default();
        if let Some(call) = call {
            messages.note(call, now, true, max);
        }
        messages.note_said(actions, now, max);
        let record = Record {
            machine,
            opened: now,
            life,
            questions: 0,
            armed: None,
            messages,
            outside,
            is_to_crash: false,
        };
        let mut records = self.setup.table.records.lock();
        records.put(id, record);
        records.keep_unsent(actions);
    }

    /// The life of the agent that takes part from now on.
    fn agent_life(&self) -> Option<Incarnation> {
        if self.setup.on_crash == OnAgentCrash::Continue {
            return None;
        }
        let agent = self.listener.as_ref()?.any();
        Some(if agent.is_alive() {
            agent.incarnation()
        } else {
            agent.incarnation().next()
        })
    }

    fn has_agent(&self) -> bool {
        self.listener.as_ref().is_some_and(|listener| {
            !matches!(
                listener.any().state(),
                ActorState::Ended | ActorState::Stopped
            )
        })
    }

    /// A message of no conversation that is known here.
    fn call(&mut self, turn: &mut Turn<'_, Self>, message: &Arc<AclMessage>) {
        if let Some(protocol) = Protocol::opened_by(message) {
            let has_room = self.table().records.lock().has_room();
            if !has_room || !self.has_agent() || !self.setup.book.take_place() {
                self.setup.book.count(Count::Refused);
                if let Some(answer) = refusal(message, protocol) {
                    self.answer(turn, answer);
                }
                return;
            }
            let now = self.now(turn);
            let mut terms = self.setup.terms;
            terms.linger = terms.linger.max(self.setup.book.limits().kept_for);
            match Conversation::open(message, self.me.clone(), &terms, now) {
                Ok((machine, actions)) => {
                    let id = machine.id().clone();
                    let life = self.agent_life();
                    self.show(&id, message, now, true);
                    self.enter(machine, now, life, None, (Some(message), &actions));
                    // From here on somebody depends on who has called, also before anything was answered.
                    if let Some(sender) = &message.sender
                        && let Route::Here(place) = self.find(turn, sender)
                    {
                        self.watch(turn, &place);
                    }
                    self.carry_out(turn, &id, actions, now);
                }
                Err(why) => {
                    self.setup.book.give_place_back();
                    self.unknown(turn, message, why);
                }
            }
        } else {
            self.unknown(turn, message, NotOpened::UnexpectedAct);
        }
    }

    fn unknown(&mut self, turn: &mut Turn<'_, Self>, message: &AclMessage, why: NotOpened) {
        self.setup.book.count(Count::Unknown);
        if let Some(answer) = unopened(message, why) {
            self.answer(turn, answer);
        }
    }

    /// A new life: it goes on from the records.
    fn resume(&mut self, turn: &mut Turn<'_, Self>) {
        let (dues, unsent, parties) = {
            let mut records = self.setup.table.records.lock();
            let dues = records.dues();
            for (at, id) in &dues {
                records.arm(id, Some(*at));
            }
            let mut parties = Vec::new();
            for id in records.open_ids() {
                if let Some(record) = records.get_mut(&id) {
                    parties.extend(
                        record
                            .machine
                            .parties()
                            .into_iter()
                            .map(|(who, _)| who.clone()),
                    );
                }
            }
            (dues, std::mem::take(&mut records.unsent), parties)
        };
        self.dues = dues.into_iter().collect();
        // It may have been sent already: then it is a duplicate there.
        for out in &unsent {
            match out {
                Unsent::Said(message) => self.say(turn, message),
                Unsent::Asked(asked) => {
                    if let Some(listener) = &self.listener {
                        listener.prompt(turn, super::Prompt::Asked(asked.clone()));
                    }
                }
            }
        }
        self.setup.table.records.lock().unsent = unsent;
        for who in parties {
            if let Route::Here(place) = self.find(turn, &who) {
                self.watch(turn, &place);
            }
        }
        if let Some(agent) = self.listener.as_ref().map(|listener| listener.any()) {
            let incarnation = agent.incarnation().0;
            let over = if agent.is_alive() {
                incarnation.saturating_sub(1)
            } else {
                incarnation
            };
            self.agent_down(Incarnation(over), &ExitReason::NoProc);
        }
    }
}

/// Whether a decision answers a question that a later one has overtaken.
fn is_stale(record: &Record, number: Option<u32>, decision: &Decision) -> bool {
    let Some(number) = number else { return false };
    number < record.questions
        && matches!(
            decision,
            Decision::Propose { .. }
                | Decision::Silent
                | Decision::Award { .. }
                | Decision::Iterate { .. }
                | Decision::Speak(_)
        )
}

impl Agent for ProtocolActor {
    type Message = ProtocolMessage;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let system = turn.system().clone();
        self.me = turn.aid();
        self.path = Some(turn.path().clone());
        self.origin = Some((
            i64::try_from(system.wall_ms()).unwrap_or(i64::MAX),
            turn.now(),
        ));
        self.prefix = format!("{}.{:08x}", self.me.local_name(), turn.random() as u32);
        self.listener = self
            .setup
            .find
            .as_ref()
            .and_then(|find| find(&system, turn.path()));
        let agent = self.listener.as_ref().map(|listener| listener.any());
        if let Some(agent) = &agent {
            self.monitor_agent(turn);
            turn.watch(agent)?;
        }
        self.setup.book.enter(
            turn.path().clone(),
            self.table(),
            agent.map(|agent| agent.address()),
            turn.me().any(),
        );
        self.resume(turn);
        self.finish_turn(turn);
        Ok(Init::Ready)
    }

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: ProtocolMessage,
    ) -> Result<(), Failure> {
        self.begin_turn();
        match message.0 {
            Said::Decided {
                conversation,
                number,
                decision,
            } => self.decided(turn, &conversation, number, decision),
            Said::Open(open) => self.open(turn, *open),
            Said::Wake => self.wake(turn),
        }
        self.finish_turn(turn);
        Ok(())
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        self.begin_turn();
        let message = self.placed(turn, message);
        let known = message.conversation_id.as_ref().and_then(|id| {
            let records = self.table().records.lock();
            if records.knows(id) {
                return Some(id.clone());
            }
            let parent = parent_id(id).filter(|parent| records.knows(parent))?;
            Some(parent.into())
        });
        match known {
            Some(id) => self.step(turn, &id, Event::Received(message)),
            None => self.call(turn, &message),
        }
        self.finish_turn(turn);
        Ok(())
    }

    async fn on_down(&mut self, turn: &mut Turn<'_, Self>, down: Down) -> Result<(), Failure> {
        self.begin_turn();
        self.life_over(&down);
        self.finish_turn(turn);
        Ok(())
    }

    async fn on_watch(
        &mut self,
        turn: &mut Turn<'_, Self>,
        watched: Watched,
    ) -> Result<(), Failure> {
        self.begin_turn();
        self.cell_changed(turn, watched);
        self.finish_turn(turn);
        Ok(())
    }
}
