//! Messages made at random, and the captured bytes of JADE 4.6.5.

#![allow(dead_code, reason = "each test file uses its part")]

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use swarm_protocols::acl::{AclMessage, Aid, Performative, Reading, Timestamp};

/// 2026-01-01T12:00:00.000Z.
pub(crate) fn noon() -> Timestamp {
    Timestamp::from_millis(1_767_268_800_000).expect("within range")
}

pub(crate) fn reading() -> Reading {
    Reading::at(noon())
}

/// A captured file.
pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/captures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The captured requests.
pub(crate) const REQUESTS: [&str; 13] = [
    "cn-AtoB-01-cfp.http",
    "cn-AtoB-04-accept-proposal.http",
    "cn-AtoB-05-reject-proposal.http",
    "cn-BtoA-01-propose.http",
    "cn-BtoA-03-refuse.http",
    "cn-BtoA-04-inform.http",
    "df-ams-get-description-reply0.http",
    "df-register-reply0.http",
    "df-register-request.http",
    "df-search-reply0.http",
    "df-search-request.http",
    "sub-AtoB-01-subscribe.http",
    "sub-BtoA-01-agree.http",
];

/// The ACL text of a captured request: what stands between the head of the second part and the boundary.
pub(crate) fn acl_text(name: &str) -> Vec<u8> {
    let bytes = capture(name);
    let find = |needle: &[u8], from: usize| {
        bytes[from..]
            .windows(needle.len())
            .position(|window| window == needle)
            .map(|at| at + from)
            .unwrap_or_else(|| panic!("{name}: no {needle:?}"))
    };
    let start = find(b"\r\n\r\n(", find(b"application/text", 0)) + 4;
    let end = find(b"\r\n--", start);
    bytes[start..end].to_vec()
}

/// Text with everything in it that codecs stumble over.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9.@:-]{1,6}".prop_map(String::from),
        1 => prop::sample::select(vec![
            "", " ", "\"", "\\", "\\\"", "\\\\", "\n", "\r\n", "\t", "(", ")", "#3\"abc", "#", "é", "→", "\u{1F980}", "\0", "\u{1}", ":content",
            "X-", "20260101T120000000Z", "-7.5", "12", "1d", "+", "?x", "@", "</a>", "&", "<", "]]>", "--b",
        ]).prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => text().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn user_defined() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[Xx]-[!-'*-~]{1,8}".prop_filter("not the codec's own", |name| {
        !name.eq_ignore_ascii_case("X-JADE-Encoding")
    });
    vec((name, text()), 0..3)
}

pub(crate) fn aid() -> impl Strategy<Value = Aid> {
    let address = "[!-'*-~]{1,20}";
    let leaf = (
        text().prop_filter("a name", |name| !name.is_empty()),
        vec(address, 0..3),
        user_defined(),
    )
        .prop_map(|(name, addresses, user_slots)| {
            let mut aid = Aid::named(name);
            aid.addresses = addresses.into();
            aid.user_slots = user_slots.into();
            aid
        });
    leaf.prop_recursive(3, 6, 2, |inner| {
        (inner.clone(), vec(inner, 0..2)).prop_map(|(mut aid, resolvers)| {
            aid.resolvers = resolvers.into();
            aid
        })
    })
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis())
        .prop_map(|millis| Timestamp::from_millis(millis).expect("within range"))
}

/// Any message that can be written.
pub(crate) fn message() -> impl Strategy<Value = AclMessage> {
    let who = (of(aid()), vec(aid(), 0..3), vec(aid(), 0..2));
    let what = (of(bytes()), of(text()), of(text()), of(text()), of(text()));
    let ties = (of(text()), of(text()), of(text()), of(timestamp()));
    let act = prop::sample::select(Performative::ALL.to_vec());
    (act, who, what, ties, user_defined()).prop_map(|(act, who, what, ties, user_parameters)| {
        let mut message = AclMessage::new(act);
        (message.sender, message.receiver) = (who.0, who.1);
        message.reply_to = who.2.into();
        message.content = what.0;
        message.language = what.1.map(Into::into);
        message.encoding = what.2.map(Into::into);
        message.ontology = what.3.map(Into::into);
        message.protocol = what.4.map(Into::into);
        message.conversation_id = ties.0.map(Into::into);
        message.reply_with = ties.1.map(Into::into);
        message.in_reply_to = ties.2.map(Into::into);
        message.reply_by = ties.3;
        message.user_parameters = user_parameters.into();
        message
    })
}

/// What the captured files of codecs hold.
pub(crate) fn proposal() -> AclMessage {
    let mut seller = Aid::named("seller@b");
    seller.addresses = swarm_protocols::thin_vec!["http://127.0.0.1:7802/acc".to_owned()];
    let mut buyer = Aid::named("buyer@a");
    buyer.addresses = swarm_protocols::thin_vec!["http://127.0.0.1:7801/acc".to_owned()];
    buyer.resolvers = swarm_protocols::thin_vec![Aid::named("ams@a")];
    let mut expected = AclMessage::new(Performative::Propose);
    expected.sender = Some(seller);
    expected.receiver = vec![buyer, Aid::named("two words@a")];
    expected.reply_to = swarm_protocols::thin_vec![Aid::named("proxy@a")];
    expected.content = Some(b"((price \"apple\" 12.5))".to_vec());
    expected.reply_with = Some("12345".into());
    expected.in_reply_to = Some("R1_0".into());
    expected.encoding = Some("utf-8".into());
    expected.language = Some("fipa-sl".into());
    expected.ontology = Some("market v1".into());
    expected.reply_by = Some(noon().saturating_add(std::time::Duration::from_millis(123)));
    expected.protocol = Some("fipa-contract-net".into());
    expected.conversation_id = Some("C1(x)".into());
    expected.user_parameters = swarm_protocols::thin_vec![
        ("X-n".to_owned(), "7".to_owned()),
        ("X-Trace".to_owned(), "on off".to_owned()),
    ];
    expected
}
