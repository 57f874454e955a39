//! What a shell does next: the commit of the last turn and the begin of the next one, under one lock.

use crate::agent::Agent;
use crate::ask::AskHold;
use crate::cell::{
    CONTROL_ALL, CONTROL_FAULT, CONTROL_PAUSE, CONTROL_SLEEP, CONTROL_STOP, Cell, Current, Seat,
};
use crate::dead_letters::DeathCause;
use crate::fault::{self, Fault, When};
use crate::letter::{Body, Given, Letter, LetterKind, Sender};
use crate::mailbox::Registered;
use crate::panics;
use crate::recorder::FlightRecord;
use crate::timers::Scheduled;
use crate::turn::Effects;
use crate::watchdog::Progress;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use swarm_protocols::ExitReason;

/// After how many turns in a row a shell looks at the clock.
const TURNS_PER_LOOK: u32 = 64;

/// After how many turns in a row it lets others run at the latest.
const TURNS_PER_POLL: u32 = 1024;

/// For how long an agent whose mailbox does not get empty may hold its worker, where its turns are short. Shorter would let
/// others in sooner; but to be scheduled anew costs as much as ten turns, and wakes the other workers, who then find nothing.
const SLICE: Duration = Duration::from_micros(200);

/// What a shell is to do next.
pub(super) enum Step {
    /// The task is in the [`Work`].
    Turn,
    Flush,
    Sleep,
    Stop(ExitReason),
    /// The life or this shell is over.
    Leave,
}

/// What a turn is for.
pub(super) enum Task {
    /// The callback after init.
    Continue,
    /// An injected fault that waits for no message.
    Fault(Fault),
    /// The letter whose body and circumstances lie beside it.
    Letter,
}

/// What a shell keeps between turns.
pub(super) struct Work<M> {
    /// What the next turn is for.
    pub(super) task: Option<Task>,
    /// What its letter says. In here and not in a [`Task`], as it may be large: each move is a copy.
    pub(super) body: Option<Body<M>>,
    pub(super) given: Given,
    pub(super) effects: Effects<M>,
    /// The last turn ended well and is to be committed with the next step.
    pub(super) commit_is_due: bool,
    pub(super) slice: Slice,
    pub(super) progress: Arc<Progress>,
    registered: Registered,
}

impl<M> Work<M> {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self {
            task: None,
            body: None,
            given: Given::NOTHING,
            effects: Effects::new(),
            commit_is_due: false,
            slice: Slice::default(),
            progress,
            registered: Registered::default(),
        }
    }

    /// Drops what a failed turn had asked for; the messages in it are the agent's code.
    pub(super) fn discard(&mut self) {
        self.commit_is_due = false;
        self.effects.stop = None;
        self.effects.is_over_limit = false;
        self.task = None;
        self.given = Given::NOTHING;
        panics::drop_guarded(std::mem::take(&mut self.effects.list));
        panics::drop_guarded(self.body.take());
    }
}

/// How long a shell has been running without letting others run.
#[derive(Default)]
pub(super) struct Slice {
    turns: u32,
    since: Option<tokio::time::Instant>,
}

impl Slice {
    #[inline]
    pub(super) fn is_over_after_one_more(&mut self) -> bool {
        self.turns += 1;
        self.turns.is_multiple_of(TURNS_PER_LOOK) && self.is_over()
    }

    /// Begins to count with the first look: a poll of few turns reads no clock.
    #[cold]
    fn is_over(&mut self) -> bool {
        if self.turns >= TURNS_PER_POLL {
            return true;
        }
        let now = tokio::time::Instant::now();
        now.saturating_duration_since(*self.since.get_or_insert(now)) >= SLICE
    }
}

pub(super) fn next_step<A: Agent>(
    cell: &Cell<A>,
    epoch: u64,
    work: &mut Work<A::Message>,
    cx: &mut Context<'_>,
) -> Poll<Step> {
    let mut guard = cell.seat.lock();
    let seat = &mut *guard;
    if seat.epoch != epoch {
        return Poll::Ready(Step::Leave);
    }
    if work.commit_is_due {
        work.commit_is_due = false;
        if !work.effects.list.is_empty() {
            cell.commit(seat, &mut work.effects);
        }
        seat.desk().current = None;
        if let Some(reason) = work.effects.stop.take() {
            return Poll::Ready(Step::Stop(reason));
        }
    }
    let control = cell.mailbox().control().load(Ordering::Acquire);
    if control & CONTROL_STOP != 0 {
        // What an init wanted to stop with, or else the supervisor's word.
        let reason = seat.rare.as_mut().and_then(|rare| rare.stop.take());
        return Poll::Ready(Step::Stop(reason.unwrap_or(ExitReason::SHUTDOWN)));
    }
    if !seat.outgoing.is_empty() {
        return Poll::Ready(Step::Flush);
    }
    if control & CONTROL_PAUSE != 0 {
        if cell.mailbox().park(cx.waker(), CONTROL_ALL & !CONTROL_STOP) {
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    if seat.continue_is_due {
        seat.continue_is_due = false;
        seat.desk().current = Some(Current::of_continue(cell.core.system.coarse_ms()));
        work.given = Given::NOTHING;
        work.task = Some(Task::Continue);
        return Poll::Ready(Step::Turn);
    }
    if control & CONTROL_FAULT != 0 {
        let faults = &mut seat.rare().faults;
        if let Some(at) = faults.iter().position(|f| f.when == When::Now) {
            let fault = faults.remove(at).map(|injected| injected.fault);
            if let Some(fault) = fault {
                seat.desk().current = Some(Current::of_continue(cell.core.system.coarse_ms()));
                work.given = Given::NOTHING;
                work.task = Some(Task::Fault(fault));
                return Poll::Ready(Step::Turn);
            }
        }
        cell.lower(CONTROL_FAULT);
    }
    if control & CONTROL_SLEEP != 0 {
        cell.lower(CONTROL_SLEEP);
        return Poll::Ready(Step::Sleep);
    }
    while let Some(letter) = cell
        .mailbox()
        .next(&mut seat.ready, &mut work.registered, cx.waker())
    {
        if begin(cell, seat, letter, work) {
            return Poll::Ready(Step::Turn);
        }
    }
    work.slice = Slice::default();
    // A flag that went up between the look above and the registration has the consumer run once more.
    if cell.mailbox().control().load(Ordering::Acquire) != 0 {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Notes what is begun and makes it the task; false when the letter is not to be handled any more.
#[inline]
fn begin<A: Agent>(
    cell: &Cell<A>,
    seat: &mut Seat<A>,
    letter: Letter<A::Message>,
    work: &mut Work<A::Message>,
) -> bool {
    match &letter.body {
        Body::Timer(id, _) if !seat.rare().fired.remove(id) => {
            if let Body::Timer(_, message) = letter.body {
                work.effects.cancelled.push(Scheduled::Once(message));
            }
            return false;
        }
        Body::Signal(life, _) if *life != cell.core.pid().incarnation => return false,
        Body::Message(_) | Body::Acl(_) | Body::Timer(..) | Body::Signal(..) => {}
    }
    if letter.extra.as_ref().is_some_and(|extra| {
        extra
            .expires_at_ms
            .is_some_and(|expires| cell.core.system.now_ms() > expires)
    }) {
        cell.bury_letter(letter, DeathCause::Expired);
        return false;
    }
    let record = FlightRecord {
        kind: letter.body.kind(),
        sender: letter.sender.low(),
        at_ms: letter.at_ms,
        priority: letter.priority,
        deliveries: letter.deliveries,
    };
    seat.desk().record(record);
    let given = &mut work.given;
    given.from = letter.sender;
    given.kind = record.kind;
    given.has_extra = letter.extra.is_some();
    given.wants_copy = seat.wants_copy;
    let mut acl = None;
    if let Body::Acl(message) = &letter.body {
        acl = Some(message.clone());
        given.acl_port = letter.ask.as_ref().and_then(AskHold::acl_port);
    }
    if let Some(faults) = seat.rare.as_mut().map(|rare| &mut rare.faults)
        && !faults.is_empty()
    {
        given.fault = fault::due(faults).map(Box::new);
    }
    seat.desk().current = Some(Current {
        record,
        sender: letter.sender,
        ask: letter.ask,
        acl,
        extra: letter.extra,
        copy: None,
    });
    work.body = Some(letter.body);
    work.task = Some(Task::Letter);
    true
}

impl<M> Current<M> {
    fn of_continue(at_ms: u32) -> Self {
        Self {
            record: FlightRecord {
                kind: LetterKind::Continue,
                sender: 0,
                at_ms,
                priority: swarm_protocols::Priority::Critical,
                deliveries: 0,
            },
            sender: Sender::NONE,
            ask: None,
            acl: None,
            extra: None,
            copy: None,
        }
    }
}
