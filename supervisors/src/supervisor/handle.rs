//! The handle of a running supervisor.

use crate::child::Child;
use crate::contain::Contained;
use crate::env::Env;
use crate::report::Report;
use crate::spec::ChildSpec;
use crate::supervisor::actor::Input;
use crate::supervisor::call::{
    Args, Call, CallError, ChildEntry, ChildKey, ChildStarted, Counts, Reply, SpecView,
};
use crate::supervisor::life::Life;
use std::sync::Arc;
use swarm_protocols::{Name, Path, Pid};
use tokio::sync::oneshot;

/// A running supervisor: one life of it. Cheap to clone; all calls fail with [`CallError::NoProc`] when that life is over.
///
/// A supervisor does one thing at a time: calls wait until what it is doing is done, however long that takes (S12).
#[derive(Clone)]
pub struct SupervisorRef {
    pub(crate) life: Arc<Life>,
}

impl SupervisorRef {
    /// Which life of the supervisor this is.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.life.pid()
    }

    /// Where it stands in the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.life.path()
    }

    /// What it shares with the rest of its tree.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.life.env()
    }

    /// Whether this life is still running.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.life.is_alive()
    }

    /// Adds a child and starts it.
    ///
    /// # Errors
    /// [`CallError::AlreadyStarted`] or [`CallError::AlreadyPresent`] when the id is taken, [`CallError::Invalid`] when the
    /// spec does not fit, [`CallError::StartFailed`] when the child did not start; the spec is not kept then.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<ChildStarted, CallError> {
        self.call(|reply| Call::StartChild(Contained::new(Box::new(spec)), reply))
            .await
    }

    /// Starts an instance of the template of a `simple_one_for_one` supervisor. Without a name it gets one: the
    /// template's id and a number.
    ///
    /// # Errors
    /// [`CallError::NotSimpleOneForOne`] under other strategies, otherwise as [`start_child`](Self::start_child).
    pub async fn start_instance(
        &self,
        name: Option<Name>,
        args: Option<Args>,
    ) -> Result<ChildStarted, CallError> {
        self.call(|reply| Call::StartInstance(name, args.map(Contained::new), reply))
            .await
    }

    /// Stops a child as its spec says and keeps the spec, unless the child is temporary or an instance.
    ///
    /// # Errors
    /// [`CallError::NotFound`] when there is no such child, [`CallError::SimpleOneForOne`] for an id under that strategy.
    pub async fn terminate_child(&self, key: impl Into<ChildKey>) -> Result<(), CallError> {
        self.call(|reply| Call::Terminate(key.into(), reply)).await
    }

    /// Starts a child that is stopped.
    ///
    /// # Errors
    /// [`CallError::Running`], [`CallError::Restarting`] or [`CallError::NotFound`] when it is not stopped,
    /// [`CallError::StartFailed`] when it did not start: it stays stopped and is not tried again.
    pub async fn restart_child(&self, key: impl Into<ChildKey>) -> Result<ChildStarted, CallError> {
        self.call(|reply| Call::Restart(key.into(), reply)).await
    }

    /// Forgets a child that is stopped.
    ///
    /// # Errors
    /// [`CallError::Running`], [`CallError::Restarting`] or [`CallError::NotFound`] when it is not stopped.
    pub async fn delete_child(&self, key: impl Into<ChildKey>) -> Result<(), CallError> {
        self.call(|reply| Call::Delete(key.into(), reply)).await
    }

    /// Stops a child as its spec says, if it runs, and starts it again, in one step. Not counted as a restart. Works for
    /// instances too.
    ///
    /// # Errors
    /// [`CallError::NotFound`]; [`CallError::Temporary`]; [`CallError::StartFailed`] when it did not start again: it stays stopped, an
    /// instance is gone.
    pub async fn cycle_child(&self, key: impl Into<ChildKey>) -> Result<ChildStarted, CallError> {
        self.call(|reply| Call::Cycle(key.into(), reply)).await
    }

    /// All children, the one started last in front.
    ///
    /// # Errors
    /// [`CallError::NoProc`] only.
    pub async fn which_children(&self) -> Result<Vec<ChildEntry>, CallError> {
        self.call(Call::WhichChildren).await
    }

    /// One child.
    ///
    /// # Errors
    /// [`CallError::NotFound`] when there is no such child, [`CallError::SimpleOneForOne`] for an id under that strategy.
    pub async fn which_child(&self, key: impl Into<ChildKey>) -> Result<ChildEntry, CallError> {
        self.call(|reply| Call::WhichChild(key.into(), reply)).await
    }

    /// How many children there are, and of which sort.
    ///
    /// # Errors
    /// [`CallError::NoProc`] only.
    pub async fn count_children(&self) -> Result<Counts, CallError> {
        self.call(Call::CountChildren).await
    }

    /// The spec of one child.
    ///
    /// # Errors
    /// [`CallError::NotFound`] when there is no such child.
    pub async fn child_spec(&self, key: impl Into<ChildKey>) -> Result<SpecView, CallError> {
        self.call(|reply| Call::Spec(key.into(), reply)).await
    }

    /// Runs the supervisor's init again and takes over what it says without touching running children: new flags, new
    /// specs of children that are there; children that are new are known but not started; children that are no longer
    /// named stay (S149 to S154).
    ///
    /// # Errors
    /// [`CallError::Invalid`] or [`CallError::StartFailed`] with what is wrong with the answer of init; nothing was changed.
    pub async fn reconfigure(&self) -> Result<(), CallError> {
        self.call(Call::Reconfigure).await
    }

    /// Ends the supervisor at once, without an ordered shutdown: its children are killed with it (S52).
    pub fn kill(&self) {
        self.life.kill();
    }

    async fn call<T: Send + 'static>(
        &self,
        make: impl FnOnce(Reply<T>) -> Call,
    ) -> Result<T, CallError> {
        // The queue itself is unbounded, for exits; calls take one of a bounded number of permits first and wait for one
        // when there are none.
        let Ok(permit) = self.life.calls().clone().acquire_owned().await else {
            return Err(CallError::NoProc);
        };
        let (tell, mut told) = oneshot::channel();
        let reply = Reply::new(move |answer| {
            let _ = tell.send(answer);
        });
        self.life.post(Input::Call {
            call: make(reply),
            permit: Some(permit),
        });
        tokio::select! {
            biased;
            answer = &mut told => answer.unwrap_or(Err(CallError::NoProc)),
            // A call that enters the queue just when its reader goes away may stay in it, unread and undropped, for as
            // long as somebody holds this life; we do.
            () = self.life.queue().closed() => told
                .try_recv()
                .unwrap_or(Err(CallError::NoProc)),
        }
    }

    /// Puts a call into the queue without waiting for a permit; for whoever makes a known number of calls.
    #[cfg_attr(
        not(feature = "scenario"),
        expect(dead_code, reason = "the scenario engine is its user")
    )]
    pub(crate) fn post_call(&self, call: Call) {
        self.life.post(Input::Call { call, permit: None });
    }
}

impl Child for SupervisorRef {
    fn pid(&self) -> Pid {
        self.life.pid()
    }

    fn signal(&self) {
        if self.life.is_alive() {
            self.env().observer().report(&Report::SupervisorStopping {
                supervisor: self.path().clone(),
                pid: self.pid(),
            });
        }
        self.life.post(Input::Shutdown);
    }

    fn kill(&self) {
        self.life.kill();
    }

    fn settle(&self, disposition: crate::Disposition) {
        self.life.settle(disposition);
    }

    fn supervisor(&self) -> Option<SupervisorRef> {
        Some(self.clone())
    }
}

impl std::fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupervisorRef")
            .field("path", self.path())
            .field("pid", &self.pid())
            .finish()
    }
}
