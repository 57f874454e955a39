//! The side that calls for proposals (fipa.md d.4, d.5: rows I).

use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, Notice, Outcome, Part, Proposal, Question};
use crate::interaction::frame::{Act, Step};
use crate::interaction::machine::Machine;
use crate::interaction::opening::{Opening, Rules};
use crate::interaction::session::{self, Routed, Session, SessionState, echo};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Where one bidder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Called, and silent so far.
    AwaitingBid,
    /// Its proposal is in: it is bound by it, and waits.
    Bid,
    /// Accepted: its result is awaited.
    AwaitingResult,
    Ended(End),
}

impl SessionState for State {
    fn ended(end: End) -> Self {
        Self::Ended(end)
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::AwaitingBid | Self::Bid | Self::AwaitingResult => None,
        }
    }
}

/// Where the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Bids are coming in.
    Bidding,
    /// The agent weighs them.
    Evaluating,
    /// The accepted ones work.
    Results,
}

/// The initiator's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Initiator {
    phase: Phase,
    sessions: Vec<Session<State>>,
    reply_within: Option<Duration>,
    result_within: Option<Duration>,
    /// How many further rounds there may be; 0 in a plain contract net.
    rounds_left: u32,
    /// Bidders that take the place of an accepted one that fails, best first. They are not rejected yet.
    reserve: Vec<usize>,
    /// What the acceptances say.
    award: Vec<u8>,
}

impl Initiator {
    pub(in crate::interaction) fn start(opening: &Opening, step: &mut Step<'_>) -> Self {
        let until = opening
            .reply_within
            .map(|time| step.now.saturating_add(time));
        let sessions = opening
            .participants
            .iter()
            .map(|who| {
                let mut session = Session::new(who.clone(), State::AwaitingBid);
                let mut call = Act::new(Performative::Cfp, &opening.about.content).by(until);
                call.user_parameters = opening.about.user_parameters.clone();
                session.awaits = step.say(std::slice::from_ref(who), call);
                session.until = until;
                session
            })
            .collect();
        Self {
            phase: Phase::Bidding,
            sessions,
            reply_within: opening.reply_within,
            result_within: opening.result_within,
            rounds_left: match opening.rules {
                Rules::IteratedContractNet { rounds_max } => rounds_max.saturating_sub(1),
                _ => 0,
            },
            reserve: Vec::new(),
            award: Vec::new(),
        }
    }

    fn has(&self, state: State) -> bool {
        self.sessions.iter().any(|s| s.state == state)
    }

    /// After every event: is a phase over?
    fn settle(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Bidding => {
                if self.has(State::AwaitingBid) {
                    return;
                }
                self.phase = Phase::Evaluating;
                let proposals = self.proposals();
                if !proposals.is_empty() {
                    step.ask(Question::Evaluate(proposals));
                }
            }
            // Bids that were withdrawn meanwhile leave nothing to weigh; the outcome says so.
            Phase::Evaluating => {}
            Phase::Results => {
                if !self.has(State::AwaitingResult) {
                    // Nobody can fail any more: those in reserve are free.
                    self.reserve.clear();
                    self.reject_bidders(step, b"(not-needed)");
                }
            }
        }
    }

    fn proposals(&self) -> Vec<Proposal> {
        self.sessions
            .iter()
            .enumerate()
            .filter(|(_, s)| s.state == State::Bid && s.cancel.is_none())
            .filter_map(|(bidder, s)| {
                Some(Proposal {
                    bidder,
                    participant: s.who.clone(),
                    message: s.last.clone()?,
                })
            })
            .collect()
    }

    fn accept(&mut self, step: &mut Step<'_>, index: usize) {
        let session = &mut self.sessions[index];
        let until = self.result_within.map(|time| step.now.saturating_add(time));
        let proposal = session.last.as_ref();
        let content = if self.award.is_empty() {
            proposal
                .and_then(|p| p.content.as_deref())
                .unwrap_or_default()
        } else {
            &self.award
        };
        let act = Act::new(Performative::AcceptProposal, content)
            .answering(echo(proposal))
            .by(until);
        session.awaits = step.say(std::slice::from_ref(&session.who), act);
        session.state = State::AwaitingResult;
        session.until = until;
    }

    fn reject(session: &mut Session<State>, step: &mut Step<'_>, why: &[u8]) {
        let act =
            Act::new(Performative::RejectProposal, why).answering(echo(session.last.as_ref()));
        step.say(std::slice::from_ref(&session.who), act);
        session.finish(End::Rejected);
    }

    /// Rejects all bidders that are neither accepted nor in reserve.
    fn reject_bidders(&mut self, step: &mut Step<'_>, why: &[u8]) {
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.state == State::Bid && !self.reserve.contains(&index) {
                Self::reject(session, step, why);
            }
        }
    }

    /// An accepted one has failed: the next in reserve takes its place.
    fn replace(&mut self, step: &mut Step<'_>) {
        while !self.reserve.is_empty() {
            let next = self.reserve.remove(0);
            if self.sessions[next].state == State::Bid {
                self.accept(step, next);
                return;
            }
        }
    }

    fn award(
        &mut self,
        step: &mut Step<'_>,
        accept: &[usize],
        reserve: Vec<usize>,
        content: Vec<u8>,
    ) {
        self.award = content;
        self.phase = Phase::Results;
        let mut accepted = 0u32;
        for &index in accept {
            if self.is_bid(index) {
                self.accept(step, index);
                accepted += 1;
            }
        }
        self.reserve = reserve;
        self.reserve.retain(|index| {
            self.sessions
                .get(*index)
                .is_some_and(|s| s.state == State::Bid)
        });
        // A bidder that was chosen and has gone since is replaced like one that fails later.
        for _ in usize::try_from(accepted).unwrap_or(usize::MAX)..accept.len() {
            self.replace(step);
        }
        self.reject_bidders(step, b"(not-chosen)");
    }

    fn is_bid(&self, index: usize) -> bool {
        self.sessions
            .get(index)
            .is_some_and(|s| s.state == State::Bid)
    }

    fn iterate(&mut self, step: &mut Step<'_>, to: &[usize], content: &[u8]) {
        self.rounds_left -= 1;
        self.phase = Phase::Bidding;
        let until = self.reply_within.map(|time| step.now.saturating_add(time));
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.state != State::Bid {
                continue;
            }
            if to.contains(&index) {
                let act = Act::new(Performative::Cfp, content)
                    .answering(echo(session.last.as_ref()))
                    .by(until);
                session.awaits = step.say(std::slice::from_ref(&session.who), act);
                session.state = State::AwaitingBid;
                session.until = until;
            } else {
                Self::reject(session, step, b"(not-chosen)");
            }
        }
    }

    /// Whether an act of an open session has its place; does what it does.
    fn hear(&mut self, step: &mut Step<'_>, index: usize, message: &Arc<AclMessage>) -> bool {
        use Performative as Say;
        let session = &mut self.sessions[index];
        let was = session.state;
        let to = match (was, message.performative) {
            (State::AwaitingBid, Say::Propose) => State::Bid,
            (State::AwaitingBid, Say::Refuse) => State::Ended(End::Refused),
            // A bidder that crashes after its bid says so as well.
            (State::AwaitingBid | State::Bid | State::AwaitingResult, Say::Failure) => {
                State::Ended(End::Failed)
            }
            (State::AwaitingResult, Say::Inform) => State::Ended(End::Done),
            (State::AwaitingBid | State::Bid | State::AwaitingResult | State::Ended(_), _) => {
                return false;
            }
        };
        session.last = Some(message.clone());
        match to.end() {
            Some(end) => session.finish(end),
            None => {
                session.state = to;
                // A bid that crossed a cancel still waits for the cancel's answer.
                if session.cancel.is_none() {
                    session.until = None;
                }
            }
        }
        if was == State::AwaitingResult && to == State::Ended(End::Failed) {
            self.replace(step);
        }
        true
    }
}

impl Machine for Initiator {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        // Before the award nobody is waited for in this way.
        let waited = |machine: &Self| match machine.phase {
            Phase::Bidding | Phase::Evaluating => 0,
            Phase::Results => {
                let waited = |s: &&Session<State>| s.state == State::AwaitingResult;
                machine.sessions.iter().filter(waited).count()
            }
        };
        let before = waited(self);
        match session::route(&mut self.sessions, step, message) {
            Routed::Misfit => return,
            // The platform's failure, or a not-understood, of one that was accepted.
            Routed::Handled => {
                // A cancelled one was not wanted any more.
                if waited(self) < before && message.performative != Performative::Inform {
                    self.replace(step);
                }
            }
            Routed::Act(index) if !self.sessions[index].is_open() => {
                self.late(step, message);
                return;
            }
            Routed::Act(index) => {
                if !self.hear(step, index, message) {
                    step.out_of_sequence(message);
                    return;
                }
            }
        }
        self.settle(step);
    }

    /// A proposal that comes too late is rejected; its bidder must not go on believing in it (fipa.md a.2, R5).
    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.notice(Notice::Late);
        if message.performative == Performative::Propose
            && message
                .sender
                .as_ref()
                .is_some_and(|who| self.sessions.iter().any(|s| s.who == *who))
        {
            step.answer(message, Performative::RejectProposal, b"(lateness)");
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        match (self.phase, decision) {
            (
                Phase::Evaluating,
                Decision::Award {
                    accept,
                    reserve,
                    content,
                },
            ) => self.award(step, &accept, reserve, content),
            (Phase::Evaluating, Decision::Iterate { to, content }) if self.rounds_left > 0 => {
                self.iterate(step, &to, &content);
            }
            (_, Decision::Cancel) => {
                self.reserve.clear();
                self.phase = match self.phase {
                    Phase::Bidding => Phase::Bidding,
                    Phase::Evaluating | Phase::Results => Phase::Results,
                };
                for session in &mut self.sessions {
                    match session.state {
                        // To reject a proposal ends it as surely, and needs no answer.
                        State::Bid => Self::reject(session, step, b"(cancelled)"),
                        State::AwaitingBid | State::AwaitingResult => {
                            session.cancel(step, self.reply_within);
                        }
                        State::Ended(_) => {}
                    }
                }
            }
            (_, other) => {
                step.notice(Notice::Misplaced(other.as_str()));
                return;
            }
        }
        self.settle(step);
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        let mut failed = 0;
        for session in &mut self.sessions {
            if session.is_open() && session.until.is_some_and(|until| until <= step.now) {
                failed += usize::from(session.state == State::AwaitingResult);
                session.finish(End::TimedOut);
            }
        }
        for _ in 0..failed {
            self.replace(step);
        }
        self.settle(step);
    }

    fn down(&mut self, step: &mut Step<'_>, who: &Aid) {
        let mut failed = 0;
        for session in session::of(&mut self.sessions, who) {
            failed += usize::from(session.state == State::AwaitingResult);
            session.finish(End::Down);
        }
        for _ in 0..failed {
            self.replace(step);
        }
        self.settle(step);
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        self.reserve.clear();
        for session in &mut self.sessions {
            match session.state {
                State::Bid => Self::reject(session, step, b"(abandoned)"),
                State::AwaitingResult => {
                    session.cancel(step, None);
                    session.finish(end);
                }
                State::AwaitingBid => session.finish(end),
                State::Ended(_) => {}
            }
        }
        self.phase = Phase::Results;
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
        if self.sessions.iter().all(|s| !s.is_open()) {
            return "ended";
        }
        match self.phase {
            Phase::Bidding => "wait-bid",
            Phase::Evaluating => "evaluating",
            Phase::Results => "wait-result",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.sessions
            .iter()
            .map(|s| {
                let state = match s.state {
                    _ if s.cancel.is_some() => "cancelling",
                    State::AwaitingBid => "wait-bid",
                    State::Bid => "bid",
                    State::AwaitingResult => "wait-result",
                    State::Ended(end) => end.as_str(),
                };
                (&s.who, state)
            })
            .collect()
    }
}
