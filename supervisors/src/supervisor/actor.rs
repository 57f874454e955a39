//! The ractor actor that a supervisor is: one message, `Run`, whose handling is the supervisor's whole life.

use crate::core::Retry;
use crate::supervisor::call::Call;
use crate::supervisor::drive::Driver;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use swarm_protocols::ExitReason;
use tokio::sync::OwnedSemaphorePermit;

/// Everything that can reach a supervisor, through one queue so that its order means something.
///
/// The queue is unbounded, yet what is in it is bounded: a life ends once, a parent says `Shutdown` once, there is at most one
/// retry per child, and a call takes one of [`CALLS_MAX`] permits before it enters. Exits must not wait for room: the
/// one who reports may be the supervisor's own task.
pub(crate) enum Input {
    /// A child's life ended.
    Exited {
        slot: u32,
        life: u64,
        reason: ExitReason,
    },
    /// Somebody asks for something. The permit is given back when the answer is.
    Call {
        call: Call,
        permit: Option<OwnedSemaphorePermit>,
    },
    /// What the supervisor sends itself between two attempts to restart a child.
    Retry(Retry),
    /// The parent wants it to stop.
    Shutdown,
}

/// How many calls wait for one supervisor at most; further callers wait for their turn to wait. Enough that a burst of
/// starts is not slowed down, few enough that a supervisor that hangs in a start does not fill the memory.
pub(crate) const CALLS_MAX: usize = 1024;

pub(crate) struct SupervisorActor;

pub(crate) struct Run;

impl Actor for SupervisorActor {
    type Msg = Run;
    type State = Option<Driver>;
    type Arguments = Driver;

    async fn pre_start(
        &self,
        _myself: ActorRef<Run>,
        driver: Driver,
    ) -> Result<Option<Driver>, ActorProcessingErr> {
        Ok(Some(driver))
    }

    async fn handle(
        &self,
        myself: ActorRef<Run>,
        _run: Run,
        driver: &mut Option<Driver>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(driver) = driver.take() {
            driver.run().await;
        }
        myself.stop(None);
        Ok(())
    }
}
