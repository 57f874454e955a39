//! Requests that are not taken: a status, and a body that says why and ends with a line end.

use crate::kit::{Platform, body, body_of, post};

const TO: &str = "<to><agent-identifier><name>r2@platB</name></agent-identifier></to>";
const STRING: &str = "<acl-representation>fipa.acl.rep.string.std</acl-representation>";

fn envelope(fields: &str) -> String {
    format!("<envelope><params index=\"1\">{fields}</params></envelope>")
}

async fn check(platform: &Platform, request: &[u8], status: &str, why: &str) {
    let mut client = platform.connect().await;
    let answer = client.ask(request).await;
    let shown = String::from_utf8_lossy(&request[..request.len().min(400)]).into_owned();
    assert_eq!(answer.status(), status, "{shown}\n{answer:?}");
    assert!(answer.body.contains(why), "{shown}\n{answer:?}");
    assert!(answer.body.ends_with("\r\n"), "{answer:?}");
    assert!(client.is_closed().await, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_with_a_reason() {
    let platform = Platform::start().await;
    let full = envelope(&format!("{TO}{STRING}"));
    let with = |envelope: &str, acl: &str| post(&body_of(envelope, acl));
    let head = |line: &str, more: &str| format!("{line}\r\nHost: h\r\n{more}\r\n").into_bytes();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            head("POST /other HTTP/1.1", "Content-Length: 0\r\n"),
            "404",
            "messages are taken at /acc",
        ),
        (
            head("PUT /acc HTTP/1.1", "Content-Length: 0\r\n"),
            "405",
            "PUT is not among",
        ),
        (
            head("POST /acc HTTP/1.1", "Content-Length: 0\r\n"),
            "415",
            "not multipart/mixed",
        ),
        (
            head(
                "POST /acc HTTP/1.1",
                "Content-Type: multipart/related; boundary=b\r\nContent-Length: 0\r\n",
            ),
            "415",
            "multipart/related",
        ),
        (
            head(
                "POST /acc HTTP/1.1",
                "Content-Type: multipart/mixed\r\nContent-Length: 0\r\n",
            ),
            "400",
            "no usable boundary",
        ),
        (post(""), "400", "no first boundary line"),
        (post("--b\r\n\r\n<envelope/>\r\n--b--"), "400", "1 parts"),
        (
            with("<envelope><params>", "(inform)"),
            "400",
            "no <envelope>",
        ),
        (with("nonsense", "(inform)"), "400", "no <envelope>"),
        (
            with(
                &format!("<!DOCTYPE e SYSTEM \"http://127.0.0.1:1/x\">{full}"),
                "(inform)",
            ),
            "400",
            "document type",
        ),
        (
            with(&envelope(STRING), "(inform)"),
            "400",
            "names no receiver",
        ),
        (
            with(&envelope(TO), "(inform)"),
            "400",
            "no <acl-representation>",
        ),
        (
            with(
                &envelope(&format!(
                    "{TO}<acl-representation>LEAP</acl-representation>"
                )),
                "(inform)",
            ),
            "415",
            "\"LEAP\" is not supported",
        ),
        (
            with(
                &envelope(&format!(
                    "{TO}{STRING}<payload-encoding>UTF-16</payload-encoding>"
                )),
                "(inform)",
            ),
            "415",
            "\"UTF-16\" is not supported",
        ),
        (
            with(&full, "(tell)"),
            "400",
            "line 1, column 2 (byte 1): \"tell\" is none of the 22",
        ),
        (
            with(&full, &format!("(inform :X-a {}", "(".repeat(50_000))),
            "400",
            "levels of parentheses",
        ),
        (
            with(&full, "(inform :sender (agent-identifier :name r3@PLATB))"),
            "403",
            "r3@PLATB is a name of this platform",
        ),
        (
            with(&full, "(inform :sender (agent-identifier :name r3))"),
            "403",
            "is a name of this platform",
        ),
        (
            with(
                &envelope(&format!(
                    "{TO}{STRING}<received><received-by value=\"{}\"/></received>",
                    platform.fipa.url()
                )),
                "(inform)",
            ),
            "400",
            "in circles",
        ),
    ];
    let count = cases.len() as u64;
    for (request, status, why) in cases {
        check(&platform, &request, status, why).await;
    }
    let counts = platform.fipa.counts();
    assert_eq!((counts.refused, counts.received), (count, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_refused_whether_it_is_announced_or_not() {
    let platform = Platform::start().await;
    let typed = "POST /acc HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let announced = format!("{typed}Content-Length: 100000000\r\n\r\n");
    check(&platform, announced.as_bytes(), "413", "longer than").await;
    let chunk = format!("{:x}\r\n{}\r\n", 5_000_000, "x".repeat(5_000_000));
    let chunked = format!("{typed}Transfer-Encoding: chunked\r\n\r\n{chunk}");
    let mut client = platform.connect().await;
    assert_eq!(client.ask(chunked.as_bytes()).await.status(), "413");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused() {
    let platform = Platform::start().await;
    let mut client = platform.connect().await;
    assert_eq!(client.ask(b"SSH-2.0-x\r\n\r\n").await.status(), "400");
    let mut client = platform.connect().await;
    let long = format!("GET /acc HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let status = client.ask(long.as_bytes()).await.status().to_owned();
    assert_eq!(status, "431");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_turned_away_and_the_others_live() {
    let mut platform = Platform::with(|options| options.connections_max = 1).await;
    let request = post(&body("r2", "(inform :content x)"));
    let mut first = platform.connect().await;
    assert_eq!(first.ask(&request).await.status(), "200");
    let mut second = platform.connect().await;
    let answer = second.answer().await;
    assert_eq!(answer.status(), "503");
    assert!(answer.body.contains("too many connections"), "{answer:?}");
    assert_eq!(first.ask(&request).await.status(), "200");
    for _ in 0..2 {
        assert_eq!(platform.next().await.text(), Some("x"));
    }
    assert_eq!(platform.fipa.counts().connections_refused, 1);
}
