//! What is measured: the names of the benches and the amount of work in each, the same for every subject.

use std::time::Duration;

/// Worker threads of the tokio runtime, and schedulers of the Erlang machine, for every subject.
pub(crate) const WORKERS: usize = 2;
/// Messages that a mailbox takes before its senders wait, where the subject has bounded mailboxes.
pub(crate) const BOUND: usize = 1024;
/// Senders of the fan-in bench.
pub(crate) const SENDERS: u64 = 8;
/// Clients of the ask bench.
pub(crate) const CLIENTS: u64 = 100;
/// How long a client of the ask bench waits at most, where it has a deadline. Long: none is to pass.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);
/// Children of the kill bench.
pub(crate) const VICTIMS: usize = 1000;
/// Supervisors below the root of the tree bench.
pub(crate) const BRANCHES: usize = 100;
/// Agents below each supervisor of the tree bench.
pub(crate) const LEAVES: usize = 100;
/// Agents of the routing benches.
pub(crate) const ROUTED: usize = 1000;
/// Messages under way at once in the routing bench at full load.
pub(crate) const IN_FLIGHT: u64 = 2000;
/// Messages per second that the paced routing bench offers.
pub(crate) const OFFERED: u64 = 100_000;

/// A message of 64 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload(pub(crate) [u64; 8]);

impl Payload {
    pub(crate) fn new(value: u64) -> Self {
        Self([value; 8])
    }

    pub(crate) fn value(&self) -> u64 {
        self.0[0]
    }
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bench {
    PingPong1,
    PingPong100,
    FanIn,
    Ask,
    AskDeadline,
    Restart,
    StartOnDemand,
    StartAtOnce,
    IdleAwake,
    IdleAsleep,
    Kill1000,
    Tree,
    RoutingPaced,
    RoutingFull,
    FlatMessages,
    FlatRestarts,
    AclParse,
    AclEmit,
    FipaHttp,
}

impl Bench {
    pub(crate) const ALL: [Self; 19] = [
        Self::PingPong1,
        Self::PingPong100,
        Self::FanIn,
        Self::Ask,
        Self::AskDeadline,
        Self::Restart,
        Self::StartOnDemand,
        Self::StartAtOnce,
        Self::IdleAwake,
        Self::IdleAsleep,
        Self::Kill1000,
        Self::Tree,
        Self::RoutingPaced,
        Self::RoutingFull,
        Self::FlatMessages,
        Self::FlatRestarts,
        Self::AclParse,
        Self::AclEmit,
        Self::FipaHttp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PingPong1 => "ping-pong-1",
            Self::PingPong100 => "ping-pong-100",
            Self::FanIn => "fan-in",
            Self::Ask => "ask",
            Self::AskDeadline => "ask-with-deadline",
            Self::Restart => "restart",
            Self::StartOnDemand => "start-on-demand",
            Self::StartAtOnce => "start-at-once",
            Self::IdleAwake => "idle-memory-awake",
            Self::IdleAsleep => "idle-memory-asleep",
            Self::Kill1000 => "kill-1000",
            Self::Tree => "tree",
            Self::RoutingPaced => "routing-paced",
            Self::RoutingFull => "routing-full",
            Self::FlatMessages => "flat-memory-messages",
            Self::FlatRestarts => "flat-memory-restarts",
            Self::AclParse => "acl-string-parse",
            Self::AclEmit => "acl-string-emit",
            Self::FipaHttp => "fipa-http",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bench| bench.name() == name)
    }
}

/// How much of the full work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What the published figures are made with.
    Full,
    /// A twentieth (a hundredth where memory is watched), to see that everything runs.
    Quick,
}

impl Scale {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Full, Self::Quick]
            .into_iter()
            .find(|scale| scale.name() == name)
    }

    fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 20,
        }
    }

    /// Round trips, over all pairs.
    pub(crate) fn round_trips(self) -> u64 {
        self.of(1_000_000)
    }

    /// Messages to the one receiver, over all senders.
    pub(crate) fn fan_in(self) -> u64 {
        self.of(1_600_000)
    }

    /// Asks, over all clients.
    pub(crate) fn asks(self) -> u64 {
        self.of(1_000_000)
    }

    /// Crashes whose recovery is timed.
    pub(crate) fn crashes(self) -> u64 {
        self.of(40_000)
    }

    /// Agents that are started under one supervisor.
    pub(crate) fn starts(self) -> u64 {
        self.of(100_000)
    }

    /// Agents that do nothing.
    pub(crate) fn idle(self) -> u64 {
        self.of(100_000)
    }

    /// How often the thousand children are killed.
    pub(crate) fn kill_rounds(self) -> usize {
        match self {
            Self::Full => 20,
            Self::Quick => 3,
        }
    }

    /// How often the tree is started and stopped.
    pub(crate) fn trees(self) -> usize {
        match self {
            Self::Full => 5,
            Self::Quick => 2,
        }
    }

    /// Messages that are passed on from agent to agent.
    pub(crate) fn hops(self) -> u64 {
        self.of(4_000_000)
    }

    /// How long the paced bench offers its load.
    pub(crate) fn paced(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(3),
            Self::Quick => Duration::from_millis(300),
        }
    }

    /// ACL messages that are read or written.
    pub(crate) fn acl_messages(self) -> u64 {
        self.of(1_000_000)
    }

    /// Messages between two platforms.
    pub(crate) fn fipa_messages(self) -> u64 {
        self.of(40_000)
    }

    /// Messages or restarts over which memory must be flat.
    pub(crate) fn flat(self) -> u64 {
        match self {
            Self::Full => 10_000_000,
            Self::Quick => 100_000,
        }
    }
}

/// A sample process ends itself after this long: a subject that hangs must not hang the rest.
pub(crate) fn time_limit(bench: Bench, scale: Scale) -> Duration {
    match (bench, scale) {
        (Bench::FlatMessages | Bench::FlatRestarts, Scale::Full) => Duration::from_secs(1800),
        _ => Duration::from_secs(120),
    }
}

/// A tenth of the work, at least one: done before the measurement begins.
pub(crate) fn warm_up(work: u64) -> u64 {
    (work / 10).max(1)
}

/// A small generator for choices that must cost next to nothing and be the same for every subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Xorshift(u64);

impl Xorshift {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn index(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_bench_is_found_by_its_name() {
        let names: HashSet<&str> = Bench::ALL.into_iter().map(Bench::name).collect();
        assert_eq!(names.len(), Bench::ALL.len());
        assert!(
            Bench::ALL
                .into_iter()
                .all(|bench| Bench::from_name(bench.name()) == Some(bench))
        );
        assert_eq!(Bench::from_name("nothing"), None);
    }

    #[test]
    fn work_divides_evenly_among_those_who_do_it() {
        for scale in [Scale::Full, Scale::Quick] {
            assert_eq!(scale.round_trips() % 100, 0);
            assert_eq!(scale.fan_in() % (SENDERS * 10), 0);
            assert_eq!(scale.asks() % (CLIENTS * 10), 0);
            assert_eq!(scale.hops() % IN_FLIGHT, 0);
        }
    }

    #[test]
    fn the_generator_reaches_every_index() {
        let mut choice = Xorshift::new(7);
        let reached: HashSet<usize> = (0..1000).map(|_| choice.index(16)).collect();
        assert_eq!(reached.len(), 16);
    }

    #[test]
    fn a_payload_is_sixty_four_bytes() {
        assert_eq!(size_of::<Payload>(), 64);
    }
}
