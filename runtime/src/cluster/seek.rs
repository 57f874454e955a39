//! Looking for members that are not there: a process that has come up at their address while nobody here heard of it.
//!
//! Gossip writes to members that are down, but to the process that it knows. When a cut lasts while all nodes of one side are started
//! again, nobody is left whom the other side knows; and a node that is started behind a cut has heard of the other side by its contacts
//! alone. So the addresses of all that were ever told of are kept, and one that is missing is tried from time to time.

use super::member::Inner;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;
use swarm_cluster::membership::{Event, MemberState};
use swarm_protocols::Name;

/// How often one that is missing is tried, a quarter more or less.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long it has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Looks until the node is gone. Does not keep it alive meanwhile.
pub(super) async fn run(weak: Weak<Inner>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        tokio::time::sleep(INTERVAL.mul_f64(0.75 + 0.5 * random.f64())).await;
        let Some(member) = weak.upgrade() else { return };
        let Some((name, address)) = random.choice(missing(&member).await) else {
            continue;
        };
        member.membership_links.introduce(&name, address);
        let (links, gossip) = (member.links.clone(), member.gossip.clone());
        drop(member);
        if links.ping(&name, ANSWER_LIMIT).await.is_ok() {
            tracing::info!(%name, %address, "a member that was missing answers");
            // Lost when gossip has ended with the node.
            let _ = gossip.tell(Event::Seek { contact: address }).await;
        }
    }
}

/// Those that were told of and are no members now; not those that said goodbye or were thrown out.
async fn missing(member: &Inner) -> Vec<(Name, SocketAddr)> {
    let views = member.gossip.members().await.unwrap_or_default();
    let kept = member.kept.lock();
    let mut known: BTreeMap<Name, SocketAddr> = kept
        .members
        .iter()
        .filter_map(|(name, address)| Some((name.clone(), address.parse().ok()?)))
        .collect();
    for view in views {
        let is_missing = view.state == MemberState::Down;
        if !is_missing {
            known.remove(&view.node.name);
        }
    }
    known.retain(|name, _| !kept.ledger.is_denied(name));
    known.into_iter().collect()
}
