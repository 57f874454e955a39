//! Random scenarios give the same steps here and on OTP's own supervisor, where Erlang is installed.
//!
//! Left out is what the OTP releases treat differently, what an Erlang process cannot see of itself (being told to stop, for a
//! supervisor), and what happens at one instant to two independent processes.

mod reference {
    pub(crate) mod generate;
}

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::process::Command;
use swarm_supervisors::scenario::{
    CallWord, ChildScript, Happening, Scenario, ShutdownWord, StartWord, StepEvent, StrategyWord,
    SupervisorScript, run,
};

/// How far apart the groups of entries are: no stop takes so long.
const GROUP_MS: u64 = 700;

/// Makes a random scenario one whose order OTP defines in every release.
fn tame(mut scenario: Scenario) -> Scenario {
    tame_supervisor(&mut scenario.supervisor);
    let simple: HashSet<String> = paths("", &scenario.supervisor)
        .into_iter()
        .filter(|(_, script)| script.strategy == StrategyWord::SimpleOneForOne)
        .map(|(path, _)| path)
        .collect();
    let parent = |id: &str| {
        id.rsplit_once('/')
            .map_or("", |(parent, _)| parent)
            .to_owned()
    };
    let mut group = 0;
    let mut last = None;
    let mut per_group: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in &mut scenario.script {
        if last != Some(entry.at_ms) {
            last = Some(entry.at_ms);
            group += 1;
        }
        entry.at_ms = group * GROUP_MS;
        *per_group.entry(entry.at_ms).or_default() += 1;
    }
    let supervisors: HashSet<String> = paths("", &scenario.supervisor)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let mut instances = HashSet::new();
    let mut ended = HashSet::new();
    scenario.script.retain_mut(|entry| match &mut entry.what {
        // The order in which the children of a killed supervisor die is open.
        Happening::Exit { id, .. } if id == "/" || supervisors.contains(id) => false,
        // Of two ends at once a kill comes first, whatever was asked for first.
        Happening::Exit { id, .. } => ended.insert((entry.at_ms, id.clone())),
        Happening::Shutdown => true,
        Happening::Call(call) => {
            let supervisor = parent(&call.id);
            if let Some(spec) = &mut call.spec {
                tame_child(spec, false);
            }
            match call.call {
                // OTP's instances have no names: each is used once here.
                CallWord::StartChild if simple.contains(&supervisor) => {
                    instances.insert(call.id.clone())
                }
                CallWord::TerminateChild if simple.contains(&supervisor) => {
                    per_group[&entry.at_ms] == 1
                }
                // What is running or alive at the very instant of the call is open.
                CallWord::WhichChildren | CallWord::CountChildren => {
                    let own = call.id.trim_matches('/');
                    per_group[&entry.at_ms] == 1
                        && (call.call == CallWord::CountChildren || !simple.contains(own))
                }
                CallWord::StartChild
                | CallWord::TerminateChild
                | CallWord::RestartChild
                | CallWord::DeleteChild => true,
            }
        }
    });
    scenario
}

fn tame_supervisor(script: &mut SupervisorScript) {
    // Real time must not matter to the window.
    script.period_ms = 3_600_000;
    let is_template = script.strategy == StrategyWord::SimpleOneForOne;
    for child in &mut script.children {
        tame_child(child, is_template);
        if is_template {
            // Supervisors that are stopped at once stop their children in an order that is open.
            child.supervisor = None;
        }
        if let Some(nested) = &mut child.supervisor {
            tame_supervisor(nested);
        }
    }
}

fn tame_child(child: &mut ChildScript, is_template: bool) {
    child.stop_ms = child.stop_ms.min(40);
    if child.supervisor.is_some() {
        child.shutdown = None;
    }
    for outcome in &mut child.start {
        // Before OTP 28 an instance that ignores its restart corrupts the supervisor (S102); one that never comes back leaves a
        // name that OTP does not know.
        if is_template && *outcome != StartWord::Ok {
            *outcome = if *outcome == StartWord::Ignore {
                StartWord::Ok
            } else {
                StartWord::Error
            };
        }
    }
}

fn paths<'a>(path: &str, script: &'a SupervisorScript) -> Vec<(String, &'a SupervisorScript)> {
    let mut all = vec![(path.to_owned(), script)];
    for child in &script.children {
        if let Some(nested) = &child.supervisor {
            all.extend(paths(&join(path, &child.id), nested));
        }
    }
    all
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" | "/" => name.to_owned(),
        path => format!("{path}/{name}"),
    }
}

fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => panic!("{other:?} is no word"),
    }
}

/// The Erlang term of a supervisor; each child gets a key of its own.
fn supervisor_term(script: &SupervisorScript, key: &mut u32) -> String {
    let children: Vec<String> = script
        .children
        .iter()
        .map(|child| child_term(child, key))
        .collect();
    format!(
        "{{sup,{},{},{},{},[{}]}}",
        word(script.strategy),
        script.intensity,
        script.period_ms.div_ceil(1000),
        word(script.auto_shutdown),
        children.join(",")
    )
}

fn child_term(child: &ChildScript, key: &mut u32) -> String {
    *key += 1;
    let own = *key;
    let starts: Vec<String> = child.start.iter().map(word).collect();
    format!(
        "{{child,\"{}\",{},{},{},[{}],{},{},{own}}}",
        child.id,
        word(child.restart),
        match child.shutdown {
            None => "default".to_owned(),
            Some(ShutdownWord::Ms(ms)) => ms.to_string(),
            Some(ShutdownWord::BrutalKill) => "brutal_kill".to_owned(),
            Some(ShutdownWord::Infinity) => "infinity".to_owned(),
        },
        child.significant,
        starts.join(","),
        child.stop_ms,
        child
            .supervisor
            .as_ref()
            .map_or("none".to_owned(), |nested| supervisor_term(nested, key)),
    )
}

fn scenario_term(n: usize, scenario: &Scenario) -> String {
    let mut key = 0;
    let root = supervisor_term(&scenario.supervisor, &mut key);
    let entries = scenario.script.iter().map(|entry| {
        let what = match &entry.what {
            Happening::Exit { id, reason } => format!("{{exit,\"{id}\",{}}}", word(reason)),
            Happening::Shutdown => "shutdown".to_owned(),
            Happening::Call(call) => {
                let (supervisor, name) = match call.call {
                    CallWord::WhichChildren | CallWord::CountChildren => (call.id.as_str(), ""),
                    _ => call.id.rsplit_once('/').unwrap_or(("/", &call.id)),
                };
                let spec = call
                    .spec
                    .as_ref()
                    .map_or("none".to_owned(), |spec| child_term(spec, &mut key));
                format!(
                    "{{call,{},\"{supervisor}\",\"{name}\",{spec}}}",
                    word(call.call)
                )
            }
        };
        format!("{{{},{what}}}", entry.at_ms)
    });
    let entries: Vec<String> = entries.collect();
    format!("{{{n},{root},[{}]}}", entries.join(","))
}

/// What Erlang prints for the same steps; answers apart, because a caller notes its answer when it gets to run.
fn split(lines: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut results, steps): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .partition(|line| line.starts_with("result "));
    results.sort();
    (steps, results)
}

/// What an Erlang supervisor does not see of itself, as lines: that it is told to stop. A worker that has the name of a
/// supervisor is not compared in this either.
fn told_supervisors(scenario: &Scenario) -> HashSet<String> {
    let steps = run(scenario).expect("it plays");
    let mut supervisors: Vec<String> = paths("", &scenario.supervisor)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    supervisors.push("/".to_owned());
    // And whoever has somebody below.
    let above = |id: &str| id.rsplit_once('/').map(|(above, _)| above.to_owned());
    supervisors.extend(steps.iter().filter_map(|step| above(&step.id)));
    supervisors
        .into_iter()
        .map(|id| format!("stopping {id}"))
        .collect()
}

fn ours(scenario: &Scenario) -> (Vec<String>, Vec<String>) {
    let hidden = told_supervisors(scenario);
    let steps = run(scenario).expect("it plays");
    split(steps.into_iter().filter_map(|step| {
        let id = &step.id;
        let reason = step.reason.map(word).unwrap_or_default();
        match step.event {
            StepEvent::GaveUp => None,
            StepEvent::Start | StepEvent::Started | StepEvent::Stopping => {
                Some(format!("{} {id}", word(step.event))).filter(|line| !hidden.contains(line))
            }
            StepEvent::StartFailed | StepEvent::Exited => {
                Some(format!("{} {id} {reason}", word(step.event)))
            }
            StepEvent::Result => Some(format!(
                "result {id} {}",
                shown(&step.value.expect("a result has a value"))
            )),
        }
    }))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Array(rows) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let rows: Vec<String> = rows
                .iter()
                .map(|row| format!("{}={}", text(&row[0]), text(&row[1])))
                .collect();
            rows.join(" ")
        }
        Value::Object(object) => match object.get("error") {
            Some(error) => error.as_str().unwrap_or_default().to_owned(),
            None => ["specs", "active", "supervisors", "workers"]
                .map(|key| object[key].to_string())
                .join(" "),
        },
        other => other.to_string(),
    }
}

/// Plays all on OTP; by number, the lines of each.
fn on_otp(scenarios: &[(usize, &Scenario)]) -> BTreeMap<usize, Vec<String>> {
    let folder = std::env::temp_dir().join(format!("swarm-otp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let terms: Vec<String> = scenarios
        .iter()
        .map(|(n, scenario)| scenario_term(*n, scenario))
        .collect();
    std::fs::write(
        folder.join("scenarios.term"),
        format!("[{}].\n", terms.join(",\n")),
    )
    .expect("written");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otp/whatif.erl");
    let compile = format!(
        "case compile:file(\"{source}\", [report]) of {{ok, _}} -> halt(0); _ -> halt(1) end."
    );
    let compiled = Command::new("erl")
        .current_dir(&folder)
        .args(["-noshell", "-eval", &compile])
        .output()
        .expect("erl runs");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stdout)
    );
    let played = Command::new("erl")
        .current_dir(&folder)
        .args([
            "+S",
            "1",
            "-noshell",
            "-run",
            "whatif",
            "main",
            "scenarios.term",
        ])
        .output()
        .expect("erl runs");
    let text = String::from_utf8_lossy(&played.stdout).into_owned();
    let mut all: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((n, line)) = line.split_once(' ')
            && let Ok(n) = n.parse()
        {
            all.entry(n).or_default().push(line.to_owned());
        }
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    all
}

/// `cargo test -p swarm-supervisors --test otp_differential -- --ignored`, with `OTP_CASES=n` for more.
#[test]
#[ignore = "needs Erlang, and takes real time"]
fn random_trees_behave_as_on_otp() {
    if Command::new("erl").arg("-version").output().is_err() {
        eprintln!("erl is not installed: nothing compared");
        return;
    }
    let cases = std::env::var("OTP_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(150);
    let mut runner = TestRunner::default();
    let scenarios: Vec<Scenario> = (0..cases)
        .map(|_| {
            let tree = reference::generate::scenario()
                .new_tree(&mut runner)
                .expect("a scenario");
            tame(tree.current())
        })
        .collect();
    let mut open: Vec<(usize, &Scenario)> = scenarios.iter().enumerate().collect();
    let mut failure = String::new();
    // Real time is what it is on a busy machine: what differs is played again.
    for _ in 0..3 {
        let theirs = on_otp(&open);
        failure.clear();
        open.retain(|(n, scenario)| {
            let (steps, results) = ours(scenario);
            let hidden = told_supervisors(scenario);
            let lines = theirs.get(n).cloned().unwrap_or_default();
            let seen = lines.into_iter().filter(|line| !hidden.contains(line));
            let (otp_steps, otp_results) = split(seen);
            let same = steps == otp_steps && results == otp_results;
            if !same && failure.len() < 20_000 {
                let at = (0..steps.len().max(otp_steps.len()))
                    .find(|at| steps.get(*at) != otp_steps.get(*at))
                    .unwrap_or(steps.len());
                let part = |steps: &[String]| steps[at.saturating_sub(8).min(steps.len())..(at + 8).min(steps.len())].join("\n  ");
                let _ = write!(
                    failure,
                    "\nscenario {}\nours from step {at}:\n  {}\nOTP:\n  {}\nour results:\n  {}\nOTP's:\n  {}\n",
                    serde_json::to_string(scenario).expect("JSON"),
                    part(&steps),
                    part(&otp_steps),
                    results.join("\n  "),
                    otp_results.join("\n  "),
                );
            }
            !same
        });
        if open.is_empty() {
            return;
        }
    }
    panic!("{} of {cases} scenarios differ: {failure}", open.len());
}
