//! A registry as an MCP server, with rmcp's client at the other end.
#![cfg(feature = "mcp")]

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use serde_json::json;
use swarm_tools::builtin::{KeyValue, Time};
use swarm_tools::mcp::serve;
use swarm_tools::{Access, Caller, Grants, Tools, ToolsOptions};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_client_sees_and_calls_what_is_granted_and_nothing_else() {
    let tools = Tools::new(ToolsOptions::default());
    tools.register("time", Time::new()).expect("registered");
    tools
        .register("key-value", KeyValue::default())
        .expect("registered");
    let grants = Grants::new().with("key-value").expect("grants");
    let access = Access::new(tools.clone(), Caller::new("mcp").expect("a caller"), grants);
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (input, output) = tokio::io::split(far);
    let serving = tokio::spawn(serve(
        access,
        "try it",
        input,
        output,
        CancellationToken::new(),
    ));

    let client = ().serve(near).await.expect("a handshake");
    let info = client.peer_info().expect("info");
    assert_eq!(info.instructions.as_deref(), Some("try it"));
    let listed = client.list_all_tools().await.expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&*listed[0].name, listed[0].input_schema["required"].clone()),
        ("key-value", json!(["do"]))
    );
    let call = |name: &'static str, input: serde_json::Value| {
        let params = CallToolRequestParams::new(name)
            .with_arguments(input.as_object().expect("an object").clone());
        client.call_tool(params)
    };
    let set = call("key-value", json!({"do": "set", "key": "k", "value": 1}))
        .await
        .expect("an answer");
    assert_eq!(set.structured_content, Some(json!({"replaced": false})));
    let wrong = call("key-value", json!({"do": 1}))
        .await
        .expect("an answer");
    assert_eq!(wrong.is_error, Some(true));
    let error = &wrong.structured_content.expect("an error")["error"];
    assert_eq!(
        (&error["code"], &error["at"]),
        (&json!("invalid-input"), &json!("/do"))
    );
    let denied = call("time", json!({})).await.expect("an answer");
    assert_eq!(
        denied.structured_content.expect("an error")["error"]["code"],
        "denied"
    );
    client.cancel().await.expect("an end");
    serving.await.expect("no panic").expect("served");
    assert_eq!(tools.records().len(), 3);
}

#[tokio::test]
async fn a_client_that_speaks_nonsense_or_leaves_harms_nobody() {
    for nonsense in [
        "",
        "\n\n",
        "hello\n",
        "{}\n",
        "[[[[\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}\n",
    ] {
        let tools = Tools::new(ToolsOptions::default());
        let access = Access::new(tools, Caller::new("mcp").expect("a caller"), Grants::new());
        // The end of the text is the end of the client.
        let ended = serve(
            access,
            "",
            nonsense.as_bytes(),
            tokio::io::sink(),
            CancellationToken::new(),
        )
        .await;
        assert!(
            ended.is_ok() || matches!(ended, Err(swarm_tools::mcp::ServeError::Handshake { .. })),
            "{nonsense}: {ended:?}"
        );
    }
}
