//! `http-fetch` against servers that do what they want.
#![cfg(feature = "http-fetch")]

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use swarm_tools::fetch::{HttpFetch, Lookup};
use swarm_tools::{
    Access, CallOptions, Caller, Effect, Grants, Side, ToolError, Tools, ToolsOptions, Trust,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// A server that answers each connection with what `answer` makes of its request, and tells of the requests.
struct Server {
    address: SocketAddr,
    requests: mpsc::Receiver<String>,
    _serving: AbortOnDropHandle<()>,
}

async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, requests) = mpsc::channel(100);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(stream, &answer, &tell).await;
        }
    });
    Server {
        address,
        requests,
        _serving: AbortOnDropHandle::new(serving),
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &impl Fn(&str) -> Vec<u8>,
    tell: &mpsc::Sender<String>,
) {
    let mut request = Vec::new();
    while !complete(&request) {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&bytes[..count]),
        }
    }
    let request = String::from_utf8(request).expect("a text");
    let answer = answer(&request);
    tell.send(request).await.expect("room");
    // A client that has seen enough hangs up.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    body.len() >= length
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-one: 1\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn redirect(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Go\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
        .into_bytes()
}

fn access(fetch: HttpFetch, arguments: Value) -> Access {
    let tools = Tools::new(ToolsOptions::default());
    tools.register("http-fetch", fetch).expect("registered");
    let arguments = arguments.as_object().expect("an object").clone();
    let grants = Grants::new().with_arguments("http-fetch", arguments);
    Access::new(
        tools,
        Caller::new("/a").expect("a caller"),
        grants.expect("grants"),
    )
}

/// Every name is this machine's.
fn local() -> HttpFetch {
    let lookup: Lookup = Arc::new(|_, port| {
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    });
    HttpFetch::with(Trust::System, lookup)
}

async fn fetch(access: &Access, input: Value) -> Result<Value, ToolError> {
    access
        .call("http-fetch", input, CallOptions::default())
        .await
}

fn open_to(server: &Server) -> Value {
    json!({"hosts": [format!("a.test:{}", server.address.port())], "schemes": ["http"], "methods": ["GET", "POST"], "addresses": ["127.0.0.1"]})
}

#[tokio::test]
async fn what_is_granted_is_fetched() {
    let mut server = serve(|_| ok("hällo")).await;
    let access = access(local(), open_to(&server));
    let url = format!("http://a.test:{}/p?q=1#f", server.address.port());
    let answer = fetch(
        &access,
        json!({"url": url, "method": "POST", "body": "ü", "headers": {"X-A": "b"}}),
    )
    .await
    .expect("an answer");
    assert_eq!(
        (
            &answer["status"],
            &answer["body"],
            &answer["headers"]["x-one"]
        ),
        (&json!(200), &json!("hällo"), &json!("1"))
    );
    let request = server.requests.recv().await.expect("a request");
    assert!(request.starts_with("POST /p?q=1 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains(&format!("\r\nhost: a.test:{}\r\n", server.address.port())),
        "{request}"
    );
    assert!(
        request.contains("\r\nx-a: b\r\n") && request.ends_with("\r\n\r\nü"),
        "{request}"
    );
}

#[tokio::test]
async fn a_body_that_is_no_text_comes_in_base64() {
    let server = serve(|_| b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n\xff\x00".to_vec()).await;
    let access = access(local(), open_to(&server));
    let answer = fetch(
        &access,
        json!({"url": format!("http://a.test:{}", server.address.port())}),
    )
    .await
    .expect("an answer");
    assert_eq!(
        (&answer["status"], &answer["body_base64"]),
        (&json!(404), &json!("/wA="))
    );
}

#[tokio::test]
async fn a_name_of_a_private_address_is_denied_before_anything_is_sent() {
    let mut server = serve(|_| ok("secret")).await;
    let mut arguments = open_to(&server);
    arguments["addresses"] = json!(["127.0.0.2"]);
    let access = access(local(), arguments);
    let url = format!("http://a.test:{}", server.address.port());
    let denied = fetch(&access, json!({"url": url})).await;
    assert!(
        matches!(denied, Err(ToolError::Denied { .. })),
        "{denied:?}"
    );
    assert!(server.requests.try_recv().is_err());
}

#[tokio::test]
async fn a_listed_address_without_a_listed_host_is_denied() {
    let server = serve(|_| ok("")).await;
    let access = access(local(), open_to(&server));
    for url in [
        format!("http://127.0.0.1:{}/", server.address.port()),
        format!("http://b.test:{}/", server.address.port()),
        "http://a.test/".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("https://a.test:{}/", server.address.port()),
    ] {
        let denied = fetch(&access, json!({"url": url})).await;
        assert!(
            matches!(denied, Err(ToolError::Denied { .. })),
            "{url}: {denied:?}"
        );
    }
    let method = fetch(
        &access,
        json!({"url": format!("http://a.test:{}/", server.address.port()), "method": "PUT"}),
    )
    .await;
    assert!(
        matches!(method, Err(ToolError::Denied { .. })),
        "{method:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_list_and_denied_off_it() {
    let server = serve(|request| match request.split(' ').nth(1) {
        Some("/on") => redirect(302, "/there"),
        Some("/off") => redirect(302, "http://127.0.0.1:1/"),
        Some("/file") => redirect(302, "file:///etc/passwd"),
        Some("/loop") => redirect(307, "/loop"),
        _ => ok("there"),
    })
    .await;
    let access = access(local(), open_to(&server));
    let url = |path: &str| format!("http://a.test:{}{path}", server.address.port());
    let answer = fetch(&access, json!({"url": url("/on")}))
        .await
        .expect("an answer");
    assert_eq!(
        (&answer["body"], &answer["url"]),
        (&json!("there"), &json!(url("/there")))
    );
    for off in ["/off", "/file"] {
        let denied = fetch(&access, json!({"url": url(off)})).await;
        assert!(
            matches!(denied, Err(ToolError::Denied { .. })),
            "{denied:?}"
        );
    }
    let round = fetch(&access, json!({"url": url("/loop")}))
        .await
        .expect_err("a loop");
    assert_eq!((round.code(), round.effect()), ("failed", Effect::None));
    let posted = fetch(&access, json!({"url": url("/off"), "method": "POST"}))
        .await
        .expect_err("denied");
    assert_eq!(
        posted.effect(),
        Effect::Possible,
        "the first server has got the POST"
    );
}

#[tokio::test]
async fn an_answer_beyond_the_grants_bound_is_cut_off() {
    for endless in [false, true] {
        let server = serve(move |_| {
            let head = if endless {
                ""
            } else {
                "content-length: 100000\r\n"
            };
            let mut answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
            answer.extend(std::iter::repeat_n(b'x', 100_000));
            answer
        })
        .await;
        let mut arguments = open_to(&server);
        arguments["body_bytes_max"] = json!(99_999);
        let access = access(local(), arguments);
        let flooded = fetch(
            &access,
            json!({"url": format!("http://a.test:{}", server.address.port())}),
        )
        .await;
        assert_eq!(
            flooded,
            Err(ToolError::TooLarge {
                side: Side::Answer,
                bytes_max: 99_999
            })
        );
    }
}

#[tokio::test]
async fn a_server_that_speaks_nonsense_costs_the_call() {
    for nonsense in [
        &b""[..],
        b"\x00\x01",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    ] {
        let server = serve(move |_| nonsense.to_vec()).await;
        let access = access(local(), open_to(&server));
        let url = format!("http://a.test:{}", server.address.port());
        let read = fetch(&access, json!({"url": url}))
            .await
            .expect_err("nonsense");
        assert_eq!((read.code(), read.effect()), ("failed", Effect::None));
        let written = fetch(&access, json!({"url": url, "method": "POST"}))
            .await
            .expect_err("nonsense");
        assert_eq!(
            (written.code(), written.effect()),
            ("failed", Effect::Possible)
        );
    }
}

#[tokio::test]
async fn a_certificate_counts_if_it_is_trusted_and_names_the_host() {
    let key = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
    let certificate = key.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
        )
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, _requests) = mpsc::channel(100);
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, &|_: &str| ok("sealed"), &tell).await;
            }
        }
    }));
    let lookup: Lookup = Arc::new(|_, port| {
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    });
    let arguments = json!({"hosts": [format!("a.test:{port}"), format!("b.test:{port}")], "addresses": ["127.0.0.1"]});
    let trusting = access(
        HttpFetch::with(Trust::These(vec![certificate]), lookup.clone()),
        arguments.clone(),
    );
    let url = |host: &str| json!({"url": format!("https://{host}:{port}/")});
    assert_eq!(
        fetch(&trusting, url("a.test")).await.expect("an answer")["body"],
        "sealed"
    );
    let other_name = fetch(&trusting, url("b.test"))
        .await
        .expect_err("another name");
    assert_eq!(other_name.code(), "failed");
    let stranger =
        rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
    let distrusting = access(
        HttpFetch::with(Trust::These(vec![stranger.cert.der().clone()]), lookup),
        arguments,
    );
    let untrusted = fetch(&distrusting, url("a.test"))
        .await
        .expect_err("untrusted");
    assert_eq!(untrusted.code(), "failed");
}

#[tokio::test]
async fn a_grant_without_hosts_denies() {
    let access = access(local(), json!({}));
    let denied = fetch(&access, json!({"url": "https://a.test/"})).await;
    assert!(
        matches!(denied, Err(ToolError::Denied { .. })),
        "{denied:?}"
    );
}
