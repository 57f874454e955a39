//! How copies of the ledger hear of each other: changes are told to every member at once, and each member compares with another one from
//! time to time and whenever one has come.

use super::ledger::Ledger;
use super::member::{Inner, wall_ms};
use super::orders;
use super::requests::Requests;
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_cluster::gossip::KeyId;
use swarm_cluster::transport::Links;
use swarm_protocols::Name;
use tokio::sync::Notify;

/// How often a member compares with one other.
const COMPARE: Duration = Duration::from_secs(20);
/// How long a member has for an order about the ledger.
pub(super) const ORDER_LIMIT: Duration = Duration::from_secs(2);
/// How many members are told at once.
const AT_ONCE: usize = 64;

/// Members to compare with soon.
#[derive(Default)]
pub(super) struct Comparing {
    soon: Mutex<BTreeSet<Name>>,
    changed: Notify,
}

impl Comparing {
    /// A member has come: it may know more, or less.
    pub(super) fn with(&self, node: &Name) {
        self.soon.lock().insert(node.clone());
        self.changed.notify_one();
    }
}

/// What a member answers that has taken a ledger: where its keys are.
pub(super) type Taken = (u64, u32);

pub(super) fn taken(ledger: &Ledger) -> Taken {
    let in_use = ledger.keys.gossip_keys().next();
    (ledger.keys.epoch, in_use.map_or(0, |key| key.id().0))
}

/// Compares copies until the node is gone. Does not keep it alive meanwhile.
pub(super) async fn run(weak: Weak<Inner>, comparing: Arc<Comparing>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let mut peers = std::mem::take(&mut *comparing.soon.lock());
        if peers.is_empty() {
            let waited = tokio::time::timeout(COMPARE, comparing.changed.notified()).await;
            if waited.is_ok() {
                continue;
            }
            let Some(member) = weak.upgrade() else { return };
            peers.extend(random.choice(member.peers()));
        }
        for peer in peers {
            let Some((links, requests, digest)) = weak.upgrade().map(|member| {
                let digest = member.kept.lock().ledger.digest();
                (member.links.clone(), member.requests.clone(), digest)
            }) else {
                return;
            };
            let theirs = compare(&requests, &links, &peer, digest).await;
            drop((links, requests));
            let Some(member) = weak.upgrade() else { return };
            if let Some(theirs) = theirs {
                take(&member, theirs).await;
                // What this one knew better, if it did.
                let (ledger, requests, links) = {
                    let ledger = member.kept.lock().ledger.clone();
                    (ledger, member.requests.clone(), member.links.clone())
                };
                drop(member);
                // One that does not take it now compares by itself later.
                let _ = tell(&requests, &links, &peer, &ledger).await;
            }
        }
    }
}

async fn compare(requests: &Requests, links: &Links, peer: &Name, digest: u64) -> Option<Ledger> {
    let order = orders::order(orders::COMPARE, &digest);
    let answered = requests.ask(links, peer, order, ORDER_LIMIT).await.ok()?;
    orders::read::<Option<Ledger>>(&answered.body)?
}

async fn tell(requests: &Requests, links: &Links, peer: &Name, ledger: &Ledger) -> Option<Taken> {
    let order = orders::order(orders::TAKE, ledger);
    let answered = requests.ask(links, peer, order, ORDER_LIMIT).await.ok()?;
    orders::read::<Taken>(&answered.body)
}

/// Merges another copy into this node's, and does what follows from it.
pub(super) async fn take(member: &Inner, theirs: Ledger) -> Taken {
    let taken = {
        let mut kept = member.kept.lock();
        let before = kept.ledger.digest();
        kept.ledger.merge(theirs, wall_ms() / 1000);
        if kept.ledger.digest() != before {
            member.store(&kept);
        }
        taken(&kept.ledger)
    };
    apply_keys(member).await;
    taken
}

/// Has gossip use the keys of the ledger: all of them open, the first one seals.
pub(super) async fn apply_keys(member: &Inner) {
    let keys: Vec<_> = member.kept.lock().ledger.keys.gossip_keys().collect();
    let Some(first) = keys.first().map(swarm_cluster::gossip::GossipKey::id) else {
        return;
    };
    let wanted: BTreeSet<KeyId> = keys.iter().map(|key| key.id()).collect();
    let Ok(ring) = member.gossip.keys().await else {
        return;
    };
    let known: BTreeSet<KeyId> = ring.ids().collect();
    let in_use = ring.in_use();
    if known == wanted && in_use == first {
        return;
    }
    for key in keys.into_iter().filter(|key| !known.contains(&key.id())) {
        report(
            member
                .gossip
                .install_key(key)
                .await
                .ok()
                .and_then(Result::err),
        );
    }
    if in_use != first {
        report(
            member
                .gossip
                .use_key(first)
                .await
                .ok()
                .and_then(Result::err),
        );
    }
    for id in known.difference(&wanted) {
        report(
            member
                .gossip
                .remove_key(*id)
                .await
                .ok()
                .and_then(Result::err),
        );
    }
    tracing::info!(key = %first, keys = wanted.len(), "gossip keys");
}

fn report(error: Option<swarm_cluster::gossip::KeyRingError>) {
    if let Some(error) = error {
        tracing::error!(%error, "the ring of gossip keys is not as it should be");
    }
}

/// Tells every member that is not gone. What each of them answered, in order of names; none for those that did not.
pub(super) async fn spread(member: &Inner) -> Vec<(Name, Option<Taken>)> {
    let ledger = member.kept.lock().ledger.clone();
    let others = member.others().await;
    let told = others.into_iter().map(|peer| {
        let ledger = &ledger;
        async move {
            let taken = tell(&member.requests, &member.links, &peer, ledger).await;
            (peer, taken)
        }
    });
    let mut told: Vec<_> = stream::iter(told).buffer_unordered(AT_ONCE).collect().await;
    told.sort();
    told
}
