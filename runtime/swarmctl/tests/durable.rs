//! `dispatch --durable`: real processes, killed at random moments.

mod common;

use common::{example, file, folder, lines_of, next_line, run, signal, swarmctl};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const JOBS: u64 = 400;

/// How many lives a run may need before the test says that it never ends.
const LIVES_MAX: usize = 200;

fn jobs(folder: &TempDir) -> String {
    let mut text = String::new();
    for id in 0..JOBS {
        let job = json!({"id": id, "task": "sleep", "input": {"ms": 5 + id % 20}});
        writeln!(text, "{job}").expect("a String takes all text");
    }
    file(folder, "jobs.jsonl", &text)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a UTF-8 path").to_owned()
}

/// Lets a process live for a random time, then kills it. Whether it had ended by itself before that, with a zero.
fn ends_before_it_is_killed(child: &mut Child, random: &mut fastrand::Rng, ms: u64) -> bool {
    let until = Instant::now() + Duration::from_millis(random.u64(1..ms));
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            assert!(status.success(), "{status}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let status = child.wait().expect("a child can be waited for");
    status.success()
}

#[test]
fn a_killed_run_goes_on_and_its_file_has_each_result_once() {
    let folder = folder();
    let jobs = jobs(&folder);
    let data = text(&folder.path().join("data"));
    let out = folder.path().join("out.jsonl");
    let out_text = text(&out);
    let manifest = example();
    let command = [
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--durable",
        "--data",
        &data,
        "--out",
        &out_text,
    ];
    let mut random = fastrand::Rng::with_seed(5);
    let mut killed = 0;
    for life in 0.. {
        assert!(life < LIVES_MAX, "it does not get on");
        let mut child = swarmctl(&command)
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        if ends_before_it_is_killed(&mut child, &mut random, 900) {
            break;
        }
        killed += 1;
    }
    assert!(killed > 0, "the first life was the last");
    let results = std::fs::read_to_string(&out).expect("a result file");
    let results: Vec<Value> = results
        .lines()
        .map(|line| serde_json::from_str(line).expect("a whole line"))
        .collect();
    let ids: BTreeSet<_> = results.iter().map(|r| r["id"].as_u64().unwrap()).collect();
    assert_eq!((results.len(), ids.len()), (JOBS as usize, JOBS as usize));
    assert!(results.iter().all(|result| result["ok"] == true));
    // The run has ended: nothing of it is left in the journal.
    let heads = run(&["journal", "--data", &data, "heads", "-o", "json"]).expect(0);
    assert!(heads.stdout.contains("dispatch/run-"), "{heads:?}");
    let heads = heads.json();
    let head = heads
        .as_array()
        .or(heads["streams"].as_array())
        .expect("heads")[0]
        .clone();
    assert_eq!(head["last_seq"], head["truncated"], "{head}");
}

#[test]
fn on_stdout_the_process_that_ends_the_run_tells_all_and_none_tells_another_result() {
    let folder = folder();
    let jobs = jobs(&folder);
    let data = text(&folder.path().join("data"));
    let manifest = example();
    let command = [
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--durable",
        "--run",
        "told",
        "--data",
        &data,
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut told: BTreeMap<u64, Value> = BTreeMap::new();
    for life in 0.. {
        assert!(life < LIVES_MAX, "it does not get on");
        let mut child = swarmctl(&command)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let is_done = ends_before_it_is_killed(&mut child, &mut random, 700);
        let mut here = BTreeSet::new();
        for line in lines {
            // A line that the kill has cut off is none.
            let Ok(result) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let id = result["id"].as_u64().expect("an id");
            assert!(here.insert(id), "job {id} was told twice by one process");
            let known = told.entry(id).or_insert_with(|| result.clone());
            assert_eq!(known, &result, "job {id} has two results");
        }
        // Killed when all were told: the run may have ended, and the next one would be a new one.
        if is_done || here.len() == JOBS as usize {
            assert_eq!(here.len(), JOBS as usize);
            break;
        }
    }
}

/// A result of a node's, without what its client has measured.
fn of_a_node(line: &str) -> Value {
    let mut result: Value = serde_json::from_str(line).expect("a result");
    result.as_object_mut().expect("an object").remove("ms");
    result
}

/// A node whose process is killed and started again at the same place.
struct Phoenix {
    child: Child,
    data: String,
    api: String,
}

impl Phoenix {
    fn new(folder: &TempDir) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let api = free.local_addr().expect("an address").to_string();
        drop(free);
        let data = text(&folder.path().join("node"));
        let child = Self::start(&data, &api);
        Self { child, data, api }
    }

    fn start(data: &str, api: &str) -> Child {
        let manifest = example();
        let mut child = swarmctl(&[
            "up",
            &manifest,
            "-o",
            "json",
            "--api",
            api,
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
        next_line(&lines_of(child.stdout.take().expect("it is piped")));
        child
    }

    fn again(&mut self) {
        signal("KILL", self.child.id());
        self.child.wait().expect("it was killed");
        self.child = Self::start(&self.data, &self.api);
    }
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_that_is_killed_and_started_again_goes_on_with_the_run_of_its_client() {
    let folder = folder();
    let jobs = jobs(&folder);
    let mut node = Phoenix::new(&folder);
    let url = format!("http://{}", node.api);
    let command = [
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--node",
        &url,
        "--durable",
        "--run",
        "at-a-node",
    ];
    let mut random = fastrand::Rng::with_seed(9);
    let mut told: BTreeMap<u64, Value> = BTreeMap::new();
    // The first client is killed too; the second lives to the end.
    let mut child = swarmctl(&command)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let lines = lines_of(child.stdout.take().expect("it is piped"));
    for _ in 0..10 {
        let line = next_line(&lines);
        let result = of_a_node(&line);
        told.insert(result["id"].as_u64().expect("an id"), result);
    }
    signal("KILL", child.id());
    child.wait().expect("it was killed");
    let mut child = swarmctl(&command)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts");
    let lines = lines_of(child.stdout.take().expect("it is piped"));
    let mut here = BTreeSet::new();
    let mut kills = 0;
    let mut next_kill = random.u64(1..60);
    for line in lines {
        let result = of_a_node(&line);
        let id = result["id"].as_u64().expect("an id");
        assert!(here.insert(id), "job {id} was told twice");
        let known = told.entry(id).or_insert_with(|| result.clone());
        assert_eq!(known, &result, "job {id} has two results");
        if kills < 5 && here.len() as u64 >= next_kill {
            node.again();
            kills += 1;
            next_kill += random.u64(1..90);
        }
    }
    assert!(child.wait().expect("it ends").success());
    assert_eq!(here.len(), JOBS as usize);
    assert_eq!(kills, 5);
}

#[test]
fn a_durable_run_needs_a_node_with_a_data_folder_that_nobody_else_uses() {
    let folder = folder();
    let jobs = jobs(&folder);
    let node = Phoenix::new(&folder);
    // The node's journal is open once it was needed.
    let url = format!("http://{}", node.api);
    let said = run(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--node",
        &url,
        "--durable",
        "-o",
        "jsonl",
    ]);
    assert_eq!(said.expect(0).lines().len(), JOBS as usize);
    let manifest = example();
    let said = run(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--durable",
        "--data",
        &node.data,
        "-o",
        "jsonl",
    ]);
    assert_eq!(said.failure()["code"], "no-journal", "{said:?}");
}
