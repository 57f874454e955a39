//! Who opens the dialogue and speaks first.

use super::{Context, TURNS_PARAMETER, Voice};
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, Notice, Outcome, Question};
use crate::interaction::frame::{Act, Step};
use crate::interaction::machine::Machine;
use crate::interaction::opening::{DialogueRules, Opening, Rules};
use crate::interaction::session::{self, Routed, Session, SessionState, echo};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// The other has the turn.
    Listening,
    /// The agent on this side has it.
    Speaking,
    Ended(End),
}

impl SessionState for State {
    fn ended(end: End) -> Self {
        Self::Ended(end)
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::Listening | Self::Speaking => None,
        }
    }
}

/// The initiator's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Initiator {
    /// One; a list for the sake of what sessions share.
    sessions: Vec<Session<State>>,
    turns_left: u32,
    reply_within: Option<Duration>,
    context: Context,
}

impl Initiator {
    pub(in crate::interaction) fn start(opening: &Opening, step: &mut Step<'_>) -> Self {
        let rules = match opening.rules {
            Rules::Dialogue(rules) => rules,
            _ => DialogueRules::default(),
        };
        let sessions = opening
            .participants
            .iter()
            .map(|who| Session::new(who.clone(), State::Speaking))
            .collect();
        let mut machine = Self {
            sessions,
            turns_left: rules.turns_max,
            reply_within: opening.reply_within,
            context: Context::new(rules),
        };
        let parameters = opening.about.user_parameters.clone();
        machine.speak(step, &opening.about.content, parameters.into());
        machine
    }

    fn speak(&mut self, step: &mut Step<'_>, content: &[u8], parameters: Vec<(String, String)>) {
        let until = self.reply_within.map(|time| step.now.saturating_add(time));
        for session in self.sessions.iter_mut().filter(|s| s.is_open()) {
            let mut act = Act::new(Performative::QueryRef, content)
                .answering(echo(session.last.as_ref()))
                .by(until)
                .with(TURNS_PARAMETER, self.turns_left);
            act.user_parameters.extend(parameters.iter().cloned());
            session.awaits = step.say(std::slice::from_ref(&session.who), act);
            session.state = State::Listening;
            session.until = until;
        }
        self.context.note(Voice::Initiator, content);
        self.turns_left = self.turns_left.saturating_sub(1);
    }

    /// How it is over when nobody was cut short: with nothing heard, nothing was done.
    fn over(&self) -> End {
        if self.sessions.iter().any(|s| s.last.is_some()) {
            End::Done
        } else {
            End::Ended
        }
    }

    /// The last words.
    fn close(&mut self, step: &mut Step<'_>, content: &[u8], end: End) {
        for session in self.sessions.iter_mut().filter(|s| s.is_open()) {
            let act = Act::new(Performative::Inform, content)
                .answering(echo(session.last.as_ref()))
                .with(TURNS_PARAMETER, 0);
            step.say(std::slice::from_ref(&session.who), act);
            session.finish(end);
        }
    }
}

impl Machine for Initiator {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        let Routed::Act(index) = session::route(&mut self.sessions, step, message) else {
            return;
        };
        let session = &mut self.sessions[index];
        match (session.state, message.performative) {
            (State::Listening, Say::Inform) => {
                session.last = Some(message.clone());
                session.state = State::Speaking;
                session.until = None;
                self.turns_left = self.turns_left.saturating_sub(1);
                let content = message.content.as_deref().unwrap_or_default();
                self.context.note(Voice::Participant, content);
                if self.turns_left == 0 {
                    self.close(step, b"(turn-limit)", End::Done);
                } else {
                    step.ask(Question::Speak {
                        heard: Some(message.clone()),
                        turns_left: self.turns_left,
                        context: self.context.clone(),
                    });
                }
            }
            // Before anything was said it is a refusal, afterwards it is a last word.
            (State::Listening, Say::Refuse) => {
                let is_first = session.last.is_none();
                session.last = Some(message.clone());
                session.finish(if is_first { End::Refused } else { End::Done });
            }
            (State::Listening | State::Speaking, Say::Failure) => {
                session.last = Some(message.clone());
                session.finish(End::Failed);
            }
            (State::Ended(_), _) => step.notice(Notice::Late),
            (State::Listening | State::Speaking, _) => step.out_of_sequence(message),
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        let is_speaking = self.sessions.iter().any(|s| s.state == State::Speaking);
        match decision {
            Decision::Speak(content) if is_speaking => self.speak(step, &content, Vec::new()),
            // Whoever has opened it may end it at any time.
            Decision::End(content) => self.close(step, &content, self.over()),
            Decision::Cancel => self.close(step, b"(cancelled)", self.over()),
            other => step.notice(Notice::Misplaced(other.as_str())),
        }
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        if session::due(&self.sessions).is_some_and(|due| due <= step.now) {
            self.close(step, b"(timed-out)", End::TimedOut);
        }
    }

    fn down(&mut self, _: &mut Step<'_>, who: &Aid) {
        for session in session::of(&mut self.sessions, who) {
            session.finish(End::Down);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        self.close(step, b"(abandoned)", end);
    }

    fn due(&self) -> Option<Timestamp> {
        session::due(&self.sessions)
    }

    fn outcome(&self) -> Option<Outcome> {
        if self.sessions.iter().any(Session::is_open) {
            return None;
        }
        let parts: Vec<_> = self.sessions.iter().map(Session::part).collect();
        Some(Outcome {
            end: session::overall(&parts),
            parts,
        })
    }

    fn release(&mut self) {
        for session in &mut self.sessions {
            session.last = None;
        }
    }

    fn state(&self) -> &'static str {
        match self.sessions.first().map(|s| s.state) {
            Some(State::Listening) => "listening",
            Some(State::Speaking) => "speaking",
            Some(State::Ended(_)) | None => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.sessions
            .iter()
            .map(|s| {
                let state = match s.state {
                    State::Listening => "speaking",
                    State::Speaking => "listening",
                    State::Ended(end) => end.as_str(),
                };
                (&s.who, state)
            })
            .collect()
    }
}
