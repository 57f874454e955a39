//! Durable WebAssembly agents in real nodes: killed between commands, upgraded, and their past.

mod common;

use common::{Said, file, folder, lines_of, next_line, run, signal, swarmctl};
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn guest(name: &str) -> String {
    format!(
        "{}/../../examples/guests/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn manifest() -> String {
    format!(
        r#"
[supervisor."/"]
strategy = "one_for_one"
intensity = 1000

[agent."/alice"]
wasm = "{account}"
durable = true
sleep_after = "1s"
grants = {{ messaging = {{ paths = ["/bob"] }}, timers = true, clock = true }}

[agent."/bob"]
wasm = "{account}"
durable = {{ events = 20, at_rest = 5 }}
grants = {{ messaging = {{ paths = ["/alice"] }}, timers = true, clock = true }}
"#,
        account = guest("account/account.wasm")
    )
}

struct Running {
    child: Arc<Mutex<Child>>,
    url: String,
}

impl Running {
    fn up(manifest: &str, data: &str) -> Self {
        let mut child = swarmctl(&[
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
        ])
        .env("SWARM_LOG", "off")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
        let ready = next_line(&lines_of(child.stdout.take().expect("it is piped")));
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let url = ready["api"].as_str().expect("an address").to_owned();
        let child = Arc::new(Mutex::new(child));
        Self { child, url }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["--node", &self.url, "-o", "json"];
        all.extend(arguments);
        run(&all)
    }

    fn call(&self, path: &str, order: &str) -> Said {
        self.run(&["actor", "call", path, order])
    }

    fn balance(&self, path: &str) -> u64 {
        let state = self.run(&["actor", "state", path]).expect(0).json();
        state["state"]["balance"].as_u64().expect("a balance")
    }

    fn amounts(&self, path: &str, kind: &str) -> Vec<u64> {
        let history = self
            .run(&["actor", "history", path, "--limit", "10000"])
            .expect(0)
            .json();
        let events = history.as_array().expect("a list").iter();
        let events = events.map(|event| &event["events"][0]);
        let those = events.filter(|event| event["kind"] == kind);
        those
            .map(|event| event["data"]["amount"].as_u64().expect("an amount"))
            .collect()
    }

    fn stop(self) {
        let mut child = self.child.lock().expect("nobody panicked");
        signal("TERM", child.id());
        assert!(child.wait().expect("it ends").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Every deposit has an amount of its own, so that a lost one and a doubled one show.
#[test]
fn a_node_that_is_killed_between_commands_loses_nothing_and_doubles_nothing() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &manifest());
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let mut random = fastrand::Rng::with_seed(11);
    let (mut next, mut answered) = (1_u64, Vec::new());
    for _ in 0..10 {
        let node = Running::up(&manifest, data);
        let (child, after) = (
            node.child.clone(),
            Duration::from_millis(random.u64(50..900)),
        );
        let killer = std::thread::spawn(move || {
            std::thread::sleep(after);
            let mut child = child.lock().expect("nobody panicked");
            let _ = child.kill();
            let _ = child.wait();
        });
        while !killer.is_finished() {
            let order = format!(r#"{{"deposit":{next}}}"#);
            if node.call("/alice", &order).status == 0 {
                answered.push(next);
                // Every third goes on to the other one.
                if next % 3 == 0 {
                    let order = format!(r#"{{"pay":{{"to":"/bob","amount":{next}}}}}"#);
                    drop(node.call("/alice", &order));
                }
            }
            next += 1;
        }
        killer.join().expect("it ends");
    }
    let node = Running::up(&manifest, data);
    let deposited = node.amounts("/alice", "deposited");
    let mut once = deposited.clone();
    once.dedup();
    assert_eq!(once, deposited, "none doubled");
    assert!(deposited.is_sorted(), "in order: {deposited:?}");
    for amount in &answered {
        assert!(deposited.contains(amount), "{amount} was answered");
    }
    // What was paid arrives once, and nothing else does.
    let paid = node.amounts("/alice", "paid");
    let begun = Instant::now();
    loop {
        let credited = node.amounts("/bob", "credited");
        if credited == paid {
            break;
        }
        assert!(credited.len() <= paid.len(), "{credited:?} {paid:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{credited:?} {paid:?}"
        );
        // The outbox of one that leaves memory waits for its next message.
        drop(node.call("/alice", "\"balance\""));
        std::thread::sleep(Duration::from_millis(200));
    }
    let total: u64 = deposited.iter().sum();
    assert_eq!(node.balance("/alice") + node.balance("/bob"), total);
    assert!(answered.len() > 10, "{answered:?}");
    node.stop();
}

#[test]
fn the_past_of_a_durable_component_is_told_by_its_node_and_by_its_folder() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &manifest());
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let node = Running::up(&manifest, data);
    for amount in [5, 6, 7] {
        let answer = node
            .call("/alice", &format!(r#"{{"deposit":{amount}}}"#))
            .expect(0);
        assert!(answer.stdout.contains("balance"), "{answer:?}");
    }
    let history = node.run(&["actor", "history", "/alice"]).expect(0).json();
    assert_eq!(
        history[1]["events"],
        json!([{
            "kind": "deposited",
            "version": 1,
            "content_type": "application/json",
            "data": { "amount": 6 },
        }])
    );
    let state = |words: &[&str]| {
        let mut all = vec!["actor", "state", "/alice"];
        all.extend(words);
        node.run(&all).expect(0).json()
    };
    assert_eq!(state(&[])["state"], json!({ "balance": 18, "events": 3 }));
    assert_eq!(state(&["--at", "2"])["state"]["balance"], 11);
    let at = history[0]["at"].as_str().expect("a time");
    assert!(state(&["--at", at])["seq"].as_u64() >= Some(1));
    let shown = node.run(&["journal", "show", "/alice"]).expect(0).json();
    assert_eq!(shown.as_array().map(Vec::len), Some(3));
    node.stop();
    let past = ["--data", data, "--manifest", &manifest, "-o", "json"];
    let mut words = vec!["actor", "state", "/alice", "--at", "1"];
    words.extend(past);
    assert_eq!(run(&words).expect(0).json()["state"]["balance"], 5);
}

#[test]
fn a_durable_component_is_upgraded_by_a_deployment_and_taken_back() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &manifest());
    let data = folder.path().join("data");
    let node = Running::up(&manifest, data.to_str().expect("UTF-8"));
    node.call("/alice", r#"{"deposit":5}"#).expect(0);
    let version = |path: &str| {
        let answer = node.call(path, "\"version\"").expect(0).json();
        answer["content"]["version"].as_u64().expect("a version")
    };
    assert_eq!(version("/alice"), 1);
    let next = guest("account/account-next.wasm");
    let upgrade = |path: &str, more: &[&str]| {
        let mut words = vec!["actor", "upgrade", path, "--wasm", &next];
        words.extend(more);
        node.run(&words).expect(0).json()
    };
    let deployed = upgrade("/alice", &["--probation", "0"]);
    assert_eq!(deployed["state"], "deployed", "{deployed}");
    assert_eq!(version("/alice"), 2);
    node.call("/alice", r#"{"note":"x"}"#).expect(0);
    let history = node.run(&["actor", "history", "/alice"]).expect(0).json();
    assert_eq!(history[1]["events"][0]["kind"], "noted");
    // What the new code crashes at while it is on probation, the old one does, with all that was written meanwhile.
    upgrade("/bob", &["--probation", "5", "--no-wait"]);
    for _ in 0..200 {
        if version("/bob") == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    node.call("/bob", r#"{"deposit":3}"#).expect(0);
    let answer = node.call("/bob", "\"legacy\"").expect(0).json();
    assert_eq!(answer["content"]["balance"], 3, "{answer}");
    assert_eq!(version("/bob"), 1);
    node.stop();
}

/// With the intensity that a supervisor has unless it says otherwise.
#[test]
fn a_component_that_cannot_apply_its_events_is_held_and_its_neighbours_live() {
    let folder = folder();
    let text = manifest().replace("intensity = 1000\n", "");
    let manifest = file(&folder, "swarm.toml", &text);
    let data = folder.path().join("data");
    let node = Running::up(&manifest, data.to_str().expect("UTF-8"));
    node.call("/alice", r#"{"deposit":5}"#).expect(0);
    node.call("/bob", r#"{"deposit":6}"#).expect(0);
    let cursed = node.call("/bob", r#"{"curse":"trap"}"#);
    assert_ne!(cursed.status, 0, "{cursed:?}");
    let begun = Instant::now();
    loop {
        let said = node.call("/bob", "\"balance\"");
        let told = format!("{}{}", said.stdout, said.stderr);
        if said.status != 0 && told.contains("no such agent") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{told}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let events = node.run(&["events", "--kind", "custom"]);
    let told = format!("{}{}", events.stdout, events.stderr);
    assert!(told.contains("event 2 of stream /bob"), "{told}");
    let answer = node.call("/alice", r#"{"withdraw":1}"#).expect(0).json();
    assert_eq!(answer["content"]["balance"], 4);
    // What it was before that can still be told.
    let before = node.run(&["actor", "state", "/bob", "--at", "1"]).expect(0);
    assert_eq!(before.json()["state"]["balance"], 6);
    node.stop();
}

#[test]
fn manifest_and_component_must_agree_on_what_is_durable() {
    let folder = folder();
    let check = |agent: &str, place: &str, texts: &[&str]| {
        let text = format!("[supervisor.\"/\"]\n\n[agent.\"/x\"]\n{agent}\n");
        let manifest = file(&folder, "swarm.toml", &text);
        let said = run(&["validate", &manifest]).expect(7);
        let told = format!("{}{}", said.stdout, said.stderr);
        for text in texts.iter().chain([&place]) {
            assert!(told.contains(*text), "{text:?} in {told}");
        }
    };
    let (account, tally) = (guest("account/account.wasm"), guest("tally/tally.wasm"));
    let grants = "grants = { messaging = {}, timers = true, clock = true }";
    check(
        &format!("wasm = \"{account}\"\n{grants}"),
        "swarm.toml:4:",
        &["it is a durable agent", "durable = true"],
    );
    check(
        &format!("wasm = \"{account}\"\n{grants}\ndurable = false"),
        "swarm.toml:6:",
        &["it is a durable agent"],
    );
    check(
        &format!("wasm = \"{tally}\"\ngrants = {{ messaging = {{}} }}\ndurable = true"),
        "swarm.toml:6:",
        &["it is a volatile agent", "leave out `durable`"],
    );
    check(
        "behaviour = \"counter\"\ndurable = true",
        "swarm.toml:5:",
        &["only for an agent with `wasm`"],
    );
    check(
        &format!("wasm = \"{account}\"\n{grants}\ndurable = {{ every = 5 }}"),
        "swarm.toml:6:",
        &["every"],
    );
    check(
        &format!(
            "wasm = \"{account}\"\ngrants = {{ messaging = {{}}, timers = true, clock = true, state = true }}\ndurable = true"
        ),
        "swarm.toml:5:",
        &["impossible together with `durable`", "leave out `state`"],
    );
    check(
        &format!(
            "wasm = \"{account}\"\n{grants}\ndurable = true\nmailbox = {{ when_full = \"drop-oldest\" }}"
        ),
        "swarm.toml:3:",
        &["drops nothing"],
    );
}
