//! A member as SWIM names it: a node, the generation of its membership, and its address.

use crate::identity::{BootId, NodeId};
use foca::Identity;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use swarm_protocols::Name;

/// A member as SWIM names it. Cheap to clone and to compare.
///
/// The generation is SWIM's: it grows whenever a member that was declared down comes back, so it says nothing about the process. The boot id
/// does: the same boot id in a higher generation is the same process, seen again.
#[derive(Clone)]
pub struct Peer {
    /// A digest of the name: two peers of one name are rivals for one place.
    place: u64,
    /// A digest of all fields: unequal tags make unequal peers without following the pointer.
    tag: u64,
    fields: Arc<Fields>,
}

#[derive(PartialEq, Eq)]
struct Fields {
    node: NodeId,
    generation: u64,
    address: SocketAddr,
}

impl Peer {
    /// The member `node` at `address`, which serves gossip (UDP) and peer links (TCP) alike.
    ///
    /// `generation` decides between two peers of one name: the higher wins. A new process passes the wall clock in milliseconds, which lets
    /// it replace the one before it at once; a clock that went back costs a round trip, not correctness.
    #[must_use]
    pub fn new(node: NodeId, generation: u64, address: SocketAddr) -> Self {
        let place = digest([node.name.as_str().as_bytes()]);
        let boot = node.boot.0.to_be_bytes();
        let port = address.port().to_be_bytes();
        let ip = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(ip) => ip.octets(),
        };
        let tag = digest([
            node.name.as_str().as_bytes(),
            &boot,
            &generation.to_be_bytes(),
            &ip,
            &port,
        ]);
        let fields = Arc::new(Fields {
            node,
            generation,
            address,
        });
        Self { place, tag, fields }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.fields.node
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.fields.node.name
    }

    /// Which process of that name.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.fields.node.boot
    }

    /// Which life of its membership.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.fields.generation
    }

    /// Where it listens, for gossip and for peer links.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.fields.address
    }

    /// The same member one generation on; none when the generations are used up.
    #[must_use]
    pub(super) fn at_generation(&self, generation: u64) -> Self {
        Self::new(self.fields.node.clone(), generation, self.fields.address)
    }

    /// Whether this one takes the place of `rival`, which has the same name. Every node decides alike: by generation, then by boot id.
    #[must_use]
    pub(super) fn beats(&self, rival: &Self) -> bool {
        (self.fields.generation, self.fields.node.boot)
            > (rival.fields.generation, rival.fields.node.boot)
    }

    /// The place in the cluster that its name stands for.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    pub(super) fn tag(&self) -> u64 {
        self.tag
    }
}

/// FNV-1a over all parts, each ended by a byte of its own, and mixed at the end.
fn digest<const N: usize>(parts: [&[u8]; N]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain([&0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(hash)
}

/// Spreads every bit of `value` over all bits of the result (the finaliser of splitmix64).
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag
            && (Arc::ptr_eq(&self.fields, &other.fields) || self.fields == other.fields)
    }
}

impl Eq for Peer {}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, generation {})",
            self.fields.node, self.fields.address, self.fields.generation
        )
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({self})")
    }
}

impl Identity for Peer {
    type Addr = u64;

    fn renew(&self) -> Option<Self> {
        let next = self.fields.generation.checked_add(1)?;
        Some(self.at_generation(next))
    }

    fn addr(&self) -> u64 {
        self.place
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.beats(adversary)
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = &self.fields;
        (&fields.node, fields.generation, fields.address).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (node, generation, address) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(node, generation, address))
    }
}
