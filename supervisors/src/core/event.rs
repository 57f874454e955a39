//! What the core is told, and what it wants done.

use super::recipe::Recipe;
use crate::child::{Disposition, StartError};
use crate::contain::Contained;
use crate::report::{Context, Offender, ReportReason};
use crate::spec::{ChildSpec, ChildType, SupervisorSpec};
use crate::supervisor::{Args, CallError, ChildKey, ChildState, Counts, SpecView};
use std::time::Duration;
use swarm_protocols::{ExitReason, Name, Pid};

/// Where a child sits. Stable while it is there, used again for another child later.
pub type SlotKey = u32;

/// A timer: when it fires, and a number that no other timer of the same supervisor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    /// When, since the clock's origin.
    pub at: Duration,
    /// Which.
    pub serial: u64,
}

/// What a start led to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A life.
    Running(Pid),
    /// The child does not want to run.
    Ignored,
    /// No life.
    Failed(StartError),
}

/// The message that a supervisor sends itself between two attempts to restart a child (S127).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// For whatever is called so when the message comes round, as in OTP.
    Named(Name),
    /// For one instance.
    Instance {
        /// Where it sits.
        slot: SlotKey,
        /// The start that failed.
        life: u64,
    },
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// The first event: start the children.
    Begin,
    /// What [`Action::Start`] led to.
    Started {
        /// Which child.
        slot: SlotKey,
        /// What came of it.
        outcome: Outcome,
    },
    /// A child's life ended.
    Exited {
        /// Which child.
        slot: SlotKey,
        /// Which start that life came from.
        life: u64,
        /// Why.
        reason: ExitReason,
    },
    /// Somebody asks for something.
    Call {
        /// Goes back with the answer.
        ticket: u64,
        /// What is asked.
        request: Request,
    },
    /// What [`Action::Init`] led to.
    Init(Result<Option<SupervisorSpec>, StartError>),
    /// [`Action::Retry`] came round.
    Retry(Retry),
    /// A timer fired.
    Timer(TimerId),
    /// The parent wants it to stop.
    Shutdown,
}

/// A call.
#[derive(Debug)]
pub enum Request {
    /// Add a child and start it.
    StartChild(Contained<Box<ChildSpec>>),
    /// Start an instance of the template.
    StartInstance(Option<Name>, Option<Contained<Args>>),
    /// Stop a child.
    Terminate {
        /// Which.
        key: ChildKey,
        /// Whether a life that this supervisor does not know is alive somewhere else (S104).
        stranger_alive: bool,
    },
    /// Start a stopped child.
    Restart(ChildKey),
    /// Forget a stopped child.
    Delete(ChildKey),
    /// Stop and start a child.
    Cycle(ChildKey),
    /// List all.
    WhichChildren,
    /// Show one.
    WhichChild(ChildKey),
    /// Count all.
    CountChildren,
    /// Show the spec of one.
    Spec(ChildKey),
    /// Run init again and take over what it says.
    Reconfigure,
}

/// One line of an answer to "which children".
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it sits.
    pub slot: SlotKey,
    /// The id of its spec, where it has one of its own.
    pub id: Option<Name>,
    /// Its name.
    pub name: Name,
    /// What it does.
    pub state: ChildState,
    /// What it is.
    pub child_type: ChildType,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was done.
    Done,
    /// A child was started, or did not want to run.
    Started(Option<(SlotKey, Pid)>),
    /// All children.
    Children(Vec<Row>),
    /// One child.
    Child(Row),
    /// How many.
    Counts(Counts),
    /// The spec of one.
    Spec(SpecView),
}

/// Something to be done now, in the order in which they come.
pub enum Action {
    /// Call the start function, wait for it, and come back with [`Event::Started`] before anything else.
    Start {
        /// For which child.
        slot: SlotKey,
        /// Goes into the child's line to the supervisor and comes back with its exit.
        life: u64,
        /// The last part of its path.
        name: Name,
        /// What to start.
        recipe: Recipe,
        /// The arguments of an instance.
        args: Option<Contained<Args>>,
        /// Whether init named it.
        is_static: bool,
    },
    /// Tell the child to stop.
    Signal(SlotKey),
    /// End the child.
    Kill(SlotKey),
    /// Tell the child what becomes of it.
    Settle(SlotKey, Disposition),
    /// The slot is free now.
    Forget(SlotKey),
    /// Come back with [`Event::Timer`] then.
    SetTimer(TimerId),
    /// That timer is not needed any more.
    CancelTimer(TimerId),
    /// Put this at the end of the supervisor's own queue and come back with [`Event::Retry`].
    Retry(Retry),
    /// Run init and come back with [`Event::Init`] before anything else.
    Init,
    /// Report a failure.
    Failure {
        /// In the course of what.
        context: Context,
        /// What happened.
        reason: ReportReason,
        /// To whom.
        offender: Offender,
    },
    /// Report a start.
    Progress {
        /// Which child.
        started: Offender,
        /// Whether somebody called for it.
        by_call: bool,
    },
    /// Answer a call.
    Answer {
        /// Which.
        ticket: u64,
        /// With what.
        answer: Result<Answer, CallError>,
    },
    /// The children that init named are started.
    Ready,
    /// One of the children that init named did not start; the others were stopped again. Nothing follows.
    StartFailed(StartError),
    /// All children are gone. Nothing follows.
    Exit(ExitReason),
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start { slot, life, .. } => write!(f, "Start({slot}, {life})"),
            Self::Signal(slot) => write!(f, "Signal({slot})"),
            Self::Kill(slot) => write!(f, "Kill({slot})"),
            Self::Settle(slot, disposition) => write!(f, "Settle({slot}, {disposition:?})"),
            Self::Forget(slot) => write!(f, "Forget({slot})"),
            Self::SetTimer(timer) => write!(f, "SetTimer({timer:?})"),
            Self::CancelTimer(timer) => write!(f, "CancelTimer({timer:?})"),
            Self::Retry(retry) => write!(f, "Retry({retry:?})"),
            Self::Init => f.write_str("Init"),
            Self::Failure { context, .. } => write!(f, "Failure({context:?})"),
            Self::Progress { started, .. } => write!(f, "Progress({})", started.id),
            Self::Answer { ticket, answer } => write!(f, "Answer({ticket}, {answer:?})"),
            Self::Ready => f.write_str("Ready"),
            Self::StartFailed(error) => write!(f, "StartFailed({error})"),
            Self::Exit(reason) => write!(f, "Exit({reason})"),
        }
    }
}
