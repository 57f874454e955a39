//! What is done to the actors of a running node.

use crate::client::Served;
use serde_json::json;

const TREE: &str = r#"
[supervisor."/"]
intensity = 100
period = "1s"

[agent."/a"]
behaviour = "moody"

[agent."/tiny"]
behaviour = "moody"
turn_deadline = "infinity"
mailbox = { capacity = 1, when_full = "fail" }

[agent."/once"]
behaviour = "moody"
restart = "temporary"

[supervisor."/dynamic"]
strategy = "simple_one_for_one"

[agent."/dynamic/d"]
behaviour = "echo"
replicas = 2
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_by_the_agent() {
    let served = Served::start(TREE).await;
    let answer = served
        .post(
            "/v1/actor/call",
            json!({"path": "/a", "content": {"x": [1, "ü"]}}),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!(
        (&json["performative"], &json["content"]),
        (&json!("inform"), &json!({"x": [1, "ü"]}))
    );
    let answer = served
        .post("/v1/actor/call", json!({"path": "/a", "language": "fipa-sl", "content": "(hello)", "conversation_id": "c1"}))
        .await
        .json();
    assert_eq!(
        (
            &answer["content"],
            &answer["language"],
            &answer["conversation_id"]
        ),
        (&json!("(hello)"), &json!("fipa-sl"), &json!("c1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_fails_with_what_happened_to_the_agent() {
    let served = Served::start(TREE).await;
    // A panic's stack is printed by this test's process before anybody is told: that takes a while on a busy machine.
    let call = async |content: &str, timeout_ms: u64| {
        served
            .post(
                "/v1/actor/call",
                json!({"path": "/a", "content": content, "timeout_ms": timeout_ms}),
            )
            .await
            .fault()
    };
    assert_eq!(
        call("panic", 30_000).await,
        (502, "actor-crashed".to_owned())
    );
    assert_eq!(
        call("fail", 30_000).await,
        (502, "actor-crashed".to_owned())
    );
    assert_eq!(call("ignore", 30_000).await, (502, "no-reply".to_owned()));
    assert_eq!(call("hang", 300).await, (504, "timeout".to_owned()));
    let answer = served
        .post("/v1/actor/call", json!({"path": "/nobody"}))
        .await;
    assert_eq!(answer.fault(), (404, "no-such-actor".to_owned()));
    let answer = served
        .post("/v1/actor/call", json!({"path": "/dynamic"}))
        .await;
    assert_eq!(answer.fault(), (409, "not-an-agent".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_accepted_or_told_that_there_is_no_room() {
    let served = Served::start(TREE).await;
    let send = async |content: &str| {
        served
            .post(
                "/v1/actor/send",
                json!({"path": "/tiny", "content": content}),
            )
            .await
    };
    assert_eq!(send("hang").await.json()["accepted"], true);
    served
        .until("/v1/actor?path=/tiny", |actor| actor["mailbox"] == 0)
        .await;
    assert_eq!(send("x").await.status, 200);
    assert_eq!(send("x").await.fault(), (503, "mailbox-full".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_followed_by_the_next_life() {
    let served = Served::start(TREE).await;
    let answer = served
        .post("/v1/actor/kill", json!({"path": "/a"}))
        .await
        .json();
    assert_eq!(
        (
            &answer["incarnation_before"],
            &answer["incarnation"],
            &answer["action"]
        ),
        (&json!(1), &json!(2), &json!("kill"))
    );
    assert_ne!(answer["state"], "gone");
    let answer = served
        .post("/v1/actor/kill", json!({"path": "/once"}))
        .await
        .json();
    assert_eq!(answer["state"], "gone");
    assert_eq!(
        served
            .post("/v1/actor/kill", json!({"path": "/once"}))
            .await
            .fault(),
        (404, "no-such-actor".to_owned())
    );
    let answer = served
        .post("/v1/actor/kill", json!({"path": "/dynamic/d-1"}))
        .await;
    assert_eq!(answer.json()["incarnation"], 2, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_is_restarted_with_its_static_children() {
    let served =
        Served::start("[supervisor.\"/s\"]\n[agent.\"/s/a\"]\nbehaviour = \"moody\"\n").await;
    let answer = served
        .post("/v1/actor/kill", json!({"path": "/s"}))
        .await
        .json();
    assert_eq!(
        (&answer["state"], &answer["incarnation"]),
        (&json!("running"), &json!(2))
    );
    let child = served
        .until("/v1/actor?path=/s/a", |actor| actor["incarnation"] == 2)
        .await;
    assert_eq!(child["address"].as_str().map(str::len), Some(32));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_can_be_restarted_and_stopped_for_good() {
    let served = Served::start(TREE).await;
    let d = json!({"path": "/dynamic/d-2"});
    assert_eq!(
        served.post("/v1/actor/restart", d.clone()).await.json()["incarnation"],
        2
    );
    assert_eq!(
        served.post("/v1/actor/stop", d.clone()).await.json()["state"],
        "gone"
    );
    assert_eq!(
        served.post("/v1/actor/restart", d).await.fault(),
        (404, "no-such-actor".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_takes_no_messages_until_it_is_restarted() {
    let served = Served::start(TREE).await;
    let answer = served
        .post("/v1/actor/stop", json!({"path": "/a"}))
        .await
        .json();
    assert_eq!(answer["state"], "stopped");
    let call = json!({"path": "/a", "content": 1, "timeout_ms": 1000});
    assert_eq!(
        served.post("/v1/actor/call", call.clone()).await.fault(),
        (409, "takes-no-messages".to_owned())
    );
    let answer = served
        .post("/v1/actor/restart", json!({"path": "/a"}))
        .await
        .json();
    assert_eq!(answer["incarnation"], 2);
    assert_eq!(served.post("/v1/actor/call", call).await.status, 200);
    assert_eq!(
        served
            .post("/v1/actor/stop", json!({"path": "/"}))
            .await
            .fault(),
        (409, "is-root".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_agent_queues_what_it_is_sent() {
    let served = Served::start(TREE).await;
    let answer = served
        .post("/v1/actor/pause", json!({"path": "/a"}))
        .await
        .json();
    assert_eq!(answer["state"], "paused");
    assert_eq!(
        served
            .post("/v1/actor/pause", json!({"path": "/a"}))
            .await
            .fault(),
        (409, "wrong-state".to_owned())
    );
    served
        .post("/v1/actor/send", json!({"path": "/a", "content": 1}))
        .await;
    assert_eq!(served.get("/v1/actor?path=/a").await.json()["mailbox"], 1);
    assert_eq!(
        served
            .post("/v1/actor/resume", json!({"path": "/a"}))
            .await
            .status,
        200
    );
    served
        .until("/v1/actor?path=/a", |actor| {
            actor["mailbox"] == 0 && actor["handled"] == 1
        })
        .await;
    assert_eq!(
        served
            .post("/v1/actor/resume", json!({"path": "/a"}))
            .await
            .fault(),
        (409, "wrong-state".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_crashed_its_turn_is_a_dead_letter_that_can_be_replayed_and_removed() {
    let served = Served::start(TREE).await;
    served
        .post("/v1/actor/send", json!({"path": "/a", "content": "panic"}))
        .await;
    let letters = served
        .until("/v1/dead-letters", |answer| {
            answer["dead_letters"]
                .as_array()
                .is_some_and(|list| list.len() == 1)
        })
        .await;
    let letter = &letters["dead_letters"][0];
    let id = letter["id"].as_u64().expect("a number");
    assert_eq!(
        (&letter["to"], &letter["reason"], &letter["message"]),
        (&json!("/a"), &json!("turn-failed"), &json!("inform"))
    );
    assert_eq!(letter["replayable"], true);
    let detail = served.get(&format!("/v1/dead-letters/{id}")).await.json();
    assert_eq!(detail["content"], "panic");

    let replayed = served.ask_replay(id).await;
    assert_eq!(
        (replayed["to"].as_str(), replayed["accepted"].as_bool()),
        (Some("/a"), Some(true))
    );
    let again = served
        .until("/v1/dead-letters", |answer| {
            answer["dead_letters"]
                .as_array()
                .is_some_and(|list| list.len() == 1 && list[0]["id"] != id)
        })
        .await;
    let next = again["dead_letters"][0]["id"].as_u64().expect("a number");
    assert_eq!(
        served
            .delete(&format!("/v1/dead-letters/{next}"))
            .await
            .json(),
        json!({"purged": 1})
    );
    assert_eq!(
        served
            .delete(&format!("/v1/dead-letters/{next}"))
            .await
            .fault(),
        (404, "no-such-dead-letter".to_owned())
    );
    assert_eq!(
        served.get("/v1/dead-letters/x").await.fault(),
        (404, "no-such-dead-letter".to_owned())
    );
    assert_eq!(
        served.delete("/v1/dead-letters").await.json(),
        json!({"purged": 0})
    );
}

impl Served {
    async fn ask_replay(&self, id: u64) -> serde_json::Value {
        self.post(&format!("/v1/dead-letters/{id}/replay"), json!({}))
            .await
            .json()
    }
}
