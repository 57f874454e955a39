//! What the string form must refuse: fipa.md b.6, a test for each row, with the place that is told.

mod kit;

use kit::reading;
use swarm_protocols::acl::string;
use swarm_protocols::acl::{Charset, Fault, Limits, ParseError, Reading};

fn refused(text: impl AsRef<[u8]>) -> ParseError {
    let bytes = text.as_ref();
    match string::parse(bytes, &reading()) {
        Err(error) => error,
        Ok(message) => panic!(
            "{:?} is read as {message:?}",
            String::from_utf8_lossy(bytes)
        ),
    }
}

/// Refused at that byte with a message that says so.
fn check(text: &str, offset: usize, says: &str) {
    let error = refused(text);
    assert_eq!(error.place.offset, offset, "{text}: {error}");
    assert!(error.to_string().contains(says), "{text}: {error}");
}

#[test]
fn b1_no_opening_parenthesis() {
    check(
        r#"inform :content "x")"#,
        0,
        "expected the opening parenthesis",
    );
}

#[test]
fn b2_not_closed() {
    check(r#"(inform :content "x""#, 20, "found the end");
}

#[test]
fn b3_none_of_the_acts() {
    check(r#"(tell :content "x")"#, 1, r#""tell" is none of the 22"#);
}

#[test]
fn b4_an_unknown_parameter() {
    check(r#"(inform :subject "x")"#, 8, "no parameter :subject");
}

#[test]
fn b5_a_receiver_that_is_no_set() {
    check(
        "(inform :receiver (agent-identifier :name b@p))",
        19,
        "expected the word `set`",
    );
}

#[test]
fn b6_a_sender_that_is_a_set() {
    check(
        "(inform :sender (set (agent-identifier :name b@p)))",
        17,
        "expected the word `agent-identifier`",
    );
}

#[test]
fn b7_a_byte_length_string_longer_than_the_message() {
    check(
        r#"(inform :content #50"short")"#,
        17,
        "50 bytes announced, 7 left",
    );
    check(
        "(inform :content #99999999999999999999999\"x)",
        17,
        "bytes announced",
    );
}

#[test]
fn b8_dates_in_another_form_or_without_milliseconds() {
    check("(cfp :reply-by 2026-01-01T12:00:00Z)", 15, "no date-time");
    check("(cfp :reply-by 20260101T120000Z)", 15, "no date-time");
}

#[test]
fn b9_neither_word_nor_number() {
    for value in ["12abc", "-abc", "#abc"] {
        check(
            &format!("(inform :conversation-id {value})"),
            25,
            "expected a word, string, number, date or list",
        );
    }
}

#[test]
fn b10_a_string_that_is_never_closed() {
    check(r#"(inform :content "x)"#, 17, "never closed");
    check(r#"(inform :content "x\")"#, 17, "never closed");
}

#[test]
fn an_agent_identifier_without_a_name() {
    check(
        "(inform :sender (agent-identifier :addresses (sequence http://h/acc)))",
        16,
        "without a name",
    );
    check("(inform :sender (agent-identifier))", 16, "without a name");
}

#[test]
fn a_date_that_does_not_exist() {
    check("(cfp :reply-by 20261301T990000000Z)", 15, "no date-time");
}

#[test]
fn what_jade_refuses_too() {
    check(
        "(inform :content (a b c))",
        17,
        "expected a string or a word",
    );
    check(
        r#"(inform :sender "a@p")"#,
        16,
        "expected an agent identifier",
    );
    check("", 0, "found the end");
    check("(inform :language a\0b)", 19, "no control character");
    check(r#"(:content "x")"#, 1, "none of the 22");
    check("(cfp :protocol 12)", 15, "expected a protocol");
    check(
        "; a comment\n(inform)",
        0,
        "expected the opening parenthesis",
    );
    check(
        "(inform ; a comment\n :content x)",
        8,
        "expected a parameter",
    );
}

#[test]
fn a_place_is_told_by_line_and_column() {
    let error = refused("(inform\n :ontology \"é\n\" :subject x)");
    assert_eq!((error.place.line, error.place.column), (3, 3));
    assert!(
        error
            .to_string()
            .starts_with("line 3, column 3 (byte 25): ")
    );
}

#[test]
fn text_that_is_not_of_the_charset() {
    let error = refused(b"(inform :ontology caf\xe9)");
    assert_eq!(error.fault, Fault::NotText(Charset::Utf8));
    assert_eq!(error.place.offset, 21);
}

#[test]
fn a_message_of_100_mb_is_refused_by_its_length() {
    let mut huge = b"(inform :content \"".to_vec();
    huge.resize(100_000_000, b'x');
    let error = refused(&huge);
    let limit = Limits::default().bytes_max;
    assert_eq!(
        error.fault,
        Fault::TooLong {
            length: 100_000_000,
            limit
        }
    );
}

#[test]
fn nesting_is_bounded_in_lists_and_in_resolvers() {
    let deep = "(".repeat(1_000_000);
    let error = refused(format!("(inform :X-a {deep}"));
    assert!(
        matches!(error.fault, Fault::TooDeep { limit: 32 }),
        "{error}"
    );

    let aid = "(agent-identifier :name a :resolvers (sequence ".repeat(50_000);
    let error = refused(format!("(inform :sender {aid}"));
    assert!(
        matches!(error.fault, Fault::TooDeep { limit: 32 }),
        "{error}"
    );

    let flat = "(a) ".repeat(10_000);
    let text = format!("(inform :X-a ({flat}))");
    assert!(string::parse(text.as_bytes(), &reading()).is_ok());
}

#[test]
fn a_limit_of_the_reader_is_kept_exactly() {
    let tight = Reading {
        limits: Limits {
            bytes_max: 8,
            depth_max: 1,
        },
        ..reading()
    };
    assert!(string::parse(b"(inform)", &tight).is_ok());
    assert!(string::parse(b"(inform) ", &tight).is_err());
}

#[test]
fn base64_that_is_none() {
    check(
        r#"(inform :content "?" :X-JADE-Encoding Base64)"#,
        21,
        "said to be Base64",
    );
}
