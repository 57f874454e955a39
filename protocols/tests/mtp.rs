//! Requests between platforms: what JADE sends is read, what is written has the measured form, and the rest is refused.

mod kit;

use kit::{REQUESTS, acl_text, capture, noon, reading};
use proptest::prelude::*;
use swarm_protocols::acl::{AclMessage, Aid, Performative, string};
use swarm_protocols::mtp::multipart::SplitError;
use swarm_protocols::mtp::package::{self, Refusal, Unsendable};
use swarm_protocols::mtp::xml::{self, ReadError};
use swarm_protocols::mtp::{Received, TransportEnvelope};

/// The content type and the body of a captured request.
fn request(name: &str) -> (String, Vec<u8>) {
    let bytes = capture(name);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.expect("a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Type: "));
    (
        line.expect("a content type").to_owned(),
        bytes[end..].to_vec(),
    )
}

fn at(name: &str, address: &str) -> Aid {
    let mut aid = Aid::named(name);
    aid.addresses = swarm_protocols::thin_vec![address.to_owned()];
    aid
}

#[test]
fn every_captured_request_is_read() {
    for name in REQUESTS {
        let (content_type, body) = request(name);
        let incoming = package::read(&content_type, &body, &reading())
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(incoming.payload, acl_text(name), "{name}");
        assert_eq!(
            incoming.envelope.recipients(),
            incoming.message.receiver,
            "{name}"
        );
        if let Some(length) = incoming.envelope.payload_length {
            assert_eq!(length, incoming.payload.len() as u64, "{name}");
        }
    }
}

#[test]
fn the_envelope_of_a_captured_request_is_read_in_full() {
    let (content_type, body) = request("cn-AtoB-01-cfp.http");
    let incoming = package::read(&content_type, &body, &reading()).expect("a message");
    let envelope = incoming.envelope;
    let receiver = at("r3@platB", "http://127.0.0.1:7812/acc");
    let sender = at("i@platA", "http://127.0.0.1:7811/acc");
    assert!(envelope.to[0].is_identical(&receiver));
    assert!(envelope.intended_receiver[0].is_identical(&receiver));
    assert!(envelope.from.expect("a sender").is_identical(&sender));
    assert_eq!(
        envelope.acl_representation.as_deref(),
        Some(string::REPRESENTATION)
    );
    assert_eq!(envelope.payload_length, Some(459));
    assert_eq!(
        envelope.date.map(|date| date.to_string()).as_deref(),
        Some("2026-11-20T15:27:38.164Z")
    );
    assert_eq!(incoming.message.performative, Performative::Cfp);
}

#[test]
fn what_is_written_is_what_jade_needs() {
    let mut message = AclMessage::new(Performative::Inform);
    message.sender = Some(at("a@swarm", "http://127.0.0.1:1/acc"));
    let mut receiver = at("b&c@j", "http://h/acc?a=1&b=2");
    receiver.resolvers = swarm_protocols::thin_vec![Aid::named("ams@j")];
    message.receiver = vec![receiver.clone()];
    message.content = Some("é".as_bytes().to_vec());
    let out = package::write(&message, &receiver, noon(), "b123").expect("sendable");
    assert_eq!(out.content_type, "multipart/mixed ; boundary=\"b123\"");
    let text = String::from_utf8(out.body.clone()).expect("UTF-8");
    let envelope = concat!(
        "<?xml version=\"1.0\"?>\n<envelope><params index=\"1\">",
        "<to><agent-identifier><name>b&amp;c@j</name><addresses><url>http://h/acc?a=1&amp;b=2</url></addresses></agent-identifier></to>",
        "<from><agent-identifier><name>a@swarm</name><addresses><url>http://127.0.0.1:1/acc</url></addresses></agent-identifier></from>",
        "<acl-representation>fipa.acl.rep.string.std</acl-representation><payload-length>251</payload-length>",
        "<payload-encoding>UTF-8</payload-encoding><date>20260101T120000000Z</date>",
        "<intended-receiver><agent-identifier><name>b&amp;c@j</name><addresses><url>http://h/acc?a=1&amp;b=2</url></addresses></agent-identifier></intended-receiver>",
        "</params></envelope>\r\n--b123\r\n"
    );
    assert!(text.contains(envelope), "{text}");
    assert!(
        text.contains("\r\nContent-Type: application/text; charset=UTF-8\r\n\r\n(inform "),
        "{text}"
    );
    assert!(text.ends_with(")\r\n--b123--\r\n"), "{text}");
    let read = package::read(&out.content_type, &out.body, &reading()).expect("a message");
    assert!(read.message.is_identical(&message));
    assert_eq!(
        read.envelope.payload_length,
        Some(read.payload.len() as u64)
    );

    message.content = Some(b"b123".to_vec());
    let taken = package::write(&message, &receiver, noon(), "b123");
    assert_eq!(taken, Err(Unsendable::Boundary));
    let control = package::write(&message, &Aid::named("a\u{1}"), noon(), "b");
    assert!(matches!(control, Err(Unsendable::Envelope(_))));
}

/// A request with this envelope and this message.
fn body(envelope: &str, message: &[u8]) -> Vec<u8> {
    [
        &b"--b\r\n\r\n"[..],
        envelope.as_bytes(),
        b"\r\n--b\r\n\r\n",
        message,
        b"\r\n--b--\r\n",
    ]
    .concat()
}

fn envelope(fields: &str) -> String {
    format!("<envelope><params index=\"1\">{fields}</params></envelope>")
}

const TYPE: &str = "multipart/mixed; boundary=b";
const TO: &str = "<to><agent-identifier><name>x@p</name></agent-identifier></to>";
const STRING: &str = "<acl-representation>FIPA.acl.rep.string.std</acl-representation>";

fn read(envelope: &str, message: &[u8]) -> Result<AclMessage, Refusal> {
    let body = body(envelope, message);
    package::read(TYPE, &body, &reading()).map(|incoming| incoming.message)
}

#[test]
fn receiver_and_representation_must_be_there_and_a_date_need_not() {
    let full = envelope(&format!("{TO}{STRING}"));
    assert!(read(&full, b"(inform)").is_ok());
    assert_eq!(
        read(&envelope(STRING), b"(inform)"),
        Err(Refusal::NoReceiver)
    );
    assert_eq!(
        read(&envelope(TO), b"(inform)"),
        Err(Refusal::NoRepresentation)
    );
    let other = envelope(&format!(
        "{TO}<acl-representation>LEAP</acl-representation>"
    ));
    assert_eq!(
        read(&other, b"(inform)"),
        Err(Refusal::Representation("LEAP".to_owned()))
    );
    let charset = envelope(&format!(
        "{TO}{STRING}<payload-encoding>EBCDIC</payload-encoding>"
    ));
    assert_eq!(
        read(&charset, b"(inform)"),
        Err(Refusal::Charset("EBCDIC".to_owned()))
    );
    assert!(matches!(read(&full, b"(tell)"), Err(Refusal::Message(_))));
    let related = package::read("text/plain", b"", &reading()).map(|_| ());
    assert!(matches!(
        related,
        Err(Refusal::Split(SplitError::NotMultipart(_)))
    ));
}

#[test]
fn a_message_in_the_wrong_charset_is_read_as_latin_1() {
    let full = envelope(&format!(
        "{TO}{STRING}<payload-encoding>UTF-8</payload-encoding>"
    ));
    let message = read(&full, b"(inform :content \"x\" :ontology \"caf\xe9\")").expect("a message");
    assert_eq!(message.ontology.as_deref(), Some("café"));
}

#[test]
fn the_bit_efficient_form_is_read_too() {
    let bits =
        TO.to_owned() + "<acl-representation>fipa.acl.rep.bitefficient.std</acl-representation>";
    let message = capture("codec-fipa.acl.rep.bitefficient.std.bin");
    let message = read(&envelope(&bits), &message).expect("a message");
    assert!(message.is_identical(&kit::proposal()));
}

fn parsed(fields: &str) -> TransportEnvelope {
    let text = envelope(fields);
    xml::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn peculiarities_of_envelopes_are_taken() {
    // Blanks around values, a resolver within `to`, unknown elements, a comment, an encoding declaration, a length that is none.
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- c -->\n<envelope>\n<params index=\"1\">\n<to><agent-identifier>\n<name> x@p\n</name>\
        <addresses>\n<url> http://h/acc </url></addresses><resolvers><agent-identifier><name>r@p</name></agent-identifier></resolvers></agent-identifier></to>\
        <transport-behaviour/><user-defined href=\"n\" type=\"string\">v</user-defined><payload-length> many </payload-length><date>yesterday</date>\
        <comments>a &amp; b <![CDATA[<c>]]> &#233;</comments></params></envelope>\n";
    let envelope = xml::read(text.as_bytes()).expect("an envelope");
    let mut x = at("x@p", "http://h/acc");
    x.resolvers = swarm_protocols::thin_vec![Aid::named("r@p")];
    assert!(envelope.to[0].is_identical(&x), "{envelope:?}");
    assert_eq!((envelope.payload_length, envelope.date), (None, None));
    assert_eq!(envelope.comments.as_deref(), Some("a & b <c> é"));
    assert_eq!(envelope.recipients(), [Aid::named("x@p")]);
}

#[test]
fn a_value_that_jade_did_not_escape_is_taken_as_it_is_meant() {
    let envelope = parsed(
        "<to><agent-identifier><name>a&b@p</name><addresses><url>http://h/?a=1&b=2</url></addresses></agent-identifier></to>",
    );
    assert!(
        envelope.to[0].is_identical(&at("a&b@p", "http://h/?a=1&b=2")),
        "{envelope:?}"
    );
}

#[test]
fn a_field_counts_as_the_highest_params_has_it() {
    let aid = |name: &str| {
        format!(
            "<intended-receiver><agent-identifier><name>{name}</name></agent-identifier></intended-receiver>"
        )
    };
    let stamp = |url: &str| {
        format!(
            "<received><received-by value=\"{url}\"/><received-date value=\"20260101Z120000000\"/></received>"
        )
    };
    let text = format!(
        "<envelope><params index=\"10\">{}{}</params><params index=\"2\">{}{}{}</params><params index=\"1\">{TO}<comments>first</comments></params></envelope>",
        aid("c@p"),
        stamp("http://10"),
        aid("a@p"),
        aid("b@p"),
        stamp("http://2"),
    );
    let envelope = xml::read(text.as_bytes()).expect("an envelope");
    assert_eq!(envelope.recipients(), [Aid::named("c@p")]);
    assert_eq!(envelope.to, [Aid::named("x@p")]);
    assert_eq!(envelope.comments.as_deref(), Some("first"));
    assert_eq!(envelope.received.len(), 2);
    assert!(envelope.was_received_by("http://2") && !envelope.was_received_by("http://1"));
    assert_eq!(envelope.received[0].date, Some(noon()));
}

#[test]
fn nothing_is_loaded_and_no_entity_expanded() {
    let fields = format!("{TO}{STRING}");
    for doctype in [
        "<!DOCTYPE envelope SYSTEM \"file:///etc/passwd\">",
        "<!DOCTYPE e [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>",
    ] {
        let text = format!("<?xml version=\"1.0\"?>{doctype}{}", envelope(&fields));
        assert_eq!(xml::read(text.as_bytes()), Err(ReadError::DocumentType));
    }
    let text = envelope("<comments>&b;</comments>");
    assert_eq!(
        xml::read(text.as_bytes()),
        Err(ReadError::Entity("b".to_owned()))
    );
}

#[test]
fn what_is_no_envelope_is_refused() {
    for (text, expected) in [
        ("", ReadError::Missing("envelope")),
        ("<letter/>", ReadError::Missing("envelope")),
        ("<envelope/>", ReadError::Missing("params")),
        ("<envelope><params>", ReadError::Missing("envelope")),
        (
            "<envelope><params><to><agent-identifier/></to></params></envelope>",
            ReadError::Missing("name"),
        ),
    ] {
        assert_eq!(xml::read(text.as_bytes()), Err(expected), "{text}");
    }
    for text in [
        "<envelope></params>",
        "<envelope",
        "<envelope a=\"&x;\"/>",
        "<envelope><a>&#0;</a></envelope>",
    ] {
        let error = xml::read(text.as_bytes()).expect_err(text);
        assert!(matches!(error, ReadError::Xml { .. }), "{text}: {error}");
    }
    let deep = "<a>".repeat(10_000);
    assert_eq!(xml::read(deep.as_bytes()), Err(ReadError::TooDeep));
    let long = vec![b' '; 1 << 20];
    assert_eq!(
        xml::read(&long),
        Err(ReadError::TooLong { length: 1 << 20 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(
        names in prop::collection::vec("[!-~é]{1,10}", 1..4), url in "[!-~]{1,20}", text in "[ -~é]{0,20}", date in kit::timestamp(),
    ) {
        let aids: Vec<Aid> = names.iter().map(|name| at(name, &url)).collect();
        let envelope = TransportEnvelope {
            to: aids.clone(),
            from: aids.first().cloned(),
            comments: Some(text.trim().to_owned()),
            acl_representation: Some(url.clone()),
            payload_length: Some(7),
            payload_encoding: Some("UTF-8".to_owned()),
            date: Some(date),
            intended_receiver: aids,
            received: vec![Received { by: Some(url), date: Some(date), ..Received::default() }],
        };
        let written = xml::write(&envelope).expect("writable");
        prop_assert_eq!(xml::read(written.as_bytes()), Ok(envelope), "{}", written);
    }

    #[test]
    fn any_bytes_end_with_a_message_or_a_refusal(cut in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..REQUESTS.len()) {
        let (content_type, mut body) = request(REQUESTS[which]);
        let at = cut.index(body.len());
        body[at] = byte;
        let _ = package::read(&content_type, &body, &reading());
        body.truncate(at);
        let _ = package::read(&content_type, &body, &reading());
        let _ = xml::read(&body);
    }
}
