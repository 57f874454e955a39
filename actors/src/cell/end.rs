//! How lives end: by a crash, by a kill, in order; and what becomes of the cell then.

use super::core::Announcement;
use super::{CONTROL_ALL, Cell, Current, Desk, Life, Seat};
use crate::agent::Agent;
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
use crate::timers::{Armed, TimerId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use swarm_protocols::{ExitReason, Incarnation, Pid};
use swarm_supervisors::{Disposition, Link};

/// What an ended life leaves behind. It is handled without any lock held: its drops are the agent's own code.
pub(crate) struct Remains<A: Agent> {
    pid: Pid,
    _life: Life<A>,
    _timers: BTreeMap<TimerId, Armed<A::Message>>,
    link: Option<Link>,
    shell: Option<super::shell::ShellHandle>,
    /// What was being handled, unless it goes to the next life.
    current: Option<Current<A::Message>>,
    /// What was queued, where the mailbox is dropped with the life.
    homeless: Vec<Letter<A::Message>>,
}

impl<A: Agent> Cell<A> {
    /// Ends the present life at once, from outside, whatever its code is doing: the shell is fenced off, so that nothing
    /// it still does has an effect, and told to end. No cleanup. A life whose init still runs ends at the init's next await.
    pub(crate) fn cut_off(&self, reason: ExitReason) {
        let mut seat = self.seat.lock();
        if self.core.state() == ActorState::Starting {
            let rare = seat.rare();
            rare.is_killed = true;
            let init = rare.init.take();
            drop(seat);
            if let Some(init) = init {
                init.wake();
            }
            return;
        }
        if !self.core.is_alive() {
            return;
        }
        let remains = self.cut(&mut seat, reason.clone());
        drop(seat);
        self.report(remains, reason);
    }

    /// Ends the life that the shell of this epoch runs, if it still does.
    pub(super) fn cut_off_shell(&self, epoch: u64, reason: ExitReason) {
        let mut seat = self.seat.lock();
        if seat.epoch != epoch || !self.core.is_alive() {
            return;
        }
        let remains = self.cut(&mut seat, reason.clone());
        drop(seat);
        self.report(remains, reason);
    }

    /// The part of [`Cell::cut_off`] that is done under the seat's lock; [`Cell::report`] follows without it.
    pub(crate) fn cut(&self, seat: &mut Seat<A>, reason: ExitReason) -> Remains<A> {
        seat.epoch += 1;
        self.mailbox().hold();
        let shell = seat.desk.as_mut().and_then(|desk| {
            desk.progress = None;
            desk.shell.take()
        });
        let mut remains = self.end_life(seat, &reason);
        remains.shell = shell;
        remains
    }

    /// Buries what is lost, tells the supervisor, and drops what is left.
    pub(crate) fn report(&self, mut remains: Remains<A>, reason: ExitReason) {
        if let Some(shell) = &remains.shell {
            shell.end();
        }
        if let Some(mut current) = remains.current.take() {
            if let Some(ask) = current.ask.take() {
                ask.fail(AskError::Crashed(reason.clone()));
            }
            if !reason.is_clean() {
                self.bury_current(current, &reason);
            } else {
                crate::panics::drop_guarded(current);
            }
        }
        for letter in std::mem::take(&mut remains.homeless) {
            self.bury_letter(letter, DeathCause::DroppedOnCrash);
        }
        self.core.system.event(
            Some(&self.core),
            What::Exited {
                reason: reason.clone(),
            },
        );
        if let Some(link) = &remains.link {
            link.exited(remains.pid, reason);
        }
        crate::panics::drop_guarded(remains);
    }

    /// Ends the life in the seat: timers and bonds are gone, the mailbox is kept or dropped. The news of it waits for the
    /// supervisor's decision.
    pub(super) fn end_life(&self, seat: &mut Seat<A>, reason: &ExitReason) -> Remains<A> {
        let pid = self.core.pid();
        let mut current = seat.desk.as_mut().and_then(|desk| desk.current.take());
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
        let mailbox = self.plan().mailbox;
        let mut homeless = Vec::new();
        if mailbox.on_crash == OnCrash::Drop {
            self.unstash(seat);
            homeless = self.mailbox().drain(&mut seat.ready);
        }
        if !reason.is_clean() {
            current = self.redeliver(seat, current, mailbox.redeliver);
        }
        self.unstash(seat);
        let mut timers = BTreeMap::new();
        if let Some(rare) = &mut seat.rare {
            timers = std::mem::take(&mut rare.timers);
            rare.fired.clear();
            rare.faults.retain(|f| f.when != When::Now);
            rare.stop = None;
        }
        for (id, armed) in &timers {
            self.core.system.timers().disarm(armed.at, *id);
        }
        seat.continue_is_due = false;
        self.mailbox()
            .control()
            .fetch_and(!CONTROL_ALL, Ordering::AcqRel);
        self.core.set_state(ActorState::Restarting);
        let announcement = self.core.end_of_life(pid, reason.clone());
        let rare = seat.rare();
        rare.last_exit = Some(reason.clone());
        rare.announcement = Some(announcement);
        Remains {
            pid,
            _life: std::mem::replace(&mut seat.life, Life::None),
            _timers: timers,
            link: seat.link.take(),
            shell: None,
            current,
            homeless,
        }
    }

    /// Hands the message in whose turn the life ended to the next one, where so configured; otherwise gives it back.
    fn redeliver(
        &self,
        seat: &mut Seat<A>,
        current: Option<Current<A::Message>>,
        times: u8,
    ) -> Option<Current<A::Message>> {
        let mut current = current?;
        let next_delivery = current.record.deliveries.saturating_add(1);
        if next_delivery > times {
            return Some(current);
        }
        let body = match (current.copy.take(), current.acl.take()) {
            (Some(copy), _) => Body::Message(*copy),
            (None, Some(acl)) => Body::Acl(acl),
            (None, None) => return Some(current),
        };
        let mut letter = Letter::new(body, current.record.at_ms);
        letter.ask = current.ask;
        letter.sender = current.sender;
        letter.extra = current.extra;
        letter.priority = current.record.priority;
        letter.deliveries = next_delivery;
        self.mailbox().put_back(&mut seat.ready, letter);
        None
    }

    fn crash_report(&self, seat: &Seat<A>, reason: &ExitReason) -> CrashReport {
        CrashReport {
            at_ms: self.core.system.wall_ms(),
            path: self.core.path.clone(),
            pid: self.core.pid(),
            supervisor: seat.link.as_ref().map(Link::supervisor),
            behaviour: std::any::type_name::<A>().into(),
            spec: self.plan().record.clone(),
            reason: reason.clone(),
            message: None,
            recorder: seat.desk.as_deref().map_or_else(Vec::new, Desk::recorded),
            queued: self.mailbox().depth(),
            trace_id: None,
            incarnation: Incarnation(self.core.pid().incarnation.0.saturating_sub(1)),
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
                seat.rare().is_draining = false;
                homeless = self.mailbox().set_gate(Gate::Refusing);
                self.dismiss_shell(&mut seat);
            }
            Disposition::Ended | Disposition::Removed => {
                self.core.set_state(ActorState::Ended);
                // First shut, then empty: nothing can slip in between.
                homeless = self.mailbox().set_gate(Gate::Closed);
                homeless.extend(self.mailbox().drain(&mut seat.ready));
                self.dismiss_shell(&mut seat);
                let mut news = announcement.unwrap_or_else(|| {
                    let last = seat.rare.as_ref().and_then(|rare| rare.last_exit.clone());
                    let reason = last.unwrap_or(ExitReason::NoProc);
                    self.core.end_of_life(self.core.pid(), reason)
                });
                // Name and groups are free before anybody hears of the end.
                seat.rare().is_draining = false;
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
        // No life is on its way that would deliver what the last one had committed.
        if matches!(
            disposition,
            Disposition::Stopped | Disposition::Ended | Disposition::Removed
        ) {
            late = seat.outgoing.take();
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
        self.mailbox().hold();
        let Some(desk) = &mut seat.desk else { return };
        desk.shell = None;
        if let Some(waiting) = desk.waiting.take() {
            waiting.wake();
        }
    }
}

/// A running life, as its supervisor holds it.
pub(crate) struct CellChild<A: Agent> {
    pub(crate) cell: Arc<Cell<A>>,
    pub(crate) incarnation: Incarnation,
}
