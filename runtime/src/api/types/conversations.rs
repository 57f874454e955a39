//! Conversations and calls for proposals.

use super::{Time, Unanswered};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /v1/conversations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationsQuery {
    /// Only those of this protocol, such as fipa-contract-net.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Only those in this state; `open` for all that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The latest so many; 1000 unless given, at most 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /v1/conversations`: both sides of each conversation, as far as they are on nodes that answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationsAnswer {
    /// In order of their opening.
    pub conversations: Vec<ConversationSummary>,
    /// What was counted since the start of each node, in all.
    pub counts: ConversationCounts,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// What was counted of the conversations of a node since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationCounts {
    /// How many are open now.
    pub open: usize,
    /// How many were opened, each side counted.
    pub opened: u64,
    /// How many have ended.
    pub ended: u64,
    /// How many were refused because of a bound.
    pub refused: u64,
    /// Messages that had no place in their conversation's state, or came from somebody else.
    pub out_of_sequence: u64,
    /// Messages that came a second time.
    pub duplicates: u64,
    /// Messages that came too late.
    pub late: u64,
    /// Messages of no conversation that opened none.
    pub unknown: u64,
}

/// One side of a conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationSummary {
    /// Its conversation-id.
    pub id: String,
    /// The protocol's name.
    pub protocol: String,
    /// initiator or participant.
    pub role: String,
    /// The name of the agent on this side.
    pub agent: String,
    /// The path of the actor that holds it.
    pub actor: String,
    /// The node that it is on.
    #[serde(default)]
    pub node: String,
    /// Its state, as the protocol calls it; `ended` after the end.
    pub state: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The other sides, as seen from this one.
    pub parties: Vec<ConversationParty>,
    /// When it was opened.
    pub opened_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When it ends at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// Another side of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationParty {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
}

/// `GET /v1/conversation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationQuery {
    /// The conversation-id.
    pub id: String,
}

/// `GET /v1/conversation`: its sides on this node and what was said, each message once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationDetail {
    /// The sides, the initiator's first.
    pub sides: Vec<ConversationSummary>,
    /// What was said, in the order in which it was seen here.
    pub messages: Vec<ConversationMessage>,
    /// How many messages are no longer kept; they were between the first one and the others.
    pub left_out: u64,
    /// The members that did not answer, whose part is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// A message of a conversation; also each event `message` of the stream that `GET /v1/conversations` is to those who accept
/// `text/event-stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationMessage {
    /// Its conversation.
    pub conversation: String,
    /// When it was seen.
    pub at: Time,
    /// The act.
    pub act: String,
    /// Who said it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// The beginning of its content.
    pub content: String,
    /// How many bytes the content has.
    pub content_bytes: usize,
    /// The price that it carries, in an auction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

/// `POST /v1/cfp`: one contract net with the members of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CfpRequest {
    /// Whom to call.
    pub group: String,
    /// What is to be done.
    pub task: String,
    /// What it is to be done with.
    #[serde(default)]
    pub content: Value,
    /// How long the members have for their bids; 2000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How long those that were awarded have for their results; 60000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_ms: Option<u64>,
    /// How many bids to accept; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<u32>,
    /// Whether the next best takes the place of one that fails.
    #[serde(default)]
    pub reserve: bool,
}

/// How a contract net went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CfpAnswer {
    /// Its conversation-id.
    pub conversation: String,
    /// How it ended: done, failed, refused, …
    pub end: String,
    /// Each member that was called, the best bid first.
    pub bids: Vec<CfpBid>,
    /// From the call to the end.
    pub ms: u64,
}

/// One member's part in a contract net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CfpBid {
    /// Its name.
    pub bidder: String,
    /// Its path.
    pub path: String,
    /// What it bid; JSON where it is, else a text. None when it did not bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<Value>,
    /// Whether the job was awarded to it.
    pub awarded: bool,
    /// How its part ended: done, failed, rejected, refused, timed-out, down, …
    pub end: String,
    /// Its result, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}
