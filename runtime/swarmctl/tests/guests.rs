//! Guests in other languages than this one: their tools are fetched, their projects built by the commands of their READMEs, and run.
//!
//! Where a language's tools cannot be had, a line on stderr says that its test was not run, and why.

mod common;

use common::{Node, file, folder, run, run_with_stdin};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

fn at(name: &str) -> String {
    format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))
}

/// One test at a time fetches tools and builds guests.
static WORKBENCH: Mutex<()> = Mutex::new(());

/// What a program says, with the tools of a language at the front of PATH. None where they cannot be had.
fn with_tools(language: &str, command: &mut Command) -> Option<Output> {
    let _one = WORKBENCH.lock().unwrap_or_else(PoisonError::into_inner);
    let found = Command::new(at("examples/guests/tools"))
        .arg(language)
        .output()
        .expect("a shell runs it");
    let said = String::from_utf8_lossy(&found.stderr);
    if found.status.code() == Some(3) {
        // Past the test harness, which keeps what tests print that pass.
        let _ = writeln!(std::io::stderr(), "\nNOT RUN, {}", said.trim());
        return None;
    }
    assert!(found.status.success(), "{language}: {said}");
    let folder = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    if language != "rust" && !folder.is_empty() {
        command.env("PATH", format!("{folder}:{path}"));
    }
    let said = command.output().expect("the program starts");
    assert!(said.status.success(), "{language}: {said:?}");
    Some(said)
}

/// The commands of a README that build: those between what is installed once and what needs `swarmctl`.
fn build_commands(readme: &str) -> String {
    let (_, block) = readme.split_once("```sh\n").expect("it has commands");
    let (block, _) = block.split_once("```").expect("they end");
    let is_of_the_build = |line: &&str| {
        let other = ["apt-get", "npm", "pip", "rustup", "swarmctl", "cargo test"];
        !other.iter().any(|word| line.starts_with(word))
    };
    let lines: Vec<&str> = block.lines().filter(is_of_the_build).collect();
    // npx would look for a package of the project's own.
    lines.join("\n").replace("npx ", "")
}

/// Makes a project, builds it as its README says, runs it on a node, and has it answer twice.
fn a_new_agent_builds_and_answers(language: &str, is_changed: impl Fn(String) -> String) {
    let folder = folder();
    let project = folder.path().join(language);
    let to = project.display().to_string();
    run(&[
        "new", "agent", "teller", "--lang", language, "--folder", &to,
    ])
    .expect(0);
    let readme = std::fs::read_to_string(project.join("README.md")).expect("it has one");
    let commands = is_changed(build_commands(&readme));
    let mut build = Command::new("sh");
    build.args(["-euc", &commands]).current_dir(&project);
    if with_tools(language, &mut build).is_none() {
        return;
    }
    let manifest = project.join("swarm.toml").display().to_string();
    let component = project.join(component_of(&manifest)).display().to_string();
    let said = run(&["wasm", "inspect", &component, "-o", "json"]);
    assert_eq!(said.expect(0).json()["needs"], json!(["messaging = {}"]));
    let node = Node::up(&[&manifest]);
    for expected in ["(1)", "(2)"] {
        let said = node.run(&["actor", "call", "/agent", "hello", "--text"]);
        let said = said.expect(0).stdout;
        let is_right = said.contains("hello") && said.contains(expected);
        assert!(is_right, "{language}: {said}");
    }
}

/// The file that a project's manifest names.
fn component_of(manifest: &str) -> String {
    let text = std::fs::read_to_string(manifest).expect("it is there");
    let (_, rest) = text.split_once("wasm = \"").expect("it names a component");
    rest.split_once('"').expect("the name ends").0.to_owned()
}

#[test]
fn a_new_agent_in_c_builds_and_answers() {
    a_new_agent_builds_and_answers("c", |commands| commands);
}

#[test]
fn a_new_agent_in_javascript_builds_and_answers() {
    a_new_agent_builds_and_answers("js", |commands| commands);
}

#[test]
fn a_new_agent_in_python_builds_and_answers() {
    a_new_agent_builds_and_answers("python", |commands| commands);
}

#[test]
fn a_new_agent_in_rust_builds_and_answers() {
    // The same cargo, or the one for machines that rustup's server does not answer; what it depends on is built once for all runs.
    let cargo = at("examples/guests/cargo");
    let built = at("target/guests/new-agent");
    a_new_agent_builds_and_answers("rust", |commands| {
        let there = "target/wasm32-unknown-unknown/release";
        let commands = commands.replace("cargo ", &format!("CARGO_TARGET_DIR={built} {cargo} "));
        format!(
            "{commands}\nmkdir -p {there}\ncp {built}/wasm32-unknown-unknown/release/*.wasm {there}"
        )
    });
}

/// `count` jobs that count words, some of them beyond ASCII.
fn jobs(count: usize) -> String {
    let mut jobs = String::new();
    for id in 0..count {
        let input = "wörd 日本\u{3000}🎉 \"\\\t\n".repeat(id % 20);
        writeln!(
            jobs,
            "{}",
            json!({"id": id, "task": "word-count", "input": input})
        )
        .expect("a String takes all text");
    }
    jobs
}

/// Has the workers of an example count words under chaos; each kind must have done its share, and the counts agree.
fn the_work_is_shared(manifest: &str, count: usize, rate: &str, kinds: &[&str]) {
    let folder = folder();
    let jobs = file(&folder, "jobs.jsonl", &jobs(count));
    let said = run(&[
        "dispatch",
        &jobs,
        "--to",
        "workers",
        "--manifest",
        &at(manifest),
        "--chaos",
        rate,
        "--seed",
        "1",
        "--verify",
    ])
    .expect(0);
    let results = said.lines();
    assert_eq!(results.len(), count);
    for kind in kinds {
        let path = json!(format!("/pool/{kind}"));
        let by = results.iter().filter(|result| result["worker"] == path);
        assert!(by.count() > 10, "{kind}");
    }
    let equal = format!("equal: all {count} counts agree");
    assert!(said.stderr.contains(&equal), "{}", said.stderr);
}

#[test]
fn workers_in_four_languages_share_the_work_and_their_counts_agree_under_chaos() {
    let kinds = ["native", "rust", "c", "js"];
    the_work_is_shared("examples/dispatch/languages.toml", 600, "20/s", &kinds);
}

#[test]
#[ignore = "compiles 18 MB: a minute of computing time without optimisation; .ci/nightly runs it"]
fn a_worker_in_python_shares_the_work_of_all_languages_and_the_counts_agree_under_chaos() {
    let mut build = Command::new(at("examples/guests/build"));
    if with_tools("python", build.arg("python")).is_none() {
        return;
    }
    let kinds = ["native", "rust", "c", "js", "python"];
    the_work_is_shared("examples/dispatch/all-languages.toml", 600, "20/s", &kinds);
}

/// Two workers of one guest with little memory, and jobs that ask for the worst between jobs that do not.
fn what_loops_or_eats_costs_its_own_jobs_only(component: &str, class: &str) {
    let folder = folder();
    let manifest = format!(
        "[supervisor.\"/\"]\nintensity = 100000\nperiod = \"1s\"\n\
         [agent.\"/guest\"]\nwasm = {:?}\nclass = {class:?}\nreplicas = 2\ngroups = [\"workers\"]\n\
         grants = {{ messaging = {{}} }}\nlimits = {{ memory = \"32MiB\", turn_cpu = \"2s\" }}\n",
        at(component)
    );
    let manifest = file(&folder, "swarm.toml", &manifest);
    let bad = r#"{"id":"loop","task":"loop"}
{"id":"eat","task":"eat-memory"}
{"id":"odd","task":"no-such-task"}
"#;
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
    let said = run_with_stdin(&arguments, &format!("{bad}{}", jobs(60))).expect(8);
    let results = said.lines();
    assert_eq!(results.len(), 63);
    for result in &results {
        assert_eq!(result["ok"], !result["id"].is_string(), "{result}");
    }
    let why = |id: &str| {
        let result = results.iter().find(|result: &&Value| result["id"] == id);
        result.expect("each job has a result").to_string()
    };
    assert!(why("loop").contains("limit(cpu)"), "{}", why("loop"));
    assert!(why("odd").contains("unknown task"), "{}", why("odd"));
}

#[test]
fn a_guest_in_c_that_loops_or_eats_costs_its_own_jobs_and_no_other() {
    what_loops_or_eats_costs_its_own_jobs_only(
        "examples/guests/word-count-c/word-count.wasm",
        "default",
    );
}

#[test]
fn a_guest_in_javascript_that_loops_or_eats_costs_its_own_jobs_and_no_other() {
    what_loops_or_eats_costs_its_own_jobs_only(
        "examples/guests/word-count-js/word-count.wasm",
        "interpreter",
    );
}

/// A file of the examples that says how it is built says what builds it here.
#[test]
fn the_readmes_of_examples_have_the_commands_that_build_them() {
    let build = std::fs::read_to_string(at("examples/guests/build")).expect("it is there");
    for (guest, tool) in [
        ("word-count-c", "clang --target=wasm32-wasi"),
        ("word-count-js", "componentize-qjs --sync"),
        ("word-count-python", "componentize-py -d wit"),
    ] {
        let readme = at(&format!("examples/guests/{guest}/README.md"));
        let readme = std::fs::read_to_string(Path::new(&readme)).expect("it is there");
        for text in [&readme, &build] {
            assert!(text.contains(tool), "{guest}");
        }
    }
}
