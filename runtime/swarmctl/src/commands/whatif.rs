//! `whatif`: what would happen, played on the real supervisors in virtual time.

use super::manifest;
use crate::cli::Whatif;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use std::io::{self, Read};
use std::path::Path as FilePath;
use swarm_protocols::Path;
use swarm_runtime::manifest::{
    Agent, Child, ChildPolicy, Children, Declaration, Manifest, Supervisor,
};
use swarm_supervisors::scenario::{
    self, AutoShutdownWord, CallScript, CallWord, ChildScript, Entry, ExitWord, Happening,
    RestartWord, Scenario, ShutdownWord, StartWord, Step, StrategyWord, SupervisorScript,
};
use swarm_supervisors::{AutoShutdown, Restart, Shutdown, Strategy};

/// The longest scenario that is read.
const SCENARIO_BYTES_MAX: u64 = 64 << 20;

/// When the first crash happens, and how long after the one before each of the others does. Short against any period, so
/// that all of them count in one.
const CRASH_INTERVAL_MS: u64 = 10;

pub(crate) async fn run(output: Output, asked: &Whatif) -> Result<ExitStatus, Stop> {
    let scenario = match (&asked.manifest, &asked.scenario) {
        (Some(file), _) => {
            let manifest = manifest::load(file, ExitStatus::Usage)?;
            of_manifest(&manifest, file, &asked.crash)?
        }
        (None, scenario) => read(scenario.as_deref().unwrap_or(FilePath::new("-")))?,
    };
    let played = tokio::task::spawn_blocking(move || scenario::run(&scenario)).await;
    let steps = match played {
        Ok(Ok(steps)) => steps,
        Ok(Err(error)) => return Err(bad_scenario(&error.to_string()).into()),
        Err(error) => return Err(bad_scenario(&error.to_string()).into()),
    };
    output.list(&steps, || table(&steps))?;
    Ok(ExitStatus::Done)
}

fn table(steps: &[Step]) -> Table {
    let mut table = Table::new(&[
        ("MS", Align::Right),
        ("EVENT", Align::Left),
        ("ID", Align::Left),
        ("LIFE", Align::Right),
        ("REASON", Align::Left),
        ("VALUE", Align::Left),
    ]);
    for step in steps {
        table.row(vec![
            step.t.to_string(),
            word(&step.event),
            step.id.clone(),
            step.incarnation.map(|n| n.to_string()).unwrap_or_default(),
            step.reason.as_ref().map(word).unwrap_or_default(),
            step.value
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ]);
    }
    table
}

/// The word that stands for it in JSON.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

fn read(file: &FilePath) -> Result<Scenario, Failure> {
    let mut text = String::new();
    let mut input: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        let opened = std::fs::File::open(file);
        Box::new(opened.map_err(|error| Failure::file("read the scenario", file, &error))?)
    };
    let read = input
        .by_ref()
        .take(SCENARIO_BYTES_MAX + 1)
        .read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => bad_scenario("it is not UTF-8 text"),
        _ => Failure::file("read the scenario", file, &error),
    })?;
    if text.len() as u64 > SCENARIO_BYTES_MAX {
        return Err(bad_scenario(&format!(
            "it has more than {SCENARIO_BYTES_MAX} bytes"
        )));
    }
    Scenario::from_json(&text).map_err(|error| bad_scenario(&error.to_string()))
}

fn bad_scenario(why: &str) -> Failure {
    Failure::new(
        ExitStatus::Usage,
        "bad-scenario",
        why,
        r#"a scenario such as {"supervisor":{"strategy":"one_for_one","children":[{"id":"a"}]},"script":[{"at_ms":10,"exit":"a","reason":"crash"}]}"#,
    )
}

/// The manifest's tree, in which these actors crash one after the other.
fn of_manifest(
    manifest: &Manifest,
    file: &FilePath,
    crashes: &[String],
) -> Result<Scenario, Failure> {
    let mut instances = Vec::new();
    let supervisor = supervisor_script(&manifest.root, &mut instances);
    let mut script: Vec<Entry> = instances
        .into_iter()
        .map(|id| Entry {
            at_ms: 0,
            what: Happening::Call(CallScript {
                call: CallWord::StartChild,
                id,
                spec: None,
            }),
        })
        .collect();
    let mut at_ms = CRASH_INTERVAL_MS;
    for crash in crashes {
        let path = Path::new(crash).map_err(|error| {
            Failure::usage(
                format!("--crash {crash:?}: {error}"),
                "--crash /pool/worker-1",
            )
        })?;
        let is_replica = is_replica(manifest, &path);
        let reason = match manifest.find(&path) {
            Some(Declaration::Supervisor(_)) => ExitWord::Kill,
            Some(Declaration::Agent(agent)) if agent.replicas.is_none() => ExitWord::Crash,
            Some(Declaration::Template(_)) => ExitWord::Crash,
            _ if is_replica => ExitWord::Crash,
            Some(Declaration::Agent(_)) | None => {
                return Err(Failure::new(
                    ExitStatus::NotFound,
                    "no-such-actor",
                    format!("{} declares no {path}", file.display()),
                    one_of(&paths(&manifest.root)),
                ));
            }
        };
        script.push(Entry {
            at_ms,
            what: Happening::Exit {
                id: relative(&path),
                reason,
            },
        });
        at_ms += CRASH_INTERVAL_MS;
    }
    Ok(Scenario { supervisor, script })
}

/// A path as scenarios write it: without the leading slash.
fn relative(path: &Path) -> String {
    match path.as_str().trim_start_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// The ids of an agent's replicas, or its own.
fn ids(agent: &Agent) -> Vec<String> {
    let name = agent
        .path
        .name()
        .map(|name| name.to_string())
        .unwrap_or_default();
    match agent.replicas {
        None => vec![name],
        Some(replicas) => (1..=replicas).map(|n| format!("{name}-{n}")).collect(),
    }
}

/// The paths of all static actors that can crash.
fn paths(supervisor: &Supervisor) -> Vec<String> {
    let base = supervisor.path.as_str().trim_end_matches('/');
    match &supervisor.children {
        Children::Template { agent, .. } => ids(agent)
            .into_iter()
            .map(|id| format!("{base}/{id}-1"))
            .collect(),
        Children::Static(children) => children
            .iter()
            .flat_map(|child| match child {
                Child::Agent(agent) => ids(agent)
                    .into_iter()
                    .map(|id| format!("{base}/{id}"))
                    .collect(),
                Child::Supervisor(inner) => {
                    let mut found = vec![inner.path.to_string()];
                    found.extend(paths(inner));
                    found
                }
            })
            .collect(),
    }
}

/// How many paths are named to somebody who named a wrong one.
const PATHS_NAMED: usize = 8;

fn one_of(paths: &[String]) -> String {
    let named = paths[..paths.len().min(PATHS_NAMED)].join(", ");
    match paths.len() {
        0 => "a manifest with agents in it".to_owned(),
        n if n > PATHS_NAMED => format!("one of {named}, … ({n} in all)"),
        _ => format!("one of {named}"),
    }
}

fn is_replica(manifest: &Manifest, path: &Path) -> bool {
    paths(&manifest.root)
        .iter()
        .any(|known| known == path.as_str())
}

/// The supervisor as a scenario has it. Ids of instances that are started after it are added to `instances`.
fn supervisor_script(supervisor: &Supervisor, instances: &mut Vec<String>) -> SupervisorScript {
    let children = match &supervisor.children {
        Children::Template {
            agent,
            instances: count,
        } => {
            let name = agent
                .path
                .name()
                .map(|name| name.to_string())
                .unwrap_or_default();
            let base = relative(&supervisor.path);
            let base = if base == "/" {
                String::new()
            } else {
                format!("{base}/")
            };
            instances.extend((1..=*count).map(|n| format!("{base}{name}-{n}")));
            vec![child_script(name, &agent.child, None)]
        }
        Children::Static(children) => children
            .iter()
            .flat_map(|child| match child {
                Child::Agent(agent) => ids(agent)
                    .into_iter()
                    .map(|id| child_script(id, &agent.child, None))
                    .collect(),
                Child::Supervisor(inner) => {
                    let id = inner
                        .path
                        .name()
                        .map(|name| name.to_string())
                        .unwrap_or_default();
                    let script = supervisor_script(inner, instances);
                    vec![child_script(id, &inner.child, Some(Box::new(script)))]
                }
            })
            .collect(),
    };
    let flags = &supervisor.flags;
    SupervisorScript {
        strategy: match flags.strategy {
            Strategy::OneForOne => StrategyWord::OneForOne,
            Strategy::OneForAll => StrategyWord::OneForAll,
            Strategy::RestForOne => StrategyWord::RestForOne,
            Strategy::SimpleOneForOne => StrategyWord::SimpleOneForOne,
        },
        intensity: flags.intensity,
        period_ms: u64::try_from(flags.period.as_millis()).unwrap_or(u64::MAX),
        auto_shutdown: match flags.auto_shutdown {
            AutoShutdown::Never => AutoShutdownWord::Never,
            AutoShutdown::AnySignificant => AutoShutdownWord::AnySignificant,
            AutoShutdown::AllSignificant => AutoShutdownWord::AllSignificant,
        },
        children,
    }
}

fn child_script(
    id: String,
    policy: &ChildPolicy,
    supervisor: Option<Box<SupervisorScript>>,
) -> ChildScript {
    ChildScript {
        id,
        restart: match policy.restart {
            Restart::Permanent => RestartWord::Permanent,
            Restart::Transient => RestartWord::Transient,
            Restart::Temporary => RestartWord::Temporary,
        },
        shutdown: Some(match policy.shutdown {
            Shutdown::BrutalKill => ShutdownWord::BrutalKill,
            Shutdown::Infinity => ShutdownWord::Infinity,
            Shutdown::Timeout(time) => {
                ShutdownWord::Ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
            }
        }),
        significant: policy.significant,
        start: vec![StartWord::Ok],
        stop_ms: 0,
        supervisor,
    }
}
