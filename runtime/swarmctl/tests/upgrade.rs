//! Components that a node keeps, and new code for agents that run.

mod common;

use common::{Node, eventually, file, folder, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

fn guest(file: &str) -> String {
    format!(
        "{}/../../examples/guests/{file}",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn tallies(code: &str) -> String {
    format!(
        "[supervisor.\"/pool\"]\nintensity = 20\n[agent.\"/pool/tally\"]\nwasm = {code:?}\nreplicas = 4\n\
         groups = [\"tallies\"]\ngrants = {{ messaging = {{}} }}\n[agent.\"/echo\"]\nbehaviour = \"echo\"\n"
    )
}

fn node() -> Node {
    let folder = folder();
    let text = tallies(&guest("tally/tally.wasm"));
    Node::up(&[&file(&folder, "swarm.toml", &text)])
}

fn ask(node: &Node, at: usize, order: &str) -> Value {
    let path = format!("/pool/tally-{at}");
    let said = node.run(&["actor", "call", &path, order, "-o", "json"]);
    let said = said.expect(0).json();
    said["content"].clone()
}

fn versions(node: &Node) -> Vec<u64> {
    let version = |at| ask(node, at, "\"version\"")["version"].as_u64();
    (1..=4).map(|at| version(at).expect("a version")).collect()
}

#[test]
fn a_component_is_kept_by_its_digest_and_runs_by_it_after_a_restart() {
    let data = folder();
    let node = Node::start_in("up", data, &[]);
    let kept = node.run(&["wasm", "push", &guest("tally/tally.wasm"), "-o", "json"]);
    let kept = kept.expect(0).json()["component"].clone();
    let digest = kept["digest"].as_str().expect("a digest").to_owned();
    let listed = node.run(&["wasm", "ls", "-o", "json"]).expect(0).json();
    assert_eq!(listed, json!([kept]));
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &tallies(&digest));
    let data = node.kill();
    let node = Node::start_in("up", data, &[&manifest]);
    assert_eq!(versions(&node), [1, 1, 1, 1]);
    // Forgotten, it goes on where it runs, and does not start any more.
    let left = node.run(&["wasm", "rm", &digest, "-o", "json"]).expect(0);
    assert_eq!(left.json(), json!([]));
    assert_eq!(versions(&node), [1, 1, 1, 1]);
    node.run(&["wasm", "rm", &digest]).expect(3);
    node.run(&["wasm", "rm", "sha256:x"]).expect(2);
}

#[test]
fn a_component_that_is_pushed_to_one_member_is_kept_by_all() {
    let listen = ["--listen", "127.0.0.1:0", "--name"];
    let n1 = Node::up(&[&listen[..], &["n1"]].concat());
    let join = &n1.ready["join"];
    let address = join["address"].as_str().expect("an address");
    let token = join["token"].as_str().expect("a token");
    let n2 = Node::start(
        "join",
        &[&listen[..], &["n2", "--token", token, address]].concat(),
    );
    let push = || {
        let file = guest("word-count-js/word-count.wasm");
        n1.run(&["wasm", "push", &file, "-o", "json"])
            .expect(0)
            .json()
    };
    let kept = eventually(push, |kept| kept["nodes"] == json!(["n1", "n2"]));
    let listed = |node: &Node| {
        let listed = node.run(&["wasm", "ls", "-o", "json"]).expect(0).json();
        listed[0]["digest"].clone()
    };
    assert_eq!(listed(&n2), kept["component"]["digest"]);
    assert_eq!(listed(&n1), listed(&n2));
    // With that node gone, it is told who does not have it.
    drop(n2);
    let kept = push();
    assert_eq!(kept["nodes"], json!(["n1"]));
    assert_eq!(kept["unanswered"][0]["node"], "n2");
}

#[test]
fn a_member_that_joins_late_has_what_was_pushed_before_and_runs_it_by_its_digest() {
    let listen = ["--listen", "127.0.0.1:0", "--name"];
    let n1 = Node::up(&[&listen[..], &["n1"]].concat());
    let push = |file: &str| {
        let said = n1.run(&["wasm", "push", &guest(file), "-o", "json"]);
        let said = said.expect(0).json();
        let digest = said["component"]["digest"].as_str();
        digest.expect("a digest").to_owned()
    };
    let digest = push("tally/tally.wasm");
    push("account/account.wasm");
    let join = &n1.ready["join"];
    let address = join["address"].as_str().expect("an address");
    let token = join["token"].as_str().expect("a token");
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &tallies(&digest));
    let n2 = Node::start(
        "join",
        &[
            &listen[..],
            &["n2", "--manifest", &manifest, "--token", token, address],
        ]
        .concat(),
    );
    assert_eq!(versions(&n2), [1, 1, 1, 1]);
    let listed = |node: &Node| {
        let listed = node.run(&["wasm", "ls", "-o", "json"]).expect(0).json();
        let listed = listed.as_array().expect("a list").iter();
        let digests = listed.map(|kept| kept["digest"].clone());
        Value::Array(digests.collect())
    };
    let those = listed(&n1);
    eventually(|| listed(&n2), |kept| *kept == those);
}

#[test]
fn what_is_no_component_of_this_contract_is_not_kept() {
    let node = Node::up(&[]);
    let folder = folder();
    let module = folder.path().join("module.wasm");
    std::fs::write(&module, b"\0asm\x01\0\0\0").expect("a file can be written");
    let said = node.run(&["wasm", "push", &module.display().to_string()]);
    assert!(said.expect(7).stderr.contains("core module"));
    // The node looks, too: this client does not.
    for (kind, body, status) in [
        ("application/wasm", "\0asm\u{1}\0\0\0", "422"),
        ("application/wasm", "hello", "422"),
        ("application/json", "{}", "415"),
    ] {
        let address = node.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the node listens");
        write!(
            stream,
            "POST /v1/components HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    let listed = node.run(&["wasm", "ls", "-o", "json"]).expect(0).json();
    assert_eq!(listed, json!([]));
}

#[test]
fn a_group_or_a_share_of_it_changes_its_code_and_keeps_its_state() {
    let node = node();
    ask(&node, 1, r#"{"add":5}"#);
    let next = guest("tally/tally-next.wasm");
    let upgrade = |arguments: &[&str]| {
        let mut all = vec!["actor", "upgrade"];
        all.extend(arguments);
        all.extend(["--probation", "0", "-o", "json"]);
        node.run(&all)
    };
    let half = upgrade(&["tallies", "--wasm", &next, "--share", "50%"]);
    let half = half.expect(0).json();
    assert_eq!(
        (&half["state"], &half["strategy"]),
        (&json!("deployed"), &json!("direct"))
    );
    assert_eq!(versions(&node), [2, 2, 1, 1]);
    upgrade(&[
        "/pool",
        "--wasm",
        half["component"].as_str().expect("a digest"),
    ])
    .expect(0);
    assert_eq!(versions(&node), [2, 2, 2, 2]);
    upgrade(&["/pool/tally-4", "--wasm", &guest("tally/tally.wasm")]).expect(0);
    assert_eq!(versions(&node), [2, 2, 2, 1]);
    assert_eq!(ask(&node, 1, "\"total\"")["total"], 5);
    let listed = node.run(&["actor", "deployment", "ls", "-o", "json"]);
    let listed = listed.expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    for (target, status) in [("/echo", 3), ("nobody", 3), ("Bad Name", 2)] {
        upgrade(&[target, "--wasm", &next]).expect(status);
    }
    let unknown = format!("sha256:{}", "0".repeat(64));
    upgrade(&["tallies", "--wasm", &unknown]).expect(2);
    upgrade(&["tallies", "--wasm", &next, "--share", "0%"]).expect(2);
    let word = guest("word-count/word-count.wasm");
    let said = upgrade(&["tallies", "--wasm", &word]).expect(2);
    assert!(said.stderr.contains("not granted"), "{said:?}");
}

#[test]
fn a_canary_that_fails_is_taken_back_and_one_that_is_aborted_too() {
    let node = node();
    let next = guest("tally/tally-next.wasm");
    let begin = || {
        let said = node.run(&[
            "actor",
            "upgrade",
            "tallies",
            "--wasm",
            &next,
            "--strategy",
            "canary",
            "--stages",
            "50%,100%",
            "--stage-time",
            "10m",
            "--probation",
            "1",
            "--no-wait",
            "-o",
            "json",
        ]);
        said.expect(0).json()["id"].to_string()
    };
    let show = |id: &str| {
        let said = node.run(&["actor", "deployment", "show", id, "-o", "json"]);
        said.expect(0).json()
    };
    let begun = |id: &str| {
        eventually(
            || show(id),
            |report| report["agents"][1]["state"] == "new" && report["agents"][0]["state"] == "new",
        )
    };
    let id = begin();
    assert_eq!(begun(&id)["agents"][2]["state"], "old");
    // The new code crashes at this; the old one takes over and does it.
    ask(&node, 1, "\"legacy\"");
    let over = eventually(|| show(&id), |report| report["is_over"] == true);
    assert_eq!(over["state"], "taken-back");
    assert_eq!(versions(&node), [1, 1, 1, 1]);
    let id = begin();
    begun(&id);
    node.run(&["actor", "upgrade", "tallies", "--wasm", &next])
        .expect(6);
    let said = node.run(&["actor", "deployment", "abort", &id]).expect(0);
    assert!(said.stdout.contains("it was aborted"), "{said:?}");
    assert_eq!(versions(&node), [1, 1, 1, 1]);
    node.run(&["actor", "deployment", "abort", "77"]).expect(3);
}

#[test]
fn a_deployment_of_another_member_is_seen_and_taken_back_from_here() {
    let listen = ["--listen", "127.0.0.1:0", "--name"];
    let n1 = Node::up(&[&listen[..], &["n1"]].concat());
    let join = &n1.ready["join"];
    let address = join["address"].as_str().expect("an address");
    let token = join["token"].as_str().expect("a token");
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &tallies(&guest("tally/tally.wasm")));
    let joins = ["n2", "--manifest", &manifest, "--token", token, address];
    let n2 = Node::start("join", &[&listen[..], &joins].concat());
    let next = guest("tally/tally-next.wasm");
    let canary = ["--strategy", "canary", "--stage-time", "10m", "--no-wait"];
    // Begun from here at the member that has the agents.
    let begin = || {
        let upgrade = ["--on", "n2", "actor", "upgrade", "tallies", "--wasm", &next];
        n1.run(&[&upgrade[..], &canary, &["-o", "json"]].concat())
    };
    let begun = eventually(begin, |said| said.status == 0).json();
    assert_eq!(begun["node"], "n2");
    let id = begun["id"].to_string();
    let listed = |arguments: &[&str]| {
        let ls = ["actor", "deployment", "ls", "-o", "json"];
        let listed = n1.run(&[arguments, &ls].concat()).expect(0).json();
        let listed = listed.as_array().expect("a list").clone();
        listed
            .into_iter()
            .map(|one| (one["node"].clone(), one["id"].to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), [(json!("n2"), id.clone())]);
    assert_eq!(listed(&["--local"]), []);
    n1.run(&["actor", "deployment", "abort", &id]).expect(3);
    let abort = ["--on", "n2", "actor", "deployment", "abort", &id];
    let over = n1.run(&[&abort[..], &["-o", "json"]].concat()).expect(0);
    assert_eq!(over.json()["state"], "taken-back");
    assert_eq!(versions(&n2), [1, 1, 1, 1]);
    // With that node gone, its part of the list is missing, and that is told.
    drop(n2);
    let ls = n1.run(&["actor", "deployment", "ls"]).expect(0);
    assert!(ls.stderr.contains("n2"), "{ls:?}");
}

#[test]
fn a_shadow_tells_where_the_new_code_differs() {
    let node = node();
    let next = guest("tally/tally-next.wasm");
    let said = node.run(&[
        "actor",
        "upgrade",
        "/pool/tally-1",
        "--wasm",
        &next,
        "--strategy",
        "shadow",
        "--stage-time",
        "0s",
        "--stage-turns",
        "3",
        "--no-wait",
        "-o",
        "json",
    ]);
    let id = said.expect(0).json()["id"].to_string();
    let show = || {
        let said = node.run(&["actor", "deployment", "show", &id, "-o", "json"]);
        said.expect(0).json()
    };
    eventually(show, |report| report["agents"][0]["state"] == "followed");
    ask(&node, 1, r#"{"add":1}"#);
    assert_eq!(ask(&node, 1, "\"version\"")["version"], 1);
    ask(&node, 1, r#"{"add":1}"#);
    let over = eventually(show, |report| report["is_over"] == true);
    assert_eq!((&over["same"], &over["different"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&over["state"], versions(&node)),
        (&json!("watched"), vec![1, 1, 1, 1])
    );
}

#[test]
fn without_a_node_there_is_nothing_to_push_to() {
    let said = run(&["--node", "http://127.0.0.1:1", "wasm", "ls"]);
    said.expect(4);
}
