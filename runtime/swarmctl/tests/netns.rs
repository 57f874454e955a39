//! Nodes in network namespaces of their own, as on machines of their own: killed, stopped, cut off and healed in the middle of a run.
//! Needs root and `ip`; part of the nightly set: `cargo test -p swarmctl --test netns -- --ignored`.

mod common;

use common::{eventually, example, file, folder, lines_of, next_line, signal};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use tempfile::TempDir;

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split_whitespace())
        .status()
        .expect("ip exists");
    assert!(done.success(), "ip {arguments}");
}

/// Three namespaces on a bridge that has one of its own.
struct Net {
    tag: String,
}

impl Net {
    fn new() -> Self {
        let net = Self {
            tag: format!("sw{}", std::process::id() % 100_000),
        };
        let bridge = net.bridge();
        ip(&format!("netns add {bridge}"));
        ip(&format!("-n {bridge} link add br0 type bridge"));
        ip(&format!("-n {bridge} link set br0 up"));
        for n in 1..=3 {
            let space = net.space(n);
            ip(&format!("netns add {space}"));
            ip(&format!(
                "link add eth0 netns {space} type veth peer name p{n} netns {bridge}"
            ));
            ip(&format!("-n {bridge} link set p{n} master br0"));
            ip(&format!("-n {bridge} link set p{n} up"));
            ip(&format!("-n {space} addr add 10.99.7.{n}/24 dev eth0"));
            ip(&format!("-n {space} link set eth0 up"));
            ip(&format!("-n {space} link set lo up"));
        }
        net
    }

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    fn space(&self, n: u8) -> String {
        format!("{}n{n}", self.tag)
    }

    fn set_port(&self, n: u8, state: &str) {
        ip(&format!("-n {} link set p{n} {state}", self.bridge()));
    }

    /// The program in a namespace.
    fn command(&self, n: u8, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.space(n)])
            .arg(env!("CARGO_BIN_EXE_swarmctl"))
            .args(arguments)
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("SWARM_LOG", "off")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, n: u8, arguments: &[&str]) -> Value {
        let said = self.command(n, arguments).output().expect("it starts");
        assert!(said.status.success(), "{said:?}");
        serde_json::from_slice(&said.stdout).expect("JSON")
    }

    /// State and boot id of a node, as node `at` sees it.
    fn state(&self, at: u8, of: &str) -> (String, String) {
        let list = self.run(at, &["node", "ls", "-o", "json"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let nodes = list.as_array().expect("an array");
        let found = nodes.iter().find(|node| node["name"] == of);
        found.map_or_else(Default::default, |node| {
            (text(&node["state"]), text(&node["boot_id"]))
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for space in (1..=3).map(|n| self.space(n)).chain([self.bridge()]) {
            // One that was never made is not there to be removed.
            let _ = Command::new("ip").args(["netns", "del", &space]).status();
        }
    }
}

/// A node in a namespace. Ended before its namespace.
struct Node {
    child: Child,
    ready: Value,
    _lines: Receiver<String>,
    _data: TempDir,
}

impl Node {
    fn start(net: &Net, n: u8, command: &str, arguments: &[&str]) -> Self {
        let data = folder();
        let (listen, name) = (format!("10.99.7.{n}:7591"), format!("n{n}"));
        let path = data.path().to_str().expect("a UTF-8 path");
        let own = [
            "-o", "json", "--data", path, "--name", &name, "--listen", &listen,
        ];
        let mut child = net
            .command(n, &[&[command][..], &own, arguments].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let ready = serde_json::from_str(&next_line(&lines)).expect("the line is JSON");
        Self {
            child,
            ready,
            _lines: lines,
            _data: data,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_cut_a_stop_and_a_kill_in_the_middle_of_runs_cost_no_result_and_heal() {
    let net = Net::new();
    let example = example();
    let n1 = Node::start(&net, 1, "up", &[&example]);
    let join = &n1.ready["join"];
    let token = join["token"].as_str().expect("a token");
    let address = join["address"].as_str().expect("an address");
    assert_eq!(address, "10.99.7.1:7591");
    let arguments = ["--manifest", &example, "--token", token, address];
    let n2 = Node::start(&net, 2, "join", &arguments);
    let n3 = Node::start(&net, 3, "join", &arguments);
    eventually(|| net.state(2, "n3").0, |state| state == "alive");
    let boot = net.state(1, "n2").1;

    let folder = folder();
    let count = 400;
    let lines: String = (0..count)
        .map(|id| {
            format!(
                "{}\n",
                json!({"id": id, "task": "sleep", "input": {"ms": 50}})
            )
        })
        .collect();
    let jobs = file(&folder, "jobs.jsonl", &lines);
    let run = |lose: &dyn Fn()| {
        let mut child = net
            .command(1, &["dispatch", &jobs, "--to", "workers"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let mut ids = BTreeSet::new();
        for taken in 0..count {
            if taken == 40 {
                lose();
            }
            let result: Value = serde_json::from_str(&next_line(&lines)).expect("a result");
            assert_eq!(result["ok"], true, "{result}");
            assert!(ids.insert(result["id"].as_u64()), "twice: {result}");
        }
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    };
    // Cut off: nothing is refused, nothing answers.
    run(&|| net.set_port(2, "down"));
    eventually(|| net.state(1, "n2").0, |state| state == "down");
    net.set_port(2, "up");
    eventually(
        || net.state(1, "n2"),
        |(state, seen)| state == "alive" && *seen == boot,
    );
    eventually(|| net.state(2, "n3").0, |state| state == "alive");
    // Stopped for less than a verdict takes.
    run(&|| signal("STOP", n2.child.id()));
    signal("CONT", n2.child.id());
    eventually(
        || net.state(1, "n2"),
        |(state, seen)| state == "alive" && *seen == boot,
    );
    run(&|| signal("KILL", n3.child.id()));
    eventually(|| net.state(1, "n3").0, |state| state == "down");
    assert_eq!(net.state(1, "n2").0, "alive");
    drop((n1, n2, n3));
}
