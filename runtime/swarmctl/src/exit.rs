//! What `swarmctl` says to scripts by its exit status.

use std::process::ExitCode;

/// The exit status of `swarmctl`. Meanings are never changed, only added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done; the effect was observed.
    Done = 0,
    /// It failed in a way that none of the others names.
    Failed = 1,
    /// The command line, or a file that it names, cannot be used as it is. Nothing was done.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// The node, or whoever was to do the work, cannot be reached. Nothing was done.
    Unreachable = 4,
    /// There was no answer in time. Whether it was done is unknown: look before trying again.
    TimedOut = 5,
    /// It was refused: by a safeguard, by a conflict with the present state, or for lack of rights or room. Nothing was done.
    Refused = 6,
    /// What was checked did not hold.
    CheckFailed = 7,
    /// Part of it was done; what was not is named.
    Partial = 8,
    /// The plan differs from what runs. Nothing was done.
    PlanDiffers = 9,
    /// It was interrupted.
    Interrupted = 130,
}

impl ExitStatus {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
