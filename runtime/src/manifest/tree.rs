//! The tree that a manifest declares, after all checks: what is in these types can be started.

use super::place::Place;
use super::wasm::Wasm;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use swarm_actors::OnNameConflict;
use swarm_protocols::{Name, Path};
use swarm_supervisors::{Backoff, Restart, Shutdown, SupervisorFlags};

/// A supervisor and what stands below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Supervisor {
    /// Where it stands.
    pub path: Path,
    /// What it does when a child dies, how often, and when it ends by itself.
    pub flags: SupervisorFlags,
    /// How its own supervisor treats it; without meaning for the root.
    pub child: ChildPolicy,
    /// What it starts.
    pub children: Children,
}

/// What a supervisor starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Children {
    /// These, in this order.
    Static(Vec<Child>),
    /// Instances of one template, started at run time (simple_one_for_one).
    Template {
        /// What an instance is.
        agent: Box<Agent>,
        /// How many are started with the supervisor, as `NAME-1`, `NAME-2`, ….
        instances: u32,
    },
}

/// A static child.
#[derive(Clone, Debug, PartialEq)]
pub enum Child {
    /// A supervisor.
    Supervisor(Supervisor),
    /// An agent.
    Agent(Agent),
}

/// An agent, or several that differ in the number at the end of their name only.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Where it stands; with replicas, where `-1`, `-2`, … are added.
    pub path: Path,
    /// How many there are; none: one, at `path` itself. A template has none.
    pub replicas: Option<u32>,
    /// What it runs.
    pub code: Code,
    /// What the behaviour is told.
    pub config: Value,
    /// How its supervisor treats it.
    pub child: ChildPolicy,
    /// The groups that it joins.
    pub groups: Vec<Name>,
    /// The name under which it is registered.
    pub registered: Option<Name>,
    /// What becomes of it when another agent of the cluster has that name.
    pub on_name_conflict: OnNameConflict,
    /// How long one turn may take; none: as long as it likes.
    pub turn_deadline: TurnDeadline,
    /// After how long without a message its shell is taken down; none: never.
    pub sleep_after: Option<Duration>,
    /// Whether its turns run on a thread of its own.
    pub dedicated: bool,
    /// Its mailbox.
    pub mailbox: Mailbox,
}

/// What an agent runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// The registered behaviour of this name.
    Native(Name),
    /// A WebAssembly component.
    Wasm(Box<Wasm>),
}

/// How long a turn may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnDeadline {
    /// As the runtime has it.
    Default,
    /// So long.
    Within(Duration),
    /// As long as it likes.
    Unlimited,
}

/// How a supervisor treats a child.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildPolicy {
    /// When it is restarted.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether its end can end its supervisor.
    pub significant: bool,
    /// The pause before a restart; none: at once, as in OTP.
    pub restart_delay: Option<Backoff>,
    /// How long its start may take; none: as long as it likes, as in OTP.
    pub start_timeout: Option<Duration>,
    /// Where in the cluster it runs; none: on every node whose manifest declares it.
    pub place: Option<Place>,
}

/// An agent's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mailbox {
    /// How many messages it holds.
    pub capacity: u32,
    /// What a sender meets when it is full.
    pub when_full: WhenFull,
    /// What becomes of the queue when the agent crashes.
    pub on_crash: OnCrash,
    /// How often a message whose turn failed is delivered again before it becomes a dead letter.
    pub redeliver: u8,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            capacity: 1024,
            when_full: WhenFull::Wait,
            on_crash: OnCrash::Keep,
            redeliver: 0,
        }
    }
}

/// What a sender meets at a full mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits, at most for the runtime's send time-out.
    Wait,
    /// It is told at once.
    Fail,
    /// The oldest message becomes a dead letter.
    DropOldest,
}

/// What becomes of queued messages when the agent crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCrash {
    /// They stay.
    Keep,
    /// They die with it, as in OTP.
    Drop,
}

impl Supervisor {
    /// The static children; none for a template.
    pub fn static_children(&self) -> &[Child] {
        match &self.children {
            Children::Static(children) => children,
            Children::Template { .. } => &[],
        }
    }

    /// How many agents its start brings to life, nested ones included.
    #[must_use]
    pub fn agents_at_start(&self) -> u64 {
        match &self.children {
            Children::Template { instances, .. } => u64::from(*instances),
            Children::Static(children) => children
                .iter()
                .map(|child| match child {
                    Child::Agent(agent) => u64::from(agent.replicas.unwrap_or(1)),
                    Child::Supervisor(supervisor) => supervisor.agents_at_start(),
                })
                .sum(),
        }
    }

    /// How many supervisors there are, this one included.
    #[must_use]
    pub fn supervisors(&self) -> u64 {
        1 + self
            .static_children()
            .iter()
            .map(|child| match child {
                Child::Agent(_) => 0,
                Child::Supervisor(supervisor) => supervisor.supervisors(),
            })
            .sum::<u64>()
    }
}

impl Agent {
    /// Whether this agent, or one of its replicas, stands at `path`.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let Some(replicas) = self.replicas else {
            return &self.path == path;
        };
        path.as_str()
            .strip_prefix(self.path.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|number| Some((number, number.parse::<u32>().ok()?)))
            .is_some_and(|(text, n)| (1..=replicas).contains(&n) && n.to_string() == text)
    }

    /// All places at which it stands, in start order.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        let single = self.replicas.is_none().then(|| self.path.clone());
        let replicas = (1..=self.replicas.unwrap_or(0)).filter_map(|n| {
            // The longest of these was checked when the manifest was.
            Path::new(&format!("{}-{n}", self.path)).ok()
        });
        single.into_iter().chain(replicas)
    }
}

impl Child {
    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Supervisor(supervisor) => &supervisor.path,
            Self::Agent(agent) => &agent.path,
        }
    }

    /// How its supervisor treats it.
    #[must_use]
    pub fn policy(&self) -> &ChildPolicy {
        match self {
            Self::Supervisor(supervisor) => &supervisor.child,
            Self::Agent(agent) => &agent.child,
        }
    }
}
