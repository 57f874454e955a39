//! `acl convert`: bytes in, bytes out, and where it is wrong.

mod common;

use common::swarmctl;
use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};

/// Runs the command with these bytes on stdin.
fn convert(from: &str, to: &str, more: &[&str], stdin: &[u8]) -> Output {
    let arguments = [&["acl", "convert", "--from", from, "--to", to], more].concat();
    let mut child = swarmctl(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let stdin = stdin.to_vec();
    // It stops reading where it knows enough.
    let writer = std::thread::spawn(move || pipe.write_all(&stdin).is_ok());
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer does not panic");
    output
}

fn converted(from: &str, to: &str, stdin: &[u8]) -> Vec<u8> {
    let output = convert(from, to, &[], stdin);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    output.stdout
}

const STRING: &[u8] = b"(propose :sender (agent-identifier :name s@b) :content \"say \\\"\xc3\xa9\\\"\n\" :conversation-id \"C1(x)\" :X-n 7)";

#[test]
fn each_form_becomes_each_other_and_comes_back_byte_by_byte() {
    let json = converted("string", "json", STRING);
    let expected = r#"{"performative":"propose","sender":{"name":"s@b"},"content":"say \"é\"\n","conversation_id":"C1(x)","user":[{"name":"X-n","value":"7"}]}"#;
    assert_eq!(String::from_utf8_lossy(&json), expected);
    let bits = converted("json", "bit-efficient", &json);
    assert_eq!(bits[..3], [0xfa, 0x10, 0x0d]);
    assert_eq!(converted("bit-efficient", "string", &bits), STRING);
    assert_eq!(converted("string", "string", STRING), STRING);
}

#[test]
fn content_keeps_every_byte() {
    let bytes = b"(inform :content #4\"\0\xff\n\\)";
    let json = converted("string", "json", bytes);
    assert_eq!(converted("json", "string", &json), bytes);
}

#[test]
fn where_it_is_wrong_is_said_with_status_7() {
    let output = convert("string", "json", &[], b"(inform\n :subject x)\n");
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("line 2, column 2 (byte 9): no parameter :subject (one of sender,"),
        "{said}"
    );

    let output = convert("bit-efficient", "string", &["-o", "json"], STRING);
    assert_eq!(output.status.code(), Some(7));
    let failure: Value = serde_json::from_slice(&output.stderr).expect("one JSON object");
    assert_eq!(failure["code"], "bad-acl");
    assert_eq!(failure["exit"], 7);
    assert_eq!(failure["problems"][0]["offset"], 0);
}

#[test]
fn a_message_without_the_wanted_form_is_status_7_too() {
    let json = br#"{"performative":"inform","sender":{"name":"a","addresses":["a b"]}}"#;
    let output = convert("json", "string", &["-o", "json"], json);
    assert_eq!(output.status.code(), Some(7));
    let failure: Value = serde_json::from_slice(&output.stderr).expect("one JSON object");
    assert_eq!(failure["code"], "unwritable-acl");
}

#[test]
fn what_is_too_long_is_refused_without_being_read_to_its_end() {
    let mut huge = b"(inform :content \"".to_vec();
    huge.resize(100_000_000, b'x');
    let output = convert("string", "json", &[], &huge);
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("more than 4194304 bytes"), "{said}");
}
