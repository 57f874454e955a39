//! The first frame on each connection: who speaks, which versions, and where to go on.

use super::Limits;
use crate::identity::{BootId, NodeId};
use serde::{Deserialize, Serialize};
use swarm_protocols::Name;

/// The newest version of what nodes say to each other that this build speaks. One number for all of it (frames, gossip, names, placement,
/// requests, agents' parcels); whatever changes one of these formats raises it.
///
/// | version | what is new |
/// | --- | --- |
/// | 1 | |
/// | 2 | names carry what directory facilitators have entered (their format 2) |
pub const WIRE_VERSION: u16 = 2;
/// The oldest version that this build speaks: that of the minor release before.
pub const WIRE_VERSION_MIN: u16 = 1;
/// What this build speaks, oldest and newest.
pub const WIRE_VERSIONS: (u16, u16) = (WIRE_VERSION_MIN, WIRE_VERSION);

/// What a connection is for. Each lane of a link has a connection of its own, so that the one never waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// What nodes say to each other: membership repair, names, answers about nodes.
    Control,
    /// What agents say to each other, and the news of their ends.
    Bulk,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Control, Self::Bulk];

    /// The lane as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Bulk => "bulk",
        }
    }
}

/// What each side says first on a connection; the one that dialled begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The versions that it speaks, oldest and newest.
    pub versions: (u16, u16),
    /// The cluster that it belongs to.
    pub cluster: u128,
    /// Who it is.
    pub node: NodeId,
    /// Whom it wants to reach; an address may have been given to another node meanwhile.
    pub to: Name,
    /// Which lane this connection is for.
    pub lane: Lane,
    /// Its epoch of this link: raised whenever it gives the peer up.
    pub epoch: u32,
    /// The peer's epoch, as far as it knows.
    pub peer_epoch: u32,
    /// The process of the peer for which these epochs hold; none before they have met.
    pub peer_boot: Option<BootId>,
    /// The number of the last item that it has received in these epochs; 0 when none.
    pub received: u64,
    /// Its bounds.
    pub limits: Limits,
}

/// Why a peer's hello was not accepted. The link is as it was. None of them goes away by dialling again soon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// There is no version that both speak.
    #[error(
        "the peer speaks link versions {} to {}, this node {} to {}",
        theirs.0, theirs.1, ours.0, ours.1
    )]
    Version {
        /// What the peer speaks, oldest and newest.
        theirs: (u16, u16),
        /// What this node speaks.
        ours: (u16, u16),
    },
    /// It belongs to another cluster.
    #[error("the peer belongs to another cluster, {theirs:032x}")]
    OtherCluster {
        /// Its cluster.
        theirs: u128,
    },
    /// It looks for another node, or is another node than was looked for.
    #[error("expected node {expected}, met {found}")]
    OtherNode {
        /// Who was expected.
        expected: Name,
        /// Who it is.
        found: Name,
    },
    /// Its bounds are others than ours.
    #[error("the peer's bounds differ: {theirs:?}")]
    OtherLimits {
        /// Its bounds.
        theirs: Limits,
    },
}

/// The highest version that two sides speak, each given by its oldest and newest.
#[must_use]
pub fn common_version(theirs: (u16, u16), ours: (u16, u16)) -> Option<u16> {
    let highest = theirs.1.min(ours.1);
    (highest >= theirs.0 && highest >= ours.0).then_some(highest)
}

impl Hello {
    /// The highest version that both its sender and a node that speaks `ours` (oldest and newest) speak, if there is one.
    #[must_use]
    pub fn common_version(&self, ours: (u16, u16)) -> Option<u16> {
        common_version(self.versions, ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_both_speak_is_taken() {
        let mut hello = sample();
        for (theirs, common) in [
            ((1, 1), Some(1)),
            ((1, 2), Some(2)),
            ((2, 3), Some(2)),
            ((1, 9), Some(2)),
            ((3, 4), None),
            ((0, 0), None),
        ] {
            hello.versions = theirs;
            assert_eq!(hello.common_version((1, 2)), common, "{theirs:?}");
        }
    }

    fn sample() -> Hello {
        let name = Name::new("a").expect("valid");
        Hello {
            versions: (1, 1),
            cluster: 1,
            node: NodeId {
                name: name.clone(),
                boot: BootId(1),
            },
            to: name,
            lane: Lane::Bulk,
            epoch: 1,
            peer_epoch: 1,
            peer_boot: None,
            received: 0,
            limits: Limits::default(),
        }
    }
}
