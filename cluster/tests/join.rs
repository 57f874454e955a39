//! The exchange that lets a node in, over real sockets; each failure within five seconds and with its own type.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of it"
)]
mod common;

use common::{Door, Node, authority, credentials, name, now};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::security::join::{JOIN_LIMIT, JoinError, JoinRefusal, Joined, join};
use swarm_cluster::security::{Credentials, JoinToken, TokenRefusal, TokenStore};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

async fn first(skew_ms: u64) -> (Node, Arc<Door>) {
    let authority = authority();
    let node = Node::start("n1", 1, credentials(&authority, "n1")).await;
    let door = Arc::new(Door {
        authority,
        tokens: Mutex::new(TokenStore::default()),
        alive: BTreeSet::from([name("n1")]),
        skew_ms,
    });
    *node.seen.door.lock() = Some(door.clone());
    (node, door)
}

async fn attempt(address: &str, token: &JoinToken, node: &str) -> Result<Joined, JoinError> {
    let me = NodeId {
        name: name(node),
        boot: BootId(9),
    };
    let joining = join(address, token, me, "127.0.0.1:1".to_owned(), now() * 1000);
    const { assert!(JOIN_LIMIT.as_millis() < 5000) };
    // The limit is what ends it; the machine may be slow to say so.
    tokio::time::timeout(JOIN_LIMIT * 6, joining)
        .await
        .expect("within its limit")
}

async fn refusal(node: &Node, token: &JoinToken, called: &str) -> JoinError {
    attempt(&node.address.to_string(), token, called)
        .await
        .expect_err("refused")
}

fn later() -> u64 {
    now() + 600
}

#[tokio::test]
async fn a_token_gets_a_certificate_that_serves_for_links() {
    let (n1, door) = first(0).await;
    let token = door.token(later(), Some(1));
    let joined = attempt(&n1.address.to_string(), &token, "n2")
        .await
        .expect("joins");
    let credentials = Credentials::new(joined.certificate, joined.admission.roots).expect("usable");
    let n2 = Node::start("n2", 9, credentials).await;
    n2.knows("n1", n1.address);
    n2.send("n1", 5).await;
    n1.seen.until("the message", |s| s.numbers == [5]).await;
    assert_eq!(
        refusal(&n1, &token, "n3").await,
        JoinError::Refused(JoinRefusal::Token(TokenRefusal::UsedUp))
    );
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_for_its_own_reason() {
    let (n1, door) = first(0).await;
    let expired = door.token(now() - 1, None);
    let revoked = door.token(later(), None);
    door.tokens.lock().revoke(revoked.id);
    let forgotten = door.token(later(), None);
    for (token, expected) in [
        (&expired, TokenRefusal::Expired),
        (&revoked, TokenRefusal::Revoked),
    ] {
        assert_eq!(
            refusal(&n1, token, "n2").await,
            JoinError::Refused(JoinRefusal::Token(expected))
        );
    }
    *door.tokens.lock() = TokenStore::default();
    assert_eq!(
        refusal(&n1, &forgotten, "n2").await,
        JoinError::Refused(JoinRefusal::Token(TokenRefusal::Wrong))
    );
}

#[tokio::test]
async fn a_taken_name_and_a_wrong_clock_are_refused_and_use_nothing_up() {
    let (n1, door) = first(0).await;
    let token = door.token(later(), Some(1));
    assert_eq!(
        refusal(&n1, &token, "n1").await,
        JoinError::Refused(JoinRefusal::NameTaken { name: name("n1") })
    );
    let (fast, other_door) = first(90_000).await;
    let others = other_door.token(later() + 1000, Some(1));
    assert!(matches!(
        refusal(&fast, &others, "n2").await,
        JoinError::Refused(JoinRefusal::ClockSkew { .. })
    ));
    for door in [&door, &other_door] {
        assert_eq!(door.tokens.lock().list()[0].used, 0);
    }
}

#[tokio::test]
async fn more_than_are_taken_in_at_once_from_one_address_all_get_in() {
    // 16 strangers of one address may be in their handshake; further connections are closed.
    let (n1, door) = first(0).await;
    let token = door.token(later(), None);
    let address = n1.address.to_string();
    let joining = (0..48).map(|n| {
        let (address, token) = (address.clone(), token.clone());
        tokio::spawn(async move { attempt(&address, &token, &format!("j{n}")).await })
    });
    for joining in joining.collect::<Vec<_>>() {
        joining.await.expect("ends").expect("joins");
    }
}

#[tokio::test]
async fn another_cluster_is_found_out_before_the_token_is_shown() {
    let (_n1, door) = first(0).await;
    let (other, _) = first(0).await;
    let token = door.token(later(), None);
    assert!(matches!(
        refusal(&other, &token, "n2").await,
        JoinError::OtherCluster { .. }
    ));
}

#[tokio::test]
async fn nobody_and_somebody_else_at_the_address_are_told_apart() {
    let (_n1, door) = first(0).await;
    let token = door.token(later(), None);
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        listener.local_addr().expect("bound")
    };
    assert!(matches!(
        attempt(&closed.to_string(), &token, "n2").await,
        Err(JoinError::Unreachable { .. })
    ));
    let web = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = web.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        }
    });
    assert!(matches!(
        attempt(&address.to_string(), &token, "n2").await,
        Err(JoinError::NotANode { .. })
    ));
    // One that accepts and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = mute.local_addr().expect("bound");
    assert!(matches!(
        attempt(&address.to_string(), &token, "n2").await,
        Err(JoinError::Timeout { .. })
    ));
    assert!(matches!(
        attempt("no-such-host.invalid:1", &token, "n2").await,
        Err(JoinError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn an_expired_node_certificate_reads_as_a_wrong_clock() {
    let authority = authority();
    let long_ago = now() - 100_000;
    let expired = common::credentials_for(&authority, "n1", long_ago, Duration::from_secs(60));
    let node = Node::start("n1", 1, expired).await;
    let door = Door {
        authority,
        tokens: Mutex::new(TokenStore::default()),
        alive: BTreeSet::new(),
        skew_ms: 0,
    };
    let token = door.token(later(), None);
    assert!(matches!(
        refusal(&node, &token, "n2").await,
        JoinError::ClockSkew { .. }
    ));
}
