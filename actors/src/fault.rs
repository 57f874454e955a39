//! Injected faults: what makes an agent misbehave on purpose, in tests and chaos runs.

use crate::agent::Failure;
use std::collections::VecDeque;
use std::time::Duration;

/// How many injected faults may wait in one agent.
pub const FAULTS_PER_AGENT_MAX: usize = 64;

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The turn panics.
    Panic,
    /// The turn returns an error.
    Fail,
    /// The turn never ends by itself.
    Hang,
    /// The turn takes this much longer.
    Slow(Duration),
    /// The mailbox seems to be full, until it is told otherwise.
    Full(bool),
}

/// When a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In a turn of its own, before the next message.
    Now,
    /// In the turn of the n-th letter from now, timers and signals included; 1 is the next one. Survives restarts.
    Message(u32),
}

pub(crate) struct Injected {
    pub(crate) fault: Fault,
    pub(crate) when: When,
}

impl Fault {
    pub(crate) async fn strike(self) -> Result<(), Failure> {
        match self {
            Self::Panic => panic!("injected panic"),
            Self::Fail => Err("injected failure".into()),
            Self::Hang => std::future::pending().await,
            Self::Slow(by) => {
                tokio::time::sleep(by).await;
                Ok(())
            }
            Self::Full(_) => Ok(()),
        }
    }
}

/// Counts a message; the fault that shows in its turn, if one does.
pub(crate) fn due(faults: &mut VecDeque<Injected>) -> Option<Fault> {
    let mut due = None;
    faults.retain_mut(|injected| match &mut injected.when {
        When::Message(n) if *n > 1 => {
            *n -= 1;
            true
        }
        When::Message(_) if due.is_none() => {
            due = Some(injected.fault.clone());
            false
        }
        When::Message(_) | When::Now => true,
    });
    due
}
