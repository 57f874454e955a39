//! The auctioneer (fipa.md d.6, d.7: rows I).

use super::{AUCTION_PARAMETER, WINNER_PARAMETER};
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::event::{Decision, End, Notice, Outcome, Part};
use crate::interaction::frame::{Act, Answers, PRICE_PARAMETER, Step, price_of};
use crate::interaction::machine::Machine;
use crate::interaction::opening::{Ascending, Descending, Opening, Rules};
use crate::interaction::session::{self, Routed, Session, SessionState, echo};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;

/// Where one bidder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Called, and silent in this round so far.
    Called,
    /// Has bid this much in this round.
    Bid(i64),
    /// Has won and was asked to complete the sale at this price.
    Settling(i64),
    /// Has agreed to.
    Completing(i64),
    Ended(End),
}

impl SessionState for State {
    fn ended(end: End) -> Self {
        Self::Ended(end)
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::Called | Self::Bid(_) | Self::Settling(_) | Self::Completing(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Up(Ascending),
    Down(Descending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// A price is called.
    Round { closes: Timestamp },
    /// The winners complete the sale.
    Settling,
}

/// The auctioneer's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Initiator {
    way: Way,
    phase: Phase,
    sessions: Vec<Session<State>>,
    /// The price called.
    price: i64,
    /// English: how many rounds there may still be. Dutch: how many units are left.
    left: u32,
    /// English: who has the highest bid, and what it is.
    leader: Option<(usize, i64)>,
    round: Duration,
    result_within: Option<Duration>,
    about: Vec<u8>,
}

impl Initiator {
    pub(in crate::interaction) fn start(opening: &Opening, step: &mut Step<'_>) -> Self {
        let (way, price, left) = match opening.rules {
            Rules::DutchAuction(rules) => (Way::Down(rules), rules.start, rules.units),
            Rules::EnglishAuction(rules) => (Way::Up(rules), rules.start, rules.rounds_max),
            // Only auctions get here.
            _ => return Self::empty(step.now),
        };
        for who in &opening.participants {
            let mut act = Act::new(Performative::Inform, &opening.about.content)
                .with(AUCTION_PARAMETER, "start");
            act.user_parameters
                .extend(opening.about.user_parameters.iter().cloned());
            step.say(std::slice::from_ref(who), act);
        }
        let mut machine = Self {
            way,
            phase: Phase::Settling,
            sessions: opening
                .participants
                .iter()
                .map(|who| Session::new(who.clone(), State::Called))
                .collect(),
            price,
            left,
            leader: None,
            round: opening.reply_within.unwrap_or_default(),
            result_within: opening.result_within,
            about: opening.about.content.clone(),
        };
        machine.call(step);
        machine
    }

    fn empty(now: Timestamp) -> Self {
        Self {
            way: Way::Down(Descending {
                start: 0,
                step: 1,
                reserve: 0,
                units: 1,
            }),
            phase: Phase::Round { closes: now },
            sessions: Vec::new(),
            price: 0,
            left: 0,
            leader: None,
            round: Duration::ZERO,
            result_within: None,
            about: Vec::new(),
        }
    }

    /// Calls the present price to all that are still in.
    fn call(&mut self, step: &mut Step<'_>) {
        let closes = step.now.saturating_add(self.round);
        self.phase = Phase::Round { closes };
        for session in &mut self.sessions {
            match session.state {
                State::Called | State::Bid(_) => {
                    let act = Act::new(Performative::Cfp, &self.about)
                        .by(Some(closes))
                        .with(PRICE_PARAMETER, self.price);
                    session.awaits = step.say(std::slice::from_ref(&session.who), act);
                    session.state = State::Called;
                }
                State::Settling(_) | State::Completing(_) | State::Ended(_) => {}
            }
        }
    }

    fn is_called(&self) -> bool {
        self.sessions.iter().any(|s| s.state == State::Called)
    }

    fn reply(session: &mut Session<State>, step: &mut Step<'_>, act: Performative, price: i64) {
        let act = Act::new(act, b"")
            .answering(echo(session.last.as_ref()))
            .with(PRICE_PARAMETER, price);
        step.say(std::slice::from_ref(&session.who), act);
    }

    /// A proposal of a bidder that was called.
    fn bid(&mut self, step: &mut Step<'_>, index: usize, message: &Arc<AclMessage>) {
        let offered = price_of(message).unwrap_or(self.price);
        let session = &mut self.sessions[index];
        session.last = Some(message.clone());
        match self.way {
            Way::Up(_) if offered < self.price => {
                // Too low: no bid. The bidder stays silent for the rest of the round.
                Self::reply(session, step, Performative::RejectProposal, offered);
                step.notice(Notice::OutOfSequence);
            }
            Way::Up(_) => session.state = State::Bid(offered),
            Way::Down(_) if self.left > 0 => {
                self.left -= 1;
                Self::reply(session, step, Performative::AcceptProposal, self.price);
                session.state = State::Bid(self.price);
                if self.left == 0 {
                    self.close(step);
                }
            }
            Way::Down(_) => Self::reply(session, step, Performative::RejectProposal, self.price),
        }
    }

    /// The round is over: the time has passed, or nobody is left who could say something.
    fn close(&mut self, step: &mut Step<'_>) {
        match self.way {
            Way::Up(rules) => self.close_up(step, rules),
            Way::Down(rules) => self.close_down(step, rules),
        }
    }

    fn close_up(&mut self, step: &mut Step<'_>, rules: Ascending) {
        let best = self
            .sessions
            .iter()
            .enumerate()
            .filter_map(|(index, s)| match s.state {
                State::Bid(price) => Some((index, price)),
                State::Called | State::Settling(_) | State::Completing(_) | State::Ended(_) => None,
            })
            // The first of several equal ones, in order of the participants.
            .max_by_key(|(index, price)| (*price, std::cmp::Reverse(*index)));
        if let Some((index, price)) = best {
            self.leader = Some((index, price));
            for (other, session) in self.sessions.iter_mut().enumerate() {
                if let State::Bid(offered) = session.state {
                    let act = if other == index {
                        Performative::AcceptProposal
                    } else {
                        Performative::RejectProposal
                    };
                    Self::reply(session, step, act, offered);
                    session.state = State::Called;
                }
            }
            self.left -= 1;
            if self.left > 0 {
                self.price = price.saturating_add(rules.step);
                self.call(step);
                return;
            }
        } else if let Some((index, price)) = self.leader
            && !self.sessions[index].is_open()
            && self.left > 1
            && self.is_called()
        {
            // The leader has crashed or left since: what it had bid is called again, without it.
            self.leader = None;
            self.left -= 1;
            self.price = price;
            self.call(step);
            return;
        }
        let winner = self
            .leader
            .filter(|(index, price)| *price >= rules.reserve && self.sessions[*index].is_open());
        self.end(step, winner.into_iter().collect());
    }

    fn close_down(&mut self, step: &mut Step<'_>, rules: Descending) {
        let next = self.price.saturating_sub(rules.step);
        if self.left > 0 && next >= rules.reserve && self.is_called() {
            self.price = next;
            // Those that have bought something wait for the end; the others are called again.
            let closes = step.now.saturating_add(self.round);
            self.phase = Phase::Round { closes };
            for session in &mut self.sessions {
                if session.state == State::Called {
                    let act = Act::new(Performative::Cfp, &self.about)
                        .by(Some(closes))
                        .with(PRICE_PARAMETER, next);
                    session.awaits = step.say(std::slice::from_ref(&session.who), act);
                }
            }
            return;
        }
        let winners = self
            .sessions
            .iter()
            .enumerate()
            .filter_map(|(index, s)| match s.state {
                State::Bid(price) => Some((index, price)),
                State::Called | State::Settling(_) | State::Completing(_) | State::Ended(_) => None,
            })
            .collect();
        self.end(step, winners);
    }

    /// Tells all how it ended, and asks the winners to complete the sale.
    fn end(&mut self, step: &mut Step<'_>, winners: Vec<(usize, i64)>) {
        self.phase = Phase::Settling;
        let names: Vec<SmolStr> = winners
            .iter()
            .map(|(index, _)| self.sessions[*index].who.name.clone())
            .collect();
        for session in self.sessions.iter().filter(|s| s.is_open()) {
            let mut act =
                Act::new(Performative::Inform, &self.about).with(AUCTION_PARAMETER, "end");
            for name in &names {
                act = act.with(WINNER_PARAMETER, name);
            }
            step.say(std::slice::from_ref(&session.who), act);
        }
        let until = self.result_within.map(|time| step.now.saturating_add(time));
        for (index, session) in self.sessions.iter_mut().enumerate() {
            match winners.iter().find(|(winner, _)| *winner == index) {
                Some((_, price)) => {
                    let act = Act::new(Performative::Request, &self.about)
                        .by(until)
                        .with(PRICE_PARAMETER, price);
                    session.awaits = step.say(std::slice::from_ref(&session.who), act);
                    session.state = State::Settling(*price);
                    session.until = until;
                }
                None => session.finish(End::Rejected),
            }
        }
    }

    /// After somebody has left: is there anybody to wait for?
    fn settle(&mut self, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Round { .. })
            && !self.is_called()
            && self.sessions.iter().any(Session::is_open)
        {
            self.close(step);
        }
    }

    fn hear(&mut self, step: &mut Step<'_>, index: usize, message: &Arc<AclMessage>) -> bool {
        use Performative as Say;
        let session = &mut self.sessions[index];
        match (session.state, message.performative) {
            (State::Called, Say::Propose) => self.bid(step, index, message),
            (State::Called | State::Bid(_), Say::Failure) => {
                session.last = Some(message.clone());
                session.finish(End::Failed);
            }
            (State::Settling(price), Say::Agree) => session.state = State::Completing(price),
            (State::Settling(_) | State::Completing(_), Say::Inform) => {
                session.last = Some(message.clone());
                session.finish(End::Done);
            }
            (State::Settling(_) | State::Completing(_), Say::Failure) => {
                session.last = Some(message.clone());
                session.finish(End::Failed);
            }
            (State::Settling(_), Say::Refuse) => {
                session.last = Some(message.clone());
                session.finish(End::Refused);
            }
            // A proposal for an earlier round, or after the unit is gone.
            (State::Settling(_) | State::Completing(_) | State::Bid(_) | State::Called, _)
            | (State::Ended(_), _) => return false,
        }
        true
    }
}

impl Machine for Initiator {
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        // A bid for a price that is no longer called is late, not wrong: the bidder is told so and goes on.
        if message.performative == Performative::Propose
            && let Some(session) = self
                .sessions
                .iter()
                .find(|s| message.sender.as_ref() == Some(&s.who))
            && (session.state != State::Called
                || step.frame.answered_by(message) != Answers::Mark(session.awaits))
        {
            step.notice(Notice::Late);
            step.answer(message, Performative::RejectProposal, b"(lateness)");
            return;
        }
        match session::route(&mut self.sessions, step, message) {
            Routed::Misfit => return,
            Routed::Handled => {}
            Routed::Act(index) if !self.sessions[index].is_open() => {
                step.notice(Notice::Late);
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

    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        step.notice(Notice::Late);
        if message.performative == Performative::Propose {
            step.answer(message, Performative::RejectProposal, b"(lateness)");
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, decision: Decision) {
        match decision {
            // The auctions have no cancel (fipa.md d): it ends with no sale, and a sale under way is asked to stop.
            Decision::Cancel => match self.phase {
                Phase::Round { .. } => self.end(step, Vec::new()),
                Phase::Settling => {
                    for session in &mut self.sessions {
                        session.cancel(step, Some(self.round));
                    }
                }
            },
            other => step.notice(Notice::Misplaced(other.as_str())),
        }
    }

    fn deadline(&mut self, step: &mut Step<'_>) {
        if let Phase::Round { closes } = self.phase
            && closes <= step.now
        {
            self.close(step);
        }
        for session in &mut self.sessions {
            if session.until.is_some_and(|until| until <= step.now) {
                session.finish(End::TimedOut);
            }
        }
    }

    fn down(&mut self, step: &mut Step<'_>, who: &Aid) {
        for session in session::of(&mut self.sessions, who) {
            session.finish(End::Down);
        }
        self.settle(step);
    }

    fn abandon(&mut self, step: &mut Step<'_>, end: End) {
        if matches!(self.phase, Phase::Round { .. }) {
            self.end(step, Vec::new());
        }
        for session in &mut self.sessions {
            session.cancel(step, None);
            session.finish(end);
        }
    }

    fn due(&self) -> Option<Timestamp> {
        let round = match self.phase {
            Phase::Round { closes } => Some(closes),
            Phase::Settling => None,
        };
        round.into_iter().chain(session::due(&self.sessions)).min()
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
            Phase::Round { .. } => "round",
            Phase::Settling => "settling",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.sessions
            .iter()
            .map(|s| {
                let state = match s.state {
                    State::Called => "called",
                    State::Bid(_) => "bid",
                    State::Settling(_) => "settling",
                    State::Completing(_) => "completing",
                    State::Ended(end) => end.as_str(),
                };
                (&s.who, state)
            })
            .collect()
    }
}
