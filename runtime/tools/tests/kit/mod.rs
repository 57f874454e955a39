//! Servers to try MCP on.
#![allow(dead_code, reason = "each test program uses a part")]

use std::process::Stdio;
use std::time::Duration;
use swarm_protocols::Name;
use swarm_tools::mcp::{McpServer, McpSpec, McpState, McpStatus};
use swarm_tools::{Access, Caller, Grants, Tools, ToolsOptions};

/// How long a test waits for what must come: a bound, not a pace.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a shell: a process of its own that is everywhere. `$id` is the id of the request, `answer JSON` answers it.
pub(crate) fn shell(lists: &str, calls: &str) -> McpSpec {
    let script = format!(
        r#"
        say() {{ printf '%s\n' "$1"; }}
        answer() {{ say '{{"jsonrpc":"2.0","id":'"$id"',"result":'"$1"'}}'; }}
        text() {{ answer '{{"content":[{{"type":"text","text":"'"$1"'"}}]}}'; }}
        while IFS= read -r line; do
            id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
            case $line in
                *'"method":"initialize"'*) answer '{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"sh","version":"1"}}}}';;
                *'"method":"ping"'*) answer '{{}}';;
                *'"method":"tools/list"'*) {lists};;
                *'"method":"tools/call"'*) {calls};;
            esac
        done
        "#
    );
    McpSpec::command(name("sh"), "/bin/sh", vec!["-c".to_owned(), script])
}

/// Lists tools of these names that take anything.
pub(crate) fn listing(names: &[&str]) -> String {
    let tools: Vec<_> = names
        .iter()
        .map(|name| format!(r#"{{"name":"{name}","description":"about {name}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    format!("answer '{{\"tools\":[{}]}}'", tools.join(","))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A registry, and access to all tools of the server `name`.
pub(crate) fn access(name: &str) -> (Tools, Access) {
    let tools = Tools::new(ToolsOptions::default());
    let grants = Grants::new().with(&format!("{name}/*")).expect("grants");
    let access = Access::new(tools.clone(), Caller::new("/a").expect("a caller"), grants);
    (tools, access)
}

pub(crate) async fn until(server: &McpServer, wanted: impl Fn(&McpStatus) -> bool) -> McpStatus {
    let mut status = server.watch();
    let found = tokio::time::timeout(PATIENCE, status.wait_for(|status| wanted(status))).await;
    match found {
        Ok(found) => found.expect("the server is there").clone(),
        Err(_) => panic!("not within {PATIENCE:?}: {:?}", server.status()),
    }
}

pub(crate) async fn up(server: &McpServer) -> McpStatus {
    until(server, |status| status.state == McpState::Up).await
}

/// A Python that has the official package `mcp`: `$SWARM_MCP_PYTHON`, or `python3`. None, with a word about it, if there
/// is none.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("SWARM_MCP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_it = std::process::Command::new(&python)
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
