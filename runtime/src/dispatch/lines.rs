//! Jobs from JSON lines. A line that is no job becomes a failed result with its line number, and the rest goes on.

use super::job::{Entry, Job, JobId, JobResult};
use super::seen::RecentIds;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{self, BufRead, BufReader, Read};

/// The longest line that is a job. A longer one is passed over while reading, so it takes no memory.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// A line buffer that grew beyond this for one long line is given back after it.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Reads jobs, one per line: `{"id":…,"task":…,"input":…}`. Blank lines are passed over; keys beyond these three are
/// ignored, so that lines of other programs can be used.
pub struct JobLines {
    lines: Lines,
    /// For lines that name no task.
    task: Option<String>,
    ids: RecentIds,
}

impl JobLines {
    /// Reads from `input`. Lines without a task get `task`.
    #[must_use]
    pub fn new(input: impl Read + Send + 'static, task: Option<String>) -> Self {
        Self {
            lines: Lines::new(input, LINE_BYTES_MAX),
            task,
            ids: RecentIds::default(),
        }
    }

    /// Whether reading the next entry may have to wait for input. What was read so far should not wait with it.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        !self.lines.input.buffer().contains(&b'\n')
    }

    fn entry(&mut self) -> Entry {
        match read_job(&self.lines.line, self.task.as_deref()) {
            Ok(job) => {
                if self.ids.insert(&job.id) {
                    return Entry::Job(job);
                }
                // No id in this result: the id belongs to the result of the line that had it first.
                self.bad(
                    None,
                    &format!(
                        "id {:?} repeats that of an earlier line",
                        job.id.to_string()
                    ),
                )
            }
            Err(refusal) => {
                // The line takes its id's one result, unless the id is taken already.
                let id = refusal.id.filter(|id| self.ids.insert(id));
                self.bad(id, &refusal.error)
            }
        }
    }

    fn bad(&self, id: Option<JobId>, error: &str) -> Entry {
        let number = self.lines.number;
        Entry::Bad(JobResult::bad(
            id,
            Some(number),
            &format!("line {number}: {error}"),
        ))
    }
}

impl Iterator for JobLines {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return match self.lines.read() {
                Err(error) => Some(Err(error)),
                Ok(Line::End) => None,
                Ok(Line::TooLong { bytes }) => Some(Ok(self.bad(
                    None,
                    &format!("{bytes} bytes, at most {LINE_BYTES_MAX} make a job"),
                ))),
                Ok(Line::Whole) if self.lines.line.trim_ascii().is_empty() => continue,
                Ok(Line::Whole) => Some(Ok(self.entry())),
            };
        }
    }
}

struct Refusal {
    id: Option<JobId>,
    error: String,
}

fn read_job(line: &[u8], default_task: Option<&str>) -> Result<Job, Refusal> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        task: Option<&'a RawValue>,
        #[serde(borrow)]
        input: Option<&'a RawValue>,
    }
    let refuse = |id, error: String| Refusal { id, error };
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.trim_ascii();
    let fields: Fields<'_> = match serde_json::from_slice(line) {
        // A sequence would be taken for the fields in order.
        Ok(_) if line.first() != Some(&b'{') => {
            return Err(refuse(None, "not a JSON object".to_owned()));
        }
        Ok(fields) => fields,
        Err(error) => {
            let what = match error.classify() {
                serde_json::error::Category::Data if line.first() != Some(&b'{') => {
                    "not a JSON object".to_owned()
                }
                serde_json::error::Category::Data => format!("no job: {}", words(&error)),
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => {
                    format!("not JSON: {} in column {}", words(&error), error.column())
                }
            };
            return Err(refuse(None, what));
        }
    };
    let id = match fields.id {
        None => return Err(refuse(None, "no \"id\"".to_owned())),
        Some(id) => serde_json::from_str::<JobId>(id.get())
            .map_err(|error| refuse(None, format!("\"id\": {}", words(&error))))?,
    };
    let task = match (fields.task, default_task) {
        (Some(task), _) => match serde_json::from_str::<String>(task.get()) {
            Ok(task) => task,
            Err(error) => return Err(refuse(Some(id), format!("\"task\": {}", words(&error)))),
        },
        (None, Some(task)) => task.to_owned(),
        (None, None) => return Err(refuse(Some(id), "no \"task\"".to_owned())),
    };
    let input = fields.input.unwrap_or(RawValue::NULL).to_owned();
    Ok(Job { id, task, input })
}

/// What the error says, without the place: its line is always 1, and values are parsed one by one.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(place) => text[..place].to_owned(),
        None => text,
    }
}

/// Lines with a bound on their length.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    bytes_max: usize,
    /// The current line, without its LF.
    pub(super) line: Vec<u8>,
    /// The current line's number; the first is 1.
    pub(super) number: u64,
    /// Whether the current line ended with LF.
    pub(super) is_ended: bool,
}

pub(super) enum Line {
    /// It is in `line`.
    Whole,
    /// It had so many bytes and was not kept.
    TooLong { bytes: u64 },
    /// There are no more.
    End,
}

impl Lines {
    pub(super) fn new(input: impl Read + Send + 'static, bytes_max: usize) -> Self {
        Self {
            input: BufReader::with_capacity(64 << 10, Box::new(input)),
            bytes_max,
            line: Vec::new(),
            number: 0,
            is_ended: false,
        }
    }

    pub(super) fn read(&mut self) -> io::Result<Line> {
        self.line.clear();
        self.line.shrink_to(BUFFER_BYTES_KEPT);
        self.is_ended = false;
        let mut bytes = 0_u64;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                if bytes == 0 {
                    return Ok(Line::End);
                }
                break;
            }
            let (part, used) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.is_ended = true;
                    (&chunk[..end], end + 1)
                }
                None => (chunk, chunk.len()),
            };
            bytes += part.len() as u64;
            if bytes <= self.bytes_max as u64 {
                self.line.extend_from_slice(part);
            } else {
                self.line = Vec::new();
            }
            self.input.consume(used);
            if self.is_ended {
                break;
            }
        }
        self.number += 1;
        if bytes <= self.bytes_max as u64 {
            Ok(Line::Whole)
        } else {
            Ok(Line::TooLong { bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Vec<Entry> {
        JobLines::new(text.as_bytes(), None)
            .map(|entry| entry.unwrap())
            .collect()
    }

    fn bad(entry: &Entry) -> (Option<JobId>, u64, String) {
        let Entry::Bad(result) = entry else {
            panic!("taken for a job: {entry:?}")
        };
        let super::super::Outcome::Failed { error, .. } = &result.outcome else {
            panic!("no failure")
        };
        (
            result.id.clone(),
            result.line.unwrap(),
            serde_json::from_str(error.get()).unwrap(),
        )
    }

    #[test]
    fn a_line_is_a_job_and_its_input_stays_as_it_was_written() {
        let entries = read(
            "{\"id\":\"a\",\"task\":\"t\",\"input\":{\"b\": 1.50 }}\n\n{\"id\":2,\"task\":\"u\"}",
        );
        let [Entry::Job(first), Entry::Job(second)] = &entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(first.input.get(), "{\"b\": 1.50 }");
        assert_eq!(
            first.content(),
            br#"{"task":"t","input":{"b": 1.50 }}"#.to_vec()
        );
        assert_eq!(
            (&second.id, second.input.get()),
            (&JobId::Number(2), "null")
        );
    }

    #[test]
    fn each_bad_line_says_its_number_and_what_is_wrong() {
        let table: [(&str, &str); 9] = [
            ("hello", "line 1: not JSON: expected value in column 1"),
            ("[1]", "line 1: not a JSON object"),
            ("3", "line 1: not a JSON object"),
            ("{\"task\":\"t\"}", "line 1: no \"id\""),
            ("{\"id\":null,\"task\":\"t\"}", "line 1: no \"id\""),
            (
                "{\"id\":1.5,\"task\":\"t\"}",
                "line 1: \"id\": invalid type: floating point `1.5`, expected an id that is a text of 1 to 4096 bytes or a whole number",
            ),
            ("{\"id\":1}", "line 1: no \"task\""),
            (
                "{\"id\":1,\"task\":7}",
                "line 1: \"task\": invalid type: integer `7`, expected a string",
            ),
            (
                "{\"id\":1,\"id\":2}",
                "line 1: no job: duplicate field `id`",
            ),
        ];
        for (line, expected) in table {
            let entries = read(line);
            assert_eq!(entries.len(), 1, "{line}");
            assert_eq!(bad(&entries[0]).2, expected);
        }
    }

    #[test]
    fn bad_utf8_is_a_bad_line_and_the_next_is_read() {
        let entries: Vec<_> =
            JobLines::new(&b"{\"id\":\"\xff\"}\n{\"id\":1,\"task\":\"t\"}\n"[..], None)
                .map(|entry| entry.unwrap())
                .collect();
        assert_eq!(bad(&entries[0]).1, 1);
        assert!(matches!(entries[1], Entry::Job(_)));
    }

    #[test]
    fn a_repeated_id_is_refused_without_taking_the_id_of_the_first() {
        let entries = read("{\"id\":1,\"task\":\"t\"}\n{\"id\":1,\"task\":\"t\"}\n{\"id\":1}\n");
        assert!(matches!(entries[0], Entry::Job(_)));
        assert_eq!(
            bad(&entries[1]),
            (
                None,
                2,
                "line 2: id \"1\" repeats that of an earlier line".to_owned()
            )
        );
        assert_eq!(bad(&entries[2]).0, None);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_without_being_held() {
        let long = LINE_BYTES_MAX as u64 + 1;
        let input = io::repeat(b'x')
            .take(long)
            .chain(&b"\n{\"id\":1,\"task\":\"t\"}\n"[..]);
        let mut jobs = JobLines::new(input, None);
        let entry = jobs.next().unwrap().unwrap();
        assert_eq!(
            bad(&entry).2,
            format!("line 1: {long} bytes, at most 67108864 make a job")
        );
        assert!(jobs.lines.line.capacity() <= BUFFER_BYTES_KEPT);
        assert!(matches!(jobs.next(), Some(Ok(Entry::Job(_)))));
        assert!(jobs.next().is_none());
    }

    #[test]
    fn a_line_without_a_task_gets_the_one_asked_for() {
        let mut jobs = JobLines::new(&b"{\"id\":1}"[..], Some("t".into()));
        assert!(matches!(jobs.next(), Some(Ok(Entry::Job(job))) if job.task == "t"));
    }
}
