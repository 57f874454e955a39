//! Messages by HTTPS.

use crate::kit::Platform;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use swarm_protocols::Aid;
use swarm_runtime::fipa::{FipaOptions, FipaServer, StartError, TlsFiles};

/// The files of an authority, and of a platform at 127.0.0.1 that it vouches for.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new([]).expect("valid");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("signs");
        let own_key = key();
        let own = CertificateParams::new(["127.0.0.1".to_owned()]).expect("valid");
        let own = own.signed_by(&own_key, &authority).expect("signs");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
        write("ca.pem", authority.pem()).expect("written");
        write("cert.pem", own.pem()).expect("written");
        write("key.pem", own_key.serialize_pem()).expect("written");
        write("other.pem", key().serialize_pem()).expect("written");
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn own(&self, key: &str) -> Option<(PathBuf, PathBuf)> {
        Some((self.at("cert.pem"), self.at(key)))
    }
}

async fn secured(files: &Files) -> Platform {
    Platform::with(|options| {
        options.platform = "platA".to_owned();
        options.tls.own = files.own("key.pem");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_by_https_between_platforms_that_believe_one_authority() {
    let files = Files::new();
    let mut a = secured(&files).await;
    assert!(a.fipa.url().starts_with("https://127.0.0.1:"));
    let b = Platform::with(|options| options.tls.roots = Some(files.at("ca.pem"))).await;
    b.have_sent("/r2", "r2@platA", a.fipa.url()).await;
    let heard = a.next().await;
    assert_eq!(heard.text(), Some("h\u{e9}llo"));
    assert_eq!(heard.sender, Some(Aid::named("r2@platB")));
    // More by the same connection; to the other side they are copies of the first.
    for _ in 0..2 {
        b.have_sent("/r2", "r2@platA", a.fipa.url()).await;
    }
    b.counts(|counts| counts.sent == 3).await;
    a.counts(|counts| counts.connections == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_nobody_vouches_for_gets_no_message() {
    let files = Files::new();
    let a = secured(&files).await;
    let mut b = Platform::start().await;
    b.have_sent("/r2", "r2@platA", a.fipa.url()).await;
    let failure = b.next().await;
    let content = failure.text().expect("content");
    assert!(failure.is_delivery_failure());
    assert!(content.contains("UnknownIssuer"), "{content}");
    a.counts(|counts| counts.connections == 1 && counts.received == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_with_a_certificate_takes_nothing_in_the_clear() {
    let files = Files::new();
    let a = secured(&files).await;
    let mut b = Platform::start().await;
    let in_the_clear = a.fipa.url().replace("https://", "http://");
    b.have_sent("/r2", "r2@platA", &in_the_clear).await;
    assert!(b.next().await.is_delivery_failure());
    a.counts(|counts| counts.connections >= 1 && counts.received == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_certificate_and_key_that_belong_together_are_refused() {
    let files = Files::new();
    let b = Platform::start().await;
    let start = |tls: TlsFiles| {
        let mut options = FipaOptions::new("127.0.0.1:0".parse().expect("an address"), "p");
        options.tls = tls;
        let node = b.node.clone();
        tokio::task::spawn_blocking(move || FipaServer::start(&node, options).map(drop))
    };
    for (own, roots, names) in [
        (files.own("other.pem"), None, "cert.pem"),
        (files.own("ca.pem"), None, "ca.pem"),
        (files.own("missing.pem"), None, "missing.pem"),
        (None, Some(files.at("key.pem")), "key.pem"),
    ] {
        let refused = start(TlsFiles { own, roots }).await.expect("no panic");
        let Err(StartError::Tls(error)) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.to_string().contains(names), "{error}");
    }
}
