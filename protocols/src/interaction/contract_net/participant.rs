//! The side that bids (fipa.md d.4, d.5: rows P).

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::achieve::content_of;
use crate::interaction::event::{Decision, End, Notice, Outcome, Question};
use crate::interaction::frame::Step;
use crate::interaction::machine::Machine;
use crate::interaction::peer::{Heard, Peer};
use crate::interaction::protocol::Protocol;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// The agent weighs the call.
    Bidding,
    /// It has bid and is bound, until the time it set itself.
    Proposed(Option<Timestamp>),
    /// Accepted: it works.
    Performing,
    Ended(End),
}

/// The participant's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Participant {
    is_iterated: bool,
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
        step.ask(Question::Bid {
            call: call.clone(),
            price: None,
        });
        Self {
            is_iterated: protocol == Protocol::IteratedContractNet,
            peer,
            state: State::Bidding,
        }
    }

    fn hear(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        match (self.state, message.performative) {
            (State::Proposed(_), Say::AcceptProposal)
                if self.peer.answers_latest(step, message) =>
            {
                self.peer.follow(message);
                self.state = State::Performing;
                step.ask(Question::Perform(message.clone()));
            }
            (State::Proposed(_), Say::RejectProposal)
                if self.peer.answers_latest(step, message) =>
            {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(End::Rejected);
            }
            (State::Proposed(_), Say::Cfp)
                if self.is_iterated && self.peer.answers_latest(step, message) =>
            {
                self.peer.follow(message);
                self.state = State::Bidding;
                step.ask(Question::Bid {
                    call: message.clone(),
                    price: None,
                });
            }
            // Nothing was started: it can stop at once.
            (State::Bidding | State::Proposed(_), Say::Cancel) => {
                self.peer.confirm_cancel(step, message);
                self.state = State::Ended(End::Cancelled);
            }
            (State::Performing, Say::Cancel) => self.peer.ask_to_stop(step, message),
            (State::Bidding | State::Proposed(_) | State::Performing | State::Ended(_), _) => {
                step.out_of_sequence(message)
            }
        }
    }
}

impl Machine for Participant {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        match self.peer.route(step, message) {
            Heard::Act => self.hear(step, message),
            Heard::Ends(end) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(end);
            }
            Heard::Misfit => {}
        }
    }

    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        let end = self.outcome().map(|outcome| outcome.end);
        self.peer.late(step, message, end);
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        use Performative as Say;
        let decision = match self.peer.answer_cancel(step, decision) {
            Ok(Some(end)) => {
                self.state = State::Ended(end);
                return;
            }
            Ok(None) => return,
            Err(decision) => decision,
        };
        let (act, to) = match (self.state, &decision) {
            (State::Bidding, Decision::Refuse(_)) => (Say::Refuse, State::Ended(End::Refused)),
            (State::Bidding, Decision::NotUnderstood(_)) => {
                (Say::NotUnderstood, State::Ended(End::NotUnderstood))
            }
            (State::Bidding, Decision::Propose { holds_for, .. }) => {
                let until = holds_for.map(|time| step.now.saturating_add(time));
                (Say::Propose, State::Proposed(until))
            }
            (State::Performing, Decision::Done(_)) => (Say::Inform, State::Ended(End::Done)),
            (State::Bidding | State::Performing, Decision::Failed(_)) => {
                (Say::Failure, State::Ended(End::Failed))
            }
            (State::Bidding | State::Proposed(_) | State::Performing | State::Ended(_), other) => {
                step.notice(Notice::Misplaced(other.as_str()));
                return;
            }
        };
        let reply_by = match to {
            State::Proposed(until) => until,
            State::Bidding | State::Performing | State::Ended(_) => None,
        };
        self.peer
            .say_by(step, act, content_of(&decision), reply_by, &[]);
        self.state = to;
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        if let State::Proposed(Some(until)) = self.state
            && until <= step.now
        {
            self.state = State::Ended(End::Lapsed);
        }
    }

    fn down(&mut self, _: &mut Step<'_>, who: &Aid) {
        if who == self.peer.who() {
            self.state = State::Ended(End::Down);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        self.peer
            .say(step, Performative::Failure, b"(participant-ended)");
        self.state = State::Ended(end);
    }

    fn due(&self) -> Option<Timestamp> {
        match self.state {
            State::Proposed(until) => until,
            State::Bidding | State::Performing | State::Ended(_) => None,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended(end) => Some(self.peer.outcome(end)),
            State::Bidding | State::Proposed(_) | State::Performing => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Bidding => "bidding",
            State::Proposed(_) => "proposed",
            State::Performing => "performing",
            State::Ended(_) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        vec![(self.peer.who(), "initiator")]
    }
}
