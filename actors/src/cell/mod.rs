//! The cell: an agent's identity, its mailbox, and the seat in which one life after the other sits.
//!
//! The seat's lock is the consumer side. It is held while a letter is taken and while a turn commits, never while the
//! behaviour's code runs; so a kill or a fence always gets it at once, even when that code never yields. A shell names
//! itself by its *epoch* at each step. When the epoch has moved on, the shell was fenced off: whatever it still does has
//! no effect.
//!
//! Lock order: seat, then groups, then one of (any inbox, bonds, names, timers, dead letters, events). Nothing takes a seat's
//! lock while it holds another lock, except by `try_lock` (drop-oldest); attaching a shell takes none of the cell's locks.
//! No code of the agent's runs under any of them, hooks and the drops of cancelled timers' messages excepted.

pub(crate) mod core;
mod end;
pub(crate) mod shell;
mod start;

pub(crate) use start::StartCell;

use self::core::CellCore;
use crate::agent::{Agent, Message};
use crate::ask::{AskError, AskHold};
use crate::dead_letters::{Corpse, DeathCause, Kept, ReplayError};
use crate::events::What;
use crate::hooks::Admission;
use crate::info::{ActorDetail, ActorInfo, ActorState};
use crate::letter::{Body, Extra, Letter, LetterKind, Sender};
use crate::mailbox::{Gate, Lanes, Mailbox, NotTaken, Reservation, Wake};
use crate::outgoing::{OutLetter, Outgoing};
use crate::recorder::{CrashReport, FlightRecord, FlightRecorder};
use crate::reference::{AclLetter, AgentRef, AnyCell, AnyRef, NotSent, Receive};
use crate::signal::Signal;
use crate::spec::{Plan, WhenFull};
use crate::sync_plain::{Mutex, RwLock};
use crate::timers::{Armed, Scheduled, TimerId, TimerTarget};
use crate::turn::{Effect, Effects};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use swarm_protocols::{AclMessage, Address, Aid, ExitReason, Incarnation, Path, TraceContext};
use swarm_supervisors::Link;

/// The supervisor has told it to stop.
pub(crate) const CONTROL_STOP: u8 = 1;
/// It is paused.
pub(crate) const CONTROL_PAUSE: u8 = 2;
/// A fault was injected that is to show at once.
pub(crate) const CONTROL_FAULT: u8 = 8;
/// It may go to sleep.
pub(crate) const CONTROL_SLEEP: u8 = 4;
/// All of them.
pub(crate) const CONTROL_ALL: u8 = CONTROL_STOP | CONTROL_PAUSE | CONTROL_FAULT | CONTROL_SLEEP;

pub(crate) struct Cell<A: Agent> {
    pub(crate) core: CellCore,
    /// Replaced at a start, when the spec is a new one.
    plan: RwLock<Arc<Plan<A>>>,
    pub(crate) mailbox: Mailbox<Letter<A::Message>>,
    pub(crate) seat: Mutex<Seat<A>>,
    this: Weak<Cell<A>>,
}

pub(crate) struct Seat<A: Agent> {
    /// Letters that were taken from the inbox and not begun.
    pub(crate) ready: Lanes<Letter<A::Message>>,
    pub(crate) life: Life<A>,
    /// Which shell may act. Moves on with each new shell and with each fence.
    pub(crate) epoch: u64,
    pub(crate) link: Option<Link>,
    pub(crate) shell: Option<shell::ShellHandle>,
    /// How far that shell is.
    pub(crate) progress: Option<Arc<shell::Progress>>,
    /// A shell that waits for its supervisor's verdict.
    pub(crate) waiting: Option<Waker>,
    /// What is being handled.
    pub(crate) current: Option<Current<A::Message>>,
    /// What was committed and is not delivered yet: the bounded outgoing queue. It holds the effects of one turn at most,
    /// plus announcements; the next turn starts when it is empty.
    pub(crate) outgoing: VecDeque<Box<dyn Outgoing>>,
    pub(crate) recorder: Option<Box<FlightRecorder>>,
    pub(crate) continue_is_due: bool,
    /// Whether a copy of each message is kept during its turn.
    pub(crate) wants_copy: bool,
    pub(crate) watch_over: WatchOver,
    pub(crate) rare: Option<Box<Rare<A::Message>>>,
}

/// What most agents have nothing of: together, so that those pay eight bytes for it.
pub(crate) struct Rare<M> {
    pub(crate) stash: VecDeque<Letter<M>>,
    pub(crate) timers: BTreeMap<TimerId, Armed<M>>,
    /// Timers whose message is queued. One that is not in here any more was cancelled, or belonged to an earlier life.
    pub(crate) fired: BTreeSet<TimerId>,
    pub(crate) faults: VecDeque<crate::fault::Injected>,
    /// The end that is not announced yet.
    pub(crate) announcement: Option<core::Announcement>,
    pub(crate) last_exit: Option<ExitReason>,
    pub(crate) last_crash: Option<Arc<CrashReport>>,
    /// What its init wanted to stop with.
    pub(crate) stop: Option<ExitReason>,
    /// It is being drained: a next life takes no messages either.
    pub(crate) is_draining: bool,
    /// It was killed while its init runs.
    pub(crate) is_killed: bool,
    /// Whom to wake then.
    pub(crate) init: Option<Waker>,
    /// What its supervisor decided about the last life while the init of the next one runs.
    pub(crate) decided: Option<swarm_supervisors::Disposition>,
}

impl<A: Agent> Seat<A> {
    pub(crate) fn rare(&mut self) -> &mut Rare<A::Message> {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                stash: VecDeque::new(),
                timers: BTreeMap::new(),
                fired: BTreeSet::new(),
                faults: VecDeque::new(),
                announcement: None,
                last_exit: None,
                last_crash: None,
                stop: None,
                is_draining: false,
                is_killed: false,
                init: None,
                decided: None,
            })
        })
    }
}

/// What the watchdog remembers between two looks.
#[derive(Default)]
pub(crate) struct WatchOver {
    pub(crate) progress: u32,
    pub(crate) since_ms: u64,
    pub(crate) is_reported: bool,
}

/// Where the behaviour is.
pub(crate) enum Life<A> {
    /// There is none: not started, between two lives, or ended.
    None,
    /// In the seat, at rest.
    Resting(A),
    /// With the shell.
    Awake,
}

/// What is kept of a letter while its turn goes on.
pub(crate) struct Current<M> {
    pub(crate) record: FlightRecord,
    pub(crate) sender: Sender,
    pub(crate) ask: Option<AskHold>,
    pub(crate) acl: Option<Arc<AclMessage>>,
    pub(crate) extra: Option<Box<Extra>>,
    /// A copy, where redelivery or replay wants one.
    pub(crate) copy: Option<Box<M>>,
}

impl<M> Current<M> {
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.extra.as_ref().and_then(|extra| extra.trace)
    }
}

impl<A: Agent> Cell<A> {
    pub(crate) fn new(
        address: Address,
        path: Path,
        system: crate::System,
        plan: Arc<Plan<A>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let any: Weak<dyn AnyCell> = this.clone();
            Self {
                core: CellCore::new(
                    address,
                    path,
                    system,
                    plan.kind,
                    std::any::type_name::<A>(),
                    core::typed_reference::<A>,
                    any,
                ),
                mailbox: Mailbox::new(plan.mailbox.capacity),
                plan: RwLock::new(plan),
                seat: Mutex::new(Seat {
                    ready: Lanes::new(),
                    life: Life::None,
                    epoch: 0,
                    link: None,
                    shell: None,
                    progress: None,
                    waiting: None,
                    current: None,
                    outgoing: VecDeque::new(),
                    recorder: None,
                    continue_is_due: false,
                    wants_copy: false,
                    watch_over: WatchOver::default(),
                    rare: None,
                }),
                this: this.clone(),
            }
        })
    }

    pub(crate) fn plan(&self) -> Arc<Plan<A>> {
        self.plan.read().clone()
    }

    /// Takes a new plan over; between two lives only.
    pub(crate) fn replan(&self, plan: &Arc<Plan<A>>) {
        let mut current = self.plan.write();
        if !Arc::ptr_eq(&current, plan) {
            if let Some(name) = &current.registered
                && plan.registered.as_ref() != Some(name)
            {
                self.core.system.names().release(name, self.core.address);
            }
            self.mailbox.set_capacity(plan.mailbox.capacity);
            *current = plan.clone();
        }
    }

    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    pub(crate) fn aid(&self) -> Aid {
        let local = self
            .plan()
            .registered
            .clone()
            .or_else(|| self.core.path.name());
        let node = self.core.system.node();
        Aid::named(match local {
            Some(local) => format!("{local}@{node}"),
            None => format!("root@{node}"),
        })
    }

    /// The trace of what is being handled.
    pub(crate) fn current_trace(&self) -> Option<TraceContext> {
        self.seat.lock().current.as_ref().and_then(Current::trace)
    }

    /// The ACL message that is being handled.
    pub(crate) fn current_acl(&self) -> Option<Arc<AclMessage>> {
        self.seat.lock().current.as_ref()?.acl.clone()
    }

    pub(crate) fn timers(&self) -> usize {
        self.seat
            .lock()
            .rare
            .as_ref()
            .map_or(0, |rare| rare.timers.len() + rare.fired.len())
    }

    pub(crate) fn stashed(&self) -> usize {
        self.seat
            .lock()
            .rare
            .as_ref()
            .map_or(0, |rare| rare.stash.len())
    }

    /// Does what the mailbox says is needed for its letters to be seen.
    pub(crate) fn wake(&self, wake: Wake) {
        match wake {
            Wake::None => {}
            Wake::Parked(waker) => waker.wake(),
            Wake::Absent => {
                if let Some(cell) = self.arc() {
                    shell::attach(&cell);
                }
            }
        }
    }

    /// Raises a control flag and makes the consumer look at it.
    pub(crate) fn raise(&self, flag: u8) {
        self.mailbox.control.fetch_or(flag, Ordering::AcqRel);
        let wake = self.mailbox.wake_consumer();
        self.wake(wake);
    }

    pub(crate) fn lower(&self, flag: u8) -> bool {
        self.mailbox.control.fetch_and(!flag, Ordering::AcqRel) & flag != 0
    }

    /// Commits a turn's effects: the one place where they begin to be real. Those that can be delivered at once are; from
    /// the first that can't, the rest waits in the outgoing queue.
    pub(crate) fn commit(&self, seat: &mut Seat<A>, effects: &mut Effects<A::Message>) {
        for effect in effects.list.drain(..) {
            match effect {
                Effect::Send(to, letter) => self.commit_send(seat, to, letter),
                Effect::Out(mut out) => {
                    if !seat.outgoing.is_empty() || !out.deliver() {
                        seat.outgoing.push_back(out);
                    }
                }
                other => self.apply(seat, other),
            }
        }
    }

    #[inline]
    fn commit_send(
        &self,
        seat: &mut Seat<A>,
        to: AgentRef<A::Message>,
        letter: Letter<A::Message>,
    ) {
        let is_clear = seat.outgoing.is_empty() && self.core.system.hooks().admission.is_empty();
        let mut letter = Some(letter);
        if is_clear && to.0.push(&mut letter, None).is_ok() {
            return;
        }
        let Some(letter) = letter else {
            return;
        };
        let mut out: Box<dyn Outgoing> = Box::new(OutLetter::new(to, letter, None));
        if !seat.outgoing.is_empty() || !out.deliver() {
            seat.outgoing.push_back(out);
        }
    }

    fn apply(&self, seat: &mut Seat<A>, effect: Effect<A::Message>) {
        let core = &self.core;
        let Some(me) = core.reference() else {
            return;
        };
        match effect {
            Effect::Out(_) | Effect::Send(..) => {}
            Effect::Monitor(id, target) => {
                core.note_monitoring(id, target.clone());
                let watcher = core::Watcher::Agent(me, core.pid().incarnation);
                target.0.core().monitor(id, watcher);
            }
            Effect::Demonitor(id) => {
                if let Some(target) = core.take_monitoring(id) {
                    target.0.core().demonitor(id);
                }
            }
            Effect::Link(target) => {
                if target == me {
                    return;
                }
                // The own side first: an end of the other one then finds both.
                let (life, theirs) = (core.pid().incarnation, target.pid().incarnation);
                core.link(&target, theirs);
                if !target.0.core().link(&me, life) {
                    core.unlink(target.address());
                    me.signal_to(
                        life,
                        Signal::Exit(crate::signal::Exit {
                            pid: target.pid(),
                            reason: ExitReason::NoProc,
                        }),
                    );
                }
            }
            Effect::Unlink(target) => {
                core.unlink(target.address());
                target.0.core().unlink(core.address);
            }
            Effect::Watch(target) => {
                target.0.core().unwatch(core.address);
                let watcher = core::Watcher::Agent(me, core.pid().incarnation);
                core.note_watching(target.clone());
                target.0.core().watch(watcher);
            }
            Effect::Unwatch(target) => {
                target.0.core().unwatch(core.address);
                core.forget_watching(target.address());
            }
            Effect::Join(group) => self.join(&group, &me),
            Effect::Leave(group) => {
                if let Some(left) = core.system.groups_table().leave(&group, core.address) {
                    if left == 0 {
                        core.forget_group(&group);
                    }
                    core.system.event(
                        Some(core),
                        What::Left {
                            group: group.clone(),
                        },
                    );
                }
            }
            Effect::MonitorGroup(group) => {
                core.note_group_monitor(&group);
                let members = core.system.groups_table().monitor(&group, me.clone());
                for (member, count) in members {
                    me.signal_to(
                        core.pid().incarnation,
                        Signal::Group(crate::signal::GroupChange {
                            group: group.clone(),
                            address: member.address(),
                            count,
                            joined: true,
                        }),
                    );
                }
            }
            Effect::DemonitorGroup(group) => {
                core.forget_group_monitor(&group);
                core.system.groups_table().demonitor(&group, core.address);
            }
            Effect::Schedule(id, at, what) => {
                seat.rare().timers.insert(id, Armed { at, what });
                core.system.timers().arm(at, id, self.this.clone());
            }
            Effect::Cancel(id) => {
                let rare = seat.rare();
                rare.fired.remove(&id);
                if let Some(armed) = rare.timers.remove(&id) {
                    core.system.timers().disarm(armed.at, id);
                }
            }
            Effect::Stash(mut letter) => {
                // Who asked goes on waiting for it.
                letter.ask = seat.current.as_mut().and_then(|current| current.ask.take());
                seat.rare().stash.push_back(letter);
            }
            Effect::UnstashAll => self.unstash(seat),
        }
    }

    pub(crate) fn join(&self, group: &swarm_protocols::Name, me: &AnyRef) {
        self.core.note_group(group);
        self.core.system.groups_table().join(group, me);
        self.core.system.event(
            Some(&self.core),
            What::Joined {
                group: group.clone(),
            },
        );
    }

    pub(crate) fn unstash(&self, seat: &mut Seat<A>) {
        let Some(rare) = &mut seat.rare else {
            return;
        };
        while let Some(letter) = rare.stash.pop_back() {
            self.mailbox.put_back(&mut seat.ready, letter);
        }
    }

    /// Commits what a turn has asked for so far; for an ask in its midst. False when its shell was fenced off: its effects
    /// are dropped.
    pub(crate) fn commit_early(&self, epoch: u64, effects: &mut Effects<A::Message>) -> bool {
        let mut seat = self.seat.lock();
        if seat.epoch == epoch {
            self.commit(&mut seat, effects);
            true
        } else {
            drop(seat);
            effects.clear();
            false
        }
    }

    /// Makes a dead letter, and tells who asked.
    pub(crate) fn bury_letter(&self, mut letter: Letter<A::Message>, cause: DeathCause) {
        if let Some(ask) = letter.ask.take() {
            ask.fail(match &cause {
                DeathCause::TurnFailed(reason) => AskError::Crashed(reason.clone()),
                DeathCause::Overloaded | DeathCause::DroppedOldest => AskError::Full,
                DeathCause::DroppedOnCrash => AskError::Crashed(ExitReason::Killed),
                DeathCause::Refused | DeathCause::Rejected(_) => AskError::Refused,
                DeathCause::ReceiverEnded | DeathCause::NoReceiver | DeathCause::Expired => {
                    AskError::NoProc
                }
            });
        }
        let kind = letter.body.kind();
        if matches!(letter.body, Body::Signal(..) | Body::Timer(..)) {
            // Signals and timers are the system's own; nobody sent them.
            return;
        }
        let acl = match &letter.body {
            Body::Acl(acl) => Some(acl.clone()),
            _ => None,
        };
        self.core.system.bury(Corpse {
            cause,
            receiver: self.core.path.clone(),
            sender: letter.sender.address(),
            kind,
            message_type: std::any::type_name::<A::Message>(),
            priority: letter.priority,
            acl,
            kept: Some(Box::new(KeptLetter(letter))),
        });
    }

    /// Makes a dead letter of the message in whose turn a life ended.
    pub(crate) fn bury_current(&self, current: Current<A::Message>, reason: &ExitReason) {
        let kind = current.record.kind;
        if !matches!(kind, LetterKind::Message | LetterKind::Acl) {
            return;
        }
        let body = match (current.copy, &current.acl) {
            (Some(copy), _) => Some(Body::Message(*copy)),
            (None, Some(acl)) => Some(Body::Acl(acl.clone())),
            (None, None) => None,
        };
        let kept = body.map(|body| {
            let mut letter: Letter<A::Message> = Letter::new(body, current.record.at_ms);
            letter.sender = current.sender;
            letter.priority = current.record.priority;
            Box::new(KeptLetter(letter)) as Box<dyn Kept>
        });
        self.core.system.bury(Corpse {
            cause: DeathCause::TurnFailed(reason.clone()),
            receiver: self.core.path.clone(),
            sender: current.sender.address(),
            kind,
            message_type: std::any::type_name::<A::Message>(),
            priority: current.record.priority,
            acl: current.acl,
            kept,
        });
    }

    fn from_acl(letter: AclLetter) -> Letter<A::Message> {
        let body = match letter.body {
            Body::Acl(acl) => Body::Acl(acl),
            Body::Signal(life, signal) => Body::Signal(life, signal),
            Body::Message(never) | Body::Timer(_, never) => match never {},
        };
        Letter {
            body,
            ask: letter.ask,
            sender: letter.sender,
            extra: letter.extra,
            at_ms: letter.at_ms,
            priority: letter.priority,
            deliveries: letter.deliveries,
        }
    }

    fn to_acl(letter: Letter<A::Message>) -> Option<AclLetter> {
        let body = match letter.body {
            Body::Acl(acl) => Body::Acl(acl),
            Body::Signal(life, signal) => Body::Signal(life, signal),
            Body::Message(_) | Body::Timer(..) => return None,
        };
        Some(Letter {
            body,
            ask: letter.ask,
            sender: letter.sender,
            extra: letter.extra,
            at_ms: letter.at_ms,
            priority: letter.priority,
            deliveries: letter.deliveries,
        })
    }

    /// Does something with an ACL letter as one of this cell's own; what was not taken is put back.
    fn as_own<R>(
        letter: &mut Option<AclLetter>,
        act: impl FnOnce(&mut Option<Letter<A::Message>>) -> R,
    ) -> R {
        let mut own = letter.take().map(Self::from_acl);
        let result = act(&mut own);
        *letter = own.and_then(Self::to_acl);
        result
    }
}

impl NotTaken {
    fn why(self) -> NotSent {
        match self {
            Self::Full => NotSent::Full,
            Self::Refused(gate) => NotSent::at_gate(gate),
        }
    }
}

/// A dead letter's message.
struct KeptLetter<M>(Letter<M>);

impl<M: Message> Kept for KeptLetter<M> {
    fn resend(
        self: Box<Self>,
        receiver: &AnyRef,
        path: &Path,
    ) -> Result<(), (Option<Box<dyn Kept>>, ReplayError)> {
        let Some(to): Option<AgentRef<M>> = receiver.typed() else {
            return Err((Some(self), ReplayError::WrongType(path.clone())));
        };
        let mut letter = self.0;
        letter.deliveries = 0;
        letter.extra = None;
        let admitted = to.0.admit(&letter);
        let mut letter = Some(letter);
        admitted
            .and_then(|()| to.0.push(&mut letter, Some(WhenFull::Fail)))
            .map_err(|_| {
                let kept = letter.map(|letter| Box::new(KeptLetter(letter)) as Box<dyn Kept>);
                (kept, ReplayError::NotTaken(path.clone()))
            })
    }
}

impl<A: Agent> Cell<A> {
    #[cold]
    fn push_when_full(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        if !self.core.full_is_reported.swap(true, Ordering::Relaxed) {
            let capacity = self.mailbox.capacity();
            self.core
                .system
                .event(Some(&self.core), What::MailboxFull { capacity });
        }
        if when_full.unwrap_or_else(|| self.plan().mailbox.when_full) != WhenFull::DropOldest {
            return Err(NotSent::Full);
        }
        // By `try_lock`, as the sender may hold its own seat's lock.
        let Some(mut seat) = self.seat.try_lock() else {
            return Err(NotSent::Full);
        };
        let pushed = self.mailbox.push_dropping_oldest(&mut seat.ready, letter);
        drop(seat);
        let (wake, dropped) = pushed.map_err(NotTaken::why)?;
        self.wake(wake);
        if let Some(dropped) = dropped {
            self.bury_letter(dropped, DeathCause::DroppedOldest);
        }
        Ok(())
    }
}

impl<A: Agent> Receive<A::Message> for Cell<A> {
    fn push(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        match self.mailbox.push(letter) {
            Ok(wake) => {
                self.wake(wake);
                Ok(())
            }
            Err(NotTaken::Full) => self.push_when_full(letter, when_full),
            Err(refused) => Err(refused.why()),
        }
    }

    fn push_over(&self, letter: &mut Option<Letter<A::Message>>) -> Result<(), NotSent> {
        let pushed = {
            let mut seat = self.seat.lock();
            self.mailbox.push_dropping_oldest(&mut seat.ready, letter)
        };
        let (wake, dropped) = pushed.map_err(NotTaken::why)?;
        self.wake(wake);
        if let Some(dropped) = dropped {
            self.bury_letter(dropped, DeathCause::DroppedOldest);
        }
        Ok(())
    }

    fn wait(
        &self,
        letter: &mut Option<Letter<A::Message>>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        let (wake, ticket) = self.mailbox.wait(letter, waker).map_err(NotTaken::why)?;
        self.wake(wake);
        Ok(ticket)
    }

    fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.mailbox.poll_ticket(ticket, waker)
    }

    fn cancel(&self, ticket: u64) -> Option<Letter<A::Message>> {
        let (letter, wake) = self.mailbox.cancel(ticket);
        self.wake(wake);
        letter
    }

    fn reserve(&self) -> Result<Reservation, NotSent> {
        self.mailbox.reserve().map_err(NotTaken::why)
    }

    fn unreserve(&self, reservation: Reservation) {
        let wake = self.mailbox.unreserve(reservation);
        self.wake(wake);
    }

    fn push_reserved(
        &self,
        reservation: Reservation,
        letter: &mut Option<Letter<A::Message>>,
    ) -> Result<(), NotSent> {
        let wake = self
            .mailbox
            .push_reserved(reservation, letter)
            .map_err(NotTaken::why)?;
        self.wake(wake);
        Ok(())
    }

    fn admit(&self, letter: &Letter<A::Message>) -> Result<(), NotSent> {
        let hooks = self.core.system.hooks();
        if hooks.admission.is_empty() {
            return Ok(());
        }
        let admission = Admission {
            receiver: &self.core.path,
            sender: letter.sender.address(),
            kind: letter.body.kind(),
            priority: letter.priority,
            acl: match &letter.body {
                Body::Acl(acl) => Some(acl),
                _ => None,
            },
            extensions: letter.extra.as_ref().map(|extra| &extra.extensions),
        };
        for hook in &hooks.admission {
            hook.admit(&admission).map_err(NotSent::Rejected)?;
        }
        Ok(())
    }

    fn when_full(&self) -> WhenFull {
        self.plan().mailbox.when_full
    }

    fn bury(&self, letter: Letter<A::Message>, cause: DeathCause) {
        self.bury_letter(letter, cause);
    }

    fn to_any(self: Arc<Self>) -> Arc<dyn AnyCell> {
        self
    }
}

impl<A: Agent> AnyCell for Cell<A> {
    fn core(&self) -> &CellCore {
        &self.core
    }

    fn push_acl(
        &self,
        letter: &mut Option<AclLetter>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        Self::as_own(letter, |own| self.push(own, when_full))
    }

    fn wait_acl(
        &self,
        letter: &mut Option<AclLetter>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        Self::as_own(letter, |own| self.wait(own, waker))
    }

    fn poll_acl_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.mailbox.poll_ticket(ticket, waker)
    }

    fn cancel_any(&self, ticket: u64) {
        if let Some(letter) = self.cancel(ticket) {
            self.bury_letter(letter, DeathCause::Overloaded);
        }
    }

    fn admit_acl(&self, letter: &AclLetter) -> Result<(), NotSent> {
        let hooks = self.core.system.hooks();
        if hooks.admission.is_empty() {
            return Ok(());
        }
        let admission = Admission {
            receiver: &self.core.path,
            sender: letter.sender.address(),
            kind: LetterKind::Acl,
            priority: letter.priority,
            acl: match &letter.body {
                Body::Acl(acl) => Some(acl),
                _ => None,
            },
            extensions: letter.extra.as_ref().map(|extra| &extra.extensions),
        };
        for hook in &hooks.admission {
            hook.admit(&admission).map_err(NotSent::Rejected)?;
        }
        Ok(())
    }

    fn bury_acl(&self, letter: AclLetter, cause: DeathCause) {
        self.bury_letter(Self::from_acl(letter), cause);
    }

    fn default_when_full(&self) -> WhenFull {
        self.plan().mailbox.when_full
    }

    fn signal_to(&self, life: Incarnation, signal: Signal) {
        if self.core.pid().incarnation != life || !self.core.is_alive() {
            // That life is over, and the next one has nothing to do with it.
            return;
        }
        let body = Body::Signal(life, Box::new(signal));
        let letter = self.core.plain_letter(body);
        if let Ok(wake) = self.mailbox.push(&mut Some(letter)) {
            self.wake(wake);
        }
    }

    fn discard(&self) {
        self.settle(swarm_supervisors::Disposition::Removed);
    }

    fn kill(&self, reason: ExitReason) {
        self.cut_off(reason);
    }

    fn pause(&self) -> bool {
        if !self.core.is_alive()
            || self
                .mailbox
                .control
                .fetch_or(CONTROL_PAUSE, Ordering::AcqRel)
                & CONTROL_PAUSE
                != 0
        {
            return false;
        }
        self.core.system.event(Some(&self.core), What::Paused);
        true
    }

    fn resume(&self) -> bool {
        if !self.lower(CONTROL_PAUSE) {
            return false;
        }
        self.core.system.event(Some(&self.core), What::Resumed);
        let wake = self.mailbox.wake_consumer();
        self.wake(wake);
        true
    }

    fn refuse(&self, refusing: bool) {
        self.seat.lock().rare().is_draining = refusing;
        if self.mailbox.gate() == Gate::Closed {
            return;
        }
        let turned_away = self
            .mailbox
            .set_gate(if refusing { Gate::Refusing } else { Gate::Open });
        for letter in turned_away {
            self.bury_letter(letter, DeathCause::Refused);
        }
    }

    fn depth(&self) -> u64 {
        self.mailbox.depth()
    }

    fn is_settled(&self) -> bool {
        let seat = self.seat.lock();
        let is_idle = seat.current.is_none()
            && seat.outgoing.is_empty()
            && seat.rare.as_ref().is_none_or(|rare| rare.stash.is_empty())
            && self.mailbox.depth() == 0;
        match self.core.state() {
            ActorState::Stopped | ActorState::Ended => true,
            ActorState::Starting | ActorState::Restarting => false,
            ActorState::Running
            | ActorState::Asleep
            | ActorState::Paused
            | ActorState::Draining => is_idle,
        }
    }

    fn info(&self) -> ActorInfo {
        let core = &self.core;
        let control = self.mailbox.control.load(Ordering::Acquire);
        let state = match core.state() {
            ActorState::Running | ActorState::Asleep if self.mailbox.gate() == Gate::Refusing => {
                ActorState::Draining
            }
            ActorState::Running | ActorState::Asleep if control & CONTROL_PAUSE != 0 => {
                ActorState::Paused
            }
            state => state,
        };
        ActorInfo {
            path: core.path.clone(),
            kind: core.kind.to_owned(),
            state,
            node: core.system.node().clone(),
            groups: core.groups(),
            restarts: core.restarts.load(Ordering::Relaxed),
            mailbox: self.mailbox.depth(),
            address: core.address,
            incarnation: core.pid().incarnation,
            began_ms: core.began_ms.load(Ordering::Relaxed),
            turns: core.turns.load(Ordering::Relaxed),
            mailbox_ms: self.seat.lock().ready.oldest().map_or(0, |letter| {
                u64::from(core.system.coarse_ms().saturating_sub(letter.at_ms))
            }),
        }
    }

    fn detail(&self) -> ActorDetail {
        let info = self.info();
        let links = self.core.links();
        let (capacity, waiting) = (self.mailbox.capacity(), self.mailbox.waiting());
        let seat = self.seat.lock();
        let rare = seat.rare.as_deref();
        ActorDetail {
            info,
            behaviour: self.core.behaviour.to_owned(),
            registered: self.plan().registered.clone(),
            capacity,
            waiting_senders: waiting,
            stashed: rare.map_or(0, |rare| rare.stash.len()),
            timers: rare.map_or(0, |rare| rare.timers.len()),
            outgoing: seat.outgoing.len(),
            links,
            current: seat.current.as_ref().map(|current| current.record),
            recorder: seat
                .recorder
                .as_ref()
                .map_or_else(Vec::new, |recorder| recorder.entries()),
            last_exit: rare.and_then(|rare| rare.last_exit.clone()),
            last_crash: rare.and_then(|rare| rare.last_crash.clone()),
        }
    }

    fn inject(&self, injected: crate::fault::Injected) -> bool {
        use crate::fault::{FAULTS_PER_AGENT_MAX, Fault, When};
        if let Fault::Full(on) = injected.fault {
            // Also between two lives: what was clogged must come free again.
            let wake = self.mailbox.clog(on);
            self.wake(wake);
            return true;
        }
        if !self.core.is_alive() {
            return false;
        }
        let when = injected.when;
        let mut seat = self.seat.lock();
        if seat.rare().faults.len() >= FAULTS_PER_AGENT_MAX {
            return false;
        }
        seat.rare().faults.push_back(injected);
        drop(seat);
        if when == When::Now {
            self.raise(CONTROL_FAULT);
        }
        true
    }

    fn watch_over(&self, tick: &crate::watchdog::Tick<'_>) {
        crate::watchdog::look_at(self, tick);
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl<A: Agent> TimerTarget for Cell<A> {
    fn fired(&self, id: TimerId) {
        let Some(message) = self.take_fired(id) else {
            return;
        };
        let letter = self.core.plain_letter(Body::Timer(id, message));
        if let Ok(wake) = self.mailbox.push(&mut Some(letter)) {
            self.wake(wake);
        }
    }
}

impl<A: Agent> Cell<A> {
    /// What a fired timer brings. A repeated one makes its message by the agent's own code, without any lock; a panic there
    /// ends the life.
    fn take_fired(&self, id: TimerId) -> Option<A::Message> {
        let (life, mut make) = {
            let mut seat = self.seat.lock();
            let rare = seat.rare.as_mut()?;
            let armed = rare.timers.get_mut(&id)?;
            match &mut armed.what {
                Scheduled::Once(_) => {
                    let Scheduled::Once(message) = rare.timers.remove(&id)?.what else {
                        return None;
                    };
                    rare.fired.insert(id);
                    return Some(message);
                }
                Scheduled::Every(period, make) => {
                    armed.at = (armed.at + *period).max(tokio::time::Instant::now());
                    self.core
                        .system
                        .timers()
                        .arm(armed.at, id, self.this.clone());
                    if rare.fired.contains(&id) {
                        return None;
                    }
                    (self.core.pid().incarnation, make.take()?)
                }
            }
        };
        let made = {
            let _guard = crate::panics::Guard::enter();
            catch_unwind(AssertUnwindSafe(&mut make)).map_err(crate::panics::reason)
        };
        let mut seat = self.seat.lock();
        if self.core.pid().incarnation != life || !self.core.is_alive() {
            return None;
        }
        match made {
            Ok(message) => {
                let rare = seat.rare.as_mut()?;
                if let Some(Scheduled::Every(_, place)) =
                    rare.timers.get_mut(&id).map(|armed| &mut armed.what)
                {
                    *place = Some(make);
                    rare.fired.insert(id);
                    return Some(message);
                }
                // Cancelled meanwhile.
                None
            }
            Err(reason) => {
                let remains = self.cut(&mut seat, reason.clone());
                drop(seat);
                self.report(remains, reason);
                None
            }
        }
    }
}
