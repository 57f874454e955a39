//! Who is spoken to.

use super::{Context, TURNS_PARAMETER, Voice};
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, Notice, Outcome, Question};
use crate::interaction::frame::Step;
use crate::interaction::machine::Machine;
use crate::interaction::opening::DialogueRules;
use crate::interaction::peer::{Heard, Peer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// The agent on this side has the turn.
    Speaking,
    /// The other has it.
    Listening,
    Ended(End),
}

/// The participant's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Participant {
    peer: Peer,
    state: State,
    /// Whether this side has said anything yet.
    has_spoken: bool,
    /// How many turns this side still takes part in, whatever the other says is left.
    turns_left: u32,
    context: Context,
}

impl Participant {
    pub(in crate::interaction) fn open(
        peer: Peer,
        call: &Arc<AclMessage>,
        rules: DialogueRules,
        step: &mut Step<'_>,
    ) -> Self {
        let mut machine = Self {
            peer,
            state: State::Listening,
            has_spoken: false,
            turns_left: rules.turns_max,
            context: Context::new(rules),
        };
        machine.listen(step, call);
        machine
    }

    /// The other has spoken: it is this side's turn.
    fn listen(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        self.peer.follow(message);
        let content = message.content.as_deref().unwrap_or_default();
        self.context.note(Voice::Initiator, content);
        let said = message
            .user_parameter(TURNS_PARAMETER)
            .and_then(|n| n.parse::<u32>().ok());
        self.turns_left = self
            .turns_left
            .min(said.unwrap_or(u32::MAX))
            .saturating_sub(1);
        if self.turns_left == 0 {
            // No turn is left for an answer.
            self.peer.say(step, Performative::Refuse, b"(turn-limit)");
            self.state = State::Ended(End::Done);
            return;
        }
        self.state = State::Speaking;
        step.ask(Question::Speak {
            heard: Some(message.clone()),
            turns_left: self.turns_left,
            context: self.context.clone(),
        });
    }
}

impl Machine for Participant {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        match self.peer.route(step, message) {
            Heard::Act => {}
            Heard::Ends(end) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(end);
                return;
            }
            Heard::Misfit => return,
        }
        match (self.state, message.performative) {
            (State::Listening, Say::QueryRef) if self.peer.answers_latest(step, message) => {
                self.listen(step, message);
            }
            (State::Listening | State::Speaking, Say::Inform) => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(if self.has_spoken {
                    End::Done
                } else {
                    End::Ended
                });
            }
            (State::Listening | State::Speaking | State::Ended(_), _) => {
                step.out_of_sequence(message);
            }
        }
    }

    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.notice(Notice::Late);
        // A turn that crossed this side's last word.
        if message.performative == Performative::QueryRef
            && message.sender.as_ref() == Some(self.peer.who())
        {
            step.answer(message, Performative::Refuse, b"(already-ended)");
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        use Performative as Say;
        match (self.state, decision) {
            (State::Speaking, Decision::Speak(content) | Decision::Done(content)) => {
                self.turns_left = self.turns_left.saturating_sub(1);
                self.context.note(Voice::Participant, &content);
                let left = vec![(TURNS_PARAMETER, self.turns_left.to_string())];
                self.peer.say_by(step, Say::Inform, &content, None, &left);
                self.has_spoken = true;
                self.state = State::Listening;
            }
            (State::Speaking, Decision::End(content) | Decision::Refuse(content)) => {
                self.peer.say(step, Say::Refuse, &content);
                self.state = State::Ended(if self.has_spoken {
                    End::Done
                } else {
                    End::Refused
                });
            }
            (State::Speaking, Decision::NotUnderstood(content)) => {
                self.peer.say(step, Say::NotUnderstood, &content);
                self.state = State::Ended(End::NotUnderstood);
            }
            (State::Speaking, Decision::Failed(content)) => {
                self.peer.say(step, Say::Failure, &content);
                self.state = State::Ended(End::Failed);
            }
            (State::Speaking | State::Listening | State::Ended(_), other) => {
                step.notice(Notice::Misplaced(other.as_str()));
            }
        }
    }

    fn deadline(&mut self, _: &mut Step<'_>) {}

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
        None
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended(end) => Some(self.peer.outcome(end)),
            State::Speaking | State::Listening => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Speaking => "speaking",
            State::Listening => "listening",
            State::Ended(_) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        vec![(self.peer.who(), "initiator")]
    }
}
