//! The record of every call.

use crate::error::ToolError;
use crate::error::plain;
use crate::name::Caller;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// How many bytes of a tool's name a record keeps: a caller may ask for any text.
const NAME_BYTES_MAX: usize = 257;

/// One call. Never holds the input, the answer, or the idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Counts all calls of the registry from 1; a gap before the oldest record is what the ring has let go.
    pub number: u64,
    /// When it began, by the machine's clock.
    pub at: SystemTime,
    /// Who called.
    pub caller: Caller,
    /// What was called; not necessarily a tool's name. Without control characters.
    pub tool: String,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether an earlier call with the same key gave the answer.
    pub repeated: bool,
    /// The size of the input, in bytes of JSON.
    pub input_bytes: u64,
    /// The size of the answer, in bytes of JSON; 0 if there was none.
    pub answer_bytes: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// With an answer.
    Done,
    /// With an error of this [`code`](ToolError::code).
    Failed(&'static str),
    /// Its caller stopped waiting, or ended.
    Abandoned,
}

impl Outcome {
    /// The outcome in one word: `done`, `abandoned`, or the code of the error.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(code) => code,
            Self::Abandoned => "abandoned",
        }
    }
}

/// The latest records. When full, the oldest goes.
#[derive(Debug)]
pub(crate) struct AuditRing {
    records: VecDeque<AuditRecord>,
    records_max: usize,
    count: u64,
}

impl AuditRing {
    pub(crate) fn new(records_max: usize) -> Self {
        Self {
            records: VecDeque::new(),
            records_max,
            count: 0,
        }
    }

    /// Numbers and keeps a record.
    pub(crate) fn push(&mut self, mut record: AuditRecord) -> &AuditRecord {
        self.count += 1;
        record.number = self.count;
        while self.records.len() >= self.records_max.max(1) {
            self.records.pop_front();
        }
        self.records.push_back(record);
        self.records.back().expect("one was pushed just now")
    }

    pub(crate) fn list(&self) -> Vec<AuditRecord> {
        self.records.iter().cloned().collect()
    }
}

/// A record in the making. Dropped unfinished, the call was abandoned.
pub(crate) struct Recording {
    tools: crate::Tools,
    begun: tokio::time::Instant,
    /// Taken when it is written.
    record: Option<AuditRecord>,
}

impl Recording {
    pub(crate) fn begin(
        tools: crate::Tools,
        caller: &Caller,
        tool: &str,
        input_bytes: usize,
    ) -> Self {
        let mut tool = plain(tool);
        while tool.len() > NAME_BYTES_MAX {
            tool.pop();
        }
        Self {
            tools,
            begun: tokio::time::Instant::now(),
            record: Some(AuditRecord {
                number: 0,
                at: SystemTime::now(),
                caller: caller.clone(),
                tool,
                took: Duration::ZERO,
                outcome: Outcome::Abandoned,
                repeated: false,
                input_bytes: input_bytes as u64,
                answer_bytes: 0,
            }),
        }
    }

    /// Writes the record of a call that an earlier one answers.
    pub(crate) fn end_repeated(mut self, ended: Result<usize, &ToolError>) {
        if let Some(record) = &mut self.record {
            record.repeated = true;
        }
        self.end(ended);
    }

    /// Writes the record; `ended` has the size of the answer.
    pub(crate) fn end(mut self, ended: Result<usize, &ToolError>) {
        if let Some(record) = &mut self.record {
            match ended {
                Ok(bytes) => {
                    record.outcome = Outcome::Done;
                    record.answer_bytes = bytes as u64;
                }
                Err(error) => record.outcome = Outcome::Failed(error.code()),
            }
        }
        // Dropping it writes it.
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.took = self.begun.elapsed();
            self.tools.record(record);
        }
    }
}
