//! Where ACL messages go whose receivers are agents of other platforms.

use crate::reference::AnyRef;
use crate::system::System;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Aid, Name, Path};

/// The way to agents of other platforms. A node's FIPA transport is one; see [`System::set_acl_gateway`].
pub trait AclGateway: Send + Sync + 'static {
    /// The name of the platform that this system is to others: what follows the `@` of its agents.
    fn platform(&self) -> &str;

    /// Where agents of other platforms write to, as URLs; none where nobody can.
    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    /// Takes a message for one receiver of another platform. Must not wait: what cannot be taken on is told to the sender as a
    /// `failure` from the AMS. `from` is the path of the agent that sent it.
    fn forward(&self, from: &Path, message: AclMessage, receiver: &Aid);
}

/// Where a receiver is.
pub(crate) enum Route {
    /// An agent of this system.
    Here(AnyRef),
    /// An agent of another platform.
    Abroad(Arc<dyn AclGateway>),
    /// Nobody knows it.
    Nowhere,
}

impl System {
    /// Lets ACL messages for agents of other platforms leave by that way; `None` closes it.
    pub fn set_acl_gateway(&self, gateway: Option<Arc<dyn AclGateway>>) {
        *self.gateway().write() = gateway;
    }

    /// The name of the platform that this system is to others: its gateway's, or else the one that its AMS and DF were started
    /// with, or else the node's.
    #[must_use]
    pub fn platform(&self) -> String {
        match &*self.gateway().read() {
            Some(gateway) => gateway.platform().to_owned(),
            None => match self.platform_slot().get() {
                Some(name) => name.clone(),
                None => self.node().to_string(),
            },
        }
    }

    /// Where agents of other platforms write to.
    pub(crate) fn gateway_addresses(&self) -> Vec<String> {
        let gateway = self.gateway().read().clone();
        gateway.map_or_else(Vec::new, |gateway| gateway.addresses())
    }

    /// The agent of this system that an AID names. Before the last `@` stands a registered name, in any case, or a path such
    /// as `/pool/worker-1`; what stands behind it is not looked at.
    #[must_use]
    pub fn agent_of(&self, aid: &Aid) -> Option<AnyRef> {
        let local = aid.local_name();
        if local.starts_with('/') {
            return self.lookup(&Path::new(local).ok()?);
        }
        self.whereis(&Name::new(&local.to_ascii_lowercase()).ok()?)
    }

    /// Where the agent is that an AID names. Without a gateway every name is one of here.
    pub(crate) fn route(&self, receiver: &Aid) -> Route {
        let gateway = self.gateway().read().clone();
        if let (Some(gateway), Some(platform)) = (gateway, receiver.platform()) {
            let is_here = platform.eq_ignore_ascii_case(gateway.platform())
                || platform.eq_ignore_ascii_case(self.node().as_str());
            if !is_here {
                return Route::Abroad(gateway);
            }
        }
        self.agent_of(receiver).map_or(Route::Nowhere, Route::Here)
    }
}
