//! The built-in tools, called as agents call them.

use serde_json::{Value, json};
use swarm_tools::builtin::{KeyValue, Time};
use swarm_tools::{Access, CallOptions, Caller, Grants, ToolError, Tools, ToolsOptions};

fn access() -> Access {
    let tools = Tools::new(ToolsOptions::default());
    let moment = jiff::Timestamp::from_millisecond(1_700_000_000_123).expect("a time");
    tools
        .register("time", Time::with_clock(move || moment))
        .expect("registered");
    tools
        .register("key-value", KeyValue::default())
        .expect("registered");
    let grants = Grants::new()
        .with("time")
        .and_then(|grants| grants.with("key-value"));
    Access::new(
        tools,
        Caller::new("/a").expect("a caller"),
        grants.expect("grants"),
    )
}

async fn call(access: &Access, tool: &str, input: Value) -> Result<Value, ToolError> {
    access.call(tool, input, CallOptions::default()).await
}

#[tokio::test]
async fn the_time_is_told_as_number_and_as_text() {
    let told = call(&access(), "time", json!({})).await;
    assert_eq!(
        told,
        Ok(json!({"unix_ms": 1_700_000_000_123_i64, "utc": "2023-11-14T22:13:20.123Z"}))
    );
}

#[tokio::test]
async fn a_value_is_kept_found_listed_and_deleted() {
    let access = access();
    let kv = |input| call(&access, "key-value", input);
    assert_eq!(
        kv(json!({"do": "get", "key": "k"})).await,
        Ok(json!({"found": false}))
    );
    assert_eq!(
        kv(json!({"do": "set", "key": "k", "value": [1]})).await,
        Ok(json!({"replaced": false}))
    );
    assert_eq!(
        kv(json!({"do": "set", "key": "k", "value": null})).await,
        Ok(json!({"replaced": true}))
    );
    assert_eq!(
        kv(json!({"do": "get", "key": "k"})).await,
        Ok(json!({"found": true, "value": null}))
    );
    assert_eq!(kv(json!({"do": "keys"})).await, Ok(json!({"keys": ["k"]})));
    assert_eq!(
        kv(json!({"do": "keys", "prefix": "x"})).await,
        Ok(json!({"keys": []}))
    );
    assert_eq!(
        kv(json!({"do": "delete", "key": "k"})).await,
        Ok(json!({"deleted": true}))
    );
}

#[tokio::test]
async fn half_an_instruction_is_refused() {
    let access = access();
    for input in [
        json!({"do": "get"}),
        json!({"do": "set", "key": "k"}),
        json!({"do": "get", "key": "k", "value": 1}),
        json!({"do": "keys", "key": "k"}),
        json!({"do": "set", "key": "", "value": 1}),
        json!({"do": "set", "key": "k".repeat(257), "value": 1}),
    ] {
        let refused = call(&access, "key-value", input.clone()).await;
        assert!(
            matches!(refused, Err(ToolError::InvalidInput { .. })),
            "{input}: {refused:?}"
        );
    }
}
