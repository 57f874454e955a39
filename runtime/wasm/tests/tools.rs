//! Guests that call the node's tools.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, clerk, host};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason, Limit, Performative};
use swarm_tools::builtin::{KeyValue, Time};
use swarm_tools::{Call, Tool, ToolError, Tools, ToolsOptions};
use swarm_wasm::{Class, Grants, Limits, Plan};

/// A tool that says how often it was called.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU32>);

impl Tool for Counting {
    fn about(&self) -> &str {
        "counts its calls"
    }

    fn schema(&self) -> Value {
        json!({"type": "object", "properties": {"n": {"type": "integer"}}})
    }

    async fn call(&self, _: Value, _: Call) -> Result<Value, ToolError> {
        Ok(json!(self.0.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

/// A tool that never answers.
struct Silent;

impl Tool for Silent {
    fn about(&self) -> &str {
        "never answers"
    }

    fn schema(&self) -> Value {
        json!({})
    }

    async fn call(&self, _: Value, _: Call) -> Result<Value, ToolError> {
        std::future::pending().await
    }
}

struct Office {
    guests: Guests,
    tools: Tools,
    counting: Counting,
}

/// A clerk that is granted `time`, `key-value`, `count` and `silent`; `secret` is there, too.
async fn office(class: Class, limits: Limits, deadline: Duration) -> Office {
    let tools = Tools::new(ToolsOptions::default());
    let counting = Counting::default();
    tools.register("time", Time::new()).unwrap();
    tools.register("key-value", KeyValue::default()).unwrap();
    tools.register("count", counting.clone()).unwrap();
    tools.register("secret", counting.clone()).unwrap();
    tools.register("silent", Silent).unwrap();
    let granted = ["time", "key-value", "count", "silent"]
        .iter()
        .try_fold(swarm_tools::Grants::new(), |grants, name| grants.with(name))
        .unwrap();
    let grants = Grants {
        tools: granted,
        ..Grants::all()
    };
    let component = host().load_file(&clerk(), class, &grants, &limits).unwrap();
    let plan = Plan::with_tools(
        component,
        "{}".to_owned(),
        grants,
        limits,
        Some(tools.clone()),
    );
    Office {
        guests: Guests::planned(plan, Some(deadline)).await,
        tools,
        counting,
    }
}

async fn usual() -> Office {
    office(Class::Default, Limits::default(), Duration::from_secs(60)).await
}

fn order(content: &Value) -> AclMessage {
    let mut message = AclMessage::new(Performative::Request);
    message.content = Some(content.to_string().into_bytes());
    message
}

impl Office {
    async fn ask(&self, content: Value) -> (Performative, Value) {
        let answer = self.guests.ask(order(&content)).await;
        let said = serde_json::from_str(answer.text().unwrap()).unwrap();
        (answer.performative, said)
    }

    /// The outcomes on record, with the tool of each.
    fn recorded(&self) -> Vec<(String, String, String)> {
        let records = self.tools.records().into_iter();
        let told = records.map(|record| {
            let outcome = record.outcome.word().to_owned();
            (record.caller.to_string(), record.tool, outcome)
        });
        told.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_calls_what_it_is_granted_and_is_on_record_by_its_path() {
    for class in Class::ALL {
        let office = office(class, Limits::of(class), Duration::from_secs(60)).await;
        let (act, said) = office.ask(json!({"tool": "time", "input": {}})).await;
        assert_eq!(act, Performative::Inform, "{class}: {said}");
        assert!(said["unix_ms"].is_u64(), "{class}: {said}");
        let set = json!({"do": "set", "key": "k", "value": [1, 2]});
        let (act, said) = office.ask(json!({"tool": "key-value", "input": set})).await;
        assert_eq!(act, Performative::Inform, "{class}: {said}");
        let get = json!({"do": "get", "key": "k"});
        let (_, said) = office.ask(json!({"tool": "key-value", "input": get})).await;
        assert_eq!(said["value"], json!([1, 2]), "{class}");
        let told = |tool: &str| ("/guest".to_owned(), tool.to_owned(), "done".to_owned());
        assert_eq!(
            office.recorded(),
            [told("time"), told("key-value"), told("key-value")]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_not_granted_is_denied_and_is_not_among_the_available_ones() {
    let office = usual().await;
    let (_, said) = office.ask(json!({})).await;
    assert_eq!(said, json!(["count", "key-value", "silent", "time"]));
    for tool in ["secret", "no-such-tool", "http-fetch"] {
        let (act, said) = office.ask(json!({"tool": tool, "input": {}})).await;
        assert_eq!(act, Performative::Failure, "{tool}");
        assert!(said.as_str().unwrap().contains("Denied"), "{tool}: {said}");
    }
    assert_eq!(office.counting.0.load(Ordering::SeqCst), 0);
    assert!(office.recorded().iter().all(|(_, _, how)| how == "denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_does_not_fit_the_schema_never_reaches_the_tool() {
    let office = usual().await;
    let (act, said) = office
        .ask(json!({"tool": "count", "input": {"n": "one"}}))
        .await;
    assert_eq!(act, Performative::Failure);
    assert!(said.as_str().unwrap().contains("/n"), "{said}");
    assert_eq!(office.counting.0.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_repeated_with_its_key_after_a_crash_is_done_once() {
    let office = usual().await;
    let call = json!({"tool": "count", "input": {"n": 1}, "key": "order-7"});
    let mut crashing = call.clone();
    crashing["crash"] = json!(true);
    let down = office.guests.agent().monitor();
    let agent = office.guests.agent();
    agent.send_acl(order(&crashing)).await.unwrap();
    assert!(matches!(down.await.unwrap().reason, ExitReason::Panic(_)));
    assert_eq!(office.ask(call).await, (Performative::Inform, json!(1)));
    assert_eq!(office.counting.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_does_not_answer_is_given_up_within_the_turn() {
    // The guest wants a minute, its limit has an hour, its turn two seconds: it hears of it before those are over.
    let limits = Limits {
        tool_time: Duration::from_secs(3600),
        ..Limits::default()
    };
    let office = office(Class::Default, limits, Duration::from_secs(2)).await;
    let call = json!({"tool": "silent", "input": {}, "within_ms": 60_000});
    let (act, said) = office.ask(call).await;
    assert_eq!(act, Performative::Failure);
    assert!(said.as_str().unwrap().contains("TimedOut"), "{said}");
    assert_eq!(office.guests.agent().incarnation().0, 1);
    // One with a bound of its own is sooner done.
    let call = json!({"tool": "silent", "input": {}, "within_ms": 1});
    assert_eq!(office.ask(call).await.0, Performative::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_what_is_denied_without_end_ends_that_life() {
    let office = usual().await;
    let down = office.guests.agent().monitor();
    let call = json!({"tool": "secret", "input": {}, "times": 1_000_000});
    let agent = office.guests.agent();
    agent.send_acl(order(&call)).await.unwrap();
    let reason = down.await.unwrap().reason;
    assert_eq!(reason, ExitReason::Limit(Limit::SendRate));
    assert_eq!(office.ask(json!({})).await.0, Performative::Inform);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_inputs_and_keys_are_refused_and_stay_text() {
    let office = usual().await;
    let long = "a".repeat(100_000);
    let nested = "[".repeat(10_000);
    for name in [
        "",
        "/",
        "a\u{1b}[31m\n",
        "*",
        "../../etc",
        "count\u{0}",
        &long,
    ] {
        let (act, _) = office.ask(json!({"tool": name, "input": {}})).await;
        assert_eq!(act, Performative::Failure, "{name:?}");
    }
    for key in ["", &long] {
        let call = json!({"tool": "count", "input": {}, "key": key});
        assert_eq!(office.ask(call).await.0, Performative::Failure, "{key:?}");
    }
    for input in [json!(nested), json!(long), json!(null), json!([1])] {
        let call = json!({"tool": "count", "input": input});
        assert_eq!(office.ask(call).await.0, Performative::Failure);
    }
    assert_eq!(office.counting.0.load(Ordering::SeqCst), 0);
    for (_, tool, _) in office.recorded() {
        assert!(
            !tool.contains(char::is_control) && tool.len() < 1000,
            "{tool:?}"
        );
    }
    // And it goes on.
    let call = json!({"tool": "count", "input": {"n": 1}});
    assert_eq!(office.ask(call).await, (Performative::Inform, json!(1)));
    assert_eq!(office.guests.agent().incarnation().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_count_as_messages_out() {
    let limits = Limits {
        sends_per_second: 10,
        ..Limits::default()
    };
    let office = office(Class::Default, limits, Duration::from_secs(60)).await;
    let down = office.guests.agent().monitor();
    let call = json!({"tool": "count", "input": {}, "times": 1_000_000});
    let agent = office.guests.agent();
    agent.send_acl(order(&call)).await.unwrap();
    let reason = down.await.unwrap().reason;
    assert_eq!(reason, ExitReason::Limit(Limit::SendRate));
    assert!(office.counting.0.load(Ordering::SeqCst) <= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_there_are_no_tools() {
    let grants = Grants {
        tools: swarm_tools::Grants::new().with("time").unwrap(),
        ..Grants::all()
    };
    let limits = Limits::default();
    let component = host()
        .load_file(&clerk(), Class::Default, &grants, &limits)
        .unwrap();
    let guests = Guests::of(component, grants, limits, None).await;
    let answer = guests.ask(order(&json!({}))).await;
    assert_eq!(answer.text(), Some("[]"));
}
