//! What can be asked of a running supervisor, and what it answers.

use crate::child::{Child, Info};
use crate::contain::Contained;
use crate::spec::{ChildSpec, ChildType, Restart, Shutdown, SpecError};
use std::any::Any;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Name, Path, Pid};

/// The arguments of one instance under `simple_one_for_one`. A restart gets the same ones (S98).
pub type Args = Arc<dyn Any + Send + Sync>;

/// Which child is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChildKey {
    /// The last part of its path: the id of its spec or, under `simple_one_for_one`, the name of the instance.
    Name(Name),
    /// The id of its spec, as strict as OTP: under `simple_one_for_one` there is nothing that it could mean (S103).
    Id(Name),
    /// One life of an instance; under the other strategies it means nobody (S115).
    Pid(Pid),
}

impl From<Name> for ChildKey {
    fn from(name: Name) -> Self {
        Self::Name(name)
    }
}

impl From<&Name> for ChildKey {
    fn from(name: &Name) -> Self {
        Self::Name(name.clone())
    }
}

impl From<Pid> for ChildKey {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

/// Why a call did not do what was asked. The supervisor and its children are as before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// A child of this id is running, or what the child wants to be called is taken.
    #[error("already started as {0}")]
    AlreadyStarted(Pid),
    /// There is a spec of this id whose child is not running; `restart_child` starts it, `delete_child` makes room.
    #[error("a child of this name is already present")]
    AlreadyPresent,
    /// The child runs; terminate it first.
    #[error("the child is running")]
    Running,
    /// The child is between two attempts to restart it; `terminate_child` cancels them.
    #[error("the child is being restarted")]
    Restarting,
    /// There is no such child.
    #[error("there is no such child")]
    NotFound,
    /// The call makes no sense under `simple_one_for_one`.
    #[error("not possible under simple_one_for_one")]
    SimpleOneForOne,
    /// The call makes sense under `simple_one_for_one` only.
    #[error("only possible under simple_one_for_one")]
    NotSimpleOneForOne,
    /// The child did not start.
    #[error("the child did not start: {0}")]
    StartFailed(ExitReason),
    /// The spec does not fit.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// The arguments of temporary children are not kept (S62), so that they cannot be started again by a call.
    #[error("a temporary child cannot be started again")]
    Temporary,
    /// The supervisor has as many children as it may have. Nothing was changed; there is room when one is gone.
    #[error("the supervisor has {max} children, which is the most")]
    Full {
        /// How many it may have.
        max: u32,
    },
    /// The supervisor ended, or ended before it came to this call.
    #[error("there is no such supervisor")]
    NoProc,
}

/// The answer to a call that started a child.
#[derive(Clone)]
pub struct ChildStarted {
    /// Which life has begun; none when the child answered "ignore".
    pub pid: Option<Pid>,
    /// How to reach it; none when the child answered "ignore".
    pub child: Option<Arc<dyn Child>>,
    /// What its start function had to say (S22).
    pub info: Option<Info>,
}

impl std::fmt::Debug for ChildStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildStarted")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// What a child slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildState {
    /// A life is running.
    Running(Pid),
    /// The spec is there, nothing runs (OTP: `undefined`).
    Stopped,
    /// An attempt to restart it failed or waits for its delay; the next one will follow.
    Restarting,
}

impl ChildState {
    /// The life that is running, if one is.
    #[must_use]
    pub fn pid(self) -> Option<Pid> {
        match self {
            Self::Running(pid) => Some(pid),
            Self::Stopped | Self::Restarting => None,
        }
    }
}

/// One line of `which_children`.
#[derive(Clone)]
pub struct ChildEntry {
    /// The id of its spec; none for an instance under `simple_one_for_one` (S105).
    pub id: Option<Name>,
    /// The last part of its path.
    pub name: Name,
    /// Its path.
    pub path: Path,
    /// What it is doing.
    pub state: ChildState,
    /// What it is.
    pub child_type: ChildType,
    /// How to reach it while it runs.
    pub child: Option<Arc<dyn Child>>,
}

impl std::fmt::Debug for ChildEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildEntry")
            .field("id", &self.id)
            .field("path", &self.path)
            .field("state", &self.state)
            .field("child_type", &self.child_type)
            .finish_non_exhaustive()
    }
}

/// The answer of `count_children`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// How many specs there are.
    pub specs: usize,
    /// How many children are alive now.
    pub active: usize,
    /// How many slots are supervisors, alive or not.
    pub supervisors: usize,
    /// How many slots are workers, alive or not.
    pub workers: usize,
}

/// A child's spec as the supervisor has it, without its start function.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecView {
    /// Its id.
    pub id: Name,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// What it is.
    pub child_type: ChildType,
    /// Whether its own end counts for automatic shutdown.
    pub significant: bool,
}

/// Where the answer to one call goes; told `noproc` when the supervisor goes away without answering.
pub(crate) struct Reply<T>(Option<Tell<T>>);

type Tell<T> = Box<dyn FnOnce(Result<T, CallError>) + Send>;

impl<T> Reply<T> {
    pub(crate) fn new(tell: impl FnOnce(Result<T, CallError>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    pub(crate) fn send(mut self, answer: Result<T, CallError>) {
        if let Some(tell) = self.0.take() {
            tell(answer);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(CallError::NoProc));
        }
    }
}

/// A call on its way to the supervisor.
pub(crate) enum Call {
    StartChild(Contained<Box<ChildSpec>>, Reply<ChildStarted>),
    StartInstance(Option<Name>, Option<Contained<Args>>, Reply<ChildStarted>),
    Terminate(ChildKey, Reply<()>),
    Restart(ChildKey, Reply<ChildStarted>),
    Delete(ChildKey, Reply<()>),
    Cycle(ChildKey, Reply<ChildStarted>),
    WhichChildren(Reply<Vec<ChildEntry>>),
    WhichChild(ChildKey, Reply<ChildEntry>),
    CountChildren(Reply<Counts>),
    Spec(ChildKey, Reply<SpecView>),
    Reconfigure(Reply<()>),
}
