//! The decision core: a pure function of (state of the children, event, now) to actions.
//!
//! It follows OTP's `supervisor` step by step. It starts nothing, waits for nothing and reads no clock: whoever drives
//! it carries out the [`Action`]s and comes back with [`Event`]s. A supervisor does one thing at a time; while something is under way,
//! other events wait in arrival order, except what that something is waiting for.

mod calls;
mod event;
mod recipe;
mod restart;
mod slots;
mod start;
mod stop;
mod window;

pub use crate::contain::Contained;
pub use event::{Action, Answer, Event, Outcome, Request, Retry, Row, SlotKey, TimerId};

use crate::child::{Disposition, StartError};
use crate::report::{Context, Offender, OffenderPid, ReportReason};
use crate::spec::{SpecError, Strategy, SupervisorFlags, SupervisorSpec};
use crate::supervisor::CallError;
pub use recipe::Recipe;
use recipe::Template;
use slots::{Slot, Slots, State};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use swarm_protocols::ExitReason;
use window::RestartWindow;

/// The state of one supervisor.
pub struct Core {
    flags: SupervisorFlags,
    /// Under `simple_one_for_one`: what the instances are made from.
    template: Option<Template>,
    slots: Slots,
    window: RestartWindow,
    activity: Activity,
    /// What came while something else was under way.
    waiting: VecDeque<Event>,
    actions: VecDeque<Action>,
    /// Which children wait for which restart delay.
    delays: BTreeMap<TimerId, SlotKey>,
    now: Duration,
    next_life: u64,
    next_timer: u64,
    next_instance: u64,
    jitter_seed: u64,
    jitters: u64,
}

/// What is under way.
enum Activity {
    Idle,
    /// A start function was called.
    Starting {
        slot: SlotKey,
        why: StartWhy,
    },
    /// A child was told to stop.
    Stopping {
        slot: SlotKey,
        timer: Option<TimerId>,
        why: StopWhy,
    },
    /// All instances were told to stop.
    StoppingInstances(stop::Instances),
    /// Init was called again.
    Reconfiguring {
        ticket: u64,
    },
    Ended,
}

/// What a start is for, and so what follows it.
#[derive(Clone, Copy)]
enum StartWhy {
    /// The supervisor starts.
    Init,
    /// Somebody added the child.
    Added { ticket: u64 },
    /// Somebody wants the stopped child back.
    Resumed { ticket: u64 },
    /// Somebody wanted it stopped and started.
    Cycled { ticket: u64 },
    /// It ended, and only it is restarted.
    Restart,
    /// It is restarted with others, because of the offender.
    Group { offender: SlotKey },
}

/// What a stop is for, and so what follows it.
enum StopWhy {
    /// One of several, in reverse start order.
    Sweep(stop::Sweep),
    /// Somebody wants it stopped.
    Terminate { ticket: u64 },
    /// Somebody wants it stopped and started.
    Cycle { ticket: u64 },
}

impl Core {
    /// A supervisor that has not begun.
    ///
    /// # Errors
    /// [`SpecError`] when flags and children do not fit together.
    pub fn new(spec: SupervisorSpec, jitter_seed: u64) -> Result<Self, SpecError> {
        spec.check()?;
        let mut core = Self {
            flags: spec.flags,
            template: None,
            slots: Slots::with_capacity(spec.children.len()),
            window: RestartWindow::default(),
            activity: Activity::Idle,
            waiting: VecDeque::new(),
            actions: VecDeque::new(),
            delays: BTreeMap::new(),
            now: Duration::ZERO,
            next_life: 1,
            next_timer: 0,
            next_instance: 1,
            jitter_seed,
            jitters: 0,
        };
        let mut children = spec.children.into_iter();
        if core.is_simple() {
            core.template = children.next().map(Template::from);
        } else {
            for child in children {
                let name = child.id.clone();
                let key = core.slots.push(child.into(), name, None);
                core.slots.at_mut(key).is_static = true;
            }
        }
        Ok(core)
    }

    /// Takes in what happened at `now`, the time since the clock's origin. What is to be done comes from
    /// [`next_action`](Self::next_action).
    pub fn handle(&mut self, event: Event, now: Duration) {
        self.now = self.now.max(now);
        match event {
            Event::Begin => self.start_initial(0),
            Event::Started { slot, outcome } => self.on_started(slot, outcome),
            Event::Init(answer) => self.on_init(answer),
            Event::Exited { slot, life, reason } => self.on_exit(slot, life, reason),
            Event::Timer(timer) => self.on_timer(timer),
            Event::Call { .. } | Event::Retry(_) | Event::Shutdown => self.enqueue(event),
        }
        while matches!(self.activity, Activity::Idle) {
            match self.waiting.pop_front() {
                Some(event) => self.dispatch(event),
                None => break,
            }
        }
    }

    /// The next thing to be done.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How many elementary steps were made so far: what tests of scaling count instead of time.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.slots.steps
    }

    /// How many children there are.
    #[must_use]
    pub fn children(&self) -> usize {
        self.slots.len()
    }

    /// Panics when the parts of the state do not agree with each other. For tests, after each event.
    pub fn assert_consistent(&self) {
        self.slots.assert_consistent();
        if let Activity::Idle = self.activity {
            assert!(
                self.waiting.is_empty(),
                "what waits is taken up when nothing is under way"
            );
        }
    }

    fn enqueue(&mut self, event: Event) {
        match self.activity {
            Activity::Ended => {}
            Activity::Idle
            | Activity::Starting { .. }
            | Activity::Stopping { .. }
            | Activity::StoppingInstances(_)
            | Activity::Reconfiguring { .. } => self.waiting.push_back(event),
        }
    }

    /// Takes up an event when nothing else is under way.
    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Call { ticket, request } => self.on_call(ticket, request),
            Event::Exited { slot, life, reason } => {
                if self.is_running_life(slot, life) {
                    self.on_own_end(slot, reason);
                }
            }
            Event::Retry(retry) => self.on_retry(&retry),
            Event::Timer(timer) => self.on_delay_over(timer),
            Event::Shutdown => self.exit(ExitReason::SHUTDOWN),
            Event::Begin | Event::Started { .. } | Event::Init(_) => {
                unreachable!("these are taken up at once, never queued")
            }
        }
    }

    fn on_exit(&mut self, slot: SlotKey, life: u64, reason: ExitReason) {
        if !self.is_running_life(slot, life) {
            // A life that was already accounted for, or one whose start failed.
            return;
        }
        match &mut self.activity {
            Activity::Stopping { slot: awaited, .. } if *awaited == slot => {
                self.on_awaited_exit(slot, &reason);
            }
            Activity::StoppingInstances(_) => self.on_instance_exit(slot, &reason),
            Activity::Idle
            | Activity::Starting { .. }
            | Activity::Stopping { .. }
            | Activity::Reconfiguring { .. } => {
                self.slots.at_mut(slot).exited = Some(Box::new(reason.clone()));
                self.waiting.push_back(Event::Exited { slot, life, reason });
            }
            Activity::Ended => {}
        }
    }

    fn on_timer(&mut self, timer: TimerId) {
        match &self.activity {
            Activity::Stopping { timer: Some(t), .. } if *t == timer => self.on_stop_too_long(),
            Activity::StoppingInstances(instances) if instances.timer == Some(timer) => {
                self.on_instances_too_long();
            }
            Activity::Idle
            | Activity::Starting { .. }
            | Activity::Stopping { .. }
            | Activity::StoppingInstances(_)
            | Activity::Reconfiguring { .. } => self.waiting.push_back(Event::Timer(timer)),
            Activity::Ended => {}
        }
    }

    fn is_simple(&self) -> bool {
        self.flags.strategy == Strategy::SimpleOneForOne
    }

    fn is_running_life(&self, slot: SlotKey, life: u64) -> bool {
        self.slots
            .get(slot)
            .is_some_and(|s| s.life == life && s.state == State::Running)
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn answer(&mut self, ticket: u64, answer: Result<Answer, CallError>) {
        self.act(Action::Answer { ticket, answer });
    }

    fn set_timer(&mut self, after: Duration) -> TimerId {
        let serial = self.next_timer;
        self.next_timer += 1;
        let timer = TimerId {
            at: self.now.saturating_add(after),
            serial,
        };
        self.act(Action::SetTimer(timer));
        timer
    }

    fn settle(&mut self, key: SlotKey, disposition: Disposition) {
        self.slots.at_mut(key).disposition = Some(disposition);
        self.act(Action::Settle(key, disposition));
    }

    /// Takes the child and its spec away for good.
    fn remove(&mut self, key: SlotKey) {
        self.cancel_delay(key);
        self.act(Action::Settle(key, Disposition::Removed));
        self.act(Action::Forget(key));
        self.slots.remove(key);
    }

    fn report(&mut self, context: Context, reason: ReportReason, offender: Offender) {
        self.act(Action::Failure {
            context,
            reason,
            offender,
        });
    }

    fn offender(slot: &Slot) -> Offender {
        Offender {
            pid: slot.pid().map_or(OffenderPid::Undefined, OffenderPid::Pid),
            id: slot.name.clone(),
            restart: slot.recipe.restart,
            significant: slot.recipe.significant,
            shutdown: slot.recipe.shutdown,
            child_type: slot.recipe.child_type,
        }
    }
}

/// How a failed start looks to the caller who asked for it.
fn call_error(error: StartError) -> CallError {
    match error {
        StartError::Failed(reason) => CallError::StartFailed(reason),
        StartError::AlreadyStarted(pid) => CallError::AlreadyStarted(pid),
        StartError::Ignore | StartError::Child { .. } | StartError::Invalid(_) => {
            CallError::StartFailed(error.reason())
        }
    }
}
