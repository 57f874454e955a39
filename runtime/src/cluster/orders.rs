//! What nodes ask of each other apart from the API: where an agent stands in its tree.

use super::member::Inner;
use super::requests::{Answered, Forwarded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use swarm_cluster::identity::NodeId;
use swarm_protocols::{Address, Path};

/// What targets of orders begin with; those of the API begin with a slash.
const MARK: &str = "cluster:";
/// The paths of agents.
pub(super) const PATHS: &str = "cluster:paths";
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
