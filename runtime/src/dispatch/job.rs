//! A job, what became of it, and both as JSON.

use super::verdict::Attempts;
use serde::de::{self, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// The longest id, in bytes: as long as a path of a file may be.
pub(super) const ID_BYTES_MAX: usize = 4096;

/// What a job is called by the one who ordered it: a text or a whole number. `1` and `"1"` are two ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobId {
    /// A text of at most 4 096 bytes.
    Text(Arc<str>),
    /// A whole number.
    Number(i128),
}

impl JobId {
    /// An id that is a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_i64(number),
                (_, Ok(number)) => serializer.serialize_u64(number),
                // Ids are read from 64-bit numbers only.
                (Err(_), Err(_)) => serializer.serialize_str(&number.to_string()),
            },
        }
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = JobId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "an id that is a text of 1 to {ID_BYTES_MAX} bytes or a whole number"
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<JobId, E> {
                if text.is_empty() || text.len() > ID_BYTES_MAX {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(JobId::text(text))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<JobId, E> {
                Ok(JobId::Number(number.into()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<JobId, E> {
                Ok(JobId::Number(number.into()))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// A piece of work for any worker of a group.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name in the result.
    pub id: JobId,
    /// What is to be done, in the workers' words.
    pub task: String,
    /// What it is to be done with: JSON, passed on unread.
    pub input: Box<RawValue>,
}

impl Job {
    /// How much memory the job holds, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.input.get().len() + self.task.len() + size_of::<Self>()
    }

    /// The content of the request that a worker gets: `{"task":…,"input":…}`.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Content<'a> {
            task: &'a str,
            input: &'a RawValue,
        }
        let content = Content {
            task: &self.task,
            input: &self.input,
        };
        let mut bytes = Vec::with_capacity(self.input.get().len() + self.task.len() + 32);
        serde_json::to_writer(&mut bytes, &content).expect("text and raw JSON always serialize");
        bytes
    }
}

/// Why a job has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// A worker lived and said that it cannot be done.
    Failed,
    /// It ended too many attempts by panic, error, limit or deadline.
    Poisoned,
    /// The line or file was no job: never handed to a worker.
    BadJob,
}

/// What became of a job.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A worker's answer.
    Done(Box<RawValue>),
    /// There is no answer and there will be none.
    Failed {
        /// What kind of failure this is.
        code: FailureCode,
        /// What was wrong: a JSON text, or what the worker sent as its error.
        error: Box<RawValue>,
    },
}

impl Outcome {
    /// A failure in words.
    #[must_use]
    pub fn failed(code: FailureCode, error: &str) -> Self {
        Self::Failed {
            code,
            error: serde_json::value::to_raw_value(error).expect("a text always serializes"),
        }
    }

    /// Whether there is an output.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// The one result of a job.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// The job's id; absent where the line had none that could be used.
    pub id: Option<JobId>,
    /// The line of the input, for a line that was no job.
    pub line: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// The path of the worker of the last attempt.
    pub worker: Option<Arc<str>>,
    /// The node of that worker, where there are several.
    pub node: Option<Arc<str>>,
    /// How often it was handed to a worker.
    pub attempts: u32,
    /// Milliseconds from the first hand-over to this result.
    pub ms: u64,
}

impl JobResult {
    /// The result for something that was no job.
    #[must_use]
    pub fn bad(id: Option<JobId>, line: Option<u64>, error: &str) -> Self {
        Self {
            id,
            line,
            outcome: Outcome::failed(FailureCode::BadJob, error),
            worker: None,
            node: None,
            attempts: 0,
            ms: 0,
        }
    }
}

impl Serialize for JobResult {
    /// `{"id","ok","output"|"error" and "code","worker","attempts","ms"}`, with `"node"` where there are several and `"line"` for a line that was no job.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("ok", &self.outcome.is_ok())?;
        match &self.outcome {
            Outcome::Done(output) => map.serialize_entry("output", output)?,
            Outcome::Failed { code, error } => {
                map.serialize_entry("error", error)?;
                map.serialize_entry("code", code)?;
            }
        }
        if let Some(line) = self.line {
            map.serialize_entry("line", &line)?;
        }
        map.serialize_entry("worker", &self.worker)?;
        if let Some(node) = &self.node {
            map.serialize_entry("node", node)?;
        }
        map.serialize_entry("attempts", &self.attempts)?;
        map.serialize_entry("ms", &self.ms)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for JobResult {
    /// Reads what [`JobResult`] is written as. An object without an output and without an error is none.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            id: Option<JobId>,
            ok: bool,
            #[serde(default)]
            output: Option<Box<RawValue>>,
            #[serde(default)]
            error: Option<Box<RawValue>>,
            #[serde(default)]
            code: Option<FailureCode>,
            #[serde(default)]
            line: Option<u64>,
            worker: Option<String>,
            #[serde(default)]
            node: Option<String>,
            attempts: u32,
            ms: u64,
        }
        let fields = Fields::deserialize(deserializer)?;
        let null = || RawValue::NULL.to_owned();
        let outcome = match (fields.ok, fields.code) {
            // An output that is null is read as none.
            (true, _) => Outcome::Done(fields.output.unwrap_or_else(null)),
            (false, Some(code)) => Outcome::Failed {
                code,
                error: fields.error.unwrap_or_else(null),
            },
            (false, None) => return Err(de::Error::missing_field("code")),
        };
        Ok(Self {
            id: fields.id,
            line: fields.line,
            outcome,
            worker: fields.worker.map(Arc::from),
            node: fields.node.map(Arc::from),
            attempts: fields.attempts,
            ms: fields.ms,
        })
    }
}

/// What a source of jobs yields.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Work to do.
    Job(Job),
    /// Something that was no job, and the result that says so.
    Bad(JobResult),
    /// Work that was begun before: these attempts were made.
    Resumed(Job, Attempts),
    /// A job that has its result already; it is given out again.
    Known(JobResult),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_json_object_with_output_or_error() {
        let mut result = JobResult {
            id: Some(JobId::text("a")),
            line: None,
            outcome: Outcome::Done(RawValue::from_string("{\"words\":2}".into()).unwrap()),
            worker: Some("/pool/w-1".into()),
            node: None,
            attempts: 2,
            ms: 7,
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"id":"a","ok":true,"output":{"words":2},"worker":"/pool/w-1","attempts":2,"ms":7}"#
        );
        result.outcome = Outcome::failed(FailureCode::Poisoned, "no");
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"id":"a","ok":false,"error":"no","code":"poisoned","worker":"/pool/w-1","attempts":2,"ms":7}"#
        );
        assert_eq!(
            serde_json::to_string(&JobResult::bad(None, Some(3), "not JSON")).unwrap(),
            r#"{"id":null,"ok":false,"error":"not JSON","code":"bad-job","line":3,"worker":null,"attempts":0,"ms":0}"#
        );
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        for text in [
            r#"{"id":"a","ok":true,"output":{"words": 2},"worker":"/pool/w-1","attempts":2,"ms":7}"#,
            r#"{"id":7,"ok":true,"output":null,"worker":null,"attempts":1,"ms":0}"#,
            r#"{"id":"a","ok":false,"error":["no"],"code":"poisoned","worker":"/w","attempts":2,"ms":7}"#,
            r#"{"id":null,"ok":false,"error":"not JSON","code":"bad-job","line":3,"worker":null,"attempts":0,"ms":0}"#,
        ] {
            let result: JobResult = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&result).unwrap(), text);
        }
        for text in [
            "{}",
            r#"{"id":1,"ok":false,"worker":null,"attempts":1,"ms":0}"#,
        ] {
            assert!(serde_json::from_str::<JobResult>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_and_its_text_are_two_ids() {
        let number: JobId = serde_json::from_str("1").unwrap();
        let text: JobId = serde_json::from_str("\"1\"").unwrap();
        assert_ne!(number, text);
        assert_eq!(serde_json::to_string(&number).unwrap(), "1");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"1\"");
        let big: JobId = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(serde_json::to_string(&big).unwrap(), "18446744073709551615");
    }

    #[test]
    fn neither_a_fraction_nor_an_empty_text_is_an_id() {
        for text in ["1.5", "\"\"", "null", "[1]", "true", "{}"] {
            assert!(serde_json::from_str::<JobId>(text).is_err(), "{text}");
        }
    }
}
