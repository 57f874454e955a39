//! What a bid says, and which is best.

use serde::Deserialize;
use swarm_protocols::AclMessage;
use swarm_protocols::interaction::Proposal;

/// What a bid says of itself: the content of a proposal, as JSON. A number alone is a price; what is not said counts as 0, or
/// as a fitness of 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Bid {
    /// What it costs; less is better.
    #[serde(default)]
    pub price: f64,
    /// How many jobs are waiting for the bidder; fewer are better.
    #[serde(default)]
    pub queue: u64,
    /// How fit the bidder is for the task, from 0 to 1; more is better.
    #[serde(default = "one")]
    pub fitness: f64,
}

fn one() -> f64 {
    1.0
}

impl Bid {
    /// What a proposal says; `None` when it is nothing of the kind.
    #[must_use]
    pub fn of(proposal: &AclMessage) -> Option<Self> {
        let text = proposal.text()?.trim();
        if let Ok(price) = text.parse::<f64>() {
            return Some(Self {
                price,
                queue: 0,
                fitness: 1.0,
            });
        }
        // A sequence would be taken for the fields in order.
        serde_json::from_str(text)
            .ok()
            .filter(|_| text.starts_with('{'))
    }
}

/// The bidders, best first: by price, then queue, then fitness, then the order in which they were called. Bids that say nothing
/// readable are last.
#[must_use]
pub fn rank(proposals: &[Proposal]) -> Vec<usize> {
    let mut order: Vec<(usize, Option<Bid>)> = proposals
        .iter()
        .map(|proposal| (proposal.bidder, Bid::of(&proposal.message)))
        .collect();
    order.sort_by(|(a_at, a), (b_at, b)| match (a, b) {
        (Some(a), Some(b)) => a
            .price
            .total_cmp(&b.price)
            .then(a.queue.cmp(&b.queue))
            .then(b.fitness.total_cmp(&a.fitness))
            .then(a_at.cmp(b_at)),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a_at.cmp(b_at),
    });
    order.into_iter().map(|(bidder, _)| bidder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use swarm_protocols::{Aid, Performative};

    fn order(contents: &[&str]) -> Vec<usize> {
        let proposals: Vec<_> = contents
            .iter()
            .enumerate()
            .map(|(bidder, content)| {
                let mut message = AclMessage::new(Performative::Propose);
                message.content = Some(content.as_bytes().to_vec());
                Proposal {
                    bidder,
                    participant: Aid::named(format!("w{bidder}@n")),
                    message: Arc::new(message),
                }
            })
            .collect();
        rank(&proposals)
    }

    #[test]
    fn the_cheapest_then_the_idlest_then_the_fittest_is_best() {
        assert_eq!(order(&["3", "1", "2"]), [1, 2, 0]);
        assert_eq!(
            order(&[
                r#"{"queue":2,"fitness":0.9}"#,
                r#"{"queue":0,"fitness":0.1}"#,
                r#"{"queue":0,"fitness":0.5}"#,
            ]),
            [2, 1, 0]
        );
        assert_eq!(order(&[r#"{"price":2}"#, "1"]), [1, 0]);
    }

    #[test]
    fn what_cannot_be_read_is_last_and_never_in_the_way() {
        assert_eq!(order(&["", "[1,2]", "nan", "7", "{"]), [3, 2, 0, 1, 4]);
    }
}
