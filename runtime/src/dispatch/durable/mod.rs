//! Durable dispatch: what becomes of each job is in a journal, so that a run outlives its process.
//!
//! [`DurableRun`] is one run: a stream of the node's journal, `dispatch/NAME`, in which every attempt is counted before its
//! job is handed over, and every result is recorded before it is given out. Whoever starts the same run again gets the
//! results that are recorded without any worker being asked, and goes on with the others where their attempts ended. A run
//! that has come to its end is forgotten; the next one of its name is a new one.
//!
//! What is promised: once a result was given out, no other one ever is for its job, whatever is killed; a result that was
//! recorded is never made again. What is not: that a job runs once (an attempt under way when the process ended may have done
//! its work), and where the results go, which the one who takes them must know (a file that is gone on with, for example).
//! Jobs themselves are not kept: the run reads them again from where they come from.

mod book;
mod form;
mod run;
mod runs;
mod workers;

pub use form::{RESULT_BYTES_MAX, RunName, RunNameRefused};
pub use run::{DurableRun, NotRecorded, Recovered, record};
pub use runs::{DurableRuns, RUNS_MAX};
pub use workers::RecordedWorkers;
