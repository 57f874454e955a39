//! What is counted of code that is new: its turns, how they went and how long they took, and how its effects compare.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Classes of turn times: each up to a power of two of microseconds, the last for all beyond (some 9 minutes).
const CLASSES: usize = 30;
/// How many differences are told; the rest is counted.
const DIFFERENCES_TOLD_MAX: usize = 8;

/// The counts of one agent's new code. Shared between the agent and who watches it.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// So many lives after a crash may still run the new code.
    restarts_max: u64,
    turns: AtomicU64,
    failed: AtomicU64,
    restarts: AtomicU64,
    has_begun: AtomicBool,
    is_rolled_back: AtomicBool,
    /// No further life may run it.
    is_given_up: AtomicBool,
    times: [AtomicU64; CLASSES],
    same: AtomicU64,
    different: AtomicU64,
    differences: Mutex<Vec<String>>,
}

/// Counts, of one agent or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Turns that the new code has ended, well or not.
    pub turns: u64,
    /// Those that failed.
    pub failed: u64,
    /// Lives that followed a crash of it.
    pub restarts: u64,
    /// Agents that went back to the old code by themselves, as a turn on probation failed.
    pub rolled_back: u64,
    /// Turns whose effects were those of the old code, and others; of shadows only.
    pub same: u64,
    /// See `same`.
    pub different: u64,
    /// The first differences, in words.
    pub differences: Vec<String>,
    pub(crate) times: [u64; CLASSES],
}

impl Trial {
    pub(crate) fn turn(&self, took: Duration, went_well: bool) {
        self.turns.fetch_add(1, Relaxed);
        self.failed.fetch_add(u64::from(!went_well), Relaxed);
        self.times[class_of(took)].fetch_add(1, Relaxed);
    }

    pub(crate) fn new(restarts_max: u64) -> Self {
        Self {
            restarts_max,
            ..Self::default()
        }
    }

    /// A life begins with the new code; the first one is the upgrade's own. False when it is one too many: then the old code
    /// is to run, so that a crash that comes again and again does not cost the supervisor.
    pub(crate) fn life(&self) -> bool {
        if !self.has_begun.swap(true, Relaxed) {
            return true;
        }
        if self.is_given_up() {
            return false;
        }
        let is_within = self.restarts.fetch_add(1, Relaxed) < self.restarts_max;
        if !is_within {
            self.rolled_back();
        }
        is_within
    }

    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Relaxed)
    }

    pub(crate) fn rolled_back(&self) {
        self.is_rolled_back.store(true, Relaxed);
    }

    pub(crate) fn compared(&self, difference: Option<String>) {
        let Some(difference) = difference else {
            self.same.fetch_add(1, Relaxed);
            return;
        };
        self.different.fetch_add(1, Relaxed);
        let mut told = self.differences.lock();
        if told.len() < DIFFERENCES_TOLD_MAX {
            told.push(difference);
        }
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed {
            turns: self.turns.load(Relaxed),
            failed: self.failed.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            rolled_back: u64::from(self.is_rolled_back.load(Relaxed)),
            same: self.same.load(Relaxed),
            different: self.different.load(Relaxed),
            differences: self.differences.lock().clone(),
            times: std::array::from_fn(|class| self.times[class].load(Relaxed)),
        }
    }
}

impl Observed {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.turns += other.turns;
        self.failed += other.failed;
        self.restarts += other.restarts;
        self.rolled_back += other.rolled_back;
        self.same += other.same;
        self.different += other.different;
        let room = DIFFERENCES_TOLD_MAX.saturating_sub(self.differences.len());
        let more = other.differences.iter().take(room).cloned();
        self.differences.extend(more);
        for (mine, theirs) in self.times.iter_mut().zip(other.times) {
            *mine += theirs;
        }
        self
    }

    /// The time that 95 of 100 turns did not go beyond, rounded up to a power of two of microseconds; zero without turns.
    #[must_use]
    pub fn turn_time_p95(&self) -> Duration {
        let timed: u64 = self.times.iter().sum();
        let wanted = timed.saturating_mul(95).div_ceil(100);
        let mut seen = 0;
        for (class, count) in self.times.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Duration::from_micros(1 << class);
            }
        }
        Duration::ZERO
    }

    /// One agent's or several agents' counts, for those who decide by them.
    #[cfg(test)]
    pub(crate) fn of_turns(turns: u64, failed: u64, took: Duration) -> Self {
        let mut observed = Self {
            turns,
            failed,
            ..Self::default()
        };
        observed.times[class_of(took)] = turns;
        observed
    }
}

fn class_of(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    // The least power of two that is not below it.
    let class = (u64::BITS - (micros - 1).leading_zeros()) as usize;
    class.min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_rounded_up_to_its_class() {
        let trial = Trial::default();
        assert_eq!(trial.observed().turn_time_p95(), Duration::ZERO);
        for _ in 0..95 {
            trial.turn(Duration::from_micros(100), true);
        }
        for _ in 0..5 {
            trial.turn(Duration::from_millis(50), true);
        }
        assert_eq!(trial.observed().turn_time_p95(), Duration::from_micros(128));
        trial.turn(Duration::from_secs(3600), false);
        assert_eq!(
            trial.observed().turn_time_p95(),
            Duration::from_micros(65_536)
        );
        assert_eq!(class_of(Duration::ZERO), 0);
        assert_eq!(class_of(Duration::from_micros(128)), 7);
        assert_eq!(class_of(Duration::from_micros(129)), 8);
    }

    #[test]
    fn the_first_life_is_no_restart_and_one_too_many_is_the_end_of_it() {
        let trial = Trial::new(1);
        assert!(trial.life() && trial.life());
        assert_eq!(
            (trial.observed().restarts, trial.observed().rolled_back),
            (1, 0)
        );
        assert!(!trial.life());
        assert_eq!(
            (trial.observed().restarts, trial.observed().rolled_back),
            (2, 1)
        );
    }
}
