//! From terms to text.

use super::term::{Arguments, Term, is_name, is_sl_number, is_symbol};
use crate::acl::Limits;
use crate::acl::string::{DateToken, push_string};

/// A term that has no form that reads back as the same. Nothing was written; it is for its maker to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A symbol that is no word; text that need not be one is made by [`Term::text`].
    #[error("{0:?} is no word")]
    Symbol(String),
    /// A number that is none.
    #[error("{0:?} is no number")]
    Number(String),
    /// A date that is none.
    #[error("{0:?} is no date-time")]
    Date(String),
    /// The name of a variable or a slot.
    #[error("{0:?} is no name of a variable or a slot")]
    Name(String),
    /// Deeper than [`Limits::depth_max`].
    #[error("more than {limit} levels of parentheses")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
    },
}

/// Writes content: these, as one tuple.
///
/// # Errors
/// [`WriteError`].
pub fn write(terms: &[Term]) -> Result<String, WriteError> {
    let mut out = Vec::new();
    out.push(b'(');
    for (at, term) in terms.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        push(&mut out, term, 1)?;
    }
    out.push(b')');
    Ok(into_text(out))
}

/// Writes a single term.
///
/// # Errors
/// [`WriteError`].
pub fn write_term(term: &Term) -> Result<String, WriteError> {
    let mut out = Vec::new();
    push(&mut out, term, 0)?;
    Ok(into_text(out))
}

fn into_text(out: Vec<u8>) -> String {
    String::from_utf8(out).expect("it was put together from texts")
}

fn push(out: &mut Vec<u8>, term: &Term, depth: usize) -> Result<(), WriteError> {
    match term {
        Term::Symbol(text) => bare(out, text, is_symbol(text), WriteError::Symbol),
        Term::Number(text) => {
            let is_number = is_sl_number(text.as_bytes());
            bare(out, text, is_number, WriteError::Number)
        }
        Term::Date(text) => {
            let is_date = DateToken::read(text.as_bytes()).is_some();
            bare(out, text, is_date, WriteError::Date)
        }
        Term::Variable(name) => {
            out.push(b'?');
            bare(out, name, is_name(name), WriteError::Name)
        }
        Term::String(text) => {
            push_string(out, text.as_bytes());
            Ok(())
        }
        Term::Call(call) => {
            let limit = Limits::default().depth_max;
            if depth >= limit {
                return Err(WriteError::TooDeep { limit });
            }
            out.push(b'(');
            bare(out, &call.head, is_symbol(&call.head), WriteError::Symbol)?;
            match &call.arguments {
                Arguments::Positional(terms) => {
                    for term in terms {
                        out.push(b' ');
                        push(out, term, depth + 1)?;
                    }
                }
                Arguments::Named(slots) => {
                    for (name, term) in slots {
                        out.extend_from_slice(b" :");
                        bare(out, name, is_name(name), WriteError::Name)?;
                        out.push(b' ');
                        push(out, term, depth + 1)?;
                    }
                }
            }
            out.push(b')');
            Ok(())
        }
    }
}

fn bare(
    out: &mut Vec<u8>,
    text: &str,
    is_fit: bool,
    error: fn(String) -> WriteError,
) -> Result<(), WriteError> {
    if !is_fit {
        return Err(error(text.to_owned()));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
