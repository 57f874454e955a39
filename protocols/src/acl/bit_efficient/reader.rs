//! From bytes to a message.

use super::{
    AID, END, HEADER, HEADER_LAST, VERSION, nibbles, parameter, quoted, slot, tag, unquoted,
};
use crate::acl::codec::{Fault, ParseError, Place, Reading};
use crate::acl::string::date::DateToken;
use crate::acl::string::spelling::is_user_name;
use crate::acl::{AclMessage, Aid, Performative, Timestamp};

/// Reads one message; what follows it is ignored.
///
/// Numbers, dates and nested expressions become their spelling, as in the string form. User-defined names get their `X-`
/// where it is missing. A parameter that stands twice counts as it stands last.
///
/// # Errors
/// [`ParseError`] with the byte.
pub fn parse(bytes: &[u8], reading: &Reading) -> Result<AclMessage, ParseError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        reading,
        depth: 0,
    };
    let (length, limit) = (bytes.len(), reading.limits.bytes_max);
    if length > limit {
        return Err(reader.fault(0, Fault::TooLong { length, limit }));
    }
    reader.message()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    reading: &'a Reading,
    depth: usize,
}

/// A value as it came.
enum Value {
    /// A word.
    Word(Vec<u8>),
    /// A number or date, spelled.
    Spelled(Vec<u8>),
    /// A string, its quotes gone if there were any.
    String(Vec<u8>),
}

impl Value {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Word(bytes) | Self::Spelled(bytes) | Self::String(bytes) => bytes,
        }
    }
}

impl<'a> Reader<'a> {
    fn message(&mut self) -> Result<AclMessage, ParseError> {
        if !(HEADER..=HEADER_LAST).contains(&self.byte("a header of 0xfa, 0xfb or 0xfc")?) {
            return Err(self.unexpected("a header of 0xfa, 0xfb or 0xfc"));
        }
        if self.byte("version 0x10")? != VERSION {
            return Err(self.unexpected("version 0x10"));
        }
        const ACT: &str = "an act of 0x01 to 0x16";
        let place = usize::from(self.byte(ACT)?).wrapping_sub(1);
        let Some(act) = Performative::ALL.get(place) else {
            return Err(self.unexpected(ACT));
        };
        let mut message = AclMessage::new(*act);
        while self.parameter(&mut message)? {}
        Ok(message)
    }

    /// Reads a parameter, or the end of the message.
    fn parameter(&mut self, message: &mut AclMessage) -> Result<bool, ParseError> {
        const WHAT: &str = "a parameter of 0x00 to 0x0d or the end 0x01";
        match self.byte(WHAT)? {
            END => return Ok(false),
            parameter::USER => {
                let entry = self.user_defined()?;
                message.user_parameters.push(entry);
            }
            parameter::SENDER => message.sender = Some(self.aid()?),
            parameter::RECEIVER => message.receiver = self.aids()?,
            parameter::REPLY_TO => message.reply_to = self.aids()?.into(),
            parameter::CONTENT => message.content = Some(self.content()?),
            parameter::REPLY_WITH => message.reply_with = Some(self.expression()?.into()),
            parameter::IN_REPLY_TO => message.in_reply_to = Some(self.expression()?.into()),
            parameter::REPLY_BY => message.reply_by = Some(self.date()?),
            parameter::LANGUAGE => message.language = Some(self.expression()?.into()),
            parameter::ENCODING => message.encoding = Some(self.expression()?.into()),
            parameter::ONTOLOGY => message.ontology = Some(self.expression()?.into()),
            parameter::PROTOCOL => message.protocol = Some(self.expression()?.into()),
            parameter::CONVERSATION_ID => {
                message.conversation_id = Some(self.expression()?.into());
            }
            _ => return Err(self.unexpected(WHAT)),
        }
        Ok(true)
    }

    fn fault(&self, at: usize, fault: Fault) -> ParseError {
        ParseError {
            place: Place::in_binary(at),
            fault,
        }
    }

    fn expected(&self, at: usize, what: &'static str) -> ParseError {
        let found = self
            .bytes
            .get(at)
            .map_or_else(|| "the end".to_owned(), |byte| format!("0x{byte:02x}"));
        self.fault(at, Fault::Expected { what, found })
    }

    /// The byte that was just taken is not what should be there.
    fn unexpected(&self, what: &'static str) -> ParseError {
        self.expected(self.at - 1, what)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, ParseError> {
        let byte = self.bytes.get(self.at).copied();
        let byte = byte.ok_or_else(|| self.expected(self.at, what))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, declared: u64) -> Result<&'a [u8], ParseError> {
        let rest = &self.bytes[self.at..];
        let left = rest.len();
        let length = usize::try_from(declared).ok().filter(|n| *n <= left);
        let length =
            length.ok_or_else(|| self.fault(self.at, Fault::TooFewBytes { declared, left }))?;
        self.at += length;
        Ok(&rest[..length])
    }

    /// The bytes up to a zero, which is taken too.
    fn ended(&mut self) -> Result<&'a [u8], ParseError> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&byte| byte == 0) else {
            return Err(self.fault(self.at, Fault::UnclosedString));
        };
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn down(&mut self) -> Result<(), ParseError> {
        let limit = self.reading.limits.depth_max;
        if self.depth == limit {
            return Err(self.fault(self.at, Fault::TooDeep { limit }));
        }
        self.depth += 1;
        Ok(())
    }

    /// The value that a tag announces.
    fn value(&mut self, tag: u8) -> Result<Value, ParseError> {
        Ok(match tag {
            tag::WORD => Value::Word(self.ended()?.to_vec()),
            tag::STRING => {
                let text = self.ended()?;
                Value::String(unquoted(text).unwrap_or_else(|| text.to_vec()))
            }
            tag::NUMBER | tag::HEX_NUMBER => Value::Spelled(self.number()?),
            tag::BYTES_8 => self.byte_string(1)?,
            tag::BYTES_16 => self.byte_string(2)?,
            tag::BYTES_32 => self.byte_string(4)?,
            tag::WORD_OF_TABLE | tag::STRING_OF_TABLE | tag::BYTES_OF_TABLE => {
                return Err(self.fault(self.at - 1, Fault::CodeTable));
            }
            _ => match tag & !tag::WITH_LETTER {
                kind @ (tag::DATE | tag::DATE_LATER | tag::DATE_EARLIER) => {
                    Value::Spelled(self.date_spelling(kind, tag & tag::WITH_LETTER != 0)?)
                }
                _ => return Err(self.unexpected("the tag of a word, string, number or date")),
            },
        })
    }

    fn byte_string(&mut self, length_bytes: u64) -> Result<Value, ParseError> {
        let length = self.take(length_bytes)?;
        let length = length
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        self.take(length).map(|bytes| Value::String(bytes.to_vec()))
    }

    fn number(&mut self) -> Result<Vec<u8>, ParseError> {
        const WHAT: &str = "two characters of a number";
        let mut text = Vec::new();
        loop {
            let byte = self.byte(WHAT)?;
            if byte == 0 {
                break;
            }
            text.push(nibbles::to_char(byte >> 4).ok_or_else(|| self.unexpected(WHAT))?);
            if byte & 0x0f == 0 {
                break;
            }
            text.push(nibbles::to_char(byte & 0x0f).ok_or_else(|| self.unexpected(WHAT))?);
        }
        if text.is_empty() {
            return Err(self.unexpected(WHAT));
        }
        Ok(text)
    }

    /// Seventeen digits in nine bytes, spelled with sign, `T` and letter.
    fn date_spelling(&mut self, kind: u8, has_letter: bool) -> Result<Vec<u8>, ParseError> {
        const DIGITS: usize = 17;
        let start = self.at;
        let packed = self.take(9)?;
        let mut text = match kind {
            tag::DATE_LATER => vec![b'+'],
            tag::DATE_EARLIER => vec![b'-'],
            _ => Vec::new(),
        };
        for at in 0..DIGITS {
            if at == 8 {
                text.push(b'T');
            }
            let byte = packed[at / 2];
            let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 0x0f };
            match nibbles::to_char(nibble) {
                Some(digit) if digit.is_ascii_digit() => text.push(digit),
                _ => return Err(self.expected(start + at / 2, "two digits of a date")),
            }
        }
        if has_letter {
            let letter = self.byte("a letter")?;
            if !letter.is_ascii_alphabetic() {
                return Err(self.unexpected("a letter"));
            }
            text.push(letter);
        }
        Ok(text)
    }

    fn date(&mut self) -> Result<Timestamp, ParseError> {
        let start = self.at;
        let tag = self.byte("a date")?;
        let spelling = self.value(tag)?.into_bytes();
        DateToken::read(&spelling)
            .and_then(|date| date.instant(self.reading))
            .ok_or_else(|| {
                let shown: String = String::from_utf8_lossy(&spelling)
                    .chars()
                    .take(40)
                    .collect();
                self.fault(start, Fault::BadDate(shown))
            })
    }

    fn text(&self, at: usize, bytes: &[u8]) -> Result<String, ParseError> {
        let charset = self.reading.charset;
        let text = charset.text(bytes);
        text.map_err(|_| self.fault(at, Fault::NotText(charset)))
    }

    fn content(&mut self) -> Result<Vec<u8>, ParseError> {
        let tag = self.byte("content")?;
        self.value(tag).map(Value::into_bytes)
    }

    fn word(&mut self, what: &'static str) -> Result<String, ParseError> {
        let start = self.at;
        let tag = self.byte(what)?;
        let bytes = self.value(tag)?.into_bytes();
        self.text(start, &bytes)
    }

    /// One value as text, or a list as its spelling. Goes down by counting, not by calling itself.
    fn expression(&mut self) -> Result<String, ParseError> {
        const WHAT: &str = "the tag of a value or of a level";
        let start = self.at;
        let outside = self.depth;
        let mut spelling = Vec::new();
        loop {
            let first = self.byte(WHAT)?;
            if first >= 0x80 {
                return Err(self.unexpected(WHAT));
            }
            let tag = first & 0x1f;
            match first & 0x60 {
                tag::DOWN => {
                    self.down()?;
                    gap(&mut spelling);
                    spelling.push(b'(');
                }
                tag::UP => {
                    if self.depth == outside {
                        return Err(self.unexpected(WHAT));
                    }
                    self.depth -= 1;
                    spelling.push(b')');
                    if self.depth == outside {
                        if tag != 0 {
                            return Err(self.unexpected("no value behind the end of the list"));
                        }
                        return self.text(start, &spelling);
                    }
                }
                _ => {
                    let value = self.value(first)?;
                    if self.depth == outside {
                        return self.text(start, &value.into_bytes());
                    }
                    self.spell(&mut spelling, start, value)?;
                    continue;
                }
            }
            if tag != 0 {
                let value = self.value(tag)?;
                self.spell(&mut spelling, start, value)?;
            }
        }
    }

    /// Adds a value of a list to its spelling.
    fn spell(&self, spelling: &mut Vec<u8>, at: usize, value: Value) -> Result<(), ParseError> {
        gap(spelling);
        match value {
            Value::Word(bytes) | Value::Spelled(bytes) => spelling.extend(bytes),
            Value::String(bytes) => {
                let text = self.text(at, &bytes)?;
                spelling.extend(quoted(&text).into_bytes());
            }
        }
        Ok(())
    }

    /// Agent identifiers up to the end of the list.
    fn aids(&mut self) -> Result<Vec<Aid>, ParseError> {
        let mut aids = Vec::new();
        while self.bytes.get(self.at) != Some(&END) {
            aids.push(self.aid()?);
        }
        self.at += 1;
        Ok(aids)
    }

    fn aid(&mut self) -> Result<Aid, ParseError> {
        const WHAT: &str = "an agent identifier 0x02";
        const SLOT: &str = "a slot of 0x02 to 0x04 or the end 0x01";
        if self.byte(WHAT)? != AID {
            return Err(self.unexpected(WHAT));
        }
        self.down()?;
        let start = self.at;
        let mut aid = Aid::named(self.word("a name")?);
        if aid.name.is_empty() {
            return Err(self.fault(start, Fault::NoName));
        }
        loop {
            match self.byte(SLOT)? {
                END => break,
                slot::ADDRESSES => {
                    aid.addresses.clear();
                    while self.bytes.get(self.at) != Some(&END) {
                        let address = self.word("an address or the end 0x01")?;
                        aid.addresses.push(address);
                    }
                    self.at += 1;
                }
                slot::RESOLVERS => aid.resolvers = self.aids()?.into(),
                slot::USER => {
                    let entry = self.user_defined()?;
                    aid.user_slots.push(entry);
                }
                _ => return Err(self.unexpected(SLOT)),
            }
        }
        self.depth -= 1;
        Ok(aid)
    }

    fn user_defined(&mut self) -> Result<(String, String), ParseError> {
        let start = self.at;
        let mut name = self.word("a user-defined name")?;
        if !matches!(name.as_bytes(), [b'X' | b'x', b'-', ..]) {
            name.insert_str(0, "X-");
        }
        if !is_user_name(&name) {
            let shown = name.chars().take(40).collect();
            return Err(self.fault(start, Fault::UserName(shown)));
        }
        Ok((name, self.expression()?))
    }
}

/// A blank, where one is needed.
fn gap(spelling: &mut Vec<u8>) {
    if !matches!(spelling.last(), None | Some(b'(')) {
        spelling.push(b' ');
    }
}
