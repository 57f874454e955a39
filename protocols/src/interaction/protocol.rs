//! Which interaction protocols there are, what each is called on the wire, and which act opens it.

use crate::acl::{AclMessage, Performative};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! protocols {
    ($($variant:ident $token:literal $doc:literal;)*) => {
        /// An interaction protocol: FIPA's (fipa.md d), and two that FIPA has none for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Protocol {
            $(#[doc = $doc] #[serde(rename = $token)] $variant,)*
        }

        impl Protocol {
            /// All of them.
            pub const ALL: [Self; 13] = [$(Self::$variant),*];

            /// The protocol's name as the `protocol` parameter carries it.
            #[must_use]
            pub fn token(self) -> &'static str {
                match self { $(Self::$variant => $token,)* }
            }
        }
    };
}

protocols! {
    Request "fipa-request" "Do this (SC00026H, fipa.md d.1).";
    Query "fipa-query" "Is it so, or what is it (SC00027H, fipa.md d.2)?";
    RequestWhen "fipa-request-when" "Do this once that holds (SC00028H, fipa.md d.3).";
    ContractNet "fipa-contract-net" "Who does this best (SC00029H, fipa.md d.4)?";
    IteratedContractNet "fipa-iterated-contract-net" "A contract net in several rounds (SC00030H, fipa.md d.5).";
    EnglishAuction "fipa-auction-english" "The price goes up until one bidder is left (XC00031F, fipa.md d.6).";
    DutchAuction "fipa-auction-dutch" "The price goes down until somebody takes it (XC00032F, fipa.md d.7).";
    Brokering "fipa-brokering" "Find those who can, ask them, bring me the answers (SC00033H, fipa.md d.8).";
    Recruiting "fipa-recruiting" "Find those who can and have them answer me (SC00034H, fipa.md d.9).";
    Subscribe "fipa-subscribe" "Tell me now and whenever it changes (SC00035H, fipa.md d.10).";
    Propose "fipa-propose" "Shall I do this (SC00036H, fipa.md d.11)?";
    TwoPhaseCommit "swarm-two-phase-commit" "All or none, with a presumed-abort coordinator. Not FIPA's; JADE has one of its own (fipa.md d.12).";
    Dialogue "swarm-dialogue" "Turn by turn, with a bounded context and a limit of turns. Not FIPA's.";
}

impl Protocol {
    /// Whether `act`, as the first message of a conversation, opens this protocol (fipa.md d, unknown conversation-id).
    #[must_use]
    pub fn is_opened_by(self, act: Performative) -> bool {
        match self {
            Self::Request => act == Performative::Request,
            Self::Query => matches!(act, Performative::QueryIf | Performative::QueryRef),
            Self::RequestWhen => act == Performative::RequestWhen,
            Self::ContractNet | Self::IteratedContractNet => act == Performative::Cfp,
            // The inform that starts an auction may be lost or late: the first call for bids opens it as well.
            Self::EnglishAuction | Self::DutchAuction => {
                matches!(act, Performative::Inform | Performative::Cfp)
            }
            Self::Brokering | Self::Recruiting => act == Performative::Proxy,
            Self::Subscribe => act == Performative::Subscribe,
            Self::Propose => act == Performative::Propose,
            Self::TwoPhaseCommit => act == Performative::QueryIf,
            Self::Dialogue => act == Performative::QueryRef,
        }
    }

    /// The protocol that a first message opens: the one it names, or the one that its act stands for when it names none.
    /// `None` when it opens none.
    #[must_use]
    pub fn opened_by(message: &AclMessage) -> Option<Self> {
        let act = message.performative;
        match message.protocol.as_deref() {
            Some(token) => token
                .parse::<Self>()
                .ok()
                .filter(|protocol| protocol.is_opened_by(act)),
            None => match act {
                Performative::Request => Some(Self::Request),
                Performative::QueryIf | Performative::QueryRef => Some(Self::Query),
                Performative::RequestWhen => Some(Self::RequestWhen),
                Performative::Cfp => Some(Self::ContractNet),
                Performative::Subscribe => Some(Self::Subscribe),
                Performative::Propose => Some(Self::Propose),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// A text that names no protocol that Swarm speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no interaction protocol")]
pub struct UnknownProtocol(pub String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    /// Reads a protocol's name, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.token().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownProtocol(text.to_owned()))
    }
}

/// Which side of a conversation one is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Who opened it.
    Initiator,
    /// Who was addressed; the broker and the recruiter are participants too.
    Participant,
}

impl Role {
    /// The role as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Participant => "participant",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
