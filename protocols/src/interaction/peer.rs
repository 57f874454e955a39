//! A participant's view of the initiator, and what is the same for participants of all protocols.

use super::event::{Decision, End, Notice, Outcome, Part, Question};
use super::frame::{Act, Answers, Mark, Step};
use crate::acl::{AclMessage, Aid, Performative, ReplyWith, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thin_vec::ThinVec;

/// Whom a participant answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Peer {
    who: Aid,
    /// The reply-to of the call, where it had one.
    answer_to: ThinVec<Aid>,
    /// The reply-with of the message that is being answered.
    pub(super) echo: Option<ReplyWith>,
    /// The latest act of this side that may be answered.
    said: Mark,
    /// A cancel that the agent has not answered yet.
    cancel: Option<Arc<AclMessage>>,
    pub(super) last: Option<Arc<AclMessage>>,
}

/// What a message is to a participant.
pub(super) enum Heard {
    /// An act of the initiator, to be judged by the protocol's table.
    Act,
    /// The initiator did not understand, or could not be reached: this side has ended so.
    Ends(End),
    /// Had no place; was noticed and answered.
    Misfit,
}

impl Peer {
    /// The initiator of the conversation that `call` opens. `None` when nobody is named.
    pub(super) fn of(call: &Arc<AclMessage>) -> Option<Self> {
        Some(Self {
            who: call.sender.clone()?,
            answer_to: call.reply_to.clone(),
            echo: call.reply_with.clone(),
            said: 0,
            cancel: None,
            last: Some(call.clone()),
        })
    }

    pub(super) fn who(&self) -> &Aid {
        &self.who
    }

    /// Does what is the same in all protocols; what is left is for the protocol.
    pub(super) fn route(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) -> Heard {
        let answers = step.frame.answered_by(message);
        if message.is_delivery_failure() && matches!(answers, Answers::Mark(_)) {
            return Heard::Ends(End::Undelivered);
        }
        if message.sender.as_ref() != Some(&self.who) {
            step.misfit(message, Notice::Stranger);
            return Heard::Misfit;
        }
        match (message.performative, answers) {
            // JADE's cancel answers nothing, or repeats an earlier reply-with (fipa.md d, cancel).
            (Performative::Cancel, _) => Heard::Act,
            (Performative::NotUnderstood, Answers::Mark(_)) => Heard::Ends(End::NotUnderstood),
            (_, Answers::Nothing | Answers::Mark(_)) => Heard::Act,
            (_, Answers::Unknown) => {
                step.out_of_sequence(message);
                Heard::Misfit
            }
        }
    }

    /// Whether a message answers the latest act of this side, or does not say what it answers.
    pub(super) fn answers_latest(&self, step: &Step<'_>, message: &AclMessage) -> bool {
        match step.frame.answered_by(message) {
            Answers::Nothing => true,
            Answers::Mark(mark) => mark == self.said,
            Answers::Unknown => false,
        }
    }

    /// Takes the message as the one to be answered from here on.
    pub(super) fn follow(&mut self, message: &Arc<AclMessage>) {
        self.echo = message.reply_with.clone();
        self.last = Some(message.clone());
    }

    /// Says an act in answer to the message followed.
    pub(super) fn say(&mut self, step: &mut Step<'_>, performative: Performative, content: &[u8]) {
        self.say_by(step, performative, content, None, &[]);
    }

    pub(super) fn say_by(
        &mut self,
        step: &mut Step<'_>,
        performative: Performative,
        content: &[u8],
        reply_by: Option<Timestamp>,
        parameters: &[(&str, String)],
    ) {
        let mut act = Act::new(performative, content)
            .answering(self.echo.clone())
            .by(reply_by);
        for (key, value) in parameters {
            act = act.with(key, value);
        }
        self.said = if self.answer_to.is_empty() {
            step.say(std::slice::from_ref(&self.who), act)
        } else {
            step.say(&self.answer_to, act)
        };
    }

    /// Puts a cancel to the agent. A second one while the first is open is noted and answered by the same answer.
    pub(super) fn ask_to_stop(&mut self, step: &mut Step<'_>, cancel: &Arc<AclMessage>) {
        let is_first = self.cancel.is_none();
        self.cancel = Some(cancel.clone());
        if is_first {
            step.ask(Question::Stop(cancel.clone()));
        }
    }

    /// Confirms a cancel at once: nothing had been started.
    pub(super) fn confirm_cancel(&mut self, step: &mut Step<'_>, cancel: &AclMessage) {
        step.answer(cancel, Performative::Inform, b"(cancelled)");
    }

    /// The agent's answer to a cancel. `Some(end)` when it has stopped; `None` when it goes on. Any other decision is given
    /// back.
    pub(super) fn answer_cancel(
        &mut self,
        step: &mut Step<'_>,
        decision: Decision,
    ) -> Result<Option<End>, Decision> {
        let (is_stopped, content) = match decision {
            Decision::Stopped(content) => (true, content),
            Decision::GoOn(content) => (false, content),
            other => return Err(other),
        };
        let Some(cancel) = self.cancel.take() else {
            step.notice(Notice::Misplaced("stopped"));
            return Ok(None);
        };
        if is_stopped {
            step.answer(&cancel, Performative::Inform, &content);
            Ok(Some(End::Cancelled))
        } else {
            step.answer(&cancel, Performative::Failure, &content);
            Ok(None)
        }
    }

    /// After the end: what still needs an answer gets one.
    pub(super) fn late(&mut self, step: &mut Step<'_>, message: &AclMessage, end: Option<End>) {
        step.notice(Notice::Late);
        if message.sender.as_ref() != Some(&self.who) {
            return;
        }
        match (message.performative, end) {
            (Performative::Cancel, Some(End::Cancelled)) => {
                step.answer(message, Performative::Inform, b"(cancelled)");
            }
            (Performative::Cancel, _) => {
                step.answer(message, Performative::Failure, b"(already-ended)");
            }
            (Performative::AcceptProposal | Performative::Request | Performative::Cfp, _) => {
                step.answer(message, Performative::Failure, b"(too-late)");
            }
            _ => {}
        }
    }

    pub(super) fn outcome(&self, end: End) -> Outcome {
        Outcome {
            end,
            parts: vec![Part {
                participant: self.who.clone(),
                end,
                message: self.last.clone(),
            }],
        }
    }
}
