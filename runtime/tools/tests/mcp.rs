//! Tools of MCP servers: real processes, and real connections.
#![cfg(feature = "mcp")]

mod kit;

use kit::{access, listing, name, shell, until, up};
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use std::time::Duration;
use swarm_tools::mcp::{McpServer, McpSpec, McpState};
use swarm_tools::{Access, CallOptions, Effect, ToolError};

async fn call(access: &Access, tool: &str, input: Value) -> Result<Value, ToolError> {
    access.call(tool, input, CallOptions::default()).await
}

fn text(answer: &Result<Value, ToolError>) -> &str {
    let answer = answer.as_ref().expect("an answer");
    answer["content"][0]["text"].as_str().expect("a text")
}

#[tokio::test]
async fn a_servers_tools_appear_and_are_called() {
    let (tools, access) = access("sh");
    let spec = shell(
        &listing(&["echo", "other"]),
        "text \"${CARGO_MANIFEST_DIR-no secrets}\"",
    );
    let server = McpServer::start(spec, tools.clone());
    let status = up(&server).await;
    assert_eq!(
        (status.tools, status.implementation.as_deref()),
        (2, Some("sh 1"))
    );
    let names: Vec<_> = access
        .available()
        .into_iter()
        .map(|tool| (tool.name, tool.about))
        .collect();
    assert_eq!(names[0], ("sh/echo".to_owned(), "about echo".to_owned()));
    // The environment of this process is none of its business.
    assert_eq!(
        text(&call(&access, "sh/echo", json!({})).await),
        "no secrets"
    );
    server.stop().await;
    assert!(tools.list().is_empty());
    assert!(matches!(
        call(&access, "sh/echo", json!({})).await,
        Err(ToolError::Unknown { .. })
    ));
}

#[tokio::test]
async fn a_server_that_dies_costs_its_calls_and_comes_back() {
    let (tools, access) = access("sh");
    let spec = shell(
        &listing(&["do"]),
        "case $line in *die*) exit 1;; *) text alive;; esac",
    );
    let server = McpServer::start(spec, tools);
    up(&server).await;
    let died = call(&access, "sh/do", json!({"how": "die"}))
        .await
        .expect_err("died");
    assert_eq!((died.code(), died.effect()), ("failed", Effect::Possible));
    until(&server, |status| {
        matches!(status.state, McpState::Down { .. })
    })
    .await;
    let down = call(&access, "sh/do", json!({})).await.expect_err("down");
    assert_eq!((down.code(), down.effect()), ("failed", Effect::None));
    assert_eq!(access.available().len(), 1, "it stays listed");
    assert_eq!(up(&server).await.attempts, 2);
    assert_eq!(text(&call(&access, "sh/do", json!({})).await), "alive");
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_calls_and_is_started_anew() {
    let (tools, access) = access("sh");
    let spec = shell(
        &listing(&["do"]),
        "case $line in *hang*) sleep 1000;; *) text alive;; esac",
    );
    let server = McpServer::start(spec, tools);
    up(&server).await;
    let options = CallOptions {
        within: Some(Duration::from_millis(50)),
        ..CallOptions::default()
    };
    let late = access.call("sh/do", json!({"how": "hang"}), options).await;
    assert!(matches!(late, Err(ToolError::TimedOut { .. })), "{late:?}");
    until(&server, |status| {
        status.attempts == 2 && status.state == McpState::Up
    })
    .await;
    assert_eq!(text(&call(&access, "sh/do", json!({})).await), "alive");
}

#[tokio::test]
async fn a_call_without_an_answer_does_not_end_a_server_that_answers_pings() {
    let (tools, access) = access("sh");
    let spec = shell(
        &listing(&["do"]),
        "case $line in *lazy*) ;; *) text alive;; esac",
    );
    let server = McpServer::start(spec, tools);
    up(&server).await;
    let options = CallOptions {
        within: Some(Duration::from_millis(50)),
        ..CallOptions::default()
    };
    let late = access.call("sh/do", json!({"how": "lazy"}), options).await;
    assert!(matches!(late, Err(ToolError::TimedOut { .. })), "{late:?}");
    assert_eq!(text(&call(&access, "sh/do", json!({})).await), "alive");
    assert_eq!(server.status().attempts, 1);
}

#[tokio::test]
async fn a_changed_list_is_followed() {
    let (tools, access) = access("sh");
    let one = listing(&["one"]);
    let two = listing(&["two", "three"]);
    let lists = format!("if [ -z \"$grown\" ]; then {one}; else {two}; fi");
    let calls = r#"grown=1; text done; say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'"#;
    let server = McpServer::start(shell(&lists, calls), tools);
    up(&server).await;
    assert_eq!(text(&call(&access, "sh/one", json!({})).await), "done");
    until(&server, |status| status.tools == 2).await;
    let names: Vec<_> = access
        .available()
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(names, ["sh/three", "sh/two"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_left_out_and_named() {
    let (tools, access) = access("sh");
    let bad = r#"answer '{"tools":[
        {"name":"good","inputSchema":{"type":"object"}},
        {"name":"b\u001b[2Jad name","inputSchema":{"type":"object"}},
        {"name":"bad-schema","inputSchema":{"type":"nonsense"}},
        {"name":"reads-files","inputSchema":{"$ref":"file:///etc/passwd"}}]}'"#;
    let server = McpServer::start(shell(&bad.replace('\n', " "), "text x"), tools);
    let status = up(&server).await;
    assert_eq!((status.tools, access.available().len()), (1, 1));
    let left_out: Vec<_> = status
        .left_out
        .iter()
        .map(|left| left.tool.as_str())
        .collect();
    assert_eq!(left_out, ["b [2Jad name", "bad-schema", "reads-files"]);
}

#[tokio::test]
async fn an_error_of_the_tool_is_an_error_of_the_call() {
    let (tools, access) = access("sh");
    let calls = r#"case $line in
        *params*'"how":"args"'*) say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32602,"message":"no such city"}}';;
        *) answer '{"isError":true,"content":[{"type":"text","text":"no luck"}]}';; esac"#;
    let server = McpServer::start(shell(&listing(&["do"]), calls), tools);
    up(&server).await;
    assert_eq!(
        call(&access, "sh/do", json!({})).await,
        Err(ToolError::failed("no luck"))
    );
    let invalid = call(&access, "sh/do", json!({"how": "args"})).await;
    assert_eq!(invalid, Err(ToolError::invalid("", "no such city")));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_down_with_its_reason() {
    let (tools, _) = access("gone");
    let server = McpServer::start(
        McpSpec::command(name("gone"), "/no/such/program", Vec::new()),
        tools,
    );
    let McpState::Down { reason, .. } = server.settled().await.state else {
        panic!("{:?}", server.status());
    };
    assert!(reason.contains("/no/such/program"), "{reason}");
    server.stop().await;
}

#[tokio::test]
async fn a_program_that_speaks_no_mcp_is_down() {
    let (tools, _) = access("noise");
    for script in [
        "exit 0",
        "echo hello; echo '{}'; echo '[1]'",
        "head -c 100000 /dev/zero",
    ] {
        let spec = McpSpec::command(
            name("noise"),
            "/bin/sh",
            vec!["-c".to_owned(), script.to_owned()],
        );
        let server = McpServer::start(spec, tools.clone());
        assert!(
            matches!(server.settled().await.state, McpState::Down { .. }),
            "{script}"
        );
    }
}

/// Whether a process is there. A dead one that nobody has waited for yet is not.
fn lives(pid: i32) -> bool {
    let there = Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    there && !stat.contains(") Z ")
}

/// Starts a server with a process below it that ignores everything but SIGKILL, and tells both their pids.
async fn with_grandchild() -> (McpServer, [i32; 2]) {
    let (tools, access) = access("sh");
    let calls = "(trap '' TERM HUP INT; exec sleep 1000 <&- >&- 2>&-) & text \"$$ $!\"";
    let server = McpServer::start(shell(&listing(&["pids"]), calls), tools);
    up(&server).await;
    let answer = call(&access, "sh/pids", json!({})).await;
    let pids: Vec<i32> = text(&answer)
        .split(' ')
        .map(|pid| pid.parse().expect("a pid"))
        .collect();
    assert!(lives(pids[0]) && lives(pids[1]));
    (server, [pids[0], pids[1]])
}

/// Waits until neither lives. A signal that kills is told at once and takes effect a moment later.
async fn gone(pids: [i32; 2]) {
    let gone = async {
        while pids.into_iter().any(lives) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("gone");
}

#[tokio::test]
async fn a_stopped_server_is_gone_with_all_that_it_started() {
    let (server, pids) = with_grandchild().await;
    server.stop().await;
    assert!(!lives(pids[0]));
    gone(pids).await;
}

#[tokio::test]
async fn a_dropped_server_is_gone_with_all_that_it_started() {
    let (server, pids) = with_grandchild().await;
    drop(server);
    gone(pids).await;
}

mod official_python {
    use super::*;
    use kit::python;

    const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/server.py");

    async fn exercise(spec: McpSpec) {
        let (tools, access) = access("py");
        let server = McpServer::start(spec, tools);
        assert_eq!(up(&server).await.tools, 3);
        let added = call(&access, "py/add", json!({"a": 2, "b": 40}))
            .await
            .expect("an answer");
        assert_eq!(added["structuredContent"]["result"], 42);
        let wrong = call(&access, "py/add", json!({"a": "two", "b": 40})).await;
        assert!(
            matches!(&wrong, Err(ToolError::InvalidInput { at, .. }) if at == "/a"),
            "{wrong:?}"
        );
        let failed = call(&access, "py/fail", json!({}))
            .await
            .expect_err("fails");
        assert!(
            failed.to_string().contains("on purpose") || failed.code() == "failed",
            "{failed}"
        );
        assert_eq!(text(&call(&access, "py/grow", json!({})).await), "done");
        until(&server, |status| status.tools == 4).await;
        assert_eq!(text(&call(&access, "py/grown", json!({})).await), "grown");
        server.stop().await;
    }

    #[tokio::test]
    async fn over_stdio() {
        let Some(python) = python() else { return };
        exercise(McpSpec::command(
            name("py"),
            python,
            vec![SERVER.to_owned()],
        ))
        .await;
    }

    #[tokio::test]
    async fn over_streamable_http() {
        let Some(python) = python() else { return };
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let _server = tokio::process::Command::new(python)
            .args([SERVER, &port.to_string()])
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let url = format!("http://127.0.0.1:{port}/mcp");
        exercise(McpSpec::http(name("py"), &url, None).expect("a URL")).await;
    }
}
