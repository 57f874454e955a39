//! What nodes ask of each other apart from the API: where an agent stands in its tree, what their ledgers say, how their links are, and to let
//! somebody in.

use super::admission;
use super::faults::{self, NodeFault};
use super::ledger::Ledger;
use super::member::Inner;
use super::replicate;
use super::requests::{Answered, Forwarded};
use super::verbs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use swarm_cluster::identity::NodeId;
use swarm_cluster::security::TokenId;
use swarm_cluster::security::join::JoinRequest;
use swarm_protocols::{Address, Path};

/// What targets of orders begin with; those of the API begin with a slash.
const MARK: &str = "cluster:";
/// The paths of agents.
pub(super) const PATHS: &str = "cluster:paths";
/// Whether two ledgers are equal; the other one, if not.
pub(super) const COMPARE: &str = "cluster:ledger-compare";
/// Merge this ledger.
pub(super) const TAKE: &str = "cluster:ledger-take";
/// Measure the ways to all others.
pub(super) const MEASURE: &str = "cluster:measure";
/// Count a use of a token.
pub(super) const SPEND: &str = "cluster:spend";
/// Decide on somebody who wants to join at a member that cannot.
pub(super) const ADMIT: &str = "cluster:admit";
/// Suffer a fault.
pub(super) const SUFFER: &str = "cluster:suffer";
/// How many agents one order is about at most.
pub(super) const PATHS_MAX: usize = 4096;

pub(super) fn is_order(target: &str) -> bool {
    target.starts_with(MARK)
}

pub(super) fn order(target: &str, body: &impl Serialize) -> Forwarded {
    Forwarded {
        method: "POST".to_owned(),
        target: target.to_owned(),
        // Plain data into a growing buffer: this does not fail, and an empty body is refused where it arrives.
        body: postcard::to_allocvec(body).unwrap_or_default(),
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    }
}

fn done(value: &impl Serialize) -> Answered {
    Answered {
        status: 200,
        body: postcard::to_allocvec(value).unwrap_or_default(),
    }
}

fn refused(status: u16) -> Answered {
    Answered {
        status,
        body: Vec::new(),
    }
}

pub(super) async fn carry_out(member: &Arc<Inner>, from: &NodeId, order: &Forwarded) -> Answered {
    match order.target.as_str() {
        PATHS => match read::<Vec<Address>>(&order.body) {
            Some(addresses) => done(&paths(member, &addresses)),
            None => refused(400),
        },
        COMPARE => match read::<u64>(&order.body) {
            Some(digest) => {
                let kept = member.kept.lock();
                done(&(kept.ledger.digest() != digest).then(|| kept.ledger.clone()))
            }
            None => refused(400),
        },
        TAKE => match read::<Ledger>(&order.body) {
            Some(ledger) => done(&replicate::take(member, ledger).await),
            None => refused(400),
        },
        MEASURE => done(&verbs::measure(member).await),
        SPEND => match read::<TokenId>(&order.body) {
            Some(token) => done(&admission::spend_here(member, token)),
            None => refused(400),
        },
        SUFFER => match read::<NodeFault>(&order.body) {
            Some(fault) => done(&faults::suffer(member, fault)),
            None => refused(400),
        },
        ADMIT => match read::<JoinRequest>(&order.body) {
            Some(request) => done(&admission::decide_here(member, &request).await),
            None => refused(400),
        },
        _ => {
            tracing::warn!(%from, target = %order.target, "an order that this version does not know");
            refused(404)
        }
    }
}

fn paths(member: &Inner, addresses: &[Address]) -> Vec<(Address, Path)> {
    let Some(system) = member.system.upgrade() else {
        return Vec::new();
    };
    addresses
        .iter()
        .take(PATHS_MAX)
        .filter_map(|address| {
            let agent = system.find(*address)?;
            (agent.info().node == *system.node()).then(|| (*address, agent.path().clone()))
        })
        .collect()
}
