//! A cell as those see it who do not know its message type.

use super::*;

impl<A: Agent> AnyCell for Cell<A> {
    fn core(&self) -> &CellCore {
        &self.core
    }

    fn desk(self: Arc<Self>) -> Option<Box<dyn crate::remote::Desk>> {
        Some(crate::remote::desk::<A::Message>(self))
    }

    fn push_acl(
        &self,
        letter: &mut Option<AclLetter>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent> {
        Self::as_own(letter, |own| self.push(own, when_full))
    }

    fn wait_acl(
        &self,
        letter: &mut Option<AclLetter>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        Self::as_own(letter, |own| self.wait(own, waker))
    }

    fn poll_acl_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.mailbox().poll_ticket(ticket, waker)
    }

    fn cancel_any(&self, ticket: u64) {
        if let Some(letter) = self.cancel(ticket) {
            self.bury_letter(letter, DeathCause::Overloaded);
        }
    }

    fn admit_acl(&self, letter: &AclLetter) -> Result<(), NotSent> {
        let hooks = self.core.system.hooks();
        if hooks.admission.is_empty() {
            return Ok(());
        }
        let admission = Admission {
            receiver: &self.core.path,
            sender: letter.sender.address(),
            kind: LetterKind::Acl,
            priority: letter.priority,
            acl: match &letter.body {
                Body::Acl(acl) => Some(acl),
                _ => None,
            },
            extensions: letter.extra.as_ref().map(|extra| &extra.extensions),
        };
        for hook in &hooks.admission {
            hook.admit(&admission).map_err(NotSent::Rejected)?;
        }
        Ok(())
    }

    fn bury_acl(&self, letter: AclLetter, cause: DeathCause) {
        self.bury_letter(Self::from_acl(letter), cause);
    }

    fn default_when_full(&self) -> WhenFull {
        self.plan().mailbox.when_full
    }

    fn signal_to(&self, life: Incarnation, signal: Signal) {
        if self.core.pid().incarnation != life || !self.core.is_alive() {
            // That life is over, and the next one has nothing to do with it.
            return;
        }
        let body = Body::Signal(life, Box::new(signal));
        let letter = self.core.plain_letter(body);
        if let Ok(wake) = self.mailbox().push(letter) {
            self.wake(wake);
        }
    }

    fn discard(&self) {
        self.settle(swarm_supervisors::Disposition::Removed);
    }

    fn kill(&self, reason: ExitReason) {
        self.cut_off(reason);
    }

    fn pause(&self) -> bool {
        if !self.core.is_alive()
            || self
                .mailbox()
                .control()
                .fetch_or(CONTROL_PAUSE, Ordering::AcqRel)
                & CONTROL_PAUSE
                != 0
        {
            return false;
        }
        self.core.system.event(Some(&self.core), What::Paused);
        true
    }

    fn resume(&self) -> bool {
        if !self.lower(CONTROL_PAUSE) {
            return false;
        }
        self.core.system.event(Some(&self.core), What::Resumed);
        let wake = self.mailbox().wake_consumer();
        self.wake(wake);
        true
    }

    fn refuse(&self, refusing: bool) {
        self.seat.lock().rare().is_draining = refusing;
        if self.mailbox().gate() == Gate::Closed {
            return;
        }
        let turned_away =
            self.mailbox()
                .set_gate(if refusing { Gate::Refusing } else { Gate::Open });
        for letter in turned_away {
            self.bury_letter(letter, DeathCause::Refused);
        }
    }

    fn on_name_conflict(&self) -> crate::spec::OnNameConflict {
        self.plan().on_name_conflict
    }

    fn send_on(&self, to: &AnyRef) -> usize {
        self.send_on_to(to)
    }

    fn depth(&self) -> u64 {
        self.mailbox().depth()
    }

    fn is_settled(&self) -> bool {
        let seat = self.seat.lock();
        let is_idle = seat.desk.as_ref().is_none_or(|desk| desk.current.is_none())
            && seat.outgoing.is_empty()
            && seat.rare.as_ref().is_none_or(|rare| rare.stash.is_empty())
            && self.mailbox().depth() == 0;
        match self.core.state() {
            ActorState::Stopped | ActorState::Ended => true,
            ActorState::Starting | ActorState::Restarting => false,
            ActorState::Running
            | ActorState::Asleep
            | ActorState::Paused
            | ActorState::Draining => is_idle,
        }
    }

    fn info(&self) -> ActorInfo {
        let core = &self.core;
        let control = self.mailbox().control().load(Ordering::Acquire);
        let state = match core.state() {
            ActorState::Running | ActorState::Asleep if self.mailbox().gate() == Gate::Refusing => {
                ActorState::Draining
            }
            ActorState::Running | ActorState::Asleep if control & CONTROL_PAUSE != 0 => {
                ActorState::Paused
            }
            state => state,
        };
        ActorInfo {
            path: core.path.clone(),
            kind: self.plan().kind.to_owned(),
            state,
            node: core.system.node().clone(),
            groups: core.groups(),
            restarts: core.restarts.load(Ordering::Relaxed),
            mailbox: self.mailbox().depth(),
            address: core.address,
            incarnation: core.pid().incarnation,
            began_ms: core.began_ms.load(Ordering::Relaxed),
            turns: self.turns.load(Ordering::Relaxed),
            mailbox_ms: self.seat.lock().ready.oldest().map_or(0, |letter| {
                u64::from(core.system.coarse_ms().saturating_sub(letter.at_ms))
            }),
        }
    }

    fn detail(&self) -> ActorDetail {
        let info = self.info();
        let links = self.core.links();
        let (capacity, waiting) = (self.mailbox().capacity(), self.mailbox().waiting());
        let seat = self.seat.lock();
        let (rare, desk) = (seat.rare.as_deref(), seat.desk.as_deref());
        ActorDetail {
            info,
            behaviour: std::any::type_name::<A>().to_owned(),
            registered: self.plan().registered.clone(),
            capacity,
            waiting_senders: waiting,
            stashed: rare.map_or(0, |rare| rare.stash.len()),
            timers: rare.map_or(0, |rare| rare.timers.len()),
            outgoing: seat.outgoing.len(),
            links,
            current: desk.and_then(|desk| desk.current.as_ref().map(|current| current.record)),
            recorder: desk.map_or_else(Vec::new, Desk::recorded),
            last_exit: rare.and_then(|rare| rare.last_exit.clone()),
            last_crash: rare.and_then(|rare| rare.last_crash.clone()),
        }
    }

    fn inject(&self, injected: crate::fault::Injected) -> bool {
        use crate::fault::{FAULTS_PER_AGENT_MAX, Fault, When};
        if let Fault::Full(on) = injected.fault {
            // Also between two lives: what was clogged must come free again.
            let wake = self.mailbox().clog(on);
            self.wake(wake);
            return true;
        }
        if !self.core.is_alive() {
            return false;
        }
        let when = injected.when;
        let mut seat = self.seat.lock();
        if seat.rare().faults.len() >= FAULTS_PER_AGENT_MAX {
            return false;
        }
        seat.rare().faults.push_back(injected);
        drop(seat);
        if when == When::Now {
            self.raise(CONTROL_FAULT);
        }
        true
    }

    fn aid(&self) -> swarm_protocols::Aid {
        Self::aid(self)
    }

    fn stands_still(&self, still: &crate::watchdog::Still<'_>) -> bool {
        crate::watchdog::look_at(self, still)
    }

    fn is_half_empty(&self) -> bool {
        let is_half_empty = self.mailbox().depth() <= u64::from(self.mailbox().capacity()) / 2;
        if is_half_empty {
            self.core.full_is_reported.store(false, Ordering::Relaxed);
        }
        is_half_empty
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn typed_reference(self: Arc<Self>) -> Box<dyn Any> {
        let receive: Arc<dyn Receive<A::Message>> = self;
        Box::new(AgentRef(receive))
    }
}
