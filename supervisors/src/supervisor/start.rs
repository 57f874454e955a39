//! The start function of a supervisor.

use crate::child::{StartChild, StartError, Started};
use crate::contain::Contained;
use crate::core::Core;
use crate::env::mix;
use crate::report::Report;
use crate::spec::{Strategy, SupervisorInit, SupervisorSpec};
use crate::supervisor::actor::{Run, SupervisorActor};
use crate::supervisor::drive::{Driver, panic_reason};
use crate::supervisor::handle::SupervisorRef;
use crate::supervisor::life::{Home, Life};
use crate::supervisor::link::Link;
use futures_util::future::BoxFuture;
use ractor::Actor;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use swarm_protocols::{ExitReason, Name};
use tokio::sync::mpsc;

/// The start function of a supervisor below another one.
///
/// A supervisor that is restarted keeps its address and counts its incarnations; it builds its children anew from its
/// init. Children that init names again find what their last life left through [`Link::previous`]; children that were
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
        Box::pin(start(self.init.clone(), link))
    }
}

async fn start(init: Arc<dyn SupervisorInit>, link: Link) -> Result<Started, StartError> {
    let home = link
        .previous()
        .and_then(|child| child.supervisor())
        .map_or_else(
            || Arc::new(Home::new(link.env().address())),
            |supervisor| supervisor.life.home().clone(),
        );
    let Some(spec) = run_init(&*init)? else {
        return Err(StartError::Ignore);
    };
    // Each life draws from a sequence of its own, or all supervisors of a tree would wait alike.
    let pid = home.next_pid();
    let [low, high] = [pid.address.0 as u64, (pid.address.0 >> 64) as u64];
    let jitter_seed = mix(link.env().jitter_seed() ^ low ^ high, pid.incarnation.0);
    let core = Core::new(spec, jitter_seed)?;
    let held: BTreeMap<_, _> = home.take_held().into_iter().collect();
    let (queue, inputs) = mpsc::unbounded_channel();
    let life = Arc::new(Life::new(home, link, queue));
    let guard = KillOnDrop(Some(life.clone()));
    let mut driver = Driver::new(life.clone(), core, inputs, init, held);
    driver.begin().await?;
    life.begin();
    life.env().observer().report(&Report::SupervisorStarted {
        supervisor: life.path().clone(),
        pid: life.pid(),
    });
    let (actor, _) = Actor::spawn(None, SupervisorActor, driver)
        .await
        .map_err(|error| StartError::Failed(ExitReason::error(&error)))?;
    life.set_actor(actor.get_cell());
    if let Err(error) = actor.send_message(Run) {
        return Err(StartError::Failed(ExitReason::error(&error)));
    }
    guard.disarm();
    Ok(Started {
        child: Arc::new(SupervisorRef { life }),
        info: None,
    })
}

/// Calls an init; a panic in it is an error (S04).
pub(crate) fn run_init(init: &dyn SupervisorInit) -> Result<Option<SupervisorSpec>, StartError> {
    match catch_unwind(AssertUnwindSafe(|| init.init())) {
        Ok(Ok(spec)) => Ok(spec),
        Ok(Err(reason)) => Err(StartError::Failed(reason)),
        Err(panic) => Err(StartError::Failed(panic_reason(&**Contained::new(panic)))),
    }
}

/// The children that come back with the next life of their supervisor.
pub(crate) fn static_names(spec: &SupervisorSpec) -> HashSet<Name> {
    match spec.flags.strategy {
        Strategy::SimpleOneForOne => HashSet::new(),
        Strategy::OneForOne | Strategy::OneForAll | Strategy::RestForOne => {
            spec.children.iter().map(|child| child.id.clone()).collect()
        }
    }
}

/// Undoes a start that is given up half way: its future was dropped.
struct KillOnDrop(Option<Arc<Life>>);

impl KillOnDrop {
    /// The start went well.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(life) = self.0.take() {
            life.leave_start();
            life.kill();
        }
    }
}
