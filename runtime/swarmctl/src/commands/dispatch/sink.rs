//! Where results go.

use super::verify::Answers;
use crate::cli::{Dispatch, Format};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use swarm_runtime::dispatch::{Finished, FinishedError, JobResult};
use tokio::sync::mpsc;

/// Takes results and writes them: to stdout, or behind those of an earlier run in a file.
pub(super) struct Sink {
    to: Box<dyn Write + Send>,
    /// Only on stdout: one document instead of a line each.
    is_array: bool,
    /// The open file, to be synced in the end.
    file: Option<File>,
    /// What the workers answered, where it is to be verified and is not in a file.
    answers: Option<Answers>,
}

impl Sink {
    /// Opens what the command line names, and reads what an earlier run left there.
    pub(super) fn open(asked: &Dispatch, format: Format) -> Result<(Self, Finished), Failure> {
        let Some(path) = &asked.out else {
            let sink = Self {
                to: Box::new(io::stdout()),
                is_array: format == Format::Json,
                file: None,
                answers: asked.verify.then(Answers::default),
            };
            return Ok((sink, Finished::default()));
        };
        let failed = |error: io::Error| Failure::file("write results to", path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|_| {
            Failure::new(
                ExitStatus::Refused,
                "out-in-use",
                format!("{} is being written by another run", path.display()),
                "wait for that run, or use another file",
            )
        })?;
        let finished = file
            .try_clone()
            .map_err(FinishedError::Io)
            .and_then(Finished::read)
            .map_err(|error| match error {
                FinishedError::Io(error) => failed(error),
                FinishedError::Foreign { line } => Failure::new(
                    ExitStatus::Refused,
                    "not-a-result-file",
                    format!(
                        "line {line} of {} is not a result of dispatch; it was left as it is",
                        path.display()
                    ),
                    "--out with a new file, or one of an interrupted run",
                ),
            })?;
        // What is behind the last whole line is a result that was cut off; its job is done again.
        file.set_len(finished.whole_bytes()).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let sink = Self {
            to: Box::new(file.try_clone().map_err(failed)?),
            is_array: false,
            file: Some(file),
            answers: None,
        };
        Ok((sink, finished))
    }

    /// Writes results until there are no more. Blocks: runs on a thread of its own. When it fails it lets go of the channel,
    /// which stops the engine.
    pub(super) fn write(
        self,
        mut results: mpsc::Receiver<JobResult>,
    ) -> io::Result<Option<Answers>> {
        let mut to = BufWriter::with_capacity(64 << 10, self.to);
        let mut answers = self.answers;
        let mut is_first = true;
        if self.is_array {
            to.write_all(b"[")?;
        }
        while let Some(result) = results.blocking_recv() {
            if self.is_array && !is_first {
                to.write_all(b",\n")?;
            }
            is_first = false;
            serde_json::to_writer(&mut to, &result)?;
            if !self.is_array {
                to.write_all(b"\n")?;
            }
            if let Some(answers) = &mut answers {
                answers.note(&result);
            }
            // What is done is visible at once, unless more is waiting to be written.
            if results.is_empty() {
                to.flush()?;
            }
        }
        if self.is_array {
            to.write_all(b"]\n")?;
        }
        to.flush()?;
        if let Some(file) = self.file {
            file.sync_data()?;
        }
        Ok(answers)
    }
}
