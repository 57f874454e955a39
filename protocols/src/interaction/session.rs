//! An initiator's sessions: one per participant, each with the act whose answer it awaits (fipa.md d, 1:n).

use super::event::{End, Notice, Part};
use super::frame::{Act, Answers, Mark, Step};
use crate::acl::{AclMessage, Aid, Performative, ReplyWith, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What an initiator knows of one participant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session<S> {
    pub(super) who: Aid,
    /// The act whose answer is awaited.
    pub(super) awaits: Mark,
    /// The cancel whose answer is awaited.
    pub(super) cancel: Option<Cancelling>,
    pub(super) state: S,
    /// When the wait ends.
    pub(super) until: Option<Timestamp>,
    /// The message that brought it into this state.
    pub(super) last: Option<Arc<AclMessage>>,
}

/// A cancel under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cancelling {
    mark: Mark,
    /// When the wait ends that goes on if the participant cannot stop.
    resume: Option<Timestamp>,
}

/// A state of a session, as far as all protocols see it.
pub(super) trait SessionState: Sized {
    /// The session has ended so.
    fn ended(end: End) -> Self;
    /// How it ended; `None` while it is open.
    fn end(&self) -> Option<End>;
}

/// What a message is to the sessions.
pub(super) enum Routed {
    /// An act for this session, to be judged by its protocol's table.
    Act(usize),
    /// Ended this session, or its cancellation; nothing more is to be done for it.
    Handled,
    /// Had no place; was noticed and answered.
    Misfit,
}

impl<S: SessionState> Session<S> {
    pub(super) fn new(who: Aid, state: S) -> Self {
        Self {
            who,
            awaits: 0,
            cancel: None,
            state,
            until: None,
            last: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.end().is_none()
    }

    pub(super) fn finish(&mut self, end: End) {
        if self.is_open() {
            self.state = S::ended(end);
            self.until = None;
            self.cancel = None;
        }
    }

    pub(super) fn part(&self) -> Part {
        Part {
            participant: self.who.clone(),
            end: self.state.end().unwrap_or(End::Abandoned),
            message: self.last.clone(),
        }
    }

    /// Asks the participant to stop. `within` bounds the wait for its word.
    pub(super) fn cancel(&mut self, step: &mut Step<'_>, within: Option<Duration>) {
        if self.is_open() && self.cancel.is_none() {
            let until = within.map(|time| step.now.saturating_add(time));
            let act = Act::new(Performative::Cancel, b"").by(until);
            self.cancel = Some(Cancelling {
                mark: step.say(std::slice::from_ref(&self.who), act),
                resume: self.until,
            });
            self.until = match (self.until, until) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
        }
    }
}

/// Finds the session that a message belongs to, and does what is the same in all protocols: a `not-understood` ends it, a
/// `failure` of the ams counts as the participant's own, the answer to a cancel ends or revives it.
pub(super) fn route<S: SessionState>(
    sessions: &mut [Session<S>],
    step: &mut Step<'_>,
    message: &Arc<AclMessage>,
) -> Routed {
    let Answers::Mark(mark) = step.frame.answered_by(message) else {
        let notice = if is_participant(sessions, message) {
            Notice::OutOfSequence
        } else {
            Notice::Stranger
        };
        step.misfit(message, notice);
        return Routed::Misfit;
    };
    let Some(index) = find(sessions, mark) else {
        let notice = if is_participant(sessions, message) {
            Notice::OutOfSequence
        } else {
            Notice::Stranger
        };
        step.misfit(message, notice);
        return Routed::Misfit;
    };
    let session = &mut sessions[index];
    let is_own = message.sender.as_ref() == Some(&session.who);
    if !is_own && !message.is_delivery_failure() {
        step.misfit(message, Notice::Stranger);
        return Routed::Misfit;
    }
    if !session.is_open() {
        // Let the protocol see it: a late proposal has an answer of its own.
        return Routed::Act(index);
    }
    if let Some(cancel) = session.cancel.filter(|cancel| cancel.mark == mark) {
        session.last = Some(message.clone());
        match message.performative {
            Performative::Inform => session.finish(End::Cancelled),
            Performative::Failure if !is_own => session.finish(End::Failed),
            // It could not stop, or does not know how to: it goes on.
            Performative::Failure | Performative::NotUnderstood => {
                session.cancel = None;
                session.until = cancel.resume;
            }
            _ => {
                step.out_of_sequence(message);
                return Routed::Misfit;
            }
        }
        return Routed::Handled;
    }
    if message.performative == Performative::NotUnderstood {
        session.last = Some(message.clone());
        session.finish(End::NotUnderstood);
        return Routed::Handled;
    }
    if !is_own {
        session.last = Some(message.clone());
        session.finish(End::Failed);
        return Routed::Handled;
    }
    Routed::Act(index)
}

fn find<S>(sessions: &[Session<S>], mark: Mark) -> Option<usize> {
    // The first acts go to the participants in order: most answers are found at once.
    let guess = (mark as usize).wrapping_sub(1);
    if sessions.get(guess).is_some_and(|s| s.awaits == mark) {
        return Some(guess);
    }
    sessions
        .iter()
        .position(|s| s.awaits == mark || s.cancel.is_some_and(|cancel| cancel.mark == mark))
}

fn is_participant<S>(sessions: &[Session<S>], message: &AclMessage) -> bool {
    message
        .sender
        .as_ref()
        .is_some_and(|sender| sessions.iter().any(|s| s.who == *sender))
}

/// The earliest end of a wait among the sessions that are open.
pub(super) fn due<S: SessionState>(sessions: &[Session<S>]) -> Option<Timestamp> {
    sessions
        .iter()
        .filter(|s| s.is_open())
        .filter_map(|s| s.until)
        .min()
}

/// The open sessions of a participant that has ended.
pub(super) fn of<'a, S: SessionState>(
    sessions: &'a mut [Session<S>],
    who: &'a Aid,
) -> impl Iterator<Item = &'a mut Session<S>> {
    sessions
        .iter_mut()
        .filter(move |s| s.is_open() && s.who == *who)
}

/// The best end among the parts: what the whole came to.
pub(super) fn overall(parts: &[Part]) -> End {
    let rank = |end: End| match end {
        End::Done | End::Accepted | End::Committed => 0,
        End::Aborted => 1,
        End::Failed => 2,
        End::InDoubt => 3,
        End::Cancelled => 4,
        End::Down => 5,
        End::Abandoned => 6,
        End::TimedOut => 7,
        End::Undelivered => 8,
        End::Rejected => 9,
        End::Lapsed => 10,
        End::Refused => 11,
        End::NotUnderstood => 12,
        End::Ended => 13,
    };
    parts
        .iter()
        .map(|part| part.end)
        .min_by_key(|end| rank(*end))
        .unwrap_or(End::Ended)
}

/// The in-reply-to of an answer to `message`.
pub(super) fn echo(message: Option<&Arc<AclMessage>>) -> Option<ReplyWith> {
    message.and_then(|message| message.reply_with.clone())
}
