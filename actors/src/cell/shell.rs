//! The shell: the ractor actor in which an awake agent runs, and its receive loop.
//!
//! ractor is paid per wake and sleep, not per message: the actor's `post_start` is the loop. What ractor gives is the
//! task, its guard and the kill that cancels the loop at its next await.

use super::{
    CONTROL_ALL, CONTROL_FAULT, CONTROL_PAUSE, CONTROL_SLEEP, CONTROL_STOP, Cell, Current, Life,
    Seat,
};
use crate::agent::{Agent, Failure, Message};
use crate::ask::{AskHold, ReplyTo};
use crate::dead_letters::DeathCause;
use crate::events::What;
use crate::fault::{self, Fault, When};
use crate::hooks::{TurnEnd, TurnView};
use crate::info::ActorState;
use crate::letter::{Body, Letter, LetterKind, Sender};
use crate::panics;
use crate::recorder::{FlightRecord, FlightRecorder};
use crate::signal::Signal;
use crate::spec::Placement;
use crate::turn::{Effects, Turn};
use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason, Limit};
use tokio::sync::Notify;

/// After how many turns in a row a shell lets others run. Without it an agent whose mailbox never empties would hold its
/// worker.
const TURNS_PER_POLL: u32 = 64;

/// After how many asks in a row a shell lets others run once before it parks.
const LINGER_AFTER: u32 = 2;

/// How a shell is told to end.
pub(crate) enum ShellHandle {
    Ractor(ActorRef<()>),
    /// A bare task or a thread of its own: it looks at this flag whenever it awaits.
    Flag(Arc<Notify>),
}

impl ShellHandle {
    pub(crate) fn end(&self) {
        match self {
            Self::Ractor(actor) => actor.kill(),
            Self::Flag(stop) => stop.notify_one(),
        }
    }
}

/// Odd while the behaviour's code is being polled; each poll adds two. One per shell: code that was fenced off goes on
/// counting in its own.
#[derive(Default)]
pub(crate) struct Progress(pub(crate) AtomicU32);

struct Shell<A>(PhantomData<fn() -> A>);

impl<A: Agent> Actor for Shell<A> {
    type Msg = ();
    type State = Arc<Cell<A>>;
    type Arguments = Arc<Cell<A>>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        cell: Arc<Cell<A>>,
    ) -> Result<Arc<Cell<A>>, ActorProcessingErr> {
        Ok(cell)
    }

    async fn post_start(
        &self,
        myself: ActorRef<()>,
        cell: &mut Arc<Cell<A>>,
    ) -> Result<(), ActorProcessingErr> {
        run(cell, ShellHandle::Ractor(myself.clone())).await;
        myself.stop(None);
        Ok(())
    }
}

/// Gives a cell a shell. The caller holds the claim: the mailbox said that there is no consumer.
///
/// Takes none of the cell's locks, so that anybody may send whatever locks they hold: the shell itself takes its place when
/// it first runs, and goes if the cell was cut off in between.
pub(crate) fn attach<A: Agent>(cell: &Arc<Cell<A>>) {
    let is_stopping = cell.mailbox.control.load(Ordering::Acquire) & CONTROL_STOP != 0;
    match cell.plan().placement {
        Placement::Shared if is_stopping => spawn_bare(cell),
        Placement::Shared => spawn_shared(cell),
        Placement::Dedicated => spawn_dedicated(cell),
    }
}

fn spawn_shared<A: Agent>(cell: &Arc<Cell<A>>) {
    let _runtime = cell.core.system.enter();
    // `pre_start` is ready at once, so the spawn is too; unless the calling task had used its budget up, hence unconstrained.
    let spawn = Actor::spawn(None, Shell::<A>(PhantomData), cell.clone());
    match tokio::task::unconstrained(spawn).now_or_never() {
        Some(Ok(_)) => {}
        Some(Err(_)) | None => spawn_bare(cell),
    }
}

/// What is only to clean up needs no actor: stopping ten thousand agents at rest would otherwise start as many.
fn spawn_bare<A: Agent>(cell: &Arc<Cell<A>>) {
    let _runtime = cell.core.system.enter();
    let (stop, cell) = (Arc::new(Notify::new()), cell.clone());
    tokio::spawn(async move {
        let stopped = stop.clone();
        tokio::select! {
            () = run(&cell, ShellHandle::Flag(stop)) => {}
            () = stopped.notified() => {}
        }
    });
}

fn spawn_dedicated<A: Agent>(cell: &Arc<Cell<A>>) {
    let (stop, theirs) = (Arc::new(Notify::new()), cell.clone());
    // Threads' names have 15 characters: the end of the path says most.
    let path = cell.core.path.as_str();
    let name = path.get(path.len().saturating_sub(15)..).unwrap_or(path);
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let stopped = stop.clone();
                    tokio::select! {
                        () = run(&theirs, ShellHandle::Flag(stop)) => {}
                        () = stopped.notified() => {}
                    }
                }),
                Err(error) => {
                    tracing::error!(path = %theirs.core.path, %error, "no runtime for a dedicated agent; it shares the workers");
                    spawn_bare(&theirs);
                }
            }
        });
    if let Err(error) = spawned {
        tracing::error!(path = %cell.core.path, %error, "no thread for a dedicated agent; it shares the workers");
        spawn_bare(cell);
    }
}

/// What a shell is to do next.
enum Step {
    /// The task is in the [`Work`].
    Turn,
    Flush,
    Sleep,
    Stop(ExitReason),
    /// The life or this shell is over.
    Leave,
}

enum Task<M> {
    Continue,
    /// An injected fault that waits for no message.
    Fault(Fault),
    Letter(Body<M>, Given),
}

/// What a letter comes with.
struct Given {
    from: Sender,
    has_extra: bool,
    wants_copy: bool,
    rare: Option<Box<Rare>>,
}

/// What few letters come with.
#[derive(Default)]
struct Rare {
    /// The port of its asker, where it is ACL and somebody waits.
    acl_port: Option<ReplyTo<AclMessage>>,
    /// A fault that is to show in its turn.
    fault: Option<Fault>,
}

/// What a shell keeps between turns.
struct Work<M> {
    /// What the next turn is for. In here and not in a [`Step`], as it may be large.
    task: Option<Task<M>>,
    effects: Effects<M>,
    /// The last turn ended well and is to be committed with the next step.
    commit_is_due: bool,
    /// How many asks it has answered in a row since it last had nothing to do.
    asks: u32,
    progress: Arc<Progress>,
}

/// Takes the shell's place, and lives one life after the other in the seat until there is no more for it to do. A panic of
/// the agent's code where no turn is to blame (in a drop, in a hook) ends the life all the same.
async fn run<A: Agent>(cell: &Arc<Cell<A>>, handle: ShellHandle) {
    let progress = Arc::new(Progress::default());
    let Some(epoch) = take_place(cell, handle, &progress) else {
        return;
    };
    if let Err(payload) = AssertUnwindSafe(run_lives(cell, epoch, progress))
        .catch_unwind()
        .await
    {
        cell.cut_off_shell(epoch, panics::reason(payload));
    }
}

/// The epoch of the new shell; `None` when there is nothing to run.
fn take_place<A: Agent>(
    cell: &Cell<A>,
    handle: ShellHandle,
    progress: &Arc<Progress>,
) -> Option<u64> {
    let mut seat = cell.seat.lock();
    if !matches!(seat.life, Life::Resting(_)) {
        return None;
    }
    seat.epoch += 1;
    seat.shell = Some(handle);
    seat.progress = Some(progress.clone());
    cell.core.set_state(ActorState::Running);
    Some(seat.epoch)
}

async fn run_lives<A: Agent>(cell: &Arc<Cell<A>>, epoch: u64, progress: Arc<Progress>) {
    let mut work = Work {
        task: None,
        effects: Effects::new(),
        commit_is_due: false,
        asks: 0,
        progress,
    };
    while let Some(agent) = poll_fn(|cx| sit_down(cell, epoch, cx)).await {
        let mut agent = Resident(Some(agent));
        if live(cell, epoch, &mut agent, &mut work).await {
            return;
        }
        work.discard();
    }
}

impl<M> Work<M> {
    /// Drops what a failed turn had asked for; the messages in it are the agent's code.
    fn discard(&mut self) {
        self.commit_is_due = false;
        self.effects.stop = None;
        self.effects.is_over_limit = false;
        panics::drop_guarded(std::mem::take(&mut self.effects.list));
        panics::drop_guarded(self.task.take());
    }
}

/// The behaviour while it is out of the seat. Its drop is the agent's code.
struct Resident<A>(Option<A>);

impl<A> Drop for Resident<A> {
    fn drop(&mut self) {
        panics::drop_guarded(self.0.take());
    }
}

/// Takes the behaviour out of the seat, or waits for the next one. `None` when this shell was fenced off.
fn sit_down<A: Agent>(cell: &Cell<A>, epoch: u64, cx: &mut Context<'_>) -> Poll<Option<A>> {
    let mut seat = cell.seat.lock();
    if seat.epoch != epoch {
        return Poll::Ready(None);
    }
    match std::mem::replace(&mut seat.life, Life::Awake) {
        Life::Resting(agent) => Poll::Ready(Some(agent)),
        other => {
            seat.life = other;
            seat.waiting = Some(cx.waker().clone());
            Poll::Pending
        }
    }
}

/// One life's turns. True when this shell is done, false when it waits for the next life.
async fn live<A: Agent>(
    cell: &Arc<Cell<A>>,
    epoch: u64,
    agent: &mut Resident<A>,
    work: &mut Work<A::Message>,
) -> bool {
    let mut turns = 0;
    loop {
        match poll_fn(|cx| next_step(cell, epoch, work, cx)).await {
            Step::Turn => {
                let Some(behaviour) = &mut agent.0 else {
                    return true;
                };
                if let Err(reason) = take_turn(cell, epoch, behaviour, work).await {
                    work.discard();
                    return end(cell, epoch, agent, reason, false);
                }
                work.commit_is_due = true;
                turns += 1;
                if turns == TURNS_PER_POLL {
                    turns = 0;
                    tokio::task::yield_now().await;
                }
            }
            Step::Flush => {
                flush(cell, epoch, CONTROL_ALL & !CONTROL_STOP).await;
            }
            Step::Sleep => {
                if lie_down(cell, epoch, agent) {
                    return true;
                }
            }
            Step::Stop(reason) => return stop(cell, epoch, agent, &work.progress, reason).await,
            Step::Leave => return true,
        }
    }
}

fn next_step<A: Agent>(
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
        seat.current = None;
        if let Some(reason) = work.effects.stop.take() {
            return Poll::Ready(Step::Stop(reason));
        }
    }
    let control = cell.mailbox.control.load(Ordering::Acquire);
    if control & CONTROL_STOP != 0 {
        // What an init wanted to stop with, or else the supervisor's word.
        let reason = seat.rare.as_mut().and_then(|rare| rare.stop.take());
        return Poll::Ready(Step::Stop(reason.unwrap_or(ExitReason::SHUTDOWN)));
    }
    if !seat.outgoing.is_empty() {
        return Poll::Ready(Step::Flush);
    }
    if control & CONTROL_PAUSE != 0 {
        if cell.mailbox.park(cx.waker(), CONTROL_ALL & !CONTROL_STOP) {
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    if seat.continue_is_due {
        seat.continue_is_due = false;
        seat.current = Some(Current::of_continue(cell.core.system.coarse_ms()));
        work.task = Some(Task::Continue);
        return Poll::Ready(Step::Turn);
    }
    if control & CONTROL_FAULT != 0 {
        let faults = &mut seat.rare().faults;
        if let Some(at) = faults.iter().position(|f| f.when == When::Now) {
            let fault = faults.remove(at).map(|injected| injected.fault);
            if let Some(fault) = fault {
                seat.current = Some(Current::of_continue(cell.core.system.coarse_ms()));
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
    // After some asks the shell lets others run once before it parks: those that it has just answered are likely to ask
    // again, and need not wake it then. (Without asks it would only meet its senders at the lock more often.)
    let lingers = work.asks >= LINGER_AFTER;
    let waker = (!lingers).then(|| cx.waker());
    while let Some(letter) = cell.mailbox.next(&mut seat.ready, waker) {
        if begin(cell, seat, letter, &mut work.task) {
            let is_asked = seat.current.as_ref().is_some_and(|c| c.ask.is_some());
            work.asks = if is_asked {
                work.asks.saturating_add(1)
            } else {
                0
            };
            return Poll::Ready(Step::Turn);
        }
    }
    work.asks = 0;
    if lingers {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    // A flag that went up between the look above and the parking has the consumer run once more.
    if cell.mailbox.control.load(Ordering::Acquire) != 0 {
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
    task: &mut Option<Task<A::Message>>,
) -> bool {
    match &letter.body {
        Body::Timer(id, _) if !seat.rare().fired.remove(id) => return false,
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
    seat.recorder
        .get_or_insert_with(|| Box::new(FlightRecorder::new()))
        .record(record);
    let mut rare: Option<Box<Rare>> = None;
    let mut acl = None;
    match &letter.body {
        Body::Message(_) => {}
        Body::Acl(message) => {
            acl = Some(message.clone());
            if let Some(port) = letter.ask.as_ref().and_then(AskHold::acl_port) {
                rare.get_or_insert_default().acl_port = Some(port);
            }
        }
        Body::Timer(..) | Body::Signal(..) => {}
    }
    if let Some(faults) = seat.rare.as_mut().map(|rare| &mut rare.faults)
        && !faults.is_empty()
        && let Some(fault) = fault::due(faults)
    {
        rare.get_or_insert_default().fault = Some(fault);
    }
    let given = Given {
        from: letter.sender,
        has_extra: letter.extra.is_some(),
        wants_copy: seat.wants_copy,
        rare,
    };
    seat.current = Some(Current {
        record,
        sender: letter.sender,
        ask: letter.ask,
        acl,
        extra: letter.extra,
        copy: None,
    });
    *task = Some(Task::Letter(letter.body, given));
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

/// Runs the behaviour's code for one message.
async fn take_turn<A: Agent>(
    cell: &Arc<Cell<A>>,
    epoch: u64,
    agent: &mut A,
    work: &mut Work<A::Message>,
) -> Result<(), ExitReason> {
    let core = &cell.core;
    let hooks = core.system.hooks();
    let (kind, from) = match &work.task {
        Some(Task::Letter(body, given)) => (body.kind(), given.from),
        Some(Task::Continue | Task::Fault(_)) | None => (LetterKind::Continue, Sender::NONE),
    };
    if let Some(Task::Letter(Body::Message(message), given)) = &work.task
        && given.wants_copy
    {
        let copy = guarded(|| message.copy())?;
        let mut seat = cell.seat.lock();
        if seat.epoch == epoch
            && let Some(current) = &mut seat.current
        {
            current.copy = copy.map(Box::new);
        }
    }
    let view = (!hooks.turn.is_empty()).then(|| TurnView {
        path: &core.path,
        pid: core.pid(),
        kind,
        sender: from.address(),
    });
    let began = view.as_ref().map(|_| tokio::time::Instant::now());
    if let Some(view) = &view {
        for hook in &hooks.turn {
            guarded(|| hook.before(view))?.map_err(ExitReason::error_text)?;
        }
    }
    let span = tracing::trace_span!("turn", path = %core.path, kind = kind.as_str());
    let ended = {
        let progress = &*work.progress;
        let future = handle(cell, epoch, agent, &mut work.task, &mut work.effects);
        let mut future = pin!(future);
        let mut first = true;
        // The first poll alone: most turns are over then, and need no timer.
        let polled = poll_fn(|cx| {
            if first {
                first = false;
                Poll::Ready(poll_guarded(progress, &span, || future.as_mut().poll(cx)))
            } else {
                Poll::Ready(Poll::Pending)
            }
        })
        .await;
        match polled {
            Poll::Ready(ended) => ended,
            Poll::Pending => {
                let rest = poll_fn(|cx| poll_guarded(progress, &span, || future.as_mut().poll(cx)));
                match cell.plan().turn_deadline {
                    None => rest.await,
                    Some(deadline) => match tokio::time::timeout(deadline, rest).await {
                        Ok(ended) => ended,
                        Err(_) => {
                            core.system.event(
                                Some(core),
                                What::TurnCut {
                                    deadline_ms: millis(deadline),
                                },
                            );
                            Err(ExitReason::Limit(Limit::TurnTime))
                        }
                    },
                }
            }
        }
    };
    core.turns
        .store(core.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let ended = ended.and_then(|()| {
        if work.effects.is_over_limit {
            Err(ExitReason::Limit(Limit::Effects))
        } else {
            Ok(())
        }
    });
    if let (Some(view), Some(began)) = (&view, began) {
        let end = match &ended {
            Ok(()) => TurnEnd::Committed,
            Err(reason) => TurnEnd::Failed(reason.clone()),
        };
        for hook in hooks.turn.iter().rev() {
            guarded(|| hook.after(view, &end, began.elapsed()))?;
        }
    }
    ended
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Calls other people's code that belongs to a turn: its panic is the turn's.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ExitReason> {
    let _guard = panics::Guard::enter();
    catch_unwind(AssertUnwindSafe(call)).map_err(panics::reason)
}

/// Polls the behaviour's code: its panic is caught, and the watchdog can see that it is inside.
fn poll_guarded(
    progress: &Progress,
    span: &tracing::Span,
    poll: impl FnOnce() -> Poll<Result<(), Failure>>,
) -> Poll<Result<(), ExitReason>> {
    let count = progress.0.load(Ordering::Relaxed);
    progress.0.store(count.wrapping_add(1), Ordering::Relaxed);
    let polled = {
        let _guard = panics::Guard::enter();
        let _span = span.enter();
        catch_unwind(AssertUnwindSafe(poll))
    };
    progress.0.store(count.wrapping_add(2), Ordering::Relaxed);
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        Ok(Poll::Ready(Err(failure))) => Poll::Ready(Err(ExitReason::error(&*failure))),
        Err(payload) => Poll::Ready(Err(panics::reason(payload))),
    }
}

/// Calls the callback that the letter is for.
async fn handle<A: Agent>(
    cell: &Arc<Cell<A>>,
    epoch: u64,
    agent: &mut A,
    task: &mut Option<Task<A::Message>>,
    effects: &mut Effects<A::Message>,
) -> Result<(), Failure> {
    let mut turn = Turn {
        cell,
        epoch,
        effects,
        from: Sender::NONE,
        has_extra: false,
        acl_port: None,
    };
    match task.take() {
        Some(Task::Letter(body, given)) => {
            turn.from = given.from;
            turn.has_extra = given.has_extra;
            if let Some(rare) = given.rare {
                turn.acl_port = rare.acl_port;
                if let Some(fault) = rare.fault {
                    fault.strike().await?;
                }
            }
            match body {
                Body::Message(message) | Body::Timer(_, message) => {
                    agent.handle(&mut turn, message).await
                }
                Body::Acl(acl) => agent.on_acl(&mut turn, acl).await,
                Body::Signal(_, signal) => match *signal {
                    Signal::Down(down) => agent.on_down(&mut turn, down).await,
                    Signal::Exit(exit) => agent.on_exit(&mut turn, exit).await,
                    Signal::Watch(watched) => agent.on_watch(&mut turn, watched).await,
                    Signal::Group(change) => agent.on_group(&mut turn, change).await,
                },
            }
        }
        Some(Task::Continue) => agent.on_continue(&mut turn).await,
        Some(Task::Fault(fault)) => fault.strike().await,
        None => Ok(()),
    }
}

/// A life is over. After a crash this shell waits for the supervisor's verdict, to go on with the next life in place; after
/// an ordered end it leaves. True when it is not to go on.
fn end<A: Agent>(
    cell: &Cell<A>,
    epoch: u64,
    agent: &mut Resident<A>,
    reason: ExitReason,
    is_leaving: bool,
) -> bool {
    panics::drop_guarded(agent.0.take());
    let remains = {
        let mut seat = cell.seat.lock();
        if seat.epoch != epoch {
            return true;
        }
        cell.mailbox.hold();
        if is_leaving {
            seat.epoch += 1;
            seat.shell = None;
        }
        cell.end_life(&mut seat, &reason)
    };
    cell.report(remains, reason);
    is_leaving
}

/// An ordered end: cleanup, then the news.
async fn stop<A: Agent>(
    cell: &Cell<A>,
    epoch: u64,
    agent: &mut Resident<A>,
    progress: &Progress,
    reason: ExitReason,
) -> bool {
    let mut reason = reason;
    if let Some(behaviour) = &mut agent.0 {
        let span = tracing::Span::none();
        let told = reason.clone();
        let mut cleanup = pin!(async {
            behaviour.terminate(&told).await;
            Ok(())
        });
        let ended = poll_fn(|cx| poll_guarded(progress, &span, || cleanup.as_mut().poll(cx)));
        let ended = match cell.plan().turn_deadline {
            None => ended.await,
            Some(deadline) => tokio::time::timeout(deadline, ended)
                .await
                .unwrap_or(Err(ExitReason::Limit(Limit::TurnTime))),
        };
        if let Err(failed) = ended {
            reason = failed;
        }
    }
    end(cell, epoch, agent, reason, true)
}

/// Puts the behaviour back into the seat and leaves. False when there is something to do after all.
fn lie_down<A: Agent>(cell: &Cell<A>, epoch: u64, agent: &mut Resident<A>) -> bool {
    let mut seat = cell.seat.lock();
    if seat.epoch != epoch {
        return true;
    }
    if !cell.mailbox.leave(&seat.ready) {
        return false;
    }
    if let Some(behaviour) = agent.0.take() {
        seat.life = Life::Resting(behaviour);
    }
    seat.shell = None;
    seat.progress = None;
    seat.recorder = None;
    seat.ready.shrink();
    cell.core.set_state(ActorState::Asleep);
    drop(seat);
    cell.core.system.event(Some(&cell.core), What::Asleep);
    true
}

/// Delivers what the outgoing queue holds, waiting for room at the receivers, each at most the system's send limit.
/// Control flags but those `ignored` interrupt it. True when all is delivered.
pub(crate) async fn flush<A: Agent>(cell: &Arc<Cell<A>>, epoch: u64, ignored: u8) -> bool {
    loop {
        let limit = cell.core.system.send_limit();
        let first = poll_fn(|cx| flush_first(cell, epoch, ignored, cx));
        match tokio::time::timeout(limit, first).await {
            Ok(Flushed::One) => {}
            Ok(Flushed::All) => return true,
            Ok(Flushed::Interrupted) => return false,
            Err(_) => {
                let mut seat = cell.seat.lock();
                if seat.epoch != epoch {
                    return false;
                }
                if let Some(mut out) = seat.outgoing.pop_front() {
                    drop(seat);
                    out.abandon(DeathCause::Overloaded);
                }
            }
        }
    }
}

enum Flushed {
    One,
    All,
    Interrupted,
}

fn flush_first<A: Agent>(
    cell: &Cell<A>,
    epoch: u64,
    ignored: u8,
    cx: &mut Context<'_>,
) -> Poll<Flushed> {
    let mut seat = cell.seat.lock();
    if seat.epoch != epoch {
        return Poll::Ready(Flushed::Interrupted);
    }
    let Some(first) = seat.outgoing.front_mut() else {
        return Poll::Ready(Flushed::All);
    };
    if first.poll(cx).is_ready() {
        seat.outgoing.pop_front();
        return Poll::Ready(Flushed::One);
    }
    // So that a stop is seen at once. Letters that come meanwhile wake it for nothing; that is cheap enough.
    if !cell.mailbox.park(cx.waker(), ignored) {
        return Poll::Ready(Flushed::Interrupted);
    }
    Poll::Pending
}
