//! `swarmctl mcp serve`: a node, seen by MCP clients.

mod common;

use common::{Node, swarmctl};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use swarm_protocols::Name;
use swarm_tools::mcp::{McpServer, McpSpec, McpState, Reach};
use swarm_tools::{Access, CallOptions, Caller, Grants, ToolError, Tools, ToolsOptions};

/// The root, a supervisor, and three agents.
const TREE: &str =
    "[supervisor.\"/pool\"]\n[agent.\"/pool/echo\"]\nbehaviour = \"echo\"\nreplicas = 3\n";

const READ: [&str; 5] = ["describe", "events", "list-actors", "status", "tree"];

fn arguments(url: &str, allow_write: bool) -> Vec<String> {
    let mut arguments = vec!["--node", url, "mcp", "serve"];
    if allow_write {
        arguments.push("--allow-write");
    }
    arguments.into_iter().map(str::to_owned).collect()
}

/// rmcp's client, as `swarm-tools` has it, with the program as its server.
async fn client(url: &str, allow_write: bool) -> (McpServer, Access) {
    let tools = Tools::new(ToolsOptions::default());
    let reach = Reach::Command {
        program: env!("CARGO_BIN_EXE_swarmctl").into(),
        arguments: arguments(url, allow_write),
        environment: BTreeMap::from([("XDG_CONFIG_HOME".to_owned(), "/nonexistent".to_owned())]),
        folder: None,
    };
    let spec = McpSpec::new(Name::new("node").expect("a name"), reach);
    let server = McpServer::start(spec, tools.clone());
    let status = server.settled().await;
    assert_eq!(status.state, McpState::Up, "{status:?}");
    let grants = Grants::new().with("node/*").expect("grants");
    (
        server,
        Access::new(tools, Caller::new("test").expect("a caller"), grants),
    )
}

async fn call(access: &Access, tool: &str, input: Value) -> Result<Value, ToolError> {
    let answer = access
        .call(&format!("node/{tool}"), input, CallOptions::default())
        .await?;
    Ok(answer["structuredContent"].clone())
}

fn names(access: &Access) -> Vec<String> {
    let tools = access.available().into_iter();
    tools
        .map(|tool| tool.name["node/".len()..].to_owned())
        .collect()
}

#[tokio::test]
async fn a_client_may_look_and_nothing_else() {
    let folder = common::folder();
    let manifest = common::file(&folder, "swarm.toml", TREE);
    let node = Node::up(&[&manifest]);
    let (server, access) = client(&node.url, false).await;
    assert_eq!(names(&access), READ);
    let status = call(&access, "status", json!({})).await.expect("an answer");
    assert_eq!(status["state"], "running");
    let listed = call(&access, "list-actors", json!({"sort": "age", "limit": 3}))
        .await
        .expect("an answer");
    assert_eq!(
        (listed["actors"].as_array().map(Vec::len), &listed["total"]),
        (Some(3), &json!(5))
    );
    let tree = call(&access, "tree", json!({"depth": 1}))
        .await
        .expect("an answer");
    assert_eq!(tree["path"], "/");
    let path = listed["actors"][0]["path"].clone();
    let described = call(&access, "describe", json!({"path": path}))
        .await
        .expect("an answer");
    assert_eq!(described["path"], path);
    let events = call(&access, "events", json!({})).await.expect("an answer");
    assert!(
        events["events"]
            .as_array()
            .is_some_and(|events| !events.is_empty())
    );
    let missing = call(&access, "describe", json!({"path": "/nobody"}))
        .await
        .expect_err("nobody");
    assert!(missing.to_string().contains("/nobody"), "{missing}");
    server.stop().await;
}

#[tokio::test]
async fn with_permission_it_sends_and_asks() {
    let folder = common::folder();
    let manifest = common::file(
        &folder,
        "swarm.toml",
        "[agent.\"/echo\"]\nbehaviour = \"echo\"\n",
    );
    let node = Node::up(&[&manifest]);
    let (server, access) = client(&node.url, true).await;
    assert_eq!(names(&access).len(), READ.len() + 2);
    let sent = call(
        &access,
        "send",
        json!({"path": "/echo", "content": "hello"}),
    )
    .await
    .expect("an answer");
    assert_eq!(sent["accepted"], true);
    let asked = call(
        &access,
        "ask",
        json!({"path": "/echo", "content": {"n": 1}}),
    )
    .await
    .expect("an answer");
    assert_eq!(asked["content"], json!({"n": 1}), "{asked}");
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_is_not_there_is_said_by_each_call() {
    let (server, access) = client("http://127.0.0.1:1", false).await;
    let gone = call(&access, "status", json!({}))
        .await
        .expect_err("no node");
    assert!(gone.to_string().contains("no node answers"), "{gone}");
    server.stop().await;
}

#[test]
fn a_client_that_hangs_up_ends_it_and_stdout_holds_nothing_but_mcp() {
    let said = common::run_with_stdin(&["mcp", "serve"], "").expect(0);
    assert_eq!(said.stdout, "");
}

/// One node's tools are the questions that another one answers.
#[test]
fn a_node_tells_its_tools_and_servers() {
    let other = Node::up(&[]);
    let folder = common::folder();
    let text = format!(
        "[tool.time]\n[mcp.other]\ncommand = [{:?}, \"--node\", {:?}, \"mcp\", \"serve\"]\n[mcp.gone]\ncommand = [\"/no/such/program\"]\n",
        env!("CARGO_BIN_EXE_swarmctl"),
        other.url
    );
    let manifest = common::file(&folder, "swarm.toml", &text);
    let node = Node::up(&[&manifest]);
    let servers = common::eventually(
        || {
            node.run(&["tool", "servers", "-o", "json"])
                .expect(0)
                .json()
        },
        |servers| servers[0]["state"] == "up" && servers[1]["state"] == "down",
    );
    assert_eq!(
        (&servers[1]["name"], &servers[0]["tools"]),
        (&json!("gone"), &json!(READ.len()))
    );
    let tools = node.run(&["tool", "ls", "-o", "json"]).expect(0).json();
    let names: Vec<_> = tools
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| tool["name"].as_str())
        .collect();
    assert_eq!(
        (names.len(), names[0], names[READ.len()]),
        (READ.len() + 1, Some("other/describe"), Some("time"))
    );
    let table = node.run(&["tool", "ls"]).expect(0);
    assert!(
        table.stdout.contains("other/list-actors") && table.stderr.contains("gone is down"),
        "{table:?}"
    );
    let described = node
        .run(&["tool", "describe", "other/describe", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(described["schema"]["required"], json!(["path"]));
    node.run(&["tool", "describe", "nothing"]).expect(3);
    assert_eq!(
        node.run(&["tool", "calls", "-o", "json"]).expect(0).json(),
        json!([])
    );
}

/// A Python that has the official package; none, with a word about it, if there is none.
fn python() -> Option<String> {
    let python = std::env::var("SWARM_MCP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_it = Command::new(&python)
        .args(["-c", "import mcp"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_it {
        eprintln!(
            "skipped: {python} has no package mcp (pip install mcp; SWARM_MCP_PYTHON names another Python)"
        );
    }
    has_it.then_some(python)
}

/// What the official Python client hears.
fn heard(python: &str, url: &str, allow_write: bool, calls: &Value) -> Value {
    let program = swarmctl(&[]).get_program().to_owned();
    let mut child = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/mcp_client.py"
        ))
        .arg(program)
        .args(arguments(url, allow_write))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut input = child.stdin.take().expect("it is piped");
    write!(input, "{calls}").expect("it listens");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {output:?}"))
}

#[test]
fn the_official_python_client_lists_looks_and_is_denied_what_is_not_allowed() {
    let Some(python) = python() else { return };
    let folder = common::folder();
    let manifest = common::file(&folder, "swarm.toml", TREE);
    let node = Node::up(&[&manifest]);
    let calls = json!([["status", {}], ["list-actors", {"limit": 1}], ["send", {"path": "/", "content": 1}], ["tree", {"depth": "deep"}]]);
    let heard = heard(&python, &node.url, false, &calls);
    let names: Vec<_> = heard["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(names, READ);
    assert_eq!(
        heard["tools"][0]["inputSchema"]["required"],
        json!(["path"])
    );
    let answers = &heard["answers"];
    assert_eq!(answers[0]["structuredContent"]["state"], "running");
    assert_eq!(answers[1]["structuredContent"]["total"], 5);
    assert_eq!(answers[2]["isError"], true);
    assert_eq!(answers[2]["structuredContent"]["error"]["code"], "denied");
    assert_eq!(answers[3]["structuredContent"]["error"]["at"], "/depth");
}

#[test]
fn the_official_python_client_asks_if_allowed() {
    let Some(python) = python() else { return };
    let folder = common::folder();
    let manifest = common::file(
        &folder,
        "swarm.toml",
        "[agent.\"/echo\"]\nbehaviour = \"echo\"\n",
    );
    let node = Node::up(&[&manifest]);
    let calls = json!([["ask", {"path": "/echo", "content": {"n": 1}}]]);
    let heard = heard(&python, &node.url, true, &calls);
    assert_eq!(
        heard["answers"][0]["structuredContent"]["content"],
        json!({"n": 1})
    );
}
