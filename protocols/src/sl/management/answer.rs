//! The content of answers, notifications and subscriptions.

use super::{Action, Reason};
use crate::acl::{Aid, Reading};
use crate::sl::Term;

/// What an AMS or a DF answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `((done action))`.
    Done(Action),
    /// `((result action value))`, the value's members where it is a set or a sequence.
    Result(Action, Vec<Term>),
    /// `((action …) reason)`, or a reason alone: of a refuse, failure or not-understood.
    Reason(Option<Action>, Reason),
}

impl Answer {
    /// Reads the content of an answer; none where it is none of this ontology.
    #[must_use]
    pub fn read(content: &[Term], reading: &Reading) -> Option<Self> {
        match content {
            [only] => {
                if let Some([action]) = only.as_call("done").and_then(|done| done.positional()) {
                    return Action::read(action, reading).ok().map(Self::Done);
                }
                let result = only
                    .as_call("result")
                    .and_then(|result| result.positional());
                if let Some([action, value]) = result {
                    let values = match value.as_members() {
                        Some(members) => members.to_vec(),
                        None => vec![value.clone()],
                    };
                    let action = Action::read(action, reading).ok()?;
                    return Some(Self::Result(action, values));
                }
                Reason::read(only).map(|reason| Self::Reason(None, reason))
            }
            [action, reason] => {
                let reason = Reason::read(reason)?;
                Some(Self::Reason(Action::read(action, reading).ok(), reason))
            }
            _ => None,
        }
    }
}

/// The content of an inform: it is done.
#[must_use]
pub fn done(action: &Action) -> Vec<Term> {
    vec![Term::call("done", vec![action.term()])]
}

/// The content of an inform: these were found.
#[must_use]
pub fn result(action: &Action, found: Vec<Term>) -> Vec<Term> {
    vec![Term::call(
        "result",
        vec![action.term(), Term::sequence(found)],
    )]
}

/// The content of a refuse of an action.
#[must_use]
pub fn refused(action: &Action, reason: &Reason) -> Vec<Term> {
    vec![action.term(), reason.term()]
}

/// The content of a failure of an action: as that of a refuse.
#[must_use]
pub fn failed(action: &Action, reason: &Reason) -> Vec<Term> {
    refused(action, reason)
}

/// The content of a subscription to what a search finds: `((iota ?x (result action ?x)))`.
#[must_use]
pub fn subscription(search: &Action) -> Vec<Term> {
    vec![found_by(search)]
}

/// The search whose results a subscription wants to hear of.
///
/// # Errors
/// The [`Reason`] to answer with, where it is no such subscription.
pub fn subscribed(content: &[Term], reading: &Reading) -> Result<Action, Reason> {
    let iota = match content {
        [only] => only.as_call("iota").and_then(|iota| iota.positional()),
        _ => None,
    };
    let found = match iota {
        Some([Term::Variable(_), result]) => result.as_call("result"),
        _ => None,
    };
    match found.and_then(|result| result.positional()) {
        Some([action, Term::Variable(_)]) => Action::read(action, reading),
        _ => Err(Reason::UnrecognisedValue("content".to_owned())),
    }
}

/// The content of a notification of a subscription: `((= (iota …) (sequence …)))`.
#[must_use]
pub fn notification(search: &Action, found: Vec<Term>) -> Vec<Term> {
    vec![Term::call(
        "=",
        vec![found_by(search), Term::sequence(found)],
    )]
}

fn found_by(search: &Action) -> Term {
    let x = || Term::Variable("x".to_owned());
    let result = Term::call("result", vec![search.term(), x()]);
    Term::call("iota", vec![x(), result])
}

/// The content of a failure that an AMS sends for a message which could not be delivered (fipa.md a.2, R7).
#[must_use]
pub fn delivery_failure(sender: &Aid, receiver: &Aid, why: &str) -> Vec<Term> {
    vec![
        Term::call(
            "action",
            vec![Term::aid(sender), Term::call("ACLMessage", Vec::new())],
        ),
        Term::call(
            "MTS-error",
            vec![Term::aid(receiver), Term::String(why.to_owned())],
        ),
    ]
}
