//! Plays a scenario: lets happen what the script says, when it says so, and waits until nothing follows any more.

use crate::child::Child;
use crate::contain::Contained;
use crate::env::Env;
use crate::scenario::actors::{child_spec, root_start};
use crate::scenario::format::{CallScript, CallWord, Entry, ExitWord, Happening, Scenario};
use crate::scenario::stage::{Stage, Step, StepEvent};
use crate::scenario::{MS_MAX, ScenarioError};
use crate::supervisor::{
    Call, CallError, ChildEntry, ChildKey, ChildStarted, ChildState, Counts, Reply, Root,
    start_root_child,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Name};
use tokio::time::Instant;

/// Longer than anything in a scenario can take: when nothing was noted for so long, nothing will be.
const SILENCE: Duration = Duration::from_millis(2 * MS_MAX);

/// Plays a scenario to its end and returns every step in the order in which it happened. Takes no real time, has its own
/// thread and runtime, and gives the same steps each time.
///
/// # Errors
/// [`ScenarioError`] when the scenario is wrong or does not end.
pub fn run(scenario: &Scenario) -> Result<Vec<Step>, ScenarioError> {
    scenario.check()?;
    let scenario = scenario.clone();
    // A thread of its own, so that it can be called from within a runtime too.
    std::thread::Builder::new()
        .name("scenario".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .map_err(|error| ScenarioError::Player(error.to_string()))?;
            runtime.block_on(play(scenario))
        })
        .map_err(|error| ScenarioError::Player(error.to_string()))?
        .join()
        .unwrap_or_else(|panic| {
            let reason = crate::supervisor::panic_reason(&*panic);
            Err(ScenarioError::Player(reason.to_string()))
        })
}

async fn play(scenario: Scenario) -> Result<Vec<Step>, ScenarioError> {
    let stage = Stage::new(Instant::now());
    let env = Env::seeded(0)
        .with_origin(stage.origin())
        .with_observer(stage.clone());
    let start = root_start(&stage, &scenario.supervisor)
        .map_err(|error| ScenarioError::Player(error.to_string()))?;
    // The script begins when the start is over. A start that fails takes as long as those who had been started need to stop.
    let root = tokio::select! {
        biased;
        root = start_root_child(env, &start) => root.ok(),
        () = perform(&stage, None, Vec::new(), Until::Overflow) => None,
    };
    let mut script = scenario.script;
    script.sort_by_key(|entry| entry.at_ms);
    perform(&stage, root.as_ref(), script, Until::Silence).await;
    let too_many = stage.had_too_many();
    let steps = stage.close();
    drop(root);
    if too_many {
        return Err(ScenarioError::TooManySteps);
    }
    Ok(steps)
}

/// When to leave the stage.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// When there are too many steps.
    Overflow,
    /// When nothing follows any more, too.
    Silence,
}

async fn perform(stage: &Arc<Stage>, root: Option<&Root>, script: Vec<Entry>, until: Until) {
    let mut script = script.into_iter().peekable();
    while !stage.had_too_many() {
        let next_entry = script
            .peek()
            .map(|entry| stage.origin() + Duration::from_millis(entry.at_ms));
        let next = [next_entry, stage.next_due()].into_iter().flatten().min();
        let noted = stage.steps();
        tokio::select! {
            biased;
            () = stage.changed.notified() => {}
            () = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + SILENCE)) => {
                let now = Instant::now();
                if next.is_none() && stage.steps() == noted && until == Until::Silence {
                    return;
                }
                for child in stage.take_due(now) {
                    child.exit(ExitReason::SHUTDOWN);
                }
                while let Some(entry) = script.next_if(|entry| {
                    stage.origin() + Duration::from_millis(entry.at_ms) <= now
                }) {
                    happen(stage, root, entry.what);
                }
            }
        }
    }
}

fn happen(stage: &Arc<Stage>, root: Option<&Root>, what: Happening) {
    match what {
        Happening::Exit { id, reason } => exit(stage, &id, reason),
        Happening::Call(call) => make_call(stage, &call),
        Happening::Shutdown => {
            if let Some(root) = root {
                root.supervisor().signal();
            }
        }
    }
}

fn exit(stage: &Stage, id: &str, reason: ExitWord) {
    let id = match id.trim_matches('/') {
        "" => "/",
        id => id,
    };
    if let Some(worker) = stage.worker(id) {
        worker.exit(match reason {
            ExitWord::Normal => ExitReason::Normal,
            ExitWord::Shutdown => ExitReason::SHUTDOWN,
            ExitWord::Crash => ExitReason::error_text("crash"),
            ExitWord::Kill => ExitReason::Killed,
        });
    } else if reason == ExitWord::Kill
        && let Some(supervisor) = stage.supervisor(id)
    {
        supervisor.kill();
    }
}

fn make_call(stage: &Arc<Stage>, call: &CallScript) {
    let supervisor_id = match call.supervisor() {
        "" => "/",
        id => id,
    };
    let id = result_id(call, supervisor_id);
    let Some(supervisor) = stage.supervisor(supervisor_id) else {
        note_result(stage, &id, error_value(&CallError::NoProc));
        return;
    };
    let Ok(name) = Name::new(call.child_name()).or_else(|_| Name::new("none")) else {
        unreachable!("a word is a name");
    };
    let key = ChildKey::Name(name.clone());
    supervisor.post_call(match call.call {
        CallWord::StartChild => match &call.spec {
            Some(script) => match child_spec(stage, script, name.as_str(), false) {
                Ok(spec) => {
                    Call::StartChild(Contained::new(Box::new(spec)), started_from_spec(stage, id))
                }
                Err(_) => {
                    note_result(stage, &id, json!({"error": "invalid"}));
                    return;
                }
            },
            None => Call::StartInstance(Some(name), None, started(stage, id)),
        },
        CallWord::RestartChild => Call::Restart(key, started(stage, id)),
        CallWord::TerminateChild => Call::Terminate(key, done(stage, id)),
        CallWord::DeleteChild => Call::Delete(key, done(stage, id)),
        CallWord::WhichChildren => {
            Call::WhichChildren(reply(stage, id, |children: Vec<ChildEntry>| {
                let rows = children.into_iter().map(|child| {
                    let state = match child.state {
                        ChildState::Running(_) => "running",
                        ChildState::Stopped => "stopped",
                        ChildState::Restarting => "restarting",
                    };
                    json!([child.name, state])
                });
                Value::Array(rows.collect())
            }))
        }
        CallWord::CountChildren => Call::CountChildren(reply(stage, id, |counts: Counts| {
            json!({
                "specs": counts.specs,
                "active": counts.active,
                "supervisors": counts.supervisors,
                "workers": counts.workers,
            })
        })),
    });
}

fn result_id(call: &CallScript, supervisor: &str) -> String {
    match call.call {
        CallWord::WhichChildren | CallWord::CountChildren => supervisor.to_owned(),
        CallWord::StartChild
        | CallWord::TerminateChild
        | CallWord::RestartChild
        | CallWord::DeleteChild => match supervisor {
            "/" => call.child_name().to_owned(),
            supervisor => format!("{supervisor}/{}", call.child_name()),
        },
    }
}

fn started(stage: &Arc<Stage>, id: String) -> Reply<ChildStarted> {
    reply(stage, id, |started: ChildStarted| match started.pid {
        Some(_) => json!("ok"),
        None => json!("ignore"),
    })
}

/// A spec where a template is makes no sense.
fn started_from_spec(stage: &Arc<Stage>, id: String) -> Reply<ChildStarted> {
    let reply = started(stage, id);
    Reply::new(move |answer| {
        reply.send(answer.map_err(|error| match error {
            CallError::SimpleOneForOne => CallError::NotSimpleOneForOne,
            other => other,
        }));
    })
}

fn done(stage: &Arc<Stage>, id: String) -> Reply<()> {
    reply(stage, id, |()| json!("ok"))
}

/// An answer that becomes a step at the moment in which it is given.
fn reply<T: 'static>(
    stage: &Arc<Stage>,
    id: String,
    show: impl FnOnce(T) -> Value + Send + 'static,
) -> Reply<T> {
    let stage = stage.clone();
    Reply::new(move |answer| {
        let value = match answer {
            Ok(answer) => show(answer),
            Err(error) => error_value(&error),
        };
        note_result(&stage, &id, value);
    })
}

fn note_result(stage: &Stage, id: &str, value: Value) {
    stage.note(StepEvent::Result, id, None, None, Some(value));
}

fn error_value(error: &CallError) -> Value {
    let word = match error {
        CallError::AlreadyStarted(_) => "already_started",
        CallError::AlreadyPresent => "already_present",
        CallError::Running => "running",
        CallError::Restarting => "restarting",
        CallError::NotFound => "not_found",
        CallError::SimpleOneForOne => "simple_one_for_one",
        CallError::StartFailed(_) => "start_failed",
        CallError::NoProc => "noproc",
        CallError::Full { .. } => "full",
        CallError::Invalid(_) | CallError::NotSimpleOneForOne | CallError::Temporary => "invalid",
    };
    json!({ "error": word })
}
