//! The broker and the recruiter: who finds those that can, and has them asked (fipa.md d.8, d.9: rows broker).
//!
//! Each target gets the embedded act in a conversation of its own, `ID/N`. A broker brings the answers, each with the name of
//! its target in `X-Target`, and says `inform` when all have ended; a recruiter has the targets answer the initiator and says
//! at once how many there are (`X-Targets`).

use super::achieve::{TARGET_PARAMETER, TARGETS_PARAMETER, content_of};
use super::event::{Decision, End, Notice, Outcome, Question};
use super::frame::Step;
use super::machine::Machine;
use super::opening::PARTICIPANTS_MAX;
use super::peer::{Heard, Peer};
use super::protocol::Protocol;
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thin_vec::ThinVec;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Will the agent broker this at all?
    Deciding,
    /// It looks for targets.
    Searching,
    /// The targets were asked; their answers are brought.
    Relaying,
    Ended(End),
}

/// One target of a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Target {
    who: Aid,
    /// Whether it may still say something.
    is_open: bool,
}

/// The broker's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Broker {
    protocol: Protocol,
    peer: Peer,
    state: State,
    targets: Vec<Target>,
    /// The reply-to of the recruited: the initiator's, or whom it has named.
    answer_to: ThinVec<Aid>,
}

impl Broker {
    pub(super) fn open(
        protocol: Protocol,
        peer: Peer,
        call: &Arc<AclMessage>,
        step: &mut Step<'_>,
    ) -> Self {
        step.ask(Question::Decide(call.clone()));
        let answer_to = if call.reply_to.is_empty() {
            call.sender.iter().cloned().collect()
        } else {
            call.reply_to.clone()
        };
        Self {
            protocol,
            peer,
            state: State::Deciding,
            targets: Vec::new(),
            answer_to,
        }
    }

    fn forward(&mut self, step: &mut Step<'_>, mut targets: Vec<Aid>, message: &AclMessage) {
        if self.state == State::Deciding {
            self.peer.say(step, Performative::Agree, b"");
        }
        targets.truncate(PARTICIPANTS_MAX);
        if targets.is_empty() {
            self.peer.say(step, Performative::Failure, b"(no-match)");
            self.state = State::Ended(End::Failed);
            return;
        }
        let id = step.frame.id.clone();
        for (n, target) in targets.iter().enumerate() {
            let mut act = message.clone();
            act.receiver = vec![target.clone()];
            act.conversation_id = Some(format!("{id}/{n}").into());
            act.in_reply_to = None;
            act.reply_to = match self.protocol {
                Protocol::Recruiting => self.answer_to.clone(),
                _ => ThinVec::new(),
            };
            step.pass_on(act);
        }
        if self.protocol == Protocol::Recruiting {
            let count = targets.len().to_string();
            self.peer.say_by(
                step,
                Performative::Inform,
                b"(proxy-done)",
                None,
                &[(TARGETS_PARAMETER, count)],
            );
            self.state = State::Ended(End::Done);
            return;
        }
        self.targets = targets
            .into_iter()
            .map(|who| Target { who, is_open: true })
            .collect();
        self.state = State::Relaying;
    }

    /// An answer of a target: brought to the initiator in the conversation that it knows.
    fn relay(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        let prefix = step.frame.id.len() + 1;
        let index = message
            .conversation_id
            .as_deref()
            .and_then(|id| id.get(prefix..))
            .and_then(|n| n.parse::<usize>().ok());
        let Some(target) = index.and_then(|n| self.targets.get_mut(n)) else {
            step.misfit(message, Notice::Stranger);
            return;
        };
        if message.sender.as_ref() != Some(&target.who) && !message.is_delivery_failure() {
            step.misfit(message, Notice::Stranger);
            return;
        }
        if !target.is_open {
            step.notice(Notice::Late);
            return;
        }
        target.is_open = message.performative == Performative::Agree;
        let name = target.who.name.clone();
        self.peer.say_by(
            step,
            message.performative,
            message.content.as_deref().unwrap_or_default(),
            None,
            &[(TARGET_PARAMETER, name.into())],
        );
        self.settle(step);
    }

    fn settle(&mut self, step: &mut Step<'_>) {
        if self.state == State::Relaying && self.targets.iter().all(|t| !t.is_open) {
            self.peer.say(step, Performative::Inform, b"(proxy-done)");
            self.state = State::Ended(End::Done);
        }
    }
}

impl Machine for Broker {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        if message.conversation_id.as_deref() != Some(step.frame.id.as_str()) {
            self.relay(step, message);
            return;
        }
        match self.peer.route(step, message) {
            Heard::Act => {}
            Heard::Ends(end) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(end);
                return;
            }
            Heard::Misfit => return,
        }
        match message.performative {
            Performative::Cancel => self.peer.ask_to_stop(step, message),
            _ => step.out_of_sequence(message),
        }
    }

    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        let end = self.outcome().map(|outcome| outcome.end);
        self.peer.late(step, message, end);
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        let decision = match self.peer.answer_cancel(step, decision) {
            Ok(Some(end)) => {
                self.state = State::Ended(end);
                return;
            }
            Ok(None) => return,
            Err(decision) => decision,
        };
        match (self.state, decision) {
            (State::Deciding | State::Searching, Decision::Forward { targets, message }) => {
                self.forward(step, targets, &message)
            }
            (State::Deciding, Decision::Agree(content)) => {
                self.peer.say(step, Performative::Agree, &content);
                self.state = State::Searching;
            }
            (State::Deciding, decision @ Decision::Refuse(_)) => {
                self.peer
                    .say(step, Performative::Refuse, content_of(&decision));
                self.state = State::Ended(End::Refused);
            }
            (State::Deciding, decision @ Decision::NotUnderstood(_)) => {
                self.peer
                    .say(step, Performative::NotUnderstood, content_of(&decision));
                self.state = State::Ended(End::NotUnderstood);
            }
            (
                State::Deciding | State::Searching | State::Relaying,
                decision @ Decision::Failed(_),
            ) => {
                self.peer
                    .say(step, Performative::Failure, content_of(&decision));
                self.state = State::Ended(End::Failed);
            }
            (State::Deciding | State::Searching | State::Relaying | State::Ended(_), other) => {
                step.notice(Notice::Misplaced(other.as_str()))
            }
        }
    }

    fn deadline(&mut self, _: &mut Step<'_>) {}

    fn down(&mut self, step: &mut Step<'_>, who: &Aid) {
        if who == self.peer.who() {
            self.state = State::Ended(End::Down);
            return;
        }
        let mut ended = Vec::new();
        for target in &mut self.targets {
            if target.is_open && target.who == *who {
                target.is_open = false;
                ended.push(target.who.name.clone());
            }
        }
        for name in ended {
            self.peer.say_by(
                step,
                Performative::Failure,
                b"(target-ended)",
                None,
                &[(TARGET_PARAMETER, name.into())],
            );
        }
        self.settle(step);
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        self.peer
            .say(step, Performative::Failure, b"(broker-ended)");
        self.state = State::Ended(end);
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended(end) => Some(self.peer.outcome(end)),
            State::Deciding | State::Searching | State::Relaying => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Deciding => "deciding",
            State::Searching => "searching",
            State::Relaying => "relaying",
            State::Ended(_) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        let mut parties = vec![(self.peer.who(), "initiator")];
        parties.extend(
            self.targets
                .iter()
                .map(|t| (&t.who, if t.is_open { "asked" } else { "answered" })),
        );
        parties
    }
}
