//! What a supervisor drives its children through. A plain ractor actor, a supervisor and an agent's cell all implement it.

use crate::spec::SpecError;
use crate::supervisor::Link;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Name, Pid};

/// What a start function hands back to the caller of `start_child` or `restart_child`. The supervisor does not keep it.
pub type Info = Arc<dyn Any + Send + Sync>;

/// A child's start function: the part of a child spec that makes one life of the child.
///
/// The same start function is called again for each restart. A child that lives in a cell is restarted in place: the
/// function finds its cell again and begins the next incarnation there, so that address and mailbox stay.
pub trait StartChild: Send + Sync + 'static {
    /// Starts the child; the future is done when its init is. The supervisor does nothing else meanwhile (otp.md S12).
    ///
    /// `link` is the child's line to its supervisor: the end of this life is reported through it, exactly once, and only
    /// after a successful start. A panic counts as [`StartError::Failed`] (S13). When the future is dropped before it is
    /// done (the supervisor was killed, or the start time-out passed), whatever it has begun must be undone.
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>>;
}

/// A life that has begun.
pub struct Started {
    /// How the supervisor reaches it.
    pub child: Arc<dyn Child>,
    /// For the caller of `start_child`.
    pub info: Option<Info>,
}

/// Why there is no new life.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The child does not want to run now; that is not an error (S14).
    #[error("ignore")]
    Ignore,
    /// Its init failed.
    #[error("{0}")]
    Failed(ExitReason),
    /// What it is to be called is taken by somebody else (S23).
    #[error("already started as {0}")]
    AlreadyStarted(Pid),
    /// A supervisor's child did not start; the ones before it were stopped again (S06).
    #[error("failed to start child {id}: {cause}")]
    Child {
        /// The child that did not start.
        id: Name,
        /// Why it did not.
        #[source]
        cause: Box<StartError>,
    },
    /// A supervisor's init returned flags or child specs that do not fit together (S10, S27). Nothing was started.
    #[error("{0}")]
    Invalid(#[from] SpecError),
}

impl StartError {
    /// The same as an exit reason: what the parent sees as the reason of an actor that did not start.
    #[must_use]
    pub fn reason(&self) -> ExitReason {
        match self {
            Self::Ignore => ExitReason::Normal,
            Self::Failed(reason) => reason.clone(),
            Self::AlreadyStarted(_) => ExitReason::error_text(self.to_string()),
            Self::Child { .. } => ExitReason::Shutdown(Some(self.to_string().into())),
            Self::Invalid(error) => ExitReason::error(error),
        }
    }
}

/// A running child. All calls return at once; the end is reported through the [`Link`] that the start function got.
pub trait Child: Send + Sync + 'static {
    /// Which life this is.
    fn pid(&self) -> Pid;

    /// Tells it to stop in an orderly way, with reason `shutdown`. It may take its time; the supervisor has a timer.
    fn signal(&self);

    /// Ends it now. Its end is reported with reason `killed` without waiting for code that does not yield.
    fn kill(&self);

    /// What becomes of the slot after this life ended; called after its end was reported and the supervisor has decided,
    /// and again when that changes before another life begins (see [`Disposition`]). What has no mailbox or name to keep
    /// ignores it. Called while the supervisor's books are open: it must return at once and not turn to that supervisor.
    fn settle(&self, disposition: Disposition) {
        let _ = disposition;
    }

    /// The supervisor inside, where the child is one.
    fn supervisor(&self) -> Option<crate::SupervisorRef> {
        None
    }
}

/// What becomes of a child after one of its lives ended.
///
/// After each ended life the supervisor says one of these. Until the next start of the same child it may say another one
/// when things change: `Restarting` becomes `Stopped` when `terminate_child` cancels the restart; `Stopped`, `Ended` and
/// `SupervisorEnded` become `Removed` when the spec goes away. Only `Removed` is final; every child that is not running
/// and will never run again has been told `Removed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It will be started again by its supervisor: what is queued for it waits.
    Restarting,
    /// It was stopped by `terminate_child`; its spec is kept. What is queued waits for `restart_child`, new sends are refused.
    Stopped,
    /// It ended by itself and is not restarted, though its spec may be kept: name and mail are given up.
    Ended,
    /// Its supervisor ended, and whether that one comes back is for the one above to decide. Hold everything: either the
    /// next start of the supervisor starts this child again, or another disposition follows. Only static children are
    /// told this; dynamic ones do not survive their supervisor and are `Removed` at once (S122).
    SupervisorEnded,
    /// Its spec is gone, or its supervisor is for good: nothing will start it again.
    Removed,
}
