//! Tools and MCP servers in manifests, and in the node that they describe.

use serde_json::json;
use std::time::Duration;
use swarm_protocols::Name;
use swarm_runtime::manifest::{BuiltIn, Manifest};
use swarm_runtime::node::{Behaviours, Node, NodeOptions};
use swarm_tools::mcp::{McpState, Reach};
use swarm_tools::{Access, CallOptions, Caller, Grants};

fn parse(text: &str) -> Manifest {
    Manifest::parse(text, &Behaviours::new()).unwrap_or_else(|rejected| panic!("{rejected}"))
}

/// The mistakes of a text, one `line:column: key: message (try …)` each.
#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let rejected = Manifest::parse(text, &Behaviours::new()).expect_err(text);
    let found: Vec<_> = rejected.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "\n{text}");
}

#[test]
fn a_manifest_declares_tools_and_servers_with_their_bounds() {
    let manifest = parse(
        r#"
[tool.time]

[tool.http-fetch]
within = "2s"
within_max = "5s"
calls_max = 3

[mcp.files]
command = ["npx", "-y", "server"]
environment = { ROOT = "/srv" }
folder = "/tmp"
within = "30s"
calls_max = 8

[mcp.search]
url = "https://example.com/mcp"
bearer_env = "SEARCH_TOKEN"
"#,
    );
    let tools = &manifest.tools;
    assert_eq!(tools.built_in.len(), 2);
    assert_eq!(tools.built_in[0].which, BuiltIn::Time);
    let bounds = tools.built_in[1].bounds;
    assert_eq!(
        (bounds.within, bounds.calls_max),
        (Some(Duration::from_secs(2)), Some(3))
    );
    let files = &tools.servers[0].spec;
    assert_eq!(
        (
            files.name.as_str(),
            files.calls_max,
            files.limits.within_default
        ),
        ("files", 8, Duration::from_secs(30))
    );
    assert!(
        matches!(&files.reach, Reach::Command { arguments, .. } if arguments == &["-y", "server"])
    );
    assert_eq!(tools.servers[1].bearer_env.as_deref(), Some("SEARCH_TOKEN"));
    assert!(matches!(tools.servers[1].spec.reach, Reach::Http { .. }));
}

#[test]
fn mistakes_are_named_with_their_place() {
    refused(
        "[tool.http-fetsch]\n",
        &[
            "1:7: tool.http-fetsch: there is no built-in tool http-fetsch; there are time, key-value, http-fetch (try [tool.http-fetch])",
        ],
    );
    refused(
        "[tool.time]\nwithn = \"1s\"\n",
        &["2:1: tool.time.withn: unknown key (try within)"],
    );
    refused(
        "[tool.time]\nwithin = \"9s\"\nwithin_max = \"1s\"\ncalls_max = 0\n",
        &[
            "2:10: tool.time.within: is longer than within_max beside it",
            "4:13: tool.time.calls_max: 0 is not within 1 to 10000",
        ],
    );
    refused(
        "[mcp.files]\n",
        &[
            "1:6: mcp.files: says neither which command starts the server nor which url reaches it (try command = [\"PROGRAM\", \"ARGUMENT\"])",
        ],
    );
    refused(
        "[mcp.files]\ncommand = [\"a\"]\nurl = \"http://x/\"\n",
        &["3:7: mcp.files.url: a server is reached by its command or by its url, not by both"],
    );
    refused(
        "[mcp.files]\ncommand = \"npx server\"\n",
        &["2:11: mcp.files.command: expected a list of strings without NUL"],
    );
    refused(
        "[mcp.files]\ncommand = []\n",
        &["2:11: mcp.files.command: names no program (try command = [\"PROGRAM\", \"ARGUMENT\"])"],
    );
    refused(
        "[mcp.x]\nurl = \"ftp://x\"\nfolder = \"/\"\n",
        &[
            "2:7: mcp.x.url: \"ftp://x\" is no http or https URL (try \"https://example.com/mcp\")",
            "3:10: mcp.x.folder: says nothing without command",
        ],
    );
    refused(
        "mcp = 1\n[tool]\ntime = true\n",
        &[
            "1:7: mcp: expected tables with names, found a whole number (try [mcp.NAME])",
            "3:8: tool.time: expected a table, found a boolean",
        ],
    );
}

const SERVER: &str = r#"while IFS= read -r line; do
    id=${line#*\"id\":}; id=${id%%[,\}]*}
    answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
    case $line in
        *'"method":"initialize"'*) answer '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
        *'"method":"tools/list"'*) answer '{"tools":[{"name":"hello","inputSchema":{"type":"object"}}]}';;
        *'"method":"tools/call"'*) answer '{"content":[{"type":"text","text":"hello"}]}';;
    esac
done"#;

#[tokio::test]
async fn a_node_offers_what_its_manifest_declares_until_it_stops() {
    let manifest = format!(
        "[tool.time]\n[mcp.sh]\ncommand = [\"/bin/sh\", \"-c\", '''\n{SERVER}''']\n[mcp.secret]\nurl = \"http://127.0.0.1:1/\"\nbearer_env = \"SWARM_TEST_NO_SUCH_VARIABLE\"\n"
    );
    let behaviours = Behaviours::new();
    let manifest =
        Manifest::parse(&manifest, &behaviours).unwrap_or_else(|rejected| panic!("{rejected}"));
    let name = Name::new("n1").expect("a name");
    let node = Node::new(NodeOptions::new(name, manifest, behaviours));
    node.start_tree().await.expect("the tree starts");
    let up = async {
        loop {
            let servers = node.mcp_servers();
            if servers
                .iter()
                .flatten()
                .any(|(_, status)| status.state == McpState::Up)
            {
                return servers;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let servers = tokio::time::timeout(Duration::from_secs(60), up)
        .await
        .expect("up");
    let refused = servers
        .iter()
        .find_map(|server| server.as_ref().err())
        .expect("one is refused");
    assert!(
        refused.reason.contains("SWARM_TEST_NO_SUCH_VARIABLE"),
        "{refused:?}"
    );
    let names: Vec<_> = node
        .tools()
        .list()
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(names, ["sh/hello", "time"]);
    let grants = Grants::new().with("sh/*").expect("grants");
    let access = Access::new(
        node.tools().clone(),
        Caller::new("/a").expect("a caller"),
        grants,
    );
    let answer = access
        .call("sh/hello", json!({}), CallOptions::default())
        .await
        .expect("an answer");
    assert_eq!(answer["content"][0]["text"], "hello");
    assert!(
        access
            .call("time", json!({}), CallOptions::default())
            .await
            .is_err()
    );
    assert_eq!(node.tools().records().len(), 2);
    node.stop(Duration::from_secs(5)).await;
    assert!(node.mcp_servers().is_empty());
    assert_eq!(node.tools().list().len(), 1);
}
