//! Lists of actors: filtered, sorted, cut.

use super::Now;
use crate::api::types::{ActorSummary, ActorsQuery};
use std::cmp::{Ordering, Reverse};
use swarm_actors::ActorInfo;
use swarm_protocols::Path;

/// What `GET /v1/actors` can sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Sort {
    Path,
    Mailbox,
    Restarts,
    Handled,
    Age,
}

impl Sort {
    pub(in crate::api) const WORDS: &'static str = "path, mailbox, restarts, handled, age";

    pub(in crate::api) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "path" => Self::Path,
            "mailbox" => Self::Mailbox,
            "restarts" => Self::Restarts,
            "handled" => Self::Handled,
            "age" => Self::Age,
            _ => return None,
        })
    }
}

/// The actors that `query` asks for, sorted and cut, and how many there were before the cut.
pub(in crate::api) fn select(
    mut actors: Vec<ActorInfo>,
    query: &ActorsQuery,
    sort: Sort,
    under: Option<&Path>,
    now: Now,
) -> (Vec<ActorInfo>, u64) {
    if let Some(under) = under {
        actors.retain(|actor| actor.path.is_within(under));
    }
    if let Some(group) = &query.group {
        actors.retain(|actor| actor.groups.iter().any(|g| g.as_str() == group));
    }
    // The system lists by path, and these sorts are stable: equal keys stay in that order.
    match sort {
        Sort::Path => actors.sort_by(|a, b| natural(&a.path, &b.path)),
        Sort::Mailbox => actors.sort_by_key(|actor| Reverse(actor.mailbox)),
        Sort::Restarts => actors.sort_by_key(|actor| Reverse(actor.restarts)),
        Sort::Handled => actors.sort_by_key(|actor| Reverse(actor.turns)),
        // An unknown age is beyond the history, so greater than all known ones.
        Sort::Age => {
            actors.sort_by_cached_key(|actor| Reverse(now.age_ms(actor).unwrap_or(u64::MAX)))
        }
    }
    let total = actors.len() as u64;
    if let Some(limit) = query.limit {
        actors.truncate(limit);
    }
    (actors, total)
}

/// Puts the lists of several nodes, each sorted and cut, into one: of equal rows those of one path stand together, by node.
pub(in crate::api) fn merge(actors: &mut Vec<ActorSummary>, sort: Sort, limit: Option<usize>) {
    let path = |actor: &ActorSummary| Path::new(&actor.path).unwrap_or_else(|_| Path::root());
    let mut with_paths: Vec<(Path, ActorSummary)> = std::mem::take(actors)
        .into_iter()
        .map(|actor| (path(&actor), actor))
        .collect();
    with_paths.sort_by(|(a_path, a), (b_path, b)| {
        let by_value = match sort {
            Sort::Path => Ordering::Equal,
            Sort::Mailbox => b.mailbox.cmp(&a.mailbox),
            Sort::Restarts => b.restarts.cmp(&a.restarts),
            Sort::Handled => b.handled.cmp(&a.handled),
            Sort::Age => {
                let age = |actor: &ActorSummary| actor.age_ms.unwrap_or(u64::MAX);
                age(b).cmp(&age(a))
            }
        };
        by_value
            .then_with(|| natural(a_path, b_path))
            .then_with(|| a.node.cmp(&b.node))
    });
    actors.extend(with_paths.into_iter().map(|(_, actor)| actor));
    if let Some(limit) = limit {
        actors.truncate(limit);
    }
}

/// Paths in the order that people expect: `worker-2` before `worker-10`, and what stands below an actor right after it.
pub(super) fn natural(a: &Path, b: &Path) -> Ordering {
    let (mut a, mut b) = (a.as_str().as_bytes(), b.as_str().as_bytes());
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, rest_a) = split_number(a);
                let (number_b, rest_b) = split_number(b);
                // Without leading zeros the longer number is the greater; leading zeros decide only between equals.
                let by_value = (number_a.len().cmp(&number_b.len())).then(number_a.cmp(number_b));
                let by_zeros = || (a.len() - rest_a.len()).cmp(&(b.len() - rest_b.len()));
                match by_value.then_with(by_zeros) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    different => return different,
                }
            }
            (Some(b'/'), Some(b'/')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'/'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'/')) => return Ordering::Greater,
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// The digits in front, without leading zeros, and what follows them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|c| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|c| *c != b'0').unwrap_or(end);
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_the_order_that_people_expect() {
        let path = |text: &&str| Path::new(text).expect("a path");
        let sorted = [
            "/", "/a", "/a/b", "/a-1", "/a-1/x", "/a-2", "/a-02", "/a-10", "/a-10/b", "/a1b2",
            "/a1b10", "/b",
        ];
        for (at, x) in sorted.iter().enumerate() {
            for (other, y) in sorted.iter().enumerate() {
                assert_eq!(natural(&path(x), &path(y)), at.cmp(&other), "{x} and {y}");
            }
        }
    }
}
