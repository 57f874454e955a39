//! Drives the decision core: feeds it what happened and carries out what it wants done.

use crate::child::{Disposition, Info, StartError, Started};
use crate::contain::{Contained, HeldChild};
use crate::core::{Action, Answer, Core, Event, Outcome, Recipe, Request, Row, SlotKey, TimerId};
use crate::report::{ProgressReport, Report, SupervisorReport};
use crate::spec::SupervisorInit;
use crate::supervisor::actor::Input;
use crate::supervisor::call::{
    Args, Call, CallError, ChildEntry, ChildKey, ChildStarted, Counts, Reply, SpecView,
};
use crate::supervisor::life::{Kept, Life};
use crate::supervisor::link::{Given, Link, StartKey};
use crate::supervisor::start::{run_init, static_names};
use futures_util::FutureExt;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit, Name, Path};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// One life of a supervisor, from the side of its task.
pub(crate) struct Driver {
    life: Arc<Life>,
    core: Core,
    /// By ticket, and before the queue: when the life ends, whoever asked first is told first.
    calls: BTreeMap<u64, Pending>,
    queue: mpsc::UnboundedReceiver<Input>,
    init: Arc<dyn SupervisorInit>,
    /// What the last life left of the children that init named then.
    held: BTreeMap<Path, HeldChild>,
    timers: BTreeSet<TimerId>,
    next_ticket: u64,
    /// What the last start had to say, for the answer to the call that asked for it.
    info: Option<Contained<Info>>,
    end: Option<End>,
}

enum End {
    Ready,
    StartFailed(StartError),
    Exit(ExitReason),
    /// Somebody else ended this life.
    Killed,
}

/// Whom a start is for.
struct Place {
    slot: SlotKey,
    life: u64,
    name: Name,
    is_static: bool,
}

/// A call that waits for its answer.
struct Pending {
    reply: PendingReply,
    /// Given back when the call is answered.
    _permit: Option<OwnedSemaphorePermit>,
}

enum PendingReply {
    Done(Reply<()>),
    Started(Reply<ChildStarted>),
    Children(Reply<Vec<ChildEntry>>),
    Child(Reply<ChildEntry>),
    Counts(Reply<Counts>),
    Spec(Reply<SpecView>),
}

impl Driver {
    pub(crate) fn new(
        life: Arc<Life>,
        core: Core,
        queue: mpsc::UnboundedReceiver<Input>,
        init: Arc<dyn SupervisorInit>,
        held: BTreeMap<Path, HeldChild>,
    ) -> Self {
        Self {
            life,
            core,
            queue,
            init,
            held,
            timers: BTreeSet::new(),
            calls: BTreeMap::new(),
            next_ticket: 0,
            info: None,
            end: None,
        }
    }

    /// Starts the children that init named.
    pub(crate) async fn begin(&mut self) -> Result<(), StartError> {
        let named = self.core.children();
        self.life.with_children(|children| children.reserve(named));
        self.tell(Event::Begin).await;
        loop {
            match self.end.take() {
                Some(End::Ready) => break,
                Some(End::StartFailed(error)) => {
                    self.give_back_held();
                    self.life.abandon_start();
                    return Err(error);
                }
                Some(End::Exit(_) | End::Killed) => {
                    return Err(StartError::Failed(ExitReason::Killed));
                }
                None => self.next().await,
            }
        }
        // Init no longer names these.
        for (_, child) in std::mem::take(&mut self.held) {
            child.settle(Disposition::Removed);
        }
        Ok(())
    }

    /// Lives until the end of this life, however it comes.
    pub(crate) async fn run(self) {
        let life = self.life.clone();
        // Whoever drops this future ends the life.
        let guard = KillOnDrop(life.clone());
        match AssertUnwindSafe(self.serve()).catch_unwind().await {
            Ok(reason) => life.end(reason),
            Err(panic) => life.end(panic_reason(&**Contained::new(panic))),
        }
        drop(guard);
    }

    async fn serve(mut self) -> ExitReason {
        loop {
            match self.end.take() {
                Some(End::Exit(reason)) => {
                    // Told before the calls that nobody will answer any more are.
                    self.life.end(reason.clone());
                    return reason;
                }
                Some(End::Killed) => return ExitReason::Killed,
                Some(End::Ready | End::StartFailed(_)) | None => self.next().await,
            }
        }
    }

    /// Waits for the next input or timer and does what follows from it.
    async fn next(&mut self) {
        let Some(first) = self.timers.first().copied() else {
            let input = self.queue.recv().await;
            self.take_in(input).await;
            return;
        };
        let origin = self.life.env().origin();
        // A timer beyond what the clock can express never fires.
        let at = origin.checked_add(first.at).unwrap_or_else(far_future);
        tokio::select! {
            biased;
            input = self.queue.recv() => self.take_in(input).await,
            () = tokio::time::sleep_until(at) => self.on_time(origin).await,
        }
    }

    async fn on_time(&mut self, origin: Instant) {
        // What ends at this very instant ends in time: everybody else who is due now goes first.
        step_aside().await;
        for _ in 0..self.queue.len() {
            if self.end.is_some() {
                return;
            }
            if let Ok(input) = self.queue.try_recv() {
                self.take_in(Some(input)).await;
            }
        }
        let now = Instant::now().saturating_duration_since(origin);
        while self.end.is_none() && self.life.is_alive() {
            match self.timers.first().copied() {
                Some(timer) if timer.at <= now => {
                    self.timers.remove(&timer);
                    self.tell(Event::Timer(timer)).await;
                }
                Some(_) | None => break,
            }
        }
    }

    async fn take_in(&mut self, input: Option<Input>) {
        if !self.life.is_alive() {
            // Somebody else ended this life: nothing is decided any more.
            self.end = Some(End::Killed);
            return;
        }
        let event = match input {
            Some(Input::Exited { slot, life, reason }) => Event::Exited { slot, life, reason },
            Some(Input::Call { call, permit }) => self.register(call, permit),
            Some(Input::Retry(retry)) => Event::Retry(retry),
            Some(Input::Shutdown) => Event::Shutdown,
            None => {
                // This life holds a sender itself, so that the queue does not close before its end.
                self.end = Some(End::Killed);
                return;
            }
        };
        self.tell(event).await;
    }

    async fn tell(&mut self, event: Event) {
        let now = self.life.env().now();
        self.core.handle(event, now);
        while let Some(action) = self.core.next_action() {
            if let Some(event) = self.perform(action).await {
                if !self.life.is_alive() {
                    // Ended by somebody else meanwhile: nothing is decided or answered any more.
                    self.end = Some(End::Killed);
                    return;
                }
                let now = self.life.env().now();
                self.core.handle(event, now);
            }
        }
    }

    /// Carries out one action; what comes of it at once is returned.
    async fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start {
                slot,
                life,
                name,
                recipe,
                args,
                is_static,
            } => {
                let place = Place {
                    slot,
                    life,
                    name,
                    is_static,
                };
                let outcome = self.start(place, &recipe, args).await;
                return Some(Event::Started { slot, outcome });
            }
            Action::Init => {
                let answer = run_init(&*self.init);
                if let Ok(Some(spec)) = &answer
                    && spec.check().is_ok()
                {
                    self.name_static(&static_names(spec));
                }
                return Some(Event::Init(answer));
            }
            Action::Signal(slot) => {
                if let Some(child) = self.child(slot) {
                    child.signal();
                }
            }
            Action::Kill(slot) => {
                if let Some(child) = self.child(slot) {
                    child.kill();
                }
            }
            Action::Settle(slot, disposition) => self.settle(slot, disposition),
            Action::Forget(slot) => {
                // Dropped outside of the lock: it may be the last of a child.
                let gone = self.life.with_children(|children| {
                    children.get_mut(slot as usize).and_then(Option::take)
                });
                drop(gone);
            }
            Action::SetTimer(timer) => {
                self.timers.insert(timer);
            }
            Action::CancelTimer(timer) => {
                self.timers.remove(&timer);
            }
            Action::Retry(retry) => self.life.post(Input::Retry(retry)),
            Action::Failure {
                context,
                reason,
                offender,
            } => {
                let report = Report::Supervisor(SupervisorReport {
                    supervisor: self.life.path().clone(),
                    supervisor_pid: self.life.pid(),
                    context,
                    reason,
                    offender,
                });
                self.life.env().observer().report(&report);
            }
            Action::Progress { started, by_call } => {
                let report = Report::Progress(ProgressReport {
                    supervisor: self.life.path().clone(),
                    supervisor_pid: self.life.pid(),
                    started,
                    by_call,
                });
                self.life.env().observer().report(&report);
            }
            Action::Answer { ticket, answer } => self.answer(ticket, answer),
            Action::Ready => self.end = Some(End::Ready),
            Action::StartFailed(error) => self.end = Some(End::StartFailed(error)),
            Action::Exit(reason) => self.end = Some(End::Exit(reason)),
        }
        None
    }

    async fn start(
        &mut self,
        place: Place,
        recipe: &Recipe,
        args: Option<Contained<Args>>,
    ) -> Outcome {
        self.info = None;
        let Some((path, previous)) = self.take_place(&place) else {
            self.end = Some(End::Killed);
            return Outcome::Failed(StartError::Failed(ExitReason::Killed));
        };
        let link = Link::new(
            self.life.above_children().clone(),
            path,
            StartKey {
                slot: place.slot,
                life: place.life,
            },
            Given {
                previous: previous.clone(),
                args,
            },
        );
        let result = start_within(recipe, link.clone()).await;
        link.start_is_over();
        let outcome = match result {
            Ok(started) => {
                self.info = started.info.map(Contained::new);
                self.keep(place, previous, Contained::new(started.child))
            }
            Err(StartError::Ignore) => Outcome::Ignored,
            Err(error) => Outcome::Failed(error),
        };
        if !matches!(outcome, Outcome::Running(_)) {
            link.never_mind();
        }
        self.life.leave_start();
        outcome
    }

    /// Where the child of a slot stands, and its last life; none when this life is over.
    fn take_place(&mut self, place: &Place) -> Option<(Path, Option<HeldChild>)> {
        let held = &mut self.held;
        let at = place.slot as usize;
        self.life.enter_start(|children| {
            if children.len() <= at {
                children.resize_with(at + 1, || None);
            }
            let kept = children[at].get_or_insert_with(|| {
                let path = self.life.path().child(&place.name);
                Kept {
                    child: if place.is_static {
                        held.remove(&path)
                    } else {
                        None
                    },
                    path,
                    place: place.life,
                    is_static: place.is_static,
                    settled: Some(Disposition::SupervisorEnded),
                }
            });
            (kept.path.clone(), kept.child.clone())
        })
    }

    fn keep(&mut self, place: Place, previous: Option<HeldChild>, child: HeldChild) -> Outcome {
        let pid = child.pid();
        // The last life comes back, to be dropped outside of the lock.
        let last = self.life.with_children(|children| {
            let kept = children.get_mut(place.slot as usize)?.as_mut()?;
            kept.settled = None;
            kept.child.replace(child.clone())
        });
        if last.is_none() {
            self.end = Some(End::Killed);
            let path = self.life.path().child(&place.name);
            self.life.too_late(path, child, place.is_static);
            return Outcome::Failed(StartError::Failed(ExitReason::Killed));
        }
        // A supervisor that gave way to something else leaves children that nobody will ask for.
        if let Some(previous) = previous
            && previous.supervisor().is_some()
            && child.supervisor().is_none()
        {
            previous.settle(Disposition::Removed);
        }
        Outcome::Running(pid)
    }

    fn settle(&mut self, slot: SlotKey, disposition: Disposition) {
        // Under the lock: when somebody else ends this life meanwhile, what that says is said last.
        self.life.with_children(|children| {
            if let Some(kept) = children.get_mut(slot as usize).and_then(Option::as_mut) {
                kept.settled = Some(disposition);
                if let Some(child) = &kept.child {
                    child.settle(disposition);
                }
            }
        });
    }

    fn name_static(&mut self, named: &HashSet<Name>) {
        self.life.with_children(|children| {
            for kept in children.iter_mut().flatten() {
                kept.is_static = kept.is_static || kept.is_named(named);
            }
        });
    }

    fn child(&self, slot: SlotKey) -> Option<HeldChild> {
        self.life.with_children(|children| {
            children
                .get(slot as usize)
                .and_then(Option::as_ref)
                .and_then(|kept| kept.child.clone())
        })?
    }

    fn register(&mut self, call: Call, permit: Option<OwnedSemaphorePermit>) -> Event {
        let (request, reply) = match call {
            Call::StartChild(spec, reply) => {
                (Request::StartChild(spec), PendingReply::Started(reply))
            }
            Call::StartInstance(name, args, reply) => (
                Request::StartInstance(name, args),
                PendingReply::Started(reply),
            ),
            Call::Terminate(key, reply) => {
                let stranger_alive = match key {
                    ChildKey::Pid(pid) => self.life.env().is_alive(pid),
                    ChildKey::Name(_) | ChildKey::Id(_) => false,
                };
                (
                    Request::Terminate {
                        key,
                        stranger_alive,
                    },
                    PendingReply::Done(reply),
                )
            }
            Call::Restart(key, reply) => (Request::Restart(key), PendingReply::Started(reply)),
            Call::Delete(key, reply) => (Request::Delete(key), PendingReply::Done(reply)),
            Call::Cycle(key, reply) => (Request::Cycle(key), PendingReply::Started(reply)),
            Call::WhichChildren(reply) => (Request::WhichChildren, PendingReply::Children(reply)),
            Call::WhichChild(key, reply) => (Request::WhichChild(key), PendingReply::Child(reply)),
            Call::CountChildren(reply) => (Request::CountChildren, PendingReply::Counts(reply)),
            Call::Spec(key, reply) => (Request::Spec(key), PendingReply::Spec(reply)),
            Call::Reconfigure(reply) => (Request::Reconfigure, PendingReply::Done(reply)),
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.calls.insert(
            ticket,
            Pending {
                reply,
                _permit: permit,
            },
        );
        Event::Call { ticket, request }
    }

    fn answer(&mut self, ticket: u64, answer: Result<Answer, CallError>) {
        let Some(pending) = self.calls.remove(&ticket) else {
            return;
        };
        match pending.reply {
            PendingReply::Done(reply) => reply.send(answer.map(|_| ())),
            PendingReply::Started(reply) => {
                let info = self.info.take();
                reply.send(answer.map(|answer| match answer {
                    Answer::Started(Some((slot, pid))) => ChildStarted {
                        pid: Some(pid),
                        child: self.child(slot).map(Contained::into_inner),
                        info: info.map(Contained::into_inner),
                    },
                    _ => ChildStarted {
                        pid: None,
                        child: None,
                        info: None,
                    },
                }));
            }
            PendingReply::Children(reply) => reply.send(answer.map(|answer| match answer {
                Answer::Children(rows) => rows.into_iter().map(|row| self.entry(row)).collect(),
                _ => Vec::new(),
            })),
            PendingReply::Child(reply) => match answer {
                Ok(Answer::Child(row)) => reply.send(Ok(self.entry(row))),
                Ok(_) => reply.send(Err(CallError::NotFound)),
                Err(error) => reply.send(Err(error)),
            },
            PendingReply::Counts(reply) => reply.send(answer.map(|answer| match answer {
                Answer::Counts(counts) => counts,
                _ => Counts::default(),
            })),
            PendingReply::Spec(reply) => match answer {
                Ok(Answer::Spec(spec)) => reply.send(Ok(spec)),
                Ok(_) => reply.send(Err(CallError::NotFound)),
                Err(error) => reply.send(Err(error)),
            },
        }
    }

    fn entry(&self, row: Row) -> ChildEntry {
        ChildEntry {
            id: row.id,
            path: self.life.path().child(&row.name),
            name: row.name,
            state: row.state,
            child_type: row.child_type,
            child: row
                .state
                .pid()
                .and_then(|_| self.child(row.slot))
                .map(Contained::into_inner),
        }
    }
}

impl Driver {
    /// Children of the last life that this one did not come to start wait for a later one.
    fn give_back_held(&mut self) {
        if !self.held.is_empty() {
            self.life
                .home()
                .hold(std::mem::take(&mut self.held).into_iter().collect());
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.give_back_held();
    }
}

struct KillOnDrop(Arc<Life>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // What was being started was dropped before this.
        self.0.leave_start();
        self.0.kill();
    }
}

/// Calls a start function and waits for what comes of it, for as long as its spec allows. All of this is the child's code:
/// the call, the future, and the drop of a future that is cut off. A panic in it is a failed start (S13).
async fn start_within(recipe: &Recipe, link: Link) -> Result<Started, StartError> {
    let mut was_cut_off = false;
    let begun = async {
        let Some(limit) = recipe.start_timeout() else {
            return recipe.start.start(link).await;
        };
        let mut start = std::pin::pin!(tokio::time::timeout(limit, recipe.start.start(link)));
        let result = start.as_mut().await;
        was_cut_off = result.is_err();
        result.unwrap_or_else(|_| Err(too_long()))
    };
    match AssertUnwindSafe(begun).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let reason = panic_reason(&**Contained::new(panic));
            // That it also panicked when it was dropped is not why there is no new life.
            Err(if was_cut_off {
                too_long()
            } else {
                StartError::Failed(reason)
            })
        }
    }
}

fn too_long() -> StartError {
    StartError::Failed(ExitReason::Limit(Limit::StartTime))
}

/// The exit reason for a caught panic.
pub(crate) fn panic_reason(payload: &(dyn Any + Send)) -> ExitReason {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    };
    ExitReason::panic_text(message)
}

/// Lets everybody run who is ready now. Unlike `yield_now`, which turns the order round of those who yield together.
async fn step_aside() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn far_future() -> Instant {
    // What tokio itself uses for "never".
    Instant::now() + Duration::from_secs(86_400 * 365 * 30)
}
