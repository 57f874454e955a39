//! Making and reading messages.

use crate::{Act, Aid, Message};
use std::fmt;

impl Message {
    /// A message that consists of an act alone.
    #[must_use]
    pub fn new(performative: Act) -> Self {
        Self {
            performative,
            sender: None,
            receivers: Vec::new(),
            reply_to: Vec::new(),
            content: None,
            content_type: None,
            language: None,
            encoding: None,
            ontology: None,
            protocol: None,
            conversation_id: None,
            reply_with: None,
            in_reply_to: None,
            reply_by: None,
            user_parameters: Vec::new(),
        }
    }

    /// A message whose content is a text.
    #[must_use]
    pub fn text(performative: Act, text: impl Into<String>) -> Self {
        Self {
            content: Some(text.into().into_bytes()),
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            ..Self::new(performative)
        }
    }

    /// The answer to this message: receivers, protocol, conversation, language, ontology, encoding and in-reply-to as FIPA
    /// wants them.
    #[must_use]
    pub fn reply(&self, performative: Act) -> Self {
        Self {
            receivers: if self.reply_to.is_empty() {
                self.sender.iter().cloned().collect()
            } else {
                self.reply_to.clone()
            },
            protocol: self.protocol.clone(),
            conversation_id: self.conversation_id.clone(),
            language: self.language.clone(),
            ontology: self.ontology.clone(),
            encoding: self.encoding.clone(),
            in_reply_to: self.reply_with.clone(),
            ..Self::new(performative)
        }
    }

    /// The content as text, where it is UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.content.as_deref()?).ok()
    }
}

#[cfg(feature = "json")]
impl Message {
    /// Sets the content to `value` in JSON.
    ///
    /// # Errors
    /// The value has no form in JSON.
    pub fn with_json(mut self, value: &impl serde::Serialize) -> Result<Self, String> {
        self.content = Some(serde_json::to_vec(value).map_err(|error| error.to_string())?);
        self.content_type = Some("application/json".to_owned());
        Ok(self)
    }

    /// Reads the content as JSON.
    ///
    /// # Errors
    /// It is no JSON, or not of this form.
    pub fn json<'m, T: serde::Deserialize<'m>>(&'m self) -> Result<T, String> {
        serde_json::from_slice(self.content.as_deref().unwrap_or_default())
            .map_err(|error| error.to_string())
    }
}

impl Aid {
    /// An identifier that consists of a name alone.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            addresses: Vec::new(),
            resolvers: Vec::new(),
            user_slots: Vec::new(),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcceptProposal => "accept-proposal",
            Self::Agree => "agree",
            Self::Cancel => "cancel",
            Self::Cfp => "cfp",
            Self::Confirm => "confirm",
            Self::Disconfirm => "disconfirm",
            Self::Failure => "failure",
            Self::Inform => "inform",
            Self::InformIf => "inform-if",
            Self::InformRef => "inform-ref",
            Self::NotUnderstood => "not-understood",
            Self::Propagate => "propagate",
            Self::Propose => "propose",
            Self::Proxy => "proxy",
            Self::QueryIf => "query-if",
            Self::QueryRef => "query-ref",
            Self::Refuse => "refuse",
            Self::RejectProposal => "reject-proposal",
            Self::Request => "request",
            Self::RequestWhen => "request-when",
            Self::RequestWhenever => "request-whenever",
            Self::Subscribe => "subscribe",
        })
    }
}
