//! Where placed children run.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/placement`: as the node that is asked sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementAnswer {
    /// The live nodes that have said what they have; the one that is asked first.
    pub nodes: Vec<PlacementNode>,
    /// What belongs nowhere.
    pub nowhere: Vec<PlacedNowhere>,
    /// Whether all nodes agree, and everything runs where it belongs.
    pub is_settled: bool,
}

/// One node, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementNode {
    /// Its name.
    pub name: String,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
    /// Whether it gives away what it has.
    pub is_draining: bool,
    /// How many placed agents it takes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u32>,
    /// Which manifest it runs: 0 for the one that it was started with.
    pub generation: u64,
    /// The placed children that it starts, runs or is stopping.
    pub holds: Vec<String>,
}

/// A placed child that runs nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedNowhere {
    /// Which.
    pub path: String,
    /// Why: `no-node` (none has its labels and declares it) or `no-room`.
    pub why: String,
}
