//! Tokens of the string form.

use super::spelling::{is_blank, is_delimiter};
use crate::acl::codec::{Fault, ParseError, Place, Reading, found};

/// A place in a message that is read from front to back.
pub(crate) struct Lexer<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) reading: &'a Reading,
    depth: usize,
}

/// One value that is no list.
pub(crate) enum Scalar<'a> {
    /// A bare token: word, number or date.
    Bare(&'a [u8]),
    /// The inside of a literal, `\"` still in it.
    Literal(&'a [u8]),
    /// A byte-length string.
    Bytes(&'a [u8]),
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(bytes: &'a [u8], reading: &'a Reading) -> Self {
        Self {
            bytes,
            at: 0,
            reading,
            depth: 0,
        }
    }

    pub(crate) fn skip_blanks(&mut self) {
        while self.bytes.get(self.at).copied().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn fault(&self, at: usize, fault: Fault) -> ParseError {
        ParseError {
            place: Place::of(self.bytes, at),
            fault,
        }
    }

    pub(crate) fn expected(&self, what: &'static str) -> ParseError {
        let found = found(self.bytes, self.at);
        self.fault(self.at, Fault::Expected { what, found })
    }

    /// Takes `(` and goes one level down.
    pub(crate) fn open(&mut self, what: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(b'(') {
            return Err(self.expected(what));
        }
        let limit = self.reading.limits.depth_max;
        if self.depth == limit {
            return Err(self.fault(self.at, Fault::TooDeep { limit }));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Takes `)` if it is there, and goes one level up.
    pub(crate) fn close(&mut self) -> bool {
        let is_there = self.peek() == Some(b')');
        if is_there {
            self.at += 1;
            self.depth -= 1;
        }
        is_there
    }

    /// Takes a bare token, whatever it begins with.
    pub(crate) fn token(&mut self, what: &'static str) -> Result<&'a [u8], ParseError> {
        self.skip_blanks();
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|&byte| is_delimiter(byte))
            .unwrap_or(rest.len());
        let token = &rest[..length];
        if let Some(control) = token.iter().position(|&byte| byte < b' ') {
            self.at += control;
            return Err(self.expected("no control character in a word"));
        }
        if token.is_empty() {
            return Err(self.expected(what));
        }
        self.at += length;
        Ok(token)
    }

    /// Takes that word, in any case.
    pub(crate) fn keyword(&mut self, word: &str, what: &'static str) -> Result<(), ParseError> {
        self.skip_blanks();
        let start = self.at;
        if self.token(what)?.eq_ignore_ascii_case(word.as_bytes()) {
            return Ok(());
        }
        self.at = start;
        Err(self.expected(what))
    }

    /// Takes `:name`. Names other than those that start with `X-` end at a quote or `#` too, as the value may follow without
    /// a blank.
    pub(crate) fn name(&mut self, what: &'static str) -> Result<&'a [u8], ParseError> {
        if self.peek() != Some(b':') {
            return Err(self.expected(what));
        }
        self.at += 1;
        let start = self.at;
        if self.bytes.get(start).copied().is_none_or(is_delimiter) {
            return Err(self.expected("a name after the colon"));
        }
        let token = self.token(what)?;
        if matches!(token, [b'X' | b'x', b'-', ..]) {
            return Ok(token);
        }
        let end = token
            .iter()
            .position(|byte| matches!(byte, b'"' | b'#'))
            .unwrap_or(token.len());
        self.at = start + end;
        Ok(&token[..end])
    }

    /// Takes a word, number, date or string.
    pub(crate) fn scalar(&mut self, what: &'static str) -> Result<Scalar<'a>, ParseError> {
        match self.peek() {
            Some(b'"') => self.literal().map(Scalar::Literal),
            Some(b'#') => self.byte_string(what).map(Scalar::Bytes),
            _ => self.token(what).map(Scalar::Bare),
        }
    }

    /// Takes a literal: it ends at the first quote without a backslash in front (fipa.md b.2).
    fn literal(&mut self) -> Result<&'a [u8], ParseError> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            let Some(offset) = self.bytes[end..].iter().position(|&byte| byte == b'"') else {
                return Err(self.fault(start - 1, Fault::UnclosedString));
            };
            end += offset;
            if end == start || self.bytes[end - 1] != b'\\' {
                break;
            }
            end += 1;
        }
        self.at = end + 1;
        Ok(&self.bytes[start..end])
    }

    /// Takes `#n"` and n bytes. A plus sign before the number is JADE's leniency (fipa.md b.3).
    fn byte_string(&mut self, what: &'static str) -> Result<&'a [u8], ParseError> {
        let head = self.at;
        let mut at = head + 1;
        if self.bytes.get(at) == Some(&b'+') {
            at += 1;
        }
        let digits = at;
        let mut declared = 0_u64;
        while let Some(digit) = self.bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            declared = declared
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
            at += 1;
        }
        if at == digits || self.bytes.get(at) != Some(&b'"') {
            return Err(self.expected(what));
        }
        let start = at + 1;
        let left = self.bytes.len() - start;
        let length = usize::try_from(declared)
            .ok()
            .filter(|&length| length <= left)
            .ok_or_else(|| self.fault(head, Fault::TooFewBytes { declared, left }))?;
        self.at = start + length;
        Ok(&self.bytes[start..start + length])
    }

    /// The offset of a part of the message.
    fn offset_of(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.bytes.as_ptr().addr()
    }

    /// Text as it is.
    pub(crate) fn text(&self, part: &'a [u8]) -> Result<String, ParseError> {
        let charset = self.reading.charset;
        charset
            .text(part)
            .map_err(|at| self.fault(self.offset_of(part) + at, Fault::NotText(charset)))
    }

    /// The inside of a literal as text.
    pub(crate) fn literal_text(&self, inside: &'a [u8]) -> Result<String, ParseError> {
        let mut text = self.text(inside)?;
        if text.contains("\\\"") {
            text = text.replace("\\\"", "\"");
        }
        Ok(text)
    }
}
