//! The cell: an agent's identity, its mailbox, and the seat in which one life after the other sits.
//!
//! The seat's lock is the consumer side. It is held while a letter is taken and while a turn commits, never while the
//! behaviour's code runs; so a kill or a fence always gets it at once, even when that code never yields. A shell names
//! itself by its *epoch* at each step. When the epoch has moved on, the shell was fenced off: whatever it still does has
//! no effect.
//!
//! Lock order: seat, then groups, then one of (any inbox, bonds, names, timers, dead letters, events, an ask's place, the
//! watchdog's list). Nothing takes a seat's lock while it holds another lock, except by `try_lock` (drop-oldest); attaching a shell takes none of the cell's locks.
//! No code of the agent's runs under any of them, hooks excepted.

mod any;
mod bury;
mod commit;
pub(crate) mod core;
mod end;
mod fired;
mod receive;
mod send_on;
pub(crate) mod shell;
mod start;

pub(crate) use start::StartCell;

use self::core::CellCore;
use crate::agent::{Agent, Message};
use crate::ask::{AskError, AskHold};
use crate::dead_letters::{Corpse, DeathCause, Kept, ReplayError};
use crate::events::What;
use crate::hooks::Admission;
use crate::info::{ActorDetail, ActorInfo, ActorState};
use crate::letter::{Body, Extra, Letter, LetterKind, Sender};
use crate::mailbox::{Back, Front, Gate, Lanes, Mailbox, NotTaken, Reservation, Wake};
use crate::outgoing::{OutCall, OutLetter, OutQueue, Outgoing};
use crate::recorder::{CrashReport, FlightRecord, FlightRecorder};
use crate::reference::{AclLetter, AgentRef, AnyCell, AnyRef, Bounced, NotSent, Receive};
use crate::signal::Signal;
use crate::spec::{Plan, WhenFull};
use crate::sync_plain::{Mutex, RwLock};
use crate::timers::{Armed, Scheduled, TimerId, TimerTarget};
use crate::turn::{Effect, Effects};
use crate::watchdog::Progress;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use swarm_protocols::{AclMessage, Address, Aid, ExitReason, Incarnation, Path, TraceContext};
use swarm_supervisors::Link;

/// The supervisor has told it to stop.
pub(crate) const CONTROL_STOP: u8 = 1;
/// It is paused.
pub(crate) const CONTROL_PAUSE: u8 = 2;
/// A fault was injected that is to show at once.
pub(crate) const CONTROL_FAULT: u8 = 8;
/// It may go to sleep.
pub(crate) const CONTROL_SLEEP: u8 = 4;
/// All of them.
pub(crate) const CONTROL_ALL: u8 = CONTROL_STOP | CONTROL_PAUSE | CONTROL_FAULT | CONTROL_SLEEP;

/// In the order of its fields: what senders write comes first, beside the count of references, what the shell writes with
/// each turn comes last, and what hardly ever changes lies in between. So neither side takes the other's cache lines away.
#[repr(C)]
pub(crate) struct Cell<A: Agent> {
    front: Front<Letter<A::Message>>,
    pub(crate) core: CellCore,
    /// Replaced at a start, when the spec is a new one.
    plan: RwLock<Arc<Plan<A>>>,
    this: Weak<Cell<A>>,
    back: Back,
    pub(crate) turns: AtomicU64,
    pub(crate) seat: Mutex<Seat<A>>,
}

pub(crate) struct Seat<A: Agent> {
    /// Letters that were taken from the inbox and not begun.
    pub(crate) ready: Lanes<Letter<A::Message>>,
    pub(crate) life: Life<A>,
    /// Which shell may act. Moves on with each new shell and with each fence.
    pub(crate) epoch: u64,
    pub(crate) link: Option<Link>,
    /// What it has only since it was last awakened.
    pub(crate) desk: Option<Box<Desk<A::Message>>>,
    /// What was committed and is not delivered yet: the bounded outgoing queue. It holds the effects of one turn at most,
    /// plus announcements; the next turn starts when it is empty.
    pub(crate) outgoing: OutQueue,
    pub(crate) continue_is_due: bool,
    /// Whether a copy of each message is kept during its turn.
    pub(crate) wants_copy: bool,
    pub(crate) rare: Option<Box<Rare<A::Message>>>,
}

/// What belongs to a cell that is awake, or was when its last life ended.
pub(crate) struct Desk<M> {
    pub(crate) shell: Option<shell::ShellHandle>,
    /// How far that shell is.
    pub(crate) progress: Option<Arc<Progress>>,
    /// A shell that waits for its supervisor's verdict.
    pub(crate) waiting: Option<Waker>,
    /// What is being handled.
    pub(crate) current: Option<Current<M>>,
    /// Made with the first message.
    recorder: Option<Box<FlightRecorder>>,
}

impl<M> Desk<M> {
    #[inline]
    pub(crate) fn record(&mut self, record: FlightRecord) {
        self.recorder
            .get_or_insert_with(|| Box::new(FlightRecorder::new()))
            .record(record);
    }

    /// What the flight recorder has.
    pub(crate) fn recorded(&self) -> Vec<FlightRecord> {
        self.recorder
            .as_ref()
            .map_or_else(Vec::new, |recorder| recorder.entries())
    }
}

/// What most agents have nothing of: together, so that those pay eight bytes for it.
pub(crate) struct Rare<M> {
    pub(crate) stash: VecDeque<Letter<M>>,
    pub(crate) timers: BTreeMap<TimerId, Armed<M>>,
    /// Timers whose message is queued. One that is not in here any more was cancelled, or belonged to an earlier life.
    pub(crate) fired: BTreeSet<TimerId>,
    pub(crate) faults: VecDeque<crate::fault::Injected>,
    /// The end that is not announced yet.
    pub(crate) announcement: Option<core::Announcement>,
    pub(crate) last_exit: Option<ExitReason>,
    pub(crate) last_crash: Option<Arc<CrashReport>>,
    /// What its init wanted to stop with.
    pub(crate) stop: Option<ExitReason>,
    /// It is being drained: a next life takes no messages either.
    pub(crate) is_draining: bool,
    /// It was killed while its init runs.
    pub(crate) is_killed: bool,
    /// Whom to wake then.
    pub(crate) init: Option<Waker>,
    /// What its supervisor decided about the last life while the init of the next one runs.
    pub(crate) decided: Option<swarm_supervisors::Disposition>,
}

impl<A: Agent> Seat<A> {
    #[inline]
    pub(crate) fn desk(&mut self) -> &mut Desk<A::Message> {
        self.desk.get_or_insert_with(|| {
            Box::new(Desk {
                shell: None,
                progress: None,
                waiting: None,
                current: None,
                recorder: None,
            })
        })
    }

    pub(crate) fn rare(&mut self) -> &mut Rare<A::Message> {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                stash: VecDeque::new(),
                timers: BTreeMap::new(),
                fired: BTreeSet::new(),
                faults: VecDeque::new(),
                announcement: None,
                last_exit: None,
                last_crash: None,
                stop: None,
                is_draining: false,
                is_killed: false,
                init: None,
                decided: None,
            })
        })
    }
}

/// Where the behaviour is.
pub(crate) enum Life<A> {
    /// There is none: not started, between two lives, or ended.
    None,
    /// In the seat, at rest.
    Resting(A),
    /// With the shell.
    Awake,
}

/// What is kept of a letter while its turn goes on.
pub(crate) struct Current<M> {
    pub(crate) record: FlightRecord,
    pub(crate) sender: Sender,
    pub(crate) ask: Option<AskHold>,
    pub(crate) acl: Option<Arc<AclMessage>>,
    pub(crate) extra: Option<Box<Extra>>,
    /// A copy, where redelivery or replay wants one.
    pub(crate) copy: Option<Box<M>>,
}

impl<M> Current<M> {
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.extra.as_ref().and_then(|extra| extra.trace)
    }
}

impl<A: Agent> Cell<A> {
    pub(crate) fn new(
        address: Address,
        path: Path,
        system: crate::System,
        plan: Arc<Plan<A>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            core: CellCore::new(address, path, system),
            front: Front::new(plan.mailbox.capacity),
            back: Back::new(),
            turns: AtomicU64::new(0),
            plan: RwLock::new(plan),
            seat: Mutex::new(Seat {
                ready: Lanes::new(),
                life: Life::None,
                epoch: 0,
                link: None,
                desk: None,
                outgoing: OutQueue::default(),
                continue_is_due: false,
                wants_copy: false,
                rare: None,
            }),
            this: this.clone(),
        })
    }

    #[inline]
    pub(crate) fn mailbox(&self) -> Mailbox<'_, Letter<A::Message>> {
        self.front.with(&self.back)
    }

    pub(crate) fn plan(&self) -> Arc<Plan<A>> {
        self.plan.read().clone()
    }

    /// Takes a new plan over; between two lives only.
    pub(crate) fn replan(&self, plan: &Arc<Plan<A>>) {
        let mut current = self.plan.write();
        if !Arc::ptr_eq(&current, plan) {
            if let Some(name) = &current.registered
                && plan.registered.as_ref() != Some(name)
            {
                self.core.system.names().release(name, self.core.address);
            }
            self.mailbox().set_capacity(plan.mailbox.capacity);
            *current = plan.clone();
        }
    }

    pub(crate) fn reference(&self) -> Option<AnyRef> {
        self.arc().map(|cell| AnyRef(cell))
    }

    pub(crate) fn weak(&self) -> Weak<dyn AnyCell> {
        self.this.clone()
    }

    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    pub(crate) fn aid(&self) -> Aid {
        let system = &self.core.system;
        let platform = system.platform();
        Aid::named(match &self.plan().registered {
            Some(name) => format!("{name}@{platform}"),
            None => format!("{}@{platform}", self.core.path),
        })
    }

    /// The trace of what is being handled.
    pub(crate) fn current_trace(&self) -> Option<TraceContext> {
        self.seat
            .lock()
            .desk()
            .current
            .as_ref()
            .and_then(Current::trace)
    }

    /// The ACL message that is being handled.
    pub(crate) fn current_acl(&self) -> Option<Arc<AclMessage>> {
        self.seat.lock().desk().current.as_ref()?.acl.clone()
    }

    pub(crate) fn timers(&self) -> usize {
        self.seat
            .lock()
            .rare
            .as_ref()
            .map_or(0, |rare| rare.timers.len() + rare.fired.len())
    }

    pub(crate) fn stashed(&self) -> usize {
        self.seat
            .lock()
            .rare
            .as_ref()
            .map_or(0, |rare| rare.stash.len())
    }

    /// Does what the mailbox says is needed for its letters to be seen.
    pub(crate) fn wake(&self, wake: Wake) {
        match wake {
            Wake::None => {}
            Wake::Parked(waker) => waker.wake(),
            Wake::Absent => {
                if let Some(cell) = self.arc() {
                    shell::attach(&cell);
                }
            }
        }
    }

    /// Raises a control flag and makes the consumer look at it.
    pub(crate) fn raise(&self, flag: u8) {
        self.mailbox().control().fetch_or(flag, Ordering::AcqRel);
        let wake = self.mailbox().wake_consumer();
        self.wake(wake);
    }

    pub(crate) fn lower(&self, flag: u8) -> bool {
        self.mailbox().control().fetch_and(!flag, Ordering::AcqRel) & flag != 0
    }
}
