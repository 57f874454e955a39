//! The watchdog: finds turns that never yield, puts idle agents to sleep, notices full mailboxes. It looks at all shells now
//! and then, so that a turn itself costs two stores and no clock reading for it. A look is one load, unless a shell has
//! stood still for long.

use crate::agent::Agent;
use crate::cell::core::CellCore;
use crate::cell::{CONTROL_SLEEP, Cell};
use crate::events::What;
use crate::info::ActorState;
use crate::reference::AnyCell;
use crate::sync_plain::Mutex;
use crate::system::WeakSystem;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
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

/// The coarse clock's step.
pub(crate) const CLOCK_STEP: Duration = Duration::from_millis(10);

/// How many shells are looked at in one step at least.
const LOOKS_PER_STEP: usize = 128;

/// In how many steps a pass is over. The looks of many steps take their worker's time a little at a time; with very many
/// shells stuck turns are noticed later than the interval says, by half a second at most.
const STEPS_PER_PASS: usize = 50;

/// How far a shell is. One per shell: code that was fenced off goes on counting in its own.
#[derive(Default)]
pub(crate) struct Progress {
    /// Odd while the behaviour's code is being polled; each poll adds two.
    pub(crate) polls: AtomicU32,
    /// Whether the present life may fall asleep.
    pub(crate) may_sleep: AtomicBool,
}

/// Whom the watchdog looks at. Each shell is in here once, from its begin until the watchdog has seen that it is gone; a cell
/// whose mailbox was full until it is half empty.
#[derive(Default)]
pub(crate) struct Lookouts {
    shells: Mutex<Vec<Lookout>>,
    full: Mutex<Vec<Weak<dyn AnyCell>>>,
    inits: Mutex<Inits>,
}

/// The inits that are being polled right now: as many as there are workers at most.
#[derive(Default)]
struct Inits {
    next: u64,
    running: BTreeMap<u64, RunningInit>,
}

struct RunningInit {
    cell: Weak<dyn AnyCell>,
    since_ms: u64,
    is_reported: bool,
}

/// An init's code is being polled while this lives.
pub(crate) struct InitPoll<'a> {
    lookouts: &'a Lookouts,
    number: u64,
}

impl Drop for InitPoll<'_> {
    fn drop(&mut self) {
        let done = self.lookouts.inits.lock().running.remove(&self.number);
        drop(done);
    }
}

/// One shell, and what was seen of it last.
struct Lookout {
    cell: Weak<dyn AnyCell>,
    progress: Arc<Progress>,
    polls: u32,
    since_ms: u64,
    is_reported: bool,
}

impl Lookouts {
    /// A shell begins.
    pub(crate) fn add(&self, cell: Weak<dyn AnyCell>, progress: Arc<Progress>) {
        self.shells.lock().push(Lookout {
            cell,
            polls: progress.polls.load(Ordering::Relaxed),
            progress,
            since_ms: 0,
            is_reported: false,
        });
    }

    /// A mailbox is full, and was not since it was last half empty.
    pub(crate) fn add_full(&self, cell: Weak<dyn AnyCell>) {
        self.full.lock().push(cell);
    }

    /// The poll of an init's code begins. One that does not end is reported: its supervisor waits for it, as OTP's does, and no
    /// runtime can take the thread away from it.
    pub(crate) fn init_begins(&self, cell: Weak<dyn AnyCell>, now_ms: u64) -> InitPoll<'_> {
        let mut inits = self.inits.lock();
        let number = inits.next;
        inits.next += 1;
        inits.running.insert(
            number,
            RunningInit {
                cell,
                since_ms: now_ms,
                is_reported: false,
            },
        );
        InitPoll {
            lookouts: self,
            number,
        }
    }

    fn look_at_inits(&self, now_ms: u64) {
        let mut stuck = Vec::new();
        for init in self.inits.lock().running.values_mut() {
            let same_for = Duration::from_millis(now_ms.saturating_sub(init.since_ms));
            if same_for >= STUCK_AFTER && !init.is_reported {
                init.is_reported = true;
                stuck.push((init.cell.clone(), same_for));
            }
        }
        for (cell, same_for) in stuck {
            if let Some(cell) = cell.upgrade() {
                report(
                    cell.core(),
                    same_for,
                    "an init holds its worker without yielding",
                );
            }
        }
    }

    fn look_at_full(&self) {
        let full = std::mem::take(&mut *self.full.lock());
        let mut still: Vec<_> = full
            .into_iter()
            .filter(|cell| cell.upgrade().is_some_and(|cell| !cell.is_half_empty()))
            .collect();
        self.full.lock().append(&mut still);
    }
}

/// A pass over all shells, some at a time.
#[derive(Default)]
struct Pass {
    shells: Vec<Lookout>,
    at: usize,
    per_step: usize,
}

impl Pass {
    fn is_over(&self) -> bool {
        self.at >= self.shells.len()
    }

    fn begin(&mut self, system: &crate::System) {
        let lookouts = system.lookouts();
        self.shells.append(&mut lookouts.shells.lock());
        self.at = 0;
        self.per_step = LOOKS_PER_STEP.max(self.shells.len() / STEPS_PER_PASS);
        lookouts.look_at_full();
        lookouts.look_at_inits(system.now_ms());
    }

    fn step(&mut self, system: &crate::System) {
        let now_ms = system.now_ms();
        for _ in 0..self.per_step {
            let Some(lookout) = self.shells.get_mut(self.at) else {
                return;
            };
            // Nobody else has it any more: the shell is gone.
            if Arc::strong_count(&lookout.progress) == 1 {
                self.shells.swap_remove(self.at);
                continue;
            }
            lookout.look(now_ms);
            self.at += 1;
        }
    }
}

impl Lookout {
    fn look(&mut self, now_ms: u64) {
        let polls = self.progress.polls.load(Ordering::Relaxed);
        if polls != self.polls || self.since_ms == 0 {
            self.polls = polls;
            self.since_ms = now_ms.max(1);
            self.is_reported = false;
            return;
        }
        let same_for = Duration::from_millis(now_ms.saturating_sub(self.since_ms));
        // Of this shell and of this turn: code that was fenced off counts elsewhere.
        let is_in_code = polls % 2 == 1;
        if (is_in_code || self.progress.may_sleep.load(Ordering::Relaxed))
            && let Some(cell) = self.cell.upgrade()
        {
            let still = Still {
                progress: &self.progress,
                same_for,
                is_in_code,
                is_reported: self.is_reported,
            };
            self.is_reported = cell.stands_still(&still);
        }
    }
}

/// A shell that did nothing for a while.
pub(crate) struct Still<'a> {
    progress: &'a Arc<Progress>,
    same_for: Duration,
    is_in_code: bool,
    is_reported: bool,
}

pub(crate) fn start_thread(system: WeakSystem, interval: Duration) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("swarm-watchdog".into())
        .spawn(move || {
            let mut since = Duration::ZERO;
            let mut pass = Pass::default();
            loop {
                std::thread::sleep(CLOCK_STEP);
                let Some(system) = system.upgrade() else {
                    return;
                };
                system.advance_coarse_clock();
                since += CLOCK_STEP;
                if pass.is_over() && since >= interval {
                    since = Duration::ZERO;
                    pass.begin(&system);
                }
                pass.step(&system);
            }
        })?;
    Ok(())
}

pub(crate) async fn run_task(system: WeakSystem, interval: Duration) {
    let mut pass = Pass::default();
    loop {
        tokio::time::sleep(interval).await;
        let Some(system) = system.upgrade() else {
            return;
        };
        pass.begin(&system);
        while !pass.is_over() {
            pass.step(&system);
        }
    }
}

fn report(core: &CellCore, same_for: Duration, what: &str) {
    let for_ms = u64::try_from(same_for.as_millis()).unwrap_or(u64::MAX);
    core.system.event(Some(core), What::Stuck { for_ms });
    tracing::warn!(path = %core.path, for_ms, "{what}");
}

/// What becomes of a shell that stands still. Whether it has been reported as stuck by now.
pub(crate) fn look_at<A: Agent>(cell: &Cell<A>, still: &Still<'_>) -> bool {
    let core = &cell.core;
    if core.state() != ActorState::Running {
        return still.is_reported;
    }
    let Some(mut seat) = cell.seat.try_lock() else {
        // Between two turns: neither stuck nor idle.
        return still.is_reported;
    };
    let Some(desk) = &seat.desk else {
        return still.is_reported;
    };
    if !desk
        .progress
        .as_ref()
        .is_some_and(|progress| Arc::ptr_eq(progress, still.progress))
    {
        // It was fenced off.
        return still.is_reported;
    }
    let is_idle = desk.current.is_none();
    let mut is_reported = still.is_reported;
    let same_for = still.same_for;
    if still.is_in_code {
        let deadline = cell.plan().turn_deadline;
        let report_after = deadline.map_or(STUCK_AFTER, |d| d.min(STUCK_AFTER));
        if same_for >= report_after && !is_reported {
            is_reported = true;
            report(core, same_for, "a turn holds its worker without yielding");
        }
        if deadline.is_some_and(|d| same_for >= d) {
            let reason = ExitReason::Limit(Limit::TurnTime);
            let remains = cell.cut(&mut seat, reason.clone());
            drop(seat);
            cell.report(remains, reason);
        }
    } else if is_idle
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
    is_reported
}
