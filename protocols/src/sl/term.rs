//! The syntax tree.

use crate::acl::string::spelling::{is_number, is_user_name};
use crate::acl::string::{DateToken, spell_date};
use crate::acl::{Aid, Reading, Timestamp};

/// Anything that content consists of: terms, actions and formulas alike, as their syntax is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A word: a constant or a proposition without arguments.
    Symbol(String),
    /// `?name`, without the question mark.
    Variable(String),
    /// Text in quotes.
    String(String),
    /// A number, as it is spelled.
    Number(String),
    /// An absolute or relative date-time, as it is spelled.
    Date(String),
    /// Anything in parentheses: `(set a b)`, `(action aid act)`, `(iota ?x p)`, `(= a b)`, `(description :name x)`.
    Call(Call),
}

/// A head and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function, predicate or operator. Heads are compared without regard to ASCII case.
    pub head: String,
    /// What it is applied to.
    pub arguments: Arguments,
}

/// The arguments of a call: either by position or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// By position; none at all is this, too.
    Positional(Vec<Term>),
    /// By name, without the colon, in their order. Names are compared without regard to ASCII case.
    Named(Vec<(String, Term)>),
}

impl Term {
    /// A call with arguments by position.
    #[must_use]
    pub fn call(head: &str, arguments: Vec<Self>) -> Self {
        Self::Call(Call {
            head: head.to_owned(),
            arguments: Arguments::Positional(arguments),
        })
    }

    /// A call with arguments by name; one without any is by position, as nobody can tell the two apart.
    #[must_use]
    pub fn described(head: &str, slots: Vec<(String, Self)>) -> Self {
        let arguments = if slots.is_empty() {
            Arguments::Positional(Vec::new())
        } else {
            Arguments::Named(slots)
        };
        Self::Call(Call {
            head: head.to_owned(),
            arguments,
        })
    }

    /// Text as a constant: bare where it can be a word, else in quotes.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if is_symbol(&text) {
            Self::Symbol(text)
        } else {
            Self::String(text)
        }
    }

    /// A whole number.
    #[must_use]
    pub fn integer(number: i64) -> Self {
        Self::Number(number.to_string())
    }

    /// An absolute date in UTC.
    #[must_use]
    pub fn date(time: Timestamp) -> Self {
        Self::Date(spell_date(time))
    }

    /// The set of these.
    #[must_use]
    pub fn set(terms: Vec<Self>) -> Self {
        Self::call("set", terms)
    }

    /// The sequence of these.
    #[must_use]
    pub fn sequence(terms: Vec<Self>) -> Self {
        Self::call("sequence", terms)
    }

    /// An agent identifier.
    #[must_use]
    pub fn aid(aid: &Aid) -> Self {
        let mut slots = vec![("name".to_owned(), Self::text(aid.name.as_str()))];
        if !aid.addresses.is_empty() {
            let urls = aid.addresses.iter().map(|url| Self::text(url.as_str()));
            slots.push(("addresses".to_owned(), Self::sequence(urls.collect())));
        }
        if !aid.resolvers.is_empty() {
            let resolvers = aid.resolvers.iter().map(Self::aid).collect();
            slots.push(("resolvers".to_owned(), Self::sequence(resolvers)));
        }
        for (name, value) in &aid.user_slots {
            slots.push((name.clone(), Self::text(value.as_str())));
        }
        Self::described("agent-identifier", slots)
    }

    /// What a constant says, be it a word, text, number or date.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Symbol(text) | Self::String(text) | Self::Number(text) | Self::Date(text) => {
                Some(text)
            }
            Self::Variable(_) | Self::Call(_) => None,
        }
    }

    /// The whole number that this is.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The instant of an absolute date. A relative one is none: nobody on a FIPA platform understands it in content
    /// (fipa.md b.4).
    #[must_use]
    pub fn as_date(&self, reading: &Reading) -> Option<Timestamp> {
        match self {
            Self::Date(text) if !text.starts_with(['+', '-']) => {
                DateToken::read(text.as_bytes())?.instant(reading)
            }
            _ => None,
        }
    }

    /// The call, if its head is that one.
    #[must_use]
    pub fn as_call(&self, head: &str) -> Option<&Call> {
        match self {
            Self::Call(call) if call.head.eq_ignore_ascii_case(head) => Some(call),
            _ => None,
        }
    }

    /// The members of a set or a sequence: which of the two is not told apart, as agents mix them up (fipa.md e.2).
    #[must_use]
    pub fn as_members(&self) -> Option<&[Self]> {
        self.as_call("set")
            .or_else(|| self.as_call("sequence"))?
            .positional()
    }

    /// The agent identifier that this is.
    #[must_use]
    pub fn as_aid(&self) -> Option<Aid> {
        let Arguments::Named(slots) = &self.as_call("agent-identifier")?.arguments else {
            return None;
        };
        let mut aid = Aid::named("");
        for (name, value) in slots {
            match name.to_ascii_lowercase().as_str() {
                "name" => aid.name = value.as_text()?.into(),
                "addresses" => {
                    let urls = value.as_members()?.iter();
                    aid.addresses = urls
                        .map(|url| url.as_text().map(str::to_owned))
                        .collect::<Option<_>>()?;
                }
                "resolvers" => {
                    let resolvers = value.as_members()?.iter();
                    aid.resolvers = resolvers.map(Self::as_aid).collect::<Option<_>>()?;
                }
                _ if is_user_name(name) => {
                    let text = value.as_text()?.to_owned();
                    aid.user_slots.push((name.clone(), text));
                }
                _ => return None,
            }
        }
        (!aid.name.is_empty()).then_some(aid)
    }
}

impl Call {
    /// The arguments, if they are by position.
    #[must_use]
    pub fn positional(&self) -> Option<&[Term]> {
        match &self.arguments {
            Arguments::Positional(terms) => Some(terms),
            Arguments::Named(_) => None,
        }
    }

    /// The arguments by name; none at all counts as that, too.
    #[must_use]
    pub fn named(&self) -> Option<&[(String, Term)]> {
        match &self.arguments {
            Arguments::Named(slots) => Some(slots),
            Arguments::Positional(terms) if terms.is_empty() => Some(&[]),
            Arguments::Positional(_) => None,
        }
    }
}

/// Whether the text can stand bare and is then read as a word.
pub(super) fn is_symbol(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_first = matches!(bytes.first(), Some(first) if !b"\"#:-?0123456789".contains(first));
    is_first
        && !is_sl_number(bytes)
        && DateToken::read(bytes).is_none()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'"'))
}

/// Whether the text can be the name of a variable or of a slot.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'"' | b'#'))
}

/// A number as SL has them: those of ACL, and hexadecimal ones.
pub(super) fn is_sl_number(token: &[u8]) -> bool {
    let unsigned = match token {
        [b'+' | b'-', rest @ ..] => rest,
        _ => token,
    };
    match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
        }
        _ => is_number(token),
    }
}
