//! Agents over links: what [`swarm_actors::Transport`] asks for, and what arrives for a system.
//!
//! Agents' parcels and the news of their ends travel on the bulk lane, all in one stream per node, so that a DOWN stays behind what the
//! dead one had sent. What nodes say to each other travels on the control lane, as messages to a [`Service`].

use super::links::{Handler, Links, NotOffered};
use super::network::Connection;
use super::window::{Hold, Window};
use crate::identity::NodeId;
use crate::link::{Broken, Lane, Message};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use swarm_actors::{NotCarried, Parcel, Place, Transport, WeakSystem};
use swarm_protocols::{Address, Name};

/// What a message on the control lane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Membership: full exchanges.
    Membership,
    /// Names and groups.
    Names,
    /// Certificates: requests and answers.
    Certificates,
    /// What each node has and runs, for placement.
    Placement,
    /// Requests of one node to another, and their answers.
    Requests,
}

impl Service {
    const ALL: [Self; 5] = [
        Self::Membership,
        Self::Names,
        Self::Certificates,
        Self::Placement,
        Self::Requests,
    ];

    fn address(self) -> Address {
        Address(match self {
            Self::Membership => 1,
            Self::Names => 2,
            Self::Certificates => 3,
            Self::Placement => 4,
            Self::Requests => 6,
        })
    }
}

/// What a node does about what is not for agents. Called from the tasks of the links: it must not block.
pub trait Services: Send + Sync + 'static {
    /// A message of another node's service.
    fn message(&self, from: &NodeId, service: Service, bytes: Bytes);

    /// Whether this peer may have a link.
    fn admits(&self, peer: &NodeId) -> bool {
        let _ = peer;
        true
    }

    /// A connection to a peer ended without a word: its process may be gone.
    fn lost(&self, peer: &Name) {
        let _ = peer;
    }

    /// A peer refuses this node: it was thrown out of the cluster.
    fn evicted(&self, by: &Name) {
        let _ = by;
    }

    /// A peer and this node have no version in common.
    fn other_version(&self, peer: &Name, theirs: (u16, u16)) {
        let _ = (peer, theirs);
    }

    /// Somebody without a certificate wants to join.
    fn join(&self, connection: Connection);
}

/// Hands what arrives to a system and to the node's services.
pub struct AgentHandler {
    system: WeakSystem,
    services: Arc<dyn Services>,
}

impl AgentHandler {
    /// For this system; does not keep it alive.
    #[must_use]
    pub fn new(system: WeakSystem, services: Arc<dyn Services>) -> Self {
        Self { system, services }
    }
}

fn parcel_of(message: Message) -> Parcel {
    Parcel {
        sender: message.sender,
        receiver: message.receiver,
        body: message.body,
    }
}

fn message_of(parcel: Parcel) -> Message {
    Message {
        sender: parcel.sender,
        receiver: parcel.receiver,
        body: parcel.body,
    }
}

impl Handler for AgentHandler {
    fn admits(&self, peer: &NodeId) -> bool {
        self.services.admits(peer)
    }

    /// Of services: those take it at once.
    fn message(&self, from: &NodeId, _: Lane, message: Message, _: Hold) {
        let service = Service::ALL
            .into_iter()
            .find(|service| service.address() == message.receiver);
        match service {
            Some(service) => self.services.message(from, service, message.body),
            None => tracing::warn!(%from, "a message for a service that this node lacks"),
        }
    }

    fn messages(
        &self,
        from: &NodeId,
        lane: Lane,
        messages: &mut Vec<Message>,
        window: &Arc<Window>,
    ) {
        match (lane, self.system.upgrade()) {
            (Lane::Bulk, Some(system)) => {
                let parcels = messages.drain(..).map(parcel_of);
                let window: Arc<dyn swarm_actors::Window> = window.clone();
                system.arrive(&from.name, parcels, &window);
            }
            // Nobody will handle them.
            (Lane::Bulk, None) => {
                for message in messages.drain(..) {
                    window.release(message.receiver, message.body.len());
                }
            }
            (Lane::Control, _) => {
                for message in messages.drain(..) {
                    let hold = Hold::new(window.clone(), &message);
                    self.message(from, lane, message, hold);
                }
            }
        }
    }

    fn broken(&self, peer: &Name, lane: Lane, broken: Broken) {
        // What services lose they say again.
        if lane == Lane::Bulk
            && let Some(system) = self.system.upgrade()
        {
            let lost = broken.lost.into_iter().map(parcel_of).collect();
            system.node_lost(peer, lost);
        }
    }

    fn closed(&self, peer: &Name, _: Lane, _: &str, is_abrupt: bool) {
        if is_abrupt {
            self.services.lost(peer);
        }
    }

    fn evicted(&self, by: &Name) {
        self.services.evicted(by);
    }

    fn other_version(&self, peer: &Name, theirs: (u16, u16)) {
        self.services.other_version(peer, theirs);
    }

    fn join(&self, connection: Connection) {
        self.services.join(connection);
    }
}

impl swarm_actors::Window for Window {
    fn release(&self, receiver: Address, bytes: usize) {
        Self::release(self, receiver, bytes);
    }
}

/// Who knows where names and groups are.
pub trait Directory: Send + Sync + 'static {
    /// Where the agent is that is registered under `name` on another node.
    fn whereis(&self, name: &Name) -> Option<Place>;
    /// The members of a group on other nodes.
    fn members(&self, group: &Name) -> Vec<Place>;
    /// An agent of this node has handed over what goes with a name that it loses. Called while its turn is committed: it must not call back
    /// into the system.
    fn handed_over(&self, name: &Name, agent: Address) {
        let _ = (name, agent);
    }
    /// Whether a node is suspected.
    fn is_doubtful(&self, node: &Name) -> bool {
        let _ = node;
        false
    }
}

/// The links, as a system's transport.
#[derive(Default)]
pub struct AgentTransport {
    links: OnceLock<Links>,
    directory: OnceLock<Arc<dyn Directory>>,
}

impl AgentTransport {
    /// Without links: nobody can be reached yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Goes over these links from now on; later ones are not taken.
    pub fn connect(&self, links: Links, directory: Option<Arc<dyn Directory>>) {
        if let Some(directory) = directory {
            drop(self.directory.set(directory));
        }
        drop(self.links.set(links));
    }
}

impl Transport for AgentTransport {
    fn carry(&self, node: &Name, parcel: Parcel, waker: Option<&Waker>) -> Result<(), NotCarried> {
        let Some(links) = self.links.get() else {
            return Err(NotCarried::Unreachable(parcel));
        };
        links
            .offer(node, Lane::Bulk, message_of(parcel), waker)
            .map_err(|error| match error {
                NotOffered::NoPeer(message) => NotCarried::Unreachable(parcel_of(message)),
                NotOffered::Full(message) => NotCarried::Full(parcel_of(message)),
                NotOffered::TooLarge(message) => NotCarried::TooLarge(parcel_of(message)),
            })
    }

    fn whereis(&self, name: &Name) -> Option<Place> {
        self.directory.get()?.whereis(name)
    }

    fn is_doubtful(&self, node: &Name) -> bool {
        self.directory
            .get()
            .is_some_and(|directory| directory.is_doubtful(node))
    }

    fn handed_over(&self, name: &Name, agent: Address) {
        if let Some(directory) = self.directory.get() {
            directory.handed_over(name, agent);
        }
    }

    fn members(&self, group: &Name) -> Vec<Place> {
        self.directory
            .get()
            .map_or_else(Vec::new, |directory| directory.members(group))
    }
}

impl Links {
    /// Says something to a service of another node, or drops it when there is no room or no such node: services say again what
    /// matters.
    pub fn say(&self, to: &Name, service: Service, bytes: impl Into<Bytes>) {
        let message = Message {
            sender: service.address(),
            receiver: service.address(),
            body: bytes.into(),
        };
        drop(self.offer(to, Lane::Control, message, None));
    }

    /// Says something to a service of another node, and waits for room on the way. Dropping the future while it waits sends nothing.
    ///
    /// # Errors
    /// [`NotOffered::NoPeer`] and [`NotOffered::TooLarge`].
    pub async fn tell(
        &self,
        to: &Name,
        service: Service,
        bytes: impl Into<Bytes>,
    ) -> Result<(), NotOffered> {
        let message = Message {
            sender: service.address(),
            receiver: service.address(),
            body: bytes.into(),
        };
        self.send(to, Lane::Control, message).await
    }
}
