//! The bit-efficient form: what JADE's add-on writes is read, what is written reads back, and nothing else is.

mod kit;

use kit::{capture, message, reading};
use proptest::prelude::*;
use swarm_protocols::acl::bit_efficient;
use swarm_protocols::acl::string::{self, Writing};
use swarm_protocols::acl::{AclMessage, Aid, EmitError, Fault, ParseError, Performative};

fn parse(bytes: &[u8]) -> Result<AclMessage, ParseError> {
    bit_efficient::parse(bytes, &reading())
}

/// An inform with these bytes behind the act.
fn inform(rest: &[u8]) -> Result<AclMessage, ParseError> {
    parse(&[&[0xfa, 0x10, 0x08], rest].concat())
}

#[test]
fn what_the_add_on_of_jade_writes_is_read() {
    let message = parse(&capture("codec-fipa.acl.rep.bitefficient.std.bin")).expect("a message");
    let expected = kit::proposal();
    assert!(message.is_identical(&expected), "{message:#?}");
}

#[test]
fn it_is_less_than_half_as_long_as_the_string_form() {
    let message = kit::proposal();
    let bytes = bit_efficient::emit(&message).expect("writable");
    let text = string::emit(&message, Writing::default()).expect("writable");
    assert!(
        bytes.len() * 2 < text.len(),
        "{} and {}",
        bytes.len(),
        text.len()
    );
}

#[test]
fn a_list_becomes_its_spelling() {
    // (a "b c" 12 (d) e), the last word with the end of the inner list.
    let message = inform(b"\x00\x10X-T\0\x70a\0\x14\"b c\"\0\x12\x23\0\x70d\0\x50e\0\x40\x01");
    let message = message.expect("a message");
    assert_eq!(message.user_parameter("X-T"), Some("(a \"b c\" 12 (d) e)"));
}

#[test]
fn dates_and_numbers_keep_their_spelling() {
    let message = inform(b"\x05\x24\x31\x37\x12\x12\x23\x11\x11\x23\x40Z\x07\x12\xe8\xf6\0\x01");
    let message = message.expect("a message");
    assert_eq!(message.reply_with.as_deref(), Some("20260101T120000123Z"));
    assert_eq!(message.in_reply_to.as_deref(), Some("-7.5"));
}

#[test]
fn content_is_read_with_and_without_quotes() {
    for content in [
        &b"\x04\x14say \"hi\"\0\x01"[..],
        b"\x04\x14\"say \\\"hi\\\"\"\0\x01",
    ] {
        let message = inform(content).expect("a message");
        assert_eq!(message.text(), Some("say \"hi\""));
    }
    for length in [&b"\x16\x03"[..], b"\x17\0\x03", b"\x19\0\0\0\x03"] {
        let message = inform(&[b"\x04", length, b"\0\x01\xff\x01"].concat()).expect("a message");
        assert_eq!(message.content.as_deref(), Some(&[0, 1, 0xff][..]));
    }
}

#[test]
fn a_user_defined_name_without_its_prefix_gets_it() {
    let message = inform(b"\x00\x10Trace\0\x14on off\0\x01").expect("a message");
    assert_eq!(message.user_parameter("X-Trace"), Some("on off"));
}

fn refused(bytes: &[u8], offset: usize, says: &str) {
    let error = parse(bytes).expect_err("no message");
    assert_eq!(error.place.offset, offset, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn what_is_no_message_is_refused_with_the_byte() {
    refused(b"", 0, "found the end");
    refused(b"(inform)", 0, "a header");
    refused(b"\xfa\x20\x08\x01", 1, "version 0x10");
    refused(b"\xfa\x10\x17\x01", 2, "an act");
    refused(b"\xfa\x10\x00\x01", 2, "an act");
    refused(b"\xfa\x10\x08", 3, "a parameter");
    refused(b"\xfa\x10\x08\x0e\x01", 3, "a parameter");
    refused(b"\xfa\x10\x08\x02\x02\x10\0\x01\x01", 5, "without a name");
    refused(b"\xfa\x10\x08\x04\x14abc", 5, "never closed");
    refused(
        b"\xfa\x10\x08\x04\x16\x50abc",
        6,
        "80 bytes announced, 3 left",
    );
    refused(b"\xfa\x10\x08\x04\x19\xff\xff\xff\xffabc", 9, "announced");
    refused(b"\xfa\x10\x08\x05\x12\xb1\0\x01", 5, "a number");
    refused(b"\xfa\x10\x08\x05\x40\x01", 4, "a value or of a level");
    refused(b"\xfa\x10\x08\x05\xf0\x01", 4, "a value or of a level");
    refused(
        b"\xfa\x10\x08\x06\x24\x31\x37\x24\x12\x23\x11\x11\x23\x40Z\x01",
        4,
        "no date-time",
    );
    refused(b"\xfa\x10\x08\x05\x10\xff\0\x01", 4, "not text");
}

#[test]
fn an_entry_of_a_code_table_is_refused() {
    for tag in [0x11, 0x15, 0x18] {
        let error = parse(&[0xfb, 0x10, 0x08, 0x09, tag, 0x01, 0x01]).expect_err("no table");
        assert_eq!(error.fault, Fault::CodeTable);
    }
    assert!(parse(b"\xfb\x10\x08\x09\x10fipa-sl\0\x01").is_ok());
}

#[test]
fn nesting_is_bounded() {
    let lists = inform(&[&b"\x05"[..], &vec![0x60; 100_000]].concat());
    assert!(matches!(
        lists.expect_err("too deep").fault,
        Fault::TooDeep { .. }
    ));
    let resolvers = inform(&[&b"\x02"[..], &b"\x02\x10a\0\x03".repeat(50_000)].concat());
    assert!(matches!(
        resolvers.expect_err("too deep").fault,
        Fault::TooDeep { .. }
    ));
    let huge = vec![0xfa; 100_000_000];
    assert!(matches!(
        parse(&huge).expect_err("too long").fault,
        Fault::TooLong { .. }
    ));
}

#[test]
fn what_has_no_form_is_refused_by_name() {
    let mut message = AclMessage::new(Performative::Inform);
    message.user_parameters = swarm_protocols::thin_vec![("trace".to_owned(), String::new())];
    assert_eq!(
        bit_efficient::emit(&message),
        Err(EmitError::UserName("trace".to_owned()))
    );
    message.user_parameters.clear();
    message.sender = Some(Aid::named(""));
    assert_eq!(bit_efficient::emit(&message), Err(EmitError::NoName));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(message in message()) {
        let bytes = bit_efficient::emit(&message).expect("writable");
        let read = parse(&bytes).map_err(|error| TestCaseError::fail(format!("{bytes:02x?}: {error}")))?;
        prop_assert!(read.is_identical(&message), "{:02x?}\n{:?}", bytes, read);
    }

    #[test]
    fn any_bytes_end_with_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = inform(&bytes);
        let _ = parse(&bytes);
    }

    #[test]
    fn a_message_that_was_cut_or_changed_ends_with_a_message_or_an_error(
        message in message(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = bit_efficient::emit(&message).expect("writable");
        let at = cut.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = parse(&bytes) {
            let again = bit_efficient::emit(&read).expect("what was read");
            prop_assert!(parse(&again).expect("what was written").is_identical(&read));
        }
        bytes.truncate(at);
        let _ = parse(&bytes);
    }
}
