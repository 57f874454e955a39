//! Messages into the tree.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/actor/send`: an ACL message for an actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// To whom.
    pub path: String,
    /// The act; `inform` unless given (`request` for a call).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performative: Option<String>,
    /// What is said. Under the default language any JSON value; under any other a string, sent as its bytes.
    #[serde(default)]
    pub content: Value,
    /// The content's language; `application/json` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The content's ontology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// The interaction protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAnswer {
    /// To whom.
    pub path: String,
    /// The mailbox took it. That it is handled well is not promised.
    pub accepted: bool,
    /// Messages queued there right afterwards.
    pub mailbox: u64,
}

/// `POST /v1/actor/call`: an ACL message that is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// To whom.
    pub path: String,
    /// The act; `request` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performative: Option<String>,
    /// What is said; see [`SendRequest::content`].
    #[serde(default)]
    pub content: Value,
    /// The content's language; `application/json` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The content's ontology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// The interaction protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// How long to wait for the answer; 5000 unless given, at most 600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An actor's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// Who answered.
    pub path: String,
    /// The act: inform, failure, refuse, not-understood, …
    pub performative: String,
    /// What was said: JSON where the language is JSON, else text (bytes that are no UTF-8 replaced).
    pub content: Value,
    /// The content's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// How long it took.
    pub ms: u64,
}
