//! One life of a supervisor, what outlasts it, and the start function that makes one.

use crate::child::{Child, Disposition, StartChild, StartError, Started};
use crate::env::Env;
use crate::spec::SupervisorInit;
use crate::supervisor::actor::Input;
use crate::supervisor::link::Link;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use swarm_protocols::{Path, Pid};
use tokio::sync::{Semaphore, mpsc};

/// The start function of a supervisor below another one.
///
/// A supervisor that is restarted keeps its address and counts its incarnations; it builds its children anew from its
/// init. Children that init names again get back what their last life left ([`Link::previous`]); children that were
/// added at run time are gone (S122).
pub struct SupervisorChild {
    init: Arc<dyn SupervisorInit>,
}

impl SupervisorChild {
    /// A supervisor that looks after what `init` says.
    #[must_use]
    pub fn new(init: impl SupervisorInit) -> Self {
        Self {
            init: Arc::new(init),
        }
    }
}

impl StartChild for SupervisorChild {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        let _ = (&self.init, link);
        todo!()
    }
}

pub(crate) struct Life {
    pid: Pid,
    path: Path,
    env: Env,
    queue: mpsc::UnboundedSender<Input>,
    calls: Arc<Semaphore>,
}

impl Life {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }
    pub(crate) fn calls(&self) -> &Arc<Semaphore> {
        &self.calls
    }
    pub(crate) fn is_alive(&self) -> bool {
        todo!()
    }
    pub(crate) fn kill(&self) {
        todo!()
    }
    pub(crate) fn settle(&self, _disposition: Disposition) {
        todo!()
    }
    pub(crate) fn post(&self, input: Input) {
        let _ = self.queue.send(input);
    }
}

const _: Option<&dyn Child> = None;
