//! Dead letters: messages that could not be delivered, or whose turn failed for good, kept with their reason.

use crate::letter::LetterKind;
use crate::sync_plain::Mutex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, ExitReason, Path, Priority};

/// How many dead letters are kept; the oldest go first, and how many did is counted.
pub const DEAD_LETTERS_DEFAULT: usize = 1024;

/// How many bytes of ACL content are kept in all; the oldest dead letters go first.
pub const DEAD_LETTER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a letter is dead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeathCause {
    /// The life that handled it ended in that turn.
    TurnFailed(ExitReason),
    /// Its receiver ended for good before it was handled.
    ReceiverEnded,
    /// Its receiver's mailbox is dropped on a crash, and there was one.
    DroppedOnCrash,
    /// It waited longer for room than a send may.
    Overloaded,
    /// It was pushed out by a newer one.
    DroppedOldest,
    /// Its time was up before it was handled.
    Expired,
    /// Its receiver takes no messages now.
    Refused,
    /// There is no such receiver.
    NoReceiver,
    /// A hook refused it, or its receiver's node cannot read it.
    Rejected(String),
    /// Its receiver's node was lost, or cannot be reached. It may have arrived.
    Unreachable,
}

impl DeathCause {
    /// The cause as one stable lowercase word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TurnFailed(_) => "turn-failed",
            Self::ReceiverEnded => "receiver-ended",
            Self::DroppedOnCrash => "dropped-on-crash",
            Self::Overloaded => "overloaded",
            Self::DroppedOldest => "dropped-oldest",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::NoReceiver => "no-receiver",
            Self::Rejected(_) => "rejected",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What is known of a dead letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number; the first is 1.
    pub id: u64,
    /// When it died, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Why.
    pub cause: DeathCause,
    /// For whom it was: a place in the tree.
    pub receiver: Path,
    /// Who sent it, where it was an agent.
    pub sender: Option<Address>,
    /// What it was.
    pub kind: LetterKind,
    /// The Rust type of a native message.
    pub message_type: Cow<'static, str>,
    /// Its priority.
    pub priority: Priority,
    /// The message itself, where it is ACL.
    pub acl: Option<Arc<AclMessage>>,
    /// Whether the message itself was kept, so that it can be replayed.
    pub is_replayable: bool,
}

/// Why a dead letter was not replayed. It is kept as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is no dead letter with that number, or no more.
    #[error("there is no dead letter {0}")]
    NotFound(u64),
    /// Only its description was kept: its message type gives no copies.
    #[error("the message of dead letter {0} was not kept")]
    NotKept(u64),
    /// Nobody is at the receiver's place now.
    #[error("there is no actor {0} to replay it to")]
    NoReceiver(Path),
    /// The receiver is of another type now.
    #[error("{0} does not take messages of that type")]
    WrongType(Path),
    /// The receiver takes no messages now, or its mailbox is full. Retry later.
    #[error("{0} does not take the message now")]
    NotTaken(Path),
}

/// A kept message, whatever its type: hands itself to the actor at the path again, or back.
pub(crate) trait Kept: Send {
    fn resend(
        self: Box<Self>,
        receiver: &crate::AnyRef,
        path: &Path,
    ) -> Result<(), (Option<Box<dyn Kept>>, ReplayError)>;
}

struct Entry {
    letter: DeadLetter,
    kept: Option<Box<dyn Kept>>,
}

struct Store {
    entries: VecDeque<Entry>,
    /// Of the ACL contents in `entries`, all together.
    bytes: usize,
    next: u64,
    evicted: u64,
}

/// The dead letters of a system.
pub struct DeadLetters {
    store: Mutex<Store>,
    capacity: usize,
}

/// What a new dead letter is made of.
pub(crate) struct Corpse {
    pub(crate) cause: DeathCause,
    pub(crate) receiver: Path,
    pub(crate) sender: Option<Address>,
    pub(crate) kind: LetterKind,
    pub(crate) message_type: &'static str,
    pub(crate) priority: Priority,
    pub(crate) acl: Option<Arc<AclMessage>>,
    pub(crate) kept: Option<Box<dyn Kept>>,
}

impl DeadLetters {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            store: Mutex::new(Store {
                entries: VecDeque::new(),
                bytes: 0,
                next: 1,
                evicted: 0,
            }),
            capacity: capacity.max(1),
        }
    }

    /// Takes a letter in. Hands back its number, and the messages that had to go for it: their drop is the agents' code.
    pub(crate) fn bury(&self, at_ms: u64, corpse: Corpse) -> (u64, Vec<Box<dyn Kept>>) {
        let mut store = self.store.lock();
        let id = store.next;
        store.next += 1;
        let size = size_of_content(corpse.acl.as_ref());
        let mut evicted = Vec::new();
        while store.entries.len() >= self.capacity
            || (store.bytes + size > DEAD_LETTER_BYTES_MAX && !store.entries.is_empty())
        {
            store.evicted += 1;
            evicted.extend(store.remove(0).and_then(|entry| entry.kept));
        }
        store.bytes += size;
        store.entries.push_back(Entry {
            letter: DeadLetter {
                id,
                at_ms,
                cause: corpse.cause,
                receiver: corpse.receiver,
                sender: corpse.sender,
                kind: corpse.kind,
                message_type: corpse.message_type.into(),
                priority: corpse.priority,
                acl: corpse.acl,
                is_replayable: corpse.kept.is_some(),
            },
            kept: corpse.kept,
        });
        (id, evicted)
    }

    /// All that are kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<DeadLetter> {
        let store = self.store.lock();
        store.entries.iter().map(|e| e.letter.clone()).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<DeadLetter> {
        let store = self.store.lock();
        let at = store.position(id)?;
        Some(store.entries[at].letter.clone())
    }

    /// How many are kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.lock().entries.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there ever were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.store.lock().next - 1
    }

    /// How many were pushed out by newer ones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.store.lock().evicted
    }

    /// Removes one. False when it was not there.
    pub fn purge(&self, id: u64) -> bool {
        let removed = {
            let mut store = self.store.lock();
            store.position(id).and_then(|at| store.remove(at))
        };
        removed.is_some()
    }

    /// Removes all. Says how many there were.
    pub fn purge_all(&self) -> usize {
        let removed = {
            let mut store = self.store.lock();
            store.bytes = 0;
            std::mem::take(&mut store.entries)
        };
        removed.len()
    }

    /// Takes the kept message out, for a resend.
    pub(crate) fn take(&self, id: u64) -> Result<(Path, Box<dyn Kept>), ReplayError> {
        let mut store = self.store.lock();
        let at = store.position(id).ok_or(ReplayError::NotFound(id))?;
        let entry = &mut store.entries[at];
        let kept = entry.kept.take().ok_or(ReplayError::NotKept(id))?;
        Ok((entry.letter.receiver.clone(), kept))
    }

    /// Puts it back after a resend that failed.
    pub(crate) fn put_back(&self, id: u64, kept: Option<Box<dyn Kept>>) {
        let mut store = self.store.lock();
        if let Some(at) = store.position(id) {
            store.entries[at].letter.is_replayable = kept.is_some();
            store.entries[at].kept = kept;
        }
    }
}

fn size_of_content(acl: Option<&Arc<AclMessage>>) -> usize {
    acl.and_then(|acl| acl.content.as_ref()).map_or(0, Vec::len)
}

impl Store {
    fn remove(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entries.remove(at)?;
        self.bytes -= size_of_content(entry.letter.acl.as_ref());
        Some(entry)
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.entries
            .binary_search_by_key(&id, |entry| entry.letter.id)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocols::Performative;

    fn corpse(bytes: usize) -> Corpse {
        let mut acl = AclMessage::new(Performative::Inform);
        acl.content = Some(vec![0; bytes]);
        Corpse {
            cause: DeathCause::Overloaded,
            receiver: Path::root(),
            sender: None,
            kind: LetterKind::Acl,
            message_type: "acl",
            priority: Priority::Normal,
            acl: Some(Arc::new(acl)),
            kept: None,
        }
    }

    #[test]
    fn the_store_is_bounded_in_letters_and_in_bytes_and_the_oldest_go_first() {
        let store = DeadLetters::new(3);
        for _ in 0..5 {
            let _ = store.bury(0, corpse(1));
        }
        let ids = |store: &DeadLetters| store.list().iter().map(|l| l.id).collect::<Vec<_>>();
        assert_eq!(ids(&store), vec![3, 4, 5]);
        let _ = store.bury(0, corpse(DEAD_LETTER_BYTES_MAX));
        assert_eq!(ids(&store), vec![6], "it leaves no room for others");
        let _ = store.bury(0, corpse(1));
        assert_eq!(ids(&store), vec![7]);
        assert_eq!((store.total(), store.evicted()), (7, 6));
        assert!(store.purge(7) && !store.purge(7));
        assert!(store.is_empty());
    }
}
