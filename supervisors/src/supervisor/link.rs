//! The line from a child to its supervisor.

use crate::child::Child;
use crate::contain::{Contained, HeldChild};
use crate::env::Env;
use crate::supervisor::actor::Input;
use crate::supervisor::call::Args;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use swarm_protocols::{ExitReason, Path, Pid};
use tokio::sync::{mpsc, watch};

/// A child's line to its supervisor, made anew for each start. Cheap to clone.
///
/// The end of the life that begins with this start is reported through it with [`exited`](Self::exited). The first report
/// counts. When all clones are gone without one, the life ended as `killed`: nothing is left that could say otherwise.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    above: Arc<Above>,
    path: Path,
    // The parts of a [`StartKey`], so that the flag finds room beside them.
    life: u64,
    slot: u32,
    reported: AtomicBool,
    given: Mutex<Option<Box<Given>>>,
}

/// What the links of all children of one supervisor share.
pub(crate) struct Above {
    pub(crate) supervisor: Pid,
    pub(crate) env: Env,
    pub(crate) to: Target,
}

pub(crate) enum Target {
    /// The queue of the supervisor that started the child.
    Queue(mpsc::UnboundedSender<Input>),
    /// Whoever holds the root.
    Root(watch::Sender<Option<ExitReason>>),
}

/// Where a supervisor has put a child, and which of its starts this is for.
#[derive(Clone, Copy, Default)]
pub(crate) struct StartKey {
    pub(crate) life: u64,
    pub(crate) slot: u32,
}

/// What a start may read and nobody needs later; emptied when the start is over, so that no life holds on to the one
/// before it or to its arguments (S64).
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) previous: Option<HeldChild>,
    pub(crate) args: Option<Contained<Args>>,
}

impl Link {
    pub(crate) fn new(above: Arc<Above>, path: Path, start: StartKey, given: Given) -> Self {
        let is_given = given.previous.is_some() || given.args.is_some();
        Self {
            inner: Arc::new(Inner {
                above,
                path,
                life: start.life,
                slot: start.slot,
                reported: AtomicBool::new(false),
                given: Mutex::new(is_given.then(|| Box::new(given))),
            }),
        }
    }

    /// Where the child stands in the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Which supervisor started it, and which life of that one. The pid of a root's supervisor is that of the root itself.
    #[must_use]
    pub fn supervisor(&self) -> Pid {
        self.inner.above.supervisor
    }

    /// What the tree shares.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.inner.above.env
    }

    /// The arguments of this instance of a `simple_one_for_one` template. Only during the start.
    #[must_use]
    pub fn args(&self) -> Option<Args> {
        let given = self.inner.given.lock();
        Some(Args::clone(given.as_ref()?.args.as_ref()?))
    }

    /// The last life of the same child, where there was one. Only during the start.
    #[must_use]
    pub fn previous(&self) -> Option<Arc<dyn Child>> {
        let given = self.inner.given.lock();
        Some(Arc::clone(given.as_ref()?.previous.as_ref()?))
    }

    /// Reports that the life `pid` ended. Only the first report counts.
    pub fn exited(&self, pid: Pid, reason: ExitReason) {
        let _ = pid;
        self.inner.report(reason);
    }

    /// No life came of the start: nothing that is reported from here on means anything.
    pub(crate) fn never_mind(&self) {
        self.inner.reported.store(true, Ordering::Release);
    }

    pub(crate) fn is_root(&self) -> bool {
        matches!(self.inner.above.to, Target::Root(_))
    }

    pub(crate) fn start_is_over(&self) {
        let given = self.inner.given.lock().take();
        drop(given);
    }
}

impl Inner {
    fn report(&self, reason: ExitReason) {
        if self.reported.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.above.to {
            // The supervisor is gone when its queue is; then nobody wants to know.
            Target::Queue(queue) => {
                let _ = queue.send(Input::Exited {
                    slot: self.slot,
                    life: self.life,
                    reason,
                });
            }
            Target::Root(ended) => {
                ended.send_replace(Some(reason));
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.report(ExitReason::Killed);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("path", &self.inner.path)
            .field("supervisor", &self.inner.above.supervisor)
            .finish_non_exhaustive()
    }
}
