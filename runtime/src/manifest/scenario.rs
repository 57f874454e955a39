//! A manifest as a what-if scenario: the same supervisors, with children that do what the script says.

use super::{Agent, Child, ChildPolicy, Children, Declaration, Manifest, Supervisor};
use std::time::Duration;
use swarm_protocols::Path;
use swarm_supervisors::scenario::{
    AutoShutdownWord, CallScript, CallWord, ChildScript, Entry, ExitWord, Happening, MS_MAX,
    RestartWord, Scenario, ShutdownWord, StartWord, StrategyWord, SupervisorScript,
};
use swarm_supervisors::{AutoShutdown, Restart, Shutdown, Strategy};

/// When the deaths happen: on a whole second, long after the start, which takes no virtual time.
const CRASH_AT_MS: u64 = 1_000;
/// How many children a scenario may have. It is played step by step and read by people.
const CHILDREN_MAX: u64 = 100_000;

/// Why a manifest makes no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioFromManifestError {
    /// Nothing is declared at the path that is to crash.
    #[error("the manifest declares no actor {path}")]
    NoSuchActor {
        /// The path.
        path: Path,
    },
    /// The root has nobody above it that would react.
    #[error("the root has no supervisor that would react to its death")]
    Root,
    /// Too many children.
    #[error("the manifest starts {agents} agents, a scenario has at most {CHILDREN_MAX}")]
    TooManyChildren {
        /// How many there are.
        agents: u64,
    },
}

impl Manifest {
    /// The scenario in which the actors at `crash` die at the same instant, in this order: agents by a crash, supervisors by
    /// a kill. Every start succeeds and every stop is prompt.
    ///
    /// # Errors
    /// [`ScenarioFromManifestError`].
    pub fn to_scenario(&self, crash: &[Path]) -> Result<Scenario, ScenarioFromManifestError> {
        let agents = self.root.agents_at_start();
        if agents > CHILDREN_MAX {
            return Err(ScenarioFromManifestError::TooManyChildren { agents });
        }
        let mut script = Vec::new();
        start_instances(&self.root, &mut script);
        for path in crash {
            if path.is_root() {
                return Err(ScenarioFromManifestError::Root);
            }
            let reason = match self.find(path) {
                Some(Declaration::Supervisor(_)) => ExitWord::Kill,
                Some(Declaration::Agent(_) | Declaration::Template(_)) => ExitWord::Crash,
                None => return Err(ScenarioFromManifestError::NoSuchActor { path: path.clone() }),
            };
            script.push(Entry {
                at_ms: CRASH_AT_MS,
                what: Happening::Exit {
                    id: id_of(path),
                    reason,
                },
            });
        }
        Ok(Scenario {
            supervisor: supervisor_script(&self.root),
            script,
        })
    }
}

/// A path as scenarios write it: without the slash in front.
fn id_of(path: &Path) -> String {
    path.as_str().trim_start_matches('/').to_owned()
}

/// The instances of templates are started by calls, as the node does after the tree is up.
fn start_instances(supervisor: &Supervisor, script: &mut Vec<Entry>) {
    match &supervisor.children {
        Children::Template { agent, instances } => {
            script.extend((1..=*instances).map(|n| Entry {
                at_ms: 0,
                what: Happening::Call(CallScript {
                    call: CallWord::StartChild,
                    id: format!("{}-{n}", id_of(&agent.path)),
                    spec: None,
                }),
            }));
        }
        Children::Static(children) => {
            for child in children {
                if let Child::Supervisor(inner) = child {
                    start_instances(inner, script);
                }
            }
        }
    }
}

/// What is longer than a scenario can last is as good as the longest.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(MS_MAX)
        .min(MS_MAX)
}

fn supervisor_script(supervisor: &Supervisor) -> SupervisorScript {
    let mut children = Vec::new();
    match &supervisor.children {
        Children::Template { agent, .. } => children.extend(agent_scripts(agent)),
        Children::Static(declared) => {
            for child in declared {
                match child {
                    Child::Agent(agent) => children.extend(agent_scripts(agent)),
                    Child::Supervisor(inner) => children.push(ChildScript {
                        supervisor: Some(Box::new(supervisor_script(inner))),
                        ..child_script(&inner.path, &inner.child)
                    }),
                }
            }
        }
    }
    SupervisorScript {
        strategy: match supervisor.flags.strategy {
            Strategy::OneForOne => StrategyWord::OneForOne,
            Strategy::OneForAll => StrategyWord::OneForAll,
            Strategy::RestForOne => StrategyWord::RestForOne,
            Strategy::SimpleOneForOne => StrategyWord::SimpleOneForOne,
        },
        intensity: supervisor.flags.intensity,
        period_ms: ms(supervisor.flags.period),
        auto_shutdown: match supervisor.flags.auto_shutdown {
            AutoShutdown::Never => AutoShutdownWord::Never,
            AutoShutdown::AnySignificant => AutoShutdownWord::AnySignificant,
            AutoShutdown::AllSignificant => AutoShutdownWord::AllSignificant,
        },
        children,
    }
}

fn agent_scripts(agent: &Agent) -> Vec<ChildScript> {
    agent
        .paths()
        .map(|path| child_script(&path, &agent.child))
        .collect()
}

fn child_script(path: &Path, policy: &ChildPolicy) -> ChildScript {
    ChildScript {
        id: path
            .name()
            .map_or_else(String::new, |name| name.to_string()),
        restart: match policy.restart {
            Restart::Permanent => RestartWord::Permanent,
            Restart::Transient => RestartWord::Transient,
            Restart::Temporary => RestartWord::Temporary,
        },
        shutdown: Some(match policy.shutdown {
            Shutdown::BrutalKill => ShutdownWord::BrutalKill,
            Shutdown::Infinity => ShutdownWord::Infinity,
            Shutdown::Timeout(time) => ShutdownWord::Ms(ms(time)),
        }),
        significant: policy.significant,
        start: vec![StartWord::Ok],
        stop_ms: 0,
        supervisor: None,
    }
}
