//! Why something was not understood, refused or failed.

use crate::acl::Performative;
use crate::sl::Term;

/// A reason of the ontology (fipa.md e.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not understood: no such act.
    UnsupportedAct(String),
    /// Not understood: an act that makes no sense here.
    UnexpectedAct(String),
    /// Not understood: a value that is not supported, such as a language.
    UnsupportedValue(String),
    /// Not understood: a value that means nothing, such as content that is no SL.
    UnrecognisedValue(String),
    /// Refused: the sender may not do that.
    Unauthorised,
    /// Refused: no such function.
    UnsupportedFunction(String),
    /// Refused: an argument is missing.
    MissingArgument,
    /// Refused: an argument too many.
    UnexpectedArgument,
    /// Refused: another number of arguments is wanted.
    UnexpectedArgumentCount,
    /// Refused: an object lacks a slot.
    MissingParameter {
        /// The object.
        object: String,
        /// The slot.
        parameter: String,
    },
    /// Refused: an object has a slot that it should not have.
    UnexpectedParameter {
        /// The object.
        object: String,
        /// The slot.
        parameter: String,
    },
    /// Refused: a slot holds what it cannot.
    UnrecognisedParameterValue {
        /// The object.
        object: String,
        /// The slot.
        parameter: String,
    },
    /// Failed: there is such an entry.
    AlreadyRegistered,
    /// Failed: there is no such entry.
    NotRegistered,
    /// Failed for a reason of its own.
    InternalError(String),
}

impl Reason {
    /// The act by which it is told.
    #[must_use]
    pub fn performative(&self) -> Performative {
        match self {
            Self::UnsupportedAct(_)
            | Self::UnexpectedAct(_)
            | Self::UnsupportedValue(_)
            | Self::UnrecognisedValue(_) => Performative::NotUnderstood,
            Self::Unauthorised
            | Self::UnsupportedFunction(_)
            | Self::MissingArgument
            | Self::UnexpectedArgument
            | Self::UnexpectedArgumentCount
            | Self::MissingParameter { .. }
            | Self::UnexpectedParameter { .. }
            | Self::UnrecognisedParameterValue { .. } => Performative::Refuse,
            Self::AlreadyRegistered | Self::NotRegistered | Self::InternalError(_) => {
                Performative::Failure
            }
        }
    }

    /// Its predicate.
    #[must_use]
    pub fn term(&self) -> Term {
        let symbol = |word: &str| Term::Symbol(word.to_owned());
        let about = |word: &str, what: &str| Term::call(word, vec![Term::text(what)]);
        let slot = |word: &str, object: &str, parameter: &str| {
            Term::call(word, vec![Term::text(object), Term::text(parameter)])
        };
        match self {
            Self::UnsupportedAct(act) => about("unsupported-act", act),
            Self::UnexpectedAct(act) => about("unexpected-act", act),
            Self::UnsupportedValue(value) => about("unsupported-value", value),
            Self::UnrecognisedValue(value) => about("unrecognised-value", value),
            Self::Unauthorised => symbol("unauthorised"),
            Self::UnsupportedFunction(function) => about("unsupported-function", function),
            Self::MissingArgument => symbol("missing-argument"),
            Self::UnexpectedArgument => symbol("unexpected-argument"),
            Self::UnexpectedArgumentCount => symbol("unexpected-argument-count"),
            Self::MissingParameter { object, parameter } => {
                slot("missing-parameter", object, parameter)
            }
            Self::UnexpectedParameter { object, parameter } => {
                slot("unexpected-parameter", object, parameter)
            }
            Self::UnrecognisedParameterValue { object, parameter } => {
                slot("unrecognised-parameter-value", object, parameter)
            }
            Self::AlreadyRegistered => symbol("already-registered"),
            Self::NotRegistered => symbol("not-registered"),
            Self::InternalError(text) => {
                Term::call("internal-error", vec![Term::String(text.clone())])
            }
        }
    }

    /// Reads a predicate, bare or in parentheses; none where it is no reason of this ontology.
    #[must_use]
    pub fn read(term: &Term) -> Option<Self> {
        let (head, arguments) = match term {
            Term::Symbol(head) => (head.as_str(), &[][..]),
            Term::Call(call) => (call.head.as_str(), call.positional()?),
            _ => return None,
        };
        let texts: Vec<String> = arguments
            .iter()
            .map(|argument| argument.as_text().map(str::to_owned))
            .collect::<Option<_>>()?;
        let head = head.to_ascii_lowercase();
        Some(match (head.as_str(), texts.as_slice()) {
            ("unsupported-act", [act]) => Self::UnsupportedAct(act.clone()),
            ("unexpected-act", [act]) => Self::UnexpectedAct(act.clone()),
            ("unsupported-value", [value]) => Self::UnsupportedValue(value.clone()),
            ("unrecognised-value", [value]) => Self::UnrecognisedValue(value.clone()),
            ("unauthorised", []) => Self::Unauthorised,
            ("unsupported-function", [function]) => Self::UnsupportedFunction(function.clone()),
            ("missing-argument", []) => Self::MissingArgument,
            ("unexpected-argument", []) => Self::UnexpectedArgument,
            ("unexpected-argument-count", []) => Self::UnexpectedArgumentCount,
            ("missing-parameter", [object, parameter]) => Self::MissingParameter {
                object: object.clone(),
                parameter: parameter.clone(),
            },
            ("unexpected-parameter", [object, parameter]) => Self::UnexpectedParameter {
                object: object.clone(),
                parameter: parameter.clone(),
            },
            ("unrecognised-parameter-value", [object, parameter]) => {
                Self::UnrecognisedParameterValue {
                    object: object.clone(),
                    parameter: parameter.clone(),
                }
            }
            ("already-registered", []) => Self::AlreadyRegistered,
            ("not-registered", []) => Self::NotRegistered,
            ("internal-error", [text]) => Self::InternalError(text.clone()),
            _ => return None,
        })
    }
}
