//! One life of a guest: a store, an instance in it, and the calls.

use crate::bindings::Volatile;
use crate::bindings::durable::Durable;
use crate::bindings::swarm::agent::types::{Event, SavedState};
use crate::convert;
use crate::host::{Component, Pre};
use crate::inspect::World;
use crate::sandbox::{Sandbox, Seat};
use crate::trap;
use std::future::Future;
use std::sync::Arc;
use swarm_protocols::{AclMessage, ExitReason};
use tokio::time::Instant;
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

/// What a turn begins with.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) now_ms: u64,
    pub(crate) random: u64,
    /// When the turn is cut off.
    pub(crate) deadline: Option<Instant>,
}

impl Moment {
    /// What is no turn begins with: nothing.
    pub(crate) fn still() -> Self {
        Self {
            now: Instant::now(),
            now_ms: 0,
            random: 0,
            deadline: None,
        }
    }
}

/// A guest that is alive. After a call that failed it must be dropped: nothing can enter it again.
///
/// A call may be dropped at any await, which is anywhere in the guest's code, as that yields once a tick; wasmtime unwinds the
/// stack of the call then. What is left cannot be entered again either.
pub(crate) struct Life<E = Volatile> {
    store: Store<Sandbox>,
    exports: E,
    component: Component,
    /// A call was begun and did not come back.
    is_broken: bool,
}

/// What a world has a host do.
pub(crate) trait Contract: Sized + Send {
    const WORLD: World;

    fn instantiate(
        pre: &Pre,
        store: &mut Store<Sandbox>,
    ) -> impl Future<Output = wasmtime::Result<Option<Self>>> + Send;
}

impl Contract for Volatile {
    const WORLD: World = World::Volatile;

    async fn instantiate(pre: &Pre, store: &mut Store<Sandbox>) -> wasmtime::Result<Option<Self>> {
        match pre {
            Pre::Volatile(pre) => pre.instantiate_async(store).await.map(Some),
            Pre::Durable(_) => Ok(None),
        }
    }
}

impl Contract for Durable {
    const WORLD: World = World::Durable;

    async fn instantiate(pre: &Pre, store: &mut Store<Sandbox>) -> wasmtime::Result<Option<Self>> {
        match pre {
            Pre::Durable(pre) => pre.instantiate_async(store).await.map(Some),
            Pre::Volatile(_) => Ok(None),
        }
    }
}

/// A call of an export. (A macro, as the futures borrow what they are called with.)
macro_rules! call {
    ($interface:ident, $life:ident, $call:ident, $($argument:expr),*) => {{
        $life.is_broken = true;
        let guest = $life.exports.$interface();
        match guest.$call(&mut $life.store, $($argument),*).await {
            Ok(said) => {
                $life.is_broken = false;
                Ok(said)
            }
            Err(error) => Err($life.reason(&error)),
        }
    }};
}

/// One of a volatile agent's.
macro_rules! enter {
    ($life:ident, $call:ident, $($argument:expr),*) => {
        call!(swarm_agent_lifecycle, $life, $call, $($argument),*)
    };
}

/// One of a durable agent's.
macro_rules! enter_durable {
    ($life:ident, $call:ident, $($argument:expr),*) => {
        call!(swarm_agent_durable_lifecycle, $life, $call, $($argument),*)
    };
}

impl<E: Contract> Life<E> {
    /// Makes the instance; the component's start functions run here, under the limits of a turn.
    pub(crate) async fn begin(
        component: &Component,
        seat: Seat,
        moment: Moment,
    ) -> Result<Self, ExitReason> {
        let engine = component.engine().clone();
        engine.wind();
        let mut store = Store::new(
            &engine.engine,
            Sandbox::new(seat, engine.clone(), moment.now),
        );
        store.limiter(|sandbox| sandbox);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().tick()?;
            Ok(UpdateDeadline::Yield(1))
        });
        store.data_mut().is_still = E::WORLD == World::Durable;
        prepare(&mut store, None, moment);
        match E::instantiate(component.pre(), &mut store).await {
            Ok(Some(exports)) => Ok(Self {
                store,
                exports,
                component: component.clone(),
                is_broken: false,
            }),
            Ok(None) => Err(ExitReason::error_text(format!(
                "the component is of {}, the agent of {}",
                component.inspection().world.as_str(),
                E::WORLD.as_str()
            ))),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                Err(ExitReason::error_text(format!(
                    "there is no room for another WebAssembly agent of class {}: {error}",
                    engine.class
                )))
            }
            Err(error) => {
                let refused = store.data().turn.refused;
                Err(trap::reason(&error, refused, component.frames()))
            }
        }
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn sandbox(&mut self) -> &mut Sandbox {
        self.store.data_mut()
    }

    fn reason(&self, error: &wasmtime::Error) -> ExitReason {
        let refused = self.store.data().turn.refused;
        trap::reason(error, refused, self.component.frames())
    }

    /// An error when nothing can enter it any more.
    pub(crate) fn is_whole(&self) -> Result<(), ExitReason> {
        if self.is_broken {
            return Err(ExitReason::error_text("a call into it was cut off"));
        }
        Ok(())
    }
}

impl Life {
    pub(crate) async fn on_start(&mut self, config: &str) -> Result<(), ExitReason> {
        said(enter!(self, call_on_start, config)?)
    }

    pub(crate) async fn on_message(
        &mut self,
        message: Arc<AclMessage>,
        moment: Moment,
    ) -> Result<(), ExitReason> {
        self.is_whole()?;
        let given = convert::to_guest(&message);
        prepare(&mut self.store, Some(message), moment);
        said(enter!(self, call_on_message, &given)?)
    }

    pub(crate) async fn on_timer(
        &mut self,
        timer: u64,
        tag: u64,
        moment: Moment,
    ) -> Result<(), ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, moment);
        said(enter!(self, call_on_timer, timer, tag)?)
    }

    pub(crate) async fn on_stop(&mut self, reason: &str, moment: Moment) -> Result<(), ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, moment);
        enter!(self, call_on_stop, reason)
    }

    pub(crate) async fn snapshot(&mut self, moment: Moment) -> Result<SavedState, ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, moment);
        said(enter!(self, call_snapshot,)?)
    }

    /// Within the turn of `on_start`: what that asked for stays.
    pub(crate) async fn restore(&mut self, state: &SavedState) -> Result<(), ExitReason> {
        self.is_whole()?;
        said(enter!(self, call_restore, state)?)
    }
}

/// A durable agent's calls. Only `on_message` and `on_timer` are turns; after an error the instance is not entered again.
impl Life<Durable> {
    pub(crate) async fn on_start(&mut self, config: &str) -> Result<(), ExitReason> {
        self.is_whole()?;
        said(enter_durable!(self, call_on_start, config)?)
    }

    pub(crate) async fn on_message(
        &mut self,
        message: Arc<AclMessage>,
        moment: Moment,
    ) -> Result<Vec<Event>, ExitReason> {
        self.is_whole()?;
        let given = convert::to_guest(&message);
        prepare(&mut self.store, Some(message), moment);
        self.sandbox().is_still = false;
        let decided = enter_durable!(self, call_on_message, &given);
        self.sandbox().is_still = true;
        said(decided?)
    }

    pub(crate) async fn on_timer(
        &mut self,
        timer: u64,
        tag: u64,
        moment: Moment,
    ) -> Result<Vec<Event>, ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, moment);
        self.sandbox().is_still = false;
        let decided = enter_durable!(self, call_on_timer, timer, tag);
        self.sandbox().is_still = true;
        said(decided?)
    }

    /// Applies a written event. What is logged at a replay goes nowhere.
    pub(crate) async fn apply(&mut self, event: &Event, is_replay: bool) -> Result<(), ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, Moment::still());
        self.sandbox().is_silent = is_replay;
        let applied = enter_durable!(self, call_apply, event);
        self.sandbox().is_silent = false;
        said(applied?)
    }

    pub(crate) async fn on_stop(&mut self, reason: &str) -> Result<(), ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, Moment::still());
        enter_durable!(self, call_on_stop, reason)
    }

    pub(crate) async fn snapshot(&mut self) -> Result<SavedState, ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, Moment::still());
        said(enter_durable!(self, call_snapshot,)?)
    }

    pub(crate) async fn restore(&mut self, state: &SavedState) -> Result<(), ExitReason> {
        self.is_whole()?;
        prepare(&mut self.store, None, Moment::still());
        said(enter_durable!(self, call_restore, state)?)
    }
}

/// An error that an export returns is the guest's own reason for its end.
fn said<T>(result: Result<T, String>) -> Result<T, ExitReason> {
    result.map_err(|text| ExitReason::error_text(trap::printable(&text)))
}

/// Gives the next call its time, fuel and inputs.
fn prepare(store: &mut Store<Sandbox>, message: Option<Arc<AclMessage>>, moment: Moment) {
    let sandbox = store.data_mut();
    sandbox.begin(message, moment);
    sandbox.engine.wind();
    let limits = sandbox.limits.clone();
    store.set_epoch_deadline(1);
    if let Some(fuel) = limits.turn_fuel {
        // The engine counts fuel exactly when the limit is set: the component was loaded for that.
        let _ = store.set_fuel(fuel);
    }
    // What an import's arguments may take of the host's memory.
    let bytes = limits
        .host_bytes
        .max(limits.message_bytes)
        .saturating_mul(2);
    store.set_hostcall_fuel(usize::try_from(bytes).unwrap_or(usize::MAX));
}
