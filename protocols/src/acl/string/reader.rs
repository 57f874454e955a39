//! From bytes to a message.

use super::date::DateToken;
use super::lexer::{Lexer, Scalar};
use super::spelling::{is_number, is_readable_word, is_user_name};
use super::{BASE64, JADE_ENCODING};
use crate::acl::codec::{Charset, Fault, ParseError, Reading};
use crate::acl::{AclMessage, Aid, Performative, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::str::FromStr;

/// Reads one message. Blanks in front of it and whatever follows its closing parenthesis are ignored, as JADE does.
///
/// A parameter that stands twice counts as it stands last; user-defined ones are kept all. Content is kept byte by byte
/// where the charset is UTF-8, valid or not; all other text must be of the charset. Takes time in proportion to the length,
/// and memory of a small multiple of it.
///
/// # Errors
/// [`ParseError`] with the place, for everything that neither the standard nor JADE would read, and for what is beyond the
/// limits. Dates that do not exist, agent identifiers without a name and strings that never end are refused although JADE
/// takes them.
pub fn parse(bytes: &[u8], reading: &Reading) -> Result<AclMessage, ParseError> {
    let mut lexer = Lexer::new(bytes, reading);
    let (length, limit) = (bytes.len(), reading.limits.bytes_max);
    if length > limit {
        return Err(lexer.fault(0, Fault::TooLong { length, limit }));
    }
    lexer.message()
}

impl Lexer<'_> {
    fn message(&mut self) -> Result<AclMessage, ParseError> {
        const END: &str = "a parameter or the closing parenthesis of the message";
        self.open("the opening parenthesis of a message")?;
        let mut message = AclMessage::new(self.act()?);
        let mut jade_encoding = None;
        while !self.close() {
            let start = self.at;
            let name = self.name(END)?;
            self.parameter(&mut message, start, name)?;
            if name.eq_ignore_ascii_case(JADE_ENCODING.as_bytes()) {
                jade_encoding = Some(start);
            }
        }
        match jade_encoding {
            Some(place) => self.decode_content(message, place),
            None => Ok(message),
        }
    }

    fn act(&mut self) -> Result<Performative, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let token = self.token("a communicative act")?;
        let word = String::from_utf8_lossy(token);
        Performative::from_str(&word)
            .map_err(|unknown| self.fault(start, Fault::UnknownAct(cut(&unknown.0))))
    }

    fn parameter(
        &mut self,
        message: &mut AclMessage,
        start: usize,
        name: &[u8],
    ) -> Result<(), ParseError> {
        let mut lower = [0_u8; 16];
        match folded(name, &mut lower) {
            b"sender" => message.sender = Some(self.aid()?),
            b"receiver" => message.receiver = self.aid_set()?,
            b"reply-to" => message.reply_to = self.aid_set()?.into(),
            b"content" => message.content = Some(self.content()?),
            b"language" => message.language = Some(self.expression()?.into()),
            b"encoding" => message.encoding = Some(self.expression()?.into()),
            b"ontology" => message.ontology = Some(self.expression()?.into()),
            b"protocol" => {
                message.protocol = Some(self.word("a protocol: a word or a string")?.into())
            }
            b"conversation-id" => message.conversation_id = Some(self.expression()?.into()),
            b"reply-with" => message.reply_with = Some(self.expression()?.into()),
            b"in-reply-to" => message.in_reply_to = Some(self.expression()?.into()),
            b"reply-by" => message.reply_by = Some(self.date()?),
            _ => {
                let name = self.user_name(start, name, Fault::UnknownParameter)?;
                message.user_parameters.push((name, self.expression()?));
            }
        }
        Ok(())
    }

    fn user_name(
        &self,
        start: usize,
        name: &[u8],
        unknown: fn(String) -> Fault,
    ) -> Result<String, ParseError> {
        let charset = self.reading.charset;
        let name = charset
            .text(name)
            .map_err(|at| self.fault(start + 1 + at, Fault::NotText(charset)))?;
        if is_user_name(&name) {
            return Ok(name);
        }
        Err(self.fault(start, unknown(cut(&name))))
    }

    fn aid_set(&mut self) -> Result<Vec<Aid>, ParseError> {
        self.open("a set of agent identifiers")?;
        self.keyword("set", "the word `set`")?;
        self.aids()
    }

    /// Agent identifiers up to a closing parenthesis.
    fn aids(&mut self) -> Result<Vec<Aid>, ParseError> {
        let mut aids = Vec::new();
        while !self.close() {
            aids.push(self.aid()?);
        }
        Ok(aids)
    }

    fn aid(&mut self) -> Result<Aid, ParseError> {
        self.open("an agent identifier")?;
        let start = self.at - 1;
        self.keyword("agent-identifier", "the word `agent-identifier`")?;
        let mut aid = Aid::named("");
        while !self.close() {
            let start = self.at;
            let name = self.name("a slot or the closing parenthesis of the agent identifier")?;
            let mut lower = [0_u8; 16];
            match folded(name, &mut lower) {
                b"name" => aid.name = self.word("a name: a word or a string")?.into(),
                b"addresses" => aid.addresses = self.urls()?.into(),
                b"resolvers" => {
                    self.open("a sequence of agent identifiers")?;
                    self.keyword("sequence", "the word `sequence`")?;
                    aid.resolvers = self.aids()?.into();
                }
                _ => {
                    let name = self.user_name(start, name, Fault::UnknownSlot)?;
                    aid.user_slots.push((name, self.expression()?));
                }
            }
        }
        if aid.name.is_empty() {
            return Err(self.fault(start, Fault::NoName));
        }
        Ok(aid)
    }

    fn urls(&mut self) -> Result<Vec<String>, ParseError> {
        self.open("a sequence of addresses")?;
        self.keyword("sequence", "the word `sequence`")?;
        let mut urls = Vec::new();
        while !self.close() {
            let token = self.token("an address or a closing parenthesis")?;
            urls.push(self.text(token)?);
        }
        Ok(urls)
    }

    fn content(&mut self) -> Result<Vec<u8>, ParseError> {
        const WHAT: &str = "a string or a word as content";
        self.skip_blanks();
        let start = self.at;
        let part = self.scalar(WHAT)?;
        let keeps_bytes = self.reading.charset == Charset::Utf8;
        match part {
            Scalar::Bytes(bytes) => Ok(bytes.to_vec()),
            Scalar::Literal(inside) if keeps_bytes => Ok(unescaped(inside)),
            Scalar::Literal(inside) => self.literal_text(inside).map(String::into_bytes),
            Scalar::Bare(token) => {
                self.check_bare(start, token, WHAT)?;
                self.text(token).map(String::into_bytes)
            }
        }
    }

    /// A word or a string, as text.
    fn word(&mut self, what: &'static str) -> Result<String, ParseError> {
        self.skip_blanks();
        let start = self.at;
        match self.scalar(what)? {
            Scalar::Bytes(bytes) => self.text(bytes),
            Scalar::Literal(inside) => self.literal_text(inside),
            Scalar::Bare(token) if is_readable_word(token) => self.text(token),
            Scalar::Bare(_) => {
                self.at = start;
                Err(self.expected(what))
            }
        }
    }

    /// A word, string, number or date as text, or a list as its spelling.
    fn expression(&mut self) -> Result<String, ParseError> {
        const WHAT: &str = "a word, string, number, date or list";
        if self.peek() == Some(b'(') {
            return self.list();
        }
        let start = self.at;
        match self.scalar(WHAT)? {
            Scalar::Bytes(bytes) => self.text(bytes),
            Scalar::Literal(inside) => self.literal_text(inside),
            Scalar::Bare(token) => {
                self.check_bare(start, token, WHAT)?;
                self.text(token)
            }
        }
    }

    /// A list from its opening to its closing parenthesis. Goes down by counting, not by calling itself.
    fn list(&mut self) -> Result<String, ParseError> {
        const WHAT: &str = "a word, string, number, date, list or closing parenthesis";
        let start = self.at;
        self.open(WHAT)?;
        let mut open = 1_usize;
        while open > 0 {
            match self.peek() {
                Some(b'(') => {
                    self.open(WHAT)?;
                    open += 1;
                }
                Some(b')') => {
                    self.close();
                    open -= 1;
                }
                _ => {
                    let start = self.at;
                    if let Scalar::Bare(token) = self.scalar(WHAT)? {
                        self.check_bare(start, token, WHAT)?;
                    }
                }
            }
        }
        self.text(&self.bytes[start..self.at])
    }

    fn check_bare(
        &mut self,
        start: usize,
        token: &[u8],
        what: &'static str,
    ) -> Result<(), ParseError> {
        if is_readable_word(token) || is_number(token) || DateToken::read(token).is_some() {
            return Ok(());
        }
        self.at = start;
        Err(self.expected(what))
    }

    fn date(&mut self) -> Result<Timestamp, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let token = self.token("a date-time")?;
        DateToken::read(token)
            .and_then(|date| date.instant(self.reading))
            .ok_or_else(|| {
                let token = String::from_utf8_lossy(token);
                self.fault(start, Fault::BadDate(cut(&token)))
            })
    }

    /// JADE says in a parameter that the content is Base64 (fipa.md b.7).
    fn decode_content(
        &self,
        mut message: AclMessage,
        place: usize,
    ) -> Result<AclMessage, ParseError> {
        let is_marker = |name: &str, value: &str| {
            name.eq_ignore_ascii_case(JADE_ENCODING) && value.eq_ignore_ascii_case(BASE64)
        };
        let said = message.user_parameter(JADE_ENCODING).unwrap_or_default();
        if !said.eq_ignore_ascii_case(BASE64) {
            return Ok(message);
        }
        message
            .user_parameters
            .retain(|(name, value)| !is_marker(name, value));
        if let Some(text) = &mut message.content {
            text.retain(|byte| !byte.is_ascii_whitespace());
            *text = STANDARD
                .decode(&text)
                .map_err(|_| self.fault(place, Fault::BadBase64))?;
        }
        Ok(message)
    }
}

/// The name in lower case. One that is too long for any that is known comes back as nothing.
fn folded<'a>(name: &[u8], lower: &'a mut [u8; 16]) -> &'a [u8] {
    let Some(lower) = lower.get_mut(..name.len()) else {
        return b"";
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lower
}

/// The inside of a literal without the backslashes of `\"`.
fn unescaped(inside: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
        // Inside of a literal a quote has a backslash in front.
        bytes.extend_from_slice(&rest[..quote.saturating_sub(1)]);
        bytes.push(b'"');
        rest = &rest[quote + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// As much of a text as is told in an error.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
