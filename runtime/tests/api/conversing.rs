//! Calls for proposals, and conversations that can be looked at.

use crate::client::Served;
use serde_json::{Value, json};

const POOL: &str = r#"
[supervisor."/"]
intensity = 100
period = "1s"

[agent."/w"]
behaviour = "text"
replicas = 3
groups = ["workers"]

[agent."/alone"]
behaviour = "echo"
groups = ["deaf"]
"#;

async fn cfp(served: &Served, asked: Value) -> Value {
    let answer = served.post("/v1/cfp", asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_net_shows_bids_award_and_result_and_leaves_a_record() {
    let served = Served::start(POOL).await;
    let asked = json!({"group": "workers", "task": "word-count", "content": "a b"});
    let answer = cfp(&served, asked).await;
    assert_eq!(answer["end"], "done", "{answer}");
    let bids = answer["bids"].as_array().expect("bids");
    assert_eq!(bids.len(), 3);
    assert_eq!(bids[0]["awarded"], true);
    assert_eq!(
        bids[0]["result"],
        json!({"words": 2, "lines": 1, "bytes": 3})
    );
    assert_eq!(bids[0]["bid"], json!({"queue": 0, "fitness": 0.5}));
    assert_eq!(
        (&bids[1]["awarded"], &bids[1]["end"]),
        (&json!(false), &json!("rejected"))
    );

    let id = answer["conversation"].as_str().expect("an id");
    let detail = served
        .get(&format!("/v1/conversation?id={id}"))
        .await
        .json();
    assert_eq!(detail["sides"][0]["protocol"], "fipa-contract-net");
    assert_eq!(detail["sides"][0]["outcome"], "done");
    let acts: Vec<_> = detail["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|message| message["act"].as_str())
        .collect();
    assert_eq!(acts.iter().filter(|act| **act == "cfp").count(), 3);
    assert_eq!(acts.last(), Some(&"inform"), "{acts:?}");

    let list = served
        .get("/v1/conversations?protocol=fipa-contract-net")
        .await
        .json();
    assert_eq!(list["conversations"][0]["id"], id);
    assert_eq!(list["counts"]["open"], 0);
    let open = served.get("/v1/conversations?state=open").await.json();
    assert_eq!(open["conversations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bidder_that_crashes_is_replaced_at_once_where_there_is_a_reserve() {
    let served = Served::start(POOL).await;
    let asked = json!({"group": "workers", "task": "panic", "deadline_ms": 60000, "reserve": true});
    let answer = cfp(&served, asked).await;
    let ends: Vec<_> = answer["bids"]
        .as_array()
        .expect("bids")
        .iter()
        .map(|bid| bid["end"].as_str().unwrap_or_default().to_owned())
        .collect();
    // Each panics in its turn.
    assert_eq!(ends, ["down", "down", "down"], "{answer}");
    assert!(answer["ms"].as_u64() < Some(30_000), "{answer}");
    let asked = json!({"group": "workers", "task": "upper", "content": "a"});
    assert_eq!(cfp(&served, asked).await["end"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_do_not_bid_are_told_apart() {
    let served = Served::start(POOL).await;
    let answer = cfp(&served, json!({"group": "workers", "task": "paint"})).await;
    assert_eq!(answer["end"], "refused", "{answer}");
    assert!(
        answer["bids"][0]["result"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("unknown task")),
        "{answer}"
    );
    let answer = cfp(&served, json!({"group": "deaf", "task": "x"})).await;
    assert_ne!(answer["end"], "done", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_awarded_by_bids() {
    let served = Served::start(POOL).await;
    let job = |protocol: &str| json!({"group": "workers", "id": 1, "task": "upper", "input": "a", "protocol": protocol});
    let result = served.post("/v1/jobs", job("contract-net")).await.json();
    assert_eq!(
        (&result["ok"], &result["output"]),
        (&json!(true), &json!("A")),
        "{result}"
    );
    let list = served.get("/v1/conversations").await.json();
    assert_eq!(list["conversations"][0]["outcome"], "done");
    let refused = served.post("/v1/jobs", job("lottery")).await;
    assert_eq!(refused.fault(), (422, "invalid-value".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_refused_with_a_reason() {
    let served = Served::start(POOL).await;
    for (asked, status, code) in [
        (
            json!({"group": "nobody", "task": "x"}),
            404,
            "no-such-group",
        ),
        (json!({"group": "No", "task": "x"}), 422, "invalid-value"),
        (
            json!({"group": "workers", "task": "x", "deadline_ms": 0}),
            422,
            "invalid-value",
        ),
    ] {
        let answer = served.post("/v1/cfp", asked).await;
        assert_eq!(answer.fault(), (status, code.to_owned()));
    }
    let answer = served.get("/v1/conversation?id=nothing").await;
    assert_eq!(answer.fault(), (404, "no-such-conversation".to_owned()));
    let answer = served.get("/v1/conversations?limit=0").await;
    assert_eq!(answer.fault(), (422, "invalid-value".to_owned()));
}
