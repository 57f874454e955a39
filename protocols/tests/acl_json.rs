//! The JSON form.

mod kit;

use kit::{message, reading};
use proptest::prelude::*;
use swarm_protocols::acl::json;
use swarm_protocols::acl::{AclMessage, Fault, Performative};

fn parse(text: &str) -> AclMessage {
    json::parse(text.as_bytes(), &reading()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_documented_form_is_what_is_written() {
    let text = String::from_utf8(json::emit(&kit::proposal())).expect("UTF-8");
    assert_eq!(
        text,
        concat!(
            r#"{"performative":"propose","sender":{"name":"seller@b","addresses":["http://127.0.0.1:7802/acc"]},"#,
            r#""receiver":[{"name":"buyer@a","addresses":["http://127.0.0.1:7801/acc"],"resolvers":[{"name":"ams@a"}]},{"name":"two words@a"}],"#,
            r#""reply_to":[{"name":"proxy@a"}],"content":"((price \"apple\" 12.5))","language":"fipa-sl","encoding":"utf-8","ontology":"market v1","#,
            r#""protocol":"fipa-contract-net","conversation_id":"C1(x)","reply_with":"12345","in_reply_to":"R1_0","#,
            r#""reply_by":"2026-01-01T12:00:00.123Z","user":[{"name":"X-n","value":"7"},{"name":"X-Trace","value":"on off"}]}"#
        )
    );
    assert!(parse(&text).is_identical(&kit::proposal()));
}

#[test]
fn only_the_act_must_be_there_and_null_is_absent() {
    let inform = AclMessage::new(Performative::Inform);
    assert!(parse(r#"{"performative":"INFORM"}"#).is_identical(&inform));
    let nulls = r#" {"performative":"inform","sender":null,"receiver":null,"content":null,"reply_by":null,"user":null} "#;
    assert!(parse(nulls).is_identical(&inform));
}

#[test]
fn bytes_are_base64() {
    let mut message = AclMessage::new(Performative::Inform);
    message.content = Some(vec![0, 1, 0xff]);
    let text = r#"{"performative":"inform","content_base64":"AAH/"}"#;
    assert_eq!(json::emit(&message), text.as_bytes());
    assert!(parse(text).is_identical(&message));
}

fn refused(text: &str, line: usize, column: usize, says: &str) {
    let error = json::parse(text.as_bytes(), &reading()).expect_err(text);
    let place = (error.place.line, error.place.column);
    assert_eq!(place, (line, column), "{text}: {error}");
    assert!(error.to_string().contains(says), "{text}: {error}");
}

#[test]
fn what_is_not_of_the_schema_is_refused_with_its_place() {
    refused("", 1, 1, "EOF");
    refused("{}", 1, 2, "missing field `performative`");
    refused(r#"{"performative":"tell"}"#, 1, 23, "none of the 22");
    refused(
        "{\"performative\":\"inform\",\n \"subject\":1}",
        2,
        10,
        "unknown field `subject`",
    );
    refused(
        r#"{"performative":"inform","sender":{"name":""}}"#,
        1,
        45,
        "without a name",
    );
    refused(r#"{"performative":"inform"} x"#, 1, 27, "trailing");
    let both = r#"{"performative":"inform","content":"x","content_base64":""}"#;
    assert!(json::parse(both.as_bytes(), &reading()).is_err());
    let name = r#"{"performative":"inform","user":[{"name":"a","value":"b"}]}"#;
    assert!(json::parse(name.as_bytes(), &reading()).is_err());
    let date = r#"{"performative":"inform","reply_by":"2026-02-30T00:00:00Z"}"#;
    assert!(json::parse(date.as_bytes(), &reading()).is_err());
}

#[test]
fn length_and_depth_are_bounded() {
    let huge = vec![b' '; 100_000_000];
    let error = json::parse(&huge, &reading()).expect_err("too long");
    assert!(matches!(error.fault, Fault::TooLong { .. }));
    let deep = r#"{"name":"a","resolvers":["#.repeat(50_000);
    let text = format!(r#"{{"performative":"inform","sender":{deep}"#);
    let error = json::parse(text.as_bytes(), &reading()).expect_err("too deep");
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(message in message()) {
        let text = json::emit(&message);
        let read = json::parse(&text, &reading())
            .map_err(|error| TestCaseError::fail(format!("{}: {error}", String::from_utf8_lossy(&text))))?;
        prop_assert!(read.is_identical(&message), "{:?}", read);
    }

    #[test]
    fn any_bytes_end_with_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::parse(&bytes, &reading());
    }
}
