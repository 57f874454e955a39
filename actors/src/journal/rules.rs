//! What a journal decides: pure functions of what a stream is, what is asked and what time it is. Every implementation
//! asks them, so that none can decide otherwise.

use super::record::{Batch, Bytes, Cut};
use super::window::{Known, Window};
use super::{
    Append, AppendError, Appended, CommandId, Damage, Epoch, Expected, Head, Position, Seq,
    StreamName,
};
use serde::{Deserialize, Serialize};

/// All that a journal keeps of a stream in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    name: StreamName,
    last_seq: u64,
    last_batch: u64,
    hash: u32,
    cut: Cut,
    epoch: u64,
    last_position: u64,
    wake_at_ms: Option<u64>,
    window: Option<Box<Window>>,
}

/// What becomes of an append.
#[derive(Debug)]
pub enum Decision<'a> {
    /// This is to be written.
    Write(Batch<'a>),
    /// It was written before; this was the answer.
    Repeat(Appended),
}

impl Stream {
    /// One that was never written.
    #[must_use]
    pub fn new(name: StreamName) -> Self {
        Self {
            name,
            last_seq: 0,
            last_batch: 0,
            hash: 0,
            cut: Cut::default(),
            epoch: 0,
            last_position: 0,
            wake_at_ms: None,
            window: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// Gives it the name that it had all along: for readers that meet its number first.
    pub fn rename(&mut self, name: StreamName) {
        self.name = name;
    }

    /// Whether it was ever written.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.last_batch > 0
    }

    /// Its last batch.
    #[must_use]
    pub fn last_batch(&self) -> u64 {
        self.last_batch
    }

    /// The sum of its last batch.
    #[must_use]
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// Up to where it is truncated.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// When its owner wants to be woken.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.wake_at_ms
    }

    /// What others may know of it.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            stream: self.name.clone(),
            last_seq: Seq(self.last_seq),
            last_batch: self.last_batch,
            hash: self.hash,
            truncated: Seq(self.cut.seq),
            truncated_batch: self.cut.batch,
            epoch: Epoch(self.epoch),
            last_position: Position(self.last_position),
            wake_at_ms: self.wake_at_ms,
        }
    }

    /// Brings a head of this stream up to date.
    pub fn head_into(&self, head: &mut Head) {
        head.last_seq = Seq(self.last_seq);
        head.last_batch = self.last_batch;
        head.hash = self.hash;
        head.truncated = Seq(self.cut.seq);
        head.truncated_batch = self.cut.batch;
        head.epoch = Epoch(self.epoch);
        head.last_position = Position(self.last_position);
        head.wake_at_ms = self.wake_at_ms;
    }

    /// Decides about an append. `position` is what the next event of the journal gets.
    ///
    /// A command that was seen is answered first, whatever the append expects or whose it is: its writer does not know that
    /// it took effect.
    ///
    /// # Errors
    /// [`AppendError`]; the stream is as it was.
    pub fn decide<'a>(
        &self,
        append: &'a Append,
        position: u64,
        now_ms: u64,
    ) -> Result<Decision<'a>, AppendError> {
        append.check()?;
        if let Some(command) = append.command {
            let known = match &self.window {
                Some(window) => window.look_up(command, now_ms),
                None => Window::default().look_up(command, now_ms),
            };
            match known {
                Known::New => {}
                Known::Repeat(appended) => return Ok(Decision::Repeat(appended)),
                Known::TooOld => {
                    return Err(AppendError::TooOld {
                        stream: self.name.clone(),
                        command,
                    });
                }
            }
        }
        if append.epoch.0 < self.epoch {
            return Err(AppendError::Fenced {
                stream: self.name.clone(),
                epoch: append.epoch,
                current: Epoch(self.epoch),
            });
        }
        let is_expected = match append.expected {
            Expected::Any => true,
            Expected::NoStream => !self.exists(),
            Expected::Exact(seq) => seq.0 == self.last_seq,
        };
        if !is_expected {
            return Err(AppendError::Conflict {
                stream: self.name.clone(),
                actual: Seq(self.last_seq),
            });
        }
        let mut batch = self.next(position, now_ms);
        batch.epoch = append.epoch.0;
        batch.command = append.command.map(|command| command.0);
        batch.wake_at_ms = append.wake_at_ms;
        batch.events = Batch::events_of(append);
        batch.facts = Bytes(&append.facts);
        Ok(Decision::Write(batch))
    }

    /// The batch that truncates the stream; `None` when that changes nothing. `ends` is the last batch that holds nothing
    /// above the mark: its number, its sum and the position of its last event.
    #[must_use]
    pub fn truncate(
        &self,
        up_to: Seq,
        ends: Option<(u64, u32, u64)>,
        position: u64,
        now_ms: u64,
    ) -> Option<Batch<'static>> {
        let seq = up_to.0.min(self.last_seq);
        if seq <= self.cut.seq {
            return None;
        }
        let (number, hash, last) =
            ends.unwrap_or((self.cut.batch, self.cut.hash, self.cut.position));
        let mut batch = self.next(position, now_ms);
        batch.cut = Some(Cut {
            seq,
            batch: number,
            hash,
            position: last,
        });
        Some(batch)
    }

    fn next(&self, position: u64, now_ms: u64) -> Batch<'static> {
        Batch {
            batch: self.last_batch + 1,
            previous: self.hash,
            first_seq: self.last_seq + 1,
            position,
            at_ms: now_ms,
            epoch: self.epoch,
            command: None,
            wake_at_ms: self.wake_at_ms,
            cut: None,
            events: Vec::new(),
            facts: Bytes::default(),
        }
    }

    /// Whether `batch` is the one behind the last; its sum was checked already.
    ///
    /// # Errors
    /// What is missing between them.
    pub fn follows(&self, batch: &Batch<'_>, place: impl FnOnce() -> String) -> Result<(), Damage> {
        let what = if batch.batch != self.last_batch + 1 {
            format!("batch {} follows batch {}", batch.batch, self.last_batch)
        } else if batch.previous != self.hash {
            format!(
                "batch {} does not follow what was written before it",
                batch.batch
            )
        } else if batch.first_seq != self.last_seq + 1 {
            format!("event {} follows event {}", batch.first_seq, self.last_seq)
        } else {
            return Ok(());
        };
        Err(Damage {
            stream: Some(self.name.clone()),
            seq: Some(Seq(self.last_seq + 1)),
            place: place(),
            what,
        })
    }

    /// Takes a batch that was written, with its sum.
    pub fn apply(&mut self, batch: &Batch<'_>, sum: u32) -> Appended {
        let appended = Appended {
            first: Seq(batch.first_seq),
            last: Seq(batch.last_seq()),
            position: Position(batch.position),
            batch: batch.batch,
            is_repeat: false,
        };
        self.last_seq = appended.last.0;
        self.last_batch = batch.batch;
        self.hash = sum;
        self.epoch = self.epoch.max(batch.epoch);
        self.wake_at_ms = batch.wake_at_ms;
        if !batch.events.is_empty() {
            self.last_position = batch.position + batch.events.len() as u64 - 1;
        }
        if let Some(cut) = batch.cut {
            self.cut = cut;
            // Where compaction has taken all batches before it, this is all that is left of them.
            self.last_position = self.last_position.max(cut.position);
        }
        if let Some(command) = batch.command {
            self.window
                .get_or_insert_default()
                .note(CommandId(command), &appended, batch.at_ms);
        } else {
            self.forget(batch.at_ms);
        }
        appended
    }

    /// Begins where a truncation that was read later says that the stream begins: for streams whose first batches are gone.
    pub fn begin_at(&mut self, first: &Batch<'_>) {
        self.last_batch = first.batch.saturating_sub(1);
        self.hash = first.previous;
        self.last_seq = first.first_seq.saturating_sub(1);
    }

    /// Lets go of commands that are too old.
    pub fn forget(&mut self, now_ms: u64) {
        if let Some(window) = &mut self.window {
            window.forget(now_ms);
            if window.is_empty() {
                // Whatever it had forgotten is older than the window by now.
                self.window = None;
            }
        }
    }
}
