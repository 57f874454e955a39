//! What is asked of a journal when something is to be written.

use super::{CommandId, Epoch, Position, Seq, StreamName, Tag};

/// How many events one batch may hold.
pub const EVENTS_PER_BATCH_MAX: usize = 4096;
/// How many bytes one event's payload may have.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// How many bytes one event's metadata may have.
pub const META_BYTES_MAX: usize = 64 << 10;
/// How many bytes a turn's facts may have.
pub const FACTS_BYTES_MAX: usize = 4 << 20;
/// How many bytes of payload, metadata and facts one batch may have.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// How many tags one event may carry.
pub const TAGS_PER_EVENT_MAX: usize = 16;

/// Versions of event and snapshot forms are below this. With this bit set they are sealed (encrypted at rest).
pub const SEALED_VERSION: u16 = 0x8000;

/// How many bytes sealing may add to a payload, metadata, facts or a snapshot, beyond their bounds.
pub const SEALING_BYTES: usize = 64;

/// One event that is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventData {
    /// What kind of event it is, to those who read the stream.
    pub type_id: u32,
    /// Which version of that kind's form the payload has.
    pub version: u16,
    /// What it can be found by.
    pub tags: Vec<Tag>,
    /// What is to be known of it beside its payload: at most 64 KiB, unread by the journal.
    pub meta: Vec<u8>,
    /// The event itself: at most 1 MiB, unread by the journal.
    pub payload: Vec<u8>,
}

/// What the writer believes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    #[default]
    Any,
    /// That it was never written.
    NoStream,
    /// That its last event has this number.
    Exact(Seq),
}

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// When it is on disk: it survives a kill and a power loss.
    #[default]
    Durable,
    /// When it was given to the operating system and before it is on disk: it survives a kill; a power loss within the next
    /// sync takes it, and everything of its stream behind it.
    Relaxed,
}

/// One batch that is to be written, whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub stream: StreamName,
    /// What must hold of the stream.
    pub expected: Expected,
    /// The command that this is the effect of, if it must not take effect twice.
    pub command: Option<CommandId>,
    /// Whose write it is. Not below the stream's epoch; a higher one becomes the stream's.
    pub epoch: Epoch,
    /// The events, in order; none is allowed when there are facts.
    pub events: Vec<EventData>,
    /// What else the turn decided: at most 4 MiB, unread by the journal.
    pub facts: Vec<u8>,
    /// When the stream's owner wants to be woken after this batch (milliseconds since 1970; 0 for at once), kept in the head.
    pub wake_at_ms: Option<u64>,
    /// When this is answered.
    pub class: Class,
}

impl Append {
    /// Events for a stream, without any expectation, acknowledged when they are on disk.
    #[must_use]
    pub fn new(stream: StreamName, events: Vec<EventData>) -> Self {
        Self {
            stream,
            expected: Expected::Any,
            command: None,
            epoch: Epoch::default(),
            events,
            facts: Vec::new(),
            wake_at_ms: None,
            class: Class::Durable,
        }
    }

    /// How many bytes of payload, metadata and facts there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let events: usize = self
            .events
            .iter()
            .map(|e| e.payload.len() + e.meta.len() + 16)
            .sum();
        events + self.facts.len()
    }

    /// Whether it is within every bound.
    ///
    /// # Errors
    /// [`InvalidAppend`]: nothing was written, and nothing will be if it is tried again.
    pub fn check(&self) -> Result<(), InvalidAppend> {
        let events = self.events.len();
        if events == 0 && self.facts.is_empty() {
            return Err(InvalidAppend::Empty);
        }
        if events > EVENTS_PER_BATCH_MAX {
            return Err(InvalidAppend::TooManyEvents { events });
        }
        let mut sealing = 0;
        for (index, event) in self.events.iter().enumerate() {
            let (payload, meta, tags) = (event.payload.len(), event.meta.len(), event.tags.len());
            let added = if event.version >= SEALED_VERSION {
                SEALING_BYTES
            } else {
                0
            };
            sealing += 2 * added;
            if payload > PAYLOAD_BYTES_MAX + added
                || meta > META_BYTES_MAX + added
                || tags > TAGS_PER_EVENT_MAX
            {
                return Err(InvalidAppend::EventTooLarge {
                    index,
                    payload,
                    meta,
                    tags,
                });
            }
        }
        let bytes = self.bytes();
        // Facts are sealed together with events, or alone.
        if bytes > BATCH_BYTES_MAX + sealing + SEALING_BYTES
            || self.facts.len() > FACTS_BYTES_MAX + SEALING_BYTES
        {
            return Err(InvalidAppend::TooManyBytes { bytes });
        }
        Ok(())
    }
}

/// An append that no journal takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAppend {
    /// It has neither events nor facts.
    #[error("there is nothing to append")]
    Empty,
    /// It has too many events.
    #[error("{events} events in one batch; at most {EVENTS_PER_BATCH_MAX}")]
    TooManyEvents {
        /// How many it has.
        events: usize,
    },
    /// One of its events is too large.
    #[error(
        "event {index} of the batch has {payload} bytes of payload, {meta} of metadata and {tags} tags; \
         at most {PAYLOAD_BYTES_MAX}, {META_BYTES_MAX} and {TAGS_PER_EVENT_MAX}"
    )]
    EventTooLarge {
        /// Which one, from 0.
        index: usize,
        /// Its payload in bytes.
        payload: usize,
        /// Its metadata in bytes.
        meta: usize,
        /// How many tags it has.
        tags: usize,
    },
    /// A version, or the first byte of facts, is one that only sealed contents have.
    #[error(
        "version {version} of a form is kept for sealed contents; versions are below {SEALED_VERSION}"
    )]
    Reserved {
        /// Which version.
        version: u16,
    },
    /// It is too large as a whole.
    #[error(
        "{bytes} bytes in one batch; at most {BATCH_BYTES_MAX}, and {FACTS_BYTES_MAX} of facts"
    )]
    TooManyBytes {
        /// How many it has.
        bytes: usize,
    },
}

/// What an append wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The number of its first event; one above the last when it had none.
    pub first: Seq,
    /// The number of the stream's last event after it.
    pub last: Seq,
    /// The position of its first event; of the next one to come when it had none.
    pub position: Position,
    /// The number of the batch in its stream.
    pub batch: u64,
    /// It was written before, under the same command: this is what it wrote then.
    pub is_repeat: bool,
}

impl Appended {
    /// The numbers of its events, in order.
    pub fn numbers(&self) -> impl Iterator<Item = Seq> + use<> {
        (self.first.0..=self.last.0).map(Seq)
    }
}
