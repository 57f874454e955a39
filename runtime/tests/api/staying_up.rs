//! What the node survives.

use crate::client::{PATIENCE, Served};
use serde_json::json;
use std::time::Duration;
use swarm_runtime::node::StartTreeError;

const FRAGILE: &str = "[supervisor.\"/\"]\nintensity = 0\n[agent.\"/a\"]\nbehaviour = \"moody\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_tree_failed_stays_up_and_starts_it_again() {
    let served = Served::start(FRAGILE).await;
    assert_eq!(
        served.post("/v1/tree/start", json!({})).await.fault(),
        (409, "tree-not-failed".to_owned())
    );
    served
        .post("/v1/actor/send", json!({"path": "/a", "content": "panic"}))
        .await;
    let reason = tokio::time::timeout(PATIENCE, served.node.tree_failed())
        .await
        .expect("it fails");
    assert!(reason.contains("shutdown"), "{reason}");
    let ready = served.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["state"]),
        (503, &json!("tree-failed"))
    );
    assert_eq!(served.get("/livez").await.status, 200);
    let status = served.get("/v1/status").await.json();
    assert_eq!(
        status["alarms"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
    let answer = served.post("/v1/tree/start", json!({})).await;
    assert_eq!(answer.json()["state"], "running", "{answer:?}");
    assert_eq!(served.get("/readyz").await.status, 200);
    assert_eq!(
        served
            .post("/v1/actor/call", json!({"path": "/a", "content": 1}))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_does_not_start_says_why() {
    let served = Served::unstarted("[agent.\"/a\"]\nbehaviour = \"stillborn\"\n");
    let StartTreeError::Failed(reason) = served.node.start_tree().await.expect_err("no disk")
    else {
        panic!("it was not running");
    };
    assert!(reason.contains("no disk"), "{reason}");
    assert_eq!(served.get("/readyz").await.status, 503);
    assert_eq!(
        served.post("/v1/tree/start", json!({})).await.fault(),
        (409, "tree-did-not-start".to_owned())
    );
}

#[test]
fn agents_that_hold_every_worker_do_not_keep_the_api_from_answering() {
    let agents = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let outside = tokio::runtime::Runtime::new().expect("a runtime");
    let served = agents.block_on(Served::start("[agent.\"/a\"]\nbehaviour = \"moody\"\n"));
    outside.block_on(async {
        let sent = served
            .post("/v1/actor/send", json!({"path": "/a", "content": "block"}))
            .await;
        assert_eq!(sent.status, 200);
        let start = std::time::Instant::now();
        for target in [
            "/livez",
            "/v1/status",
            "/v1/tree",
            "/v1/actors",
            "/v1/actor?path=/a",
            "/metrics",
            "/v1/events",
        ] {
            assert_eq!(served.get(target).await.status, 200, "{target}");
        }
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_is_not_ready_and_stays_stopped() {
    let served = Served::start(FRAGILE).await;
    let stopped = served.node.stop(PATIENCE).await;
    assert!(stopped.in_order);
    assert_eq!(
        served.get("/readyz").await.json(),
        json!({"ready": false, "state": "stopped"})
    );
    assert_eq!(
        served.post("/v1/tree/start", json!({})).await.fault(),
        (409, "tree-not-failed".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_can_be_looked_at_and_given_up() {
    let served = Served::unstarted(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\n[agent.\"/b\"]\nbehaviour = \"unborn\"\n",
    );
    let node = served.node.clone();
    let starting = tokio::spawn(async move { node.start_tree().await });
    served
        .until("/v1/actors", |answer| {
            answer["actors"].as_array().is_some_and(|actors| {
                actors
                    .iter()
                    .any(|actor| actor["path"] == "/b" && actor["state"] == "starting")
            })
        })
        .await;
    let ready = served.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["state"]),
        (503, &json!("starting"))
    );
    let stopped = tokio::time::timeout(PATIENCE, served.node.stop(PATIENCE)).await;
    assert!(stopped.expect("the start is given up").in_order);
    let started = tokio::time::timeout(PATIENCE, starting)
        .await
        .expect("in time")
        .expect("no panic");
    assert!(
        matches!(started, Err(StartTreeError::NotFailed(_))),
        "{started:?}"
    );
    assert_eq!(served.get("/readyz").await.json()["state"], "stopped");
}
