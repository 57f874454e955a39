//! The decider of a shared state.

use crate::agent::Failure;
use crate::durable::{Decider, Decision, Form, Stored};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use swarm_protocols::Path;

/// How many agents may watch one state.
pub const WATCHERS_MAX: usize = 1024;

/// The decider of a durable agent that holds one value of type `T`, watched by durable agents of one decider `W`. A watcher that
/// is gone for good must be taken off: what it is told waits for it, and when 65 536 messages wait, changes fail.
pub struct SharedState<T, W = NoWatcher>(PhantomData<fn() -> (T, W)>);

impl<T, W> Default for SharedState<T, W> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// How often it was changed.
    pub version: u64,
    /// The value; `None` before the first, and when it was removed.
    pub value: Option<T>,
}

/// What a watcher is told, as part of its own command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<T> {
    /// The path of the state's agent.
    pub state: String,
    /// What it is now.
    pub now: Kept<T>,
}

/// What it can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum StateCommand<T> {
    /// Say what it is.
    Read,
    /// Change it.
    Write {
        /// The version that this follows; `None` for whatever it is.
        follows: Option<u64>,
        /// The value; `None` removes it.
        value: Option<T>,
    },
    /// Tell this agent what it is, and of every change. Told twice, it is told what it is once more.
    Watch {
        /// The watcher's path.
        watcher: Path,
        /// The path by which the watcher knows the state.
        state: Path,
    },
    /// Tell it no more.
    Unwatch {
        /// The watcher's path.
        watcher: Path,
    },
}

/// What happens to it. Form 1, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateEvent<T> {
    /// It was changed.
    Written(Option<T>),
    /// Somebody watches.
    Watched {
        /// Who.
        watcher: Path,
        /// By which path it knows the state.
        state: Path,
    },
    /// Somebody watches no more.
    Unwatched(Path),
}

/// Why nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateRefused {
    /// Somebody else has changed it. Read it and decide again.
    #[error("the state is at version {actual}")]
    Stale {
        /// Its version.
        actual: u64,
    },
    /// Too many watch it.
    #[error("{WATCHERS_MAX} agents watch the state, as many as can")]
    TooManyWatchers,
}

/// All of a shared state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held<T> {
    kept: Kept<T>,
    watchers: BTreeSet<(Path, Path)>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self {
            kept: Kept {
                version: 0,
                value: None,
            },
            watchers: BTreeSet::new(),
        }
    }
}

impl<T> Stored for StateEvent<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl<T, W> Decider for SharedState<T, W>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    W: Decider,
    W::Command: From<Change<T>>,
{
    type State = Held<T>;
    type Command = StateCommand<T>;
    type Event = StateEvent<T>;
    type Answer = Result<Kept<T>, StateRefused>;

    fn decide(
        &self,
        held: &Held<T>,
        command: StateCommand<T>,
        turn: &mut Decision<'_, Self>,
    ) -> Result<Self::Answer, Failure> {
        match command {
            StateCommand::Read => {}
            StateCommand::Write { follows, .. }
                if follows.is_some_and(|version| version != held.kept.version) =>
            {
                let actual = held.kept.version;
                return Ok(Err(StateRefused::Stale { actual }));
            }
            StateCommand::Write { value, .. } => {
                let now = Kept {
                    version: held.kept.version + 1,
                    value,
                };
                turn.record(StateEvent::Written(now.value.clone()));
                for (watcher, state) in &held.watchers {
                    tell::<T, W>(turn, watcher, state, &now);
                }
                return Ok(Ok(now));
            }
            StateCommand::Watch { watcher, state } => {
                let pair = (watcher, state);
                if !held.watchers.contains(&pair) {
                    if held.watchers.len() >= WATCHERS_MAX {
                        return Ok(Err(StateRefused::TooManyWatchers));
                    }
                    let (watcher, state) = pair.clone();
                    turn.record(StateEvent::Watched { watcher, state });
                }
                tell::<T, W>(turn, &pair.0, &pair.1, &held.kept);
            }
            StateCommand::Unwatch { watcher } => {
                if held.watchers.iter().any(|(known, _)| *known == watcher) {
                    turn.record(StateEvent::Unwatched(watcher));
                }
            }
        }
        Ok(Ok(held.kept.clone()))
    }

    fn evolve(&self, held: &mut Held<T>, event: &StateEvent<T>) {
        match event {
            StateEvent::Written(value) => {
                held.kept.version += 1;
                held.kept.value.clone_from(value);
            }
            StateEvent::Watched { watcher, state } => {
                held.watchers.insert((watcher.clone(), state.clone()));
            }
            StateEvent::Unwatched(watcher) => {
                held.watchers.retain(|(known, _)| known != watcher);
            }
        }
    }
}

fn tell<T, W>(
    turn: &mut Decision<'_, SharedState<T, W>>,
    watcher: &Path,
    state: &Path,
    now: &Kept<T>,
) where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    W: Decider,
    W::Command: From<Change<T>>,
{
    let change = Change {
        state: state.as_str().to_owned(),
        now: now.clone(),
    };
    turn.send::<W>(watcher, &change.into());
}

/// The watcher of a state that nobody watches: it cannot be one.
#[derive(Clone, Copy, Debug)]
pub enum NoWatcher {}

/// What it would be told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NotWatched;

impl<T> From<Change<T>> for NotWatched {
    fn from(_: Change<T>) -> Self {
        Self
    }
}

impl Stored for NotWatched {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for NoWatcher {
    type State = ();
    type Command = NotWatched;
    type Event = NotWatched;
    type Answer = ();

    fn decide(&self, (): &(), _: NotWatched, _: &mut Decision<'_, Self>) -> Result<(), Failure> {
        match *self {}
    }

    fn evolve(&self, (): &mut (), _: &NotWatched) {
        match *self {}
    }
}
