//! Comparing what the workers counted with a plain sequential count.

use super::source::Source;
use crate::cli::Dispatch;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use swarm_runtime::behaviours::{WordCount, count_words};
use swarm_runtime::dispatch::{Entry, JobId, JobResult, Outcome};

/// The only task that has a sequential counterpart here.
const TASK: &str = "word-count";

/// What the workers answered, by job; none for a job without an output that is a word count.
#[derive(Default)]
pub(super) struct Answers(HashMap<JobId, Option<WordCount>>);

impl Answers {
    pub(super) fn note(&mut self, result: &JobResult) {
        if let Some(id) = &result.id {
            let count = match &result.outcome {
                Outcome::Done(output) => serde_json::from_str(output.get()).ok(),
                Outcome::Failed { .. } => None,
            };
            self.0.insert(id.clone(), count);
        }
    }

    /// Reads them from a file of results.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct ResultLine {
            id: Option<JobId>,
            #[serde(default)]
            output: serde_json::Value,
        }
        let failed = |error: std::io::Error| Failure::file("read the results in", path, &error);
        let file = File::open(path).map_err(failed)?;
        let mut answers = Self::default();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(failed)?;
            if let Ok(ResultLine {
                id: Some(id),
                output,
            }) = serde_json::from_str(&line)
            {
                answers.0.insert(id, serde_json::from_value(output).ok());
            }
        }
        Ok(answers)
    }
}

/// The verdict.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    event: &'static str,
    equal: bool,
    jobs: u64,
    differing: u64,
    /// The first job that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    dispatched: WordCount,
    sequential: WordCount,
}

impl Comparison {
    pub(super) fn is_equal(&self) -> bool {
        self.equal
    }

    pub(super) fn words(&self) -> String {
        let sum = |count: &WordCount| {
            format!(
                "{} words, {} lines, {} bytes",
                count.words, count.lines, count.bytes
            )
        };
        let verdict = match &self.first {
            None => format!("equal: all {} counts agree", self.jobs),
            Some(first) => format!(
                "NOT equal: {} of {} counts differ, the first for {first}",
                self.differing, self.jobs
            ),
        };
        format!(
            "verify: dispatched {}; sequential {}; {verdict}",
            sum(&self.dispatched),
            sum(&self.sequential)
        )
    }
}

/// Whether these jobs can be verified at all, before anything is done.
pub(super) fn check(asked: &Dispatch) -> Result<(), Failure> {
    if !asked.verify {
        return Ok(());
    }
    if asked.task.as_deref().is_some_and(|task| task != TASK) {
        return Err(Failure::usage(
            format!(
                "--verify can only count words, not {}",
                asked.task.as_deref().unwrap_or("")
            ),
            format!("--task {TASK}, or leave out --verify"),
        ));
    }
    if asked.jobs.as_deref().is_some_and(super::source::is_stdin) {
        return Err(Failure::usage(
            "--verify reads the jobs a second time, which stdin does not allow",
            "put the jobs into a file",
        ));
    }
    Ok(())
}

/// Reads the jobs again, counts each by itself, one after the other, and compares. A job of another task counts as different.
pub(super) fn compare(asked: &Dispatch, answers: &Answers) -> Result<Comparison, Failure> {
    let mut comparison = Comparison {
        event: "verified",
        equal: false,
        jobs: 0,
        differing: 0,
        first: None,
        dispatched: WordCount::default(),
        sequential: WordCount::default(),
    };
    for entry in Source::open(asked)? {
        let entry = entry.map_err(|error| {
            Failure::new(
                ExitStatus::Failed,
                "input-failed",
                format!("cannot read the jobs again: {error}"),
                "check the input",
            )
        })?;
        let Entry::Job(job) = entry else {
            continue;
        };
        comparison.jobs += 1;
        let text: Result<String, _> = serde_json::from_str(job.input.get());
        let expected = text
            .ok()
            .filter(|_| job.task == TASK)
            .map(|text| count_words(&text));
        let found = answers.0.get(&job.id).copied().flatten();
        add(&mut comparison.sequential, expected);
        add(&mut comparison.dispatched, found);
        if expected.is_none() || expected != found {
            comparison.differing += 1;
            comparison.first.get_or_insert_with(|| job.id.to_string());
        }
    }
    comparison.equal = comparison.differing == 0;
    Ok(comparison)
}

fn add(sum: &mut WordCount, count: Option<WordCount>) {
    let count = count.unwrap_or_default();
    sum.words += count.words;
    sum.lines += count.lines;
    sum.bytes += count.bytes;
}
