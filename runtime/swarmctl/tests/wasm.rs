//! WebAssembly workers beside native ones, well and ill behaved; and what is said of components.

mod common;

use common::{Node, file, folder, run, run_with_stdin};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn at(name: &str) -> String {
    format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))
}

fn guest() -> String {
    at("examples/guests/word-count/word-count.wasm")
}

#[test]
fn native_and_wasm_workers_share_the_work_and_the_counts_agree_under_chaos() {
    let mut jobs = String::new();
    for id in 0..3000 {
        let input = "word ".repeat(id % 50);
        writeln!(
            jobs,
            "{}",
            json!({"id": id, "task": "word-count", "input": input})
        )
        .expect("a String takes all text");
    }
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", &jobs);
    let manifest = at("examples/dispatch/wasm.toml");
    let said = run(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--chaos",
        "100/s",
        "--seed",
        "1",
        "--verify",
    ])
    .expect(0);
    let results = said.lines();
    assert_eq!(results.len(), 3000);
    let by = |name: &str| {
        let is_by = |result: &&Value| result["worker"].as_str().is_some_and(|w| w.contains(name));
        results.iter().filter(is_by).count()
    };
    assert!(by("guest") > 100, "{}", by("guest"));
    assert!(by("worker") > 100, "{}", by("worker"));
    assert!(
        said.stderr.contains("equal: all 3000 counts agree"),
        "{}",
        said.stderr
    );
}

/// A pool of guests alone, small limits, and jobs that ask for the worst between jobs that do not.
#[test]
fn guests_that_loop_eat_trap_and_flood_cost_their_own_jobs_and_no_other() {
    let folder = folder();
    let manifest = format!(
        "[supervisor.\"/\"]\nintensity = 100000\nperiod = \"1s\"\n\
         [agent.\"/guest\"]\nwasm = {:?}\nreplicas = 3\ngroups = [\"workers\"]\n\
         grants = {{ messaging = {{}}, log = true, state = true, timers = true }}\n\
         limits = {{ turn_cpu = \"500ms\", sends_per_second = 100 }}\n",
        guest()
    );
    let manifest = file(&folder, "swarm.toml", &manifest);
    let bad = [
        "loop",
        "eat-memory",
        "trap",
        "flood",
        "recurse",
        "shout",
        "hoard",
        "set-timers",
    ];
    let mut jobs = String::new();
    for (n, task) in bad.iter().enumerate() {
        writeln!(jobs, "{}", json!({"id": task, "task": task, "input": "x"}))
            .expect("a String takes all text");
        for id in 0..50 {
            let id = 1000 * (n + 1) + id;
            writeln!(
                jobs,
                "{}",
                json!({"id": id, "task": "word-count", "input": "a b\n"})
            )
            .expect("a String takes all text");
        }
    }
    let arguments = [
        "dispatch",
        "-",
        "--to",
        "workers",
        "--manifest",
        &manifest,
        "--attempts",
        "2",
    ];
    let said = run_with_stdin(&arguments, &jobs).expect(8);
    let results = said.lines();
    assert_eq!(results.len(), bad.len() + bad.len() * 50);
    for result in &results {
        let is_bad = result["id"].is_string();
        assert_eq!(result["ok"], !is_bad, "{result}");
        if !is_bad {
            assert_eq!(
                result["output"],
                json!({"words": 2, "lines": 1, "bytes": 4})
            );
        }
    }
    let why = |task: &str| {
        let result = results.iter().find(|result| result["id"] == task);
        result.expect("each job has a result").to_string()
    };
    for (task, reason) in [
        ("loop", "limit(cpu)"),
        ("eat-memory", "limit(memory)"),
        ("trap", "unreachable"),
        ("flood", "limit(send-rate)"),
        ("shout", "limit(log-volume)"),
        ("hoard", "limit(host-bytes)"),
        ("set-timers", "limit(timers)"),
    ] {
        assert!(why(task).contains(reason), "{}", why(task));
    }
}

#[test]
fn an_import_without_a_grant_is_a_mistake_in_the_manifest_with_its_place() {
    let folder = folder();
    let text = format!(
        "[agent.\"/a\"]\nwasm = {:?}\ngrants = {{ log = true }}\n",
        guest()
    );
    let manifest = file(&folder, "swarm.toml", &text);
    let failure = run(&["validate", &manifest, "-o", "json"])
        .expect(7)
        .failure();
    let problem = &failure["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(2), &json!(8))
    );
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("swarm:agent/messaging@0.1.0"), "{message}");
    assert!(!message.contains("swarm:agent/log"), "{message}");
}

#[test]
fn a_component_is_told_with_what_it_needs() {
    let said = run(&["wasm", "inspect", &guest(), "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(said["world"], "swarm:agent/volatile@0.1.0");
    assert_eq!(
        said["needs"],
        json!([
            "log = true",
            "messaging = {}",
            "state = true",
            "timers = true"
        ])
    );
    for class in ["default", "compact", "interpreter"] {
        let said = run(&["wasm", "check", &guest(), "--class", class, "-o", "json"]);
        assert_eq!(said.expect(0).json()["compiles"], true);
    }
}

#[test]
fn what_is_no_component_is_refused_soon_and_with_its_kind() {
    let folder = folder();
    let whole = std::fs::read(guest()).unwrap();
    let half = folder.path().join("half.wasm");
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let module = folder.path().join("module.wasm");
    std::fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let text = folder.path().join("text.wasm");
    std::fs::write(&text, "hello").unwrap();
    let huge = folder.path().join("huge.wasm");
    std::fs::File::create(&huge)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    for (path, what) in [
        (half, "not valid at byte"),
        (module, "core module"),
        (text, "not WebAssembly"),
        (huge, "more than the"),
    ] {
        let begun = Instant::now();
        let path = path.display().to_string();
        for command in ["inspect", "check"] {
            let failure = run(&["wasm", command, &path, "-o", "json"])
                .expect(7)
                .failure();
            let error = failure["error"].as_str().unwrap();
            assert!(error.contains(what), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{path}");
    }
}

#[test]
fn a_guest_calls_the_nodes_tools_as_far_as_its_manifest_grants_them() {
    let folder = folder();
    let text = format!(
        "[tool.time]\n[tool.key-value]\n[tool.http-fetch]\n[agent.\"/clerk\"]\nwasm = {:?}\n\
         [agent.\"/clerk\".grants]\nmessaging = {{}}\n\
         [agent.\"/clerk\".grants.tools]\ntime = {{}}\nhttp-fetch = {{ hosts = [\"example.com\"] }}\n",
        at("examples/guests/clerk/clerk.wasm")
    );
    let node = Node::up(&[&file(&folder, "swarm.toml", &text)]);
    let ask = |order: Value| node.run(&["actor", "call", "/clerk", &order.to_string()]);
    let said = ask(json!({})).expect(0);
    assert!(said.stdout.contains(r#"["http-fetch","time"]"#), "{said:?}");
    let said = ask(json!({"tool": "time", "input": {}})).expect(0);
    assert!(said.stdout.contains("unix_ms"), "{said:?}");
    let keys = json!({"tool": "key-value", "input": {"do": "keys"}});
    let said = ask(keys);
    assert!(format!("{said:?}").contains("Denied"), "{said:?}");
    // Granted, but not that host.
    let fetch = json!({"tool": "http-fetch", "input": {"url": "https://example.org/"}});
    assert!(format!("{:?}", ask(fetch)).contains("Denied"));
    let calls = node.run(&["tool", "calls", "-o", "json"]).expect(0).stdout;
    for outcome in ["\"done\"", "\"denied\""] {
        assert!(calls.contains(outcome), "{calls}");
    }
    assert!(calls.contains("\"/clerk\""), "{calls}");
}

#[test]
fn a_grant_of_a_tool_with_arguments_that_it_does_not_take_is_a_mistake_with_its_place() {
    let folder = folder();
    let manifest = |tools: &str| {
        let text = format!(
            "[agent.\"/clerk\"]\nwasm = {:?}\ngrants = {{ messaging = {{}}, tools = {tools} }}\n",
            at("examples/guests/clerk/clerk.wasm")
        );
        let manifest = file(&folder, "swarm.toml", &text);
        run(&["validate", &manifest, "-o", "json"])
    };
    manifest(r#"["time", "files/*"]"#).expect(0);
    manifest(r#"{ time = {}, http-fetch = { hosts = ["example.com"] } }"#).expect(0);
    for (tools, what) in [
        (r#"{ http-fetch = { host = "example.com" } }"#, "host"),
        (r#"["http-fetch"]"#, "hosts"),
        (r#"{ time = { zone = "utc" } }"#, "zone"),
        (r#"["files*"]"#, "star"),
        (r#"["time", "time"]"#, "twice"),
        (r#"{ time = true }"#, "table of arguments"),
        ("[]", "swarm:agent/tools@0.1.0"),
    ] {
        let failure = manifest(tools).expect(7).failure();
        let mut problems = failure["problems"].as_array().unwrap().iter();
        let problem = problems.find(|problem| problem.to_string().contains(what));
        let line = if tools == "[]" { 2 } else { 3 };
        assert_eq!(
            problem.unwrap_or_else(|| panic!("{tools}: {failure}"))["line"],
            line
        );
    }
}

#[test]
fn a_new_agent_is_a_whole_project_and_nothing_is_overwritten() {
    let folder = folder();
    let project = folder.path().join("my-agent");
    let to = project.display().to_string();
    let made = run(&["new", "agent", "my-agent", "--folder", &to, "-o", "json"])
        .expect(0)
        .json();
    for file in made["files"].as_array().unwrap() {
        let text = std::fs::read_to_string(project.join(file.as_str().unwrap())).unwrap();
        assert!(!text.contains("NAME"), "{file}");
    }
    let manifest = std::fs::read_to_string(project.join("swarm.toml")).unwrap();
    assert!(manifest.contains("release/my_agent.wasm"), "{manifest}");
    let again = run(&["new", "agent", "my-agent", "--folder", &to, "-o", "json"]).expect(6);
    assert_eq!(again.failure()["code"], "folder-exists");
    run(&["new", "agent", "../x", "-o", "json"]).expect(2);
}
