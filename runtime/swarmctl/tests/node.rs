//! A node, seen through the commands.

mod common;

use common::{Node, eventually, example, file, folder, lines_of, next_line, run, signal, swarmctl};
use serde_json::{Value, json};
use std::process::Stdio;

fn actor(node: &Node, path: &str) -> Value {
    node.run(&["actor", "describe", path, "-o", "json"])
        .expect(0)
        .json()
}

#[test]
fn a_node_says_once_that_it_is_ready_and_stops_in_order_when_told() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    assert_eq!(node.ready["event"], "ready");
    assert!(node.url.starts_with("http://127.0.0.1:"));
    assert_eq!(node.ready["actors"], 7);
    assert_eq!(node.ready["process_id"], node.process());
    let url = node.url.clone();
    signal("TERM", node.process());
    let (status, more) = node.wait();
    assert_eq!((status, more), (Some(0), Vec::new()));
    run(&["status", "--node", &url]).expect(4);
}

#[test]
fn without_a_manifest_the_tree_is_empty_and_runs() {
    let node = Node::up(&["--name", "quiet"]);
    let status = node.run(&["status", "-o", "json"]).expect(0).json();
    assert_eq!(
        (&status["node"], &status["state"]),
        (&json!("quiet"), &json!("running"))
    );
    assert_eq!(status["actors"], 1);
}

#[test]
fn an_address_that_is_taken_is_refused_with_a_way_out() {
    let node = Node::up(&[]);
    let address = node.url.strip_prefix("http://").unwrap();
    let data = folder();
    let said = run(&[
        "up",
        "--api",
        address,
        "--data",
        data.path().to_str().unwrap(),
    ])
    .expect(6);
    assert!(said.stderr.contains("--api 127.0.0.1:0"), "{said:?}");
}

#[test]
fn the_list_of_actors_has_what_scripts_need() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let actors = node.run(&["actor", "ls", "-o", "json"]).expect(0).json();
    for actor in actors.as_array().unwrap() {
        for key in [
            "path", "kind", "state", "node", "groups", "restarts", "mailbox",
        ] {
            assert!(actor.get(key).is_some(), "{key} in {actor}");
        }
    }
    let workers = node
        .run(&["actor", "ls", "--group", "workers", "-o", "jsonl"])
        .expect(0);
    let paths: Vec<_> = workers
        .lines()
        .iter()
        .map(|actor| actor["path"].clone())
        .collect();
    assert_eq!(
        paths,
        [1, 2, 3, 4].map(|n| json!(format!("/pool/worker-{n}")))
    );
    let table = node.run(&["actor", "ls"]).expect(0);
    assert!(table.stdout.starts_with("PATH "), "{table:?}");
    let tree = node.run(&["tree", "-o", "json"]).expect(0).json();
    assert_eq!(tree["children"][0]["path"], "/pool");
    assert_eq!(
        tree["children"][0]["supervision"]["strategy"],
        "one_for_one"
    );
}

#[test]
fn a_killed_actor_is_restarted_and_keeps_its_address() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let before = actor(&node, "/tally");
    node.run(&["actor", "call", "/tally", "5"]).expect(0);
    node.run(&["actor", "kill", "/tally", "--yes"]).expect(0);
    let after = eventually(|| actor(&node, "/tally"), |actor| actor["incarnation"] == 2);
    assert_eq!(after["address"], before["address"]);
    assert_eq!(after["restarts"], 1);
    let said = node.run(&["actor", "call", "/tally"]).expect(0);
    assert_eq!(said.stdout, "{\"count\":0}\n");
}

#[test]
fn destructive_actions_need_a_yes_where_nobody_can_be_asked() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    for action in ["kill", "stop", "restart"] {
        let said = node.run(&["actor", action, "/tally"]).expect(6);
        assert!(
            said.stderr.contains("/tally") && said.stderr.contains(&node.url),
            "{said:?}"
        );
        assert!(said.stderr.contains("--yes"), "{said:?}");
    }
    assert_eq!(actor(&node, "/tally")["incarnation"], 1);
}

#[test]
fn a_stopped_actor_stays_down_until_it_is_restarted() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    node.run(&["actor", "stop", "/tally", "--yes"]).expect(0);
    assert_eq!(actor(&node, "/tally")["state"], "stopped");
    node.run(&["actor", "call", "/tally", "1"]).expect(6);
    node.run(&["actor", "restart", "/tally", "--yes"]).expect(0);
    let said = node.run(&["actor", "call", "/tally", "1"]).expect(0);
    assert_eq!(said.stdout, "{\"count\":1}\n");
}

#[test]
fn a_paused_actor_lets_its_messages_wait() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    node.run(&["actor", "pause", "/tally"]).expect(0);
    node.run(&["actor", "send", "/tally", "2", "--performative", "inform"])
        .expect(0);
    let waiting = node
        .run(&[
            "actor",
            "call",
            "/tally",
            "--timeout",
            "200ms",
            "-o",
            "json",
        ])
        .expect(5);
    assert!(waiting.failure()["error"].as_str().is_some());
    node.run(&["actor", "resume", "/tally"]).expect(0);
    let said = node.run(&["actor", "call", "/tally"]).expect(0);
    assert_eq!(said.stdout, "{\"count\":2}\n");
}

#[test]
fn what_is_not_there_or_makes_no_sense_has_its_own_status() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    node.run(&["actor", "describe", "/nope"]).expect(3);
    node.run(&["actor", "call", "/nope"]).expect(3);
    node.run(&["actor", "kill", "/nope", "--yes"]).expect(3);
    node.run(&["tree", "/nope"]).expect(3);
    node.run(&["deadletter", "show", "99"]).expect(3);
    node.run(&["actor", "describe", "nope"]).expect(2);
    node.run(&["actor", "call", "/tally", "not JSON"]).expect(2);
    let failure = node
        .run(&["actor", "call", "/tally", "\"seven\"", "-o", "json"])
        .expect(1);
    assert_eq!(failure.json()["performative"], "failure");
    assert_eq!(failure.failure()["code"], "failure");
}

#[test]
fn a_message_whose_turn_crashed_is_a_dead_letter_that_can_be_replayed() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    node.run(&["actor", "call", "/tally", "\"panic\""])
        .expect(1);
    let letters = eventually(
        || {
            node.run(&["deadletter", "ls", "-o", "json"])
                .expect(0)
                .json()
        },
        |letters| letters[0].is_object(),
    );
    let first = letters[0]["id"].clone();
    let id = first.to_string();
    let shown = node
        .run(&["deadletter", "show", &id, "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&shown["to"], &shown["content"]),
        (&json!("/tally"), &json!("panic"))
    );
    node.run(&["deadletter", "replay", &id]).expect(6);
    node.run(&["deadletter", "replay", &id, "--yes"]).expect(0);
    // It panics again, and is a new dead letter.
    let again = eventually(
        || {
            node.run(&["deadletter", "ls", "-o", "json"])
                .expect(0)
                .json()
        },
        |letters| letters[0].is_object() && letters[0]["id"] != first,
    );
    assert_eq!(again[0]["to"], "/tally");
    node.run(&["deadletter", "purge", "--all", "--yes"])
        .expect(0);
    assert_eq!(
        node.run(&["deadletter", "ls", "-o", "json"])
            .expect(0)
            .stdout,
        "[]\n"
    );
}

#[test]
fn events_are_listed_and_followed() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let listed = node
        .run(&[
            "events", "-o", "jsonl", "--kind", "started", "--under", "/pool",
        ])
        .expect(0);
    assert_eq!(listed.lines().len(), 5);
    node.run(&["events", "--follow", "-o", "json"]).expect(2);
    let mut follower = swarmctl(&[
        "--node", &node.url, "events", "--follow", "--after", "0", "-o", "jsonl", "--under",
        "/tally", "--kind", "exited", "--limit", "1",
    ])
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let lines = lines_of(follower.stdout.take().unwrap());
    node.run(&["actor", "kill", "/tally", "--yes"]).expect(0);
    let event: Value = serde_json::from_str(&next_line(&lines)).unwrap();
    assert_eq!(
        (&event["path"], &event["reason"]),
        (&json!("/tally"), &json!("killed"))
    );
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn a_follower_that_is_interrupted_says_so_by_its_status() {
    let node = Node::up(&[]);
    let mut follower = swarmctl(&["--node", &node.url, "events", "--follow", "--after", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    next_line(&lines_of(follower.stdout.take().unwrap()));
    signal("INT", follower.id());
    assert_eq!(follower.wait().unwrap().code(), Some(130));
}

#[test]
fn a_tree_that_gave_up_leaves_the_node_up_until_it_is_started_again() {
    let folder = folder();
    let text = "[supervisor.\"/\"]\nintensity = 0\n\n[agent.\"/a\"]\nbehaviour = \"counter\"\n";
    let manifest = file(&folder, "swarm.toml", text);
    let node = Node::up(&[&manifest]);
    node.run(&["actor", "kill", "/a", "--yes"]);
    let status = || node.run(&["status", "-o", "json"]).expect(0).json();
    eventually(status, |status| status["state"] == "tree-failed");
    assert!(
        node.run(&["status"])
            .expect(0)
            .stdout
            .contains("tree failed")
    );
    node.run(&["tree", "start"]).expect(0);
    assert_eq!(status()["state"], "running");
    node.run(&["tree", "start"]).expect(6);
    node.run(&["actor", "call", "/a", "1"]).expect(0);
}

#[test]
fn a_node_that_is_to_end_with_its_tree_ends_with_status_1() {
    let folder = folder();
    let text = "[supervisor.\"/\"]\nintensity = 0\n\n[agent.\"/a\"]\nbehaviour = \"counter\"\n";
    let manifest = file(&folder, "swarm.toml", text);
    let node = Node::up(&[&manifest, "--exit-on-tree-failure"]);
    node.run(&["actor", "kill", "/a", "--yes"]);
    assert_eq!(node.wait().0, Some(1));
}

#[test]
fn chaos_holds_its_expectations_or_says_which_failed() {
    let folder = folder();
    let text = "[supervisor.\"/\"]\nintensity = 1000\n\n[agent.\"/a\"]\nbehaviour = \"counter\"\ngroups = [\"good\"]\n\n\
                [agent.\"/b\"]\nbehaviour = \"counter\"\nrestart = \"temporary\"\ngroups = [\"bad\"]\n";
    let manifest = file(&folder, "swarm.toml", text);
    let node = Node::up(&[&manifest]);
    let chaos = |target: &str| {
        node.run(&[
            "chaos",
            "run",
            "--target",
            target,
            "--fault",
            "kill",
            "--rate",
            "20/s",
            "--for",
            "300ms",
            "--seed",
            "7",
            "--expect",
            "restarts,no-loss",
            "--yes",
            "-o",
            "json",
        ])
    };
    let good = chaos("good").expect(0).json();
    assert!(good["injected"].as_u64() > Some(0), "{good}");
    assert_eq!(good["seed"], 7);
    let bad = chaos("bad").expect(7);
    assert_eq!(bad.failure()["code"], "expectation-failed");
    assert_eq!(bad.json()["expectations"][0]["holds"], false);
    chaos("nobody").expect(3);
}

#[test]
fn a_second_signal_stops_a_node_at_once() {
    let folder = folder();
    let text = "[agent.\"/slow\"]\nbehaviour = \"text\"\nshutdown = \"infinity\"\nturn_deadline = \"infinity\"\n";
    let manifest = file(&folder, "swarm.toml", text);
    let node = Node::up(&[&manifest]);
    let order = r#"{"task":"sleep","input":{"ms":600000}}"#;
    node.run(&["actor", "send", "/slow", order, "--performative", "request"])
        .expect(0);
    eventually(|| actor(&node, "/slow"), |actor| actor["turn"].is_object());
    signal("TERM", node.process());
    eventually(
        || node.run(&["status", "-o", "json"]).expect(0).json(),
        |status| status["state"] == "draining",
    );
    signal("TERM", node.process());
    assert_eq!(node.wait().0, Some(130));
}

#[test]
fn interrupted_chaos_stops_and_says_so() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let mut chaos = swarmctl(&[
        "--node", &node.url, "chaos", "run", "--target", "workers", "--fault", "kill", "--rate",
        "20/s", "--for", "1h", "--yes", "-o", "json",
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let restarts = || node.run(&["status", "-o", "json"]).expect(0).json()["restarts"].as_u64();
    eventually(restarts, |restarts| *restarts > Some(3));
    signal("INT", chaos.id());
    let lines = lines_of(chaos.stdout.take().unwrap());
    let report: Value = serde_json::from_str(&next_line(&lines)).unwrap();
    assert_eq!(report["state"], "stopped");
    assert_eq!(chaos.wait().unwrap().code(), Some(130));
}

#[test]
fn a_hangup_reloads_the_log_filter_and_says_what_waits_for_a_restart() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", "[node]\nlog = \"info\"\n");
    let data = folder.path().join("data");
    let mut child = swarmctl(&[
        "up",
        &manifest,
        "--api",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "-o",
        "json",
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let ready = lines_of(child.stdout.take().unwrap());
    let log = lines_of(child.stderr.take().unwrap());
    let said = |text: &str| {
        while !next_line(&log).contains(text) {}
    };
    next_line(&ready);
    std::fs::write(
        &manifest,
        "[node]\nlog = \"debug\"\nshutdown_deadline = \"3s\"\n[agent.\"/e\"]\nbehaviour = \"echo\"\n",
    )
    .unwrap();
    signal("HUP", child.id());
    said("the log filter was changed");
    said("shutdown_deadline");
    said("the changed tree takes effect when the node is started again");
    std::fs::write(&manifest, "[node]\nlgo = 1\n").unwrap();
    signal("HUP", child.id());
    said("those in force stay");
    signal("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watch_shows_the_node_again_and_again_until_it_is_interrupted() {
    let node = Node::up(&[]);
    let mut child = swarmctl(&[
        "status",
        "--watch=100ms",
        "-o",
        "jsonl",
        "--node",
        &node.url,
    ])
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let lines = lines_of(child.stdout.take().unwrap());
    for _ in 0..3 {
        let status: Value = serde_json::from_str(&next_line(&lines)).unwrap();
        assert_eq!(status["state"], "running");
    }
    signal("INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    node.run(&["status", "--watch", "-o", "json"]).expect(2);
    node.run(&["actor", "kill", "/x", "--watch", "--yes"])
        .expect(2);
}

#[test]
fn a_context_names_a_node_for_the_commands_that_follow() {
    let node = Node::up(&["--name", "here"]);
    let home = folder();
    let with_home = |arguments: &[&str]| -> common::Said {
        swarmctl(arguments)
            .env("XDG_CONFIG_HOME", home.path())
            .output()
            .unwrap()
            .into()
    };
    assert_eq!(
        with_home(&["context", "ls", "-o", "json"]).expect(0).json(),
        json!([])
    );
    with_home(&["context", "use", "here"]).expect(3);
    with_home(&["context", "add", "here"]).expect(2);
    with_home(&["context", "add", "here", "--node", "ftp://x"]).expect(2);
    with_home(&["context", "add", "here", "--node", &node.url, "--use"]).expect(0);
    with_home(&["context", "add", "gone", "--node", "127.0.0.1:1"]).expect(0);
    let status = with_home(&["status", "-o", "json"]).expect(0).json();
    assert_eq!(status["node"], "here");
    // What is destroyed is told with the context's name.
    let refused = with_home(&["deadletter", "purge", "--all"]).expect(6);
    assert!(refused.stderr.contains("here (http://"), "{refused:?}");
    with_home(&["status", "--context", "gone"]).expect(4);
    with_home(&["context", "validate"]).expect(7);
    with_home(&["context", "validate", "here"]).expect(0);
    with_home(&["context", "use", "gone"]).expect(0);
    let back = with_home(&["context", "use", "-", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&back["name"], &back["current"]),
        (&json!("here"), &json!(true))
    );
    with_home(&["context", "rm", "here", "--yes"]).expect(0);
    with_home(&["context", "show"]).expect(3);
}

#[test]
fn the_df_finds_what_was_registered_and_the_ams_shows_who_is_there() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let ls = node.run(&["ams", "ls", "-o", "json"]).expect(0).json();
    let names: Vec<_> = ls
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    // The platform is the cluster.
    let name = node.ready["cluster"]["name"].as_str().unwrap();
    for agent in ["/tally", "/pool/worker-1", "ams", "df"] {
        let aid = format!("{agent}@{name}");
        assert!(names.contains(&&json!(aid)), "{aid} in {names:?}");
    }
    assert_eq!(
        node.run(&["df", "search", "-o", "json"]).expect(0).json(),
        json!([])
    );
    let register = [
        "df",
        "register",
        "/tally",
        "--service",
        "sum:counting",
        "--language",
        "fipa-sl",
    ];
    node.run(&register).expect(0);
    let again = node.run(&register).expect(6);
    assert!(again.stderr.contains("already-registered"), "{again:?}");
    let search = |arguments: &[&str]| {
        let mut all = vec!["df", "search", "-o", "json"];
        all.extend(arguments);
        node.run(&all).expect(0).json()
    };
    let found = search(&["--type", "counting"]);
    assert_eq!(found[0]["agent"], format!("/tally@{name}"));
    assert_eq!(found[0]["services"][0]["name"], "sum");
    assert_eq!(search(&["--type", "poetry"]), json!([]));
    node.run(&["df", "register", "x@elsewhere", "--lease", "1h"])
        .expect(0);
    assert_eq!(search(&[]).as_array().unwrap().len(), 2);
    assert!(search(&["--agent", "x@elsewhere"])[0]["lease_until"].is_string());
    node.run(&["df", "deregister", "/tally"]).expect(0);
    node.run(&["df", "deregister", "/tally"]).expect(3);
    // The node's own agents are not among the users'.
    let actors = node.run(&["actor", "ls", "-o", "json"]).expect(0).json();
    assert_eq!(actors.as_array().unwrap().len(), 7);
}
