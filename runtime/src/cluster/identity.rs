//! Who a node is in its cluster: the first of a new one, back in its own, or admitted with a token.

use super::cut::Switch;
use super::kept::{Kept, Safe};
use super::ledger::Ledger;
use super::member::{ClusterError, ClusterOptions, Way, wall_ms};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use swarm_cluster::gossip::{Datagrams, GossipKey, KeyRing};
use swarm_cluster::identity::NodeId;
use swarm_cluster::membership::Profile;
use swarm_cluster::security::join::{self, JoinError, open_key};
use swarm_cluster::security::{
    Authority, Credentials, JoinToken, NODE_CERTIFICATE_LIFE, NodeCertificate, Vault, VaultError,
};
use swarm_cluster::transport::Network;
use swarm_protocols::Name;
use tokio::net::UdpSocket;

/// How often a free port is looked for that is free for TCP and UDP alike.
pub(super) const PORT_TRIES: u32 = 16;

pub(super) fn random_u128() -> Result<u128, ClusterError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ClusterError::NoRandomness)?;
    Ok(u128::from_le_bytes(bytes))
}

/// The address that this host has towards others: no packet is sent to find it out.
pub(super) fn outward() -> IpAddr {
    let found = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    found.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// Who the node is, and whom it asks first.
pub(super) struct Identity {
    pub(super) kept: Kept,
    pub(super) authority: Option<Authority>,
    pub(super) contacts: Vec<(Name, SocketAddr)>,
}

impl Identity {
    pub(super) fn credentials(&self) -> Result<Credentials, ClusterError> {
        let kept = &self.kept;
        let certificate = NodeCertificate::from_der(kept.chain.clone(), kept.key.clone())?;
        Ok(Credentials::new(certificate, kept.roots.clone())?)
    }
}

/// What a member stands on.
pub(super) struct Ground {
    pub(super) me: NodeId,
    pub(super) address: SocketAddr,
    pub(super) network: Arc<dyn Network>,
    pub(super) datagrams: Arc<dyn Datagrams>,
    pub(super) switch: Switch,
    pub(super) profile: Profile,
    pub(super) versions: (u16, u16),
    pub(super) seed: u64,
}

/// A socket for gossip at the port that links will have, and that port.
pub(super) async fn claim_port(
    listen: SocketAddr,
    may_move: bool,
) -> Result<(UdpSocket, SocketAddr), ClusterError> {
    let mut at = listen;
    for _ in 0..PORT_TRIES {
        let bound = UdpSocket::bind(at).await.and_then(|udp| {
            let address = udp.local_addr()?;
            // Whether TCP has it too is seen when links are bound, just after.
            std::net::TcpListener::bind(address).map(|_| (udp, address))
        });
        match bound {
            Ok(bound) => return Ok(bound),
            Err(cause) if listen.port() != 0 && !may_move => {
                return Err(ClusterError::Listen { address: at, cause });
            }
            Err(_) => at.set_port(0),
        }
    }
    Err(ClusterError::Listen {
        address: listen,
        cause: std::io::ErrorKind::AddrInUse.into(),
    })
}

pub(super) fn ring_of(kept: &Kept) -> Result<KeyRing, ClusterError> {
    let mut keys = kept.ledger.keys.gossip_keys();
    let first = keys
        .next()
        .ok_or(ClusterError::Vault(VaultError::Damaged))?;
    let mut ring = KeyRing::new(first);
    for key in keys {
        // More than a ring holds were never kept.
        let _ = ring.install(key);
    }
    Ok(ring)
}

/// What it kept, or a new cluster, or an admission.
pub(super) async fn identify(
    safe: &Safe,
    options: &ClusterOptions,
    me: &NodeId,
    address: SocketAddr,
) -> Result<Identity, ClusterError> {
    let kept = safe.load()?;
    if let Some(kept) = &kept
        && kept.node != me.name
    {
        return Err(ClusterError::OtherIdentity {
            node: kept.node.clone(),
            cluster: kept.cluster_name.clone(),
        });
    }
    match (&options.way, kept) {
        (Way::First { .. }, Some(kept)) => again(safe, kept),
        (Way::First { cluster }, None) => first(safe, me, cluster),
        (Way::Join { contacts, token }, kept) => {
            if let Some(kept) = kept
                && kept.cluster != token.cluster
            {
                return Err(ClusterError::OtherIdentity {
                    node: kept.node,
                    cluster: kept.cluster_name,
                });
            }
            admitted(safe, contacts, token, me, address).await
        }
    }
}

pub(super) fn first(
    safe: &Safe,
    me: &NodeId,
    cluster_name: &Name,
) -> Result<Identity, ClusterError> {
    let cluster = random_u128()?;
    let now = wall_ms() / 1000;
    let authority = Authority::generate(cluster, cluster_name, now)?;
    let certificate = authority.issue(&me.name, now, NODE_CERTIFICATE_LIFE)?;
    let key = GossipKey::generate().ok_or(ClusterError::NoRandomness)?;
    Ok(Identity {
        kept: Kept {
            cluster,
            cluster_name: cluster_name.clone(),
            node: me.name.clone(),
            chain: certificate.chain().map(<[u8]>::to_vec).collect(),
            key: certificate.secret_key().to_vec(),
            roots: vec![authority.root().to_vec()],
            authority: Some(authority.seal(&safe.vault)?),
            ledger: Ledger::of(vec![*key.expose()]),
            members: Vec::new(),
        },
        authority: Some(authority),
        contacts: Vec::new(),
    })
}

/// After a restart. A voter gives itself a new certificate, so that it comes back however long it was away.
pub(super) fn again(safe: &Safe, mut kept: Kept) -> Result<Identity, ClusterError> {
    let authority = match &kept.authority {
        Some(sealed) => Some(Authority::open(sealed, &safe.vault)?),
        None => None,
    };
    if let Some(authority) = &authority {
        let now = wall_ms() / 1000;
        let certificate = authority.issue(&kept.node, now, NODE_CERTIFICATE_LIFE)?;
        kept.chain = certificate.chain().map(<[u8]>::to_vec).collect();
        kept.key = certificate.secret_key().to_vec();
    }
    let contacts = kept
        .members
        .iter()
        .filter_map(|(name, address)| Some((name.clone(), address.parse().ok()?)))
        .collect();
    Ok(Identity {
        kept,
        authority,
        contacts,
    })
}

pub(super) async fn admitted(
    safe: &Safe,
    contacts: &[String],
    token: &JoinToken,
    me: &NodeId,
    address: SocketAddr,
) -> Result<Identity, ClusterError> {
    let mut failure = JoinError::Unreachable {
        address: String::new(),
        why: "no address was given".to_owned(),
    };
    for contact in contacts {
        let at = address.to_string();
        match join::join(contact, token, me.clone(), at, wall_ms()).await {
            Ok(joined) => return identity_of(safe, token, me, joined),
            // What the cluster has decided, another contact will not decide otherwise.
            Err(JoinError::Refused(refusal)) => return Err(JoinError::Refused(refusal).into()),
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

pub(super) fn identity_of(
    safe: &Safe,
    token: &JoinToken,
    me: &NodeId,
    joined: join::Joined,
) -> Result<Identity, ClusterError> {
    let admission = joined.admission;
    let authority = match &admission.authority {
        Some(sealed) => Some(Authority::open(sealed, &Vault::with_key(open_key(token)))?),
        None => None,
    };
    let sealed = match &authority {
        Some(authority) => Some(authority.seal(&safe.vault)?),
        None => None,
    };
    let ledger: Ledger = postcard::from_bytes(&admission.gossip_keys)
        .map_err(|_| ClusterError::Vault(VaultError::Damaged))?;
    let contacts = admission
        .members
        .iter()
        .filter_map(|seed| Some((seed.node.name.clone(), seed.address.parse().ok()?)))
        .collect();
    Ok(Identity {
        kept: Kept {
            cluster: admission.cluster,
            cluster_name: admission.cluster_name,
            node: me.name.clone(),
            chain: joined.certificate.chain().map(<[u8]>::to_vec).collect(),
            key: joined.certificate.secret_key().to_vec(),
            roots: admission.roots,
            authority: sealed,
            ledger,
            members: admission
                .members
                .into_iter()
                .map(|seed| (seed.node.name, seed.address))
                .collect(),
        },
        authority,
        contacts,
    })
}
