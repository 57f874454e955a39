//! Lifeguard's local health: how far this node distrusts its own opinion (Dadgar, Phillips, Currey 2017, LHA-Probe).

/// The highest score. A node in the worst health probes eight times more slowly.
const SCORE_MAX: u32 = 7;

/// A score from 0 (well) to 7. Failed probes that nobody vouches for, refuted suspicions and stalls raise it, answered probes lower it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHealth {
    score: u32,
}

impl LocalHealth {
    /// The score, 0 to 7.
    #[must_use]
    pub fn score(self) -> u32 {
        self.score
    }

    /// By what everything that this node waits for is multiplied, 1 to 8.
    #[must_use]
    pub fn factor(self) -> u32 {
        self.score + 1
    }

    pub(super) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    pub(super) fn worse(&mut self, by: u32) {
        self.score = self.score.saturating_add(by).min(SCORE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_between_zero_and_seven() {
        let mut health = LocalHealth::default();
        health.better();
        assert_eq!((health.score(), health.factor()), (0, 1));
        health.worse(3);
        health.worse(u32::MAX);
        assert_eq!((health.score(), health.factor()), (7, 8));
        health.better();
        assert_eq!(health.score(), 6);
    }
}
