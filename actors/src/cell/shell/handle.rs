//! One turn: the agent's code for one message, contained.

use super::step::{Task, Work};
use crate::agent::{Agent, Failure, Message, reason_of};
use crate::cell::Cell;
use crate::events::What;
use crate::hooks::{TurnEnd, TurnView};
use crate::letter::{Body, Given};
use crate::panics;
use crate::signal::Signal;
use crate::turn::{Effects, Turn};
use crate::watchdog::Progress;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit};

/// Runs the behaviour's code for one message.
pub(super) async fn take_turn<A: Agent>(
    cell: &Arc<Cell<A>>,
    epoch: u64,
    agent: &mut A,
    work: &mut Work<A::Message>,
) -> Result<(), ExitReason> {
    let core = &cell.core;
    let hooks = core.system.hooks();
    if work.given.wants_copy
        && let Some(Body::Message(message)) = &work.body
    {
        let copy = guarded(|| message.copy())?;
        let mut seat = cell.seat.lock();
        if seat.epoch == epoch
            && let Some(current) = &mut seat.desk().current
        {
            current.copy = copy.map(Box::new);
        }
    }
    let view = (!hooks.turn.is_empty()).then(|| TurnView {
        path: &core.path,
        pid: core.pid(),
        kind: work.given.kind,
        sender: work.given.from.address(),
    });
    let began = view.as_ref().map(|_| tokio::time::Instant::now());
    if let Some(view) = &view {
        for hook in &hooks.turn {
            guarded(|| hook.before(view))?.map_err(ExitReason::error_text)?;
        }
    }
    let span = tracing::trace_span!("turn", path = %core.path, kind = work.given.kind.as_str());
    let ended = {
        let progress = &*work.progress;
        let future = handle(
            cell,
            epoch,
            agent,
            &mut work.task,
            &mut work.given,
            &mut work.body,
            &mut work.effects,
        );
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
                    // Boxed: few turns wait, and a timer is large.
                    Some(deadline) => match Box::pin(tokio::time::timeout(deadline, rest)).await {
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
    // Whoever waits for an answer that the turn neither gave nor put off is told that there is none.
    work.given.acl_port = None;
    cell.turns
        .store(cell.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
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
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ExitReason> {
    let _guard = panics::Guard::enter();
    catch_unwind(AssertUnwindSafe(call)).map_err(panics::reason)
}

/// Polls the behaviour's code: its panic is caught, and the watchdog can see that it is inside.
pub(super) fn poll_guarded(
    progress: &Progress,
    span: &tracing::Span,
    poll: impl FnOnce() -> Poll<Result<(), Failure>>,
) -> Poll<Result<(), ExitReason>> {
    let count = progress.polls.load(Ordering::Relaxed);
    progress
        .polls
        .store(count.wrapping_add(1), Ordering::Relaxed);
    let polled = {
        let _guard = panics::Guard::enter();
        let _span = span.enter();
        catch_unwind(AssertUnwindSafe(poll))
    };
    progress
        .polls
        .store(count.wrapping_add(2), Ordering::Relaxed);
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        Ok(Poll::Ready(Err(failure))) => Poll::Ready(Err(reason_of(&failure))),
        Err(payload) => Poll::Ready(Err(panics::reason(payload))),
    }
}

/// Calls the callback that the task is for.
async fn handle<A: Agent>(
    cell: &Arc<Cell<A>>,
    epoch: u64,
    agent: &mut A,
    task: &mut Option<Task>,
    given: &mut Given,
    body: &mut Option<Body<A::Message>>,
    effects: &mut Effects<A::Message>,
) -> Result<(), Failure> {
    let fault = match task.take() {
        Some(Task::Letter) => given.fault.take(),
        Some(Task::Continue) => {
            let mut turn = Turn {
                cell,
                epoch,
                effects,
                given,
            };
            return agent.on_continue(&mut turn).await;
        }
        Some(Task::Fault(fault)) => return fault.strike().await,
        None => return Ok(()),
    };
    if let Some(fault) = fault {
        fault.strike().await?;
    }
    let mut turn = Turn {
        cell,
        epoch,
        effects,
        given,
    };
    match body.take() {
        Some(Body::Message(message) | Body::Timer(_, message)) => {
            agent.handle(&mut turn, message).await
        }
        Some(Body::Acl(acl)) => agent.on_acl(&mut turn, acl).await,
        Some(Body::Signal(_, signal)) => match *signal {
            Signal::Down(down) => agent.on_down(&mut turn, down).await,
            Signal::Exit(exit) => agent.on_exit(&mut turn, exit).await,
            Signal::Watch(watched) => agent.on_watch(&mut turn, watched).await,
            Signal::Group(change) => agent.on_group(&mut turn, change).await,
            Signal::Name(news) => agent.on_name(&mut turn, news).await,
        },
        None => Ok(()),
    }
}
