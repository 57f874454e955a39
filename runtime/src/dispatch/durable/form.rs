//! What stands in the stream of a run. Version 1 of each form is what the golden texts below say: JSON, so that an operator can
//! read it.

use crate::dispatch::job::{Job, JobId, JobResult};
use serde::{Deserialize, Serialize};
use swarm_actors::journal::{EventData, Recorded, StreamName};
use swarm_protocols::{Name, NameError};

/// The most bytes that a recorded result may have, as JSON. A larger one becomes a failure that says so: a batch of the journal
/// holds 8 MiB, and a result must not be there in part.
pub const RESULT_BYTES_MAX: usize = 7 << 20;

/// How many bytes of a result one event holds.
const PART_BYTES: usize = 1 << 20;

/// An attempt began, or ended without a result.
const COUNTED: u32 = 1;
/// A job has its result; the last event of its batch.
const FINISHED: u32 = 2;
/// The first bytes of a result that is too long for one event.
const PART: u32 = 3;
/// The run has come to its end.
const ENDED: u32 = 4;

/// What a run is called: a name of at most 128 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(Name);

/// A text that is no name of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a run: {cause}")]
pub struct RunNameRefused {
    text: String,
    #[source]
    cause: NameError,
}

impl RunName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`RunNameRefused`].
    pub fn new(text: &str) -> Result<Self, RunNameRefused> {
        Name::new(text).map(Self).map_err(|cause| RunNameRefused {
            text: text.to_owned(),
            cause,
        })
    }

    /// A name that is the same whenever the same texts are given: where jobs come from, who does them, and so on.
    #[must_use]
    pub fn derived(texts: &[&str]) -> Self {
        let mut sum = Fnv::default();
        for text in texts {
            sum.add(text.as_bytes());
            // So that no two lists of texts are the same bytes.
            sum.add(&[0xff]);
        }
        let name = format!("run-{:016x}", sum.0);
        Self(Name::new(&name).expect("these are letters, digits and '-'"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its stream in the journal.
    #[must_use]
    pub fn stream(&self) -> StreamName {
        StreamName::new(&format!("dispatch/{}", self.0)).expect("a name is part of a stream's")
    }
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a job's attempts, and what tells the job from another one with the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) id: JobId,
    /// Of task and input.
    #[serde(rename = "is")]
    pub(super) fingerprint: u64,
    /// How many attempts were begun.
    pub(super) attempts: u32,
    /// How many of them ended by the job's own doing.
    pub(super) faults: u32,
}

#[derive(Serialize, Deserialize)]
struct Finished<R> {
    #[serde(rename = "is")]
    fingerprint: u64,
    result: R,
}

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunEvent {
    Counted(Counted),
    /// Of the result, what it is known by. Its bytes stay in the journal.
    Finished {
        id: JobId,
        fingerprint: u64,
    },
    Part,
    Ended,
}

/// An event that this version cannot read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("event {seq} is none of a run: {what}")]
pub(super) struct Unreadable {
    pub(super) seq: u64,
    pub(super) what: String,
}

pub(super) fn counted(counted: &Counted) -> EventData {
    event(
        COUNTED,
        serde_json::to_vec(counted).expect("texts and numbers always serialize"),
    )
}

pub(super) fn ended() -> EventData {
    event(ENDED, b"{}".to_vec())
}

/// The events of one batch that records a result; none when it is too long.
pub(super) fn finished(fingerprint: u64, result: &JobResult) -> Option<Vec<EventData>> {
    let bytes = serde_json::to_vec(&Finished {
        fingerprint,
        result,
    })
    .expect("texts, numbers and raw JSON always serialize");
    if bytes.len() > RESULT_BYTES_MAX {
        return None;
    }
    let mut chunks: Vec<_> = bytes
        .chunks(PART_BYTES)
        .map(|chunk| event(PART, chunk.to_vec()))
        .collect();
    if let Some(last) = chunks.last_mut() {
        last.type_id = FINISHED;
    }
    Some(chunks)
}

fn event(type_id: u32, payload: Vec<u8>) -> EventData {
    EventData {
        type_id,
        version: 1,
        payload,
        ..EventData::default()
    }
}

/// Reads the events of a stream one by one, and puts the parts of results together.
#[derive(Default)]
pub(super) struct Reader {
    /// The parts of a result that is being read; at most [`RESULT_BYTES_MAX`], as they were written.
    parts: Vec<u8>,
}

impl Reader {
    pub(super) fn read(
        &mut self,
        seq: u64,
        type_id: u32,
        version: u16,
        payload: &[u8],
    ) -> Result<RunEvent, Unreadable> {
        let unreadable = |what: String| Unreadable { seq, what };
        match (type_id, version) {
            (COUNTED, 1) => serde_json::from_slice(payload)
                .map(RunEvent::Counted)
                .map_err(|error| unreadable(error.to_string())),
            (PART, 1) => {
                if self.parts.len() + payload.len() > RESULT_BYTES_MAX {
                    return Err(unreadable("a result of more bytes than any has".to_owned()));
                }
                self.parts.extend_from_slice(payload);
                Ok(RunEvent::Part)
            }
            (FINISHED, 1) => {
                let result = self.whole(payload).map_err(unreadable)?;
                let id = result.result.id.ok_or_else(|| {
                    unreadable("a result without an id is not recorded".to_owned())
                })?;
                Ok(RunEvent::Finished {
                    id,
                    fingerprint: result.fingerprint,
                })
            }
            (ENDED, 1) => Ok(RunEvent::Ended),
            (other, version) => Err(unreadable(format!("type {other}, version {version}"))),
        }
    }

    fn whole(&mut self, last: &[u8]) -> Result<Finished<JobResult>, String> {
        let mut bytes = std::mem::take(&mut self.parts);
        bytes.extend_from_slice(last);
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }
}

/// Puts a result together out of the events of its batch.
pub(super) fn result_of(events: &[Recorded]) -> Result<JobResult, Unreadable> {
    let mut reader = Reader::default();
    let Some((last, parts)) = events.split_last() else {
        return Err(Unreadable {
            seq: 0,
            what: "it is not there".to_owned(),
        });
    };
    for part in parts {
        reader.parts.extend_from_slice(&part.data.payload);
    }
    reader
        .whole(&last.data.payload)
        .map(|finished| finished.result)
        .map_err(|what| Unreadable {
            seq: last.seq.0,
            what,
        })
}

/// What tells one job from another that has the same id.
pub(super) fn fingerprint(job: &Job) -> u64 {
    let mut sum = Fnv::default();
    sum.add(job.task.as_bytes());
    sum.add(&[0xff]);
    sum.add(job.input.get().as_bytes());
    sum.0
}

/// FNV-1a of 64 bits: the same in every version of every program, which the standard library's hash need not be.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Outcome;
    use serde_json::value::RawValue;

    fn result(output: &str) -> JobResult {
        JobResult {
            id: Some(JobId::text("a")),
            line: None,
            outcome: Outcome::Done(RawValue::from_string(output.to_owned()).unwrap()),
            worker: Some("/w".into()),
            node: None,
            attempts: 2,
            ms: 7,
        }
    }

    #[test]
    fn the_forms_of_version_1_are_frozen() {
        let count = Counted {
            id: JobId::Number(7),
            fingerprint: 12,
            attempts: 2,
            faults: 1,
        };
        let data = counted(&count);
        let golden = r#"{"id":7,"is":12,"attempts":2,"faults":1}"#;
        assert_eq!((data.type_id, data.version), (1, 1));
        assert_eq!(data.payload, golden.as_bytes());
        let data = &finished(3, &result("{\"n\": 1}")).unwrap()[0];
        let golden = r#"{"is":3,"result":{"id":"a","ok":true,"output":{"n": 1},"worker":"/w","attempts":2,"ms":7}}"#;
        assert_eq!((data.type_id, data.version), (2, 1));
        assert_eq!(data.payload, golden.as_bytes());
        let read = Reader::default().read(1, 2, 1, golden.as_bytes()).unwrap();
        let id = JobId::text("a");
        assert_eq!(read, RunEvent::Finished { id, fingerprint: 3 });
        assert_eq!(
            RunName::derived(&["a", "b"]).as_str(),
            "run-d2b371819297f98a"
        );
        assert_ne!(RunName::derived(&["ab"]), RunName::derived(&["a", "b"]));
    }

    #[test]
    fn a_long_result_is_parts_of_one_batch_and_a_longer_one_is_none() {
        let long = format!("\"{}\"", "x".repeat(3 << 20));
        let parts = finished(3, &result(&long)).unwrap();
        assert_eq!(parts.len(), 4);
        let mut reader = Reader::default();
        let mut last = None;
        for (seq, part) in (1..).zip(&parts) {
            let read = reader.read(seq, part.type_id, part.version, &part.payload);
            last = Some(read.unwrap());
        }
        let id = JobId::text("a");
        assert_eq!(last, Some(RunEvent::Finished { id, fingerprint: 3 }));
        let too_long = format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX));
        assert!(finished(3, &result(&too_long)).is_none());
    }

    #[test]
    fn what_is_no_event_of_a_run_is_named() {
        for (type_id, version, payload) in [(1, 1, "{"), (2, 1, "{}"), (9, 1, ""), (1, 2, "")] {
            let read = Reader::default().read(5, type_id, version, payload.as_bytes());
            assert_eq!(read.unwrap_err().seq, 5);
        }
    }
}
