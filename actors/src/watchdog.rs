//! The watchdog: finds turns that never yield, puts idle agents to sleep, notices full mailboxes. It looks at all cells now
//! and then, so that a turn itself costs two stores and no clock reading for it.

use crate::agent::Agent;
use crate::cell::{CONTROL_SLEEP, Cell};
use crate::events::What;
use crate::info::ActorState;
use crate::reference::AnyRef;
use crate::system::WeakSystem;
use std::sync::atomic::Ordering;
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit};

/// How the watchdog runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watchdog {
    /// On a thread of its own, so that agents that hold all workers cannot starve it. For programs.
    #[default]
    Thread,
    /// As a task on the system's runtime: follows virtual time, but cannot see a turn that holds the only worker. For tests.
    Task,
    /// Not at all: nothing is reported as stuck, nothing falls asleep.
    Off,
}

/// How often the watchdog looks, unless the options say otherwise.
pub const WATCHDOG_INTERVAL_DEFAULT: Duration = Duration::from_millis(100);

/// A turn that has not yielded for this long is reported as stuck, even when its deadline is later.
pub const STUCK_AFTER: Duration = Duration::from_secs(1);

/// One look at all cells.
pub(crate) struct Tick<'a> {
    pub(crate) now_ms: u64,
    pub(crate) system: &'a crate::System,
}

/// The coarse clock's step.
pub(crate) const CLOCK_STEP: Duration = Duration::from_millis(10);

/// How many cells are looked at in one step at most, so that a node with a million of them does not spend its time on that.
/// A pass over more than this many takes several steps, and stuck turns are noticed so much later.
const CELLS_PER_STEP: usize = 2048;

/// A pass over all cells, some at a time.
struct Pass {
    left: Vec<AnyRef>,
}

impl Pass {
    fn step(&mut self, system: &crate::System) {
        let tick = Tick {
            now_ms: system.now_ms(),
            system,
        };
        for _ in 0..CELLS_PER_STEP {
            let Some(cell) = self.left.pop() else {
                return;
            };
            cell.0.watch_over(&tick);
        }
    }
}

pub(crate) fn start_thread(system: WeakSystem, interval: Duration) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("swarm-watchdog".into())
        .spawn(move || {
            let mut since = Duration::ZERO;
            let mut pass = Pass { left: Vec::new() };
            loop {
                std::thread::sleep(CLOCK_STEP);
                let Some(system) = system.upgrade() else {
                    return;
                };
                system.advance_coarse_clock();
                since += CLOCK_STEP;
                if pass.left.is_empty() && since >= interval {
                    since = Duration::ZERO;
                    pass.left = system.cells_table().all();
                }
                pass.step(&system);
            }
        })?;
    Ok(())
}

pub(crate) async fn run_task(system: WeakSystem, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(system) = system.upgrade() else {
            return;
        };
        let mut pass = Pass {
            left: system.cells_table().all(),
        };
        while !pass.left.is_empty() {
            pass.step(&system);
        }
    }
}

pub(crate) fn look_at<A: Agent>(cell: &Cell<A>, tick: &Tick<'_>) {
    let core = &cell.core;
    if core.state() != ActorState::Running {
        return;
    }
    if core.full_is_reported.load(Ordering::Relaxed)
        && cell.mailbox().depth() <= u64::from(cell.mailbox().capacity()) / 2
    {
        core.full_is_reported.store(false, Ordering::Relaxed);
    }
    let Some(mut seat) = cell.seat.try_lock() else {
        // Between two turns: neither stuck nor idle.
        return;
    };
    let Some(desk) = &mut seat.desk else {
        return;
    };
    let Some(progress) = desk.progress.as_ref().map(|p| p.0.load(Ordering::Relaxed)) else {
        return;
    };
    // Of this shell and of this turn: code that was fenced off counts elsewhere.
    let is_in_code = progress % 2 == 1;
    let idle_turn = desk.current.is_none();
    let watch = &mut desk.watch_over;
    if progress != watch.progress {
        watch.progress = progress;
        watch.since_ms = tick.now_ms;
        watch.is_reported = false;
        return;
    }
    let same_for = Duration::from_millis(tick.now_ms.saturating_sub(watch.since_ms));
    if is_in_code {
        let deadline = cell.plan().turn_deadline;
        let report_after = deadline.map_or(STUCK_AFTER, |d| d.min(STUCK_AFTER));
        if same_for >= report_after && !watch.is_reported {
            watch.is_reported = true;
            let for_ms = u64::try_from(same_for.as_millis()).unwrap_or(u64::MAX);
            tick.system.event(Some(core), What::Stuck { for_ms });
            tracing::warn!(path = %core.path, for_ms, "a turn holds its worker without yielding");
        }
        if deadline.is_some_and(|d| same_for >= d) {
            let reason = ExitReason::Limit(Limit::TurnTime);
            let remains = cell.cut(&mut seat, reason.clone());
            drop(seat);
            cell.report(remains, reason);
        }
    } else if idle_turn
        && core.may_sleep.load(Ordering::Relaxed)
        && cell.mailbox().control().load(Ordering::Acquire) == 0
        && cell.mailbox().depth() == 0
        && cell
            .plan()
            .sleep_after
            .is_some_and(|after| same_for >= after)
    {
        drop(seat);
        cell.raise(CONTROL_SLEEP);
    }
}
