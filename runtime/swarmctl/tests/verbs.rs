//! What operators do to a cluster: tokens at any member, measuring, throwing out, rotating keys, draining, coming back.

mod common;

use common::{Node, Said, eventually, example, file, folder, run, signal};
use serde_json::{Value, json};
use std::path::Path;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn first() -> Node {
    Node::up(&[&LISTEN[..], &["--name", "n1", &example()]].concat())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("a text")
}

fn join_with(called: &str, token: &str, address: &str) -> Node {
    let example = example();
    let named = ["--manifest", &example, "--name", called, "--token", token];
    Node::start("join", &[&LISTEN[..], &named, &[address]].concat())
}

fn join(node: &Node, called: &str) -> Node {
    let join = &node.ready["join"];
    join_with(called, text(join, "token"), text(join, "address"))
}

fn try_join(called: &str, token: &str, address: &str, data: &Path) -> Said {
    let data = data.to_str().expect("a UTF-8 path");
    let start = ["join", "-o", "json", "--api", "127.0.0.1:0", "--data", data];
    let rest = ["--name", called, "--token", token, address];
    run(&[&start[..], &LISTEN, &rest].concat())
}

fn address(node: &Node) -> String {
    text(&node.ready["cluster"], "address").to_owned()
}

fn state(node: &Node, of: &str) -> String {
    let list = node.run(&["node", "ls", "-o", "json"]).expect(0).json();
    let members = list.as_array().expect("an array");
    let found = members.iter().find(|member| text(member, "name") == of);
    found.map_or_else(|| "unknown".to_owned(), |m| text(m, "state").to_owned())
}

fn token(node: &Node, arguments: &[&str]) -> Value {
    let all = [&["token", "create", "-o", "json"][..], arguments].concat();
    node.run(&all).expect(0).json()
}

fn tokens(node: &Node) -> Vec<Value> {
    let list = node.run(&["token", "ls", "-o", "json"]).expect(0).json();
    list.as_array().expect("an array").clone()
}

fn used(node: &Node, id: &str) -> Option<u64> {
    let all = tokens(node);
    let found = all.iter().find(|token| text(token, "id") == id)?;
    found["used"].as_u64()
}

#[test]
fn a_token_works_at_every_member_and_no_more_often_than_it_may() {
    let n1 = first();
    // A plain member: it holds no authority, and takes those who want to join all the same.
    let plain = token(&n1, &[]);
    let n2 = join_with("n2", text(&plain, "token"), &address(&n1));
    let limited = token(&n1, &["--uses", "1"]);
    let (id, secret) = (text(&limited, "id"), text(&limited, "token"));
    eventually(|| used(&n2, id), Option::is_some);
    let n3 = join_with("n3", secret, &address(&n2));
    for node in [&n1, &n2, &n3] {
        eventually(|| used(node, id), |used| *used == Some(1));
    }
    let data = folder();
    for at in [&n1, &n2] {
        let failure = try_join("n4", secret, &address(at), data.path()).expect(6);
        assert_eq!(failure.failure()["code"], "token-used-up");
    }
    let other = token(&n1, &[]);
    eventually(|| used(&n2, text(&other, "id")), Option::is_some);
    n2.run(&["token", "revoke", text(&other, "id")]).expect(0);
    let is_revoked = |node: &Node| {
        let all = tokens(node);
        let found = all.iter().find(|token| token["id"] == other["id"]);
        found.is_some_and(|token| token["state"] == "revoked")
    };
    eventually(|| is_revoked(&n1), |revoked| *revoked);
    let failure = try_join("n4", text(&other, "token"), &address(&n1), data.path()).expect(6);
    assert_eq!(failure.failure()["code"], "token-revoked");
}

#[test]
fn a_node_that_was_evicted_says_so_ends_and_does_not_come_back_by_itself() {
    let (n1, data) = (first(), folder());
    let n2 = join(&n1, "n2");
    let token = text(&n1.ready["join"], "token").to_owned();
    let kept = data.path().to_str().expect("a UTF-8 path");
    let n3 = Node::start_at(
        "join",
        kept,
        &[
            &LISTEN[..],
            &["--name", "n3", "--token", &token, &address(&n1)],
        ]
        .concat(),
    );
    eventually(|| state(&n2, "n3"), |state| state == "alive");
    let measured = n1.run(&["node", "rtt", "-o", "json"]).expect(0).json();
    let routes = measured.as_array().expect("an array");
    assert!(
        routes.len() == 2 && routes.iter().all(|r| r["rtt_us"].is_u64()),
        "{measured}"
    );
    let all = n2
        .run(&["node", "reachability", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
    let failure = n1
        .run(&["--yes", "node", "evict", "n1", "-o", "json"])
        .expect(6);
    assert_eq!(failure.failure()["code"], "is-itself");
    let evicted = n1
        .run(&["--yes", "node", "evict", "n3", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(evicted["told"], json!(["n1", "n2"]), "{evicted}");
    let (status, _) = n3.wait();
    assert_eq!(status, Some(6));
    eventually(|| state(&n2, "n3"), |state| state == "down");
    // It still has its certificate: nobody lets it in with that.
    let again = [
        "up",
        "-o",
        "json",
        "--api",
        "127.0.0.1:0",
        "--name",
        "n3",
        "--data",
        kept,
    ];
    let said = run(&[&again[..], &LISTEN].concat()).expect(6);
    assert_eq!(said.failure()["code"], "evicted", "{said:?}");
    assert_eq!(state(&n2, "n3"), "down");
    // A token does.
    let n3 = join_with("n3", &token, &address(&n1));
    for node in [&n1, &n2, &n3] {
        eventually(|| state(node, "n3"), |state| state == "alive");
    }
    // And it stays.
    eventually(
        || n1.run(&["node", "rtt", "n3", "-o", "json"]).status,
        |status| *status == 0,
    );
}

#[test]
fn keys_are_exchanged_everywhere_and_who_was_away_gets_them_on_return() {
    let (n1, data) = (first(), folder());
    let n2 = join(&n1, "n2");
    let kept = data.path().to_str().expect("a UTF-8 path");
    let token = text(&n1.ready["join"], "token").to_owned();
    let n3 = Node::start_at(
        "join",
        kept,
        &[
            &LISTEN[..],
            &["--name", "n3", "--token", &token, &address(&n1)],
        ]
        .concat(),
    );
    eventually(|| state(&n2, "n3"), |state| state == "alive");
    let first_key = n2.run(&["keys", "rotate", "-o", "json"]).expect(0).json();
    assert_eq!(first_key["members"], 3);
    signal("KILL", n3.process());
    drop(n3);
    eventually(|| state(&n1, "n3"), |state| state == "down");
    let second = n1.run(&["keys", "rotate", "-o", "json"]).expect(0).json();
    assert_ne!(first_key["key"], second["key"]);
    assert_eq!(second["absent"], json!(["n3"]));
    let n3 = Node::start_at("up", kept, &[&LISTEN[..], &["--name", "n3"]].concat());
    for node in [&n1, &n2] {
        eventually(|| state(node, "n3"), |state| state == "alive");
    }
    eventually(|| state(&n3, "n2"), |state| state == "alive");
}

#[test]
fn a_node_that_is_drained_finishes_what_it_has_and_gets_nothing_new() {
    let n1 = first();
    let n2 = join(&n1, "n2");
    let jobs = folder();
    let lines: String = (0..80)
        .map(|id| {
            format!(
                "{}\n",
                json!({"id": id, "task": "sleep", "input": {"ms": 100}})
            )
        })
        .collect();
    let jobs = file(&jobs, "jobs.jsonl", &lines);
    let nodes_of = |said: Said| -> Vec<String> {
        let node = |result: &Value| text(result, "node").to_owned();
        said.lines().iter().map(node).collect()
    };
    eventually(
        || nodes_of(n1.run(&["dispatch", &jobs, "--to", "workers"]).expect(0)),
        |nodes| nodes.iter().any(|node| node == "n2"),
    );
    let running = std::thread::scope(|scope| {
        let url = n1.url.clone();
        let jobs = &jobs;
        let dispatched = scope
            .spawn(move || run(&["--node", &url, "dispatch", jobs, "--to", "workers"]).expect(0));
        n2.run(&["--yes", "leave", "--drain"]).expect(0);
        dispatched.join().expect("does not panic")
    });
    // Nothing that it had was lost with it.
    let again = running
        .lines()
        .iter()
        .filter(|r| r["attempts"] != 1)
        .count();
    assert_eq!(again, 0, "{running:?}");
    eventually(|| state(&n1, "n2"), |state| state == "left");
    let nodes = nodes_of(n1.run(&["dispatch", &jobs, "--to", "workers"]).expect(0));
    assert!(nodes.iter().all(|node| node == "n1"));
}

#[test]
fn nodes_suffer_on_purpose_only_what_they_allow() {
    let n1 = first();
    let token = text(&n1.ready["join"], "token").to_owned();
    let join = |called: &str, more: &[&str]| {
        let named = ["--name", called, "--token", &token, &address(&n1)];
        Node::start("join", &[&LISTEN[..], more, &named].concat())
    };
    let (n2, n3) = (join("n2", &["--allow-chaos"]), join("n3", &[]));
    eventually(|| state(&n2, "n3"), |state| state == "alive");
    let chaos = |fault: &str, node: &str, time: &str| {
        let run = ["--yes", "chaos", "run", "-o", "json", "--fault", fault];
        n1.run(&[&run[..], &["--target", node, "--for", time]].concat())
    };
    let failure = chaos("pause", "n3", "1s").expect(6).failure();
    assert_eq!(failure["code"], "chaos-not-allowed");
    let failure = chaos("cut", "n9", "1s").expect(3).failure();
    assert_eq!(failure["code"], "no-such-node");
    // Long enough to be seen by both sides, and over before anybody is down.
    let rtt = |to: &str| {
        let routes = n1.run(&["node", "rtt", "-o", "json"]).expect(0).json();
        let routes = routes.as_array().expect("an array").clone();
        let route = routes.into_iter().find(|route| route["to"] == to);
        route.is_some_and(|route| route["rtt_us"].is_u64())
    };
    for fault in ["cut", "pause"] {
        eventually(|| rtt("n2"), |answers| *answers);
        std::thread::scope(|scope| {
            let run = scope.spawn({
                let url = n1.url.clone();
                move || {
                    let run = ["--node", &url, "--yes", "chaos", "run", "--fault", fault];
                    common::run(&[&run[..], &["--target", "n2", "--for", "4s"]].concat())
                }
            });
            eventually(|| rtt("n2"), |answers| !answers);
            assert!(rtt("n3"), "only n2 is cut");
            run.join().expect("does not panic").expect(0);
        });
        eventually(|| state(&n1, "n2"), |state| state == "alive");
    }
    chaos("node-kill", "n2", "1s").expect(0);
    eventually(|| state(&n1, "n2"), |state| state == "down");
    drop((n2, n3));
}

#[test]
fn each_failure_of_joining_has_its_own_word_within_five_seconds() {
    let n1 = first();
    let token = text(&n1.ready["join"], "token").to_owned();
    let within = |said: &dyn Fn() -> Said, status: i32, code: &str| {
        let began = std::time::Instant::now();
        let said = said().expect(status);
        assert_eq!(said.failure()["code"], code, "{said:?}");
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "{code}"
        );
    };
    // Something that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let silent_at = silent.local_addr().expect("is bound").to_string();
    let data = folder();
    within(
        &|| try_join("n2", &token, &silent_at, data.path()),
        5,
        "join-timeout",
    );
    // Another secret, everything else the same.
    let wrong = {
        let other = Node::up(&[&LISTEN[..], &["--name", "o1"]].concat());
        text(&other.ready["join"], "token").to_owned()
    };
    within(
        &|| try_join("n2", &wrong, &address(&n1), data.path()),
        6,
        "join-other-cluster",
    );
    // The folder of a node of another name.
    let n2 = join(&n1, "n2");
    within(
        &|| try_join("n2", &token, &address(&n1), data.path()),
        6,
        "name-taken",
    );
    drop(n2);
}

#[test]
fn metrics_tell_of_members_links_and_the_certificate() {
    use std::io::{Read as _, Write as _};
    let n1 = first();
    let n2 = join(&n1, "n2");
    eventually(|| state(&n1, "n2"), |state| state == "alive");
    let host = n1.url.trim_start_matches("http://").to_owned();
    let metrics = || {
        let mut stream = std::net::TcpStream::connect(&host).expect("connects");
        let asked = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).expect("is sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("is text");
        text
    };
    let text = eventually(metrics, |text| {
        text.contains("swarm_link_open{node=\"n1\",peer=\"n2\",lane=\"control\"} 1")
    });
    for line in [
        "swarm_cluster_members{node=\"n1\",state=\"alive\"} 2",
        "swarm_certificate_expires_seconds{node=\"n1\"} ",
        "swarm_gossip_packets_total{node=\"n1\",what=\"forged\"} 0",
        "swarm_local_health{node=\"n1\"} ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    drop(n2);
}
