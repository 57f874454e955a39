//! `dispatch`: each job one result, whatever happens to the workers.

mod common;

use common::{
    Node, Said, eventually, example, file, folder, run, run_with_stdin, signal, swarmctl,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;

fn jobs(count: usize, task: &str, input: impl Fn(usize) -> Value) -> String {
    let mut text = String::new();
    for id in 0..count {
        let job = json!({"id": id, "task": task, "input": input(id)});
        writeln!(text, "{job}").expect("a String takes all text");
    }
    text
}

/// Dispatches to the workers of the example's tree, inside the command.
fn embedded(arguments: &[&str], stdin: &str) -> Said {
    let manifest = example();
    let mut all = vec!["dispatch", "--to", "workers", "--manifest", &manifest];
    all.extend(arguments);
    run_with_stdin(&all, stdin)
}

fn ids(results: &[Value]) -> Vec<u64> {
    results
        .iter()
        .filter_map(|result| result["id"].as_u64())
        .collect()
}

#[test]
fn ten_thousand_jobs_have_one_result_each_while_workers_are_killed() {
    let folder = folder();
    let text = jobs(10_000, "word-count", |id| json!("word ".repeat(id % 50)));
    let jobs = file(&folder, "jobs.jsonl", &text);
    let said = embedded(&[&jobs, "--chaos", "200/s", "--seed", "1", "--verify"], "").expect(0);
    let results = said.lines();
    assert_eq!(results.len(), 10_000);
    for result in &results {
        let id = result["id"].as_u64().unwrap();
        assert_eq!(result["ok"], true);
        assert_eq!(result["output"]["words"], id % 50);
    }
    let distinct: BTreeSet<_> = ids(&results).into_iter().collect();
    assert_eq!(distinct.len(), 10_000);
    assert!(
        said.stderr.contains("equal: all 10000 counts agree"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_job_whose_worker_is_killed_again_and_again_is_done_all_the_same() {
    let text = jobs(40, "sleep", |_| json!({"ms": 20}));
    let said = embedded(
        &["-", "--chaos", "100/s", "--seed", "3", "-o", "jsonl"],
        &text,
    )
    .expect(0);
    let results = said.lines();
    assert_eq!(results.len(), 40);
    let summary: Value = serde_json::from_str(said.stderr.lines().last().unwrap()).unwrap();
    assert!(summary["attempts"].as_u64() > Some(40), "{summary}");
    assert!(summary["restarts"].as_u64() > Some(0), "{summary}");
}

#[test]
fn workers_of_a_running_node_are_killed_while_it_runs_and_left_in_peace_after() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let folder = folder();
    let jobs = file(
        &folder,
        "jobs.jsonl",
        &jobs(40, "sleep", |_| json!({"ms": 20})),
    );
    let said = node
        .run(&[
            "dispatch", &jobs, "--to", "workers", "--chaos", "100/s", "--seed", "3", "-o", "jsonl",
        ])
        .expect(0);
    assert_eq!(said.lines().len(), 40);
    let summary: Value = serde_json::from_str(said.stderr.lines().last().unwrap()).unwrap();
    assert!(summary["killed"].as_u64() > Some(0), "{summary}");
    assert!(
        summary["attempts"].as_u64() > Some(40),
        "killed workers cost attempts: {summary}"
    );
    // The node's chaos run is over when the command is.
    let kills = || {
        let status = node.run(&["status", "-o", "json"]).expect(0).json();
        status["restarts"].as_u64().unwrap()
    };
    let settled = eventually(kills, |restarts| {
        *restarts >= summary["killed"].as_u64().unwrap()
    });
    assert_eq!(settled, kills());
}

#[test]
fn results_come_in_order_when_asked_for() {
    let text = jobs(300, "sleep", |id| json!({"ms": (id % 7) * 2}));
    let said = embedded(&["-", "--ordered"], &text).expect(0);
    assert_eq!(ids(&said.lines()), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_job_that_ends_its_workers_is_given_up_with_the_reason_and_harms_no_other() {
    let text = "{\"id\":\"p\",\"task\":\"panic\"}\n{\"id\":\"h\",\"task\":\"hang\"}\n{\"id\":\"f\",\"task\":\"fail\"}\n\
                {\"id\":\"u\",\"task\":\"no-such\"}\n{\"id\":\"g\",\"task\":\"upper\",\"input\":\"x\"}\n";
    let said = embedded(
        &["-", "--attempts", "2", "--deadline", "300ms", "--ordered"],
        text,
    )
    .expect(8);
    let results = said.lines();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result["ok"].as_bool().unwrap(),
                result["attempts"].as_u64().unwrap(),
                result["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (false, 2, Some("poisoned")),
            (false, 2, Some("poisoned")),
            (false, 1, Some("failed")),
            (false, 1, Some("failed")),
            (true, 1, None),
        ]
    );
    assert!(
        results[0]["error"].as_str().unwrap().contains("panic"),
        "{}",
        results[0]
    );
    assert!(
        results[1]["error"].as_str().unwrap().contains("deadline"),
        "{}",
        results[1]
    );
    assert_eq!(results[4]["output"], "X");
}

#[test]
fn a_worker_that_holds_its_thread_is_given_up_at_the_deadline() {
    let text = "{\"id\":1,\"task\":\"spin\",\"input\":{\"ms\":2000}}\n{\"id\":2,\"task\":\"upper\",\"input\":\"a\"}\n";
    let said = embedded(&["-", "--attempts", "1", "--deadline", "200ms"], text).expect(8);
    let results = said.lines();
    assert_eq!(results.len(), 2);
    let spun = results.iter().find(|result| result["id"] == 1).unwrap();
    assert!(
        spun["error"].as_str().unwrap().contains("deadline"),
        "{spun}"
    );
}

#[test]
fn a_bad_line_is_a_failed_result_with_its_number_and_the_rest_goes_on() {
    let text = "{\"id\":1,\"task\":\"upper\",\"input\":\"a\"}\nnot JSON\n{\"task\":\"upper\"}\n\n{\"id\":1,\"task\":\"upper\"}\n\
                {\"id\":2,\"task\":\"upper\",\"input\":\"b\"}";
    let said = embedded(&["-", "--ordered"], text).expect(8);
    let told: Vec<_> = said
        .lines()
        .into_iter()
        .map(|result| (result["ok"] == true, result["line"].as_u64()))
        .collect();
    let expected = [
        (true, None),
        (false, Some(2)),
        (false, Some(3)),
        (false, Some(5)),
        (true, None),
    ];
    assert_eq!(told, expected);
    assert!(
        said.stderr.contains("3 of 5 jobs failed"),
        "{}",
        said.stderr
    );
}

#[test]
fn an_empty_input_is_no_failure() {
    assert_eq!(embedded(&["-"], "").expect(0).stdout, "");
    assert_eq!(
        embedded(&["-", "-o", "json"], "").expect(0).json(),
        json!([])
    );
}

#[test]
fn under_json_all_results_are_one_document() {
    let text = jobs(20, "upper", |_| json!("x"));
    let all = embedded(&["-", "-o", "json"], &text).expect(0).json();
    assert_eq!(all.as_array().unwrap().len(), 20);
}

#[test]
fn a_run_that_was_interrupted_goes_on_where_it_stopped() {
    let folder = folder();
    let out = folder.path().join("results.jsonl");
    let jobs = file(
        &folder,
        "jobs.jsonl",
        &jobs(400, "sleep", |_| json!({"ms": 5})),
    );
    let manifest = example();
    let out_text = out.to_str().unwrap();
    let first = swarmctl(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--out",
        out_text,
    ])
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let lines = || {
        std::fs::read_to_string(&out)
            .unwrap_or_default()
            .lines()
            .count()
    };
    eventually(lines, |lines| *lines >= 20);
    signal("INT", first.id());
    let first = Said::from(first.wait_with_output().unwrap()).expect(130);
    assert!(first.stderr.contains("interrupted"), "{first:?}");
    let done = lines();
    assert!(done < 400, "it was done before it was interrupted");
    // As if the last write had been cut off.
    let mut text = std::fs::read_to_string(&out).unwrap();
    text.push_str("{\"id\":399,\"ok\":tr");
    std::fs::write(&out, text).unwrap();
    let second = embedded(&[&jobs, "--out", out_text], "").expect(0);
    assert_eq!(second.stdout, "");
    assert!(
        second.stderr.contains(&format!("{done} done before")),
        "{second:?}"
    );
    let results: Vec<Value> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), 400);
    assert_eq!(
        ids(&results).into_iter().collect::<BTreeSet<_>>().len(),
        400
    );
}

#[test]
fn a_file_that_no_run_wrote_is_not_touched() {
    let folder = folder();
    let notes = file(&folder, "notes.txt", "mine\n");
    let said = embedded(&["-", "--out", &notes, "-o", "json"], "").expect(6);
    assert_eq!(said.failure()["code"], "not-a-result-file");
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "mine\n");
}

#[test]
fn a_folder_of_texts_is_counted_and_equals_a_sequential_count() {
    let folder = folder();
    let texts = folder.path().join("texts");
    std::fs::create_dir_all(texts.join("deep")).unwrap();
    std::fs::create_dir_all(texts.join("target")).unwrap();
    std::fs::write(texts.join("a.md"), "one two\nthree").unwrap();
    std::fs::write(texts.join("deep/b.md"), "").unwrap();
    std::fs::write(texts.join("deep/c.rs"), "fn main() {}\n").unwrap();
    std::fs::write(texts.join("d.bin"), b"\0").unwrap();
    std::fs::write(texts.join("e.md"), b"\xff").unwrap();
    std::fs::write(texts.join("target/f.md"), "no").unwrap();
    let arguments = [
        "--files",
        texts.to_str().unwrap(),
        "--glob",
        "*.md,*.rs",
        "--task",
        "word-count",
        "--verify",
        "--ordered",
    ];
    let said = embedded(&arguments, "").expect(0);
    let told: Vec<_> = said
        .lines()
        .into_iter()
        .map(|result| (result["id"].clone(), result["output"].clone()))
        .collect();
    let expected = [
        (json!("a.md"), json!({"words": 3, "lines": 2, "bytes": 13})),
        (
            json!("deep/b.md"),
            json!({"words": 0, "lines": 0, "bytes": 0}),
        ),
        (
            json!("deep/c.rs"),
            json!({"words": 3, "lines": 1, "bytes": 13}),
        ),
    ];
    assert_eq!(told, expected);
    assert!(said.stderr.contains("1 file passed over"), "{said:?}");
    assert!(
        said.stderr.contains("equal: all 3 counts agree"),
        "{said:?}"
    );
}

#[test]
fn a_running_node_does_the_jobs_too() {
    let manifest = example();
    let node = Node::up(&[&manifest]);
    let folder = folder();
    let text = jobs(200, "word-count", |id| json!("w ".repeat(id)))
        + "nope\n{\"id\":\"p\",\"task\":\"panic\"}\n";
    let jobs = file(&folder, "jobs.jsonl", &text);
    let said = node.run(&["dispatch", &jobs, "--to", "workers"]).expect(8);
    let results = said.lines();
    assert_eq!(results.len(), 202);
    for result in results.iter().filter(|result| result["ok"] == true) {
        assert_eq!(result["output"]["words"], result["id"]);
    }
    let poisoned = results.iter().find(|result| result["id"] == "p").unwrap();
    assert_eq!(
        (&poisoned["code"], &poisoned["attempts"]),
        (&json!("poisoned"), &json!(3))
    );
    assert!(said.stderr.contains("(1 poisoned)"), "{said:?}");
    node.run(&["dispatch", &jobs, "--to", "nobody"]).expect(3);
}

#[test]
fn a_run_whose_workers_are_gone_for_good_ends_and_says_so() {
    let folder = folder();
    let text = "[supervisor.\"/\"]\nintensity = 0\n\n[agent.\"/w\"]\nbehaviour = \"text\"\ngroups = [\"workers\"]\n";
    let manifest = file(&folder, "swarm.toml", text);
    let jobs = file(
        &folder,
        "jobs.jsonl",
        "{\"id\":1,\"task\":\"panic\"}\n{\"id\":2,\"task\":\"upper\",\"input\":\"a\"}\n",
    );
    let said = run(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--patience",
        "200ms",
        "-o",
        "json",
    ])
    .expect(4);
    let failure = said.failure();
    assert_eq!(failure["code"], "no-workers");
    assert!(
        failure["error"]
            .as_str()
            .unwrap()
            .contains("the tree failed"),
        "{failure}"
    );
}

#[test]
fn what_cannot_work_is_refused_before_anything_starts() {
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", "");
    for (arguments, status) in [
        (&["/no/such/file"][..], 3),
        (&[folder.path().to_str().unwrap()], 2),
        (&[&jobs, "--files", "."], 2),
        (&["--files", "."], 2),
        (&["-", "--verify"], 2),
        (&[&jobs, "--verify", "--task", "upper"], 2),
        (&[&jobs, "--attempts", "0"], 2),
        (&[&jobs, "--deadline", "-1s"], 2),
        (&[&jobs, "--deadline", "0s"], 2),
        (&["--files", "/no/such/folder", "--task", "upper"], 3),
        (&["--files", ".", "--task", "upper", "--glob", "[a]"], 2),
    ] {
        let said = embedded(arguments, "").expect(status);
        assert!(
            said.stderr.lines().last().unwrap().starts_with("try: "),
            "{said:?}"
        );
    }
}
