//! `cfp`, `conversation` and `dispatch --protocol contract-net` against a running node.

mod common;

use common::{Node, example, file, folder, run, run_with_stdin};
use serde_json::Value;

#[test]
fn a_contract_net_is_shown_and_can_be_looked_at_afterwards() {
    let node = Node::up(&[&example()]);
    let at = |arguments: &[&str]| node.run(arguments);
    let call = [
        "cfp",
        "--to",
        "workers",
        "--task",
        "upper",
        "--content",
        "a",
    ];
    let said = at(&call).expect(0);
    assert!(said.stdout.contains("awarded"), "{}", said.stdout);
    assert!(said.stdout.contains("\"A\""), "{}", said.stdout);

    let said = at(&["conversation", "ls", "-o", "json"]).expect(0);
    let list: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let id = list[0]["id"].as_str().expect("an id");
    let chart = at(&["conversation", "show", id]).expect(0).stdout;
    assert!(chart.contains("accept-proposal"), "{chart}");
    let diagram = at(&["conversation", "show", id, "-o", "mermaid"])
        .expect(0)
        .stdout;
    assert!(diagram.starts_with("sequenceDiagram\n"), "{diagram}");

    at(&["cfp", "--to", "workers", "--task", "fail"]).expect(1);
    at(&["cfp", "--to", "nobody", "--task", "upper"]).expect(3);
    at(&["conversation", "show", "nothing"]).expect(3);
    at(&["status", "-o", "mermaid"]).expect(2);
}

#[test]
fn jobs_are_awarded_by_bids_in_a_node_of_ones_own_and_at_a_running_one() {
    let text: String = (0..200)
        .map(|id| format!("{{\"id\":{id},\"task\":\"word-count\",\"input\":\"a b {id}\"}}\n"))
        .collect();
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", &text);
    let manifest = example();
    let award = ["--to", "workers", "--protocol", "contract-net"];
    let mut own = vec!["dispatch", &jobs, "--manifest", &manifest, "--verify"];
    own.extend(award);
    own.extend(["--chaos", "100/s", "--seed", "5"]);
    assert_eq!(run(&own).expect(0).lines().len(), 200);

    let node = Node::up(&[&manifest]);
    let mut there = vec!["--node", &node.url, "dispatch", "-"];
    there.extend(award);
    assert_eq!(run_with_stdin(&there, &text).expect(0).lines().len(), 200);
}
