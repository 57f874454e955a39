//! What an operator does to a cluster: measures it, throws a node out, exchanges the gossip keys, takes a node out of service.

use super::ledger::Keys;
use super::member::{Cluster, Inner, wall_ms};
use super::orders;
use super::replicate::{self, Taken};
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use swarm_cluster::gossip::GossipKey;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::membership::{Event, MemberState};
use swarm_protocols::Name;

/// How long a ping may take.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// How long a member has to measure its links to all others.
const MEASURE_LIMIT: Duration = Duration::from_secs(4);
/// How many links are measured, and members asked, at once.
const AT_ONCE: usize = 64;
/// How often it is looked whether agents are done.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// How the way to a member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The member.
    pub to: Name,
    /// How long a sign over the control lane takes there and back, dialling included where no connection was open; why there was none.
    pub rtt: Result<Duration, String>,
}

/// What a member says of its ways to the others; none when it did not answer.
pub type Row = (Name, Option<Vec<Route>>);

/// How an eviction went: it holds on every member but those that did not answer, which hear of it when they come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The process that was thrown out, if it was known.
    pub boot: Option<BootId>,
    /// Members that hold it.
    pub told: Vec<Name>,
    /// Members that did not answer.
    pub unanswered: Vec<Name>,
}

/// Why a node was not thrown out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvictError {
    /// No member has the name.
    #[error("no node {0} is known")]
    NoSuchNode(Name),
    /// It is this node.
    #[error("a node does not throw itself out")]
    Itself,
}

/// A rotation that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The name of the key that is in use now.
    pub key: String,
    /// How many members use it, this one included.
    pub members: usize,
    /// Members that are down: they get the keys over the links when they come back.
    pub absent: Vec<Name>,
}

/// Why keys were not exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// The system gives no randomness. Nothing was changed.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// These members did not take the new key; it was taken back, and the old one stays in use.
    #[error("{} did not take the new key; the old one stays in use", list(.0))]
    NotInstalled(Vec<Name>),
    /// These members have the new key and did not say that they use it. Both keys stay until the next rotation.
    #[error("{} did not say whether they use the new key; both stay", list(.0))]
    NotUsed(Vec<Name>),
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

impl Cluster {
    /// Measures the ways from this node to the other members.
    pub async fn measure(&self) -> Vec<Route> {
        measure(&self.0).await
    }

    /// Has every member measure its ways to the others. In order of names.
    pub async fn reachability(&self) -> Vec<Row> {
        let others = self.0.others().await;
        let asked = others.into_iter().map(|peer| async move {
            let order = orders::order(orders::MEASURE, &());
            let links = &self.0.links;
            let answered = self
                .0
                .requests
                .ask(links, &peer, order, MEASURE_LIMIT)
                .await;
            let ways = answered
                .ok()
                .and_then(|answered| orders::read::<Vec<Route>>(&answered.body));
            (peer, ways)
        });
        let theirs = stream::iter(asked).buffer_unordered(AT_ONCE).collect();
        let (mut rows, own): (Vec<Row>, _) = tokio::join!(theirs, self.measure());
        rows.push((self.me().name.clone(), Some(own)));
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    /// Throws a node out: no member has a link with its name any more, until a token lets it in again, and its process is told.
    ///
    /// # Errors
    /// [`EvictError`].
    pub async fn evict(&self, name: &Name) -> Result<Eviction, EvictError> {
        if *name == self.me().name {
            return Err(EvictError::Itself);
        }
        let views = self.0.gossip.members().await.unwrap_or_default();
        let known = views.iter().find(|view| view.node.name == *name);
        let boot = known.map(|view| view.node.boot);
        {
            let mut kept = self.0.kept.lock();
            let is_remembered = kept.members.iter().any(|(member, _)| member == name);
            if boot.is_none() && !is_remembered {
                return Err(EvictError::NoSuchNode(name.clone()));
            }
            kept.ledger.deny(name, wall_ms());
            self.0.store(&kept);
        }
        if let Some(boot) = boot {
            // Without gossip nobody is left to be told.
            let _ = self.0.gossip.tell(Event::Evict { boot }).await;
        }
        let spread = replicate::spread(&self.0).await;
        self.0.links.down(name, None);
        let (mut told, mut unanswered) = (Vec::new(), Vec::new());
        for (member, taken) in spread.into_iter().filter(|(member, _)| member != name) {
            match taken {
                Some(_) => told.push(member),
                None => unanswered.push(member),
            }
        }
        tracing::warn!(node = %name, "evicted");
        Ok(Eviction {
            boot,
            told,
            unanswered,
        })
    }

    /// Exchanges the key that seals gossip, on every member: installs a new one, uses it, removes the old ones. Each step waits for all members
    /// that are alive. Cancelled in between, both keys stay; the next rotation clears up.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate_keys(&self) -> Result<Rotation, RotateError> {
        let key = GossipKey::generate().ok_or(RotateError::NoRandomness)?;
        let old = self.0.kept.lock().ledger.keys.keys.first().copied();
        let old: Vec<[u8; 32]> = old.into_iter().collect();
        let both = |first: &[[u8; 32]], then: &[[u8; 32]]| [first, then].concat();
        let new = [*key.expose()];
        if let Err(missing) = self.step(both(&old, &new)).await {
            // Whoever took it lets go of it.
            let _ = self.step(old).await;
            return Err(RotateError::NotInstalled(missing));
        }
        self.step(both(&new, &old))
            .await
            .map_err(RotateError::NotUsed)?;
        // A member that misses this one opens more than it must, until it compares.
        let _ = self.step(new.to_vec()).await;
        let views = self.0.gossip.members().await.unwrap_or_default();
        let absent = views
            .into_iter()
            .filter(|view| view.state == MemberState::Down)
            .map(|view| view.node.name)
            .collect();
        Ok(Rotation {
            key: key.id().to_string(),
            members: self.0.others().await.len() + 1,
            absent,
        })
    }

    /// One step on every member. Those that did not take it.
    async fn step(&self, keys: Vec<[u8; 32]>) -> Result<(), Vec<Name>> {
        let wanted: Taken = {
            let mut kept = self.0.kept.lock();
            let step: Keys = kept.ledger.keys.step(keys);
            kept.ledger.keys = step;
            self.0.store(&kept);
            replicate::taken(&kept.ledger)
        };
        replicate::apply_keys(&self.0).await;
        let spread = replicate::spread(&self.0).await;
        let missing: Vec<Name> = spread
            .into_iter()
            .filter(|(_, taken)| *taken != Some(wanted))
            .map(|(name, _)| name)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    /// Takes this node's agents out of the cluster's names and groups and waits until none of them has anything to do, at most for `limit`.
    /// Whether that was so in time. The agents go on; nothing is stopped.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.0.directory.withdraw();
        let idle = async {
            let mut quiet_looks = 0;
            while quiet_looks < 3 {
                tokio::time::sleep(DRAIN_LOOK).await;
                let is_told = self.0.directory.is_withdrawn();
                quiet_looks = match is_told && is_idle(&self.0) {
                    true => quiet_looks + 1,
                    false => 0,
                };
            }
        };
        tokio::time::timeout(limit, idle).await.is_ok()
    }
}

fn is_idle(member: &Inner) -> bool {
    member.system.upgrade().is_none_or(|system| {
        system
            .agents()
            .iter()
            .all(|agent| agent.mailbox_depth() == 0 && agent.detail().current.is_none())
    })
}

pub(super) async fn measure(member: &Inner) -> Vec<Route> {
    let others = member.others().await;
    let pings = others.into_iter().map(|to| async move {
        let pinged = member.links.ping(&to, PING_LIMIT).await;
        Route {
            to,
            rtt: pinged.map_err(|error| error.to_string()),
        }
    });
    let mut ways: Vec<Route> = stream::iter(pings)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    ways.sort_by(|a, b| a.to.cmp(&b.to));
    ways
}

impl Inner {
    /// The other members that are not gone, in order of names.
    pub(super) async fn others(&self) -> Vec<Name> {
        let me: &NodeId = self.links.me();
        let views = self.gossip.members().await.unwrap_or_default();
        let mut names: Vec<Name> = views
            .into_iter()
            .filter(|view| {
                view.node != *me && matches!(view.state, MemberState::Alive | MemberState::Suspect)
            })
            .map(|view| view.node.name)
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
