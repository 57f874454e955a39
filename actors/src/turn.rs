//! The turn: what an agent may do while it handles one message, and the buffer of what it asks for.

use crate::agent::{Agent, Message};
use crate::ask::{AskError, ReplyTo, Staged};
use crate::cell::Cell;
use crate::gateway::{AclGateway, Route};
use crate::letter::{Body, Extra, Given, Letter};
use crate::outgoing::{OutAcl, OutCall, OutLetter, Outgoing};
use crate::panics;
use crate::reference::{AgentRef, AnyRef, SendError, SendOptions};
use crate::signal::MonitorId;
use crate::system::System;
use crate::timers::{Scheduled, TIMERS_PER_AGENT_MAX, TimerId};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{
    AclMessage, Address, Aid, ExitReason, Incarnation, Name, Path, TraceContext,
};
use tokio::time::Instant;

/// How many effects one turn may ask for. A turn that asks for more fails with `limit(effects)`.
pub const EFFECTS_PER_TURN_MAX: usize = 65_536;

/// Why a turn cannot have what it asked for. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// The agent has as many timers as one agent may have. Cancel one first.
    #[error("an agent has at most {TIMERS_PER_AGENT_MAX} timers")]
    TooManyTimers,
    /// The agent holds as many monitors, links, watches and groups as one agent may hold. Undo one first.
    #[error(
        "an agent holds at most {} monitors, links, watches and groups",
        crate::BONDS_PER_AGENT_MAX
    )]
    TooManyBonds,
    /// The stash holds as many messages as the mailbox may.
    #[error("the stash is full")]
    StashFull,
}

/// What a turn asks for, in order.
pub(crate) enum Effect<M> {
    Out(Box<dyn Outgoing>),
    /// To an agent of the same message type.
    Send(AgentRef<M>, M, Option<Box<Extra>>),
    Answer(Staged),
    Monitor(MonitorId, AnyRef),
    Demonitor(MonitorId),
    Link(AnyRef),
    Unlink(AnyRef),
    Watch(AnyRef),
    Unwatch(AnyRef),
    Join(Name),
    Leave(Name),
    MonitorGroup(Name),
    DemonitorGroup(Name),
    HandedOver(Name),
    Schedule(TimerId, Instant, Scheduled<M>),
    Cancel(TimerId),
    Stash(Letter<M>),
    UnstashAll,
}

/// The buffer of a turn's effects.
pub(crate) struct Effects<M> {
    pub(crate) list: Vec<Effect<M>>,
    /// What cancelled timers would have brought. Its drop is the agent's code, so it waits until no lock is held.
    pub(crate) cancelled: Vec<Scheduled<M>>,
    pub(crate) stop: Option<ExitReason>,
    pub(crate) is_over_limit: bool,
}

impl<M> Effects<M> {
    pub(crate) fn new() -> Self {
        Self {
            list: Vec::new(),
            cancelled: Vec::new(),
            stop: None,
            is_over_limit: false,
        }
    }

    /// Drops what commits have cancelled. No lock may be held.
    #[inline]
    pub(crate) fn drop_cancelled(&mut self) {
        if !self.cancelled.is_empty() {
            panics::drop_guarded(std::mem::take(&mut self.cancelled));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.stop = None;
        self.is_over_limit = false;
    }
}

/// One turn of an agent of type `A`. What is asked of it takes effect when the turn ends well, all at once and in order,
/// and not at all when it doesn't. (`ask` is the exception: it commits first.)
pub struct Turn<'a, A: Agent> {
    pub(crate) cell: &'a Arc<Cell<A>>,
    pub(crate) epoch: u64,
    pub(crate) effects: &'a mut Effects<A::Message>,
    pub(crate) given: &'a mut Given,
}

impl<A: Agent> Turn<'_, A> {
    #[inline]
    fn push(&mut self, effect: Effect<A::Message>) {
        if self.effects.list.len() >= EFFECTS_PER_TURN_MAX {
            self.effects.is_over_limit = true;
        } else {
            self.effects.list.push(effect);
        }
    }

    fn out(&mut self, out: impl Outgoing + 'static) {
        self.push(Effect::Out(Box::new(out)));
    }

    #[inline]
    fn stamp<M>(&self, letter: Letter<M>) -> Letter<M> {
        stamped(letter, self.cell.core.address, self.trace())
    }

    /// Sends a message when the turn commits. If the receiver's mailbox is full then, its policy decides; a send that waits
    /// longer than the system's send limit (5 s) becomes a dead letter `overloaded`.
    pub fn send<M: Message>(&mut self, to: &AgentRef<M>, message: M) {
        let extra = if self.given.has_extra {
            self.passed_on()
        } else {
            None
        };
        // To one of its own type, as agents of one kind send to each other, nothing needs a box of its own. Which of the two
        // it is, is known when this is compiled.
        let mut message = Some(message);
        if let (Some(to), Some(own)) = (
            (to as &dyn Any).downcast_ref::<AgentRef<A::Message>>(),
            (&mut message as &mut dyn Any).downcast_mut::<Option<A::Message>>(),
        ) && let Some(own) = own.take()
        {
            self.push(Effect::Send(to.clone(), own, extra));
        } else if let Some(message) = message {
            let mut letter = self.cell.core.plain_letter(Body::Message(message));
            letter.sender = self.cell.core.address.into();
            letter.extra = extra;
            self.out(OutLetter::new(to.clone(), letter, None));
        }
    }

    /// What goes along with all that the turn sends.
    fn passed_on(&self) -> Option<Box<Extra>> {
        let trace = Some(self.trace()?);
        Some(Box::new(Extra {
            trace,
            ..Extra::default()
        }))
    }

    /// Sends a message with options when the turn commits.
    pub fn send_with<M: Message>(&mut self, to: &AgentRef<M>, message: M, options: SendOptions) {
        let when_full = options.when_full;
        let letter = self.stamp(self.cell.core.letter(Body::Message(message), options));
        self.out(OutLetter::new(to.clone(), letter, when_full));
    }

    /// Sends a message when the turn commits, if its place can be reserved now.
    ///
    /// # Errors
    /// [`SendError`] with the message when there is no room, or the receiver takes none.
    pub fn try_send<M: Message>(
        &mut self,
        to: &AgentRef<M>,
        message: M,
    ) -> Result<(), SendError<M>> {
        let letter = self.stamp(self.cell.core.plain_letter(Body::Message(message)));
        let reserved = to.0.admit(&letter).and_then(|()| to.0.reserve());
        match reserved {
            Ok(place) => {
                self.out(OutLetter::reserved(to.clone(), letter, place));
                Ok(())
            }
            Err(why) => Err(SendError {
                why,
                message: match letter.body {
                    Body::Message(message) => Some(message),
                    Body::Acl(_) | Body::Timer(..) | Body::Signal(..) => None,
                },
            }),
        }
    }

    /// Sends an ACL message when the turn commits. Its sender is set to this agent if it has none.
    pub fn send_acl(&mut self, to: &AnyRef, mut message: AclMessage) {
        message.sender.get_or_insert_with(|| self.aid());
        let letter = self.stamp(self.cell.core.plain_letter(Body::Acl(Arc::new(message))));
        self.out(OutAcl::new(to.clone(), letter));
    }

    /// Sends an ACL message that is shared already when the turn commits; nothing of it is copied or changed.
    pub fn pass_acl(&mut self, to: &AnyRef, message: Arc<AclMessage>) {
        let letter = self.stamp(self.cell.core.plain_letter(Body::Acl(message)));
        self.out(OutAcl::new(to.clone(), letter));
    }

    /// Answers the ACL message of this turn when the turn commits: to who asked, or else to the receivers that the answer
    /// names, as [`Turn::send_to_receivers`] does.
    pub fn answer(&mut self, mut message: AclMessage) {
        message.sender.get_or_insert_with(|| self.aid());
        if let Some(port) = self.given.acl_port.take() {
            self.reply(port, message);
            return;
        }
        match self.asker_elsewhere(&message) {
            Some(asker) => self.send_acl(&asker, message),
            None => self.send_to_receivers(message),
        }
    }

    /// Who sent this turn's message, on another node, if the answer goes to it: its name may be somebody else's here.
    fn asker_elsewhere(&self, answer: &AclMessage) -> Option<AnyRef> {
        let asked = self.acl()?;
        let goes_to_sender = asked.reply_to.is_empty()
            && answer.receiver.as_slice() == std::slice::from_ref(asked.sender.as_ref()?);
        let sender = self.sender().filter(|_| goes_to_sender)?;
        let asker = self.cell.core.system.find(sender)?;
        asker.is_remote().then_some(asker)
    }

    /// Sends an ACL message to each of the receivers that it names, when the turn commits: to agents of here by their
    /// registered names or paths, to those of other platforms by the node's FIPA transport, if it has one. Its sender is set
    /// to this agent if it has none. A receiver that is not known is a dead letter.
    pub fn send_to_receivers(&mut self, mut message: AclMessage) {
        message.sender.get_or_insert_with(|| self.aid());
        // One for all: a message to hundreds has hundreds of receivers in it.
        let message = Arc::new(message);
        for receiver in &message.receiver {
            match self.system().route(receiver) {
                Route::Here(to) => self.pass_acl(&to, message.clone()),
                Route::Abroad(gateway) => {
                    self.forward(gateway, (*message).clone(), receiver.clone());
                }
                Route::Nowhere => {
                    let (system, message) = (self.system().clone(), (*message).clone());
                    let (path, sender) = (self.path().clone(), self.cell.core.address);
                    self.out(OutCall(Some(move || {
                        system.bury_undeliverable(path, sender, message);
                    })));
                }
            }
        }
    }

    /// Sends a message to an agent of another platform when the turn commits.
    pub(crate) fn forward(
        &mut self,
        gateway: Arc<dyn AclGateway>,
        message: AclMessage,
        receiver: Aid,
    ) {
        let path = self.path().clone();
        self.out(OutCall(Some(move || {
            gateway.forward(&path, message, &receiver);
        })));
    }

    /// Takes the answer to this turn's ACL message out of the turn, to be given later; `None` when nobody waits for one.
    pub fn defer_answer(&mut self) -> Option<ReplyTo<AclMessage>> {
        self.given.acl_port.take()
    }

    /// Does this when the turn commits, in order with what it sends. `act` must be short and must not wait: it runs under the
    /// cell's lock.
    pub fn on_commit(&mut self, act: impl FnOnce() + Send + 'static) {
        self.out(OutCall(Some(act)));
    }

    /// Answers an ask when the turn commits.
    pub fn reply<T: Send + 'static>(&mut self, to: ReplyTo<T>, value: T) {
        match to.stage(value) {
            Ok(staged) => self.push(Effect::Answer(staged)),
            // Two answers to one ask in the making; the first that is committed counts.
            Err((to, value)) => self.out(OutCall(Some(move || to.send(value)))),
        }
    }

    /// How long a turn of this agent may take, from its begin on; none: as long as it likes. A turn that takes longer is cut
    /// off and ends with `limit(turn-time)`.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.cell.plan().turn_deadline
    }

    /// Asks another agent and waits for its answer, at most `within`. First commits what the turn has asked for so far; a
    /// crash from here on no longer undoes that. This agent handles nothing meanwhile. The turn's deadline goes on running.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask<M: Message, T: Send + 'static>(
        &mut self,
        to: &AgentRef<M>,
        make: impl FnOnce(ReplyTo<T>) -> M,
        within: Duration,
    ) -> Result<T, AskError> {
        if to.address() == self.cell.core.address {
            return Err(AskError::ToSelf);
        }
        self.commit().await;
        let (sender, trace) = (self.cell.core.address, self.trace());
        to.ask_stamped(make, within, move |letter| stamped(letter, sender, trace))
            .await
    }

    /// Asks another agent in ACL; otherwise as [`Turn::ask`].
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask_acl(
        &mut self,
        to: &AnyRef,
        mut message: AclMessage,
        within: Duration,
    ) -> Result<AclMessage, AskError> {
        if to.address() == self.cell.core.address {
            return Err(AskError::ToSelf);
        }
        message.sender.get_or_insert_with(|| self.aid());
        self.commit().await;
        let letter = self.stamp(self.cell.core.plain_letter(Body::Acl(Arc::new(message))));
        to.ask_letter(letter, within).await
    }

    async fn commit(&mut self) {
        // Whatever the control lane says: what comes next goes behind what was sent before.
        let is_mine = self.cell.commit_early(self.epoch, self.effects)
            && crate::cell::shell::flush(self.cell, self.epoch, u8::MAX).await;
        if !is_mine {
            // This life is over; nothing that it still does has an effect. It is dropped at its next await, which is here.
            std::future::pending::<()>().await;
        }
    }

    /// Sends this agent `message` after `after`. Timers end with the life that set them.
    ///
    /// # Errors
    /// [`TurnError::TooManyTimers`].
    pub fn schedule(&mut self, after: Duration, message: A::Message) -> Result<TimerId, TurnError> {
        self.arm(after, Scheduled::Once(message))
    }

    /// Sends this agent a message every `period`, the first after one period. A period of 0 is taken as 1 ms. When the
    /// agent is slower than the timer, the messages come late, but no more than one is queued at a time.
    ///
    /// # Errors
    /// [`TurnError::TooManyTimers`].
    pub fn schedule_every(
        &mut self,
        period: Duration,
        make: impl FnMut() -> A::Message + Send + 'static,
    ) -> Result<TimerId, TurnError> {
        let period = period.max(Duration::from_millis(1));
        self.arm(period, Scheduled::Every(period, Some(Box::new(make))))
    }

    fn arm(&mut self, after: Duration, what: Scheduled<A::Message>) -> Result<TimerId, TurnError> {
        let pending = self
            .effects
            .list
            .iter()
            .filter(|e| matches!(e, Effect::Schedule(..)))
            .count();
        if self.cell.timers() + pending >= TIMERS_PER_AGENT_MAX {
            return Err(TurnError::TooManyTimers);
        }
        let id = self.cell.core.system.timer_id();
        let at = self.now() + after;
        self.push(Effect::Schedule(id, at, what));
        Ok(id)
    }

    /// Cancels a timer when the turn commits: from then on its message does not arrive, even if it had fired.
    pub fn cancel(&mut self, timer: TimerId) {
        self.push(Effect::Cancel(timer));
    }

    /// Puts a message aside when the turn commits. The stash belongs to this life: on a crash its messages go back to the
    /// front of the mailbox.
    ///
    /// # Errors
    /// [`TurnError::StashFull`] when it holds as many messages as the mailbox may; the message is dropped then.
    pub fn stash(&mut self, message: A::Message) -> Result<(), TurnError> {
        let pending = self
            .effects
            .list
            .iter()
            .filter(|e| matches!(e, Effect::Stash(_)))
            .count();
        if self.cell.stashed() + pending >= self.cell.plan().mailbox.capacity as usize {
            return Err(TurnError::StashFull);
        }
        let mut letter = self.cell.core.plain_letter(Body::Message(message));
        letter.sender = self.given.from;
        self.push(Effect::Stash(letter));
        Ok(())
    }

    /// Puts all stashed messages back to the front of the mailbox, in their order, when the turn commits.
    pub fn unstash_all(&mut self) {
        self.push(Effect::UnstashAll);
    }

    fn has_room_for_a_bond(&self) -> Result<(), TurnError> {
        let pending = self
            .effects
            .list
            .iter()
            .filter(|e| {
                matches!(
                    e,
                    Effect::Monitor(..)
                        | Effect::Link(_)
                        | Effect::Watch(_)
                        | Effect::Join(_)
                        | Effect::MonitorGroup(_)
                )
            })
            .count();
        if self.cell.core.bonds_held() + pending < crate::BONDS_PER_AGENT_MAX {
            Ok(())
        } else {
            Err(TurnError::TooManyBonds)
        }
    }

    /// Monitors the present life of `target` from the commit of this turn on: its end arrives once, in
    /// [`Agent::on_down`]; with `noproc` at once when it has no life then.
    ///
    /// # Errors
    /// [`TurnError::TooManyBonds`].
    pub fn monitor(&mut self, target: &AnyRef) -> Result<MonitorId, TurnError> {
        self.has_room_for_a_bond()?;
        let id = self.cell.core.system.monitor_id();
        self.push(Effect::Monitor(id, target.clone()));
        Ok(id)
    }

    /// Ends a monitor. A DOWN that is queued already still arrives.
    pub fn demonitor(&mut self, monitor: MonitorId) {
        self.push(Effect::Demonitor(monitor));
    }

    /// Links this life with the present life of `target`: the end of either arrives at the other, in [`Agent::on_exit`];
    /// with `noproc` at once when the other has no life at the commit.
    ///
    /// # Errors
    /// [`TurnError::TooManyBonds`].
    pub fn link(&mut self, target: &AnyRef) -> Result<(), TurnError> {
        self.has_room_for_a_bond()?;
        self.push(Effect::Link(target.clone()));
        Ok(())
    }

    /// Undoes a link, on both sides.
    pub fn unlink(&mut self, target: &AnyRef) {
        self.push(Effect::Unlink(target.clone()));
    }

    /// Watches a cell over its restarts, in [`Agent::on_watch`].
    ///
    /// # Errors
    /// [`TurnError::TooManyBonds`].
    pub fn watch(&mut self, target: &AnyRef) -> Result<(), TurnError> {
        self.has_room_for_a_bond()?;
        self.push(Effect::Watch(target.clone()));
        Ok(())
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, target: &AnyRef) {
        self.push(Effect::Unwatch(target.clone()));
    }

    /// Joins a group. Joining k times takes k leaves. Membership belongs to the cell and survives restarts.
    ///
    /// # Errors
    /// [`TurnError::TooManyBonds`].
    pub fn join(&mut self, group: &Name) -> Result<(), TurnError> {
        self.has_room_for_a_bond()?;
        self.push(Effect::Join(group.clone()));
        Ok(())
    }

    /// Leaves a group, once.
    pub fn leave(&mut self, group: &Name) {
        self.push(Effect::Leave(group.clone()));
    }

    /// Says that whatever the winner of a conflict about this agent's name should have was sent to it
    /// ([`NameNews::Conflict`](crate::NameNews)). What this turn sends goes first. Of no effect without such a conflict.
    pub fn handed_over(&mut self, name: &Name) {
        self.push(Effect::HandedOver(name.clone()));
    }

    /// Follows a group's changes from the commit on, in [`Agent::on_group`]; its present members arrive there first, as
    /// joins.
    ///
    /// # Errors
    /// [`TurnError::TooManyBonds`].
    pub fn monitor_group(&mut self, group: &Name) -> Result<(), TurnError> {
        self.has_room_for_a_bond()?;
        self.push(Effect::MonitorGroup(group.clone()));
        Ok(())
    }

    /// Ends [`Turn::monitor_group`].
    pub fn demonitor_group(&mut self, group: &Name) {
        self.push(Effect::DemonitorGroup(group.clone()));
    }

    /// Ends this life when the turn commits: [`Agent::terminate`] runs, then the supervisor is told `reason`.
    pub fn stop(&mut self, reason: ExitReason) {
        self.effects.stop = Some(reason);
    }

    /// A reference to this agent itself.
    #[must_use]
    pub fn me(&self) -> AgentRef<A::Message> {
        AgentRef(self.cell.clone())
    }

    /// This agent's place in the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.cell.core.path
    }

    /// Which life this is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.cell.core.pid().incarnation
    }

    /// This agent's AID: its registered name, or else its path, `@` the platform; [`System::agent_of`] finds it again.
    #[must_use]
    pub fn aid(&self) -> Aid {
        self.cell.aid()
    }

    /// Who sent the message of this turn, where it was an agent.
    #[must_use]
    pub fn sender(&self) -> Option<Address> {
        self.given.from.address()
    }

    /// The ACL message of this turn.
    #[must_use]
    pub fn acl(&self) -> Option<Arc<AclMessage>> {
        self.cell.current_acl()
    }

    /// The trace that the message of this turn belongs to; what the turn sends goes on in it.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        if !self.given.has_extra {
            return None;
        }
        self.cell.current_trace()
    }

    /// The system that this agent lives in.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.cell.core.system
    }

    /// The time, on the system's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// A random number from the system's seeded source.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.cell.core.system.random()
    }
}

/// The letter with who sent it, and in which trace.
fn stamped<M>(mut letter: Letter<M>, sender: Address, trace: Option<TraceContext>) -> Letter<M> {
    letter.sender = sender.into();
    if let Some(trace) = trace {
        letter
            .extra
            .get_or_insert_default()
            .trace
            .get_or_insert(trace);
    }
    letter
}
