//! What scripts rely on, whatever the command: where output goes, its form, and the exit status.

mod common;

use common::{Node, example, file, folder, run, swarmctl};
use serde_json::json;
use std::io::Read;
use std::process::Stdio;

/// An address where nothing listens: the port is reserved.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_mistake_on_the_command_line_is_status_2_with_a_next_step() {
    for (arguments, next_step) in [
        (&["verison"][..], "swarmctl version"),
        (&["actor", "lss"], "swarmctl actor ls"),
        (&["actor", "ls", "-o", "yaml"], "swarmctl actor ls --help"),
        (&["status", "--timeout", "5x"], "swarmctl status --help"),
        (
            &["status", "--node", "ftp://x"],
            "--node http://127.0.0.1:7590 (or SWARM_NODE)",
        ),
        (&[], "swarmctl --help"),
    ] {
        let said = run(arguments).expect(2);
        assert_eq!(said.stdout, "", "{arguments:?}");
        let last = said.stderr.lines().last().unwrap();
        assert_eq!(last, format!("try: {next_step}"), "{arguments:?}");
    }
}

#[test]
fn under_json_a_failure_is_one_object_with_a_code() {
    for format in ["json", "jsonl"] {
        let usage = run(&["actor", "lss", "-o", format]).expect(2);
        assert_eq!(usage.failure()["code"], "usage");
        assert_eq!(usage.stderr.lines().count(), 1);
        let unreachable = run(&["status", "-o", format, "--node", NOBODY]).expect(4);
        assert_eq!(unreachable.failure()["code"], "unreachable");
        assert_eq!(unreachable.failure()["exit"], 4);
        assert_eq!(unreachable.stdout, "");
        assert_ne!(unreachable.failure()["try"], "");
    }
}

#[test]
fn a_node_that_is_not_there_is_named_with_what_to_do() {
    let said = run(&["actor", "ls", "--node", NOBODY]).expect(4);
    assert!(said.stderr.contains(NOBODY), "{said:?}");
    assert!(said.stderr.contains("\ntry: swarmctl up"), "{said:?}");
}

#[test]
fn help_and_version_are_data() {
    assert!(run(&["--help"]).expect(0).stdout.contains("dispatch"));
    assert!(
        run(&["--version"])
            .expect(0)
            .stdout
            .starts_with("swarmctl ")
    );
    let version = run(&["version", "-o", "json"]).expect(0).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        run(&["completions", "bash"])
            .expect(0)
            .stdout
            .contains("swarmctl")
    );
}

#[test]
fn colours_appear_only_where_they_are_asked_for() {
    let plain = run(&["status", "--node", NOBODY]);
    assert!(!plain.stderr.contains('\u{1b}'));
    let coloured = run(&["status", "--node", NOBODY, "--color", "always"]);
    assert!(coloured.stderr.contains('\u{1b}'));
}

#[test]
fn a_reader_that_has_enough_is_a_clean_exit() {
    let folder = folder();
    let jobs: String = (0..5000)
        .map(|id| json!({"id": id, "task": "upper", "input": "x"}).to_string() + "\n")
        .collect();
    let jobs = file(&folder, "jobs.jsonl", &jobs);
    let manifest = example();
    let mut child = swarmctl(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn an_empty_list_is_still_a_document() {
    let node = Node::up(&[]);
    for (arguments, expected) in [
        (
            &["actor", "ls", "--group", "nobody", "-o", "json"][..],
            "[]\n",
        ),
        (&["actor", "ls", "--group", "nobody", "-o", "jsonl"], ""),
        (&["deadletter", "ls", "-o", "json"], "[]\n"),
    ] {
        assert_eq!(node.run(arguments).expect(0).stdout, expected);
    }
}

#[test]
fn an_environment_variable_names_the_node_and_a_flag_goes_before_it() {
    let node = Node::up(&[]);
    let from_environment = swarmctl(&["status"])
        .env("SWARM_NODE", &node.url)
        .output()
        .unwrap();
    assert_eq!(from_environment.status.code(), Some(0));
    let flag_wins = swarmctl(&["status", "--node", NOBODY])
        .env("SWARM_NODE", &node.url)
        .output()
        .unwrap();
    assert_eq!(flag_wins.status.code(), Some(4));
}

#[test]
fn settings_say_where_they_come_from() {
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", "[node]\nname = \"from-file\"\n");
    let output = swarmctl(&[
        "config",
        "show",
        "--origin",
        "-o",
        "json",
        &manifest,
        "--api",
        "127.0.0.1:7",
    ])
    .env("SWARM_DATA", "/tmp/from-environment")
    .output()
    .unwrap();
    let said = common::Said::from(output).expect(0).json();
    let origin = |name: &str| {
        let entries = said.as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
        (entry["value"].clone(), entry["origin"]["source"].clone())
    };
    assert_eq!(origin("name"), (json!("from-file"), json!("file")));
    assert_eq!(origin("api"), (json!("127.0.0.1:7"), json!("flag")));
    assert_eq!(
        origin("data"),
        (json!("/tmp/from-environment"), json!("environment"))
    );
    assert_eq!(origin("listen").1, json!("default"));
}

#[test]
fn a_bad_manifest_is_told_with_line_and_column_and_starts_nothing() {
    let folder = folder();
    let text = "[supervisor.\"/\"]\nstrategi = \"one_for_one\"\n";
    let manifest = file(&folder, "bad.toml", text);
    let checked = run(&["validate", &manifest]).expect(7);
    assert!(
        checked.stderr.contains(&format!("{manifest}:2:1")),
        "{checked:?}"
    );
    assert!(checked.stderr.contains("strategy"), "{checked:?}");
    let failure = run(&["validate", &manifest, "-o", "json"])
        .expect(7)
        .failure();
    assert_eq!(failure["problems"][0]["line"], 2);
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    run(&["up", &manifest, "--api", "127.0.0.1:0", "--data", data]).expect(2);
    assert!(!std::path::Path::new(data).exists());
    run(&["dispatch", "-", "--to", "workers", "--manifest", &manifest]).expect(2);
    run(&["validate", "/no/such/file"]).expect(3);
    let valid = run(&["validate", "-o", "json", &example()])
        .expect(0)
        .json();
    assert_eq!(
        (&valid["supervisors"], &valid["agents"]),
        (&json!(2), &json!(5))
    );
}
