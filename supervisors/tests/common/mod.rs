//! What the tests of the table share: scenarios in few words, and puppets for what a scenario cannot say.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]

pub mod puppet;

use serde_json::{Value, json};
use swarm_supervisors::scenario::{Scenario, Step, run};

/// A scenario's steps, in a form that is easy to compare.
pub struct Trace(Vec<Step>);

/// Plays a scenario: a supervisor and a script.
pub fn play(supervisor: Value, script: Value) -> Trace {
    let text = json!({"supervisor": supervisor, "script": script}).to_string();
    let scenario = Scenario::from_json(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Trace(run(&scenario).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// A supervisor with intensity and period (in seconds), as the table writes it.
pub fn sup(strategy: &str, intensity: u32, period_s: u32, children: Value) -> Value {
    json!({"strategy": strategy, "intensity": intensity, "period_ms": period_s * 1000, "children": children})
}

/// `sup` with automatic shutdown.
pub fn auto(strategy: &str, auto_shutdown: &str, intensity: u32, children: Value) -> Value {
    json!({"strategy": strategy, "intensity": intensity, "period_ms": 3_600_000,
           "auto_shutdown": auto_shutdown, "children": children})
}

/// A permanent child that stops at once.
pub fn c(id: &str) -> Value {
    json!({"id": id, "shutdown": 1000})
}

/// A child with other settings.
pub fn with(id: &str, settings: Value) -> Value {
    let mut child = c(id);
    for (key, value) in settings.as_object().expect("settings are an object") {
        child[key] = value.clone();
    }
    child
}

pub fn exit(at_ms: u64, id: &str, reason: &str) -> Value {
    json!({"at_ms": at_ms, "exit": id, "reason": reason})
}

pub fn crash(at_ms: u64, id: &str) -> Value {
    exit(at_ms, id, "crash")
}

pub fn call(at_ms: u64, call: &str, id: &str) -> Value {
    json!({"at_ms": at_ms, "call": call, "id": id})
}

pub fn start(at_ms: u64, id: &str, spec: Value) -> Value {
    json!({"at_ms": at_ms, "call": "start_child", "id": id, "spec": spec})
}

pub fn which(at_ms: u64) -> Value {
    call(at_ms, "which_children", "/")
}

pub fn count(at_ms: u64) -> Value {
    call(at_ms, "count_children", "/")
}

pub fn stop(at_ms: u64) -> Value {
    json!({"at_ms": at_ms, "shutdown": true})
}

/// The answer of `count_children`.
pub fn counts(specs: u32, active: u32, supervisors: u32, workers: u32) -> Value {
    json!({"specs": specs, "active": active, "supervisors": supervisors, "workers": workers})
}

pub fn error(word: &str) -> Value {
    json!({ "error": word })
}

fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => panic!("{other:?} is no word"),
    }
}

fn line(step: &Step) -> String {
    let mut line = format!("{} {}", word(step.event), step.id);
    if let Some(incarnation) = step.incarnation {
        line += &format!("#{incarnation}");
    }
    if let Some(reason) = step.reason {
        line += &format!(" {}", word(reason));
    }
    if let Some(value) = &step.value {
        line += &format!(" {value}");
    }
    line
}

impl Trace {
    /// What happened at this time, one line per step.
    pub fn at(&self, ms: u64) -> Vec<String> {
        let steps = self.0.iter().filter(|step| step.t == ms);
        steps.map(line).collect()
    }

    /// What happened after this time, with the time in front.
    pub fn after(&self, ms: u64) -> Vec<String> {
        let steps = self.0.iter().filter(|step| step.t > ms);
        steps
            .map(|step| format!("{} {}", step.t, line(step)))
            .collect()
    }

    /// The value of the only result at this time.
    pub fn result(&self, ms: u64) -> Value {
        let mut results = self.results(ms);
        assert_eq!(results.len(), 1, "results at {ms}: {results:?}");
        results.remove(0)
    }

    /// The values of all results at this time.
    pub fn results(&self, ms: u64) -> Vec<Value> {
        let steps = self.0.iter().filter(|step| step.t == ms);
        steps.filter_map(|step| step.value.clone()).collect()
    }

    /// How often something happened to somebody, at any time.
    pub fn times(&self, event: &str, id: &str) -> usize {
        let wanted = |step: &&Step| word(step.event) == event && step.id == id;
        self.0.iter().filter(wanted).count()
    }

    /// When and how somebody ended, each time.
    pub fn ends(&self, id: &str) -> Vec<String> {
        let ends = self
            .0
            .iter()
            .filter(|step| word(step.event) == "exited" && step.id == id);
        ends.map(|step| format!("{} {}", step.t, word(step.reason)))
            .collect()
    }

    /// Whether the root is still there at the end of the script.
    pub fn root_lives(&self) -> bool {
        self.ends("/").is_empty()
    }
}
