//! What is fuzzed: each function takes any bytes and must come back. What can be read can be written, and reads back the
//! same. Used by the fuzz targets beside this file, and by `protocols/tests/fuzz_corpus.rs` over the seed corpus.

use swarm_protocols::acl::string::{BytesForm, Writing};
use swarm_protocols::acl::{AclMessage, Charset, Reading, Timestamp, bit_efficient, json, string};
use swarm_protocols::mtp::{package, xml};
use swarm_protocols::sl;
use swarm_protocols::sl::management::{Action, Answer, Reason, subscribed};

/// Takes any bytes and comes back.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("acl_string", acl_string),
    ("acl_json", acl_json),
    ("acl_bit_efficient", acl_bit_efficient),
    ("acl_postcard", acl_postcard),
    ("sl", sl_content),
    ("mtp_envelope", mtp_envelope),
    ("mtp_package", mtp_package),
];

fn reading() -> Reading {
    Reading::at(Timestamp::UNIX_EPOCH)
}

/// Writes a message in every form that it has, and reads it back.
fn reads_back(message: &AclMessage) {
    for bytes in [BytesForm::LengthPrefixed, BytesForm::JadeBase64] {
        if let Ok(text) = string::emit(message, Writing { bytes }) {
            let read = string::parse(&text, &reading()).expect("what was written is read");
            assert!(read.is_identical(message), "{message:?}\n{read:?}");
        }
    }
    if let Ok(bits) = bit_efficient::emit(message) {
        let read = bit_efficient::parse(&bits, &reading()).expect("what was written is read");
        assert!(read.is_identical(message), "{message:?}\n{read:?}");
        let text = json::emit(message);
        let read = json::parse(&text, &reading()).expect("what was written is read");
        assert!(read.is_identical(message), "{message:?}\n{read:?}");
    }
}

/// The string form, in both charsets.
pub fn acl_string(data: &[u8]) {
    for charset in [Charset::Utf8, Charset::Latin1] {
        let reading = Reading {
            charset,
            ..reading()
        };
        if let Ok(message) = string::parse(data, &reading) {
            reads_back(&message);
        }
    }
}

/// The JSON form.
pub fn acl_json(data: &[u8]) {
    if let Ok(message) = json::parse(data, &reading()) {
        reads_back(&message);
    }
}

/// The bit-efficient form.
pub fn acl_bit_efficient(data: &[u8]) {
    if let Ok(message) = bit_efficient::parse(data, &reading()) {
        reads_back(&message);
    }
}

/// The form inside of Swarm. It makes no promises about names, so that writing may be refused.
pub fn acl_postcard(data: &[u8]) {
    if let Ok(message) = postcard::from_bytes::<AclMessage>(data) {
        let _ = json::emit(&message);
        if let Ok(text) = string::emit(&message, Writing::default()) {
            let read = string::parse(&text, &reading()).expect("what was written is read");
            assert!(read.is_identical(&message), "{message:?}\n{read:?}");
        }
    }
}

/// SL content, and what it means to an AMS or a DF.
pub fn sl_content(data: &[u8]) {
    let Ok(terms) = sl::parse(data, &reading()) else {
        return;
    };
    let text = sl::write(&terms).expect("what was read can be written");
    let read = sl::parse(text.as_bytes(), &reading()).expect("what was written is read");
    assert_eq!(read, terms);
    let _ = Answer::read(&terms, &reading());
    let _ = subscribed(&terms, &reading());
    for term in &terms {
        let _ = term.as_aid();
        let _ = Reason::read(term);
        if let Ok(action) = Action::read(term, &reading()) {
            let again = Action::read(&action.term(), &reading());
            assert_eq!(again.as_ref(), Ok(&action));
        }
    }
}

/// An envelope in XML. Values lose their blanks and what is not written, so only a second round must change nothing.
pub fn mtp_envelope(data: &[u8]) {
    if let Ok(envelope) = xml::read(data)
        && let Ok(once) = xml::write(&envelope)
        && let Ok(read) = xml::read(once.as_bytes())
    {
        let twice = xml::write(&read).expect("what was written can be written");
        assert_eq!(xml::read(twice.as_bytes()), Ok(read));
    }
}

/// The body of a request: the first line is its content type.
pub fn mtp_package(data: &[u8]) {
    let end = data
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(data.len());
    let content_type = String::from_utf8_lossy(&data[..end]);
    let body = data.get(end + 1..).unwrap_or_default();
    if let Ok(incoming) = package::read(content_type.trim(), body, &reading()) {
        for receiver in incoming.envelope.recipients() {
            let written =
                package::write(&incoming.message, receiver, reading().now, "fuzz-boundary");
            if let Ok(out) = written {
                package::read(&out.content_type, &out.body, &reading()).expect("what was written");
            }
        }
    }
}
