//! Services of the node that are not the cluster's own: what other nodes say to them, and what they say.

use super::member::{Cluster, Inner};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use swarm_cluster::gossip::{GossipClosed, Notice};
use swarm_cluster::identity::NodeId;
use swarm_cluster::membership::MemberView;
use swarm_cluster::transport::Service;
use swarm_protocols::{Address, Name};
use tokio::sync::{broadcast, mpsc};

/// How many messages wait for one service; further ones are dropped, as services say again what matters.
const MESSAGES_MAX: usize = 256;

/// What other nodes say to one service, in the order of arrival.
pub(crate) type Said = mpsc::Receiver<(NodeId, Bytes)>;

/// Who listens to which service.
#[derive(Default)]
pub(super) struct Attended(Mutex<BTreeMap<Service, mpsc::Sender<(NodeId, Bytes)>>>);

impl Attended {
    fn attend(&self, service: Service) -> Said {
        let (sender, said) = mpsc::channel(MESSAGES_MAX);
        self.0.lock().insert(service, sender);
        said
    }
}

/// Passes a message on to who listens; without anybody it is dropped.
pub(super) fn message(member: &Inner, from: NodeId, service: Service, bytes: Bytes) {
    let listeners = member.attended.0.lock();
    if let Some(sender) = listeners.get(&service)
        && sender.try_send((from, bytes)).is_err()
    {
        tracing::debug!(?service, "a service's message was dropped");
    }
}

impl Cluster {
    /// Listens to what other nodes say to a service, from now on. Whoever listened before hears no more.
    pub(crate) fn attend(&self, service: Service) -> Said {
        self.0.attended.attend(service)
    }

    /// Says something to a service of another node; dropped when there is no room or no such node.
    pub(crate) fn say(&self, to: &Name, service: Service, bytes: Vec<u8>) {
        self.0.links.say(to, service, bytes);
    }

    /// What membership decides from now on.
    pub(crate) fn notices(&self) -> Result<broadcast::Receiver<Notice>, GossipClosed> {
        self.0.gossip.listen()
    }

    /// Who has a name of class cluster, as far as this node knows: the node and the agent's address. An agent that keeps a name to its own
    /// node has it in the eyes of [`swarm_actors::System::whereis`] there, and not in those of the cluster.
    #[must_use]
    pub fn holder_of(&self, name: &Name) -> Option<(Name, Address)> {
        self.0.directory.holder(name)
    }

    /// Whether names that agents here are registered under are kept to this node; seen by the others within a second.
    pub(crate) fn keep_names_local(&self, is_local: bool) {
        self.0.directory.keep_local(is_local);
    }

    /// Whether agents that stand by for names wait, as it is not decided which side of a partition goes on.
    pub(crate) fn hold_standbys(&self, is_held: bool) {
        self.0.directory.hold_standbys(is_held);
    }

    /// Every member as membership sees it.
    pub(crate) async fn views(&self) -> Vec<MemberView> {
        self.0.gossip.members().await.unwrap_or_default()
    }
}
