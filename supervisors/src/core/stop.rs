//! Stopping children: one, several in reverse start order, or all instances at once.

use super::{Action, Activity, Answer, Core, SlotKey, StartWhy, State, StopWhy, TimerId};
use crate::child::{Disposition, StartError};
use crate::report::{Context, Offender, OffenderPid, ReportReason};
use crate::spec::{Restart, Shutdown};
use std::collections::BTreeMap;
use swarm_protocols::ExitReason;

/// Stops the children between two places in the start order, the last one first, one after the other.
pub(super) struct Sweep {
    from: u64,
    before: u64,
    then: AfterSweep,
}

pub(super) enum AfterSweep {
    /// Start them again, in start order, from `from` on.
    Group { offender: SlotKey, from: u64 },
    /// Say that the supervisor did not start.
    InitFailed(StartError),
    /// End.
    Exit(ExitReason),
}

impl Sweep {
    pub(super) fn all(then: AfterSweep) -> Self {
        Self {
            from: 0,
            before: u64::MAX,
            then,
        }
    }

    pub(super) fn from(from: u64, then: AfterSweep) -> Self {
        Self {
            from,
            before: u64::MAX,
            then,
        }
    }
}

/// The stop of all instances at once (S44).
pub(super) struct Instances {
    left: usize,
    pub(super) timer: Option<TimerId>,
    /// How many ended otherwise than they should, by reason; the text is only there to sort by.
    wrong: BTreeMap<String, (ExitReason, usize)>,
    reason: ExitReason,
}

impl Core {
    /// Ends the supervisor: all children first.
    pub(super) fn exit(&mut self, reason: ExitReason) {
        if self.is_simple() {
            self.stop_instances(reason);
        } else {
            self.sweep(Sweep::all(AfterSweep::Exit(reason)));
        }
    }

    pub(super) fn sweep(&mut self, mut sweep: Sweep) {
        while let Some(key) = self.slots.last_between(sweep.from, sweep.before) {
            let slot = self.slots.at_mut(key);
            sweep.before = slot.seq;
            match slot.state {
                State::Running => match slot.exited.take() {
                    // It died meanwhile: that exit is consumed here (S74).
                    Some(reason) => {
                        self.conclude_stop(key, &reason);
                        self.swept(key, &sweep.then, true);
                    }
                    None => {
                        let timer = self.tell_to_stop(key);
                        let why = StopWhy::Sweep(sweep);
                        self.activity = Activity::Stopping {
                            slot: key,
                            timer,
                            why,
                        };
                        return;
                    }
                },
                State::Delayed => {
                    self.cancel_delay(key);
                    self.swept(key, &sweep.then, false);
                }
                State::Restarting | State::Stopped => self.swept(key, &sweep.then, false),
            }
        }
        self.activity = Activity::Idle;
        match sweep.then {
            AfterSweep::Group { offender, from } => self.start_group(from, offender),
            AfterSweep::InitFailed(error) => {
                self.activity = Activity::Ended;
                self.act(Action::StartFailed(error));
            }
            AfterSweep::Exit(reason) => {
                self.activity = Activity::Ended;
                self.act(Action::Exit(reason));
            }
        }
    }

    fn swept(&mut self, key: SlotKey, then: &AfterSweep, was_running: bool) {
        self.slots.at_mut(key).state = State::Stopped;
        match then {
            AfterSweep::Group { .. } => {
                if self.slots.at(key).is_temporary() {
                    self.remove(key);
                } else if was_running {
                    self.settle(key, Disposition::Restarting);
                }
            }
            // What becomes of its children is said when the supervisor itself is gone.
            AfterSweep::InitFailed(_) | AfterSweep::Exit(_) => {}
        }
    }

    /// Stops one child because of a call. What is left of a restart under way is cancelled.
    pub(super) fn stop_one(&mut self, key: SlotKey, why: StopWhy) {
        let slot = self.slots.at_mut(key);
        match slot.state {
            State::Running => match slot.exited.take() {
                Some(reason) => {
                    self.conclude_stop(key, &reason);
                    self.stopped_one(key, why);
                }
                None => {
                    let timer = self.tell_to_stop(key);
                    self.activity = Activity::Stopping {
                        slot: key,
                        timer,
                        why,
                    };
                }
            },
            State::Delayed => {
                self.cancel_delay(key);
                self.stopped_one(key, why);
            }
            State::Restarting | State::Stopped => self.stopped_one(key, why),
        }
    }

    fn stopped_one(&mut self, key: SlotKey, why: StopWhy) {
        self.activity = Activity::Idle;
        let was = std::mem::replace(&mut self.slots.at_mut(key).state, State::Stopped);
        match why {
            StopWhy::Sweep(sweep) => {
                self.swept(key, &sweep.then, true);
                self.sweep(sweep);
            }
            StopWhy::Terminate { ticket } => {
                if self.is_simple() || self.slots.at(key).is_temporary() {
                    self.remove(key);
                } else if was != State::Stopped
                    || self.slots.at(key).disposition == Some(Disposition::Restarting)
                {
                    self.settle(key, Disposition::Stopped);
                }
                if matches!(was, State::Restarting | State::Delayed) {
                    self.abandon_group();
                }
                self.answer(ticket, Ok(Answer::Done));
            }
            StopWhy::Cycle { ticket } => {
                self.settle(key, Disposition::Restarting);
                self.start(key, StartWhy::Cycled { ticket });
            }
        }
    }

    /// The rest of a group whose restart was cancelled stays stopped (S131): what was said about it has to be taken back.
    fn abandon_group(&mut self) {
        let waits = |slot: &super::Slot| {
            slot.state == State::Stopped && slot.disposition == Some(Disposition::Restarting)
        };
        if self
            .slots
            .in_order()
            .any(|(_, slot)| matches!(slot.state, State::Restarting | State::Delayed))
        {
            return;
        }
        let abandoned: Vec<SlotKey> = self
            .slots
            .in_order()
            .filter(|(_, slot)| waits(slot))
            .map(|(key, _)| key)
            .collect();
        for key in abandoned {
            self.settle(key, Disposition::Stopped);
        }
    }

    /// Begins to stop a running child; the timer says when to lose patience.
    fn tell_to_stop(&mut self, key: SlotKey) -> Option<TimerId> {
        match self.slots.at(key).shutdown() {
            Shutdown::BrutalKill => {
                self.act(Action::Kill(key));
                None
            }
            Shutdown::Infinity => {
                self.act(Action::Signal(key));
                None
            }
            Shutdown::Timeout(time) => {
                self.act(Action::Signal(key));
                Some(self.set_timer(time))
            }
        }
    }

    pub(super) fn on_stop_too_long(&mut self) {
        if let Activity::Stopping { slot, timer, .. } = &mut self.activity {
            *timer = None;
            let key = *slot;
            self.act(Action::Kill(key));
        }
    }

    pub(super) fn on_awaited_exit(&mut self, key: SlotKey, reason: &ExitReason) {
        let Activity::Stopping { timer, why, .. } =
            std::mem::replace(&mut self.activity, Activity::Idle)
        else {
            unreachable!("an awaited exit is awaited");
        };
        if let Some(timer) = timer {
            self.act(Action::CancelTimer(timer));
        }
        self.conclude_stop(key, reason);
        self.stopped_one(key, why);
    }

    /// Notes that a child that was to be stopped is gone, and reports it when its reason was not the right one (S49).
    fn conclude_stop(&mut self, key: SlotKey, reason: &ExitReason) {
        let slot = self.slots.at_mut(key);
        slot.exited = None;
        if !is_right_stop(slot.shutdown(), slot.restart(), reason) {
            let offender = Self::offender(self.slots.at(key));
            self.report(
                Context::ShutdownError,
                ReportReason::Exit(reason.clone()),
                offender,
            );
        }
    }

    fn stop_instances(&mut self, reason: ExitReason) {
        let Some(template) = self.template.clone() else {
            unreachable!("simple_one_for_one has a template");
        };
        let mut instances = Instances {
            left: 0,
            timer: None,
            wrong: BTreeMap::new(),
            reason,
        };
        // OTP leaves the order open, and in fact goes by the age of the lives.
        let mut keys = self.slots.keys_in_order();
        keys.sort_by_key(|key| self.slots.at(*key).life);
        for key in keys {
            let slot = self.slots.at_mut(key);
            match slot.state {
                State::Running => match slot.exited.take() {
                    Some(reason) => {
                        slot.state = State::Stopped;
                        instances.note(template.recipe.shutdown, template.recipe.restart, &reason);
                    }
                    None => {
                        instances.left += 1;
                        self.act(match template.recipe.shutdown {
                            Shutdown::BrutalKill => Action::Kill(key),
                            Shutdown::Timeout(_) | Shutdown::Infinity => Action::Signal(key),
                        });
                    }
                },
                State::Delayed => {
                    self.cancel_delay(key);
                    self.slots.at_mut(key).state = State::Stopped;
                }
                State::Restarting | State::Stopped => slot.state = State::Stopped,
            }
        }
        if instances.left == 0 {
            self.instances_stopped(instances);
            return;
        }
        if let Shutdown::Timeout(time) = template.recipe.shutdown {
            instances.timer = Some(self.set_timer(time));
        }
        self.activity = Activity::StoppingInstances(instances);
    }

    pub(super) fn on_instance_exit(&mut self, key: SlotKey, reason: &ExitReason) {
        let slot = self.slots.at_mut(key);
        slot.state = State::Stopped;
        let (shutdown, restart) = (slot.shutdown(), slot.restart());
        let Activity::StoppingInstances(instances) = &mut self.activity else {
            unreachable!("only called while the instances are being stopped");
        };
        instances.note(shutdown, restart, reason);
        instances.left -= 1;
        if instances.left == 0
            && let Activity::StoppingInstances(instances) =
                std::mem::replace(&mut self.activity, Activity::Ended)
        {
            self.instances_stopped(instances);
        }
    }

    pub(super) fn on_instances_too_long(&mut self) {
        if let Activity::StoppingInstances(instances) = &mut self.activity {
            instances.timer = None;
        }
        let mut late: Vec<SlotKey> = self
            .slots
            .in_order()
            .filter(|(_, slot)| matches!(slot.state, State::Running))
            .map(|(key, _)| key)
            .collect();
        late.sort_by_key(|key| self.slots.at(*key).life);
        for key in late {
            self.act(Action::Kill(key));
        }
    }

    fn instances_stopped(&mut self, instances: Instances) {
        self.activity = Activity::Ended;
        if let Some(timer) = instances.timer {
            self.act(Action::CancelTimer(timer));
        }
        let Some(template) = self.template.clone() else {
            unreachable!("simple_one_for_one has a template");
        };
        for (reason, count) in instances.wrong.into_values() {
            let offender = Offender {
                pid: OffenderPid::Children(count),
                id: template.id.clone(),
                restart: template.recipe.restart,
                significant: template.recipe.significant,
                shutdown: template.recipe.shutdown,
                child_type: template.recipe.child_type,
            };
            self.report(Context::ShutdownError, ReportReason::Exit(reason), offender);
        }
        self.act(Action::Exit(instances.reason));
    }
}

impl Instances {
    fn note(&mut self, shutdown: Shutdown, restart: Restart, reason: &ExitReason) {
        if !is_right_stop(shutdown, restart, reason) {
            self.wrong
                .entry(reason.to_string())
                .or_insert_with(|| (reason.clone(), 0))
                .1 += 1;
        }
    }
}

/// Whether a child that is being stopped may end so without a report.
fn is_right_stop(shutdown: Shutdown, restart: Restart, reason: &ExitReason) -> bool {
    match reason {
        ExitReason::Killed => shutdown == Shutdown::BrutalKill,
        ExitReason::Shutdown(None) => {
            shutdown != Shutdown::BrutalKill || restart != Restart::Permanent
        }
        ExitReason::Shutdown(Some(_)) | ExitReason::Normal => restart != Restart::Permanent,
        ExitReason::Error(_)
        | ExitReason::Panic(_)
        | ExitReason::Limit(_)
        | ExitReason::NoProc
        | ExitReason::Unreachable => false,
    }
}
