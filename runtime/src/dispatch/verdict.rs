//! What the end of an attempt means for its job.

use super::job::{FailureCode, Outcome};
use std::fmt;
use std::time::Duration;
use swarm_protocols::ExitReason;

/// How one attempt ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The worker lived and answered, with an output or with a failure: that is the job's outcome.
    Answered(Outcome),
    /// The worker's life, or the turn that handled the job, ended with this reason and without an answer.
    Died(ExitReason),
    /// The worker did not answer in time; it was killed so that it takes nobody else's time.
    Overdue {
        /// How long an attempt may take.
        deadline: Duration,
    },
    /// The worker lived, took the job and gave no answer.
    Silent,
    /// The worker never got the job: it was gone, stopped or full. Not an attempt.
    NotTaken,
}

impl End {
    /// Whether the attempt ended by the job's own doing.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Answered(_) | Self::NotTaken => false,
            Self::Overdue { .. } | Self::Silent => true,
            Self::Died(reason) => match reason {
                ExitReason::Panic(_)
                | ExitReason::Error(_)
                | ExitReason::Limit(_)
                | ExitReason::Normal => true,
                ExitReason::Killed
                | ExitReason::Shutdown(_)
                | ExitReason::Unreachable
                | ExitReason::NoProc => false,
            },
        }
    }
}

/// What happens to the job next.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This is its outcome.
    Decided(Outcome),
    /// It is handed over once more.
    Again,
}

/// The count of one job's attempts, with the poison rule: the `faults_max`-th attempt that ends by the job's own doing
/// (panic, error, limit, deadline, silence) is the last. Ends that are not its doing (killed, shutdown, unreachable) only
/// raise the number of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    made: u32,
    faults: u32,
    /// How often in a row no worker took the job.
    not_taken: u32,
}

/// After so many times in a row that no worker took a job there is none that will. The workers' side leaves some time
/// between two.
const NOT_TAKEN_MAX: u32 = 1000;

impl Attempts {
    /// How many attempts were made.
    #[must_use]
    pub fn made(self) -> u32 {
        self.made
    }

    /// Counts an attempt that ended so, and says what it means.
    pub fn ended(&mut self, end: End, faults_max: u32) -> Verdict {
        if matches!(end, End::NotTaken) {
            self.not_taken += 1;
        } else {
            self.not_taken = 0;
        }
        let fault = match end {
            End::NotTaken if self.not_taken < NOT_TAKEN_MAX => return Verdict::Again,
            End::NotTaken => {
                return Verdict::Decided(Outcome::failed(
                    FailureCode::Failed,
                    "no worker takes it: their mailboxes are full, or they refuse",
                ));
            }
            End::Answered(outcome) => {
                self.made += 1;
                return Verdict::Decided(outcome);
            }
            End::Died(
                ExitReason::Killed
                | ExitReason::Shutdown(_)
                | ExitReason::Unreachable
                | ExitReason::NoProc,
            ) => {
                self.made += 1;
                return Verdict::Again;
            }
            End::Died(
                reason @ (ExitReason::Panic(_) | ExitReason::Error(_) | ExitReason::Limit(_)),
            ) => Fault::Died(reason),
            // A worker that takes a job and ends well without an answer will do so with the next one too.
            End::Died(ExitReason::Normal) | End::Silent => Fault::Silent,
            End::Overdue { deadline } => Fault::Overdue(deadline),
        };
        self.made += 1;
        self.faults += 1;
        if self.faults < faults_max {
            return Verdict::Again;
        }
        Verdict::Decided(Outcome::failed(
            FailureCode::Poisoned,
            &format!("poisoned after {}: {fault}", Times(self.faults)),
        ))
    }

    /// So many made before, of which so many ended by the job's own doing.
    #[must_use]
    pub fn resumed(made: u32, faults: u32) -> Self {
        Self {
            made,
            faults,
            not_taken: 0,
        }
    }

    /// Adds attempts that somebody else made and counted.
    pub(super) fn add(&mut self, made: u32) {
        self.made += made;
    }
}

enum Fault {
    Died(ExitReason),
    Silent,
    Overdue(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died(reason) => reason.fmt(f),
            Self::Silent => f.write_str("the worker ended its turn without an answer"),
            Self::Overdue(deadline) => write!(f, "deadline: no answer within {deadline:?}"),
        }
    }
}

struct Times(u32);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 attempt"),
            n => write!(f, "{n} attempts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocols::Limit;

    fn decided(ends: &[End], faults_max: u32) -> Option<(u32, Outcome)> {
        let mut attempts = Attempts::default();
        for end in ends {
            if let Verdict::Decided(outcome) = attempts.ended(end.clone(), faults_max) {
                return Some((attempts.made(), outcome));
            }
        }
        None
    }

    #[test]
    fn the_third_fault_poisons_and_names_its_reason() {
        let ends = [
            End::Died(ExitReason::panic_text("a")),
            End::Died(ExitReason::Limit(Limit::TurnTime)),
            End::Died(ExitReason::error_text("disk full")),
        ];
        assert!(decided(&ends[..2], 3).is_none());
        let Some((3, Outcome::Failed { code, error })) = decided(&ends, 3) else {
            panic!("not decided at the third")
        };
        assert_eq!(code, FailureCode::Poisoned);
        assert_eq!(
            error.get(),
            "\"poisoned after 3 attempts: error(disk full)\""
        );
    }

    #[test]
    fn what_is_a_fault_is_what_counts_as_one() {
        let ends = [
            End::NotTaken,
            End::Silent,
            End::Overdue {
                deadline: Duration::from_secs(1),
            },
            End::Died(ExitReason::Normal),
            End::Died(ExitReason::Killed),
            End::Died(ExitReason::SHUTDOWN),
            End::Died(ExitReason::Unreachable),
            End::Died(ExitReason::NoProc),
            End::Died(ExitReason::panic_text("p")),
            End::Died(ExitReason::error_text("e")),
            End::Died(ExitReason::Limit(Limit::TurnTime)),
        ];
        for end in ends {
            let mut attempts = Attempts::resumed(2, 2);
            let is_last = matches!(attempts.ended(end.clone(), 3), Verdict::Decided(_));
            assert_eq!(is_last, end.is_fault(), "{end:?}");
        }
    }

    #[test]
    fn being_killed_costs_attempts_but_never_the_job() {
        let ends: Vec<_> = [
            ExitReason::Killed,
            ExitReason::SHUTDOWN,
            ExitReason::Unreachable,
        ]
        .into_iter()
        .cycle()
        .take(100)
        .map(End::Died)
        .collect();
        assert!(decided(&ends, 1).is_none());
    }

    #[test]
    fn a_job_that_nobody_took_was_not_attempted() {
        let mut attempts = Attempts::default();
        assert!(matches!(attempts.ended(End::NotTaken, 1), Verdict::Again));
        for _ in 2..NOT_TAKEN_MAX {
            assert!(matches!(attempts.ended(End::NotTaken, 1), Verdict::Again));
        }
        assert!(matches!(
            attempts.ended(End::NotTaken, 1),
            Verdict::Decided(Outcome::Failed { .. })
        ));
        assert_eq!(attempts.made(), 0);
    }

    #[test]
    fn a_failure_of_a_living_worker_is_not_tried_again() {
        let failure = End::Answered(Outcome::failed(FailureCode::Failed, "no such file"));
        assert!(matches!(
            decided(&[failure], 3),
            Some((1, Outcome::Failed { .. }))
        ));
    }
}
