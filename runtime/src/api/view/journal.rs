//! From the journal's types to the API's.

use super::time;
use crate::api::types::{
    HistoryAnswer, HistoryEvent, JournalDamage, JournalEvent, JournalHead, JournalReport,
};
use crate::node::{PastEvent, PastEvents};
use std::fmt::Write as _;
use swarm_actors::journal::{Damage, Head, Recorded};
use swarm_journal::tools::Report;

impl From<&Head> for JournalHead {
    fn from(head: &Head) -> Self {
        Self {
            stream: head.stream.to_string(),
            last_seq: head.last_seq.0,
            truncated: head.truncated.0,
            last_batch: head.last_batch,
            hash: format!("{:08x}", head.hash),
            position: head.last_position.0,
            epoch: head.epoch.0,
            wake_at: head.wake_at_ms.map(time),
        }
    }
}

impl From<&Recorded> for JournalEvent {
    fn from(event: &Recorded) -> Self {
        let mut payload = String::with_capacity(event.data.payload.len() * 2);
        for byte in &event.data.payload {
            // A String takes all text.
            let _ = write!(payload, "{byte:02x}");
        }
        Self {
            seq: event.seq.0,
            position: event.position.0,
            at: time(event.at_ms),
            epoch: event.epoch.0,
            type_id: event.data.type_id,
            version: event.data.version,
            command: event.command.map(|command| command.to_string()),
            tags: event.data.tags.iter().map(ToString::to_string).collect(),
            payload,
        }
    }
}

impl From<&Damage> for JournalDamage {
    fn from(damage: &Damage) -> Self {
        Self {
            stream: damage.stream.as_ref().map(ToString::to_string),
            seq: damage.seq.map(|seq| seq.0),
            place: damage.place.clone(),
            what: damage.what.clone(),
        }
    }
}

impl From<&Report> for JournalReport {
    fn from(report: &Report) -> Self {
        Self {
            sound: report.is_sound(),
            streams: report.heads.len() as u64,
            events: report.events,
            segments: report.segments,
            bytes: report.bytes,
            damaged: report.damaged.iter().map(JournalDamage::from).collect(),
        }
    }
}

impl HistoryAnswer {
    /// The history of the agent at a path.
    #[must_use]
    pub fn of(path: &str, past: &PastEvents) -> Self {
        Self {
            path: path.to_owned(),
            last_seq: past.last.0,
            truncated: past.truncated.0,
            events: past.events.iter().map(HistoryEvent::from).collect(),
        }
    }
}

impl From<&PastEvent> for HistoryEvent {
    fn from(past: &PastEvent) -> Self {
        let recorded = &past.recorded;
        let (events, unreadable) = match &past.event {
            Ok(events) => (events.clone(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Self {
            seq: recorded.seq.0,
            at: time(recorded.at_ms),
            type_id: recorded.data.type_id,
            version: recorded.data.version,
            command: recorded.command.map(|command| command.to_string()),
            events,
            unreadable,
        }
    }
}
