//! The side that asks (fipa.md d.1, d.2, d.3, d.8, d.9, d.10, d.11: rows I).

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, News, Notice, Outcome, Part};
use crate::interaction::frame::{Act, Answers, Step};
use crate::interaction::machine::Machine;
use crate::interaction::opening::{Opening, Rules};
use crate::interaction::protocol::Protocol;
use crate::interaction::session::{self, Routed, Session, SessionState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Nothing heard yet.
    AwaitingResponse,
    /// Agreed: the result is awaited (in request-when, the condition; of a broker, the proxy's completion).
    AwaitingResult,
    /// Further messages may come, any number: a subscription, a broker's answers.
    Active,
    Ended(End),
}

impl SessionState for State {
    fn ended(end: End) -> Self {
        Self::Ended(end)
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::AwaitingResponse | Self::AwaitingResult | Self::Active => None,
        }
    }
}

/// What an act does to a session.
enum Next {
    To(State),
    /// The agent hears it, and the session goes on.
    Hear(State),
}

/// The parameter with which a recruiter says how many targets will answer.
pub(crate) const TARGETS_PARAMETER: &str = "X-Targets";
/// The parameter with which a broker says whose answer it forwards.
pub(crate) const TARGET_PARAMETER: &str = "X-Target";

/// The initiator's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Initiator {
    protocol: Protocol,
    sessions: Vec<Session<State>>,
    reply_within: Option<Duration>,
    result_within: Option<Duration>,
    /// Recruiting: how many targets are still to answer; known once the recruiter has said so.
    recruited: Option<u32>,
    /// Recruiting: how many targets have answered for good.
    answered: u32,
}

impl Initiator {
    pub(in crate::interaction) fn start(opening: &Opening, step: &mut Step<'_>) -> Self {
        let act = match opening.rules {
            Rules::QueryIf => Performative::QueryIf,
            Rules::QueryRef => Performative::QueryRef,
            Rules::RequestWhen => Performative::RequestWhen,
            Rules::Subscribe => Performative::Subscribe,
            Rules::Propose => Performative::Propose,
            Rules::Brokering | Rules::Recruiting => Performative::Proxy,
            Rules::Request
            | Rules::ContractNet
            | Rules::IteratedContractNet { .. }
            | Rules::EnglishAuction(_)
            | Rules::DutchAuction(_)
            | Rules::TwoPhaseCommit { .. }
            | Rules::Dialogue(_) => Performative::Request,
        };
        let until = opening
            .reply_within
            .map(|time| step.now.saturating_add(time));
        let sessions = opening
            .participants
            .iter()
            .map(|who| {
                let mut session = Session::new(who.clone(), State::AwaitingResponse);
                let mut say = Act::new(act, &opening.about.content).by(until);
                say.user_parameters = opening.about.user_parameters.clone();
                session.awaits = step.say(std::slice::from_ref(who), say);
                session.until = until;
                session
            })
            .collect();
        Self {
            protocol: opening.rules.protocol(),
            sessions,
            reply_within: opening.reply_within,
            result_within: opening.result_within,
            recruited: None,
            answered: 0,
        }
    }

    /// The tables. `None`: the act has no place in the state.
    fn next(&self, state: State, message: &AclMessage) -> Option<Next> {
        use Performative as Say;
        use State::{Active, AwaitingResponse, AwaitingResult, Ended};
        let act = message.performative;
        let end = |end| Some(Next::To(Ended(end)));
        match self.protocol {
            Protocol::Request | Protocol::Query => match (state, act) {
                (AwaitingResponse, Say::Refuse) => end(End::Refused),
                (AwaitingResponse, Say::Agree) => Some(Next::To(AwaitingResult)),
                (AwaitingResponse | AwaitingResult, Say::Inform) => end(End::Done),
                (AwaitingResponse | AwaitingResult, Say::Failure) => end(End::Failed),
                _ => None,
            },
            // To agree is mandatory here. A failure in place of it is a participant that crashed before it could decide.
            Protocol::RequestWhen => match (state, act) {
                (AwaitingResponse, Say::Refuse) => end(End::Refused),
                (AwaitingResponse, Say::Agree) => Some(Next::To(AwaitingResult)),
                (AwaitingResult, Say::Inform) => end(End::Done),
                (AwaitingResponse | AwaitingResult, Say::Failure) => end(End::Failed),
                _ => None,
            },
            Protocol::Propose => match (state, act) {
                (AwaitingResponse, Say::AcceptProposal) => end(End::Accepted),
                (AwaitingResponse, Say::RejectProposal) => end(End::Rejected),
                (AwaitingResponse, Say::Failure) => end(End::Failed),
                _ => None,
            },
            Protocol::Subscribe => match (state, act) {
                (AwaitingResponse, Say::Refuse) => end(End::Refused),
                // An agree that the first value has overtaken says nothing new.
                (AwaitingResponse | Active, Say::Agree) => Some(Next::To(Active)),
                (AwaitingResponse | Active, Say::Inform) => Some(Next::Hear(Active)),
                (AwaitingResponse | Active, Say::Failure) => end(End::Failed),
                _ => None,
            },
            Protocol::Brokering => match (state, act) {
                (AwaitingResponse, Say::Refuse) => end(End::Refused),
                (AwaitingResponse, Say::Agree) => Some(Next::To(AwaitingResult)),
                (AwaitingResult | Active, Say::Inform) => end(End::Done),
                (AwaitingResponse | AwaitingResult | Active, Say::Failure) => end(End::Failed),
                _ => None,
            },
            Protocol::Recruiting => match (state, act) {
                (AwaitingResponse, Say::Refuse) => end(End::Refused),
                (AwaitingResponse, Say::Agree) => Some(Next::To(AwaitingResult)),
                (AwaitingResult, Say::Inform) => Some(Next::To(Active)),
                (AwaitingResponse | AwaitingResult, Say::Failure) => end(End::Failed),
                _ => None,
            },
            Protocol::ContractNet
            | Protocol::IteratedContractNet
            | Protocol::EnglishAuction
            | Protocol::DutchAuction
            | Protocol::TwoPhaseCommit
            | Protocol::Dialogue => None,
        }
    }

    fn enter(&mut self, step: &mut Step<'_>, index: usize, state: State) {
        let session = &mut self.sessions[index];
        match state {
            State::Ended(end) => session.finish(end),
            State::AwaitingResult => {
                session.state = state;
                session.until = self.result_within.map(|time| step.now.saturating_add(time));
            }
            State::Active => {
                let is_new = session.state != State::Active;
                session.state = state;
                if is_new {
                    // A subscription lasts until it is cancelled; a broker's answers have their time.
                    session.until = match self.protocol {
                        Protocol::Subscribe => None,
                        _ => self.result_within.map(|time| step.now.saturating_add(time)),
                    };
                }
            }
            State::AwaitingResponse => session.state = state,
        }
    }

    /// An answer of a target that a recruiter has found: it names the sub-conversation.
    fn heard_from_target(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.tell(News::Heard(message.clone()));
        if message.performative != Performative::Agree {
            self.answered += 1;
            self.finish_recruiting();
        }
    }

    /// An answer of a target that the broker brings. Whatever its act is, it is the target's and ends nothing here. False
    /// when no open session awaits it.
    fn relayed(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) -> bool {
        let Answers::Mark(mark) = step.frame.answered_by(message) else {
            return false;
        };
        let index = self.sessions.iter().position(|s| {
            s.is_open() && s.awaits == mark && message.sender.as_ref() == Some(&s.who)
        });
        let Some(index) = index else { return false };
        self.enter(step, index, State::Active);
        step.tell(News::Heard(message.clone()));
        true
    }

    fn finish_recruiting(&mut self) {
        if self.recruited.is_some_and(|count| self.answered >= count) {
            for session in &mut self.sessions {
                if session.state == State::Active {
                    session.finish(End::Done);
                }
            }
        }
    }

    fn note_recruited(&mut self, message: &AclMessage) {
        let count = message
            .user_parameter(TARGETS_PARAMETER)
            .and_then(|count| count.parse().ok())
            .unwrap_or(1u32);
        let so_far = self.recruited.unwrap_or(0);
        self.recruited = Some(so_far.saturating_add(count));
        self.finish_recruiting();
    }
}

impl Machine for Initiator {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        if self.protocol == Protocol::Recruiting
            && message.conversation_id.as_deref() != Some(step.frame.id.as_str())
        {
            self.heard_from_target(step, message);
            return;
        }
        if self.protocol == Protocol::Brokering
            && message.user_parameter(TARGET_PARAMETER).is_some()
            && self.relayed(step, message)
        {
            return;
        }
        let Routed::Act(index) = session::route(&mut self.sessions, step, message) else {
            return;
        };
        let state = self.sessions[index].state;
        if state.end().is_some() {
            step.notice(Notice::Late);
            return;
        }
        let Some(next) = self.next(state, message) else {
            step.out_of_sequence(message);
            return;
        };
        self.sessions[index].last = Some(message.clone());
        match next {
            Next::To(to) => {
                self.enter(step, index, to);
                if self.protocol == Protocol::Recruiting && to == State::Active {
                    self.note_recruited(message);
                }
            }
            Next::Hear(to) => {
                self.enter(step, index, to);
                step.tell(News::Heard(message.clone()));
            }
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        match decision {
            Decision::Cancel => {
                for session in &mut self.sessions {
                    session.cancel(step, self.reply_within);
                }
            }
            other => step.notice(Notice::Misplaced(other.as_str())),
        }
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        for session in &mut self.sessions {
            if session.until.is_some_and(|until| until <= step.now) {
                session.finish(End::TimedOut);
            }
        }
    }

    fn down(&mut self, _: &mut Step<'_>, who: &Aid) {
        for session in session::of(&mut self.sessions, who) {
            session.finish(End::Down);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        for session in &mut self.sessions {
            if end == End::Abandoned || session.state == State::Active {
                session.cancel(step, None);
            }
            session.finish(end);
        }
    }

    fn due(&self) -> Option<Timestamp> {
        session::due(&self.sessions)
    }

    fn outcome(&self) -> Option<Outcome> {
        if self.sessions.iter().any(Session::is_open) {
            return None;
        }
        let parts: Vec<Part> = self.sessions.iter().map(Session::part).collect();
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
        let has = |state| self.sessions.iter().any(|s| s.state == state);
        if self.sessions.iter().any(|s| s.cancel.is_some()) {
            "cancelling"
        } else if has(State::AwaitingResponse) {
            "wait-response"
        } else if has(State::AwaitingResult) {
            match self.protocol {
                Protocol::RequestWhen => "wait-condition",
                Protocol::Brokering | Protocol::Recruiting => "wait-proxy",
                _ => "wait-result",
            }
        } else if has(State::Active) {
            match self.protocol {
                Protocol::Subscribe => "active",
                _ => "wait-replies",
            }
        } else {
            "ended"
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.sessions
            .iter()
            .map(|s| {
                let state = match s.state {
                    _ if s.cancel.is_some() => "cancelling",
                    State::AwaitingResponse => "wait-response",
                    State::AwaitingResult => "wait-result",
                    State::Active => "active",
                    State::Ended(end) => end.as_str(),
                };
                (&s.who, state)
            })
            .collect()
    }
}
