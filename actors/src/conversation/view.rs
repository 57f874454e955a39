//! What can be seen of a conversation: plain data, for the API and for tests.

use serde::{Deserialize, Serialize};
use swarm_protocols::interaction::{End, Role};
use swarm_protocols::{AclMessage, ConversationId, Path, Performative};

/// How many bytes of a message's content are shown.
const CONTENT_SHOWN_MAX: usize = 256;

/// One side of a conversation as it can be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationView {
    /// Its conversation-id.
    pub id: ConversationId,
    /// The protocol's name.
    pub protocol: String,
    /// Which side this is.
    pub role: Role,
    /// The protocol actor that holds it.
    pub actor: Path,
    /// The AID's name on this side.
    pub agent: String,
    /// The state, as the protocol's table calls it.
    pub state: String,
    /// The other sides.
    pub parties: Vec<PartyView>,
    /// How it ended; `None` while it is open.
    pub outcome: Option<End>,
    /// When it was opened, in milliseconds since 1970 UTC.
    pub opened_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// When it ends at the latest, where that was set.
    pub expires_ms: Option<i64>,
    /// Its messages as seen from this side, oldest first; empty in lists.
    pub messages: Vec<MessageView>,
    /// How many messages are no longer kept; they were between the first one and the others.
    pub messages_left_out: u64,
}

/// Another side of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyView {
    /// Its AID's name.
    pub name: String,
    /// Its state as seen from here.
    pub state: String,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// When it was sent or came, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Whether it came, or else was sent.
    pub is_received: bool,
    /// The act.
    pub act: Performative,
    /// Who said it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// The beginning of its content, as text; at most 256 bytes.
    pub content: String,
    /// How many bytes the content has.
    pub content_bytes: usize,
    /// The price that it carries, in an auction.
    pub price: Option<String>,
    /// Its reply-with.
    pub reply_with: Option<String>,
    /// Its in-reply-to.
    pub in_reply_to: Option<String>,
    /// Until when an answer is wanted, in milliseconds since 1970 UTC.
    pub reply_by_ms: Option<i64>,
}

impl MessageView {
    pub(super) fn of(message: &AclMessage, at_ms: i64, is_received: bool) -> Self {
        let content = message.content.as_deref().unwrap_or_default();
        let shown = &content[..content.len().min(CONTENT_SHOWN_MAX)];
        Self {
            at_ms,
            is_received,
            act: message.performative,
            from: message
                .sender
                .as_ref()
                .map(|aid| aid.name.to_string())
                .unwrap_or_default(),
            to: message
                .receiver
                .iter()
                .map(|aid| aid.name.to_string())
                .collect(),
            content: String::from_utf8_lossy(shown).into_owned(),
            content_bytes: content.len(),
            price: message.user_parameter("X-Price").map(str::to_owned),
            reply_with: message.reply_with.as_deref().map(str::to_owned),
            in_reply_to: message.in_reply_to.as_deref().map(str::to_owned),
            reply_by_ms: message.reply_by.map(|time| time.as_millis()),
        }
    }
}
