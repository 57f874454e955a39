//! The ractor actor around the decision core.

use crate::supervisor::call::Call;
use swarm_protocols::ExitReason;
use tokio::sync::OwnedSemaphorePermit;

/// Everything that can reach a supervisor, through one queue so that its order means something.
pub(crate) enum Input {
    /// A child's life ended.
    Exited {
        slot: u32,
        life: u64,
        reason: ExitReason,
    },
    /// Somebody asks for something.
    Call {
        call: Call,
        permit: Option<OwnedSemaphorePermit>,
    },
    /// The parent wants it to stop.
    Shutdown,
}
