//! Messages from other platforms.

use crate::kit::{Client, Peer, Platform, body, capture, captured_from, post};
use swarm_protocols::{Aid, Performative};

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_request_of_jade_is_delivered_and_its_answer_goes_back_to_jade() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    let mut client = platform.connect().await;
    let answer = client
        .ask(&captured_from("cn-AtoB-01-cfp.http", jade.address))
        .await;
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");

    // The agent does not understand a call for proposals, and says so.
    let got = jade.next().await;
    assert_eq!(got.message.performative, Performative::NotUnderstood);
    assert_eq!(
        got.message.conversation_id.as_deref(),
        Some("C120868103_i_1795188458143_0")
    );
    assert_eq!(got.message.in_reply_to.as_deref(), Some("R1795188458163_2"));
    assert_eq!(got.message.receiver, [Aid::named("i@platA")]);
    let sender = got.message.sender.expect("a sender");
    assert_eq!(sender.name, "r3@platB");
    assert_eq!(sender.addresses, [platform.fipa.url()]);
    // What JADE needs of a request (fipa.md c.6).
    assert_eq!(got.envelope.intended_receiver, [Aid::named("i@platA")]);
    assert_eq!(got.envelope.payload_encoding.as_deref(), Some("UTF-8"));
    assert!(got.envelope.date.is_some() && got.envelope.payload_length.is_some());
    assert!(
        got.head.starts_with("POST /acc HTTP/1.1\r\n"),
        "{}",
        got.head
    );
    assert!(
        got.head.contains("\r\nMime-Version: 1.0\r\n")
            && got.head.contains("\r\nCache-Control: no-cache\r\n")
    );
    assert!(
        got.head
            .contains("\r\nContent-Type: multipart/mixed ; boundary=\""),
        "{}",
        got.head
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_length_of_0_and_leaves_the_connection_open_past_the_extra_line_end() {
    let platform = Platform::start().await;
    let mut client = platform.connect().await;
    // Each captured request ends with a line end that is not within its length, and stays before the next request.
    for (name, n) in [
        ("cn-AtoB-04-accept-proposal.http", 1),
        ("cn-AtoB-05-reject-proposal.http", 2),
    ] {
        let answer = client.ask(&capture(name)).await;
        assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        assert!(
            answer.head.contains("\r\nContent-Length: 0\r\n"),
            "{answer:?}"
        );
        assert!(
            !answer.head.to_ascii_lowercase().contains("connection:"),
            "{answer:?}"
        );
        assert_eq!(platform.fipa.counts().received, n);
    }
    assert_eq!(platform.fipa.counts().connections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_jade_would_take_are_taken() {
    let mut platform = Platform::start().await;
    let body = body("r2", "(inform :content \"a\r\n\r\n--bX\r\n\")");
    let head = |start: &str, rest: &str| format!("{start}\r\nHost: h\r\n{rest}\r\n");
    let typed = "Content-Type: multipart/mixed; boundary=\"b\"\r\n";
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let whole =
        format!("POST http://127.0.0.1:7812/acc HTTP/1.1\r\nHost: h\r\n{typed}{length}\r\n{body}");
    let bare_parts = body
        .replace("\r\nContent-Type: application/xml", "")
        .replace("\r\nContent-Type: application/text", "");
    let bare_length = format!("Content-Length: {}\r\n", bare_parts.len());
    let no_preamble = body.strip_prefix("pre\r\n").expect("a preamble");
    let no_preamble_length = format!("Content-Length: {}\r\n", no_preamble.len());
    let no_last_line_end = body.strip_suffix("\r\n").expect("a line end");
    let no_last_length = format!("Content-Length: {}\r\n", no_last_line_end.len());
    for request in [
        head("POST /acc HTTP/1.1", &format!("{typed}{length}")) + &body,
        whole,
        head("POST /acc HTTP/1.0", &format!("{typed}{length}")) + &body,
        head(
            "POST /acc HTTP/1.1",
            &format!("{typed}Transfer-Encoding: chunked\r\n"),
        ) + &chunked,
        head(
            "POST /acc HTTP/1.1",
            &format!("content-type:multipart/mixed;boundary=b\r\n{length}"),
        ) + &body,
        head(
            "POST /acc HTTP/1.1",
            &format!(
                "Content-Type: multipart/mixed ; boundary=\"b\"\r\n{length}Connection: Keep-Alive\r\n"
            ),
        ) + &body,
        head("POST /acc HTTP/1.1", &format!("{typed}{bare_length}")) + &bare_parts,
        head(
            "POST /acc HTTP/1.1",
            &format!("{typed}{no_preamble_length}"),
        ) + no_preamble,
        head("POST /acc HTTP/1.1", &format!("{typed}{no_last_length}")) + no_last_line_end,
    ] {
        let mut client = platform.connect().await;
        let answer = client.ask(request.as_bytes()).await;
        assert_eq!(answer.status(), "200", "{request}\n{answer:?}");
        assert_eq!(
            platform.next().await.text(),
            Some("a\r\n\r\n--bX\r\n"),
            "{request}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_feeds_alone_end_lines_too() {
    let mut platform = Platform::start().await;
    let request = String::from_utf8(post(&body("r2", "(inform :content x)"))).expect("text");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let body = body.replace("\r\n", "\n");
    let head: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("Content-Length"))
        .collect();
    let request = format!(
        "{}\nContent-Length: {}\n\n{body}",
        head.join("\n"),
        body.len()
    );
    let mut client = platform.connect().await;
    assert_eq!(client.ask(request.as_bytes()).await.status(), "200");
    assert_eq!(platform.next().await.text(), Some("x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_sent_at_once_are_answered_in_their_order() {
    let mut platform = Platform::start().await;
    let mut client = platform.connect().await;
    let first = post(&body("r2", "(inform :content first)"));
    let second = post(&body("r2", "(inform :content second)"));
    client.send(&[first, second].concat()).await;
    for text in ["first", "second"] {
        assert_eq!(client.answer().await.status(), "200");
        assert_eq!(platform.next().await.text(), Some(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_told_to_continue_is_told() {
    let mut platform = Platform::start().await;
    let request = post(&body("r2", "(inform :content x)"));
    let request = String::from_utf8(request).expect("text");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut client = platform.connect().await;
    client
        .send(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes())
        .await;
    assert_eq!(client.answer().await.status(), "100");
    assert_eq!(client.ask(body.as_bytes()).await.status(), "200");
    assert_eq!(platform.next().await.text(), Some("x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_it_closed_finds_it_closed() {
    let platform = Platform::start().await;
    let request = post(&body("r2", "(inform)"));
    let request = String::from_utf8(request).expect("text");
    let request = request.replacen("Host: h\r\n", "Host: h\r\nConnection: close\r\n", 1);
    let mut client = platform.connect().await;
    let answer = client.ask(request.as_bytes()).await;
    assert_eq!(answer.status(), "200");
    assert!(
        answer
            .head
            .to_ascii_lowercase()
            .contains("\r\nconnection: close\r\n"),
        "{answer:?}"
    );
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_found_by_its_name_in_any_case_and_by_its_path() {
    let mut platform = Platform::start().await;
    let mut client = platform.connect().await;
    for name in ["r2", "R2", "/r2", "/nameless"] {
        let answer = client.ask(&post(&body(name, "(inform :content x)"))).await;
        assert_eq!(answer.status(), "200");
        assert_eq!(platform.next().await.text(), Some("x"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_nobody_comes_back_as_a_failure_of_the_ams() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    let mut client = platform.connect().await;
    let acl = format!(
        "(request :sender (agent-identifier :name i@platA :addresses (sequence {})) :receiver (set (agent-identifier :name nobody@platB)) \
         :conversation-id c1 :reply-with r1 :protocol fipa-request)",
        jade.url()
    );
    assert_eq!(
        client.ask(&post(&body("nobody", &acl))).await.status(),
        "200"
    );
    let failure = jade.next().await.message;
    assert!(failure.is_delivery_failure(), "{failure:?}");
    assert_eq!(failure.sender, Some(Aid::named("ams@platB")));
    assert_eq!(failure.conversation_id.as_deref(), Some("c1"));
    assert_eq!(failure.in_reply_to.as_deref(), Some("r1"));
    assert_eq!(failure.protocol.as_deref(), Some("fipa-request"));
    let content = failure.text().expect("content").to_owned();
    assert!(
        content.starts_with("((action (agent-identifier :name i@platA :addresses (sequence http://")
            && content.ends_with(
                "(ACLMessage)) (MTS-error (agent-identifier :name nobody@platB) \"Agent not found: no agent nobody@platB here\"))"
            ),
        "{content}"
    );

    // A failure of an AMS that finds nobody is dropped, or two platforms could go on like that for ever.
    let acl = acl
        .replace("(request", "(failure")
        .replace("i@platA", "ams@platA");
    assert_eq!(
        client.ask(&post(&body("nobody", &acl))).await.status(),
        "200"
    );
    platform.counts(|counts| counts.undeliverable == 2).await;
    assert_eq!(platform.fipa.counts().failures, 1);
    assert!(jade.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_is_a_failure_and_no_stall() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    platform.agent("/deaf").pause();
    let mut client = platform.connect().await;
    let acl = |n: u32| {
        format!(
            "(inform :sender (agent-identifier :name i@platA :addresses (sequence {})) :reply-with r{n})",
            jade.url()
        )
    };
    for n in 0..2 {
        let answer = client.ask(&post(&body("deaf", &acl(n)))).await;
        assert_eq!(answer.status(), "200");
    }
    let failure = jade.next().await.message;
    assert_eq!(failure.in_reply_to.as_deref(), Some("r1"));
    assert!(
        failure
            .text()
            .expect("content")
            .contains("Agent unreachable"),
        "{failure:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_is_taken_and_dropped() {
    let mut platform = Platform::start().await;
    let mut client = platform.connect().await;
    let acl = "(inform :sender (agent-identifier :name i@platA) :conversation-id c1 :reply-with r1 :content a)";
    let request = post(&body("r2", acl));
    for _ in 0..2 {
        assert_eq!(client.ask(&request).await.status(), "200");
    }
    // The same reply-with, but another message: JADE makes them from a clock.
    let other = acl.replace("content a", "content b");
    assert_eq!(client.ask(&post(&body("r2", &other))).await.status(), "200");
    assert_eq!(platform.next().await.text(), Some("a"));
    assert_eq!(platform.next().await.text(), Some("b"));
    assert_eq!(platform.fipa.counts().duplicates, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_addresses_is_answered_where_the_envelope_came_from() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    let envelope = format!(
        "<envelope><params index=\"1\"><to><agent-identifier><name>r3@platB</name></agent-identifier></to>\
         <from><agent-identifier><name>i@platA</name><addresses><url>{}</url></addresses></agent-identifier></from>\
         <acl-representation>FIPA.ACL.rep.string.std</acl-representation></params></envelope>",
        jade.url()
    );
    let acl = "(request :sender (agent-identifier :name i@platA) :content hi)";
    let mut client = platform.connect().await;
    let answer = client
        .ask(&post(&crate::kit::body_of(&envelope, acl)))
        .await;
    assert_eq!(answer.status(), "200");
    let got = jade.next().await;
    assert_eq!(got.message.performative, Performative::Inform);
    assert_eq!(got.message.text(), Some("hi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_the_address_is_told_about_the_platform() {
    let platform = Platform::start().await;
    let mut client = platform.connect().await;
    let answer = client.ask(b"GET /acc HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer.status(), "200");
    assert_eq!(
        answer.body,
        format!(
            "(ap-description :name platB :ap-services (set (ap-service :name fipa.mts.mtp.http.std :type fipa.mts.mtp.http.std :addresses (sequence {}))))\r\n",
            platform.fipa.url()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_transport_takes_nothing_more() {
    let platform = Platform::start().await;
    let address = platform.address();
    let mut idle = Client::to(address).await;
    platform.fipa.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(idle.is_closed().await);
}
