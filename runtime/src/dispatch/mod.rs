//! Dispatch: jobs are handed to the workers of a group, and each gets exactly one result.
//!
//! [`Dispatcher`] is the pure core: which job goes next, what the end of an attempt means, which result may be given
//! out. [`run`] is the thin shell around it, with a [`Workers`] that chooses a worker and lets it perform one attempt.
//! [`GroupWorkers`] takes the least loaded member of a group of agents; [`BiddingWorkers`] calls for bids and awards the job
//! to the best one.
//!
//! What is promised: a job may run more than once (an attempt whose worker died may have done its work), its result is
//! given out once. What is not: order, unless asked for; and nothing is remembered between two runs but what the caller
//! kept of the results (see [`Finished`]), or what a [`DurableRun`] keeps in a journal.

mod bidding;
mod bids;
mod core;
mod durable;
mod engine;
mod files;
mod finished;
mod group;
mod job;
mod lines;
mod seen;
mod verdict;
mod workers;

pub use bidding::{Awarded, BiddingWorkers};
pub use bids::{Bid, rank};
pub use core::{Dispatcher, Settings, Ticket};
pub use durable::{
    DurableRun, DurableRuns, NotRecorded, RESULT_BYTES_MAX, RUNS_MAX, RecordedWorkers, Recovered,
    RunName, RunNameRefused, record,
};
pub use engine::{Progress, Stopped, go_on_with_one, run, run_one};
pub use files::{FileJobs, GlobError, Globs};
pub use finished::{Finished, FinishedError};
pub use group::{Chosen, Desk, GroupWorkers};
pub use job::{Entry, FailureCode, Job, JobId, JobResult, Outcome};
pub use lines::{JobLines, LINE_BYTES_MAX};
pub use seen::RecentIds;
pub use verdict::{Attempts, End, Verdict};
pub use workers::{NoWorkers, Report, Workers};
