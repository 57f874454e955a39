//! A node whose manifest declares durable agents keeps their journal in its data folder.

use std::time::Duration;
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_runtime::behaviours::builtin;
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};

const MANIFEST: &str = r#"
[supervisor."/"]
strategy = "one_for_one"

[agent."/tally"]
behaviour = "durable-counter"

[agent."/plain"]
behaviour = "counter"
"#;

async fn node(data: Option<&std::path::Path>) -> Node {
    let behaviours = builtin();
    let manifest = Manifest::parse(MANIFEST, &behaviours).expect("a valid manifest");
    let mut options = NodeOptions::new(Name::new("n").expect("a name"), manifest, behaviours);
    options.data = data.map(ToOwned::to_owned);
    Node::new(options)
}

async fn ask(node: &Node, path: &str, content: &str) -> String {
    let path = Path::new(path).expect("a path");
    let agent = node.system().lookup(&path).expect("it is there");
    let mut message = AclMessage::new(Performative::Request);
    message.content = Some(content.as_bytes().to_vec());
    let answer = agent.ask_acl(message, Duration::from_secs(30)).await;
    answer
        .expect("an answer")
        .text()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_agent_goes_on_where_the_last_node_was() {
    let data = tempfile::tempdir().expect("a folder");
    let first = node(Some(data.path())).await;
    first.start_tree().await.expect("it starts");
    assert_eq!(ask(&first, "/tally", "40").await, r#"{"count":40}"#);
    assert_eq!(ask(&first, "/tally", "2").await, r#"{"count":42}"#);
    assert_eq!(ask(&first, "/plain", "5").await, r#"{"count":5}"#);
    assert!(data.path().join("journal/log").is_dir());
    // A second node on the same folder is refused while the first has it.
    let second = node(Some(data.path())).await;
    let refused = second.start_tree().await.expect_err("in use").to_string();
    assert!(refused.contains("in use"), "{refused}");
    first.stop(Duration::from_secs(30)).await;
    drop(first);
    let mut started = Err(String::new());
    // The last turn's remains let go of the journal in their own time.
    for _ in 0..100 {
        started = second.start_tree().await.map_err(|error| error.to_string());
        if started.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(started, Ok(()));
    assert_eq!(ask(&second, "/tally", "null").await, r#"{"count":42}"#);
    assert_eq!(ask(&second, "/plain", "null").await, r#"{"count":0}"#);
    second.stop(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_folder_a_durable_agent_is_refused() {
    let node = node(None).await;
    let refused = node.start_tree().await.expect_err("no journal").to_string();
    assert!(
        refused.contains("/tally") && refused.contains("no journal"),
        "{refused}"
    );
}

const COUNTED: &str = r#"
[supervisor."/"]
strategy = "one_for_one"
intensity = 1000

[agent."/tally"]
behaviour = "durable-counter"

[agent."/counts"]
behaviour = "event-counts"
"#;

async fn counting(data: &std::path::Path) -> Node {
    let behaviours = builtin();
    let manifest = Manifest::parse(COUNTED, &behaviours).expect("a valid manifest");
    let mut options = NodeOptions::new(Name::new("n").expect("a name"), manifest, behaviours);
    options.data = Some(data.to_owned());
    let node = Node::new(options);
    let mut started = Err(String::new());
    // What is left of the last node lets go of the journal in its own time.
    for _ in 0..100 {
        started = node.start_tree().await.map_err(|error| error.to_string());
        if started.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(started, Ok(()));
    node
}

/// Asks until the projection has come to so many events.
async fn counted(node: &Node, events: u64) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    for _ in 0..300 {
        last = serde_json::from_str(&ask(node, "/counts", "").await).expect("JSON");
        if last["events"].as_u64() >= Some(events) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_follows_the_journal_across_kills_and_nodes() {
    let data = tempfile::tempdir().expect("a folder");
    let mut expected = 0;
    for _life in 0..3 {
        let node = counting(data.path()).await;
        for n in 0..20 {
            ask(&node, "/tally", "1").await;
            expected += 1;
            if n % 7 == 3 {
                let path = Path::new("/counts").expect("a path");
                node.system().lookup(&path).expect("it is there").kill();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let view = counted(&node, expected).await;
        assert_eq!(view["events"], expected, "{view}");
        assert_eq!(view["streams"]["/tally"], expected, "{view}");
        let lags = node.projection_lags();
        assert_eq!(lags, [("counts".to_owned(), 0)]);
        node.stop(Duration::from_secs(30)).await;
    }
}
