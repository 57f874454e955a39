//! Messages to other platforms.

use crate::kit::{Peer, Platform};
use std::time::{Duration, Instant};
use swarm_protocols::Aid;

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_one_after_the_other_by_one_connection_to_a_peer_that_tells_no_length() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    let start = Instant::now();
    for _ in 0..5 {
        platform.have_sent("/r2", "x@platA", &jade.url()).await;
    }
    for _ in 0..5 {
        let got = jade.next().await;
        assert_eq!(got.message.text(), Some("h\u{e9}llo"));
        assert_eq!(got.message.sender, Some(Aid::named("r2@platB")));
        assert_eq!(got.connection, 0);
        assert!(got.head.starts_with("POST /acc HTTP/1.1\r\n"));
    }
    // A client that waits for the end of the body waits until the peer closes, a minute for each.
    assert!(start.elapsed() < Duration::from_secs(30));
    platform.counts(|counts| counts.sent == 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_name_goes_by_its_path_and_is_found_by_it() {
    let mut platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    platform
        .have_sent("/nameless", "x@platA", &jade.url())
        .await;
    let sender = jade.next().await.message.sender.expect("a sender");
    assert_eq!(sender.name, "/nameless@platB");
    let mut client = platform.connect().await;
    let request = crate::kit::post(&crate::kit::body("/nameless", "(inform :content back)"));
    assert_eq!(client.ask(&request).await.status(), "200");
    assert_eq!(platform.next().await.text(), Some("back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_refuses_is_a_failure_of_the_ams_to_the_sender() {
    let mut platform = Platform::start().await;
    let refusing =
        Peer::answering("HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n").await;
    platform.have_sent("/r2", "x@platA", &refusing.url()).await;
    let failure = platform.next().await;
    assert!(failure.is_delivery_failure());
    assert_eq!(failure.sender, Some(Aid::named("ams@platB")));
    assert_eq!(failure.conversation_id.as_deref(), Some("c1"));
    assert_eq!(failure.in_reply_to.as_deref(), Some("r1"));
    let content = failure.text().expect("content");
    assert!(
        content.contains("(MTS-error (agent-identifier :name x@platA"),
        "{content}"
    );
    assert!(
        content.contains("Foreign agent unreachable") && content.contains("status 406"),
        "{content}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_a_usable_address_is_a_failure_at_once() {
    let mut platform = Platform::start().await;
    for urls in ["iiop://x", "https:/h/acc", "http://"] {
        platform.have_sent("/r2", "x@platA", urls).await;
        let failure = platform.next().await;
        let content = failure.text().expect("content");
        assert!(
            content.contains("Foreign agent with no address"),
            "{content}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_address_is_tried_where_the_first_does_not_answer() {
    let platform = Platform::start().await;
    let mut jade = Peer::jade().await;
    // Nobody listens there any more.
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let urls = format!("iiop://x http://{gone}/acc {}", jade.url());
    platform.have_sent("/r2", "x@platA", &urls).await;
    assert_eq!(jade.next().await.message.text(), Some("h\u{e9}llo"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_holds_up_nobody_else() {
    let platform = Platform::start().await;
    let mut silent = Peer::answering("").await;
    let mut jade = Peer::jade().await;
    platform.have_sent("/r2", "x@platC", &silent.url()).await;
    silent.next().await;
    for _ in 0..3 {
        platform.have_sent("/r2", "x@platA", &jade.url()).await;
        jade.next().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_peer_closed_is_made_anew() {
    let platform = Platform::start().await;
    // It says that it stays open, and the next request finds it closed.
    let mut jade =
        Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    for connection in 0..3 {
        platform.have_sent("/r2", "x@platA", &jade.url()).await;
        assert_eq!(jade.next().await.connection, connection);
    }
    platform
        .counts(|counts| counts.sent == 3 && counts.resent == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_transport_a_foreign_receiver_is_a_dead_letter() {
    let platform = Platform::start().await;
    let node = platform.node.clone();
    let agent = platform.agent("/r2");
    platform.fipa.stop().await;
    let mut request = swarm_protocols::AclMessage::new(swarm_protocols::Performative::Request);
    request.content = Some(b"x@platA http://127.0.0.1:1/acc".to_vec());
    agent.send_acl(request).await.expect("it takes it");
    let waiting = async {
        while node.system().dead_letters().list().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(crate::kit::PATIENCE, waiting)
            .await
            .is_ok()
    );
}
