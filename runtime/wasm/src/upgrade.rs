//! Changing the code of an agent that runs: its state goes through `snapshot` and `restore`; mailbox, timers, name, groups, store
//! and address stay, and messages wait meanwhile.
//!
//! The new code is on probation at first. If a turn of it fails by then, the old code takes over again, with the state that it
//! had at the upgrade, and does that turn; the supervisor hears nothing. A life that begins later (after a kill, say) runs the new
//! code only once the probation is over.

use crate::agent::GuestMessage;
use crate::digest::Digest;
use crate::host::Component;
use crate::life::Life;
use crate::trial::Trial;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::durable::{DurableMessage, aside};
use swarm_actors::{AnyRef, AskError, ReplyTo};
use swarm_protocols::{ExitReason, Path};

/// How many turns new code is on probation unless the upgrade says otherwise.
pub const PROBATION_TURNS_DEFAULT: u32 = 10;

/// What an agent is told to change to.
pub struct Order {
    pub(crate) component: Component,
    pub(crate) probation: u32,
    /// Who watches the new code, and says what becomes of it; without one it is kept once its probation is over.
    pub(crate) trial: Option<Arc<Trial>>,
    pub(crate) reply: ReplyTo<Result<Upgraded, UpgradeError>>,
}

/// What becomes of new code.
pub(crate) enum Verdict {
    /// It is the agent's code from now on.
    Keep,
    /// The code before takes over: with the state that the new one has, if it can read that, or else with the state that it had.
    Back,
    /// It follows the agent as its shadow from now on.
    Follow(Component, Arc<Trial>),
    /// It follows no longer.
    Leave,
}

/// What an agent is told about new code.
pub struct Settlement {
    pub(crate) verdict: Verdict,
    pub(crate) reply: ReplyTo<Result<(), UpgradeError>>,
}

/// The code of an agent that is not what it began with.
pub(crate) struct Running {
    pub(crate) component: Component,
    /// While it is not decided whether it stays.
    pub(crate) held: Option<Held>,
}

/// What code that may not stay goes with.
pub(crate) struct Held {
    pub(crate) before: Component,
    pub(crate) trial: Arc<Trial>,
}

impl Running {
    pub(crate) fn settled(component: Component) -> Self {
        Self {
            component,
            held: None,
        }
    }
}

/// An upgrade that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// The code before.
    pub from: Digest,
    /// The code now.
    pub to: Digest,
    /// The version of the state that was handed over.
    pub state_version: u32,
    /// Its length in bytes.
    pub state_bytes: usize,
    /// How long messages had to wait.
    pub pause: Duration,
}

/// Why an upgrade did not take place. The agent runs the code and the state that it had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The agent's code is no component.
    #[error("{0} is no WebAssembly agent")]
    NotWasm(Path),
    /// The agent could not be asked in time. It may have been upgraded.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The old code gave no state.
    #[error("the running code gives no state: {0}")]
    Snapshot(ExitReason),
    /// The new code did not start.
    #[error("the new code does not start: {0}")]
    Start(ExitReason),
    /// The new code did not take the state.
    #[error("the new code does not take the state: {0}")]
    Restore(ExitReason),
}

/// The code before, while the code after it is on probation.
pub(crate) struct Fallback {
    pub(crate) life: Life,
    /// How many turns are left.
    pub(crate) left: u32,
    /// The last timer that the old code knows.
    pub(crate) timer_last: u64,
}

/// Upgrades an agent to a component that was loaded for its class, grants and limits. `probation` is in turns; 0 for none.
///
/// # Errors
/// [`UpgradeError`].
pub async fn upgrade(
    agent: &AnyRef,
    component: Component,
    probation: u32,
    within: Duration,
) -> Result<Upgraded, UpgradeError> {
    upgrade_held(agent, component, probation, None, within).await
}

pub(crate) async fn upgrade_held(
    agent: &AnyRef,
    component: Component,
    probation: u32,
    trial: Option<Arc<Trial>>,
    within: Duration,
) -> Result<Upgraded, UpgradeError> {
    let order = |reply| Order {
        component,
        probation,
        trial,
        reply,
    };
    let asked = match (
        agent.typed::<GuestMessage>(),
        agent.typed::<DurableMessage>(),
    ) {
        (Some(volatile), _) => {
            let order = |reply| GuestMessage::Upgrade(Box::new(order(reply)));
            volatile.ask(order, within).await
        }
        (None, Some(durable)) => aside(&durable, order, within).await,
        (None, None) => return Err(UpgradeError::NotWasm(agent.path().clone())),
    };
    answered(agent, asked)
}

/// Tells an agent what becomes of its new code.
pub(crate) async fn settle(
    agent: &AnyRef,
    verdict: Verdict,
    within: Duration,
) -> Result<(), UpgradeError> {
    let settlement = |reply| Settlement { verdict, reply };
    let asked = match (
        agent.typed::<GuestMessage>(),
        agent.typed::<DurableMessage>(),
    ) {
        (Some(volatile), _) => {
            let settlement = |reply| GuestMessage::Settle(Box::new(settlement(reply)));
            volatile.ask(settlement, within).await
        }
        (None, Some(durable)) => aside(&durable, settlement, within).await,
        (None, None) => return Err(UpgradeError::NotWasm(agent.path().clone())),
    };
    answered(agent, asked)
}

fn answered<T>(
    agent: &AnyRef,
    asked: Result<Result<T, UpgradeError>, AskError>,
) -> Result<T, UpgradeError> {
    match asked {
        Ok(outcome) => outcome,
        // A durable agent that is no guest.
        Err(AskError::NoReply) => Err(UpgradeError::NotWasm(agent.path().clone())),
        Err(error) => Err(UpgradeError::NoAnswer(error.to_string())),
    }
}
