//! How long to wait before a server is started again.

use std::time::Duration;

/// The first delay. Short: most servers that die come back at once.
const DELAY_MIN: Duration = Duration::from_millis(500);
/// The longest. A server that is gone costs an attempt in half a minute.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// A life as long as this one starts the count anew.
const GOOD_LIFE: Duration = Duration::from_secs(60);

/// Delays that double, with up to a quarter more by chance, so that servers that died together do not return together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay after a life that lasted `lived`; `chance` is from 0 to 1.
    pub(super) fn after(&mut self, lived: Duration, chance: f64) -> Duration {
        if lived >= GOOD_LIFE {
            self.failures = 0;
        }
        let delay = DELAY_MIN
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        delay + delay.mul_f64(chance.clamp(0.0, 1.0) / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_bound_and_a_good_life_starts_anew() {
        let mut backoff = Backoff::default();
        let mut after = |seconds| backoff.after(Duration::from_secs(seconds), 0.0).as_millis();
        assert_eq!([after(0), after(0), after(59)], [500, 1000, 2000]);
        for _ in 0..100 {
            after(0);
        }
        assert_eq!(after(0), 30_000);
        assert_eq!(after(60), 500);
    }

    #[test]
    fn chance_adds_at_most_a_quarter() {
        let with = |chance| Backoff::default().after(Duration::ZERO, chance).as_millis();
        assert_eq!((with(0.0), with(1.0), with(f64::INFINITY)), (500, 625, 625));
    }
}
