//! What the durable agents of a node share: their journal, and how many read it at once.

use super::codec::CodecError;
use crate::journal::{Epoch, Journal, JournalError, Seq, StreamName};
use crate::projection::Lag;
use crate::sync_plain::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many agents read their streams at once; others wait.
pub const RECOVERIES_AT_ONCE_DEFAULT: usize = 16;

/// The journal of a node's durable agents, and what they share of it. Cheap to clone.
#[derive(Clone)]
pub struct Durability(Arc<Inner>);

struct Inner {
    journal: Arc<dyn Journal>,
    recoveries: Semaphore,
    recovery_within: Duration,
    reads_block: bool,
    epoch: Epoch,
    /// Of the projections that were ever started over it; as many as there are names.
    lags: Mutex<BTreeMap<String, Lag>>,
}

/// Why an agent could not be brought back from its stream.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecoveryFailed {
    /// The journal could not be read.
    #[error("stream {stream} cannot be read: {cause}")]
    Journal {
        /// Which stream.
        stream: StreamName,
        /// Why.
        cause: JournalError,
    },
    /// An event could not be decoded.
    #[error("event {seq} of stream {stream} cannot be decoded: {cause}")]
    Undecodable {
        /// Which stream.
        stream: StreamName,
        /// Which event.
        seq: Seq,
        /// Why.
        cause: CodecError,
    },
    /// Events are truncated, and no snapshot that can be read replaces them.
    #[error("stream {stream} is truncated up to event {seq}, and no readable snapshot is left")]
    NoSnapshot {
        /// Which stream.
        stream: StreamName,
        /// Up to where.
        seq: Seq,
    },
    /// The agent's code did not begin, as it might at another time.
    #[error("the code of stream {stream} does not begin: {cause}")]
    NotBegun {
        /// Which stream.
        stream: StreamName,
        /// Why.
        cause: String,
    },
    /// It took too long.
    #[error("stream {stream} was not read within {within:?}")]
    Timeout {
        /// Which stream.
        stream: StreamName,
        /// How long it may take.
        within: Duration,
    },
}

impl RecoveryFailed {
    /// Whether trying again cannot help: what is stored is not what can be read. The agent is held then, until somebody
    /// restarts it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Undecodable { .. } | Self::NoSnapshot { .. } => true,
            Self::Journal { cause, .. } => matches!(cause, JournalError::Damaged(_)),
            Self::NotBegun { .. } | Self::Timeout { .. } => false,
        }
    }
}

impl Durability {
    /// Over that journal.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self::with(journal, RECOVERIES_AT_ONCE_DEFAULT, Duration::from_secs(60))
    }

    /// Over that journal, with bounds of one's own: how many streams are read at once (at least 1), and how long that may take.
    #[must_use]
    pub fn with(journal: Arc<dyn Journal>, at_once: usize, within: Duration) -> Self {
        Self(Arc::new(Inner {
            epoch: Epoch::default(),
            reads_block: journal.reads_block(),
            journal,
            recoveries: Semaphore::new(at_once.max(1)),
            recovery_within: within,
            lags: Mutex::default(),
        }))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.0.journal
    }

    /// How far each projection is behind, by name.
    #[must_use]
    pub fn lags(&self) -> Vec<(String, u64)> {
        let lags = self.0.lags.lock();
        lags.iter()
            .map(|(name, lag)| (name.clone(), lag.get()))
            .collect()
    }

    /// What the projection of that name tells its lag by, in all of its lives.
    pub(crate) fn lag_of(&self, projection: &str) -> Lag {
        let mut lags = self.0.lags.lock();
        lags.entry(projection.to_owned()).or_default().clone()
    }

    /// Whose writes these are. A node that is alone writes in epoch 0.
    pub(super) fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// Does what may block where nobody waits for it.
    pub(super) fn off_turn(&self, blocks: bool, work: impl FnOnce() + Send + 'static) {
        if self.0.reads_block || blocks {
            drop(tokio::task::spawn_blocking(work));
        } else {
            work();
        }
    }

    /// Reads `stream` by `read`, on a thread that may block if need be, when it is its turn.
    pub(super) async fn recover<T: Send + 'static>(
        &self,
        stream: &StreamName,
        blocks: bool,
        read: impl FnOnce(&dyn Journal) -> Result<T, RecoveryFailed> + Send + 'static,
    ) -> Result<T, RecoveryFailed> {
        let within = self.0.recovery_within;
        let timeout = || RecoveryFailed::Timeout {
            stream: stream.clone(),
            within,
        };
        let work = async {
            // The semaphore is never closed.
            let _permit = self.0.recoveries.acquire().await;
            if !self.0.reads_block && !blocks {
                return read(&*self.0.journal);
            }
            let journal = self.0.journal.clone();
            tokio::task::spawn_blocking(move || read(&*journal))
                .await
                .unwrap_or_else(|_| Err(timeout()))
        };
        tokio::time::timeout(within, work)
            .await
            .unwrap_or_else(|_| Err(timeout()))
    }
}
