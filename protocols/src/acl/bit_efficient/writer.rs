//! From a message to bytes.

use super::{AID, END, HEADER, VERSION, nibbles, parameter, quoted, slot, tag, unquoted};
use crate::acl::codec::{EmitError, Limits};
use crate::acl::string::date::{DateToken, spell};
use crate::acl::string::spelling::{is_number, is_user_name, is_writable_word};
use crate::acl::{AclMessage, Aid, Performative};

/// Writes a message without a code table. Reading it gives an identical message.
///
/// # Errors
/// [`EmitError`]: names that are none, and resolvers that are nested too deeply.
pub fn emit(message: &AclMessage) -> Result<Vec<u8>, EmitError> {
    let mut writer = Writer {
        out: Vec::with_capacity(128 + message.content.as_ref().map_or(0, Vec::len)),
        depth_left: Limits::default().depth_max,
    };
    writer.message(message)?;
    Ok(writer.out)
}

/// The byte of an act: its place in the alphabetical order, from 1.
fn act_byte(act: Performative) -> u8 {
    let place = Performative::ALL.iter().position(|known| *known == act);
    place.map_or(0, |place| u8::try_from(place + 1).unwrap_or(0))
}

struct Writer {
    out: Vec<u8>,
    depth_left: usize,
}

impl Writer {
    fn message(&mut self, message: &AclMessage) -> Result<(), EmitError> {
        self.out
            .extend([HEADER, VERSION, act_byte(message.performative)]);
        if let Some(sender) = &message.sender {
            self.out.push(parameter::SENDER);
            self.aid(sender)?;
        }
        self.aids(parameter::RECEIVER, &message.receiver)?;
        self.aids(parameter::REPLY_TO, &message.reply_to)?;
        if let Some(content) = &message.content {
            self.out.push(parameter::CONTENT);
            self.content(content);
        }
        if let Some(time) = message.reply_by {
            self.out.push(parameter::REPLY_BY);
            self.expression(&spell(time));
        }
        let texts = [
            (parameter::REPLY_WITH, message.reply_with.as_deref()),
            (parameter::IN_REPLY_TO, message.in_reply_to.as_deref()),
            (parameter::LANGUAGE, message.language.as_deref()),
            (parameter::ENCODING, message.encoding.as_deref()),
            (parameter::ONTOLOGY, message.ontology.as_deref()),
            (
                parameter::CONVERSATION_ID,
                message.conversation_id.as_deref(),
            ),
        ];
        for (byte, text) in texts {
            if let Some(text) = text {
                self.out.push(byte);
                self.expression(text);
            }
        }
        if let Some(protocol) = &message.protocol {
            self.out.push(parameter::PROTOCOL);
            self.word(protocol);
        }
        self.user_defined(parameter::USER, &message.user_parameters)?;
        self.out.push(END);
        Ok(())
    }

    fn aids(&mut self, byte: u8, aids: &[Aid]) -> Result<(), EmitError> {
        if aids.is_empty() {
            return Ok(());
        }
        self.out.push(byte);
        for aid in aids {
            self.aid(aid)?;
        }
        self.out.push(END);
        Ok(())
    }

    fn aid(&mut self, aid: &Aid) -> Result<(), EmitError> {
        if aid.name.is_empty() {
            return Err(EmitError::NoName);
        }
        self.depth_left = self.depth_left.checked_sub(1).ok_or(EmitError::TooDeep {
            limit: Limits::default().depth_max,
        })?;
        self.out.push(AID);
        self.word(&aid.name);
        if !aid.addresses.is_empty() {
            self.out.push(slot::ADDRESSES);
            for address in &aid.addresses {
                self.word(address);
            }
            self.out.push(END);
        }
        self.aids(slot::RESOLVERS, &aid.resolvers)?;
        self.user_defined(slot::USER, &aid.user_slots)?;
        self.out.push(END);
        self.depth_left += 1;
        Ok(())
    }

    fn user_defined(&mut self, byte: u8, entries: &[(String, String)]) -> Result<(), EmitError> {
        for (name, value) in entries {
            if !is_user_name(name) {
                return Err(EmitError::UserName(name.clone()));
            }
            self.out.push(byte);
            self.word(name);
            self.expression(value);
        }
        Ok(())
    }

    /// A word. The add-on of JADE writes any text so; what holds the byte that would end it has its length in front.
    fn word(&mut self, text: &str) {
        if text.contains('\0') {
            self.byte_string(text.as_bytes());
        } else {
            self.ended(tag::WORD, text.as_bytes());
        }
    }

    fn expression(&mut self, text: &str) {
        if is_writable_word(text) {
            self.ended(tag::WORD, text.as_bytes());
        } else if let Some((sign, digits, letter)) = DateToken::split(text.as_bytes()) {
            self.date(sign, &digits, letter);
        } else if is_number(text.as_bytes()) && !text.contains('E') {
            self.number(text.as_bytes());
        } else if text.contains('\0') || text.ends_with('\\') {
            self.byte_string(text.as_bytes());
        } else {
            self.ended(tag::STRING, quoted(text).as_bytes());
        }
    }

    fn content(&mut self, content: &[u8]) {
        if content.contains(&0) || unquoted(content).is_some() {
            self.byte_string(content);
        } else {
            self.ended(tag::STRING, content);
        }
    }

    fn ended(&mut self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
        self.out.push(0);
    }

    fn number(&mut self, text: &[u8]) {
        self.out.push(tag::NUMBER);
        self.out.extend(nibbles::pack(text).unwrap_or_default());
        if text.len().is_multiple_of(2) {
            self.out.push(0);
        }
    }

    fn date(&mut self, sign: Option<u8>, digits: &[u8], letter: Option<u8>) {
        let kind = match sign {
            None => tag::DATE,
            Some(b'+') => tag::DATE_LATER,
            Some(_) => tag::DATE_EARLIER,
        };
        let with_letter = letter.map_or(0, |_| tag::WITH_LETTER);
        self.out.push(kind | with_letter);
        self.out.extend(nibbles::pack(digits).unwrap_or_default());
        self.out.extend(letter);
    }

    fn byte_string(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        if let Ok(length) = u8::try_from(length) {
            self.out.extend([tag::BYTES_8, length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.out.push(tag::BYTES_16);
            self.out.extend(length.to_be_bytes());
        } else {
            self.out.push(tag::BYTES_32);
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend_from_slice(bytes);
    }
}
