//! Which subjects each bench compares, in how many runs, and the bars that Swarm has set itself.

use crate::subjects::Subject;
use crate::workload::Bench;
use Subject::{Erlang, Kameo, Ractor, RactorDefault, Swarm, Tokio};

/// One line for `list`.
pub(crate) fn about(bench: Bench) -> &'static str {
    match bench {
        Bench::PingPong1 => "one pair of agents passes a ball to and fro",
        Bench::PingPong100 => "a hundred pairs pass a ball each",
        Bench::FanIn => "8 senders to 1 receiver, 64-byte messages, bound 1024",
        Bench::Ask => "100 clients ask one agent; only swarm's have a deadline",
        Bench::AskDeadline => "100 clients ask one agent, each with a deadline",
        Bench::Restart => "from a panic to the first message that the new life handles",
        Bench::StartOnDemand => "a supervisor starts its agents, shells when first needed",
        Bench::StartAtOnce => "a supervisor starts its agents, shells and all",
        Bench::IdleAwake => "resident bytes of an idle agent with its shell",
        Bench::IdleAsleep => "resident bytes of an idle agent without its shell",
        Bench::Kill1000 => "1 000 permanent children killed at once until all are back",
        Bench::Tree => "a tree of 1 + 100 + 10 000: start, and stop in order",
        Bench::RoutingPaced => "100 000 messages/s offered to 1 000 agents: time from send to turn",
        Bench::RoutingFull => "1 000 agents pass on 2 000 messages as fast as they can",
        Bench::FlatMessages => "growth of resident memory over 10 million messages",
        Bench::FlatRestarts => "growth of resident memory over 10 million restarts",
        Bench::AclParse => "the captured call for proposals read from its string form, on one core",
        Bench::AclEmit => "the captured call for proposals written in its string form, on one core",
        Bench::FipaHttp => {
            "an agent of each of two platforms passes a ball over the FIPA HTTP transport"
        }
    }
}

/// Who takes part, Swarm first.
pub(crate) fn subjects(bench: Bench) -> &'static [Subject] {
    match bench {
        Bench::PingPong1
        | Bench::PingPong100
        | Bench::FanIn
        | Bench::Ask
        | Bench::AskDeadline
        | Bench::IdleAwake
        | Bench::RoutingPaced
        | Bench::RoutingFull => &[Swarm, Ractor, RactorDefault, Kameo, Tokio],
        Bench::Restart | Bench::StartOnDemand | Bench::StartAtOnce => {
            &[Swarm, Ractor, RactorDefault, Kameo]
        }
        Bench::IdleAsleep | Bench::AclParse | Bench::AclEmit | Bench::FipaHttp => &[Swarm],
        Bench::Kill1000 => &[Swarm, Ractor, Kameo, Erlang],
        Bench::Tree => &[Swarm, Ractor, Erlang],
        Bench::FlatMessages | Bench::FlatRestarts => &[Swarm, Ractor],
    }
}

/// Runs of each subject unless the caller says otherwise: a long run is its own average.
pub(crate) fn runs(bench: Bench) -> usize {
    match bench {
        Bench::FlatMessages | Bench::FlatRestarts => 1,
        _ => 7,
    }
}

/// What Swarm's median has to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) metric: &'static str,
    pub(crate) limit: Limit,
    /// Whose median the limit is a multiple of; none where it is a value by itself.
    pub(crate) peer: Option<Subject>,
}

/// The side on which a bar lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Most(f64),
    Least(f64),
}

/// The bars of a bench.
pub(crate) fn bars(bench: Bench) -> Vec<Bar> {
    let most = |metric, limit, peer| Bar {
        metric,
        limit: Limit::Most(limit),
        peer,
    };
    let least = |metric, limit, peer| Bar {
        metric,
        limit: Limit::Least(limit),
        peer,
    };
    match bench {
        Bench::PingPong1 | Bench::AskDeadline => vec![],
        Bench::PingPong100 => vec![most("cpu", 0.8, Some(Ractor))],
        Bench::FanIn => vec![most("cpu", 0.35, Some(Ractor))],
        Bench::Ask => vec![most("cpu", 0.55, Some(Ractor))],
        Bench::Restart => vec![most("p50", 0.8, Some(Ractor))],
        Bench::StartOnDemand => vec![least("rate", 1.2, Some(Ractor))],
        Bench::StartAtOnce => vec![least("rate", 0.8, Some(Ractor))],
        Bench::IdleAwake => vec![most("resident", 10_000.0, None)],
        Bench::IdleAsleep => vec![most("resident", 1000.0, None)],
        Bench::Kill1000 => vec![most("all-back", 0.5, Some(Erlang))],
        Bench::Tree => vec![
            most("start", 2.0, Some(Erlang)),
            most("stop", 2.0, Some(Erlang)),
        ],
        Bench::RoutingPaced => vec![most("p99", 200.0, None), most("p99.9", 1000.0, None)],
        Bench::RoutingFull => vec![least("rate", 1_000_000.0, None)],
        Bench::AclParse | Bench::AclEmit => vec![least("per-core", 400_000.0, None)],
        // Four times what JADE 4.6.5 was seen to do on such a machine.
        Bench::FipaHttp => vec![least("rate", 4.0 * 1170.0, None)],
        // Flat: what an allocator keeps for itself, whatever the number of operations.
        Bench::FlatMessages | Bench::FlatRestarts => vec![most("growth", 4096.0, None)],
    }
}

/// The benches that a name stands for: itself, or all that begin with it (`ping-pong`, `routing`), or `all`.
pub(crate) fn find(name: &str) -> Vec<Bench> {
    if let Some(bench) = Bench::from_name(name) {
        return vec![bench];
    }
    let belongs = |bench: &Bench| {
        name == "all"
            || bench
                .name()
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('-'))
    };
    Bench::ALL.into_iter().filter(belongs).collect()
}

/// Names that are close to one that nothing is called.
pub(crate) fn similar(name: &str) -> Vec<&'static str> {
    let mut close: Vec<(f64, &str)> = Bench::ALL
        .into_iter()
        .map(|bench| (strsim::jaro_winkler(name, bench.name()), bench.name()))
        .filter(|(likeness, _)| *likeness > 0.7)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    close.into_iter().map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_bench_or_for_a_family() {
        assert_eq!(find("ask"), [Bench::Ask]);
        assert_eq!(find("idle-memory"), [Bench::IdleAwake, Bench::IdleAsleep]);
        assert_eq!(find("ping-pong"), [Bench::PingPong1, Bench::PingPong100]);
        assert_eq!(find("ping-pong-1"), [Bench::PingPong1]);
        assert_eq!(find("start"), [Bench::StartOnDemand, Bench::StartAtOnce]);
        assert_eq!(find("all").len(), Bench::ALL.len());
        assert!(find("star").is_empty());
        assert!(find("").is_empty());
    }

    #[test]
    fn a_misspelt_name_gets_suggestions() {
        assert_eq!(similar("pingpong")[0], "ping-pong-1");
        assert_eq!(similar("fanin")[0], "fan-in");
        assert!(similar("zzz").is_empty());
    }

    #[test]
    fn swarm_takes_part_in_every_bench_and_so_does_whom_it_is_compared_with() {
        for bench in Bench::ALL {
            assert_eq!(subjects(bench)[0], Swarm);
            for bar in bars(bench) {
                if let Some(peer) = bar.peer {
                    assert!(subjects(bench).contains(&peer), "{bench:?}");
                }
            }
        }
    }
}
