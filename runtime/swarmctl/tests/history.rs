//! The past of durable agents, and a running node's journal.

mod common;

use common::{Said, file, folder, lines_of, next_line, run, signal, swarmctl};
use serde_json::{Value, json};
use std::process::{Child, Stdio};

const MANIFEST: &str = r#"
[supervisor."/"]
strategy = "one_for_one"

[agent."/tally"]
behaviour = "durable-counter"
replicas = 2

[agent."/plain"]
behaviour = "counter"
"#;

struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn up(manifest: &str, data: &str) -> Self {
        Self::up_with(manifest, data, &[])
    }

    fn up_with(manifest: &str, data: &str, more: &[&str]) -> Self {
        let mut all = vec![
            "up",
            manifest,
            "-o",
            "json",
            "--api",
            "127.0.0.1:0",
            "--listen",
            "127.0.0.1:0",
            "--data",
            data,
        ];
        all.extend(more);
        let mut child = swarmctl(&all)
            .env("SWARM_LOG", "off")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let ready = next_line(&lines_of(child.stdout.take().expect("it is piped")));
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let url = ready["api"].as_str().expect("an address").to_owned();
        Self { child, url }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["--node", &self.url, "-o", "json"];
        all.extend(arguments);
        run(&all)
    }

    fn add(&self, number: i64) {
        self.run(&["actor", "call", "/tally-1", &number.to_string()])
            .expect(0);
    }

    fn stop(mut self) {
        signal("TERM", self.child.id());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_past_of_a_durable_agent_is_told_by_its_node_and_by_its_folder() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", MANIFEST);
    let data = folder
        .path()
        .join("data")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    let node = Running::up(&manifest, &data);
    for number in 1..=5 {
        node.add(number);
    }
    let history = node.run(&["actor", "history", "/tally-1"]).expect(0).json();
    let events: Vec<&Value> = history
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| &event["events"][0]["Added"])
        .collect();
    assert_eq!(
        events,
        [&json!(1), &json!(2), &json!(3), &json!(4), &json!(5)]
    );
    let state = |at: &[&str]| {
        let mut words = vec!["actor", "state", "/tally-1"];
        words.extend(at);
        node.run(&words).expect(0).json()
    };
    assert_eq!(state(&[])["state"], 15);
    assert_eq!(state(&["--at", "3"])["state"], 6);
    assert_eq!(state(&["--at", "0"])["state"], 0);
    let at = history[1]["at"].as_str().expect("a time");
    let then = state(&["--at", at]);
    assert!(then["seq"].as_u64() >= Some(2), "{then}");
    assert_eq!(state(&["--at", "2020-01-01T00:00:00Z"])["seq"], 0);
    node.run(&["actor", "history", "/plain"]).expect(6);
    node.run(&["actor", "state", "/nobody"]).expect(3);
    node.run(&["actor", "state", "/tally-1", "--at", "soon"])
        .expect(2);
    // While it runs, the folder is the node's alone.
    let past = ["--data", &data, "--manifest", &manifest, "-o", "json"];
    let of_folder = |words: &[&str]| {
        let mut all = words.to_vec();
        all.extend(past);
        run(&all)
    };
    let refused = of_folder(&["actor", "state", "/tally-1"]).expect(6);
    assert_eq!(refused.failure()["code"], "journal-in-use");
    node.stop();
    let state = of_folder(&["actor", "state", "/tally-1", "--at", "4"])
        .expect(0)
        .json();
    assert_eq!(state["state"], 10);
    let again = of_folder(&["actor", "history", "/tally-1"])
        .expect(0)
        .json();
    assert_eq!(again, history);
}

#[test]
fn a_running_nodes_journal_is_looked_at_and_its_backup_is_a_node_again() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", MANIFEST);
    let place = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, backup, other) = (place("data"), place("backup"), place("other"));
    let node = Running::up(&manifest, &data);
    for number in [40, 2] {
        node.add(number);
    }
    let heads = node.run(&["journal", "heads"]).expect(0).json();
    assert_eq!(
        (&heads[0]["stream"], &heads[0]["last_seq"]),
        (&json!("/tally-1"), &json!(2))
    );
    let shown = node.run(&["journal", "show", "/tally-1"]).expect(0).json();
    assert_eq!(shown.as_array().map(Vec::len), Some(2));
    node.run(&["journal", "show", "/tally-1", "--at", "9"])
        .expect(3);
    let report = node.run(&["journal", "verify"]).expect(0).json();
    assert_eq!(
        (&report["sound"], &report["events"]),
        (&json!(true), &json!(2))
    );
    node.run(&["journal", "compact"]).expect(2);
    node.run(&["journal", "export", &backup]).expect(0);
    node.run(&["journal", "export", &backup]).expect(6);
    // What is done after it is not in it.
    node.add(100);
    run(&["journal", "--data", &other, "import", &backup]).expect(0);
    let restored = Running::up(&manifest, &other);
    let state = restored
        .run(&["actor", "state", "/tally-1"])
        .expect(0)
        .json();
    assert_eq!((&state["state"], &state["seq"]), (&json!(42), &json!(2)));
    restored.add(1);
    let state = restored
        .run(&["actor", "state", "/tally-1"])
        .expect(0)
        .json();
    assert_eq!(state["state"], 43);
    restored.stop();
    node.stop();
}

#[test]
fn a_node_with_keys_seals_its_journal_and_without_them_its_agents_are_held() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", MANIFEST);
    let key = "0f".repeat(32);
    let keys = file(
        &folder,
        "keys",
        &format!("# of the tests\n/tally 1 {key}\n"),
    );
    let data = folder
        .path()
        .join("data")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    let node = Running::up_with(&manifest, &data, &["--journal-keys", &keys]);
    node.add(40);
    node.add(2);
    let state = node.run(&["actor", "state", "/tally-1"]).expect(0).json();
    assert_eq!(state["state"], 42);
    // What is on disk has another version, and its bytes are not the event's.
    let shown = node.run(&["journal", "show", "/tally-1"]).expect(0).json();
    assert!(shown[0]["version"].as_u64() >= Some(0x8000), "{shown}");
    node.stop();
    let of_folder = |more: &[&str]| {
        let mut all = vec!["actor", "state", "/tally-1", "-o", "json"];
        all.extend(["--data", &data, "--manifest", &manifest]);
        all.extend(more);
        run(&all)
    };
    let state = of_folder(&["--journal-keys", &keys]).expect(0).json();
    assert_eq!(state["state"], 42);
    let refused = of_folder(&[]).expect(6);
    assert!(
        refused.stderr.contains("key 1 of category /tally"),
        "{refused:?}"
    );
    // Without keys the agent does not start, and the node lives.
    let node = Running::up(&manifest, &data);
    let said = node.run(&["actor", "call", "/tally-1", "1"]);
    assert_ne!(said.status, 0, "{said:?}");
    node.run(&["actor", "call", "/tally-2", "1"]).expect(0);
    node.stop();
}
