//! What goes into a machine and what comes out of it.

use crate::acl::{AclMessage, Aid, Timestamp};
use crate::exit::ExitReason;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What can happen to a conversation.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message of this conversation has come.
    Received(Arc<AclMessage>),
    /// The time that was last armed has come. One that comes too early, or that was armed before something else happened, has
    /// no effect.
    Deadline,
    /// A participant has ended: it will not say anything more.
    ParticipantDown {
        /// Who.
        participant: Aid,
        /// Why.
        reason: ExitReason,
    },
    /// The agent on this side has ended: its own questions have no answer any more.
    AgentDown(ExitReason),
    /// The agent on this side has answered a question, or says something of its own accord.
    Local(Decision),
}

/// What the driver is to do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this to each of its receivers.
    Send(Arc<AclMessage>),
    /// Ask the agent on this side. Its answer comes back as a [`Decision`].
    Ask(Question),
    /// Tell the agent on this side; no answer is expected.
    Tell(News),
    /// Come back with [`Event::Deadline`] at this time; replaces what was armed before. `None`: at no time.
    Arm(Option<Timestamp>),
    /// The conversation has ended. Comes once; late messages are still answered until [`Action::Forget`].
    Outcome(Outcome),
    /// Something came that had no place. For counters and logs.
    Notice(Notice),
    /// The linger is over: nothing will be answered any more, the record may be dropped.
    Forget,
}

/// What only the agent can know.
#[derive(Clone, Debug)]
pub enum Question {
    /// Request, query, request-when, subscribe, propose, proxy: will you? Answers: agree, refuse, not-understood, done, failed,
    /// accept, reject, notify or forward, as the protocol has it.
    Decide(Arc<AclMessage>),
    /// A call for proposals, or for bids at a price. Answers: propose, refuse, not-understood, failed, or silent in an auction.
    Bid {
        /// The call.
        call: Arc<AclMessage>,
        /// The price called, in an auction.
        price: Option<i64>,
    },
    /// Your proposal was accepted, or you won: do it. Answers: done or failed (and agree, at the end of an auction).
    Perform(Arc<AclMessage>),
    /// The bids are in. Answers: award, iterate or cancel.
    Evaluate(Vec<Proposal>),
    /// The initiator wants you to stop. Answers: stopped or go-on.
    Stop(Arc<AclMessage>),
    /// Can you commit? Answers: done (yes; then you must be able to commit whatever happens) or refuse (no).
    Vote(Arc<AclMessage>),
    /// It is your turn. Answers: speak or end.
    Speak {
        /// What was said last; `None` for the first turn.
        heard: Option<Arc<AclMessage>>,
        /// How many turns are left, this one included.
        turns_left: u32,
        /// What was said before, bounded and summarised.
        context: super::dialogue::Context,
    },
}

/// What the agent on this side is told.
#[derive(Clone, Debug)]
pub enum News {
    /// A notification of a subscription, an answer that a broker brought.
    Heard(Arc<AclMessage>),
    /// The coordinator has decided.
    Decided {
        /// Commit, or else abort.
        is_commit: bool,
    },
}

/// A bid that is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The bidder's place in the list of participants; what [`Decision::Award`] and [`Decision::Iterate`] name it by.
    pub bidder: usize,
    /// Who.
    pub participant: Aid,
    /// The propose message.
    pub message: Arc<AclMessage>,
}

/// What an agent says to its side of a conversation. One that the state does not allow changes nothing and comes back as
/// [`Notice::Misplaced`].
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// I will not; nothing was started.
    Refuse(Vec<u8>),
    /// I do not understand it, for this reason.
    NotUnderstood(Vec<u8>),
    /// I will.
    Agree(Vec<u8>),
    /// I have done it, or it is so: the result. The yes of a vote.
    Done(Vec<u8>),
    /// I tried and failed, for this reason.
    Failed(Vec<u8>),
    /// I will, under these conditions.
    Propose {
        /// The conditions.
        content: Vec<u8>,
        /// The price, in an auction.
        price: Option<i64>,
        /// How long the proposal holds; then it counts as rejected (fipa.md a.2, R4).
        holds_for: Option<Duration>,
    },
    /// No bid in this round of an auction.
    Silent,
    /// I accept your proposal (fipa-propose).
    Accept(Vec<u8>),
    /// I do not (fipa-propose).
    Reject(Vec<u8>),
    /// The subscribed value, now or changed.
    Notify(Vec<u8>),
    /// The answer to [`Question::Stop`]: I have stopped.
    Stopped(Vec<u8>),
    /// The answer to [`Question::Stop`]: I cannot stop.
    GoOn(Vec<u8>),
    /// Broker and recruiter: send this act to these agents.
    Forward {
        /// Those that match the description; none: no match.
        targets: Vec<Aid>,
        /// The embedded act. Sender, receiver, conversation-id and reply-with are set by the machine.
        message: Box<AclMessage>,
    },
    /// Contract net: accept these, keep those in reserve (best first), reject the others.
    Award {
        /// Whom to accept, by [`Proposal::bidder`].
        accept: Vec<usize>,
        /// Who takes the place of an accepted one that fails; rejected once nobody can fail any more.
        reserve: Vec<usize>,
        /// The content of the acceptances; the proposal's own when empty.
        content: Vec<u8>,
    },
    /// Iterated contract net: call these bidders again, reject the others.
    Iterate {
        /// Whom to call, by [`Proposal::bidder`].
        to: Vec<usize>,
        /// The revised call.
        content: Vec<u8>,
    },
    /// The initiator no longer wants it.
    Cancel,
    /// What I say in my turn.
    Speak(Vec<u8>),
    /// The last words; ends the dialogue.
    End(Vec<u8>),
}

impl Decision {
    /// What was decided, as one stable lowercase word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refuse(_) => "refuse",
            Self::NotUnderstood(_) => "not-understood",
            Self::Agree(_) => "agree",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Propose { .. } => "propose",
            Self::Silent => "silent",
            Self::Accept(_) => "accept",
            Self::Reject(_) => "reject",
            Self::Notify(_) => "notify",
            Self::Stopped(_) => "stopped",
            Self::GoOn(_) => "go-on",
            Self::Forward { .. } => "forward",
            Self::Award { .. } => "award",
            Self::Iterate { .. } => "iterate",
            Self::Cancel => "cancel",
            Self::Speak(_) => "speak",
            Self::End(_) => "end",
        }
    }
}

/// Something that had no place and changed no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The act has no place in this state, or answers nothing that was asked. It was answered with `not-understood`
    /// (`unexpected-act`), unless it was itself a `not-understood` or a `failure`.
    OutOfSequence,
    /// From somebody who takes no part in this conversation. Answered as out of sequence.
    Stranger,
    /// The same message again.
    Duplicate,
    /// After the deadline, or after the end. A late proposal and a late acceptance are answered.
    Late,
    /// Of another conversation.
    OtherConversation,
    /// Its content is larger than a conversation keeps; answered with `not-understood`.
    TooLarge,
    /// The agent's decision has no place in this state.
    Misplaced(&'static str),
}

impl Notice {
    /// The notice as one stable lowercase word: a counter's name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OutOfSequence => "out-of-sequence",
            Self::Stranger => "stranger",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::OtherConversation => "other-conversation",
            Self::TooLarge => "too-large",
            Self::Misplaced(_) => "misplaced",
        }
    }
}

macro_rules! ends {
    ($($variant:ident $word:literal $doc:literal;)*) => {
        /// How one participant's part in a conversation ended, as one side knows it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum End {
            $(#[doc = $doc] $variant,)*
        }

        impl End {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The end as one stable lowercase word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

ends! {
    Done "done" "It was done, and said so.";
    Failed "failed" "It was tried and failed, and said so.";
    Refused "refused" "It was refused; nothing was started.";
    NotUnderstood "not-understood" "One side did not understand the other.";
    Accepted "accepted" "The proposal of fipa-propose was accepted.";
    Rejected "rejected" "The proposal was rejected, or there was no sale.";
    Lapsed "lapsed" "The participant's own deadline for an answer to its proposal passed; counts as rejected.";
    Cancelled "cancelled" "The initiator wanted to stop, and the participant has stopped.";
    Committed "committed" "The transaction was committed.";
    Aborted "aborted" "The transaction was aborted.";
    Ended "ended" "It came to its ordinary end with nothing to do: no bid, no match, an auction lost, a dialogue over.";
    TimedOut "timed-out" "The other side said nothing in time. What it did is not known.";
    Down "down" "The other side crashed or ended. What it did is not known.";
    Abandoned "abandoned" "The agent on this side crashed, ended or let the conversation expire; the other side was told.";
    Undelivered "undelivered" "The answer could not be delivered: the other side does not know.";
    InDoubt "in-doubt" "Voted yes and never learnt the decision, or decided to commit and never learnt that it was carried out.";
}

impl End {
    /// Whether this side knows that the other side knows the same. Where it does not, the ends of the two may differ.
    #[must_use]
    pub fn is_certain(self) -> bool {
        match self {
            Self::Done
            | Self::Failed
            | Self::Refused
            | Self::NotUnderstood
            | Self::Accepted
            | Self::Rejected
            | Self::Cancelled
            | Self::Committed
            | Self::Aborted
            | Self::Ended
            | Self::Lapsed => true,
            Self::TimedOut | Self::Down | Self::Abandoned | Self::Undelivered | Self::InDoubt => {
                false
            }
        }
    }

    /// Whether what was wanted has come about.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::Accepted | Self::Committed)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The whole: the best of its parts on the initiator's side.
    pub end: End,
    /// Each participant's part; on a participant's side the initiator's name and its own end.
    pub parts: Vec<Part>,
}

/// One participant's part in an outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Who.
    pub participant: Aid,
    /// How it ended.
    pub end: End,
    /// The message that ended it, or the last one heard.
    pub message: Option<Arc<AclMessage>>,
}
