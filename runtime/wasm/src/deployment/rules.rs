//! What a deployment is to do, and by what it is judged.

use std::time::Duration;

/// How new code comes to the agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// To all at once; each goes back by itself when one of its first turns fails.
    #[default]
    Direct,
    /// First beside all of them, warmed by copies of their messages; then to all at once, and back if it does badly.
    BlueGreen,
    /// To some, then to more, and back if it does badly.
    Canary,
    /// Beside all of them, with copies of their messages; what it would do is compared, and it never takes over.
    Shadow,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 4] = [Self::Direct, Self::BlueGreen, Self::Canary, Self::Shadow];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// The rules of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The strategy.
    pub strategy: Strategy,
    /// For so many turns an agent goes back by itself when one fails.
    pub probation: u32,
    /// What part of the agents has the new code in each stage of a canary, in percent: ascending, the last one 100.
    pub stages: Vec<u8>,
    /// How long a stage lasts at least (of a canary, of the warming and of what follows it, of a shadow).
    pub stage_time: Duration,
    /// How many turns of new code a stage must see.
    pub stage_turns: u64,
    /// How many of 1000 turns may fail.
    pub errors_per_mille_max: u64,
    /// How many lives of new code may follow a crash of it, of each agent. Beyond it that agent runs the old code at once.
    pub restarts_max: u64,
    /// How long 95 of 100 turns may take at most.
    pub turn_time_max: Option<Duration>,
    /// How long the deployment may take. Then it is taken back, or ended if there is nothing to take back.
    pub within: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            strategy: Strategy::Direct,
            probation: crate::PROBATION_TURNS_DEFAULT,
            stages: vec![10, 50, 100],
            stage_time: Duration::from_secs(30),
            stage_turns: 20,
            errors_per_mille_max: 50,
            restarts_max: 0,
            turn_time_max: None,
            within: Duration::from_secs(3600),
        }
    }
}

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRules {
    /// The stages are none.
    #[error("the stages are 1 to 20 percentages from 1 to 100 that grow, the last one 100")]
    Stages,
    /// A share of turns that is none.
    #[error("at most 1000 of 1000 turns can fail")]
    Errors,
    /// Nothing can come of it in that time.
    #[error("it has {within:?}, its stages alone take {stages:?}")]
    Within {
        /// What it has.
        within: Duration,
        /// What it needs.
        stages: Duration,
    },
}

impl Rules {
    /// Checks them.
    ///
    /// # Errors
    /// [`BadRules`].
    pub fn check(&self) -> Result<(), BadRules> {
        let grow = self.stages.windows(2).all(|pair| pair[0] < pair[1]);
        let begins = self.stages.first().is_some_and(|first| *first > 0);
        if !grow || !begins || self.stages.len() > 20 || self.stages.last() != Some(&100) {
            return Err(BadRules::Stages);
        }
        if self.errors_per_mille_max > 1000 {
            return Err(BadRules::Errors);
        }
        let stages = match self.strategy {
            Strategy::Direct => Duration::ZERO,
            Strategy::Shadow => self.stage_time,
            Strategy::BlueGreen => self.stage_time.saturating_mul(2),
            Strategy::Canary => {
                let count = u32::try_from(self.stages.len()).unwrap_or(u32::MAX);
                self.stage_time.saturating_mul(count)
            }
        };
        if stages > self.within {
            return Err(BadRules::Within {
                within: self.within,
                stages,
            });
        }
        Ok(())
    }
}
