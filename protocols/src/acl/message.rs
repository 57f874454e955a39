//! The message value.

use super::aid::{are_identical, last_named};
use super::{Aid, ConversationId, Performative, ReplyWith, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use thin_vec::ThinVec;

/// A message between agents in FIPA's terms (fipa.md a.1). Only the act must be there.
///
/// `==` compares parameter by parameter, AIDs by their rule; [`is_identical`](Self::is_identical) compares AIDs in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclMessage {
    /// The communicative act.
    pub performative: Performative,
    /// Who says it.
    #[serde(default)]
    pub sender: Option<Aid>,
    /// To whom.
    #[serde(default)]
    pub receiver: Vec<Aid>,
    /// Where answers go instead of to the sender.
    #[serde(default)]
    pub reply_to: ThinVec<Aid>,
    /// What is said; its meaning is given by language, encoding and ontology.
    #[serde(default)]
    pub content: Option<Vec<u8>>,
    /// The language of the content.
    #[serde(default)]
    pub language: Option<SmolStr>,
    /// The encoding of the content expression.
    #[serde(default)]
    pub encoding: Option<SmolStr>,
    /// The ontology that gives the symbols of the content a meaning.
    #[serde(default)]
    pub ontology: Option<SmolStr>,
    /// The interaction protocol, such as `fipa-request`.
    #[serde(default)]
    pub protocol: Option<SmolStr>,
    /// The conversation that this belongs to.
    #[serde(default)]
    pub conversation_id: Option<ConversationId>,
    /// Answer this with `in_reply_to` set to it.
    #[serde(default)]
    pub reply_with: Option<ReplyWith>,
    /// The `reply_with` of the message that this answers.
    #[serde(default)]
    pub in_reply_to: Option<ReplyWith>,
    /// The latest time at which the sender wants a first answer.
    #[serde(default)]
    pub reply_by: Option<Timestamp>,
    /// `X-` parameters with their full names, in the order in which they came; unknown ones are kept.
    #[serde(default)]
    pub user_parameters: ThinVec<(String, String)>,
}

impl AclMessage {
    /// A message that consists of an act alone.
    #[must_use]
    pub fn new(performative: Performative) -> Self {
        Self {
            performative,
            sender: None,
            receiver: Vec::new(),
            reply_to: ThinVec::new(),
            content: None,
            language: None,
            encoding: None,
            ontology: None,
            protocol: None,
            conversation_id: None,
            reply_with: None,
            in_reply_to: None,
            reply_by: None,
            user_parameters: ThinVec::new(),
        }
    }

    /// The content as text, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.content.as_deref()?).ok()
    }

    /// Whether the ontology is that one. Names of ontologies are compared without regard to ASCII case (fipa.md a.1).
    #[must_use]
    pub fn has_ontology(&self, name: &str) -> bool {
        self.ontology
            .as_deref()
            .is_some_and(|ontology| ontology.eq_ignore_ascii_case(name))
    }

    /// The value of a user-defined parameter, its name in any case and with its `X-`; the last one where there are several.
    #[must_use]
    pub fn user_parameter(&self, name: &str) -> Option<&str> {
        last_named(&self.user_parameters, name)
    }

    /// Whether the two are alike in everything, addresses and slots of AIDs included.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        let same_sender = match (&self.sender, &other.sender) {
            (Some(a), Some(b)) => a.is_identical(b),
            (None, None) => true,
            _ => false,
        };
        same_sender
            && self == other
            && are_identical(&self.receiver, &other.receiver)
            && are_identical(&self.reply_to, &other.reply_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ontologies_are_equal_in_any_case() {
        let mut message = AclMessage::new(Performative::Request);
        assert!(!message.has_ontology("FIPA-Agent-Management"));
        message.ontology = Some("fipa-agent-management".into());
        assert!(message.has_ontology("FIPA-Agent-Management"));
    }

    #[test]
    fn equal_messages_may_differ_in_addresses_and_identical_ones_may_not() {
        let mut here = AclMessage::new(Performative::Inform);
        here.receiver = vec![Aid::named("a@p")];
        let mut there = here.clone();
        assert!(here.is_identical(&there));
        there.receiver[0].addresses.push("http://h/acc".to_owned());
        assert_eq!(here, there);
        assert!(!here.is_identical(&there));
    }

    #[test]
    fn a_message_reads_back_from_postcard() {
        let mut message = AclMessage::new(Performative::Cfp);
        message.conversation_id = Some("c1".into());
        message.reply_by = Some(Timestamp::MAX);
        message.content = Some(vec![0xff, 0]);
        let bytes = postcard::to_allocvec(&message).expect("to postcard");
        let read: AclMessage = postcard::from_bytes(&bytes).expect("from postcard");
        assert!(read.is_identical(&message));
    }
}
