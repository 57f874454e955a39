//! How many agents fit: each takes mappings of the process, and the kernel has a bound for those.

use crate::class::Class;

/// Mappings that the process needs besides its agents': code, libraries, threads, heap.
const MAPPINGS_FOR_ELSE: u64 = 8192;

/// The bound that Linux has unless it was changed.
const MAX_MAP_COUNT_DEFAULT: u64 = 65_530;

/// How many agents of one class fit into a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The class.
    pub class: Class,
    /// How many fit.
    pub agents: u32,
    /// `vm.max_map_count`; none where the system has no such bound.
    pub max_map_count: Option<u64>,
}

/// More agents are wanted than fit. Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} agents of class {class} do not fit: {fit} do, as each takes {each} of the process's {limit} mappings (sysctl vm.max_map_count={needed})"
)]
pub struct TooManyAgents {
    /// Of which class.
    pub class: Class,
    /// How many are wanted.
    pub wanted: u32,
    /// How many fit.
    pub fit: u32,
    /// The mappings that each takes.
    pub each: u64,
    /// The bound.
    pub limit: u64,
    /// The bound that would do.
    pub needed: u64,
}

impl Capacity {
    /// What this machine has room for.
    #[must_use]
    pub fn of(class: Class) -> Self {
        Self::with(class, max_map_count())
    }

    /// What a machine with this bound has room for. Address space is the other bound: 47 bits, 4 GiB and guards for each agent
    /// that is not compact.
    #[must_use]
    pub fn with(class: Class, max_map_count: Option<u64>) -> Self {
        let by_space: u64 = match class {
            Class::Default => 28_000,
            Class::Interpreter => 28_000 / u64::from(crate::class::INTERPRETER_MEMORIES),
            Class::Compact => 1_000_000,
        };
        let by_mappings = max_map_count.map_or(u64::MAX, |limit| {
            limit.saturating_sub(MAPPINGS_FOR_ELSE) / class.mappings_per_agent()
        });
        Self {
            class,
            agents: u32::try_from(by_space.min(by_mappings)).unwrap_or(u32::MAX),
            max_map_count,
        }
    }

    /// Whether so many fit.
    ///
    /// # Errors
    /// [`TooManyAgents`] says how many do.
    pub fn check(self, wanted: u32) -> Result<(), TooManyAgents> {
        if wanted <= self.agents {
            return Ok(());
        }
        let each = self.class.mappings_per_agent();
        Err(TooManyAgents {
            class: self.class,
            wanted,
            fit: self.agents,
            each,
            limit: self.max_map_count.unwrap_or(u64::MAX),
            needed: u64::from(wanted) * each + MAPPINGS_FOR_ELSE,
        })
    }
}

fn max_map_count() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let known = text.and_then(|text| text.trim().parse().ok());
    Some(known.unwrap_or(MAX_MAP_COUNT_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_agents_than_fit_are_refused_with_the_number_that_does() {
        let capacity = Capacity::with(Class::Default, Some(65_530));
        assert_eq!(capacity.agents, 9_556);
        assert_eq!(capacity.check(9_556), Ok(()));
        let error = capacity.check(14_000).unwrap_err();
        assert_eq!((error.fit, error.needed), (9_556, 14_000 * 6 + 8192));
        assert!(
            error.to_string().contains("vm.max_map_count=92192"),
            "{error}"
        );
        assert_eq!(Capacity::with(Class::Compact, None).agents, 1_000_000);
    }
}
