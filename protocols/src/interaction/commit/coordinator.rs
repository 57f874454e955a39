//! Who asks for the votes and decides.

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, News, Notice, Outcome, Part};
use crate::interaction::frame::{Act, Step};
use crate::interaction::machine::Machine;
use crate::interaction::opening::{Opening, Rules};
use crate::interaction::session::{self, Routed, Session, SessionState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// After how long a decision is said again where nothing else was asked for.
const RESEND_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Where one participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Asked to prepare.
    Preparing,
    /// Voted yes.
    Prepared,
    /// Told to commit; its acknowledgement is awaited.
    Committing,
    Ended(End),
}

impl SessionState for State {
    fn ended(end: End) -> Self {
        Self::Ended(end)
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::Preparing | Self::Prepared | Self::Committing => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Voting,
    Committed,
    Aborted,
}

/// The coordinator's machine. The driver must have stored it before it carries the decision out: that is what makes it binding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Coordinator {
    phase: Phase,
    sessions: Vec<Session<State>>,
    resend_after: Duration,
    resend_at: Option<Timestamp>,
    vote_by: Option<Timestamp>,
    /// Until when acknowledgements are waited for.
    ack_within: Option<Duration>,
}

impl Coordinator {
    pub(in crate::interaction) fn start(opening: &Opening, step: &mut Step<'_>) -> Self {
        let vote_by = opening
            .reply_within
            .map(|time| step.now.saturating_add(time));
        let sessions = opening
            .participants
            .iter()
            .map(|who| {
                let mut session = Session::new(who.clone(), State::Preparing);
                let mut act = Act::new(Performative::QueryIf, &opening.about.content).by(vote_by);
                act.user_parameters = opening.about.user_parameters.clone();
                session.awaits = step.say(std::slice::from_ref(who), act);
                session
            })
            .collect();
        Self {
            phase: Phase::Voting,
            sessions,
            resend_after: match opening.rules {
                Rules::TwoPhaseCommit { resend_after } => resend_after,
                _ => RESEND_AFTER_DEFAULT,
            },
            resend_at: None,
            vote_by,
            ack_within: opening.result_within,
        }
    }

    fn settle(&mut self, step: &mut Step<'_>) {
        if self.phase != Phase::Voting {
            return;
        }
        if self.sessions.iter().all(|s| s.state == State::Prepared) {
            self.phase = Phase::Committed;
            step.tell(News::Decided { is_commit: true });
            let until = self.ack_within.map(|time| step.now.saturating_add(time));
            for session in &mut self.sessions {
                session.state = State::Committing;
                session.until = until;
            }
            self.send_commits(step);
        } else if self.sessions.iter().any(|s| !s.is_open()) {
            self.abort(step);
        }
    }

    /// Says it to those that have not acknowledged it, each time as a new act: an old one would be taken for a duplicate.
    fn send_commits(&mut self, step: &mut Step<'_>) {
        for session in &mut self.sessions {
            if session.state == State::Committing {
                let act = Act::new(Performative::AcceptProposal, b"(commit)");
                session.awaits = step.say(std::slice::from_ref(&session.who), act);
            }
        }
        self.resend_at = Some(step.now.saturating_add(self.resend_after));
    }

    /// Nobody needs to acknowledge an abort: whoever does not hear of it asks, and is told.
    fn abort(&mut self, step: &mut Step<'_>) {
        self.phase = Phase::Aborted;
        step.tell(News::Decided { is_commit: false });
        for session in &mut self.sessions {
            if session.is_open() {
                let act = Act::new(Performative::RejectProposal, b"(abort)");
                step.say(std::slice::from_ref(&session.who), act);
                session.finish(End::Aborted);
            }
        }
    }

    fn is_participant(&self, message: &AclMessage) -> bool {
        message
            .sender
            .as_ref()
            .is_some_and(|who| self.sessions.iter().any(|s| s.who == *who))
    }

    fn tell_decision(&self, step: &mut Step<'_>, inquiry: &AclMessage) {
        let (act, content): (_, &[u8]) = match self.phase {
            Phase::Committed => (Performative::AcceptProposal, b"(commit)"),
            Phase::Aborted => (Performative::RejectProposal, b"(abort)"),
            // It will be told.
            Phase::Voting => return,
        };
        step.answer(inquiry, act, content);
    }
}

impl Machine for Coordinator {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        if message.performative == Say::QueryRef && self.is_participant(message) {
            self.tell_decision(step, message);
            return;
        }
        // An acknowledgement may answer any of the times that the decision was said.
        if message.performative == Say::Inform && self.phase == Phase::Committed {
            let acknowledged = self
                .sessions
                .iter_mut()
                .find(|s| s.state == State::Committing && message.sender.as_ref() == Some(&s.who));
            if let Some(session) = acknowledged {
                session.last = Some(message.clone());
                session.finish(End::Committed);
                return;
            }
        }
        match session::route(&mut self.sessions, step, message) {
            Routed::Misfit => return,
            // The decision stands, whoever does not understand it.
            Routed::Handled if self.phase == Phase::Committed => {
                for session in &mut self.sessions {
                    if matches!(session.state, State::Ended(end) if end != End::Committed) {
                        session.state = State::Ended(End::InDoubt);
                    }
                }
            }
            Routed::Handled => {}
            Routed::Act(index) => {
                let session = &mut self.sessions[index];
                match (session.state, message.performative) {
                    (State::Preparing, Say::Confirm) => session.state = State::Prepared,
                    (State::Preparing, Say::Disconfirm | Say::Refuse) => {
                        session.finish(End::Refused);
                    }
                    (State::Preparing, Say::Failure) => session.finish(End::Failed),
                    (State::Ended(_), _) => {
                        step.notice(Notice::Late);
                        return;
                    }
                    (State::Preparing | State::Prepared | State::Committing, _) => {
                        step.out_of_sequence(message);
                        return;
                    }
                }
                session.last = Some(message.clone());
            }
        }
        self.settle(step);
    }

    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.notice(Notice::Late);
        if matches!(
            message.performative,
            Performative::QueryRef | Performative::Confirm
        ) && self.is_participant(message)
        {
            self.tell_decision(step, message);
        }
        if message.performative == Performative::Inform && self.phase == Phase::Committed {
            for session in &mut self.sessions {
                if message.sender.as_ref() == Some(&session.who) {
                    session.state = State::Ended(End::Committed);
                }
            }
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        match (self.phase, decision) {
            (Phase::Voting, Decision::Cancel) => self.abort(step),
            (_, other) => step.notice(Notice::Misplaced(other.as_str())),
        }
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Voting if self.vote_by.is_some_and(|by| by <= step.now) => {
                for session in &mut self.sessions {
                    if session.state == State::Preparing {
                        let act = Act::new(Performative::RejectProposal, b"(abort)");
                        step.say(std::slice::from_ref(&session.who), act);
                        session.finish(End::TimedOut);
                    }
                }
                self.settle(step);
            }
            Phase::Committed => {
                for session in &mut self.sessions {
                    if session.until.is_some_and(|until| until <= step.now) {
                        session.finish(End::InDoubt);
                    }
                }
                if self.resend_at.is_some_and(|at| at <= step.now) {
                    self.send_commits(step);
                }
            }
            Phase::Voting | Phase::Aborted => {}
        }
    }

    fn down(&mut self, step: &mut Step<'_>, who: &Aid) {
        // One that has voted yes may come back and is told then; one that has not is a no.
        if self.phase == Phase::Voting {
            for session in session::of(&mut self.sessions, who) {
                session.finish(End::Down);
            }
            self.settle(step);
        }
    }

    fn abandon(&mut self, step: &mut Step<'_>, _: End) {
        match self.phase {
            Phase::Voting => self.abort(step),
            Phase::Committed | Phase::Aborted => {
                for session in &mut self.sessions {
                    session.finish(End::InDoubt);
                }
            }
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Voting => self.vote_by,
            Phase::Committed => self
                .resend_at
                .into_iter()
                .chain(session::due(&self.sessions))
                .min(),
            Phase::Aborted => None,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        if self.sessions.iter().any(Session::is_open) {
            return None;
        }
        let parts: Vec<Part> = self.sessions.iter().map(Session::part).collect();
        let end = match self.phase {
            Phase::Committed => End::Committed,
            Phase::Voting | Phase::Aborted => End::Aborted,
        };
        Some(Outcome { end, parts })
    }

    fn may_be_forgotten(&self) -> bool {
        self.phase != Phase::Committed
            || self
                .sessions
                .iter()
                .all(|s| s.state == State::Ended(End::Committed))
    }

    fn release(&mut self) {
        for session in &mut self.sessions {
            session.last = None;
        }
    }

    fn state(&self) -> &'static str {
        if self.sessions.iter().all(|s| !s.is_open()) {
            return "ended";
        }
        match self.phase {
            Phase::Voting => "voting",
            Phase::Committed => "committing",
            Phase::Aborted => "aborting",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.sessions
            .iter()
            .map(|s| {
                let state = match s.state {
                    State::Preparing => "preparing",
                    State::Prepared => "prepared",
                    State::Committing => "committing",
                    State::Ended(end) => end.as_str(),
                };
                (&s.who, state)
            })
            .collect()
    }
}
