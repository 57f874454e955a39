//! Who votes and carries the decision out.

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, News, Notice, Outcome, Question};
use crate::interaction::frame::Step;
use crate::interaction::machine::Machine;
use crate::interaction::peer::{Heard, Peer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// The agent prepares; it may still say no.
    Preparing,
    /// It has said yes and is bound; when to ask for the decision.
    Prepared(Timestamp),
    Ended(End),
}

/// The participant's machine. The driver must have stored it before it sends the vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Participant {
    peer: Peer,
    state: State,
    inquire_after: Duration,
}

impl Participant {
    pub(in crate::interaction) fn open(
        peer: Peer,
        call: &Arc<AclMessage>,
        inquire_after: Duration,
        step: &mut Step<'_>,
    ) -> Self {
        step.ask(Question::Vote(call.clone()));
        Self {
            peer,
            state: State::Preparing,
            inquire_after: inquire_after.max(Duration::from_millis(1)),
        }
    }
}

impl Machine for Participant {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        match self.peer.route(step, message) {
            Heard::Act => {}
            // Who has voted yes does not decide alone, whatever became of its messages.
            Heard::Ends(_) if matches!(self.state, State::Prepared(_)) => {
                step.notice(Notice::OutOfSequence);
                return;
            }
            Heard::Ends(end) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(end);
                return;
            }
            Heard::Misfit => return,
        }
        match (self.state, message.performative) {
            (State::Prepared(_), Say::AcceptProposal) => {
                self.peer.follow(message);
                step.tell(News::Decided { is_commit: true });
                self.peer.say(step, Say::Inform, b"(committed)");
                self.state = State::Ended(End::Committed);
            }
            (State::Preparing | State::Prepared(_), Say::RejectProposal) => {
                self.peer.last = Some(message.clone());
                step.tell(News::Decided { is_commit: false });
                self.state = State::Ended(End::Aborted);
            }
            (State::Preparing | State::Prepared(_) | State::Ended(_), _) => {
                step.out_of_sequence(message);
            }
        }
    }

    /// The decision again: its acknowledgement was lost.
    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.notice(Notice::Late);
        let is_theirs = message.sender.as_ref() == Some(self.peer.who());
        if is_theirs
            && message.performative == Performative::AcceptProposal
            && self.state == State::Ended(End::Committed)
        {
            step.answer(message, Performative::Inform, b"(committed)");
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        match (self.state, decision) {
            (State::Preparing, Decision::Done(content)) => {
                self.peer.say(step, Performative::Confirm, &content);
                self.state = State::Prepared(step.now.saturating_add(self.inquire_after));
            }
            (State::Preparing, Decision::Refuse(content) | Decision::Failed(content)) => {
                self.peer.say(step, Performative::Disconfirm, &content);
                step.tell(News::Decided { is_commit: false });
                self.state = State::Ended(End::Aborted);
            }
            (State::Preparing | State::Prepared(_) | State::Ended(_), other) => {
                step.notice(Notice::Misplaced(other.as_str()));
            }
        }
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        if let State::Prepared(at) = self.state
            && at <= step.now
        {
            self.peer.say(step, Performative::QueryRef, b"(decision)");
            self.state = State::Prepared(step.now.saturating_add(self.inquire_after));
        }
    }

    // A coordinator that is down may come back; one that has forgotten says abort.
    fn down(&mut self, _: &mut Step<'_>, who: &Aid) {
        if who == self.peer.who() && self.state == State::Preparing {
            self.state = State::Ended(End::Aborted);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, _: End) {
        match self.state {
            State::Preparing => {
                self.peer
                    .say(step, Performative::Disconfirm, b"(participant-ended)");
                self.state = State::Ended(End::Aborted);
            }
            State::Prepared(_) => self.state = State::Ended(End::InDoubt),
            State::Ended(_) => {}
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self.state {
            State::Prepared(at) => Some(at),
            State::Preparing | State::Ended(_) => None,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended(end) => Some(self.peer.outcome(end)),
            State::Preparing | State::Prepared(_) => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Preparing => "preparing",
            State::Prepared(_) => "prepared",
            State::Ended(_) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        vec![(self.peer.who(), "coordinator")]
    }
}
