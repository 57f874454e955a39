//! What all codecs of ACL messages share: in what circumstances a message is read, and what may be wrong with it.

use super::Timestamp;
use std::fmt;

/// The circumstances in which a message is read. Nothing in here is looked up: the reader is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What a relative `reply-by` counts from.
    pub now: Timestamp,
    /// How much later than UTC the local time of the reader is, in minutes: what a date without a `Z` is taken to be in.
    /// Default 0.
    pub local_offset_minutes: i32,
    /// The charset of the text. Default UTF-8.
    pub charset: Charset,
    /// What is too much.
    pub limits: Limits,
}

impl Reading {
    /// UTF-8, local time is UTC, the default limits.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            local_offset_minutes: 0,
            charset: Charset::Utf8,
            limits: Limits::default(),
        }
    }
}

/// What a message may be at most. Beyond it the message is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole message. Default 4 MiB: more than ten times what agents were seen to send.
    pub bytes_max: usize,
    /// Levels of parentheses. Default 32: a message itself needs five. A higher value costs stack, about 200 bytes a level.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 4 << 20,
            depth_max: 32,
        }
    }
}

/// How the bytes of a text are read. What Swarm writes is UTF-8 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, and with it US-ASCII.
    #[default]
    Utf8,
    /// ISO-8859-1: every byte is the character of that number, so that every text can be read.
    Latin1,
}

impl Charset {
    /// The charset of that name (an IANA name, in any case); none where it is not known here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        const UTF8: [&str; 6] = [
            "utf-8",
            "utf8",
            "us-ascii",
            "ascii",
            "iso646-us",
            "ansi_x3.4-1968",
        ];
        const LATIN1: [&str; 4] = ["iso-8859-1", "iso8859-1", "iso8859_1", "latin1"];
        let is_in = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_in(&UTF8) {
            Some(Self::Utf8)
        } else if is_in(&LATIN1) {
            Some(Self::Latin1)
        } else {
            None
        }
    }

    /// The text that these bytes are; where they are none, the index of the first that is wrong.
    pub(crate) fn text(self, bytes: &[u8]) -> Result<String, usize> {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(error) => Err(error.valid_up_to()),
            },
            Self::Latin1 => Ok(bytes.iter().copied().map(char::from).collect()),
        }
    }
}

/// Where a message is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: usize,
    /// Its line, from 1; 0 where the form of the message has no lines. A line ends with LF.
    pub line: usize,
    /// Its column, from 1, in characters where the line is UTF-8; 0 where there are no lines.
    pub column: usize,
}

impl Place {
    /// A place in something that has no lines.
    pub(crate) fn in_binary(offset: usize) -> Self {
        Self {
            offset,
            line: 0,
            column: 0,
        }
    }

    pub(crate) fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let is_continuation = |byte: &&u8| **byte & 0xc0 == 0x80;
        let line_bytes = &before[line_start..];
        Self {
            offset,
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: line_bytes.len() - line_bytes.iter().filter(is_continuation).count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "byte {}", self.offset);
        }
        write!(
            f,
            "line {}, column {} (byte {})",
            self.line, self.column, self.offset
        )
    }
}

/// A message that cannot be read. The same bytes fail again; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is longer than [`Limits::bytes_max`].
    #[error("{length} bytes, and {limit} are the limit")]
    TooLong {
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// It is nested deeper than [`Limits::depth_max`].
    #[error("more than {limit} levels of parentheses")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
    },
    /// Something else should stand there.
    #[error("expected {what}, found {found}")]
    Expected {
        /// What should.
        what: &'static str,
        /// What does, cut short.
        found: String,
    },
    /// No such act.
    #[error("{0:?} is none of the 22 communicative acts")]
    UnknownAct(String),
    /// No such parameter of a message, nor one that starts with `X-`.
    #[error(
        "no parameter :{0} (one of sender, receiver, reply-to, content, language, encoding, ontology, protocol, conversation-id, reply-with, in-reply-to, reply-by, X-…)"
    )]
    UnknownParameter(String),
    /// No such slot of an agent identifier, nor one that starts with `X-`.
    #[error("no slot :{0} of an agent identifier (one of name, addresses, resolvers, X-…)")]
    UnknownSlot(String),
    /// An agent identifier has no name, or an empty one.
    #[error("an agent identifier without a name")]
    NoName,
    /// A string starts here and does not end.
    #[error("a string that starts here is never closed")]
    UnclosedString,
    /// A byte-length string is longer than what is left.
    #[error("{declared} bytes announced, {left} left")]
    TooFewBytes {
        /// How many bytes it should have.
        declared: u64,
        /// How many there are.
        left: usize,
    },
    /// Bytes that are no text in the charset of the message.
    #[error("not text in {0:?}")]
    NotText(Charset),
    /// A date that is none.
    #[error("{0:?} is no date-time such as 20260101T120000000Z")]
    BadDate(String),
    /// No user-defined name: `X-` and a word.
    #[error("{0:?} is no name of a user-defined parameter: X- and a word")]
    UserName(String),
    /// The form refers to a code table, which only the peers of a connection share.
    #[error("an entry of a code table, which a single message does not bring along")]
    CodeTable,
    /// No JSON, or not of the schema; what the JSON reader says.
    #[error("{0}")]
    Json(String),
    /// Content that is said to be Base64 and is not.
    #[error("the content is said to be Base64 and is not")]
    BadBase64,
}

/// A message that cannot be written so that it reads back as the same. Nothing was written; it is for its maker to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// The name of a user-defined parameter or slot does not start with `X-`, or holds what no word can.
    #[error("{0:?} is no name of a user-defined parameter: X- and a word")]
    UserName(String),
    /// `X-JADE-Encoding: Base64` would have the reader decode content that was never encoded.
    #[error("the parameter X-JADE-Encoding is written by the codec alone")]
    ReservedParameter,
    /// An address is empty or holds a blank, a control character or a parenthesis.
    #[error("{0:?} cannot be written as an address")]
    Address(String),
    /// An agent identifier without a name.
    #[error("an agent identifier without a name")]
    NoName,
    /// Resolvers of resolvers beyond [`Limits::depth_max`].
    #[error("resolvers within resolvers, deeper than {limit} levels of parentheses")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
    },
}

/// How much of what was found is told.
const FOUND_CHARS_MAX: usize = 24;

/// What stands there, as it is told in an error.
pub(crate) fn found(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return "the end".to_owned();
    }
    let end = rest.len().min(4 * FOUND_CHARS_MAX);
    let text = String::from_utf8_lossy(&rest[..end]);
    let shown: String = text.chars().take(FOUND_CHARS_MAX).collect();
    let cut = if shown.len() < rest.len() { "…" } else { "" };
    format!("{shown:?}{cut}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "é\nab\nüx!".as_bytes();
        let at = text.len() - 1;
        let place = Place::of(text, at);
        assert_eq!((place.offset, place.line, place.column), (9, 3, 3));
        assert_eq!(place.to_string(), "line 3, column 3 (byte 9)");
    }

    #[test]
    fn what_was_found_is_cut_short_at_a_character() {
        assert_eq!(found(b"ab", 2), "the end");
        assert_eq!(found(b"ab", 0), "\"ab\"");
        let long = "é".repeat(100);
        assert!(found(long.as_bytes(), 0).ends_with("é\"…"));
    }
}
