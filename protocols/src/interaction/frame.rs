//! What every machine has: who speaks, in which conversation, and the sequence of its acts.

use super::event::{Action, News, Notice, Question};
use super::opening::About;
use super::protocol::{Protocol, Role};
use crate::acl::{AclMessage, Aid, ConversationId, Performative, ReplyWith, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use thin_vec::ThinVec;

/// How many of the latest messages are remembered to know a duplicate. An at-least-once transport repeats a message soon or
/// never; an older repetition is out of sequence instead.
const SEEN_MAX: usize = 64;

/// Names one act of this side: what it asks to be answered with, as a number.
pub(super) type Mark = u32;

/// What every machine has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub(super) id: ConversationId,
    pub(super) protocol: Protocol,
    pub(super) role: Role,
    pub(super) me: Aid,
    language: Option<SmolStr>,
    encoding: Option<SmolStr>,
    ontology: Option<SmolStr>,
    /// The mark of the latest act of this side; 0 before the first.
    marks: Mark,
    /// Hashes of what was received. Collisions make a message a duplicate: 64 bits, within one conversation.
    seen: VecDeque<u64>,
    seen_max: u16,
}

impl Frame {
    pub(super) fn initiator(
        id: ConversationId,
        protocol: Protocol,
        me: Aid,
        about: &About,
    ) -> Self {
        Self {
            id,
            protocol,
            role: Role::Initiator,
            me,
            language: about.language.clone(),
            encoding: about.encoding.clone(),
            ontology: about.ontology.clone(),
            marks: 0,
            seen: VecDeque::new(),
            seen_max: SEEN_MAX as u16,
        }
    }

    pub(super) fn participant(
        id: ConversationId,
        protocol: Protocol,
        me: Aid,
        call: &AclMessage,
    ) -> Self {
        Self {
            id,
            protocol,
            role: Role::Participant,
            me,
            language: call.language.clone(),
            encoding: call.encoding.clone(),
            ontology: call.ontology.clone(),
            marks: 0,
            seen: VecDeque::new(),
            seen_max: SEEN_MAX as u16,
        }
    }

    /// Duplicates are told apart for so many participants.
    pub(super) fn remember_for(&mut self, participants: usize) {
        // A participant says no more than a handful of things in a row.
        self.seen_max =
            u16::try_from(participants.saturating_mul(4).max(SEEN_MAX)).unwrap_or(u16::MAX);
    }

    fn text_of(&self, mark: Mark) -> ReplyWith {
        let prefix = match self.role {
            Role::Initiator => b'i',
            Role::Participant => b'p',
        };
        numbered(prefix, mark).into()
    }

    /// Which act of this side a message answers.
    pub(super) fn answered_by(&self, message: &AclMessage) -> Answers {
        let Some(text) = message.in_reply_to.as_deref() else {
            return Answers::Nothing;
        };
        let prefix = match self.role {
            Role::Initiator => 'i',
            Role::Participant => 'p',
        };
        match text.strip_prefix(prefix).and_then(|n| n.parse().ok()) {
            Some(mark) if mark > 0 && mark <= self.marks => Answers::Mark(mark),
            _ => Answers::Unknown,
        }
    }

    /// Notes a message; true when it was noted before (fipa.md a.2, R9).
    pub(super) fn is_duplicate(&mut self, message: &AclMessage) -> bool {
        let Some(reply_with) = message.reply_with.as_deref() else {
            return false;
        };
        let mut hasher = Fnv::default();
        if let Some(sender) = &message.sender {
            for byte in sender.name.bytes() {
                hasher.write_u8(byte.to_ascii_lowercase());
            }
        }
        message.performative.hash(&mut hasher);
        reply_with.hash(&mut hasher);
        // Sub-conversations of a broker have ids of their own.
        message.conversation_id.hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.contains(&hash) {
            return true;
        }
        if self.seen.len() >= usize::from(self.seen_max) {
            self.seen.pop_front();
        }
        self.seen.push_back(hash);
        false
    }
}

/// A letter and a number. Every act has one, and `format!` takes ten times as long.
fn numbered(prefix: u8, mut number: Mark) -> SmolStr {
    // A u32 has ten digits at most.
    let mut text = [0; 11];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= 1;
    text[at] = prefix;
    SmolStr::new(std::str::from_utf8(&text[at..]).unwrap_or_default())
}

/// Which act of this side a message answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// It does not say.
    Nothing,
    /// This one.
    Mark(Mark),
    /// One that this side has never said.
    Unknown,
}

/// FNV-1a: the same on every machine and in every build, as records are kept.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// One step of a machine: the time, and where its actions go.
pub(super) struct Step<'a> {
    pub(super) frame: &'a mut Frame,
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Vec<Action>,
}

/// An act that is about to be said.
pub(super) struct Act<'a> {
    pub(super) performative: Performative,
    pub(super) content: &'a [u8],
    pub(super) in_reply_to: Option<ReplyWith>,
    pub(super) reply_by: Option<Timestamp>,
    pub(super) user_parameters: ThinVec<(String, String)>,
}

impl<'a> Act<'a> {
    pub(super) fn new(performative: Performative, content: &'a [u8]) -> Self {
        Self {
            performative,
            content,
            in_reply_to: None,
            reply_by: None,
            user_parameters: ThinVec::new(),
        }
    }

    pub(super) fn answering(mut self, in_reply_to: Option<ReplyWith>) -> Self {
        self.in_reply_to = in_reply_to;
        self
    }

    pub(super) fn by(mut self, reply_by: Option<Timestamp>) -> Self {
        self.reply_by = reply_by;
        self
    }

    pub(super) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.user_parameters
            .push((key.to_owned(), value.to_string()));
        self
    }
}

impl Step<'_> {
    /// Says `act` to `to`; the mark is what an answer will name.
    pub(super) fn say(&mut self, to: &[Aid], act: Act<'_>) -> Mark {
        self.frame.marks += 1;
        let mark = self.frame.marks;
        let message = AclMessage {
            sender: Some(self.frame.me.clone()),
            receiver: to.to_vec(),
            content: (!act.content.is_empty()).then(|| act.content.to_vec()),
            language: self.frame.language.clone(),
            encoding: self.frame.encoding.clone(),
            ontology: self.frame.ontology.clone(),
            protocol: Some(SmolStr::new_static(self.frame.protocol.token())),
            conversation_id: Some(self.frame.id.clone()),
            reply_with: Some(self.frame.text_of(mark)),
            in_reply_to: act.in_reply_to,
            reply_by: act.reply_by,
            user_parameters: act.user_parameters,
            ..AclMessage::new(act.performative)
        };
        self.out.push(Action::Send(Arc::new(message)));
        mark
    }

    /// Says something that was made elsewhere; sender and reply-with are set.
    pub(super) fn pass_on(&mut self, mut message: AclMessage) -> Mark {
        self.frame.marks += 1;
        let mark = self.frame.marks;
        message.sender = Some(self.frame.me.clone());
        message.reply_with = Some(self.frame.text_of(mark));
        self.out.push(Action::Send(Arc::new(message)));
        mark
    }

    /// Answers one message, whatever state the machine is in.
    pub(super) fn answer(&mut self, to: &AclMessage, performative: Performative, content: &[u8]) {
        let mut reply = to.reply(performative);
        if reply.receiver.is_empty() {
            return;
        }
        reply.content = (!content.is_empty()).then(|| content.to_vec());
        self.pass_on(reply);
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.out.push(Action::Ask(question));
    }

    pub(super) fn tell(&mut self, news: News) {
        self.out.push(Action::Tell(news));
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.out.push(Action::Notice(notice));
    }

    /// The act has no place here: the state stays, and its sender is told (fipa.md d, out of sequence).
    pub(super) fn out_of_sequence(&mut self, message: &AclMessage) {
        self.misfit(message, Notice::OutOfSequence);
    }

    pub(super) fn misfit(&mut self, message: &AclMessage, notice: Notice) {
        self.notice(notice);
        match message.performative {
            Performative::NotUnderstood | Performative::Failure => {}
            act => {
                let content = format!("(({act}) (unexpected-act {act}))");
                self.answer(message, Performative::NotUnderstood, content.as_bytes());
            }
        }
    }
}

/// The price that a call or a bid of an auction carries.
pub const PRICE_PARAMETER: &str = "X-Price";

pub(super) fn price_of(message: &AclMessage) -> Option<i64> {
    message.user_parameter(PRICE_PARAMETER)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_numbered_in_decimal() {
        for number in [1, 9, 10, 1_234_567_890, Mark::MAX] {
            assert_eq!(numbered(b'i', number), format!("i{number}"));
        }
        assert_eq!(numbered(b'p', 0), "p0");
    }
}
