//! The side that is asked (fipa.md d.1, d.2, d.3, d.10, d.11: rows P).

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, Notice, Outcome, Question};
use crate::interaction::frame::Step;
use crate::interaction::machine::Machine;
use crate::interaction::peer::{Heard, Peer};
use crate::interaction::protocol::Protocol;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// The agent has not said yet whether it will.
    Deciding,
    /// It has agreed; in request-when the condition is awaited.
    Working,
    /// The subscription runs.
    Active,
    Ended(End),
}

/// The participant's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Participant {
    protocol: Protocol,
    peer: Peer,
    state: State,
}

impl Participant {
    pub(in crate::interaction) fn open(
        protocol: Protocol,
        peer: Peer,
        call: &Arc<AclMessage>,
        step: &mut Step<'_>,
    ) -> Self {
        step.ask(Question::Decide(call.clone()));
        Self {
            protocol,
            peer,
            state: State::Deciding,
        }
    }

    /// The tables: what the decision says, and where it leads.
    fn next(&self, decision: &Decision) -> Option<(Performative, State)> {
        use Performative as Say;
        use State::{Active, Deciding, Ended, Working};
        let state = self.state;
        match (self.protocol, state, decision) {
            (_, Ended(_), _) => None,
            // Every participant may refuse and may not understand, as long as it has said nothing else.
            (_, Deciding, Decision::NotUnderstood(_)) => {
                Some((Say::NotUnderstood, Ended(End::NotUnderstood)))
            }
            (Protocol::Propose, Deciding, Decision::Accept(_)) => {
                Some((Say::AcceptProposal, Ended(End::Accepted)))
            }
            (Protocol::Propose, Deciding, Decision::Reject(_)) => {
                Some((Say::RejectProposal, Ended(End::Rejected)))
            }
            (Protocol::Propose, _, _) => None,
            (_, Deciding, Decision::Refuse(_)) => Some((Say::Refuse, Ended(End::Refused))),
            (Protocol::Request | Protocol::Query, Deciding, Decision::Agree(_)) => {
                Some((Say::Agree, Working))
            }
            (Protocol::Request | Protocol::Query, Deciding | Working, Decision::Done(_)) => {
                Some((Say::Inform, Ended(End::Done)))
            }
            (Protocol::Request | Protocol::Query, Deciding | Working, Decision::Failed(_)) => {
                Some((Say::Failure, Ended(End::Failed)))
            }
            (Protocol::RequestWhen, Deciding, Decision::Agree(_)) => Some((Say::Agree, Working)),
            (Protocol::RequestWhen, Working, Decision::Done(_)) => {
                Some((Say::Inform, Ended(End::Done)))
            }
            (Protocol::RequestWhen, Working, Decision::Failed(_)) => {
                Some((Say::Failure, Ended(End::Failed)))
            }
            (Protocol::Subscribe, Deciding, Decision::Agree(_)) => Some((Say::Agree, Active)),
            (Protocol::Subscribe, Deciding | Active, Decision::Notify(_)) => {
                Some((Say::Inform, Active))
            }
            (Protocol::Subscribe, Deciding | Active, Decision::Failed(_)) => {
                Some((Say::Failure, Ended(End::Failed)))
            }
            _ => None,
        }
    }
}

/// The content that a decision carries.
pub(in crate::interaction) fn content_of(decision: &Decision) -> &[u8] {
    match decision {
        Decision::Refuse(content)
        | Decision::NotUnderstood(content)
        | Decision::Agree(content)
        | Decision::Done(content)
        | Decision::Failed(content)
        | Decision::Accept(content)
        | Decision::Reject(content)
        | Decision::Notify(content)
        | Decision::Stopped(content)
        | Decision::GoOn(content)
        | Decision::Speak(content)
        | Decision::End(content)
        | Decision::Propose { content, .. }
        | Decision::Award { content, .. }
        | Decision::Iterate { content, .. } => content,
        Decision::Silent | Decision::Forward { .. } | Decision::Cancel => &[],
    }
}

impl Machine for Participant {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        match self.peer.route(step, message) {
            Heard::Act => {}
            Heard::Ends(end) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(end);
                return;
            }
            Heard::Misfit => return,
        }
        match (message.performative, self.protocol) {
            // Nothing is started by a proposal that was not answered yet.
            (Performative::Cancel, Protocol::Propose) => {
                self.peer.confirm_cancel(step, message);
                self.state = State::Ended(End::Cancelled);
            }
            (Performative::Cancel, _) => self.peer.ask_to_stop(step, message),
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
        match self.next(&decision) {
            Some((act, to)) => {
                self.peer.say(step, act, content_of(&decision));
                self.state = to;
            }
            None => step.notice(Notice::Misplaced(decision.as_str())),
        }
    }

    fn deadline(&mut self, _: &mut Step<'_>) {}

    fn down(&mut self, _: &mut Step<'_>, who: &Aid) {
        if who == self.peer.who() {
            self.state = State::Ended(End::Down);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        let act = match self.protocol {
            Protocol::Propose => Performative::RejectProposal,
            _ => Performative::Failure,
        };
        self.peer.say(step, act, b"(participant-ended)");
        self.state = State::Ended(end);
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended(end) => Some(self.peer.outcome(end)),
            State::Deciding | State::Working | State::Active => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match (self.state, self.protocol) {
            (State::Deciding, _) => "deciding",
            (State::Working, Protocol::RequestWhen) => "armed",
            (State::Working, _) => "working",
            (State::Active, _) => "active",
            (State::Ended(_), _) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        vec![(self.peer.who(), "initiator")]
    }
}
