//! The lives that a shell runs, one after the other in the same seat.

use super::handle::{guarded, poll_guarded, take_turn};
use super::step::{Slice, Step, Work, next_step};
use super::{ShellHandle, flush};
use crate::agent::Agent;
use crate::cell::{CONTROL_ALL, CONTROL_STOP, Cell, Life};
use crate::events::What;
use crate::info::ActorState;
use crate::panics;
use crate::watchdog::Progress;
use futures_util::FutureExt;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use swarm_protocols::{ExitReason, Limit};

/// Takes the shell's place, and lives one life after the other in the seat until there is no more for it to do. A panic of
/// the agent's code where no turn is to blame (in a drop, in a hook) ends the life all the same.
pub(super) async fn run<A: Agent>(cell: &Arc<Cell<A>>, handle: ShellHandle) {
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
    let desk = seat.desk();
    desk.shell = Some(handle);
    desk.progress = Some(progress.clone());
    progress
        .may_sleep
        .store(cell.plan().sleep_after.is_some(), Ordering::Relaxed);
    cell.core.system.look_out(cell.weak(), progress.clone());
    cell.core.set_state(ActorState::Running);
    Some(seat.epoch)
}

async fn run_lives<A: Agent>(cell: &Arc<Cell<A>>, epoch: u64, progress: Arc<Progress>) {
    let mut work = Work::new(progress);
    while let Some(agent) = poll_fn(|cx| sit_down(cell, epoch, cx)).await {
        let mut agent = Resident(Some(agent));
        if live(cell, epoch, &mut agent, &mut work).await {
            return;
        }
        work.discard();
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
            seat.desk().waiting = Some(cx.waker().clone());
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
    loop {
        let step = poll_fn(|cx| {
            let step = next_step(cell, epoch, work, cx);
            work.effects.drop_cancelled();
            step
        });
        match step.await {
            Step::Turn => {
                let Some(behaviour) = &mut agent.0 else {
                    return true;
                };
                if let Err(reason) = take_turn(cell, epoch, behaviour, work).await {
                    work.discard();
                    return end(cell, epoch, agent, reason, false);
                }
                work.commit_is_due = true;
                if work.slice.is_over_after_one_more() {
                    work.slice = Slice::default();
                    tokio::task::yield_now().await;
                }
            }
            Step::Flush => {
                flush(cell, epoch, CONTROL_ALL & !CONTROL_STOP).await;
            }
            Step::Sleep => {
                if let Some(behaviour) = &mut agent.0
                    && let Err(reason) = guarded(|| behaviour.on_sleep())
                {
                    return end(cell, epoch, agent, reason, false);
                }
                if lie_down(cell, epoch, agent) {
                    return true;
                }
            }
            // Boxed, as what is done once need not have its place in every shell.
            Step::Stop(reason) => {
                return Box::pin(stop(cell, epoch, agent, &work.progress, reason)).await;
            }
            Step::Leave => return true,
        }
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
        cell.mailbox().hold();
        if is_leaving {
            seat.epoch += 1;
            seat.desk().shell = None;
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
    if !cell.mailbox().leave(&seat.ready) {
        return false;
    }
    if let Some(behaviour) = agent.0.take() {
        seat.life = Life::Resting(behaviour);
    }
    let desk = seat.desk.take();
    seat.ready.shrink();
    cell.core.set_state(ActorState::Asleep);
    drop(seat);
    drop(desk);
    cell.core.system.event(Some(&cell.core), What::Asleep);
    true
}
