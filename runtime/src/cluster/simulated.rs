//! A member on a simulated network: everything of a node but TLS, files and the machine's clocks.
//!
//! For the simulation of whole nodes: under tokio's paused clock, on one thread, what happens follows from the seeds. Membership, links,
//! names, requests and the ledger are the same code as anywhere. What is not simulated: admission with tokens, certificates, what a member
//! keeps on its disk.

use super::cut::Switch;
use super::identity::{Ground, Identity};
use super::kept::{Kept, Safe};
use super::ledger::Ledger;
use super::member::{Cluster, ClusterError, Joined};
use std::net::SocketAddr;
use std::sync::Arc;
use swarm_actors::System;
use swarm_cluster::gossip::Datagrams;
use swarm_cluster::identity::NodeId;
use swarm_cluster::membership::Profile;
use swarm_cluster::security::{Authority, NODE_CERTIFICATE_LIFE};
use swarm_cluster::transport::Network;
use swarm_protocols::Name;
use tokio::time::Instant;

/// The cluster that all simulated nodes belong to, and the key of its gossip: nothing secret goes over a simulated network.
const CLUSTER: u128 = 0x5117;
const GOSSIP_KEY: [u8; 32] = [0x51; 32];

/// What a simulated member is made of.
pub struct Simulated {
    /// Which process of which node.
    pub me: NodeId,
    /// What others call it by, on both networks.
    pub address: SocketAddr,
    /// What its links go over.
    pub network: Arc<dyn Network>,
    /// What its gossip goes over.
    pub datagrams: Arc<dyn Datagrams>,
    /// How patient membership is.
    pub profile: Profile,
    /// Which wire versions it speaks, oldest and newest: those of this build
    /// ([`WIRE_VERSIONS`](swarm_cluster::link::WIRE_VERSIONS)), but in tests of upgrades.
    pub versions: (u16, u16),
    /// Drives random choices.
    pub seed: u64,
    /// Whom it asks first; nobody, for the first node.
    pub contacts: Vec<(Name, SocketAddr)>,
}

impl Cluster {
    /// Makes the node a member on a simulated network. Does not wait until others have answered.
    ///
    /// # Errors
    /// [`ClusterError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_simulated(system: &System, simulated: Simulated) -> Result<Self, ClusterError> {
        let safe = Safe::open(None)?;
        let node = simulated.me.name.clone();
        let now = system.wall_ms() / 1000;
        let cluster_name = Name::new("simulated").map_err(|_| ClusterError::NoAuthority)?;
        let authority = Authority::generate(CLUSTER, &cluster_name, now)?;
        let certificate = authority.issue(&node, now, NODE_CERTIFICATE_LIFE)?;
        let identity = Identity {
            kept: Kept {
                cluster: CLUSTER,
                cluster_name,
                node,
                chain: certificate.chain().map(<[u8]>::to_vec).collect(),
                key: certificate.secret_key().to_vec(),
                roots: vec![authority.root().to_vec()],
                authority: None,
                ledger: Ledger::of(vec![GOSSIP_KEY]),
                members: simulated
                    .contacts
                    .iter()
                    .map(|(name, address)| (name.clone(), address.to_string()))
                    .collect(),
            },
            authority: Some(authority),
            contacts: simulated.contacts,
        };
        let ground = Ground {
            me: simulated.me,
            address: simulated.address,
            network: simulated.network,
            datagrams: simulated.datagrams,
            switch: Switch::default(),
            profile: simulated.profile,
            versions: simulated.versions,
            seed: simulated.seed,
        };
        let credentials = identity.credentials()?;
        Self::assemble(system, safe, identity, credentials, ground)
    }

    /// Waits until membership has answered, at most five seconds; at once for a node that asked nobody.
    ///
    /// # Errors
    /// [`ClusterError::NoAnswer`].
    pub async fn answered(&self) -> Result<Joined, ClusterError> {
        let began = Instant::now();
        let members = self.settle().await?;
        let took = began.elapsed();
        Ok(Joined { members, took })
    }
}
