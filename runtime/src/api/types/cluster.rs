//! Members and tokens.

use super::Time;
use serde::{Deserialize, Serialize};

/// `GET /v1/nodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodesAnswer {
    /// The cluster's name.
    pub cluster: String,
    /// The members, in order of names, as the answering node sees them.
    pub nodes: Vec<NodeSummary>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Its name.
    pub name: String,
    /// Random per process start, 32 hexadecimal digits.
    pub boot_id: String,
    /// alive, suspect, down or left.
    pub state: String,
    /// Where its links and its gossip listen.
    pub address: String,
    /// Whether it is the node that answers.
    pub is_self: bool,
    /// The connections to it, by lane.
    pub links: Vec<LinkSummary>,
}

/// One lane to a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkSummary {
    /// control or bulk.
    pub lane: String,
    /// Whether a connection is open.
    pub is_open: bool,
    /// How many connections there were.
    pub connections: u64,
    /// What is under way to it, in bytes with overhead.
    pub under_way_bytes: u64,
    /// What is held here for agents that have not taken it, in bytes with overhead.
    pub held_bytes: u64,
    /// Why the last connection ended or did not come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// For how long nodes can join with it; a minute to 30 days.
    pub expires_in_ms: u64,
    /// How many nodes can; any number unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Whether they become voters, which hold the key of the cluster's authority.
    #[serde(default)]
    pub voters: bool,
}

/// A new token: the only time that it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// What lists call it.
    pub id: String,
    /// The token. It lets nodes in.
    pub token: String,
    /// Where to join with it.
    pub address: String,
    /// Until when.
    pub expires_at: Time,
}

/// `GET /v1/tokens`: those of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensAnswer {
    /// The tokens, oldest first.
    pub tokens: Vec<TokenSummary>,
}

/// What is known of a token; not the token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenSummary {
    /// Which.
    pub id: String,
    /// valid, expired, used-up or revoked.
    pub state: String,
    /// When it was made.
    pub created_at: Time,
    /// Until when it holds.
    pub expires_at: Time,
    /// How many nodes can join with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How many have.
    pub used: u32,
    /// Whether they become voters.
    pub voters: bool,
    /// The member that made it. It counts the uses of a limited one, and has to be there for it.
    #[serde(default)]
    pub home: String,
}

/// `DELETE /v1/tokens/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevokeAnswer {
    /// Which.
    pub id: String,
    /// Always true: nobody joins with it any more.
    pub revoked: bool,
}

/// `POST /v1/leave`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaveAnswer {
    /// The node that said goodbye to the others. It goes on running, alone, until it is stopped.
    pub node: String,
    /// Always true.
    pub left: bool,
}

/// A member that did not answer in time: what it would have said is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Its name.
    pub node: String,
    /// Why, for people.
    pub why: String,
}

/// A way from one member to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSummary {
    /// To whom.
    pub to: String,
    /// There and back over the control lane, in microseconds; dialling included where no connection was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /v1/nodes/rtt`: from the answering node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RttAnswer {
    /// From where.
    pub node: String,
    /// The ways to all others that are not gone, in order of names.
    pub routes: Vec<RouteSummary>,
}

/// `GET /v1/nodes/reachability`: from each member to each other one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachabilityAnswer {
    /// What each member that answered says, in order of names.
    pub nodes: Vec<RttAnswer>,
    /// The members that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// `POST /v1/nodes/evict`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvictRequest {
    /// Whom to throw out.
    pub name: String,
}

/// How an eviction went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictAnswer {
    /// Who was thrown out.
    pub name: String,
    /// Which process, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The members that refuse it from now on, the answering one included.
    pub told: Vec<String>,
    /// Members that did not answer; they hear of it when they come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// `POST /v1/keys/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateAnswer {
    /// The name of the key that seals gossip now.
    pub key: String,
    /// How many members use it.
    pub members: u64,
    /// Members that are down; they get the keys over the links when they come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// `POST /v1/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// How long to wait at most; 30000 unless given, at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// How a drain went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainAnswer {
    /// The node whose agents are in no name or group of the cluster any more.
    pub node: String,
    /// Whether none of them had anything to do at the end.
    pub drained: bool,
}

/// `POST /v1/nodes/chaos`; also its answer: the node has agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeChaos {
    /// Which node. It must have been started with `--allow-chaos`.
    pub node: String,
    /// node-kill, cut or pause.
    pub fault: String,
    /// How long a cut or a pause takes; at most an hour. Not looked at for a kill.
    #[serde(default)]
    pub for_ms: u64,
}
