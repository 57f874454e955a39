//! The applied manifest over a restart of the node.

use std::path::Path as FilePath;
use std::time::Duration;
use swarm_protocols::{Name, Path};
use swarm_runtime::behaviours;
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};

const FIRST: &str = "[agent.\"/a\"]\nbehaviour = \"echo\"\n";
const APPLIED: &str =
    "[agent.\"/b\"]\nbehaviour = \"echo\"\n[agent.\"/c\"]\nbehaviour = \"echo\"\n";

async fn node(data: &FilePath, manifest: &str) -> Node {
    let behaviours = behaviours::builtin();
    let manifest = Manifest::parse(manifest, &behaviours).expect("a manifest");
    let name = Name::new("n1").expect("a name");
    let mut options = NodeOptions::new(name, manifest, behaviours);
    options.data = Some(data.to_owned());
    let node = Node::new(options);
    node.start_tree().await.expect("starts");
    node
}

fn runs(node: &Node) -> Vec<String> {
    let mut paths: Vec<String> = node
        .system()
        .agents()
        .iter()
        .filter(|agent| agent.is_alive())
        .map(|agent| agent.path().to_string())
        .collect();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_again_goes_on_with_the_applied_manifest() {
    let data = tempfile::tempdir().expect("a folder");
    let first = node(data.path(), FIRST).await;
    assert_eq!(runs(&first), ["/a"]);
    let applied = first.apply(APPLIED, 3).await.expect("applies");
    assert_eq!(applied.problems, [] as [String; 0]);
    assert_eq!(runs(&first), ["/b", "/c"]);
    first.stop(Duration::from_secs(10)).await;
    drop(first);

    let again = node(data.path(), FIRST).await;
    assert_eq!(runs(&again), ["/b", "/c"]);
    assert_eq!(again.edition(), applied.edition);
    assert_eq!(again.applied_text().as_deref(), Some(APPLIED));
    // A later one takes its place, after another restart too.
    again.apply(FIRST, 4).await.expect("applies");
    again.stop(Duration::from_secs(10)).await;
    drop(again);
    let again = node(data.path(), FIRST).await;
    assert_eq!(
        (runs(&again), again.edition().generation),
        (vec!["/a".to_owned()], 4)
    );
    again.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_started_with_another_file_or_a_damaged_one_begins_with_its_own() {
    let data = tempfile::tempdir().expect("a folder");
    let first = node(data.path(), FIRST).await;
    first.apply(APPLIED, 3).await.expect("applies");
    first.stop(Duration::from_secs(10)).await;
    drop(first);
    let other = "[agent.\"/d\"]\nbehaviour = \"echo\"\n";
    let second = node(data.path(), other).await;
    assert_eq!(
        (runs(&second), second.edition().generation),
        (vec!["/d".to_owned()], 0)
    );
    second.stop(Duration::from_secs(10)).await;
    drop(second);
    let kept = data.path().join("applied.toml");
    let text = std::fs::read_to_string(&kept).expect("is kept");
    for damaged in [text.replace("behaviour", "behavior"), "x".to_owned()] {
        std::fs::write(&kept, damaged).expect("writes");
        let third = node(data.path(), FIRST).await;
        assert_eq!(runs(&third), ["/a"]);
        let alarms = third.alarms();
        assert!(
            alarms
                .iter()
                .any(|alarm| alarm.contains("applied manifest")),
            "{alarms:?}"
        );
        assert!(
            third
                .system()
                .lookup(&Path::new("/b").expect("a path"))
                .is_none()
        );
        third.stop(Duration::from_secs(10)).await;
    }
}
