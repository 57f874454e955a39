//! Opens either side alone; the other side is played by hand.

use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Aid, Performative, Timestamp};

pub(crate) const REPLY: Duration = Duration::from_millis(100);
pub(crate) const RESULT: Duration = Duration::from_millis(1_000);

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a small number")
}

pub(crate) fn aid(name: &str) -> Aid {
    Aid::named(format!("{name}@p"))
}

/// The initiator's side, and whatever it said last.
pub(crate) struct Side {
    pub(crate) c: Conversation,
    pub(crate) now: i64,
    pub(crate) actions: Vec<Action>,
    marks: u32,
}

pub(crate) fn opening(rules: Rules, participants: &[&str]) -> Opening {
    let participants = participants.iter().map(|name| aid(name)).collect();
    Opening {
        reply_within: Some(REPLY),
        result_within: Some(RESULT),
        ..Opening::new("c1", aid("i"), participants, rules, About::text("it"))
    }
}

/// The initiator `i@p` with these participants.
pub(crate) fn initiator(rules: Rules, participants: &[&str]) -> Side {
    start(&opening(rules, participants))
}

pub(crate) fn start(opening: &Opening) -> Side {
    let (c, actions) = Conversation::start(opening, at(0)).expect("a good opening");
    Side {
        c,
        now: 0,
        actions,
        marks: 0,
    }
}

/// The participant `b@p`, called by `i@p` with this act.
pub(crate) fn participant(protocol: Protocol, act: Performative) -> Side {
    participant_of(protocol, act, |_| {})
}

pub(crate) fn participant_of(
    protocol: Protocol,
    act: Performative,
    change: impl FnOnce(&mut AclMessage),
) -> Side {
    let mut call = act_of(act, Some("i1"), None);
    call.protocol = Some(protocol.token().into());
    change(&mut call);
    let (c, actions) =
        Conversation::open(&Arc::new(call), aid("b"), &Terms::default(), at(0)).expect("it opens");
    Side {
        c,
        now: 0,
        actions,
        marks: 1,
    }
}

/// An act of the initiator, as a participant sees it.
pub(crate) fn act_of(
    act: Performative,
    reply_with: Option<&str>,
    answers: Option<&str>,
) -> AclMessage {
    AclMessage {
        sender: Some(aid("i")),
        receiver: vec![aid("b")],
        conversation_id: Some("c1".into()),
        content: Some(b"it".to_vec()),
        reply_with: reply_with.map(Into::into),
        in_reply_to: answers.map(Into::into),
        ..AclMessage::new(act)
    }
}

impl Side {
    /// What was said in the last step.
    pub(crate) fn sent(&self) -> Vec<Arc<AclMessage>> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Send(message) => Some(message.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn sent_to(&self, name: &str) -> Arc<AclMessage> {
        self.sent()
            .into_iter()
            .rfind(|message| message.receiver == vec![aid(name)])
            .unwrap_or_else(|| panic!("nothing for {name} in {:?}", self.actions))
    }

    pub(crate) fn said(&self) -> Vec<Performative> {
        self.sent().iter().map(|m| m.performative).collect()
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Notice(notice) => Some(notice.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn asked(&self) -> Option<Question> {
        self.actions.iter().find_map(|action| match action {
            Action::Ask(question) => Some(question.clone()),
            _ => None,
        })
    }

    pub(crate) fn news(&self) -> Vec<News> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Tell(news) => Some(news.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn on(&mut self, event: Event) -> &mut Self {
        self.actions = self.c.on(event, at(self.now));
        self
    }

    pub(crate) fn hears(&mut self, message: AclMessage) -> &mut Self {
        self.on(Event::Received(Arc::new(message)))
    }

    /// The participant answers the act that it was sent.
    pub(crate) fn hears_from(
        &mut self,
        name: &str,
        answering: &AclMessage,
        act: Performative,
    ) -> &mut Self {
        self.marks += 1;
        let mut reply = answering.reply(act);
        reply.sender = Some(aid(name));
        reply.reply_with = Some(format!("p{}", self.marks).into());
        reply.content = Some(b"so".to_vec());
        self.hears(reply)
    }

    /// The initiator says something to this participant: a new act in answer to what was said last.
    pub(crate) fn told(&mut self, act: Performative) -> &mut Self {
        self.marks += 1;
        let said = self.sent().last().and_then(|m| m.reply_with.clone());
        let mut message = act_of(act, Some(&format!("i{}", self.marks)), said.as_deref());
        message.protocol = Some(self.c.protocol().token().into());
        self.hears(message)
    }

    pub(crate) fn decides(&mut self, decision: Decision) -> &mut Self {
        self.on(Event::Local(decision))
    }

    pub(crate) fn waits_until(&mut self, now: i64) -> &mut Self {
        self.now = now;
        self.on(Event::Deadline)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.c.outcome().map(|outcome| outcome.end)
    }

    pub(crate) fn end_of(&self, name: &str) -> Option<End> {
        self.c
            .outcome()?
            .parts
            .iter()
            .find(|part| part.participant == aid(name))
            .map(|part| part.end)
    }

    pub(crate) fn state_of(&self, name: &str) -> &'static str {
        self.c
            .parties()
            .into_iter()
            .find(|(who, _)| **who == aid(name))
            .expect("takes part")
            .1
    }
}

pub(crate) fn words(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(crate) fn propose() -> Decision {
    Decision::Propose {
        content: words("42"),
        price: None,
        holds_for: None,
    }
}

pub(crate) fn bid(price: i64) -> Decision {
    Decision::Propose {
        content: Vec::new(),
        price: Some(price),
        holds_for: None,
    }
}

pub(crate) fn award(accept: &[usize]) -> Decision {
    Decision::Award {
        accept: accept.to_vec(),
        reserve: Vec::new(),
        content: Vec::new(),
    }
}
