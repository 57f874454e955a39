//! Starting children: at init, by call, after an end; one, or a group in start order.

use super::{
    Action, Activity, Answer, Contained, Core, Outcome, SlotKey, StartWhy, State, call_error, stop,
};
use crate::child::{Disposition, StartChild, StartError, Started};
use crate::report::{Context, ReportReason};
use crate::supervisor::Link;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use swarm_protocols::ExitReason;

impl Core {
    pub(super) fn start(&mut self, key: SlotKey, why: StartWhy) {
        let life = self.next_life;
        self.next_life += 1;
        if self.is_simple()
            && let Some(template) = self.template.clone()
        {
            // A template that was replaced counts from the next start on (S154).
            self.slots.at_mut(key).recipe = template.recipe;
        }
        let slot = self.slots.at_mut(key);
        slot.life = life;
        slot.exited = None;
        let action = Action::Start {
            slot: key,
            life,
            name: slot.name.clone(),
            recipe: slot.recipe.clone(),
            args: slot.args.as_deref().cloned(),
            is_static: slot.is_static,
        };
        self.act(action);
        self.activity = Activity::Starting { slot: key, why };
    }

    /// Starts the children that init named, from this place in the order on.
    pub(super) fn start_initial(&mut self, from: u64) {
        self.activity = Activity::Idle;
        let next = if self.is_simple() {
            None
        } else {
            self.slots.first_from(from)
        };
        match next {
            Some(key) => self.start(key, StartWhy::Init),
            None => self.act(Action::Ready),
        }
    }

    /// Starts the children of a group, from this place in the order on.
    pub(super) fn start_group(&mut self, from: u64, offender: SlotKey) {
        self.activity = Activity::Idle;
        if let Some(key) = self.slots.first_from(from) {
            self.start(key, StartWhy::Group { offender });
        }
    }

    pub(super) fn on_started(&mut self, key: SlotKey, outcome: Outcome) {
        let why = match &self.activity {
            Activity::Starting { slot, why } if *slot == key => *why,
            Activity::Idle
            | Activity::Starting { .. }
            | Activity::Stopping { .. }
            | Activity::StoppingInstances(_)
            | Activity::Reconfiguring { .. }
            | Activity::Ended => {
                unreachable!("a start is answered once, before anything else is begun")
            }
        };
        self.activity = Activity::Idle;
        match outcome {
            Outcome::Running(pid) => self.on_running(key, pid, why),
            Outcome::Ignored => self.on_ignored(key, why),
            Outcome::Failed(error) => self.on_start_failed(key, error, why),
        }
    }

    fn on_running(&mut self, key: SlotKey, pid: swarm_protocols::Pid, why: StartWhy) {
        let now = self.now;
        let index = self.is_simple();
        self.slots.set_pid(key, pid, index);
        let slot = self.slots.at_mut(key);
        slot.state = State::Running;
        slot.disposition = None;
        // One that never failed has nothing to count from: of a million children few have this.
        if let Some(delays) = &mut slot.delays {
            delays.started_at = now;
        }
        if slot.is_temporary() {
            forget_start(slot, index);
        }
        let seq = slot.seq;
        let by_call = match why {
            StartWhy::Init | StartWhy::Restart | StartWhy::Group { .. } => false,
            StartWhy::Added { .. } | StartWhy::Resumed { .. } | StartWhy::Cycled { .. } => true,
        };
        let started = Self::offender(self.slots.at(key));
        self.act(Action::Progress { started, by_call });
        match why {
            StartWhy::Init => self.start_initial(seq + 1),
            StartWhy::Added { ticket }
            | StartWhy::Resumed { ticket }
            | StartWhy::Cycled { ticket } => {
                self.answer(ticket, Ok(Answer::Started(Some((key, pid)))));
            }
            StartWhy::Restart => {}
            StartWhy::Group { offender } => self.start_group(seq + 1, offender),
        }
    }

    fn on_ignored(&mut self, key: SlotKey, why: StartWhy) {
        let gone = self.is_simple() || self.slots.at(key).is_temporary();
        let seq = self.slots.at(key).seq;
        if gone {
            self.remove(key);
        } else {
            self.slots.at_mut(key).state = State::Stopped;
            self.settle(key, Disposition::Ended);
        }
        match why {
            StartWhy::Init => self.start_initial(seq + 1),
            StartWhy::Added { ticket }
            | StartWhy::Resumed { ticket }
            | StartWhy::Cycled { ticket } => self.answer(ticket, Ok(Answer::Started(None))),
            StartWhy::Restart => {}
            StartWhy::Group { offender } => self.start_group(seq + 1, offender),
        }
    }

    fn on_start_failed(&mut self, key: SlotKey, error: StartError, why: StartWhy) {
        match why {
            StartWhy::Init => {
                self.report_start_error(key, &error);
                let id = self.slots.at(key).name.clone();
                let error = StartError::Child {
                    id,
                    cause: Box::new(error),
                };
                self.sweep(stop::Sweep::all(stop::AfterSweep::InitFailed(error)));
            }
            StartWhy::Added { ticket } => {
                self.remove(key);
                self.answer(ticket, Err(call_error(error)));
            }
            StartWhy::Resumed { ticket } => {
                self.answer(ticket, Err(call_error(error)));
            }
            StartWhy::Cycled { ticket } => {
                if self.is_simple() {
                    self.remove(key);
                } else {
                    self.slots.at_mut(key).state = State::Stopped;
                    self.settle(key, Disposition::Stopped);
                }
                self.answer(ticket, Err(call_error(error)));
            }
            StartWhy::Restart | StartWhy::Group { .. } => {
                self.report_start_error(key, &error);
                self.try_again(key);
            }
        }
    }

    fn report_start_error(&mut self, key: SlotKey, error: &StartError) {
        let offender = Self::offender(self.slots.at(key));
        self.report(
            Context::StartError,
            ReportReason::Start(error.clone()),
            offender,
        );
    }
}

/// A temporary child is never started again: neither its arguments nor what its start function holds is kept (S62, S64).
fn forget_start(slot: &mut super::Slot, is_instance: bool) {
    slot.args = None;
    if is_instance {
        // Its start function is the template's, which all instances share.
        return;
    }
    slot.recipe.start = Contained::new(Arc::new(Forgotten));
}

struct Forgotten;

impl StartChild for Forgotten {
    fn start(&self, _link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        Box::pin(std::future::ready(Err(StartError::Failed(
            ExitReason::error_text("a temporary child is not started again"),
        ))))
    }
}
