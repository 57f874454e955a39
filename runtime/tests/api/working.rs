//! Jobs and chaos: work that the node does for a client.

use crate::client::{Answer, PATIENCE, Served};
use serde_json::{Value, json};

const POOL: &str = r#"
[supervisor."/"]
intensity = 100000
period = "1s"

[agent."/w"]
behaviour = "text"
replicas = 3
groups = ["workers"]

[agent."/alone"]
behaviour = "echo"
"#;

async fn job(served: &Served, job: Value) -> Answer {
    served.post("/v1/jobs", job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_one_result_with_its_worker() {
    let served = Served::start(POOL).await;
    let answer = job(
        &served,
        json!({"group": "workers", "id": "j1", "task": "word-count", "input": "one two\nthree"}),
    )
    .await;
    let result = answer.json();
    assert_eq!(
        (answer.status, &result["ok"], &result["id"]),
        (200, &json!(true), &json!("j1")),
        "{result}"
    );
    assert_eq!(
        result["output"],
        json!({"words": 3, "lines": 2, "bytes": 13})
    );
    assert_eq!(result["attempts"], 1);
    assert!(
        result["worker"]
            .as_str()
            .is_some_and(|worker| worker.starts_with("/w-")),
        "{result}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_crashes_every_worker_is_poisoned_and_the_node_lives() {
    let served = Served::start(POOL).await;
    let result = job(
        &served,
        json!({"group": "workers", "id": 1, "task": "panic", "attempts": 2}),
    )
    .await
    .json();
    assert_eq!(
        (&result["ok"], &result["code"], &result["attempts"]),
        (&json!(false), &json!("poisoned"), &json!(2)),
        "{result}"
    );
    let result = job(
        &served,
        json!({"group": "workers", "id": 2, "task": "hang", "attempts": 1, "deadline_ms": 50}),
    )
    .await
    .json();
    assert_eq!(
        (&result["ok"], &result["code"]),
        (&json!(false), &json!("poisoned")),
        "{result}"
    );
    assert_eq!(served.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_is_refused() {
    let served = Served::start(POOL).await;
    let refused = async |body| job(&served, body).await.fault();
    assert_eq!(
        refused(json!({"group": "workers", "task": "word-count"})).await,
        (422, "wrong-type".to_owned())
    );
    assert_eq!(
        refused(json!({"group": "workers", "id": 1.5, "task": "x"})).await,
        (422, "wrong-type".to_owned())
    );
    assert_eq!(
        refused(json!({"group": "Workers", "id": 1, "task": "x"})).await,
        (422, "wrong-type".to_owned())
    );
    assert_eq!(
        refused(json!({"group": "workers", "id": 1, "task": "x", "attempts": 0})).await,
        (422, "invalid-value".to_owned())
    );
    assert_eq!(
        refused(json!({"group": "workers", "id": 1, "task": "x", "deadline_ms": 0})).await,
        (422, "invalid-value".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_be_longer_than_other_bodies() {
    let served = Served::start(POOL).await;
    let text = "word ".repeat(2 << 20);
    let answer = job(
        &served,
        json!({"group": "workers", "id": "big", "task": "word-count", "input": text}),
    )
    .await;
    assert_eq!(answer.json()["output"]["words"], 2 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_runs_for_its_time_and_reports_that_everything_came_back() {
    let served = Served::start(POOL).await;
    let started = served
        .post(
            "/v1/chaos",
            json!({"target": "workers", "fault": "kill", "rate": 100, "for_ms": 200, "seed": 5}),
        )
        .await;
    assert_eq!(started.status, 201, "{started:?}");
    let begun = started.json();
    assert_eq!(
        (&begun["state"], &begun["seed"]),
        (&json!("running"), &json!(5))
    );
    let id = begun["id"].as_u64().expect("a number");
    let report = served
        .until(&format!("/v1/chaos/{id}"), |report| {
            report["state"] != "running"
        })
        .await;
    assert_eq!(
        (&report["state"], &report["not_restarted"]),
        (&json!("finished"), &json!(0)),
        "{report}"
    );
    let injected = report["injected"].as_u64().expect("a number");
    assert!(
        injected > 0 && report["restarts"].as_u64() == Some(injected),
        "{report}"
    );
    let actors = served.get("/v1/actors?group=workers").await.json();
    assert_eq!(actors["total"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaos_run_can_be_stopped() {
    let served = Served::start(POOL).await;
    let begun = served
        .post(
            "/v1/chaos",
            json!({"target": "/w-1", "fault": "panic", "rate": 1000, "for_ms": 3_600_000}),
        )
        .await
        .json();
    let id = begun["id"].as_u64().expect("a number");
    let start = std::time::Instant::now();
    let report = served.delete(&format!("/v1/chaos/{id}")).await.json();
    assert_eq!(report["state"], "stopped", "{report}");
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(
        served.get(&format!("/v1/chaos/{id}")).await.json()["state"],
        "stopped"
    );
    assert_eq!(
        served.get("/v1/chaos/99").await.fault(),
        (404, "no-such-run".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_without_bounds_or_target_is_refused() {
    let served = Served::start(POOL).await;
    let refused = async |target: &str, fault: &str, rate: f64, for_ms: u64| {
        let body = json!({"target": target, "fault": fault, "rate": rate, "for_ms": for_ms});
        served.post("/v1/chaos", body).await.fault()
    };
    let invalid = (422, "invalid-value".to_owned());
    let nobody = (404, "no-such-target".to_owned());
    assert_eq!(refused("workers", "kill", 0.0, 10).await, invalid);
    assert_eq!(refused("workers", "kill", 1e9, 10).await, invalid);
    assert_eq!(refused("workers", "kill", 1.0, 0).await, invalid);
    assert_eq!(refused("workers", "burn", 1.0, 10).await, invalid);
    assert_eq!(refused("No Group", "kill", 1.0, 10).await, invalid);
    assert_eq!(refused("nobody", "kill", 1.0, 10).await, nobody);
    assert_eq!(refused("/nowhere", "kill", 1.0, 10).await, nobody);
}
