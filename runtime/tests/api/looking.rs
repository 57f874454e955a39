//! What is seen of a running node.

use crate::client::{PATIENCE, Served};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const TREE: &str = r#"
[supervisor."/"]
strategy = "rest_for_one"
intensity = 100
period = "10s"

[agent."/zebra"]
behaviour = "echo"
registered = "stripes"

[supervisor."/pool"]
strategy = "one_for_all"
intensity = 7
period = "3s"

[agent."/pool/worker"]
behaviour = "moody"
replicas = 11
groups = ["workers"]
restart = "transient"

[agent."/ant"]
behaviour = "echo"
"#;

fn paths(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["path"].as_str().expect("a path"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_stands_in_the_order_of_the_manifest() {
    let served = Served::start(TREE).await;
    let tree = served.get("/v1/tree").await.json();
    assert_eq!(tree["supervision"]["strategy"], "rest_for_one");
    assert_eq!(paths(&tree["children"]), ["/zebra", "/pool", "/ant"]);
    let pool = &tree["children"][1];
    assert_eq!(
        pool["supervision"],
        json!({"strategy": "one_for_all", "intensity": 7, "period_ms": 3000, "auto_shutdown": "never"})
    );
    assert_eq!(pool["kind"], "supervisor");
    let workers = paths(&pool["children"]);
    assert_eq!(workers[0], "/pool/worker-1");
    assert_eq!(workers[10], "/pool/worker-11");
    assert_eq!(pool["children"][0]["restart"], "transient");

    let cut = served.get("/v1/tree?path=/pool&depth=0").await.json();
    assert_eq!(
        (
            cut["omitted"].as_u64(),
            cut["children"].as_array().map(Vec::len)
        ),
        (Some(11), Some(0))
    );
    assert_eq!(
        served.get("/v1/tree?path=/nowhere").await.fault(),
        (404, "no-such-actor".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_are_sorted_filtered_and_cut_at_the_node() {
    let served = Served::start(TREE).await;
    let all = served.get("/v1/actors").await.json();
    assert_eq!(all["total"], 15);
    let answer = served.get("/v1/actors?group=workers&limit=3").await.json();
    assert_eq!(answer["total"], 11);
    assert_eq!(
        paths(&answer["actors"]),
        ["/pool/worker-1", "/pool/worker-2", "/pool/worker-3"]
    );
    let actor = &answer["actors"][0];
    for (field, value) in [
        ("kind", json!("native")),
        ("node", json!("n1")),
        ("groups", json!(["workers"])),
        ("restarts", json!(0)),
        ("mailbox", json!(0)),
        ("incarnation", json!(1)),
    ] {
        assert_eq!(actor[field], value, "{field}");
    }
    assert!(actor["state"].is_string() && actor["address"].as_str().is_some_and(|a| a.len() == 32));
    let under = served.get("/v1/actors?under=/pool").await.json();
    assert_eq!(under["total"], 12);
    served
        .post("/v1/actor/kill", json!({"path": "/pool/worker-9"}))
        .await;
    let worst = served.get("/v1/actors?sort=restarts&under=/zebra").await;
    assert_eq!(worst.status, 200);
    let empty = served.get("/v1/actors?group=nobody").await.json();
    assert_eq!(empty, json!({"actors": [], "total": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_actor_is_described_with_its_spec_and_its_last_end() {
    let served = Served::start(TREE).await;
    served
        .post(
            "/v1/actor/call",
            json!({"path": "/zebra", "content": "panic"}),
        )
        .await;
    let zebra = served
        .until("/v1/actor?path=/zebra", |actor| actor["incarnation"] == 2)
        .await;
    assert_eq!(zebra["registered"], "stripes");
    assert_eq!(zebra["supervisor"], "/");
    assert_eq!(
        zebra["spec"],
        json!({"restart": "permanent", "shutdown": "5s", "child_type": "worker", "significant": false})
    );
    assert_eq!(zebra["mailbox_capacity"], 1024);
    assert_eq!(zebra["last_exit"]["kind"], "panic");
    assert!(
        zebra["last_exit"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("told to")),
        "{zebra}"
    );
    let pool = served.get("/v1/actor?path=/pool").await.json();
    assert_eq!(pool["supervision"]["strategy"], "one_for_all");
    assert_eq!(
        served.get("/v1/actor?path=/nobody").await.fault(),
        (404, "no-such-actor".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_probes_and_metrics_tell_of_the_same_node() {
    let served = Served::start(TREE).await;
    let status = served.get("/v1/status").await.json();
    assert_eq!(
        (&status["node"], &status["state"], &status["actors"]),
        (&json!("n1"), &json!("running"), &json!(15))
    );
    assert_eq!(status["api"], format!("http://{}", served.address()));
    assert_eq!(status["alarms"], json!([]));
    assert_eq!(served.get("/livez").await.json(), json!({"live": true}));
    assert_eq!(
        served.get("/readyz").await.json(),
        json!({"ready": true, "state": "running"})
    );
    let metrics = served.get("/metrics").await;
    assert!(
        metrics.head.contains("content-type: text/plain"),
        "{}",
        metrics.head
    );
    for line in [
        "swarm_up{node=\"n1\"} 1",
        "swarm_group_members{node=\"n1\",group=\"workers\"} 11",
        "swarm_dead_letters_total{node=\"n1\"} 0",
        "# TYPE swarm_mailbox_messages gauge",
    ] {
        assert!(
            metrics.text.lines().any(|l| l == line),
            "{line} is not in\n{}",
            metrics.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_paged_by_number() {
    let served = Served::start(TREE).await;
    let first = served.get("/v1/events?limit=2").await.json();
    assert_eq!(first["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["missed"], 0);
    let next = first["next"].as_u64().expect("a number");
    let second = served
        .get(&format!("/v1/events?after={next}&limit=1"))
        .await
        .json();
    assert_eq!(second["events"][0]["seq"], next + 1);
    assert_eq!(second["events"][0]["node"], "n1");
    let none = served.get("/v1/events?after=999999").await.json();
    assert_eq!(none, json!({"events": [], "next": 999_999, "missed": 0}));
    served.post("/v1/actor/kill", json!({"path": "/ant"})).await;
    let told = served
        .until("/v1/events", |page| {
            page["events"].as_array().is_some_and(|events| {
                events.iter().any(|e| {
                    e["kind"] == "exited" && e["path"] == "/ant" && e["reason"] == "killed"
                })
            })
        })
        .await;
    assert!(
        told["events"][0]["at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_what_happens_and_ends_with_the_server() {
    let served = Served::start(TREE).await;
    let mut stream = TcpStream::connect(served.address())
        .await
        .expect("connects");
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        served.address()
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut lines = BufReader::new(stream).lines();
    let mut line = async || {
        tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .expect("in time")
            .expect("readable")
    };
    let mut head = String::new();
    loop {
        match line().await.expect("a head") {
            end if end.is_empty() => break,
            header => head.push_str(&header.to_lowercase()),
        }
    }
    assert!(head.contains("text/event-stream"), "{head}");
    served.post("/v1/actor/kill", json!({"path": "/ant"})).await;
    let record = loop {
        let line = line().await.expect("more");
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let record: Value = serde_json::from_str(data).expect("a record");
        if record["path"] == "/ant" {
            break record;
        }
    };
    assert_eq!(record["kind"], "exited");
    tokio::time::timeout(Duration::from_secs(5), served.api.stop())
        .await
        .expect("the server stops with a follower");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_fits_the_answers() {
    let served = Served::start(&format!("{TREE}\n[tool.time]\n")).await;
    let document = served.get("/openapi.json").await.json();
    let fields = |schema: &str| -> Vec<String> {
        let schema = &document["components"]["schemas"][schema];
        let mut fields = Vec::new();
        let parts = schema["allOf"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![schema.clone()]);
        for part in parts {
            let part = match part["$ref"].as_str() {
                Some(name) => document.pointer(&name[1..]).expect("a schema").clone(),
                None => part,
            };
            fields.extend(
                part["properties"]
                    .as_object()
                    .expect("properties")
                    .keys()
                    .cloned(),
            );
        }
        fields
    };
    for (target, schema, part) in [
        ("/livez", "LiveAnswer", ""),
        ("/readyz", "ReadyAnswer", ""),
        ("/v1/status", "StatusAnswer", ""),
        ("/v1/tree", "TreeAnswer", ""),
        ("/v1/tree", "Supervision", "/supervision"),
        ("/v1/actors", "ActorsAnswer", ""),
        ("/v1/actors", "ActorSummary", "/actors/0"),
        ("/v1/actor?path=/zebra", "ActorDetail", ""),
        ("/v1/events", "EventsAnswer", ""),
        ("/v1/events", "EventRecord", "/events/0"),
        ("/v1/dead-letters", "DeadLettersAnswer", ""),
        ("/v1/tools", "ToolsAnswer", ""),
        ("/v1/tools", "ToolSummary", "/tools/0"),
        ("/v1/tools/calls", "ToolCallsAnswer", ""),
        ("/nowhere", "ErrorAnswer", ""),
        ("/nowhere", "ApiError", "/error"),
    ] {
        let answer = served.get(target).await.json();
        let described = fields(schema);
        for field in answer
            .pointer(part)
            .and_then(Value::as_object)
            .expect("an object")
            .keys()
        {
            assert!(
                described.contains(field),
                "{schema}.{field} is not described"
            );
        }
    }
    // Every described operation is served: neither an unknown path nor a wrong method.
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods
            .as_object()
            .expect("methods")
            .keys()
            .filter(|key| *key != "parameters")
        {
            let target = path.replace("{id}", "0");
            let host = served.address();
            let answer = served
                .raw(&format!(
                    "{} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    method.to_uppercase()
                ))
                .await;
            assert!(
                !answer.text.contains("unknown-path") && answer.status != 405,
                "{method} {path}: {answer:?}"
            );
        }
    }
}
