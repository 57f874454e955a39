//! From checked declarations to the tree.

use super::declared::{Declared, DeclaredAgent, DeclaredChild, DeclaredSupervisor};
use super::reader::Span;
use super::tree::{Agent, Child, ChildPolicy, Children, Code, Supervisor, TurnDeadline};
use std::collections::HashMap;
use swarm_actors::OnNameConflict;
use swarm_protocols::Path;
use swarm_supervisors::{Restart, Shutdown, Strategy, SupervisorFlags};

/// Builds the tree of declarations that have no problem.
pub(super) fn build(declared: Declared) -> Supervisor {
    enum Entry {
        Supervisor(Box<DeclaredSupervisor>),
        Agent(Box<DeclaredAgent>),
    }
    let mut root = None;
    let mut entries: Vec<(usize, Path, Entry)> = Vec::new();
    for supervisor in declared.supervisors {
        match supervisor.path.parent() {
            None => root = Some(supervisor),
            Some(parent) => entries.push((
                supervisor.span.start,
                parent,
                Entry::Supervisor(Box::new(supervisor)),
            )),
        }
    }
    for agent in declared.agents {
        if let Some(parent) = agent.path.parent() {
            entries.push((agent.span.start, parent, Entry::Agent(Box::new(agent))));
        }
    }
    entries.sort_by_key(|(at, _, _)| *at);
    let mut below: HashMap<Path, Vec<Entry>> = HashMap::new();
    for (_, parent, entry) in entries {
        below.entry(parent).or_default().push(entry);
    }

    fn children(
        path: &Path,
        strategy: Strategy,
        below: &mut HashMap<Path, Vec<Entry>>,
    ) -> Children {
        let mut list = Vec::new();
        for entry in below.remove(path).unwrap_or_default() {
            match entry {
                Entry::Agent(declared) if strategy == Strategy::SimpleOneForOne => {
                    let instances = declared
                        .replicas
                        .as_ref()
                        .map_or(0, |replicas| replicas.value);
                    return Children::Template {
                        agent: Box::new(Agent {
                            replicas: None,
                            ..agent(*declared)
                        }),
                        instances,
                    };
                }
                Entry::Agent(declared) => list.push(Child::Agent(agent(*declared))),
                Entry::Supervisor(declared) => {
                    let strategy = declared
                        .strategy
                        .as_ref()
                        .map_or(Strategy::OneForOne, |s| s.value);
                    let inner = children(&declared.path, strategy, below);
                    list.push(Child::Supervisor(supervisor(*declared, inner)));
                }
            }
        }
        Children::Static(list)
    }

    let strategy = root
        .as_ref()
        .and_then(|root| root.strategy.as_ref())
        .map_or(Strategy::OneForOne, |strategy| strategy.value);
    match children(&Path::root(), strategy, &mut below) {
        Children::Static(list) => root_of(root, list),
        template @ Children::Template { .. } => Supervisor {
            children: template,
            ..root_of(root, Vec::new())
        },
    }
}

pub(super) fn root_of(declared: Option<DeclaredSupervisor>, children: Vec<Child>) -> Supervisor {
    let children = Children::Static(children);
    match declared {
        Some(declared) => supervisor(declared, children),
        None => Supervisor {
            path: Path::root(),
            flags: SupervisorFlags::default(),
            child: ChildPolicy {
                restart: Restart::Permanent,
                shutdown: Shutdown::Infinity,
                significant: false,
                restart_delay: None,
                start_timeout: None,
                place: None,
            },
            children,
        },
    }
}

fn supervisor(declared: DeclaredSupervisor, children: Children) -> Supervisor {
    let defaults = SupervisorFlags::default();
    Supervisor {
        path: declared.path,
        flags: SupervisorFlags {
            strategy: declared
                .strategy
                .map_or(defaults.strategy, |strategy| strategy.value),
            intensity: declared
                .intensity
                .map_or(defaults.intensity, |intensity| intensity.value),
            period: declared
                .period
                .map_or(defaults.period, |period| period.value),
            auto_shutdown: declared
                .auto_shutdown
                .map_or(defaults.auto_shutdown, |auto| auto.value),
            children_max: declared.children_max.map(|max| max.value),
            window: declared
                .window
                .map_or(defaults.window, |window| window.value),
        },
        child: policy(declared.child, Shutdown::Infinity),
        children,
    }
}

fn agent(declared: DeclaredAgent) -> Agent {
    Agent {
        path: declared.path,
        replicas: declared.replicas.map(|replicas| replicas.value),
        code: match (declared.wasm, declared.behaviour) {
            (Some(declared), _) => Code::Wasm(Box::new(declared.wasm)),
            (None, behaviour) => Code::Native(
                behaviour
                    .expect("a section without a behaviour was noted, so no tree is built")
                    .value,
            ),
        },
        config: declared.config,
        child: policy(declared.child, Shutdown::WORKER_DEFAULT),
        groups: declared.groups,
        registered: declared.registered.map(|registered| registered.value),
        on_name_conflict: declared
            .on_name_conflict
            .map_or(OnNameConflict::KeepLocal, |choice| choice.value),
        turn_deadline: match declared.turn_deadline.map(|deadline| deadline.value) {
            None => TurnDeadline::Default,
            Some(Span::Finite(duration)) => TurnDeadline::Within(duration),
            Some(Span::Infinite) => TurnDeadline::Unlimited,
        },
        sleep_after: declared.sleep_after.map(|idle| idle.value),
        dedicated: declared.dedicated.is_some_and(|dedicated| dedicated.value),
        mailbox: declared.mailbox,
    }
}

fn policy(declared: DeclaredChild, shutdown: Shutdown) -> ChildPolicy {
    ChildPolicy {
        restart: declared
            .restart
            .map_or(Restart::Permanent, |restart| restart.value),
        shutdown: declared
            .shutdown
            .map_or(shutdown, |shutdown| shutdown.value),
        significant: declared
            .significant
            .is_some_and(|significant| significant.value),
        restart_delay: declared.restart_delay.map(|delay| delay.value),
        start_timeout: declared.start_timeout.map(|timeout| timeout.value),
        place: declared.place.map(|place| place.value),
    }
}
