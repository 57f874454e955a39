//! How a reply is made, and how it is matched with what it answers (fipa.md a.2).

use super::{AclMessage, Aid, ConversationId, Performative, ReplyWith};

/// What two copies of one message have in common: the same act by the same sender in the same conversation with the same
/// reply-with (fipa.md a.2, R9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DuplicateKey {
    sender: Option<Aid>,
    conversation_id: Option<ConversationId>,
    reply_with: ReplyWith,
    performative: Performative,
}

impl AclMessage {
    /// The answer to this message with another act (R1): it goes to `reply_to`, or to the sender where that is empty;
    /// protocol, conversation, language, ontology and encoding are those of this message, `in_reply_to` is its `reply_with`,
    /// and nothing stands there if that was absent. `sender`, `reply_with` and `reply_by` are the answerer's own matter
    /// and left empty; `X-` parameters are not copied.
    #[must_use]
    pub fn reply(&self, performative: Performative) -> Self {
        Self {
            receiver: if self.reply_to.is_empty() {
                self.sender.iter().cloned().collect()
            } else {
                self.reply_to.clone().into()
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

    /// Whether this belongs to that conversation (R2).
    #[must_use]
    pub fn belongs_to(&self, conversation_id: &ConversationId) -> bool {
        self.conversation_id.as_ref() == Some(conversation_id)
    }

    /// Whether this answers that message (R2): it is of the same conversation, and its `in_reply_to` is the other's
    /// `reply_with`. What lacks either is nobody's answer: it is out of sequence. Who sent it plays no part, so that a
    /// failure which the AMS reports for a participant is that participant's (R7).
    #[must_use]
    pub fn answers(&self, act: &Self) -> bool {
        self.conversation_id == act.conversation_id
            && self.in_reply_to.is_some()
            && self.in_reply_to == act.reply_with
    }

    /// Whether this tells that a message could not be delivered: a failure whose sender is an AMS (R7).
    #[must_use]
    pub fn is_delivery_failure(&self) -> bool {
        self.performative == Performative::Failure && self.sender.as_ref().is_some_and(Aid::is_ams)
    }

    /// Whether it may be answered with `not-understood`. Not so what is one itself and what an AMS reports, or two agents
    /// could go on like that for ever (R6).
    #[must_use]
    pub fn may_be_not_understood(&self) -> bool {
        self.performative != Performative::NotUnderstood && !self.is_delivery_failure()
    }

    /// What a second copy of this message is known by; none where it has no `reply_with`, as then it cannot be told from
    /// another message (R9).
    #[must_use]
    pub fn duplicate_key(&self) -> Option<DuplicateKey> {
        Some(DuplicateKey {
            sender: self
                .sender
                .as_ref()
                .map(|sender| Aid::named(sender.name.as_str())),
            conversation_id: self.conversation_id.clone(),
            reply_with: self.reply_with.clone()?,
            performative: self.performative,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Timestamp;

    fn request() -> AclMessage {
        let mut request = AclMessage::new(Performative::Request);
        request.sender = Some(Aid::named("a@p"));
        request.receiver = vec![Aid::named("b@p")];
        request.conversation_id = Some("c1".into());
        request.reply_with = Some("r1".into());
        request.reply_by = Some(Timestamp::MAX);
        request.protocol = Some("fipa-request".into());
        request.language = Some("fipa-sl".into());
        request.ontology = Some("o".into());
        request.encoding = Some("e".into());
        request.user_parameters = thin_vec::thin_vec![("X-n".to_owned(), "1".to_owned())];
        request
    }

    #[test]
    fn a_reply_goes_to_reply_to_and_else_to_the_sender() {
        let mut ask = request();
        assert_eq!(
            ask.reply(Performative::Agree).receiver,
            vec![Aid::named("A@P")]
        );
        ask.reply_to = thin_vec::thin_vec![Aid::named("x@p"), Aid::named("y@p")];
        assert_eq!(
            ask.reply(Performative::Agree).receiver[..],
            ask.reply_to[..]
        );
        ask.reply_to.clear();
        ask.sender = None;
        assert!(ask.reply(Performative::Agree).receiver.is_empty());
    }

    #[test]
    fn a_reply_copies_what_r1_names_and_nothing_else() {
        let reply = request().reply(Performative::Agree);
        let mut expected = AclMessage::new(Performative::Agree);
        expected.receiver = vec![Aid::named("a@p")];
        expected.conversation_id = Some("c1".into());
        expected.in_reply_to = Some("r1".into());
        expected.protocol = Some("fipa-request".into());
        expected.language = Some("fipa-sl".into());
        expected.ontology = Some("o".into());
        expected.encoding = Some("e".into());
        assert!(reply.is_identical(&expected), "{reply:?}");
    }

    #[test]
    fn a_reply_has_no_in_reply_to_where_there_was_no_reply_with() {
        let mut ask = request();
        ask.reply_with = None;
        assert_eq!(ask.reply(Performative::Agree).in_reply_to, None);
    }

    #[test]
    fn only_the_same_conversation_and_in_reply_to_make_an_answer() {
        let ask = request();
        let reply = ask.reply(Performative::Agree);
        assert!(reply.answers(&ask));
        assert!(reply.belongs_to(&"c1".into()));

        let mut elsewhere = reply.clone();
        elsewhere.conversation_id = Some("c2".into());
        assert!(!elsewhere.answers(&ask) && !elsewhere.belongs_to(&"c1".into()));

        let mut bare = reply.clone();
        bare.in_reply_to = None;
        assert!(!bare.answers(&ask), "without in-reply-to: out of sequence");

        let mut unlabelled = ask.clone();
        unlabelled.reply_with = None;
        assert!(!bare.answers(&unlabelled), "absent is not equal to absent");
    }

    #[test]
    fn a_failure_of_the_ams_answers_for_the_participant() {
        let ask = request();
        let mut failure = ask.reply(Performative::Failure);
        failure.sender = Some(Aid::named("ams@p"));
        assert!(failure.answers(&ask) && failure.is_delivery_failure());
        assert!(!failure.may_be_not_understood());
        failure.sender = Some(Aid::named("b@p"));
        assert!(!failure.is_delivery_failure() && failure.may_be_not_understood());
        assert!(
            !ask.reply(Performative::NotUnderstood)
                .may_be_not_understood()
        );
    }

    #[test]
    fn a_copy_has_the_same_key_whatever_way_it_came() {
        let ask = request();
        let mut copy = ask.clone();
        copy.sender = Some({
            let mut aid = Aid::named("A@p");
            aid.addresses.push("http://h/acc".to_owned());
            aid
        });
        assert_eq!(ask.duplicate_key(), copy.duplicate_key());
        copy.reply_with = Some("r2".into());
        assert_ne!(ask.duplicate_key(), copy.duplicate_key());
        copy.reply_with = None;
        assert_eq!(copy.duplicate_key(), None);
    }
}
