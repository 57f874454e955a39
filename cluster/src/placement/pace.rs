//! How fast moves may be.

use std::time::Duration;

/// A bucket of moves that fills evenly. Holds a second's worth.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    per_second: u32,
    /// When the bucket would be full if nothing were taken from now on: the generic cell rate algorithm.
    full_at: Duration,
}

impl Pace {
    /// Full; `per_second` is at least 1.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            full_at: Duration::ZERO,
        }
    }

    fn each(&self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// Takes one, or says when there will be one.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + self.each();
        let due = full_at.saturating_sub(Duration::from_secs(1));
        if due > now {
            return Err(due);
        }
        self.full_at = full_at;
        Ok(())
    }
}
