//! Reading what was written gives the same message, whatever it holds; reading anything at all ends with a message or an
//! error.

mod kit;

use kit::{message, reading};
use proptest::prelude::*;
use swarm_protocols::acl::string::{self, BytesForm, Writing};
use swarm_protocols::acl::{AclMessage, Aid, EmitError, Performative};

const FORMS: [BytesForm; 2] = [BytesForm::LengthPrefixed, BytesForm::JadeBase64];

fn reads_back(message: &AclMessage) -> Result<(), TestCaseError> {
    for bytes in FORMS {
        let written = string::emit(message, Writing { bytes })
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = string::parse(&written, &reading());
        let text = String::from_utf8_lossy(&written);
        let read = read.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert!(read.is_identical(message), "{}\n{:?}", text, read);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(message in message()) {
        reads_back(&message)?;
    }

    #[test]
    fn any_bytes_end_with_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = string::parse(&bytes, &reading());
    }

    #[test]
    fn a_message_that_was_cut_or_changed_ends_with_a_message_or_an_error(
        message in message(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut written = string::emit(&message, Writing::default()).expect("writable");
        let at = cut.index(written.len());
        written[at] = byte;
        // What can be read can be written, unless the change made a name or an address that cannot.
        if let Ok(read) = string::parse(&written, &reading())
            && let Ok(again) = string::emit(&read, Writing::default())
        {
            let read_again = string::parse(&again, &reading()).expect("what was written");
            prop_assert!(read_again.is_identical(&read));
        }
        written.truncate(at);
        prop_assert!(string::parse(&written, &reading()).is_err());
    }
}

#[test]
fn content_that_no_literal_can_hold_reads_back() {
    for content in [
        &b"ends\\"[..],
        b"caf\xc3\xa9 ends\\",
        b"\\",
        b"\"",
        b"\\\"",
        b"a\\\"\\",
        b"",
        b"\xff\x00\x80",
        b"(inform :content #5\"x\")",
    ] {
        let mut message = AclMessage::new(Performative::Inform);
        message.content = Some(content.to_vec());
        reads_back(&message).unwrap_or_else(|error| panic!("{content:?}: {error}"));
    }
}

#[test]
fn ascii_that_ends_in_a_backslash_has_its_length_in_front() {
    let mut message = AclMessage::new(Performative::Inform);
    message.content = Some(b"ends\\".to_vec());
    for bytes in FORMS {
        let written = string::emit(&message, Writing { bytes }).expect("writable");
        assert_eq!(written, b"(inform :content #5\"ends\\)");
    }
}

#[test]
fn bytes_are_written_for_jade_as_jade_reads_them() {
    let mut message = AclMessage::new(Performative::Inform);
    message.content = Some(vec![0, 1, 0xff]);
    let writing = Writing {
        bytes: BytesForm::JadeBase64,
    };
    assert_eq!(
        string::emit(&message, writing).expect("writable"),
        br#"(inform :X-JADE-Encoding Base64 :content "AAH/")"#
    );
    message
        .user_parameters
        .push(("x-jade-encoding".to_owned(), "base64".to_owned()));
    assert_eq!(
        string::emit(&message, Writing::default()),
        Err(EmitError::ReservedParameter)
    );
}

#[test]
fn what_has_no_string_form_is_refused_by_name() {
    let emit = |message: &AclMessage| string::emit(message, Writing::default());
    let mut message = AclMessage::new(Performative::Inform);
    for name in ["trace", "X-", "X-a b", "X-(", ""] {
        message.user_parameters = swarm_protocols::thin_vec![(name.to_owned(), "1".to_owned())];
        assert_eq!(emit(&message), Err(EmitError::UserName(name.to_owned())));
    }
    message.user_parameters.clear();

    let mut aid = Aid::named("a@p");
    for address in ["", "http://h/a b", "http://h/(a)", "http://h/\n"] {
        aid.addresses = swarm_protocols::thin_vec![address.to_owned()];
        message.sender = Some(aid.clone());
        assert_eq!(emit(&message), Err(EmitError::Address(address.to_owned())));
    }

    message.sender = Some(Aid::named(""));
    assert_eq!(emit(&message), Err(EmitError::NoName));

    let mut deep = Aid::named("a@p");
    for _ in 0..40 {
        let mut outer = Aid::named("a@p");
        outer.resolvers = swarm_protocols::thin_vec![deep];
        deep = outer;
    }
    message.sender = Some(deep);
    assert_eq!(emit(&message), Err(EmitError::TooDeep { limit: 32 }));
}

#[test]
fn the_form_is_lower_case_with_single_blanks() {
    let mut message = AclMessage::new(Performative::Cfp);
    let mut sender = Aid::named("i@platA");
    sender.addresses = swarm_protocols::thin_vec!["http://127.0.0.1:7811/acc".to_owned()];
    message.sender = Some(sender);
    message.receiver = vec![Aid::named("r3@platB"), Aid::named("two words@a")];
    message.content = Some(b"((price \"apple\"))".to_vec());
    message.conversation_id = Some("C1(x)".into());
    message.reply_with = Some("12345".into());
    message.reply_by = Some(kit::noon());
    let written = string::emit(&message, Writing::default()).expect("writable");
    assert_eq!(
        String::from_utf8_lossy(&written),
        "(cfp :sender (agent-identifier :name i@platA :addresses (sequence http://127.0.0.1:7811/acc)) \
         :receiver (set (agent-identifier :name r3@platB) (agent-identifier :name \"two words@a\")) \
         :content \"((price \\\"apple\\\"))\" :reply-with 12345 :reply-by 20260101T120000000Z :conversation-id \"C1(x)\")"
    );
}
