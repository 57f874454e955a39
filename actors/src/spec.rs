//! What an agent is to be: its behaviour, its mailbox, its limits, and how its supervisor treats it.

use crate::agent::Agent;
use crate::cell::StartCell;
use crate::recorder::SpecRecord;
use crate::system::System;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{Name, NameError};
use swarm_supervisors::{Backoff, ChildSpec, Restart, Shutdown};

/// How many letters a mailbox holds unless its spec says otherwise.
pub const MAILBOX_CAPACITY_DEFAULT: u32 = 1024;

/// What a sender meets at a full mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits until there is room. A send out of a turn waits at most the system's send limit (5 s), then the message is
    /// a dead letter `overloaded`.
    #[default]
    Wait,
    /// It is told at once, and has its message back.
    Fail,
    /// The oldest message of the lowest priority becomes a dead letter and makes room.
    DropOldest,
}

/// What becomes of queued messages when a life ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrash {
    /// They wait for the next life.
    #[default]
    Keep,
    /// They become dead letters, asks among them fail: OTP's way.
    Drop,
}

/// An agent's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxOptions {
    /// How many messages it holds, exactly. At least 1. Default 1024.
    pub capacity: u32,
    /// What a sender meets when it is full, unless the send itself says otherwise.
    pub when_full: WhenFull,
    /// What becomes of queued messages when a life ends.
    pub on_crash: OnCrash,
    /// How often a message whose turn crashed is handed to the next life before it becomes a dead letter. Needs
    /// [`Message::copy`](crate::Message::copy).
    pub redeliver: u8,
    /// Whether a copy of a message whose turn crashed is kept with its dead letter, for replay. Costs one
    /// [`Message::copy`](crate::Message::copy) per turn. ACL messages are always kept: that is free.
    pub keep_failed: bool,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        Self {
            capacity: MAILBOX_CAPACITY_DEFAULT,
            when_full: WhenFull::Wait,
            on_crash: OnCrash::Keep,
            redeliver: 0,
            keep_failed: false,
        }
    }
}

/// What becomes of an agent whose registered name another agent of the cluster has: it came first, or won when two parts of the
/// cluster met again. First the agent is told and has time to hand over ([`Agent::on_name`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNameConflict {
    /// It goes on. By the name it is found on its own node only, until the name is free again.
    #[default]
    KeepLocal,
    /// It is stopped in order, and started again when nobody has the name. What is queued becomes dead letters.
    Stop,
    /// The same, and what is queued goes to the winner, as far as it can travel to another node.
    HandOver,
}

impl OnNameConflict {
    /// The choice as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepLocal => "keep-local",
            Self::Stop => "stop",
            Self::HandOver => "hand-over",
        }
    }
}

/// Where an agent's turns run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// On the system's workers, a few threads shared by all.
    #[default]
    Shared,
    /// On a thread of its own: for native code that blocks.
    Dedicated,
}

/// How a cell's behaviour is made and kept; shared by all agents of one spec.
pub(crate) struct Plan<A> {
    pub(crate) make: Box<dyn Fn() -> A + Send + Sync>,
    pub(crate) kind: &'static str,
    pub(crate) mailbox: MailboxOptions,
    pub(crate) turn_deadline: Option<Duration>,
    pub(crate) sleep_after: Option<Duration>,
    pub(crate) eager: bool,
    pub(crate) placement: Placement,
    pub(crate) groups: Vec<Name>,
    pub(crate) registered: Option<Name>,
    pub(crate) on_name_conflict: OnNameConflict,
    /// For crash reports: the spec in words.
    pub(crate) record: SpecRecord,
}

/// A spec for one agent, or for several that differ in id only.
pub struct AgentSpec<A: Agent> {
    id: Name,
    plan: Plan<A>,
    restart: Restart,
    shutdown: Option<Shutdown>,
    significant: bool,
    restart_delay: Option<Backoff>,
    start_timeout: Option<Duration>,
}

impl<A: Agent> AgentSpec<A> {
    /// An agent called `id` below its supervisor; `make` builds the behaviour of each of its lives. Permanent, with a
    /// mailbox of 1024 messages that survives crashes and a turn deadline of 30 s.
    ///
    /// # Errors
    /// [`NameError`] when `id` is not a name.
    pub fn new(id: &str, make: impl Fn() -> A + Send + Sync + 'static) -> Result<Self, NameError> {
        Ok(Self {
            id: Name::new(id)?,
            plan: Plan {
                make: Box::new(make),
                kind: "native",
                mailbox: MailboxOptions::default(),
                turn_deadline: Some(Duration::from_secs(30)),
                sleep_after: None,
                eager: false,
                placement: Placement::Shared,
                groups: Vec::new(),
                registered: None,
                on_name_conflict: OnNameConflict::KeepLocal,
                record: SpecRecord::default(),
            },
            restart: Restart::Permanent,
            shutdown: None,
            significant: false,
            restart_delay: None,
            start_timeout: None,
        })
    }

    /// When it is restarted.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Whether its end may end its supervisor (otp.md A11).
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// A pause before each restart. Not in OTP; the supervisor keeps serving meanwhile.
    #[must_use]
    pub fn restart_delay(mut self, delay: Backoff) -> Self {
        self.restart_delay = Some(delay);
        self
    }

    /// How long an init may take before it is cut off. Not in OTP; without it there is no limit.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = Some(timeout);
        self
    }

    /// Its mailbox. A capacity of 0 is taken as 1.
    #[must_use]
    pub fn mailbox(mut self, mailbox: MailboxOptions) -> Self {
        self.plan.mailbox = MailboxOptions {
            capacity: mailbox.capacity.max(1),
            ..mailbox
        };
        self
    }

    /// How long a turn may take; `None` for no limit. A turn that overruns is cut off at its next await and ends the life
    /// with `limit(turn-time)`; one that never awaits is reported as stuck, fenced off and replaced.
    #[must_use]
    pub fn turn_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.plan.turn_deadline = deadline;
        self
    }

    /// After how long without a message its shell is taken down, so that it costs next to nothing; the behaviour stays.
    /// Rounded up to the watchdog's interval.
    #[must_use]
    pub fn sleep_after(mut self, idle: Duration) -> Self {
        self.plan.sleep_after = Some(idle);
        self
    }

    /// Gives it a shell at its start instead of at its first message.
    #[must_use]
    pub fn eager(mut self, eager: bool) -> Self {
        self.plan.eager = eager;
        self
    }

    /// Where its turns run.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.plan.placement = placement;
        self
    }

    /// Groups that it joins at its start.
    #[must_use]
    pub fn groups(mut self, groups: Vec<Name>) -> Self {
        self.plan.groups = groups;
        self
    }

    /// A name under which it can be found anywhere on the node. Its start fails with `already started` while somebody
    /// else has it.
    #[must_use]
    pub fn registered(mut self, name: Name) -> Self {
        self.plan.registered = Some(name);
        self
    }

    /// What becomes of it when another agent of the cluster has its registered name.
    #[must_use]
    pub fn on_name_conflict(mut self, choice: OnNameConflict) -> Self {
        self.plan.on_name_conflict = choice;
        self
    }

    /// What is shown as the actor's kind; `native` by default.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.plan.kind = kind;
        self
    }

    /// The child spec for a supervisor's list. The cell is made, or found again, in `system` when the supervisor starts it.
    #[must_use]
    pub fn child(self, system: &System) -> ChildSpec {
        self.children(system, None).remove(0)
    }

    /// Child specs for `count` agents that share this spec: `id-1` to `id-count`.
    #[must_use]
    pub fn replicas(self, system: &System, count: u32) -> Vec<ChildSpec> {
        self.children(system, Some(count))
    }

    fn record(&self) -> SpecRecord {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        SpecRecord {
            restart: match self.restart {
                Restart::Permanent => "permanent",
                Restart::Transient => "transient",
                Restart::Temporary => "temporary",
            }
            .into(),
            shutdown: match self.shutdown.unwrap_or(Shutdown::WORKER_DEFAULT) {
                Shutdown::BrutalKill => "brutal_kill".into(),
                Shutdown::Timeout(time) => ms(time).to_string().into(),
                Shutdown::Infinity => "infinity".into(),
            },
            significant: self.significant,
            mailbox_capacity: self.plan.mailbox.capacity,
            turn_deadline_ms: self.plan.turn_deadline.map(ms),
        }
    }

    fn children(self, system: &System, replicas: Option<u32>) -> Vec<ChildSpec> {
        let record = self.record();
        let plan = Arc::new(Plan {
            record,
            ..self.plan
        });
        let start = Arc::new(StartCell::new(plan, system));
        let ids = match replicas {
            None => vec![self.id],
            Some(count) => (1..=count)
                .map(|n| {
                    Name::new(&format!("{}-{n}", self.id))
                        .expect("a replica's number adds few characters of the alphabet")
                })
                .collect(),
        };
        ids.into_iter()
            .map(|id| {
                let mut spec = ChildSpec::new(id, start.clone()).restart(self.restart);
                if let Some(shutdown) = self.shutdown {
                    spec = spec.shutdown(shutdown);
                }
                if let Some(delay) = self.restart_delay {
                    spec = spec.restart_delay(delay);
                }
                if let Some(timeout) = self.start_timeout {
                    spec = spec.start_timeout(timeout);
                }
                spec.significant(self.significant)
            })
            .collect()
    }
}
