//! Supervision for plain ractor actors, which know nothing of it.

use crate::child::{Child, StartChild, StartError, Started};
use crate::supervisor::Link;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use std::future::Future;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Incarnation, Pid};

/// What ractor's `stop` is called with to stop an actor in order, and what a plain actor may stop itself with to say so.
const SHUTDOWN: &str = "shutdown";

type Spawned<M> = Result<(ActorRef<M>, JoinHandle<()>), SpawnErr>;
type SpawnFn<M> = dyn Fn(ActorCell) -> BoxFuture<'static, Spawned<M>> + Send + Sync;

/// The start function of a plain ractor actor.
///
/// It is made from a closure that spawns the actor *linked to the cell that it is given*: that cell is how its end becomes
/// known, so an actor that is spawned without the link would never be seen to end. Each restart spawns a new one;
/// [`actor`](Self::actor) is the one that runs now, and also the info of `start_child`.
///
/// How the end of a ractor actor becomes an exit reason, as exactly as ractor tells it:
///
/// | ractor says | reason |
/// | --- | --- |
/// | stopped without a reason, or drained | `normal` |
/// | stopped with the reason `shutdown` | `shutdown` |
/// | stopped with another reason | `error` with that text |
/// | killed, or its task cancelled | `killed` |
/// | failed with an error | `error` with its causes |
/// | failed with a bare text: a panic, or an error made from a string | `panic` |
///
/// A killed actor counts as ended at once; if its code does not yield, that code still runs beside its successor.
///
/// ```
/// use ractor::{Actor, ActorProcessingErr, ActorRef};
/// use std::sync::Arc;
/// use swarm_supervisors::plain::PlainActor;
/// use swarm_supervisors::{ChildSpec, Env, SupervisorFlags, SupervisorSpec, start_root};
///
/// struct Divider;
///
/// impl Actor for Divider {
///     type Msg = (u32, ractor::RpcReplyPort<u32>);
///     type State = ();
///     type Arguments = ();
///
///     async fn pre_start(&self, _: ActorRef<Self::Msg>, _: ()) -> Result<(), ActorProcessingErr> {
///         Ok(())
///     }
///
///     async fn handle(
///         &self,
///         _: ActorRef<Self::Msg>,
///         (by, reply): Self::Msg,
///         _: &mut (),
///     ) -> Result<(), ActorProcessingErr> {
///         let _ = reply.send(100 / by); // panics when `by` is zero
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let divider = Arc::new(PlainActor::new(|link| {
///     Actor::spawn_linked(None, Divider, (), link)
/// }));
/// let spec = SupervisorSpec::new(
///     SupervisorFlags::default(),
///     vec![ChildSpec::new("divider".parse()?, divider.clone())],
/// );
/// let root = start_root(Env::seeded(1), spec).await?;
///
/// let first = divider.actor().expect("it runs");
/// assert!(ractor::call!(first, |reply| (0, reply)).is_err());
/// // The supervisor has seen it fall and started another one.
/// let second = loop {
///     match divider.actor() {
///         Some(actor) if actor.get_id() != first.get_id() => break actor,
///         _ => tokio::task::yield_now().await,
///     }
/// };
/// assert_eq!(ractor::call!(second, |reply| (4, reply))?, 25);
/// root.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct PlainActor<M> {
    spawn: Box<SpawnFn<M>>,
    current: Mutex<Option<ActorRef<M>>>,
}

impl<M: 'static> PlainActor<M> {
    /// A start function that spawns the actor with `spawn`, which must link it to the cell that it is given.
    pub fn new<F, Fut>(spawn: F) -> Self
    where
        F: Fn(ActorCell) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(ActorRef<M>, JoinHandle<()>), SpawnErr>> + Send + 'static,
    {
        Self {
            spawn: Box::new(move |link| Box::pin(spawn(link))),
            current: Mutex::new(None),
        }
    }

    /// The actor that was started last.
    #[must_use]
    pub fn actor(&self) -> Option<ActorRef<M>> {
        self.current.lock().clone()
    }
}

impl<M: 'static> StartChild for PlainActor<M> {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        Box::pin(async move {
            let previous = link.previous().map(|child| child.pid());
            let pid = Pid {
                address: previous.map_or_else(|| link.env().address(), |pid| pid.address),
                incarnation: previous.map_or(Incarnation(1), |pid| pid.incarnation.next()),
            };
            let (warden, _) = Actor::spawn(
                None,
                Warden {
                    link: link.clone(),
                    pid,
                },
                (),
            )
            .await
            .map_err(start_error)?;
            // A ractor actor that ends kills those linked to it: whatever was begun dies with the warden.
            let guard = StopOnDrop(Some(warden.get_cell()));
            let (actor, _) = (self.spawn)(warden.get_cell()).await.map_err(start_error)?;
            guard.disarm();
            *self.current.lock() = Some(actor.clone());
            let cell = actor.get_cell();
            Ok(Started {
                child: Arc::new(PlainChild { pid, link, cell }),
                info: Some(Arc::new(actor)),
            })
        })
    }
}

fn start_error(error: SpawnErr) -> StartError {
    StartError::Failed(match error {
        SpawnErr::StartupFailed(cause) => failure(&cause),
        SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_) => {
            ExitReason::error(&error)
        }
    })
}

/// Panics reach us as errors made from a bare string; errors with a type of their own keep it.
fn failure(error: &ActorProcessingErr) -> ExitReason {
    let text = error.to_string();
    if error.source().is_none() && format!("{error:?}") == format!("{text:?}") {
        ExitReason::panic_text(text)
    } else {
        ExitReason::error(&**error)
    }
}

fn stopped(reason: Option<&str>) -> ExitReason {
    match reason {
        None | Some("Drained") => ExitReason::Normal,
        Some(SHUTDOWN) => ExitReason::SHUTDOWN,
        Some("killed" | "actor_task_cancelled") => ExitReason::Killed,
        Some(other) => ExitReason::error_text(other),
    }
}

/// The ractor actor that one plain actor is linked to, for as long as that one lives.
struct Warden {
    link: Link,
    pid: Pid,
}

impl Actor for Warden {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let reason = match event {
            SupervisionEvent::ActorTerminated(_, _, reason) => stopped(reason.as_deref()),
            SupervisionEvent::ActorFailed(_, error) => failure(&error),
            // Which events there are depends on ractor's features; only ends matter here.
            _ => return Ok(()),
        };
        self.link.exited(self.pid, reason);
        myself.stop(None);
        Ok(())
    }
}

struct StopOnDrop(Option<ActorCell>);

impl StopOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(warden) = self.0.take() {
            warden.kill();
        }
    }
}

struct PlainChild {
    pid: Pid,
    link: Link,
    cell: ActorCell,
}

impl Child for PlainChild {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn signal(&self) {
        self.cell.stop(Some(SHUTDOWN.to_owned()));
    }

    fn kill(&self) {
        self.cell.kill();
        self.link.exited(self.pid, ExitReason::Killed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_that_ractor_tells_apart_has_its_own_reason() {
        assert_eq!(stopped(None), ExitReason::Normal);
        assert_eq!(stopped(Some("Drained")), ExitReason::Normal);
        assert_eq!(stopped(Some("shutdown")), ExitReason::SHUTDOWN);
        assert_eq!(stopped(Some("killed")), ExitReason::Killed);
        assert_eq!(stopped(Some("enough")), ExitReason::error_text("enough"));
        assert_eq!(failure(&"boom".into()), ExitReason::panic_text("boom"));
        let typed: ActorProcessingErr = Box::new(std::fmt::Error);
        assert_eq!(failure(&typed), ExitReason::error(&std::fmt::Error));
    }
}
