//! What does not get through.

use crate::client::Served;
use serde_json::json;
use swarm_runtime::api::BODY_BYTES_MAX;

const ECHO: &str = "[agent.\"/a\"]\nbehaviour = \"echo\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_is_refused_on_every_path() {
    let served = Served::start(ECHO).await;
    for target in ["/livez", "/v1/status", "/nowhere"] {
        let answer = served
            .raw(&format!(
                "GET {target} HTTP/1.1\r\nhost: evil.example:7590\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.fault(), (403, "foreign-host".to_owned()));
    }
    let answer = served
        .raw("GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_absolute_form_does_not_get_around_the_host() {
    let served = Served::start(ECHO).await;
    let answer = served
        .raw("GET http://evil.example/livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.fault(), (403, "foreign-host".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_of_another_origin_is_refused() {
    let served = Served::start(ECHO).await;
    let host = served.address();
    let answer = served
        .raw(&format!(
            "POST /v1/actor/kill HTTP/1.1\r\nhost: {host}\r\norigin: http://evil.example\r\ncontent-type: application/json\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{{\"path\":\"/a\"}}"
        ))
        .await;
    assert_eq!(answer.fault(), (403, "foreign-origin".to_owned()));
    let actor = served.get("/v1/actor?path=/a").await.json();
    assert_eq!(actor["incarnation"], 1, "nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_declared_as_json() {
    let served = Served::start(ECHO).await;
    let host = served.address();
    for content_type in [
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "",
    ] {
        let answer = served
            .raw(&format!(
                "POST /v1/actor/kill HTTP/1.1\r\nhost: {host}\r\n{content_type}content-length: 13\r\nconnection: close\r\n\r\n{{\"path\":\"/a\"}}"
            ))
            .await;
        assert_eq!(
            answer.fault(),
            (415, "not-json".to_owned()),
            "{content_type}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_and_the_node_goes_on() {
    let served = Served::start(ECHO).await;
    let host = served.address();
    let answer = served
        .raw(&format!(
            "POST /v1/actor/send HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            BODY_BYTES_MAX + 1
        ))
        .await;
    assert_eq!(answer.fault(), (413, "body-too-large".to_owned()));
    // A client that sends it all without asking sees the answer too.
    let body = "x".repeat(4 * BODY_BYTES_MAX);
    let answer = served
        .raw(&format!(
            "POST /v1/actor/send HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(answer.fault(), (413, "body-too-large".to_owned()));
    // Without a declared length the bound holds too.
    let chunk = "x".repeat(1 << 20);
    let mut request = format!(
        "POST /v1/actor/send HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    for _ in 0..32 {
        request.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    request.push_str("0\r\n\r\n");
    let answer = served.raw(&request).await;
    assert_eq!(answer.fault(), (413, "body-too-large".to_owned()));
    assert_eq!(served.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_told_where_to_look() {
    let served = Served::start(ECHO).await;
    assert_eq!(
        served.get("/v1/nothing").await.fault(),
        (404, "unknown-path".to_owned())
    );
    assert_eq!(
        served.get("/v1/actors/").await.fault(),
        (404, "unknown-path".to_owned())
    );
    let answer = served.delete("/v1/actors").await;
    assert_eq!(answer.fault(), (405, "wrong-method".to_owned()));
    assert!(answer.head.contains("allow: get"), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_and_values_are_named() {
    let served = Served::start(ECHO).await;
    let refused = async |body| {
        let answer = served.post("/v1/actor/call", body).await;
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (answer.fault(), message)
    };
    let (fault, message) = refused(json!({"path": 3})).await;
    assert_eq!(fault, (422, "wrong-type".to_owned()));
    assert!(
        message.starts_with("path: invalid type: integer"),
        "{message}"
    );
    let (fault, message) = refused(json!({"path": "/a", "timeout_ms": 0})).await;
    assert_eq!(
        (fault, message.starts_with("timeout_ms:")),
        ((422, "invalid-value".to_owned()), true)
    );
    let (fault, message) = refused(json!({"path": "a"})).await;
    assert_eq!(
        (fault, message.starts_with("path:")),
        ((422, "invalid-value".to_owned()), true)
    );
    let (fault, message) = refused(json!({"path": "/a", "performative": "shout"})).await;
    assert_eq!(
        (fault, message.starts_with("performative:")),
        ((422, "invalid-value".to_owned()), true)
    );
    let (fault, message) =
        refused(json!({"path": "/a", "language": "fipa-sl", "content": 3})).await;
    assert_eq!(
        (fault, message.starts_with("content:")),
        ((422, "invalid-value".to_owned()), true)
    );
    let (fault, _) = refused(json!({"path": "/a", "tmeout": 0})).await;
    assert_eq!(fault, (422, "wrong-type".to_owned()));

    assert_eq!(
        served.get("/v1/actors?limit=many").await.fault(),
        (400, "bad-query".to_owned())
    );
    assert_eq!(
        served.get("/v1/actors?lmit=3").await.fault(),
        (400, "bad-query".to_owned())
    );
    assert_eq!(
        served.get("/v1/actors?sort=colour").await.fault(),
        (422, "invalid-value".to_owned())
    );
    assert_eq!(
        served.get("/v1/events?limit=0").await.fault(),
        (422, "invalid-value".to_owned())
    );
    assert_eq!(
        served.get("/v1/actor").await.fault(),
        (400, "bad-query".to_owned())
    );
}
