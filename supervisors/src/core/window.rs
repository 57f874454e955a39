//! The restart intensity: how many restarts were made within the period.

use crate::spec::{SupervisorFlags, Window};
use std::collections::VecDeque;
use std::time::Duration;

/// The restarts of the last period, as OTP counts them (otp.md A6).
///
/// A stamp is a whole second since the clock's origin (or a nanosecond, where the finer window was opted into). Equal
/// stamps are kept as one entry with a count, so that the cost of a restart and the memory held do not grow with the
/// intensity (S82): with whole seconds there are at most `period + 1` entries.
#[derive(Debug, Default)]
pub(super) struct RestartWindow {
    entries: VecDeque<(u128, u32)>,
    restarts: u64,
}

impl RestartWindow {
    /// Counts a restart that is about to be attempted. False when that is one too many.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        flags: &SupervisorFlags,
        steps: &mut u64,
    ) -> bool {
        let (now, period) = match flags.window {
            Window::WholeSeconds => (
                u128::from(now.as_secs()),
                u128::from(whole_seconds(flags.period)),
            ),
            Window::Exact => (now.as_nanos(), flags.period.as_nanos()),
        };
        // A stamp that lies exactly one period back stays.
        let oldest = now.saturating_sub(period);
        while let Some(&(stamp, count)) = self.entries.front() {
            *steps += 1;
            if stamp >= oldest {
                break;
            }
            self.restarts -= u64::from(count);
            self.entries.pop_front();
        }
        match self.entries.back_mut() {
            Some((stamp, count)) if *stamp == now => *count = count.saturating_add(1),
            Some(_) | None => self.entries.push_back((now, 1)),
        }
        *steps += 1;
        self.restarts += 1;
        self.restarts <= u64::from(flags.intensity)
    }
}

fn whole_seconds(period: Duration) -> u64 {
    period.as_secs() + u64::from(period.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: SupervisorFlags, restarts_ms: &[u64], admitted: &[bool]) {
        let mut window = RestartWindow::default();
        let answers: Vec<bool> = restarts_ms
            .iter()
            .map(|ms| window.admit(Duration::from_millis(*ms), &flags, &mut 0))
            .collect();
        assert_eq!(answers, admitted, "{restarts_ms:?}");
    }

    #[test]
    fn stamps_are_whole_seconds_and_the_bound_is_inclusive() {
        let flags = SupervisorFlags::default().intensity(1, Duration::from_secs(1));
        check(flags, &[50, 1920], &[true, false]);
        check(flags, &[950, 2050], &[true, true]);
    }

    #[test]
    fn the_exact_window_looks_at_the_real_distance() {
        let flags = SupervisorFlags::default()
            .intensity(1, Duration::from_secs(1))
            .window(Window::Exact);
        check(flags, &[50, 1051], &[true, true]);
        check(flags, &[50, 1050], &[true, false]);
    }

    #[test]
    fn a_period_with_a_fraction_is_rounded_up() {
        let flags = SupervisorFlags::default().intensity(1, Duration::from_millis(1200));
        check(flags, &[0, 2999], &[true, false]);
        check(flags, &[0, 3000], &[true, true]);
    }
}
