//! The shell: the ractor actor in which an awake agent runs, and its receive loop.
//!
//! ractor is paid per wake and sleep, not per message: the actor's `post_start` is the loop. What ractor gives is the
//! task, its guard and the kill that cancels the loop at its next await.

mod flush;
mod handle;
mod lives;
mod step;

pub(crate) use flush::flush;

use super::{CONTROL_STOP, Cell};
use crate::agent::Agent;
use crate::spec::Placement;
use futures_util::FutureExt;
use lives::run;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// How a shell is told to end.
pub(crate) enum ShellHandle {
    Ractor(ActorRef<()>),
    /// A bare task or a thread of its own: it looks at this flag whenever it awaits.
    Flag(Arc<Notify>),
}

impl ShellHandle {
    pub(crate) fn end(&self) {
        match self {
            Self::Ractor(actor) => actor.kill(),
            Self::Flag(stop) => stop.notify_one(),
        }
    }
}

struct Shell<A>(PhantomData<fn() -> A>);

impl<A: Agent> Actor for Shell<A> {
    type Msg = ();
    type State = Arc<Cell<A>>;
    type Arguments = Arc<Cell<A>>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        cell: Arc<Cell<A>>,
    ) -> Result<Arc<Cell<A>>, ActorProcessingErr> {
        Ok(cell)
    }

    async fn post_start(
        &self,
        myself: ActorRef<()>,
        cell: &mut Arc<Cell<A>>,
    ) -> Result<(), ActorProcessingErr> {
        run(cell, ShellHandle::Ractor(myself.clone())).await;
        myself.stop(None);
        Ok(())
    }
}

/// Gives a cell a shell. The caller holds the claim: the mailbox said that there is no consumer.
///
/// Takes none of the cell's locks, so that anybody may send whatever locks they hold: the shell itself takes its place when
/// it first runs, and goes if the cell was cut off in between.
pub(crate) fn attach<A: Agent>(cell: &Arc<Cell<A>>) {
    let is_stopping = cell.mailbox().control().load(Ordering::Acquire) & CONTROL_STOP != 0;
    match cell.plan().placement {
        Placement::Shared if is_stopping => spawn_bare(cell),
        Placement::Shared => spawn_shared(cell),
        Placement::Dedicated => spawn_dedicated(cell),
    }
}

fn spawn_shared<A: Agent>(cell: &Arc<Cell<A>>) {
    let _runtime = cell.core.system.enter();
    // `pre_start` is ready at once, so the spawn is too; unless the calling task had used its budget up, hence unconstrained.
    let spawn = Actor::spawn(None, Shell::<A>(PhantomData), cell.clone());
    match tokio::task::unconstrained(spawn).now_or_never() {
        Some(Ok(_)) => {}
        Some(Err(_)) | None => spawn_bare(cell),
    }
}

/// What is only to clean up needs no actor: stopping ten thousand agents at rest would otherwise start as many.
fn spawn_bare<A: Agent>(cell: &Arc<Cell<A>>) {
    let _runtime = cell.core.system.enter();
    let (stop, cell) = (Arc::new(Notify::new()), cell.clone());
    tokio::spawn(async move {
        let stopped = stop.clone();
        tokio::select! {
            biased;
            () = stopped.notified() => {}
            () = run(&cell, ShellHandle::Flag(stop)) => {}
        }
    });
}

fn spawn_dedicated<A: Agent>(cell: &Arc<Cell<A>>) {
    let (stop, theirs) = (Arc::new(Notify::new()), cell.clone());
    // Threads' names have 15 characters: the end of the path says most.
    let path = cell.core.path.as_str();
    let name = path.get(path.len().saturating_sub(15)..).unwrap_or(path);
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let stopped = stop.clone();
                    tokio::select! {
                        () = run(&theirs, ShellHandle::Flag(stop)) => {}
                        () = stopped.notified() => {}
                    }
                }),
                Err(error) => {
                    tracing::error!(path = %theirs.core.path, %error, "no runtime for a dedicated agent; it shares the workers");
                    spawn_bare(&theirs);
                }
            }
        });
    if let Err(error) = spawned {
        tracing::error!(path = %cell.core.path, %error, "no thread for a dedicated agent; it shares the workers");
        spawn_bare(cell);
    }
}
