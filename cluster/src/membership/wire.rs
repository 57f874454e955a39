//! The two messages of membership: the packet (UDP, sealed by `gossip`) and the exchange (peer link). Versioned, bounded, parsed whole.
//!
//! A packet is a version byte, a flag byte, a digest of the sender's view, news of our own, and SWIM's part to its end. What does not parse
//! is refused whole: nothing of it takes effect.

use super::Peer;
use crate::identity::BootId;
use serde::{Deserialize, Serialize};

/// The version that this build writes, and the only one it reads so far.
pub(super) const VERSION: u8 = 1;
/// The most members in one exchange.
pub(super) const EXCHANGE_MEMBERS_MAX: usize = 65_536;
/// The most bytes that a broadcast carries.
pub const BROADCAST_BYTES_MAX: usize = 512;

/// Why bytes are no message of membership. Nothing took effect; the same bytes fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// There is not even a version.
    #[error("the message is empty")]
    Empty,
    /// Another version.
    #[error("version {found} of the message is not {VERSION}")]
    Version {
        /// The version it says.
        found: u8,
    },
    /// It does not parse.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    /// It says that it has more than may be.
    #[error("the message has {found} entries, at most {bound} are read")]
    TooMany {
        /// How many it says.
        found: usize,
        /// How many may be.
        bound: usize,
    },
    /// Bytes follow its end.
    #[error("{bytes} bytes follow the end of the message")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// One piece of news of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Item {
    /// `by` suspects `suspect` too; `refused` when the suspect's host refused it a connection.
    Confirm {
        suspect: Peer,
        incarnation: u16,
        by: BootId,
        refused: bool,
    },
    /// To the suspect itself (Lifeguard's buddy system): your incarnation is suspected.
    Suspected { generation: u64, incarnation: u16 },
    /// To a relay: connect to the suspect and say what you found.
    Verify {
        suspect: Peer,
        incarnation: u16,
        by: BootId,
    },
    /// From a relay: your request arrived, so your own network works.
    Receipt { probe: u8 },
    /// The peer says goodbye.
    Left { peer: Peer },
    /// An operator has thrown this process out.
    Evicted { boot: BootId },
    /// To a process whose name another one holds.
    Superseded { by: Peer },
    /// What a user of membership has to say to all members.
    Broadcast {
        origin: BootId,
        number: u64,
        payload: Vec<u8>,
    },
}

impl Item {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }
}

/// A packet, parsed but for SWIM's part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) digest: u64,
    pub(super) items: Vec<Item>,
    /// Empty when the packet carries only items.
    pub(super) swim: &'a [u8],
}

/// What precedes SWIM's part when there are no items.
pub(super) const PACKET_HEADER_BYTES: usize = 10;

pub(super) fn encode_packet(digest: u64, items: &[Vec<u8>], swim: &[u8]) -> Vec<u8> {
    let total = items.iter().map(Vec::len).sum::<usize>();
    let mut bytes = Vec::with_capacity(PACKET_HEADER_BYTES + total + swim.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&digest.to_be_bytes());
    bytes.push(u8::try_from(items.len()).unwrap_or(u8::MAX));
    for item in items.iter().take(usize::from(u8::MAX)) {
        bytes.extend_from_slice(item);
    }
    bytes.extend_from_slice(swim);
    bytes
}

pub(super) fn decode_packet(bytes: &[u8]) -> Result<Packet<'_>, WireError> {
    let body = versioned(bytes)?;
    let Some((digest, body)) = body.split_first_chunk::<8>() else {
        return Err(postcard::Error::DeserializeUnexpectedEnd.into());
    };
    let Some((&count, mut rest)) = body.split_first() else {
        return Err(postcard::Error::DeserializeUnexpectedEnd.into());
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let (item, after) = postcard::take_from_bytes::<Item>(rest)?;
        if let Item::Broadcast { payload, .. } = &item
            && payload.len() > BROADCAST_BYTES_MAX
        {
            return Err(WireError::TooMany {
                found: payload.len(),
                bound: BROADCAST_BYTES_MAX,
            });
        }
        items.push(item);
        rest = after;
    }
    Ok(Packet {
        digest: u64::from_be_bytes(*digest),
        items,
        swim: rest,
    })
}

/// What a member is, as one node tells another over a peer link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    Alive,
    Suspect,
    Down,
    Left,
}

/// One member in an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) peer: Peer,
    pub(super) incarnation: u16,
    pub(super) told: Told,
}

/// Everything that a node knows of the members: push/pull repair, and how a new node joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exchange {
    /// The sender's view; the receiver answers with its own.
    Push(State),
    /// The answer.
    Pull(State),
    /// To a node that asked to join: another process has its name.
    NameTaken { by: Peer, answers: bool },
    /// To a suspect, over the link that still works.
    Suspected { generation: u64, incarnation: u16 },
}

/// One node's view of the members, itself first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) from: Peer,
    pub(super) incarnation: u16,
    pub(super) entries: Vec<Entry>,
    pub(super) denied: Vec<BootId>,
}

pub(super) fn encode_exchange(exchange: &Exchange) -> Vec<u8> {
    postcard::to_extend(exchange, vec![VERSION]).unwrap_or_default()
}

pub(super) fn decode_exchange(bytes: &[u8]) -> Result<Exchange, WireError> {
    let (exchange, rest) = postcard::take_from_bytes::<Exchange>(versioned(bytes)?)?;
    if !rest.is_empty() {
        return Err(WireError::Trailing { bytes: rest.len() });
    }
    if let Exchange::Push(state) | Exchange::Pull(state) = &exchange {
        bounded(state.entries.len(), EXCHANGE_MEMBERS_MAX)?;
        bounded(state.denied.len(), super::denied::DENIED_MAX)?;
    }
    Ok(exchange)
}

fn versioned(bytes: &[u8]) -> Result<&[u8], WireError> {
    match bytes.split_first() {
        None => Err(WireError::Empty),
        Some((&VERSION, body)) => Ok(body),
        Some((&found, _)) => Err(WireError::Version { found }),
    }
}

fn bounded(found: usize, bound: usize) -> Result<(), WireError> {
    if found > bound {
        return Err(WireError::TooMany { found, bound });
    }
    Ok(())
}
