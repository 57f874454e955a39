//! The bidder (fipa.md d.6, d.7: rows P).

use super::{AUCTION_PARAMETER, WINNER_PARAMETER};
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use crate::interaction::achieve::content_of;
use crate::interaction::event::{Decision, End, Notice, Outcome, Question};
use crate::interaction::frame::{PRICE_PARAMETER, Step, price_of};
use crate::interaction::machine::Machine;
use crate::interaction::peer::{Heard, Peer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// A price was called, and the agent weighs it.
    Deciding(Option<i64>),
    /// It has bid in this round.
    Bid,
    /// It waits for the next call, or for the end.
    Watching,
    /// It has won and was asked to complete the sale.
    Winning,
    /// It has agreed to.
    Completing,
    Ended(End),
}

/// The bidder's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::interaction) struct Participant {
    peer: Peer,
    state: State,
    /// Whether its last bid is the highest, or bought something.
    is_leading: bool,
}

impl Participant {
    pub(in crate::interaction) fn open(
        peer: Peer,
        call: &Arc<AclMessage>,
        step: &mut Step<'_>,
    ) -> Self {
        let mut machine = Self {
            peer,
            state: State::Watching,
            is_leading: false,
        };
        machine.hear(step, call);
        machine
    }

    /// The auctioneer says more than one thing at a time, and the wire may turn the order around: a call is followed in every
    /// state but the last ones, and the verdict on an earlier bid is only noted.
    fn hear(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        use Performative as Say;
        match (self.state, message.performative) {
            (State::Deciding(_) | State::Bid | State::Watching, Say::Cfp) => {
                let price = price_of(message);
                if self.is_older(message) {
                    step.notice(Notice::Late);
                    return;
                }
                self.peer.follow(message);
                self.state = State::Deciding(price);
                step.ask(Question::Bid {
                    call: message.clone(),
                    price,
                });
            }
            (State::Bid, Say::AcceptProposal | Say::RejectProposal)
                if self.peer.answers_latest(step, message) =>
            {
                self.is_leading = message.performative == Say::AcceptProposal;
                self.state = State::Watching;
            }
            (
                State::Deciding(_)
                | State::Watching
                | State::Winning
                | State::Completing
                | State::Bid,
                Say::AcceptProposal | Say::RejectProposal,
            ) => {}
            (_, Say::Inform) => self.informed(step, message),
            (State::Deciding(_) | State::Bid | State::Watching, Say::Request) => {
                self.peer.follow(message);
                self.state = State::Winning;
                step.ask(Question::Perform(message.clone()));
            }
            (State::Winning | State::Completing, Say::Cancel) => {
                self.peer.ask_to_stop(step, message);
            }
            (
                State::Deciding(_)
                | State::Bid
                | State::Watching
                | State::Winning
                | State::Completing
                | State::Ended(_),
                _,
            ) => step.out_of_sequence(message),
        }
    }

    /// Whether a call was overtaken by a later one: the auctioneer numbers its acts.
    fn is_older(&self, call: &AclMessage) -> bool {
        let number = |text: Option<&str>| -> Option<u32> { text?.get(1..)?.parse().ok() };
        let newest = self
            .peer
            .last
            .as_ref()
            .filter(|last| last.performative == Performative::Cfp)
            .and_then(|last| number(last.reply_with.as_deref()));
        match (newest, number(call.reply_with.as_deref())) {
            (Some(newest), Some(this)) => this < newest,
            _ => false,
        }
    }

    fn informed(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        let is_end = message
            .user_parameter(AUCTION_PARAMETER)
            .is_some_and(|value| value.eq_ignore_ascii_case("end"));
        if !is_end {
            return;
        }
        let is_mine = message.user_parameters.iter().any(|(key, value)| {
            key.eq_ignore_ascii_case(WINNER_PARAMETER)
                && value.eq_ignore_ascii_case(&step.frame.me.name)
        });
        match self.state {
            State::Deciding(_) | State::Bid | State::Watching if is_mine => {
                // The request to complete the sale is on its way.
                self.is_leading = true;
                self.state = State::Watching;
            }
            State::Deciding(_) | State::Bid | State::Watching => {
                self.peer.last = Some(message.clone());
                self.state = State::Ended(End::Rejected);
            }
            State::Winning | State::Completing | State::Ended(_) => {}
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
            (State::Deciding(called), Decision::Propose { price, content, .. }) => {
                let offered = price.or(called);
                let parameters: Vec<(&str, String)> = offered
                    .iter()
                    .map(|price| (PRICE_PARAMETER, price.to_string()))
                    .collect();
                self.peer
                    .say_by(step, Say::Propose, content, None, &parameters);
                self.state = State::Bid;
                return;
            }
            (State::Deciding(_), Decision::Silent | Decision::Refuse(_)) => {
                self.state = State::Watching;
                return;
            }
            (State::Deciding(_), Decision::NotUnderstood(_)) => {
                (Say::NotUnderstood, State::Ended(End::NotUnderstood))
            }
            (State::Winning, Decision::Agree(_)) => (Say::Agree, State::Completing),
            (State::Winning, Decision::Refuse(_)) => (Say::Refuse, State::Ended(End::Refused)),
            (State::Winning | State::Completing, Decision::Done(_)) => {
                (Say::Inform, State::Ended(End::Done))
            }
            (State::Deciding(_) | State::Winning | State::Completing, Decision::Failed(_)) => {
                (Say::Failure, State::Ended(End::Failed))
            }
            (
                State::Deciding(_)
                | State::Bid
                | State::Watching
                | State::Winning
                | State::Completing
                | State::Ended(_),
                other,
            ) => {
                step.notice(Notice::Misplaced(other.as_str()));
                return;
            }
        };
        self.peer.say(step, act, content_of(&decision));
        self.state = to;
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
            State::Deciding(_)
            | State::Bid
            | State::Watching
            | State::Winning
            | State::Completing => None,
        }
    }

    fn release(&mut self) {
        self.peer.last = None;
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Deciding(_) => "deciding",
            State::Bid => "bid",
            State::Watching if self.is_leading => "leading",
            State::Watching => "watching",
            State::Winning => "winning",
            State::Completing => "completing",
            State::Ended(_) => "ended",
        }
    }

    fn parties(&self) -> Vec<(&Aid, &'static str)> {
        vec![(self.peer.who(), "initiator")]
    }
}
