//! The bit-efficient form, `fipa.acl.rep.bitefficient.std` (FIPA SC00069G, fipa.md b.8): less than half of the string form.
//!
//! Without code tables: those are the common memory of two peers of one connection, and a message that refers to one is
//! refused. Strings are read with and without their quotes, as the standard and JADE's add-on have them; content is written
//! as the add-on writes it, without, unless it would then be taken for a quoted one.

mod nibbles;
mod reader;
mod writer;

pub use reader::parse;
pub use writer::emit;

/// The name of this form in an envelope.
pub const REPRESENTATION: &str = "fipa.acl.rep.bitefficient.std";

/// The first byte where no code table is used. Two more follow it, with tables that are and are not changed by the message.
const HEADER: u8 = 0xfa;
const HEADER_LAST: u8 = 0xfc;
/// The second byte: version 1.0.
const VERSION: u8 = 0x10;
/// What ends a message, an agent identifier and a list.
const END: u8 = 0x01;
/// What begins an agent identifier.
const AID: u8 = 0x02;

/// What begins a value.
mod tag {
    pub(super) const WORD: u8 = 0x10;
    pub(super) const WORD_OF_TABLE: u8 = 0x11;
    pub(super) const NUMBER: u8 = 0x12;
    pub(super) const HEX_NUMBER: u8 = 0x13;
    pub(super) const STRING: u8 = 0x14;
    pub(super) const STRING_OF_TABLE: u8 = 0x15;
    pub(super) const BYTES_8: u8 = 0x16;
    pub(super) const BYTES_16: u8 = 0x17;
    pub(super) const BYTES_OF_TABLE: u8 = 0x18;
    pub(super) const BYTES_32: u8 = 0x19;
    pub(super) const DATE: u8 = 0x20;
    pub(super) const DATE_LATER: u8 = 0x21;
    pub(super) const DATE_EARLIER: u8 = 0x22;
    /// Added to the three above where a letter follows.
    pub(super) const WITH_LETTER: u8 = 0x04;
    /// Added to a tag, or alone: one level up, then the value.
    pub(super) const UP: u8 = 0x40;
    /// Added to a tag, or alone: one level down, then the value.
    pub(super) const DOWN: u8 = 0x60;
}

/// The byte of each parameter.
mod parameter {
    pub(super) const USER: u8 = 0x00;
    pub(super) const SENDER: u8 = 0x02;
    pub(super) const RECEIVER: u8 = 0x03;
    pub(super) const CONTENT: u8 = 0x04;
    pub(super) const REPLY_WITH: u8 = 0x05;
    pub(super) const REPLY_BY: u8 = 0x06;
    pub(super) const IN_REPLY_TO: u8 = 0x07;
    pub(super) const REPLY_TO: u8 = 0x08;
    pub(super) const LANGUAGE: u8 = 0x09;
    pub(super) const ENCODING: u8 = 0x0a;
    pub(super) const ONTOLOGY: u8 = 0x0b;
    pub(super) const PROTOCOL: u8 = 0x0c;
    pub(super) const CONVERSATION_ID: u8 = 0x0d;
}

/// The byte of each slot of an agent identifier.
mod slot {
    pub(super) const ADDRESSES: u8 = 0x02;
    pub(super) const RESOLVERS: u8 = 0x03;
    pub(super) const USER: u8 = 0x04;
}

/// The inside of a quoted literal, its `\"` made `"`; none where the text is no whole one.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inside = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut bytes: Vec<u8> = Vec::with_capacity(inside.len());
    for &byte in inside {
        match (byte, bytes.last()) {
            (b'"', Some(b'\\')) => {
                bytes.pop();
                bytes.push(b'"');
            }
            (b'"', _) => return None,
            _ => bytes.push(byte),
        }
    }
    (inside.last() != Some(&b'\\')).then_some(bytes)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_literal_is_unquoted() {
        let unquoted = |text: &str| {
            unquoted(text.as_bytes()).map(|text| String::from_utf8(text).expect("text"))
        };
        assert_eq!(unquoted("\"\"").as_deref(), Some(""));
        assert_eq!(
            unquoted(r#""a \"b\" c\\d""#).as_deref(),
            Some(r#"a "b" c\\d"#)
        );
        for text in ["", "\"", "a", "\"a", "\"a\"b\"", r#""a\""#, "\"a\" \"b\""] {
            assert_eq!(unquoted(text), None, "{text}");
        }
        assert_eq!(unquoted(&quoted(r#"a\"b"#)).as_deref(), Some(r#"a\"b"#));
    }
}
