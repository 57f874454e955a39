//! When to dial again: exponential, capped, with jitter.

use std::time::Duration;

/// The shortest wait before a second attempt.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The wait before the next attempt: doubles with each failure from [`BACKOFF_MIN`] to [`BACKOFF_MAX`], and is spread over its
/// upper half, so that nodes that lost the same peer at once do not all come back at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failed attempt and says how long to wait. `random` is any number drawn uniformly.
    pub fn failed(&mut self, random: u64) -> Duration {
        let doubled = BACKOFF_MIN.saturating_mul(1u32 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(BACKOFF_MAX);
        let half = whole / 2;
        // 1/1024 steps are fine enough for a jitter.
        half + half.mul_f64(f64::from(u16::try_from(random % 1024).unwrap_or(0)) / 1024.0)
    }

    /// An attempt succeeded: the next failure starts over.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How many attempts failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_stay_within_their_upper_half() {
        for random in [0, 511, 1023, u64::MAX] {
            let mut backoff = Backoff::default();
            let mut whole = BACKOFF_MIN;
            for _ in 0..40 {
                let wait = backoff.failed(random);
                assert!(wait >= whole / 2 && wait <= whole, "{wait:?} for {whole:?}");
                whole = (whole * 2).min(BACKOFF_MAX);
            }
            backoff.succeeded();
            assert!(backoff.failed(random) <= BACKOFF_MIN);
        }
    }
}
