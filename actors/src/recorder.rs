//! The flight recorder: the last messages of an agent, as metadata. It is part of every crash report.

use crate::letter::LetterKind;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use swarm_protocols::{ExitReason, Incarnation, Path, Pid, Priority};

/// How many messages are remembered.
pub const FLIGHT_RECORDER_ENTRIES: usize = 32;

/// What is remembered of a message. Never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightRecord {
    /// What it was.
    pub kind: LetterKind,
    /// The lower half of the sender's address; 0 when it came from outside.
    pub sender: u64,
    /// When it was put into the mailbox, in milliseconds since the system's start.
    pub at_ms: u32,
    /// Its priority.
    pub priority: Priority,
    /// How many lives it had ended before.
    pub deliveries: u8,
}

/// A ring of the last [`FLIGHT_RECORDER_ENTRIES`] messages.
pub(crate) struct FlightRecorder {
    entries: [FlightRecord; FLIGHT_RECORDER_ENTRIES],
    next: u32,
}

impl FlightRecorder {
    pub(crate) fn new() -> Self {
        Self {
            entries: [FlightRecord {
                kind: LetterKind::Message,
                sender: 0,
                at_ms: 0,
                priority: Priority::Normal,
                deliveries: 0,
            }; FLIGHT_RECORDER_ENTRIES],
            next: 0,
        }
    }

    pub(crate) fn record(&mut self, record: FlightRecord) {
        self.entries[self.next as usize % FLIGHT_RECORDER_ENTRIES] = record;
        // Wraps after four billion messages, to a multiple of the size.
        self.next = self.next.wrapping_add(1);
        if self.next == 0 {
            self.next = FLIGHT_RECORDER_ENTRIES as u32;
        }
    }

    /// What is remembered, oldest first.
    pub(crate) fn entries(&self) -> Vec<FlightRecord> {
        let size = FLIGHT_RECORDER_ENTRIES;
        let next = self.next as usize;
        let (from, count) = if next < size { (0, next) } else { (next, size) };
        (0..count)
            .map(|n| self.entries[(from + n) % size])
            .collect()
    }
}

/// How the supervisor of an agent treats it, as its child spec has it, and the bounds it lives under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecRecord {
    /// permanent, transient or temporary.
    pub restart: Cow<'static, str>,
    /// `brutal_kill`, `infinity` or a number of milliseconds.
    pub shutdown: Cow<'static, str>,
    /// Whether its end can end its supervisor.
    pub significant: bool,
    /// How many messages its mailbox holds.
    pub mailbox_capacity: u32,
    /// How long a turn may take, in milliseconds; none for no limit.
    pub turn_deadline_ms: Option<u64>,
}

/// What is known of a crash (design.md 4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CrashReport {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who.
    pub path: Path,
    /// Which life of it.
    pub pid: Pid,
    /// The supervisor above it.
    pub supervisor: Option<Pid>,
    /// The Rust type of its behaviour.
    pub behaviour: Cow<'static, str>,
    /// What it was started from.
    #[serde(default)]
    pub spec: SpecRecord,
    /// Why, with causes.
    pub reason: ExitReason,
    /// The message in whose turn it crashed.
    pub message: Option<FlightRecord>,
    /// The messages before, oldest first.
    pub recorder: Vec<FlightRecord>,
    /// How many messages were queued.
    pub queued: u64,
    /// The trace that the message belonged to, as 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// How many lives came before.
    pub incarnation: Incarnation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorder_keeps_the_last_32_in_order() {
        let mut recorder = FlightRecorder::new();
        for n in 0..40 {
            recorder.record(FlightRecord {
                kind: LetterKind::Message,
                sender: 0,
                at_ms: n,
                priority: Priority::Normal,
                deliveries: 0,
            });
        }
        let times: Vec<u32> = recorder.entries().iter().map(|e| e.at_ms).collect();
        assert_eq!(times, (8..40).collect::<Vec<_>>());
    }
}
