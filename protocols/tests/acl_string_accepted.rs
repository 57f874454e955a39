//! What the string form must accept: fipa.md b.5, a test for each row, and what JADE emits or takes besides.

mod kit;

use kit::{capture, noon, reading};
use std::time::Duration;
use swarm_protocols::acl::string::{self, Writing};
use swarm_protocols::acl::{AclMessage, Aid, Charset, Performative, Reading};

fn parse(text: &str) -> AclMessage {
    parse_bytes(text.as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> AclMessage {
    string::parse(bytes, &reading()).unwrap_or_else(|error| {
        panic!(
            "{:?} is refused: {error}",
            String::from_utf8_lossy(bytes).into_owned()
        )
    })
}

fn content(text: &str) -> String {
    let message = parse(text);
    message.text().expect("text as content").to_owned()
}

#[test]
fn a1_a_message_may_be_an_act_alone() {
    assert!(parse("(inform)").is_identical(&AclMessage::new(Performative::Inform)));
}

#[test]
fn a2_acts_parameters_and_slots_are_read_in_any_case() {
    let message = parse(
        "(INFORM :Sender (Agent-Identifier :NAME a@p) :receiver (set (agent-identifier :name b@p)))",
    );
    let mut expected = AclMessage::new(Performative::Inform);
    expected.sender = Some(Aid::named("a@p"));
    expected.receiver = vec![Aid::named("b@p")];
    assert!(message.is_identical(&expected));
}

#[test]
fn a3_a_quote_is_escaped_and_everything_else_in_a_literal_is_plain() {
    assert_eq!(
        content(r#"(inform :content "say \"hi\" (a b) :sender :x")"#),
        r#"say "hi" (a b) :sender :x"#
    );
}

#[test]
fn a4_a_backslash_before_anything_but_a_quote_is_itself() {
    assert_eq!(content(r#"(inform :content "C:\\tmp \n")"#), r"C:\\tmp \n");
}

#[test]
fn a5_a_byte_length_string_is_taken_as_it_is() {
    let message = parse("(inform :content #7\"a)\n(\"b\" :language raw)");
    assert_eq!(message.text(), Some("a)\n(\"b\""));
    assert_eq!(message.language.as_deref(), Some("raw"));
}

#[test]
fn a6_a_relative_reply_by_counts_from_now() {
    let message = parse("(cfp :reply-by +00000000T000030000 :protocol fipa-contract-net)");
    assert_eq!(
        message.reply_by,
        Some(noon().saturating_add(Duration::from_secs(30)))
    );
    assert_eq!(message.protocol.as_deref(), Some("fipa-contract-net"));
}

#[test]
fn a7_aids_have_quoted_names_resolvers_and_user_slots_and_sets_may_be_empty() {
    let message = parse(
        r#"(request :sender (agent-identifier :name "odd name@p" :addresses (sequence http://h:1/acc iiop://x) :resolvers (sequence (agent-identifier :name r@p)) :X-pri high) :receiver (set) :reply-to (set (agent-identifier :name c@p)))"#,
    );
    let mut sender = Aid::named("odd name@p");
    sender.addresses =
        swarm_protocols::thin_vec!["http://h:1/acc".to_owned(), "iiop://x".to_owned()];
    sender.resolvers = swarm_protocols::thin_vec![Aid::named("r@p")];
    sender.user_slots = swarm_protocols::thin_vec![("X-pri".to_owned(), "high".to_owned())];
    assert!(
        message
            .sender
            .as_ref()
            .expect("a sender")
            .is_identical(&sender)
    );
    assert!(message.receiver.is_empty());
    assert_eq!(message.reply_to, vec![Aid::named("c@p")]);
}

#[test]
fn a8_user_parameters_hold_lists_and_numbers_and_content_may_be_empty() {
    let message = parse(r#"(inform :X-Trace (a "b c" 12 (d)) :x-n -12.5e3 :content "")"#);
    // The inner quotes stay, other than with JADE.
    assert_eq!(
        message.user_parameter("x-trace"),
        Some(r#"(a "b c" 12 (d))"#)
    );
    assert_eq!(message.user_parameter("X-N"), Some("-12.5e3"));
    assert_eq!(message.text(), Some(""));
}

#[test]
fn a9_numbers_and_dates_as_expressions_keep_their_spelling() {
    let message =
        parse("(inform :reply-with 12345 :in-reply-to 20260101T120000000Z :conversation-id -7.5)");
    assert_eq!(message.reply_with.as_deref(), Some("12345"));
    assert_eq!(message.in_reply_to.as_deref(), Some("20260101T120000000Z"));
    assert_eq!(message.conversation_id.as_deref(), Some("-7.5"));
}

#[test]
fn a10_tokens_need_no_blanks_and_slots_no_order() {
    let message = parse(
        "(inform :sender(agent-identifier :addresses(sequence http://h/acc):name a@p):receiver(set(agent-identifier :name b@p)):content \" x \")",
    );
    let sender = message.sender.as_ref().expect("a sender");
    assert_eq!((sender.name.as_str(), sender.addresses.len()), ("a@p", 1));
    assert_eq!(message.receiver, vec![Aid::named("b@p")]);
    assert_eq!(message.text(), Some(" x "));
}

#[test]
fn what_jade_emits_or_takes_besides_is_accepted() {
    assert_eq!(content("(inform :content word)"), "word");
    assert_eq!(
        parse(r#"(inform :protocol "fipa-contract-net")"#)
            .protocol
            .as_deref(),
        Some("fipa-contract-net")
    );
    for word in ["ab\"c", "@x", "+x", ":x", "?x", "café"] {
        let message = parse(&format!("(inform :conversation-id {word} :content x)"));
        assert_eq!(message.conversation_id.as_deref(), Some(word));
    }
    assert_eq!(
        parse(r#"(inform :conversation-id "")"#)
            .conversation_id
            .as_deref(),
        Some("")
    );
    assert_eq!(content("(inform :content \"café → 🦀\")"), "café → 🦀");
    for trailing in ["\n", ")", " (inform :content \"second\")", "\0\u{1}"] {
        assert_eq!(content(&format!("(inform :content x){trailing}")), "x");
    }
}

#[test]
fn a_byte_length_string_may_be_empty_and_its_length_signed() {
    assert_eq!(content("(inform :content #0\":language x)"), "");
    assert_eq!(content("(inform :content #+5\"a b c)"), "a b c");
}

#[test]
fn byte_length_strings_are_counted_in_bytes() {
    assert_eq!(content("(inform :content #5\"café)"), "café");
}

#[test]
fn of_a_parameter_that_stands_twice_the_last_counts() {
    let message = parse(
        "(inform :language a :LANGUAGE b :receiver (set (agent-identifier :name x@p)) :receiver (set (agent-identifier :name y@p)) :X-n 1 :X-n 2)",
    );
    assert_eq!(message.language.as_deref(), Some("b"));
    assert_eq!(message.receiver, vec![Aid::named("y@p")]);
    assert_eq!(message.user_parameter("X-n"), Some("2"));
    assert_eq!(message.user_parameters.len(), 2, "all are passed on");
}

#[test]
fn the_value_may_follow_its_name_without_a_blank() {
    assert_eq!(content("(inform :content\"x\":language y)"), "x");
    assert_eq!(content("(inform :content#2\"xy:language y)"), "xy");
}

#[test]
fn text_in_another_charset_is_read_when_it_is_told() {
    let latin1 = Reading {
        charset: Charset::Latin1,
        ..reading()
    };
    let message = string::parse(b"(inform :content \"caf\xe9\" :ontology caf\xe9)", &latin1)
        .expect("a message");
    assert_eq!(message.text(), Some("café"));
    assert_eq!(message.ontology.as_deref(), Some("café"));
}

#[test]
fn content_in_a_wrong_charset_is_kept_byte_by_byte() {
    let message = parse_bytes(b"(inform :content \"caf\xe9 \\\"x\\\"\")");
    assert_eq!(message.content.as_deref(), Some(&b"caf\xe9 \"x\""[..]));
    assert_eq!(message.text(), None);
}

#[test]
fn everything_that_jade_emits_is_read() {
    let message = parse_bytes(&capture("codec-string.acl"));
    let mut expected = kit::proposal();
    assert!(message.is_identical(&expected), "{message:#?}");

    expected.content = Some(vec![0x00, 0x01, 0xff]);
    let bytes = parse_bytes(&capture("codec-string-bytes.acl"));
    assert!(bytes.is_identical(&expected), "{bytes:#?}");
}

#[test]
fn each_captured_message_is_read_and_what_is_written_of_it_is_the_same() {
    for name in kit::REQUESTS {
        let message = parse_bytes(&kit::acl_text(name));
        assert!(
            message.sender.is_some() && message.conversation_id.is_some(),
            "{name}"
        );
        assert_eq!(message.receiver.len(), 1, "{name}");
        let written = string::emit(&message, Writing::default()).expect("writable");
        assert!(parse_bytes(&written).is_identical(&message), "{name}");
    }
}

#[test]
fn a_name_that_jade_quotes_twice_is_read_as_jade_means_it() {
    let message = parse_bytes(&kit::acl_text("df-ams-get-description-reply0.http"));
    let content = message.text().expect("text");
    assert!(content.contains(r#":name "\"platB\"""#), "{content}");
}
