//! Links over real sockets and TLS: traffic, rotation, and those who should not get in.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its part of it"
)]
mod common;

use common::{Node, authority, credentials, credentials_for, message, name, now};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::link::{Lane, Limits};
use swarm_cluster::security::{Authority, Credentials, NODE_CERTIFICATE_LIFE};
use swarm_cluster::transport::{DialError, NotOffered, PingError, Tuning};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn two(authority: &Authority) -> (Node, Node) {
    let a = Node::start("a", 1, credentials(authority, "a")).await;
    let b = Node::start("b", 2, credentials(authority, "b")).await;
    a.knows("b", b.address);
    b.knows("a", a.address);
    (a, b)
}

async fn ping(from: &Node, to: &str) -> Result<Duration, PingError> {
    from.links.ping(&name(to), Duration::from_secs(20)).await
}

/// A peer that should not get in does not, and a proper one is served all the same.
async fn refused(intruder: &Node, victim: &Node, proper: &Node) {
    assert!(ping(intruder, "b").await.is_err());
    proper.send("b", 1).await;
    victim
        .seen
        .until("the proper peer's message", |s| s.numbers == [1])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_cross_in_both_directions() {
    let (a, b) = two(&authority()).await;
    for n in 0..2000 {
        a.send("b", n).await;
        b.send("a", n).await;
    }
    let expected: Vec<u64> = (0..2000).collect();
    for node in [&a, &b] {
        node.seen
            .until("2000 messages", |s| s.numbers.len() == 2000)
            .await;
        assert_eq!(node.seen.state.lock().numbers, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_roots_are_exchanged_while_traffic_flows() {
    let (old, new) = (authority(), authority());
    let (a, b) = two(&old).await;
    let both = vec![old.root().to_vec(), new.root().to_vec()];
    let mut next = 0;
    let mut batch = async |a: &Node, b: &Node| {
        for _ in 0..500 {
            a.send("b", next).await;
            next += 1;
        }
        b.seen
            .until("the batch", |s| s.numbers.len() as u64 == next)
            .await;
        next
    };
    batch(&a, &b).await;
    // Both trust both roots, then both show the new one's, then both trust that only.
    let issue = |authority: &Authority, node: &str| {
        authority
            .issue(&name(node), now(), NODE_CERTIFICATE_LIFE)
            .expect("issues")
    };
    for (authority, roots) in [
        (&old, both.clone()),
        (&new, both),
        (&new, vec![new.root().to_vec()]),
    ] {
        for (node, called) in [(&a, "a"), (&b, "b")] {
            node.credentials
                .replace(issue(authority, called), roots.clone())
                .expect("usable");
            // What is open goes on; the next connection shows the new certificate.
            node.links
                .reconnect(&name(if called == "a" { "b" } else { "a" }));
            batch(&a, &b).await;
        }
    }
    let all = batch(&a, &b).await;
    assert_eq!(
        b.seen.state.lock().numbers,
        (0..all).collect::<Vec<_>>(),
        "nothing lost, doubled or out of order"
    );
    assert_eq!(b.seen.state.lock().broken, 0);
    let connections = a.links.list()[1].connections;
    assert!(connections >= 6, "only {connections} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_gets_nowhere() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    let foreign = Node::start("c", 3, credentials(&authority(), "c")).await;
    foreign.knows("b", b.address);
    assert!(
        matches!(
            ping(&foreign, "b").await,
            Err(PingError::Dial(DialError::Untrusted { .. }))
        ),
        "the dialling side sees that it does not trust the other"
    );
    refused(&foreign, &b, &a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_gets_nowhere() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    let long_ago = now() - 10_000;
    let expired = credentials_for(&ours, "c", long_ago, Duration::from_secs(60));
    let expired = Node::start("c", 3, expired).await;
    expired.knows("b", b.address);
    refused(&expired, &b, &a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cannot_take_anothers_name() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    // Its certificate is for c; it says that it is a.
    let liar = Node::start("a", 3, credentials(&ours, "c")).await;
    liar.knows("b", b.address);
    refused(&liar, &b, &a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_the_deny_list_gets_nowhere() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    b.seen.state.lock().denied.insert(name("c"));
    let evicted = Node::start("c", 3, credentials(&ours, "c")).await;
    evicted.knows("b", b.address);
    refused(&evicted, &b, &a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nobody_gets_in() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from(
            ours.root().to_vec(),
        ))
        .expect("a root");
    // A client that checks nothing and shows nothing.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(TrustAll(provider)));
    config.alpn_protocols = vec![b"swarm/1".to_vec()];
    let tcp = TcpStream::connect(b.address).await.expect("connects");
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect("b".try_into().expect("a name"), tcp)
        .await
        .expect("the client's half of the handshake");
    // It is closed before anything is read of it.
    let mut byte = [0];
    assert!(!matches!(stream.read(&mut byte).await, Ok(1)));
    a.send("b", 1).await;
    b.seen.until("a's message", |s| s.numbers == [1]).await;
}

#[derive(Debug)]
struct TrustAll(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_and_garbage_keep_nobody_out() {
    let ours = authority();
    let (a, b) = two(&ours).await;
    // Those that stay open and say nothing fill every place for strangers from this address, until the handshakes time out.
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(b.address).await.expect("connects"));
    }
    // A link that is up does not care.
    let to_b = b.address;
    let flood = tokio::spawn(async move {
        for n in 0..10_000u32 {
            if let Ok(mut stream) = TcpStream::connect(to_b).await {
                if n % 2 == 0 {
                    drop(stream.write_all(&[0xff; 300]).await);
                }
                // Closed with a reset, so that the test leaves no thousands of sockets in TIME_WAIT.
                drop(stream.set_zero_linger());
            }
        }
    });
    for n in 1..=50 {
        a.send("b", n).await;
    }
    b.seen
        .until("a's messages", |s| s.numbers.len() == 50)
        .await;
    flood.await.expect("floods");
    drop(idle);
    a.send("b", 51).await;
    b.seen
        .until("and one more", |s| s.numbers.len() == 51)
        .await;
    assert!(ping(&a, "b").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_costs_its_window_and_nothing_else() {
    let ours = authority();
    let limits = Limits {
        link_bytes: 1 << 20,
        receiver_bytes: 1 << 18,
        ..Limits::default()
    };
    let tuning = Tuning {
        limits,
        ..Tuning::default()
    };
    let a = Node::start_with("a", 1, credentials(&ours, "a"), tuning.clone()).await;
    let b = Node::start_with("b", 2, credentials(&ours, "b"), tuning).await;
    a.knows("b", b.address);
    // It accepts connections and never reads one.
    let deaf = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .expect("binds");
    a.knows("c", deaf.local_addr().expect("bound"));
    let mut taken = 0u32;
    while a
        .links
        .offer(&name("c"), Lane::Bulk, message(1, 10_000), None)
        .is_ok()
    {
        taken += 1;
        assert!(taken < 1000, "there is no bound");
    }
    assert!(matches!(
        a.links
            .offer(&name("c"), Lane::Bulk, message(1, 10_000), None),
        Err(NotOffered::Full(_))
    ));
    let held: usize = a.links.list().iter().map(|link| link.under_way_bytes).sum();
    assert!(held <= limits.receiver_bytes as usize, "{held}");
    for n in 0..500 {
        a.send("b", n).await;
    }
    b.seen
        .until("b gets its own", |s| s.numbers.len() == 500)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_from_files_serves_as_well() {
    let key = rcgen::KeyPair::generate().expect("key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).expect("root");
    let issuer = rcgen::Issuer::new(params, key);
    let pem = |node: &str| {
        let own = rcgen::KeyPair::generate().expect("key");
        let params = rcgen::CertificateParams::new(vec![node.to_owned()]).expect("a name");
        let certificate = params.signed_by(&own, &issuer).expect("signs");
        let wrap = |what: &str, der: &[u8]| {
            let body = data_encoding::BASE64.encode(der);
            format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
        };
        Credentials::from_pem(
            wrap("CERTIFICATE", certificate.der()).as_bytes(),
            wrap("PRIVATE KEY", &own.serialize_der()).as_bytes(),
            wrap("CERTIFICATE", root.der()).as_bytes(),
        )
        .expect("usable")
    };
    let a = Node::start("a.example", 1, pem("a.example")).await;
    let b = Node::start("b.example", 2, pem("b.example")).await;
    a.knows("b.example", b.address);
    a.send("b.example", 7).await;
    b.seen.until("the message", |s| s.numbers == [7]).await;
}
