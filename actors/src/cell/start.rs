//! How lives begin: the start function of a child spec, which finds its cell again and puts the next life into it.

use super::end::CellChild;
use super::{CONTROL_ALL, CONTROL_STOP, Cell, Life};
use crate::agent::{Agent, Init, reason_of};
use crate::events::What;
use crate::info::ActorState;
use crate::letter::Given;
use crate::mailbox::{Gate, Wake};
use crate::panics;
use crate::reference::AnyCell;
use crate::spec::Plan;
use crate::system::{System, WeakSystem};
use crate::turn::{Effects, Turn};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use swarm_protocols::{ExitReason, Incarnation, Limit, Pid};
use swarm_supervisors::{Child, Disposition, Link, StartChild, StartError, Started};

/// The start function of an agent's child spec.
pub(crate) struct StartCell<A: Agent> {
    plan: Arc<Plan<A>>,
    /// Weak: specs live in the tree, and the tree in the system.
    system: WeakSystem,
}

impl<A: Agent> StartCell<A> {
    pub(crate) fn new(plan: Arc<Plan<A>>, system: &System) -> Self {
        Self {
            plan,
            system: system.downgrade(),
        }
    }

    async fn begin(&self, link: Link) -> Result<Started, StartError> {
        let Some(system) = self.system.upgrade() else {
            return Err(StartError::Failed(ExitReason::error_text(
                "the system is gone",
            )));
        };
        let cell = system.cell(link.path(), &self.plan)?;
        let attempt = Attempt::begin(cell, &link)?;
        match attempt.init().await {
            Ok((agent, effects, init)) => Ok(attempt.succeed(agent, effects, init, link)),
            Err(error) => {
                drop(attempt);
                Err(error)
            }
        }
    }
}

impl<A: Agent> StartChild for StartCell<A> {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        self.begin(link).boxed()
    }
}

/// A start under way. Dropped before it succeeded, it undoes what it has begun.
struct Attempt<A: Agent> {
    cell: Arc<Cell<A>>,
    is_over: bool,
    before: ActorState,
}

impl<A: Agent> Attempt<A> {
    fn begin(cell: Arc<Cell<A>>, link: &Link) -> Result<Self, StartError> {
        let core = &cell.core;
        let me = cell
            .reference()
            .ok_or_else(|| StartError::Failed(ExitReason::error_text("the cell is gone")))?;
        let is_new = core.incarnation.load(Ordering::Acquire) == 0;
        if let Some(name) = &cell.plan().registered
            && let Err(holder) = core.system.names().claim(name, &me)
        {
            if is_new {
                core.system.forget(core);
            }
            return Err(StartError::AlreadyStarted(holder));
        }
        let mut seat = cell.seat.lock();
        let before = core.state();
        if before.is_alive() {
            return Err(StartError::AlreadyStarted(core.pid()));
        }
        let incarnation = core.incarnation.fetch_add(1, Ordering::AcqRel) + 1;
        if incarnation > 1 {
            core.restarts.fetch_add(1, Ordering::Relaxed);
        }
        core.set_state(ActorState::Starting);
        // Whatever was said to the last life is not for this one.
        cell.mailbox()
            .control()
            .fetch_and(!CONTROL_ALL, Ordering::AcqRel);
        if let Some(rare) = &mut seat.rare {
            rare.is_killed = false;
            rare.decided = None;
            rare.stop = None;
        }
        seat.link = Some(link.clone());
        drop(seat);
        Ok(Self {
            cell,
            is_over: false,
            before,
        })
    }

    async fn init(&self) -> Result<(A, Effects<A::Message>, Init), StartError> {
        let cell = &self.cell;
        let init = AssertUnwindSafe(async {
            let mut effects = Effects::new();
            let mut given = Given::NOTHING;
            let mut agent = (cell.plan().make)();
            let epoch = cell.seat.lock().epoch;
            let mut turn = Turn {
                cell,
                epoch,
                effects: &mut effects,
                given: &mut given,
            };
            let init = agent.init(&mut turn).await;
            (agent, effects, init)
        })
        .catch_unwind();
        let mut init = std::pin::pin!(init);
        let ended = std::future::poll_fn(|cx| {
            let polled = {
                let system = &cell.core.system;
                let _seen = system.lookouts().init_begins(cell.weak(), system.now_ms());
                let _guard = panics::Guard::enter();
                init.as_mut().poll(cx)
            };
            match polled {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                // Only an init that waits can be killed; most do not, and need no note of it.
                Poll::Pending if self.is_killed_or_notes(cx.waker()) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let Some(ended) = ended else {
            return Err(StartError::Failed(ExitReason::Killed));
        };
        match ended {
            Ok((_, _, Ok(Init::Ignore))) => Err(StartError::Ignore),
            Ok((_, effects, Ok(_))) if effects.is_over_limit => {
                Err(StartError::Failed(ExitReason::Limit(Limit::Effects)))
            }
            Ok((agent, effects, Ok(init))) => Ok((agent, effects, init)),
            Ok((_, _, Err(failure))) => Err(StartError::Failed(reason_of(&failure))),
            Err(payload) => Err(StartError::Failed(panics::reason(payload))),
        }
    }

    /// Whether it was killed; if not, who is to be woken when it is.
    fn is_killed_or_notes(&self, waker: &Waker) -> bool {
        let mut seat = self.cell.seat.lock();
        let rare = seat.rare();
        if rare.is_killed {
            return true;
        }
        match &rare.init {
            Some(known) if known.will_wake(waker) => {}
            _ => rare.init = Some(waker.clone()),
        }
        false
    }

    fn succeed(
        mut self,
        agent: A,
        mut effects: Effects<A::Message>,
        init: Init,
        link: Link,
    ) -> Started {
        self.is_over = true;
        let cell = self.cell.clone();
        let core = &cell.core;
        let pid = core.pid();
        let me = cell.reference();
        let mut seat = cell.seat.lock();
        core.set_state(ActorState::Asleep);
        core.began_ms
            .store(core.system.wall_ms(), Ordering::Relaxed);
        seat.link = Some(link);
        if let Some(me) = &me {
            let known = core.groups();
            for group in &cell.plan().groups {
                if !known.contains(group) {
                    cell.join(group, me);
                }
            }
        }
        let is_draining = seat.rare.as_ref().is_some_and(|rare| rare.is_draining);
        if let Some(rare) = &mut seat.rare {
            rare.init = None;
        }
        cell.mailbox().set_gate(if is_draining {
            Gate::Refusing
        } else {
            Gate::Open
        });
        cell.commit(&mut seat, &mut effects);
        let plan = cell.plan();
        seat.wants_copy = plan.mailbox.redeliver > 0 || plan.mailbox.keep_failed;
        seat.continue_is_due = init == Init::Continue;
        seat.life = Life::Resting(agent);
        // A stop that init asked for is carried out by the shell, like any other.
        let stop = effects.stop.take();
        if stop.is_some() {
            seat.rare().stop = stop.clone();
            cell.mailbox()
                .control()
                .fetch_or(CONTROL_STOP, Ordering::AcqRel);
        }
        let is_eager = cell.plan().eager
            || seat.continue_is_due
            || stop.is_some()
            || !seat.outgoing.is_empty();
        let shell = seat.desk.as_mut().filter(|desk| desk.shell.is_some());
        let wake = if let Some(desk) = shell {
            // The shell of the life that crashed goes on with this one, at once or when it comes to look.
            core.set_state(ActorState::Running);
            if let Some(progress) = &desk.progress {
                let may_sleep = plan.sleep_after.is_some();
                progress.may_sleep.store(may_sleep, Ordering::Relaxed);
            }
            cell.mailbox().resume_running();
            desk.waiting.take().map_or(Wake::None, Wake::Parked)
        } else {
            cell.mailbox().release(&seat.ready, is_eager)
        };
        drop(seat);
        effects.drop_cancelled();
        core.system.event(Some(core), What::Started);
        if pid.incarnation > Incarnation(1) {
            core.announce_restart();
        }
        cell.wake(wake);
        Started {
            child: Arc::new(CellChild {
                cell,
                incarnation: pid.incarnation,
            }),
            info: None,
        }
    }
}

impl<A: Agent> Drop for Attempt<A> {
    /// Undoes what the start has begun: what an ask within init had committed, and the life itself.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let cell = &self.cell;
        let core = &cell.core;
        let mut seat = cell.seat.lock();
        seat.link = None;
        let mut timers = BTreeMap::new();
        let mut decided = None;
        if let Some(rare) = &mut seat.rare {
            rare.init = None;
            rare.is_killed = false;
            timers = std::mem::take(&mut rare.timers);
            rare.fired.clear();
            decided = rare.decided.take();
        }
        // A start that failed was no life. A cell that never ran is not there; one that did waits for its supervisor's
        // decision, as before.
        let pid = core.pid();
        let is_first = core.incarnation.fetch_sub(1, Ordering::AcqRel) == 1;
        if !is_first {
            core.restarts.fetch_sub(1, Ordering::Relaxed);
        }
        core.set_state(if is_first {
            ActorState::Stopped
        } else {
            self.before
        });
        let news = core.end_of_life(pid, ExitReason::NoProc);
        drop(seat);
        for (id, armed) in &timers {
            core.system.timers().disarm(armed.at, *id);
        }
        panics::drop_guarded(timers);
        news.tell();
        if let Some(name) = &cell.plan().registered
            && self.before != ActorState::Restarting
        {
            core.system.names().release(name, core.address);
        }
        if is_first {
            core.system.forget(core);
        } else if let Some(disposition) = decided {
            cell.settle(disposition);
        }
    }
}

impl<A: Agent> Child for CellChild<A> {
    fn pid(&self) -> Pid {
        Pid {
            address: self.cell.core.address,
            incarnation: self.incarnation,
        }
    }

    fn signal(&self) {
        let wake = {
            // Under the lock: a life that ends meanwhile must not leave the word to the next one.
            let _seat = self.cell.seat.lock();
            if !self.is_present() || !self.cell.core.is_alive() {
                return;
            }
            self.cell
                .mailbox()
                .control()
                .fetch_or(CONTROL_STOP, Ordering::AcqRel);
            self.cell.mailbox().wake_consumer()
        };
        self.cell.wake(wake);
    }

    fn kill(&self) {
        if self.is_present() {
            self.cell.kill(ExitReason::Killed);
        }
    }

    fn settle(&self, disposition: Disposition) {
        {
            let mut seat = self.cell.seat.lock();
            let present = self.cell.core.incarnation.load(Ordering::Acquire);
            if present != self.incarnation.0 {
                if present == self.incarnation.0 + 1
                    && self.cell.core.state() == ActorState::Starting
                {
                    // If that start does not succeed, this is what becomes of the cell.
                    seat.rare().decided = Some(disposition);
                }
                return;
            }
        }
        self.cell.settle(disposition);
    }
}

impl<A: Agent> CellChild<A> {
    /// Whether the life that this stands for is the latest one: an earlier one's affairs are settled.
    fn is_present(&self) -> bool {
        self.cell.core.incarnation.load(Ordering::Acquire) == self.incarnation.0
    }
}
