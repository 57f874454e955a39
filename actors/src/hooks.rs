//! Hooks: an ordered chain at admission, before a message enters a mailbox, and one around the turn. Validation, policy,
//! metering and audit plug in here and nowhere else. An empty chain costs one look at a flag.

use crate::letter::LetterKind;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{AclMessage, Address, ExitReason, Extensions, Path, Pid, Priority};

/// What a hook may know of a message before it enters a mailbox.
pub struct Admission<'a> {
    /// For whom it is.
    pub receiver: &'a Path,
    /// Who sent it, where it was an agent.
    pub sender: Option<Address>,
    /// What it is.
    pub kind: LetterKind,
    /// Its priority.
    pub priority: Priority,
    /// The message itself, where it is ACL.
    pub acl: Option<&'a AclMessage>,
    /// What travels along.
    pub extensions: Option<&'a Extensions>,
}

/// What a hook may know of a turn.
pub struct TurnView<'a> {
    /// Whose turn it is.
    pub path: &'a Path,
    /// Which life of it.
    pub pid: Pid,
    /// What is being handled.
    pub kind: LetterKind,
    /// Who sent it, where it was an agent.
    pub sender: Option<Address>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnEnd {
    /// Well; its effects were committed.
    Committed,
    /// Badly; its effects were discarded.
    Failed(ExitReason),
}

/// Looks at a message before it enters a mailbox. Runs on the sender's thread: it must not block.
pub trait AdmissionHook: Send + Sync + 'static {
    /// Lets the message in, or says why not. A sender outside of a turn is told and has its message back; a refused send out of
    /// a turn is a dead letter.
    ///
    /// # Errors
    /// The reason for the refusal.
    fn admit(&self, admission: &Admission<'_>) -> Result<(), String>;
}

/// Looks at turns. Runs on the agent's worker: it must not block.
pub trait TurnHook: Send + Sync + 'static {
    /// Before the behaviour is called. An error fails the turn with that reason.
    ///
    /// # Errors
    /// The reason for the failure.
    fn before(&self, turn: &TurnView<'_>) -> Result<(), String> {
        let _ = turn;
        Ok(())
    }

    /// After the turn; `took` is how long it took on the system's clock.
    fn after(&self, turn: &TurnView<'_>, end: &TurnEnd, took: Duration) {
        let _ = (turn, end, took);
    }
}

/// The hooks of a system, in the order in which they run. Set once, before anything starts.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Before a message enters a mailbox; the first refusal ends the chain.
    pub admission: Vec<Arc<dyn AdmissionHook>>,
    /// Around the turn: `before` in order, `after` in reverse.
    pub turn: Vec<Arc<dyn TurnHook>>,
}
