//! Which jobs have a result already: what a run that goes on with an earlier run's result file must know.

use super::job::{Entry, JobId};
use super::lines::{Line, Lines};
use super::seen::{Hashes, hash_of};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashSet;
use std::fs::File;
use std::io;

/// How every result line begins. A torn last line that begins otherwise was not written by a run.
const LINE_BEGINS: &[u8] = b"{\"id\":";

/// The results of an earlier run, by id. Holds eight bytes per result, so it grows with the file and with nothing else.
#[derive(Default)]
pub struct Finished {
    ids: Hashes,
    /// Lines without a usable id, by their number in the input.
    lines: HashSet<u64>,
    whole_bytes: u64,
}

/// Why a file cannot be gone on with. The file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FinishedError {
    /// It could not be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It holds something that no run wrote.
    #[error("line {line} is not a result of dispatch")]
    Foreign {
        /// Where.
        line: u64,
    },
}

impl Finished {
    /// Reads the results in `file`.
    ///
    /// # Errors
    /// [`FinishedError`] when it cannot be read or holds anything but results (a torn last line aside).
    pub fn read(file: File) -> Result<Self, FinishedError> {
        #[derive(Deserialize)]
        struct ResultLine {
            id: Option<JobId>,
            #[serde(rename = "ok")]
            _ok: bool,
            line: Option<u64>,
            #[serde(rename = "attempts")]
            _attempts: IgnoredAny,
        }
        let mut finished = Self::default();
        // Lines that a run wrote itself may be as long as any worker's output.
        let mut lines = Lines::new(file, usize::MAX);
        while let Line::Whole = lines.read()? {
            let foreign = FinishedError::Foreign { line: lines.number };
            if !lines.is_ended {
                let common = lines.line.len().min(LINE_BEGINS.len());
                if lines.line[..common] != LINE_BEGINS[..common] {
                    return Err(foreign);
                }
                break;
            }
            let result: ResultLine = serde_json::from_slice(&lines.line).map_err(|_| foreign)?;
            match (result.id, result.line) {
                (Some(id), _) => {
                    finished.ids.insert(hash_of(&id));
                }
                (None, Some(line)) => {
                    finished.lines.insert(line);
                }
                (None, None) => {}
            }
            finished.whole_bytes += lines.line.len() as u64 + 1;
        }
        Ok(finished)
    }

    /// How many bytes of the file are whole lines. What follows is a torn line and is to be cut off before going on.
    #[must_use]
    pub fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    /// How many results there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() + self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the entry has its result already.
    #[must_use]
    pub fn contains(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Job(job) | Entry::Resumed(job, _) => self.ids.contains(&hash_of(&job.id)),
            Entry::Bad(result) | Entry::Known(result) => match (&result.id, result.line) {
                (Some(id), _) => self.ids.contains(&hash_of(id)),
                (None, Some(line)) => self.lines.contains(&line),
                (None, None) => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{JobLines, JobResult};
    use std::io::{Seek, Write};

    fn read(text: &str) -> Result<Finished, FinishedError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        Finished::read(file)
    }

    fn line_of(result: &JobResult) -> String {
        serde_json::to_string(result).unwrap() + "\n"
    }

    #[test]
    fn what_is_in_the_file_is_not_done_again() {
        let text = line_of(&JobResult::bad(Some(JobId::text("a")), None, "x"))
            + &line_of(&JobResult::bad(None, Some(2), "x"));
        let finished = read(&text).unwrap();
        assert_eq!(finished.len(), 2);
        let known: Vec<_> = JobLines::new(
            &b"{\"id\":\"a\",\"task\":\"t\"}\nhello\n{\"id\":\"b\",\"task\":\"t\"}\nhello\n"[..],
            None,
        )
        .map(|entry| finished.contains(&entry.unwrap()))
        .collect();
        assert_eq!(known, [true, true, false, false]);
    }

    #[test]
    fn a_torn_last_line_counts_as_not_done() {
        let whole = line_of(&JobResult::bad(Some(JobId::Number(1)), None, "x"));
        for torn in [
            "{",
            "{\"id\":2,\"ok\"",
            "{\"id\":2,\"ok\":true,\"attempts\":1}",
        ] {
            let finished = read(&format!("{whole}{torn}")).unwrap();
            assert_eq!(finished.whole_bytes(), whole.len() as u64);
            assert_eq!(finished.len(), 1);
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        for text in ["hello", "hello\n", "# Notes\n\nmore", "{\"id\":1}\n"] {
            assert!(
                matches!(read(text), Err(FinishedError::Foreign { line: 1 })),
                "{text}"
            );
        }
    }
}
