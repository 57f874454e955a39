//! The main job on three nodes: a group's members on all of them share it, and losing nodes in the middle costs no result.

mod common;

use common::{Node, eventually, example, file, folder, lines_of, next_line, signal, swarmctl};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use tempfile::TempDir;

const JOBS: usize = 400;

fn node(command: &str, called: &str, arguments: &[&str]) -> Node {
    let named = ["--listen", "127.0.0.1:0", "--name", called];
    Node::start(command, &[&named[..], arguments].concat())
}

/// Three nodes with four workers each, all of which the first one sees.
fn three() -> [Node; 3] {
    let example = example();
    let n1 = node("up", "n1", &[&example]);
    let join = &n1.ready["join"];
    let address = join["address"].as_str().expect("an address").to_owned();
    let token = join["token"].as_str().expect("a token").to_owned();
    let arguments = ["--manifest", &example, "--token", &token, &address];
    let (n2, n3) = (
        node("join", "n2", &arguments),
        node("join", "n3", &arguments),
    );
    for node in [&n1, &n2] {
        // Names travel on their own; the dispatcher sees those of them that it will use.
        eventually(|| nodes_of(node, "--group=workers"), |seen| seen.len() == 3);
        eventually(|| spread(node), |seen| seen.len() == 3);
    }
    [n1, n2, n3]
}

/// The nodes in `actor ls`, with how many actors each has.
fn nodes_of(node: &Node, filter: &str) -> BTreeMap<String, usize> {
    let listed = node.run(&["actor", "ls", "-o", "json", filter]).expect(0);
    let mut nodes = BTreeMap::new();
    for actor in listed.json().as_array().expect("an array") {
        let node = actor["node"].as_str().expect("a node").to_owned();
        *nodes.entry(node).or_default() += 1;
    }
    nodes
}

/// The nodes that have done jobs of a short run.
fn spread(node: &Node) -> BTreeSet<String> {
    let jobs = folder();
    let jobs = file(&jobs, "jobs.jsonl", &lines(24, 5));
    let said = node.run(&["dispatch", &jobs, "--to", "workers"]).expect(0);
    said.lines().iter().map(node_in).collect()
}

fn node_in(result: &Value) -> String {
    result["node"].as_str().unwrap_or("?").to_owned()
}

fn lines(count: usize, ms: u64) -> String {
    (0..count)
        .map(|id| {
            format!(
                "{}\n",
                json!({"id": id, "task": "sleep", "input": {"ms": ms}})
            )
        })
        .collect()
}

struct Run {
    child: Child,
    results: std::sync::mpsc::Receiver<String>,
    _jobs: TempDir,
}

fn dispatch(node: &Node) -> Run {
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", &lines(JOBS, 50));
    let arguments = ["--node", &node.url, "dispatch", &jobs, "--to", "workers"];
    let mut child = swarmctl(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    Run {
        results: lines_of(child.stdout.take().expect("it is piped")),
        child,
        _jobs: folder,
    }
}

impl Run {
    fn take(&self, count: usize) -> Vec<Value> {
        (0..count)
            .map(|_| serde_json::from_str(&next_line(&self.results)).expect("a result"))
            .collect()
    }

    /// All of the rest; every job has exactly one result, and an output.
    fn all_results(mut self, mut results: Vec<Value>) -> Vec<Value> {
        results.extend(self.take(JOBS - results.len()));
        assert!(self.results.recv().is_err(), "there are more results");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let ids: BTreeSet<u64> = results
            .iter()
            .map(|result| {
                assert_eq!(result["ok"], true, "{result}");
                result["id"].as_u64().expect("a number")
            })
            .collect();
        assert_eq!(ids.len(), JOBS);
        results
    }
}

#[test]
fn a_killed_and_a_stopped_node_in_the_middle_of_a_run_cost_no_result() {
    let [n1, n2, n3] = three();
    let run = dispatch(&n1);
    let early = run.take(40);
    let nodes: BTreeSet<String> = early.iter().map(node_in).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    signal("KILL", n3.process());
    signal("STOP", n2.process());
    // Who does not answer is named, and the list stays a list.
    let listed = n1.run(&["actor", "ls", "-o", "json"]).expect(0);
    let actors = listed.json();
    let is_own = |actor: &Value| actor["node"] == "n1";
    assert!(actors.as_array().expect("an array").iter().all(is_own));
    for name in ["n2", "n3"] {
        let named = format!("\"node\":\"{name}\"");
        assert!(listed.stderr.contains(&named), "{listed:?}");
    }
    let results = run.all_results(early);
    let again = results
        .iter()
        .filter(|result| result["attempts"].as_u64() > Some(1));
    assert!(again.count() > 0, "no job was under way on the lost nodes");
    // The stopped one comes back as what it was.
    signal("CONT", n2.process());
    eventually(|| nodes_of(&n1, "--group=workers"), |seen| seen.len() == 2);
}

#[test]
fn another_member_takes_the_place_of_the_node_that_is_spoken_to() {
    let [n1, n2, n3] = three();
    let run = dispatch(&n2);
    let early = run.take(20);
    signal("KILL", n2.process());
    let results = run.all_results(early);
    let late: BTreeSet<String> = results[JOBS / 2..].iter().map(node_in).collect();
    assert!(late.contains("n1") && late.contains("n3"), "{late:?}");
    drop((n1, n3));
}

#[test]
fn a_member_does_what_is_asked_through_another_one() {
    let [n1, _n2, _n3] = three();
    let on = |arguments: &[&str]| n1.run(&[&["--on", "n3", "-o", "json"][..], arguments].concat());
    assert_eq!(on(&["status"]).expect(0).json()["node"], "n3");
    on(&["--yes", "actor", "kill", "/pool/worker-2"]).expect(0);
    let listed = n1.run(&["actor", "ls", "-o", "json"]).expect(0).json();
    let killed: Vec<&Value> = listed
        .as_array()
        .expect("an array")
        .iter()
        .filter(|actor| actor["restarts"] == 1)
        .collect();
    assert_eq!(killed.len(), 1, "{killed:?}");
    assert_eq!(killed[0]["node"], "n3");
    let failure = n1.run(&["--on", "n9", "-o", "json", "status"]).expect(3);
    assert_eq!(failure.failure()["code"], "no-such-node");
    let local = n1.run(&["--local", "actor", "ls", "-o", "json"]).expect(0);
    let nodes: BTreeSet<String> = local
        .json()
        .as_array()
        .expect("an array")
        .iter()
        .map(node_in)
        .collect();
    assert_eq!(nodes, BTreeSet::from(["n1".to_owned()]));
    let status = n1.run(&["status", "-o", "json"]).expect(0).json();
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_node_for_one_run_joins_and_has_the_workers_of_all() {
    let [n1, n2, n3] = three();
    let token = n1.run(&["token", "create", "-o", "json"]).expect(0).json();
    let secret = token["token"].as_str().expect("a token");
    let address = token["address"].as_str().expect("an address");
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", &lines(200, 30));
    let example = example();
    let arguments = ["dispatch", &jobs, "--to", "workers", "--manifest", &example];
    let joined = ["--join", address, "--token", secret];
    let said = common::run(&[&arguments[..], &joined].concat()).expect(0);
    let nodes: BTreeSet<String> = said.lines().iter().map(node_in).collect();
    assert_eq!(nodes.len(), 4, "{nodes:?}");
    // It said goodbye.
    let list = n1.run(&["node", "ls", "-o", "json"]).expect(0).json();
    let guest = list.as_array().expect("an array").iter();
    let mut guest = guest.filter(|node| {
        node["name"]
            .as_str()
            .is_some_and(|n| n.starts_with("dispatch-"))
    });
    assert_eq!(
        guest.next().map(|node| node["state"].clone()),
        Some(json!("left"))
    );
    drop((n2, n3));
}
