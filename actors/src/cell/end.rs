//! How lives end: by a crash, by a kill, in order; and what becomes of the cell then.

use super::core::Announcement;
use super::{CONTROL_FAULT, CONTROL_PAUSE, CONTROL_SLEEP, CONTROL_STOP, Cell, Current, Life, Seat};
use crate::agent::{Agent, Message};
use crate::ask::AskError;
use crate::dead_letters::DeathCause;
use crate::events::What;
use crate::fault::When;
use crate::info::ActorState;
use crate::letter::{Body, Letter};
use crate::mailbox::Gate;
use crate::outgoing::{OutAnnouncement, Outgoing};
use crate::recorder::CrashReport;
use crate::spec::OnCrash;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use swarm_protocols::{ExitReason, Incarnation};
use swarm_supervisors::{Disposition, Link};

/// What an ended life leaves behind that must be dropped without any lock held: it is the agent's own code.
pub(super) struct Remains<A: Agent> {
    _life: Life<A>,
    link: Option<Link>,
    shell: Option<super::shell::ShellHandle>,
}

impl<A: Agent> Cell<A> {
    /// Ends the present life at once, from outside, whatever its code is doing: the shell is fenced off, so that nothing
    /// it still does has an effect, and told to end. No cleanup.
    pub(crate) fn cut_off(&self, reason: ExitReason) {
        let remains = {
            let mut seat = self.seat.lock();
            if !self.core.is_alive() || self.core.state() == ActorState::Starting {
                return;
            }
            self.cut(&mut seat, reason.clone())
        };
        self.report(remains, reason);
    }

    /// The part of [`Cell::cut_off`] that is done under the seat's lock; [`Cell::report`] follows without it.
    pub(super) fn cut(&self, seat: &mut Seat<A>, reason: ExitReason) -> Remains<A> {
        seat.epoch += 1;
        self.mailbox.hold();
        let shell = seat.shell.take();
        let mut remains = self.end_life(seat, &reason);
        remains.shell = shell;
        remains
    }

    /// Tells the supervisor, and drops what is left.
    pub(super) fn report(&self, remains: Remains<A>, reason: ExitReason) {
        if let Some(shell) = &remains.shell {
            shell.end();
        }
        self.core.system.event(
            Some(&self.core),
            What::Exited {
                reason: reason.clone(),
            },
        );
        if let Some(link) = &remains.link {
            link.exited(self.core.pid(), reason);
        }
        crate::panics::drop_guarded(remains);
    }

    /// Ends the life in the seat: what was begun is a dead letter, timers and bonds are gone, the mailbox is kept or
    /// dropped. The news of it waits for the supervisor's decision.
    pub(super) fn end_life(&self, seat: &mut Seat<A>, reason: &ExitReason) -> Remains<A> {
        let pid = self.core.pid();
        let current = seat.current.take();
        // A kill is somebody's decision, not the agent's failure.
        let is_crash = !reason.is_clean() && *reason != ExitReason::Killed;
        if is_crash {
            let mut report = self.crash_report(seat, reason);
            report.message = current.as_ref().map(|c| c.record);
            report.trace_id = current
                .as_ref()
                .and_then(Current::trace)
                .map(|trace| format!("{:032x}", trace.trace_id));
            let report = Arc::new(report);
            self.core.system.crashed(report.clone());
            seat.rare().last_crash = Some(report);
        }
        self.unstash(seat);
        if let Some(current) = current {
            self.fail_current(seat, current, reason);
        }
        if let Some(rare) = &mut seat.rare {
            for (id, armed) in std::mem::take(&mut rare.timers) {
                self.core.system.timers().disarm(armed.at, id);
            }
            rare.fired.clear();
            rare.faults.retain(|f| f.when != When::Now);
        }
        seat.continue_is_due = false;
        if self.plan().mailbox.on_crash == OnCrash::Drop {
            for letter in self.mailbox.drain(&mut seat.ready) {
                self.bury_letter(letter, DeathCause::DroppedOnCrash);
            }
        }
        self.mailbox.control.fetch_and(
            !(CONTROL_STOP | CONTROL_PAUSE | CONTROL_SLEEP | CONTROL_FAULT),
            Ordering::AcqRel,
        );
        self.core.set_state(ActorState::Restarting);
        let announcement = self.core.end_of_life(pid, reason.clone());
        let rare = seat.rare();
        rare.last_exit = Some(reason.clone());
        rare.announcement = Some(announcement);
        Remains {
            _life: std::mem::replace(&mut seat.life, Life::None),
            link: seat.link.take(),
            shell: None,
        }
    }

    fn crash_report(&self, seat: &Seat<A>, reason: &ExitReason) -> CrashReport {
        CrashReport {
            at_ms: self.core.system.wall_ms(),
            path: self.core.path.clone(),
            pid: self.core.pid(),
            supervisor: seat.link.as_ref().map(Link::supervisor),
            behaviour: self.core.behaviour.into(),
            reason: reason.clone(),
            message: None,
            recorder: seat
                .recorder
                .as_ref()
                .map_or_else(Vec::new, |recorder| recorder.entries()),
            queued: self.mailbox.depth(),
            trace_id: None,
            incarnation: Incarnation(self.core.pid().incarnation.0.saturating_sub(1)),
        }
    }

    /// The message in whose turn the life ended: handed to the next life, where so configured, or a dead letter.
    fn fail_current(
        &self,
        seat: &mut Seat<A>,
        mut current: Current<A::Message>,
        reason: &ExitReason,
    ) {
        let next_delivery = current.record.deliveries + 1;
        if next_delivery <= self.plan().mailbox.redeliver && !reason.is_clean() {
            let body = match (&current.copy, &current.acl) {
                (Some(copy), _) => copy.copy().map(Body::Message),
                (None, Some(acl)) => Some(Body::Acl(acl.clone())),
                (None, None) => None,
            };
            if let Some(body) = body {
                let mut letter = Letter::new(body, current.record.at_ms);
                letter.ask = current.ask;
                letter.sender = current.sender;
                letter.priority = current.record.priority;
                letter.deliveries = next_delivery;
                self.mailbox.put_back(&mut seat.ready, letter);
                return;
            }
        }
        if let Some(ask) = current.ask.take() {
            ask.fail(AskError::Crashed(reason.clone()));
        }
        if !reason.is_clean() {
            self.bury_current(current, reason);
        }
    }

    /// The supervisor has decided what becomes of the cell.
    pub(crate) fn settle(&self, disposition: Disposition) {
        let mut seat = self.seat.lock();
        if self.core.is_alive() {
            return;
        }
        let mut announcement = seat.rare.as_mut().and_then(|rare| rare.announcement.take());
        let mut homeless = Vec::new();
        match disposition {
            Disposition::Restarting | Disposition::SupervisorEnded => {}
            Disposition::Stopped => {
                self.core.set_state(ActorState::Stopped);
                homeless = self.mailbox.set_gate(Gate::Refusing);
                self.dismiss_shell(&mut seat);
            }
            Disposition::Ended | Disposition::Removed => {
                self.core.set_state(ActorState::Ended);
                // First shut, then empty: nothing can slip in between.
                homeless = self.mailbox.set_gate(Gate::Closed);
                homeless.extend(self.mailbox.drain(&mut seat.ready));
                self.dismiss_shell(&mut seat);
                let mut news = announcement.unwrap_or_else(|| {
                    let last = seat.rare.as_ref().and_then(|rare| rare.last_exit.clone());
                    let reason = last.unwrap_or(ExitReason::NoProc);
                    self.core.end_of_life(self.core.pid(), reason)
                });
                // Name and groups are free before anybody hears of the end.
                if let Some(name) = &self.plan().registered {
                    self.core.system.names().release(name, self.core.address);
                }
                self.core.final_end(&mut news);
                if disposition == Disposition::Removed {
                    self.core.system.forget(&self.core);
                }
                announcement = Some(news);
            }
        }
        let mut late = VecDeque::new();
        if let Some(announcement) = announcement.filter(|a| !a.is_empty()) {
            self.announce(&mut seat, announcement);
        }
        if matches!(disposition, Disposition::Ended | Disposition::Removed) {
            late = std::mem::take(&mut seat.outgoing);
        }
        drop(seat);
        for letter in homeless {
            self.bury_letter(
                letter,
                if disposition == Disposition::Stopped {
                    DeathCause::Refused
                } else {
                    DeathCause::ReceiverEnded
                },
            );
        }
        if !late.is_empty() {
            self.core.system.deliver_late(late);
        }
    }

    /// DOWN and EXIT come behind what the dead one had sent.
    fn announce(&self, seat: &mut Seat<A>, announcement: Announcement) {
        if seat.outgoing.is_empty() {
            announcement.tell();
        } else {
            let out: Box<dyn Outgoing> = Box::new(OutAnnouncement(Some(announcement)));
            seat.outgoing.push_back(out);
        }
    }

    fn dismiss_shell(&self, seat: &mut Seat<A>) {
        // Also when the shell has not come to wait yet: it will find that its epoch is over.
        seat.epoch += 1;
        seat.shell = None;
        self.mailbox.hold();
        if let Some(waiting) = seat.waiting.take() {
            waiting.wake();
        }
    }
}

/// A running life, as its supervisor holds it.
pub(crate) struct CellChild<A: Agent> {
    pub(crate) cell: Arc<Cell<A>>,
    pub(crate) incarnation: Incarnation,
}
