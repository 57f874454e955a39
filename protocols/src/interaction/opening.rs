//! What a conversation is opened with, on either side, and why it may not be.

use super::protocol::Protocol;
use crate::acl::{AclMessage, Aid, ConversationId, Performative};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::time::Duration;
use thin_vec::ThinVec;

/// How many participants one conversation has at most.
pub const PARTICIPANTS_MAX: usize = 1024;
/// How many bytes of content a message of a conversation has at most: 16 MiB.
pub const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a conversation that has ended goes on answering late messages, unless its deadlines reach further (fipa.md d).
pub const LINGER_DEFAULT: Duration = Duration::from_secs(30);

/// What an initiator opens a conversation with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The conversation-id: unique everywhere. What draws it is the driver's choice.
    pub id: ConversationId,
    /// Who opens it.
    pub initiator: Aid,
    /// Whom it is opened with, in the order in which they are named in outcomes. One to 1024, each once.
    pub participants: Vec<Aid>,
    /// The rules.
    pub rules: Rules,
    /// What it is about: content, language, encoding, ontology. `X-` parameters go with the first message. The rest is set by
    /// the machine.
    pub about: About,
    /// How long each participant has for its first answer (`reply-by`); also the length of a round. Without
    /// it the wait is bounded by `expires_in` alone.
    pub reply_within: Option<Duration>,
    /// How long each accepted or agreed participant has for its result.
    pub result_within: Option<Duration>,
    /// How long the conversation lasts at most.
    pub expires_in: Option<Duration>,
    /// How long late messages are answered after the end.
    pub linger: Duration,
}

/// What a conversation is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The content of the first message.
    pub content: Vec<u8>,
    /// Its language.
    pub language: Option<SmolStr>,
    /// Its encoding.
    pub encoding: Option<SmolStr>,
    /// Its ontology.
    pub ontology: Option<SmolStr>,
    /// `X-` parameters of the first message.
    pub user_parameters: ThinVec<(String, String)>,
}

impl About {
    /// A content alone.
    #[must_use]
    pub fn text(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            ..Self::default()
        }
    }
}

/// The rules of a conversation: its protocol, with what that protocol leaves open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rules {
    /// fipa-request.
    Request,
    /// fipa-query with `query-if`.
    QueryIf,
    /// fipa-query with `query-ref`.
    QueryRef,
    /// fipa-request-when.
    RequestWhen,
    /// fipa-contract-net.
    ContractNet,
    /// fipa-iterated-contract-net.
    IteratedContractNet {
        /// How many rounds there are at most, the first included.
        rounds_max: u32,
    },
    /// fipa-auction-english.
    EnglishAuction(Ascending),
    /// fipa-auction-dutch.
    DutchAuction(Descending),
    /// fipa-brokering; the participants are brokers.
    Brokering,
    /// fipa-recruiting; the participants are recruiters.
    Recruiting,
    /// fipa-subscribe.
    Subscribe,
    /// fipa-propose.
    Propose,
    /// Two-phase commit.
    TwoPhaseCommit {
        /// After how long a decision is sent again to those that have not acknowledged it.
        resend_after: Duration,
    },
    /// A dialogue with one participant.
    Dialogue(DialogueRules),
}

/// How an English auction goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ascending {
    /// The first price called.
    pub start: i64,
    /// What is added to the best bid for the next round; at least 1.
    pub step: i64,
    /// Below it nothing is sold.
    pub reserve: i64,
    /// How many rounds there are at most; then the leader wins.
    pub rounds_max: u32,
}

/// How a Dutch auction goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descending {
    /// The first price called.
    pub start: i64,
    /// What is taken off each round; at least 1.
    pub step: i64,
    /// Below it nothing is called.
    pub reserve: i64,
    /// How many units are for sale; at least 1.
    pub units: u32,
}

/// The bounds of a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogueRules {
    /// How many turns the two have together.
    pub turns_max: u32,
    /// How many of the latest turns are kept word for word.
    pub verbatim: u32,
    /// How many bytes the summary of the earlier ones has at most.
    pub summary_bytes: u32,
}

impl Default for DialogueRules {
    fn default() -> Self {
        Self {
            turns_max: 32,
            verbatim: 8,
            summary_bytes: 2048,
        }
    }
}

impl Rules {
    /// Whose rules these are.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Request => Protocol::Request,
            Self::QueryIf | Self::QueryRef => Protocol::Query,
            Self::RequestWhen => Protocol::RequestWhen,
            Self::ContractNet => Protocol::ContractNet,
            Self::IteratedContractNet { .. } => Protocol::IteratedContractNet,
            Self::EnglishAuction(_) => Protocol::EnglishAuction,
            Self::DutchAuction(_) => Protocol::DutchAuction,
            Self::Brokering => Protocol::Brokering,
            Self::Recruiting => Protocol::Recruiting,
            Self::Subscribe => Protocol::Subscribe,
            Self::Propose => Protocol::Propose,
            Self::TwoPhaseCommit { .. } => Protocol::TwoPhaseCommit,
            Self::Dialogue(_) => Protocol::Dialogue,
        }
    }
}

impl Opening {
    /// An opening without deadlines and with the usual linger.
    #[must_use]
    pub fn new(
        id: impl Into<ConversationId>,
        initiator: Aid,
        participants: Vec<Aid>,
        rules: Rules,
        about: About,
    ) -> Self {
        Self {
            id: id.into(),
            initiator,
            participants,
            rules,
            about,
            reply_within: None,
            result_within: None,
            expires_in: None,
            linger: LINGER_DEFAULT,
        }
    }

    pub(super) fn check(&self) -> Result<(), OpeningError> {
        let count = self.participants.len();
        if count == 0 || count > PARTICIPANTS_MAX {
            return Err(OpeningError::Participants { count });
        }
        let mut names: Vec<String> = self
            .participants
            .iter()
            .map(|aid| aid.name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(OpeningError::Twice(twice[0].clone()));
        }
        if self.about.content.len() > CONTENT_BYTES_MAX {
            return Err(OpeningError::TooLarge {
                bytes: self.about.content.len(),
            });
        }
        let bad = |why| Err(OpeningError::Rules(why));
        match &self.rules {
            Rules::EnglishAuction(rules) if rules.step < 1 => bad("the step is at least 1"),
            Rules::EnglishAuction(rules) if rules.rounds_max < 1 => {
                bad("there is at least 1 round")
            }
            Rules::DutchAuction(rules) if rules.step < 1 => bad("the step is at least 1"),
            Rules::DutchAuction(rules) if rules.units < 1 => bad("there is at least 1 unit"),
            Rules::DutchAuction(rules) if rules.reserve > rules.start => {
                bad("the reserve is not above the start")
            }
            Rules::EnglishAuction(_) | Rules::DutchAuction(_) if self.reply_within.is_none() => {
                bad("the rounds of an auction have a length")
            }
            Rules::IteratedContractNet { rounds_max: 0 } => bad("there is at least 1 round"),
            Rules::TwoPhaseCommit { resend_after } if resend_after.is_zero() => {
                bad("a decision is not sent again at once")
            }
            Rules::Dialogue(_) if count != 1 => bad("a dialogue has one participant"),
            Rules::Dialogue(rules) if rules.turns_max < 1 => bad("a dialogue has at least 1 turn"),
            _ => Ok(()),
        }
    }
}

/// Why a conversation was not opened. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// Nobody, or too many.
    #[error("a conversation has 1 to {PARTICIPANTS_MAX} participants, not {count}")]
    Participants {
        /// How many were named.
        count: usize,
    },
    /// One participant is named twice.
    #[error("{0} is named twice")]
    Twice(String),
    /// The content is larger than a conversation keeps.
    #[error("the content has {bytes} bytes, and at most {CONTENT_BYTES_MAX} are taken")]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The rules contradict themselves.
    #[error("{0}")]
    Rules(&'static str),
}

/// What a participant's side sets for the conversations that others open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long a conversation lasts at most; then what is owed is answered with `failure`.
    pub expires_in: Option<Duration>,
    /// How long late messages are answered after the end.
    pub linger: Duration,
    /// Two-phase commit: after how long in doubt the coordinator is asked, and asked again.
    pub inquire_after: Duration,
    /// The bounds of a dialogue's context on this side.
    pub dialogue: DialogueRules,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            expires_in: None,
            linger: LINGER_DEFAULT,
            inquire_after: Duration::from_secs(1),
            dialogue: DialogueRules::default(),
        }
    }
}

/// Why a message opens no conversation. It goes to the out-of-sequence hook; [`unopened`] is what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// Its act opens no protocol, or not the one that it names.
    #[error("the act opens no conversation of that protocol")]
    UnexpectedAct,
    /// It has no conversation-id: nothing could be matched to it.
    #[error("there is no conversation-id")]
    NoConversationId,
    /// It has no sender: nobody could be answered.
    #[error("there is no sender")]
    NoSender,
    /// Its content is larger than a conversation keeps.
    #[error("the content is larger than {CONTENT_BYTES_MAX} bytes")]
    TooLarge,
}

/// The answer to a message that opens no conversation and belongs to none: `not-understood`, or nothing for a message that is
/// itself a `not-understood` or a `failure` (fipa.md a.2, R6). A participant in doubt that asks for the decision of a
/// transaction that nobody remembers is told that it was aborted: that is what presumed abort presumes.
#[must_use]
pub fn unopened(message: &AclMessage, why: NotOpened) -> Option<AclMessage> {
    if message.sender.is_none() && message.reply_to.is_empty() {
        return None;
    }
    match message.performative {
        Performative::NotUnderstood | Performative::Failure => None,
        // Results that come after everything was forgotten need no answer, and their sender expects none.
        Performative::Inform | Performative::Agree | Performative::Refuse => None,
        Performative::QueryRef if is_of(message, Protocol::TwoPhaseCommit) => {
            Some(message.reply(Performative::RejectProposal))
        }
        // A participant of a forgotten contract net must not go on believing in its proposal (fipa.md a.2, R5).
        Performative::Propose
            if !is_of(message, Protocol::Propose) && message.protocol.is_some() =>
        {
            let mut reply = message.reply(Performative::RejectProposal);
            reply.content = Some(b"(lateness)".to_vec());
            Some(reply)
        }
        // The performer of an accepted proposal that this side has forgotten is not there.
        Performative::AcceptProposal => {
            let mut reply = message.reply(Performative::Failure);
            reply.content = Some(b"(unknown-conversation)".to_vec());
            Some(reply)
        }
        Performative::RejectProposal | Performative::Confirm | Performative::Disconfirm => None,
        act => {
            let reason = match why {
                NotOpened::UnexpectedAct => "unexpected-act",
                NotOpened::NoConversationId => "missing-parameter conversation-id",
                NotOpened::NoSender => "missing-parameter sender",
                NotOpened::TooLarge => "content-too-large",
            };
            let mut reply = message.reply(Performative::NotUnderstood);
            reply.content = Some(format!("(({act}) ({reason}))").into_bytes());
            Some(reply)
        }
    }
}

fn is_of(message: &AclMessage, protocol: Protocol) -> bool {
    message
        .protocol
        .as_deref()
        .is_some_and(|token| token.eq_ignore_ascii_case(protocol.token()))
}
