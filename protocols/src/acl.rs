//! The FIPA ACL message: all parameters and the 22 communicative acts (FIPA SC00061G and SC00037J).
//!
//! Only the value is here; the codecs stand beside it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An agent identifier. Two AIDs name the same agent when their names are equal, ASCII case aside; addresses play no part.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
pub struct Aid {
    /// `local@platform`.
    pub name: String,
    /// Transport addresses, the one to try first in front.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Agents that can be asked for the addresses.
    #[serde(default)]
    pub resolvers: Vec<Aid>,
    /// `X-` slots, in the order in which they came.
    #[serde(default)]
    pub user_slots: Vec<(String, String)>,
}

impl Aid {
    /// An AID that consists of a name alone.
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

impl PartialEq for Aid {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }
}

macro_rules! performatives {
    ($($variant:ident $token:literal $doc:literal;)*) => {
        /// A communicative act (FIPA SC00037J).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Performative {
            $(#[doc = $doc] $variant,)*
        }

        impl Performative {
            /// All 22 acts.
            pub const ALL: [Self; 22] = [$(Self::$variant),*];

            /// The act's token, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $token,)* }
            }
        }
    };
}

performatives! {
    AcceptProposal "accept-proposal" "I accept your proposal.";
    Agree "agree" "I will do it.";
    Cancel "cancel" "I no longer want what I asked for.";
    Cfp "cfp" "Who will do this, and on what conditions?";
    Confirm "confirm" "It is true, though you were unsure.";
    Disconfirm "disconfirm" "It is false, though you believed it.";
    Failure "failure" "I tried and failed.";
    Inform "inform" "It is so.";
    InformIf "inform-if" "Tell whether it is so.";
    InformRef "inform-ref" "Tell what is meant.";
    NotUnderstood "not-understood" "I did not understand that.";
    Propagate "propagate" "Take this and pass it on.";
    Propose "propose" "I will do it under these conditions.";
    Proxy "proxy" "Send this to those that match.";
    QueryIf "query-if" "Is it so?";
    QueryRef "query-ref" "What is it?";
    Refuse "refuse" "I will not do it; nothing was started.";
    RejectProposal "reject-proposal" "I do not accept your proposal.";
    Request "request" "Do this.";
    RequestWhen "request-when" "Do this once that becomes true.";
    RequestWhenever "request-whenever" "Do this whenever that becomes true.";
    Subscribe "subscribe" "Tell me now and whenever it changes.";
}

impl fmt::Display for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names none of the 22 acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the 22 communicative acts")]
pub struct UnknownPerformative(pub String);

impl FromStr for Performative {
    type Err = UnknownPerformative;

    /// Reads an act's token, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownPerformative> {
        Self::ALL
            .into_iter()
            .find(|act| act.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPerformative(text.to_owned()))
    }
}

/// A message between agents in FIPA's terms. Only the act must be there.
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
    pub reply_to: Vec<Aid>,
    /// What is said; its meaning is given by language, encoding and ontology.
    #[serde(default)]
    pub content: Option<Vec<u8>>,
    /// The language of the content.
    #[serde(default)]
    pub language: Option<String>,
    /// The encoding of the content expression.
    #[serde(default)]
    pub encoding: Option<String>,
    /// The ontology that gives the symbols of the content a meaning.
    #[serde(default)]
    pub ontology: Option<String>,
    /// The interaction protocol, such as `fipa-request`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// The conversation that this belongs to.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// Answer this with `in_reply_to` set to it.
    #[serde(default)]
    pub reply_with: Option<String>,
    /// The `reply_with` of the message that this answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// The latest time for an answer, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub reply_by: Option<i64>,
    /// `X-` parameters, in the order in which they came; unknown ones are kept.
    #[serde(default)]
    pub user_parameters: Vec<(String, String)>,
}

impl AclMessage {
    /// A message that consists of an act alone.
    #[must_use]
    pub fn new(performative: Performative) -> Self {
        Self {
            performative,
            sender: None,
            receiver: Vec::new(),
            reply_to: Vec::new(),
            content: None,
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

    /// The answer to this message with another act: receiver, protocol, conversation, language, ontology, encoding and
    /// in-reply-to as FIPA wants them (fipa.md a.2, R1). `reply_with` and `reply_by` are left empty.
    #[must_use]
    pub fn reply(&self, performative: Performative) -> Self {
        Self {
            receiver: if self.reply_to.is_empty() {
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
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.content.as_deref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_act_reads_back_in_any_case() {
        for act in Performative::ALL {
            assert_eq!(act.as_str().to_uppercase().parse(), Ok(act));
        }
        assert!("tell".parse::<Performative>().is_err());
    }

    #[test]
    fn a_reply_goes_to_reply_to_and_echoes_reply_with() {
        let mut ask = AclMessage::new(Performative::Request);
        ask.sender = Some(Aid::named("a@p"));
        ask.reply_with = Some("r1".into());
        ask.reply_by = Some(1);
        assert_eq!(
            ask.reply(Performative::Agree).receiver,
            vec![Aid::named("A@P")]
        );
        ask.reply_to = vec![Aid::named("b@p")];
        let reply = ask.reply(Performative::Agree);
        assert_eq!(reply.receiver, vec![Aid::named("b@p")]);
        assert_eq!(reply.in_reply_to.as_deref(), Some("r1"));
        assert_eq!(reply.reply_by, None);
    }
}
