//! Nodes as processes: joining, tokens, refusals, a killed member.

mod common;

use common::{Node, Said, eventually, run, signal};
use serde_json::Value;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn first() -> Node {
    Node::up(&[&LISTEN[..], &["--name", "n1"]].concat())
}

fn join(node: &Node, called: &str) -> Node {
    let join = &node.ready["join"];
    let address = join["address"].as_str().expect("an address");
    let token = join["token"].as_str().expect("a token");
    let named = ["--name", called, "--token", token, address];
    Node::start("join", &[&LISTEN[..], &named].concat())
}

fn refused(called: &str, token: &str, address: &str) -> Said {
    let data = common::folder();
    let data = data.path().to_str().expect("a UTF-8 path");
    run(&[
        "join",
        "-o",
        "json",
        "--api",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data,
        "--name",
        called,
        "--token",
        token,
        address,
    ])
}

/// Names and states.
fn members(node: &Node) -> Vec<(String, String)> {
    let list = node.run(&["node", "ls", "-o", "json"]).expect(0).json();
    let text = |member: &Value, field: &str| member[field].as_str().expect("a text").to_owned();
    let list = list.as_array().expect("an array");
    list.iter()
        .map(|member| {
            assert_eq!(text(member, "boot_id").len(), 32);
            assert!(text(member, "address").contains(':'));
            (text(member, "name"), text(member, "state"))
        })
        .collect()
}

fn are(expected: &[(&str, &str)]) -> impl Fn(&Vec<(String, String)>) -> bool {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect();
    move |seen| *seen == expected
}

#[test]
fn nodes_join_are_listed_everywhere_and_a_killed_one_is_down() {
    let n1 = first();
    let n2 = join(&n1, "n2");
    let seen = n2.ready["cluster"]["members"].as_array().expect("members");
    assert_eq!(seen.len(), 2, "{:?}", n2.ready);
    let n3 = join(&n1, "n3");
    let all = [("n1", "alive"), ("n2", "alive"), ("n3", "alive")];
    for node in [&n1, &n2, &n3] {
        eventually(|| members(node), are(&all));
    }
    signal("KILL", n3.process());
    for node in [&n1, &n2] {
        eventually(
            || members(node),
            are(&[("n1", "alive"), ("n2", "alive"), ("n3", "down")]),
        );
    }
    // An ordered end says goodbye.
    signal("TERM", n2.process());
    assert_eq!(n2.wait().0, Some(0));
    eventually(
        || members(&n1),
        are(&[("n1", "alive"), ("n2", "left"), ("n3", "down")]),
    );
}

#[test]
fn each_way_to_be_refused_has_its_own_code() {
    let (n1, other) = (first(), first());
    let token = |node: &Node| {
        node.ready["join"]["token"]
            .as_str()
            .expect("a token")
            .to_owned()
    };
    let address = n1.ready["join"]["address"].as_str().expect("an address");
    let api = n1.url.trim_start_matches("http://");
    for (called, token, address, code, status) in [
        ("n2", "nonsense".to_owned(), address, "bad-token", 2),
        ("n2", token(&other), address, "join-other-cluster", 6),
        ("n2", token(&n1), api, "join-wrong-address", 3),
        ("n2", token(&n1), "127.0.0.1:1", "join-unreachable", 4),
        ("n1", token(&n1), address, "name-taken", 6),
    ] {
        let failure = refused(called, &token, address).expect(status).failure();
        assert_eq!(failure["code"], code, "{failure}");
    }
    let made = n1
        .run(&["token", "create", "--uses", "1", "-o", "json"])
        .expect(0)
        .json();
    let id = made["id"].as_str().expect("an id");
    n1.run(&["token", "revoke", id]).expect(0);
    let listed = n1.run(&["token", "ls", "-o", "json"]).expect(0);
    let secret = made["token"].as_str().expect("a token");
    assert!(!listed.stdout.contains(secret));
    assert!(listed.stdout.contains("revoked"), "{listed:?}");
    let failure = refused("n2", secret, address).expect(6).failure();
    assert_eq!(failure["code"], "token-revoked");
}

#[test]
fn what_one_nodes_df_has_entered_is_found_at_every_node_while_that_one_lives() {
    let n1 = first();
    let n2 = join(&n1, "n2");
    let found = |node: &Node| {
        let found = node.run(&["df", "search", "-o", "json"]).expect(0).json();
        let found = found.as_array().expect("an array").clone();
        let agents = found.iter().map(|entry| entry["agent"].to_string());
        agents.collect::<Vec<_>>()
    };
    let register = ["df", "register", "/printer", "--service", "p:print"];
    n2.run(&register).expect(0);
    let printer = vec!["\"/printer@swarm\"".to_owned()];
    eventually(|| found(&n1), |seen| *seen == printer);
    // It is its own node's to change.
    let refused = n1.run(&["df", "deregister", "/printer"]);
    assert!(
        refused.stderr.contains("it is entered on node n2"),
        "{refused:?}"
    );
    signal("KILL", n2.process());
    eventually(|| found(&n1), |seen| seen.is_empty());
}

#[test]
fn the_ams_of_any_node_lists_the_agents_of_all_and_names_who_did_not_answer() {
    let n1 = first();
    let folder = common::folder();
    let manifest = folder.path().join("tally.toml");
    std::fs::write(&manifest, "[agent.\"/tally\"]\nbehaviour = \"counter\"\n").expect("written");
    let join_line = &n1.ready["join"];
    let [address, token] = ["address", "token"].map(|key| join_line[key].as_str().expect("text"));
    let file = manifest.to_str().expect("a UTF-8 path");
    let named = [
        "--name",
        "n2",
        "--manifest",
        file,
        "--token",
        token,
        address,
    ];
    let n2 = Node::start("join", &[&LISTEN[..], &named].concat());
    let agents = |more: &[&str]| {
        let said = n1
            .run(&[&["ams", "ls", "-o", "json"], more].concat())
            .expect(0);
        let rows = said.json().as_array().expect("an array").clone();
        let row = |row: &Value| format!("{} on {}", row["name"], row["node"]).replace('"', "");
        (rows.iter().map(row).collect::<Vec<_>>(), said.stderr)
    };
    let own = ["ams@swarm on n1", "df@swarm on n1"].map(str::to_owned);
    let all = [&own[..], &["/tally@swarm on n2".to_owned()]].concat();
    eventually(|| agents(&[]).0, |seen| *seen == all);
    assert_eq!(agents(&["--local"]).0, own);
    signal("KILL", n2.process());
    let (seen, stderr) = eventually(|| agents(&[]), |(_, stderr)| stderr.contains("n2"));
    assert_eq!(seen, own, "{stderr}");
}
