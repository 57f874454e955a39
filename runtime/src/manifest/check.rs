//! What no section shows by itself: who stands below whom, which names are taken, which settings exclude each other.

use super::bounds;
use super::build::{build, root_of};
use super::declared::{Declared, DeclaredAgent, DeclaredChild, DeclaredSupervisor};
use super::place;
use super::problem::{Problems, closest};
use super::tree::{Supervisor, WhenFull};
use super::{BehaviourCatalogue, ConfigFault};
use std::collections::HashMap;
use std::ops::Range;
use swarm_protocols::{Name, Path};
use swarm_supervisors::{AutoShutdown, Restart, Strategy};

/// How deep a tree may be.
const DEPTH_MAX: usize = 32;
/// How many agents one manifest may start.
const AGENTS_MAX: u64 = 1_000_000;

/// Checks the relations and builds the tree. The tree is only good when no problem was noted.
pub(super) fn check(
    declared: Declared,
    catalogue: &dyn BehaviourCatalogue,
    problems: &mut Problems<'_>,
) -> Supervisor {
    let shape = Shape::of(&declared, problems);
    for supervisor in &declared.supervisors {
        check_supervisor(supervisor, &shape, problems);
    }
    for agent in &declared.agents {
        check_agent(agent, &shape, catalogue, problems);
    }
    check_registered(&declared.agents, problems);
    place::check(&declared, &|path| shape.strategy(path), catalogue, problems);
    check_replica_names(&declared, &shape, problems);
    check_size(&declared.agents, problems);
    bounds::check(&declared, problems);
    if !problems.is_empty() {
        return root_of(None, Vec::new());
    }
    build(declared)
}

/// Who is declared, by path.
struct Shape<'d> {
    supervisors: HashMap<Path, &'d DeclaredSupervisor>,
    agents: HashMap<Path, &'d DeclaredAgent>,
}

impl<'d> Shape<'d> {
    fn of(declared: &'d Declared, problems: &mut Problems<'_>) -> Self {
        let supervisors: HashMap<_, _> = declared
            .supervisors
            .iter()
            .map(|s| (s.path.clone(), s))
            .collect();
        let agents: HashMap<_, _> = declared
            .agents
            .iter()
            .map(|a| (a.path.clone(), a))
            .collect();
        for agent in &declared.agents {
            if let Some(supervisor) = supervisors.get(&agent.path) {
                note_taken(
                    problems,
                    &agent.path,
                    (&agent.span, &agent.key),
                    (&supervisor.span, "supervisor"),
                    "an agent",
                );
            }
        }
        Self {
            supervisors,
            agents,
        }
    }

    /// The flags of the supervisor at `path`; the root exists undeclared.
    fn strategy(&self, path: &Path) -> Option<Strategy> {
        match self.supervisors.get(path) {
            Some(supervisor) => Some(
                supervisor
                    .strategy
                    .as_ref()
                    .map_or(Strategy::OneForOne, |s| s.value),
            ),
            None => path.is_root().then_some(Strategy::OneForOne),
        }
    }

    fn auto_shutdown(&self, path: &Path) -> AutoShutdown {
        self.supervisors
            .get(path)
            .and_then(|supervisor| supervisor.auto_shutdown.as_ref())
            .map_or(AutoShutdown::Never, |auto| auto.value)
    }
}

fn note_taken(
    problems: &mut Problems<'_>,
    path: &Path,
    agent: (&Range<usize>, &str),
    other: (&Range<usize>, &str),
    what: &str,
) {
    let line = problems.line(other.0);
    problems.note(
        agent.0,
        agent.1,
        format!(
            "{path} is declared as {what} and, in line {line}, as a {}",
            other.1
        ),
        Some("another name for one of them".to_owned()),
    );
}

fn check_supervisor(
    supervisor: &DeclaredSupervisor,
    shape: &Shape<'_>,
    problems: &mut Problems<'_>,
) {
    let key = |entry: &str| format!("{}.{entry}", supervisor.key);
    let strategy = supervisor
        .strategy
        .as_ref()
        .map_or(Strategy::OneForOne, |s| s.value);
    if let Some(auto) = &supervisor.auto_shutdown
        && strategy == Strategy::SimpleOneForOne
        && auto.value != AutoShutdown::Never
    {
        problems.note(
            &auto.span,
            key("auto_shutdown"),
            "impossible together with strategy = \"simple_one_for_one\": its children are alike, none is significant",
            Some("auto_shutdown = \"never\"".to_owned()),
        );
    }
    if strategy == Strategy::SimpleOneForOne {
        check_template(supervisor, shape, problems);
    }
    if supervisor.path.is_root() {
        let child = &supervisor.child;
        let stated = [
            ("restart", child.restart.as_ref().map(|l| &l.span)),
            ("shutdown", child.shutdown.as_ref().map(|l| &l.span)),
            ("significant", child.significant.as_ref().map(|l| &l.span)),
            (
                "restart_delay",
                child.restart_delay.as_ref().map(|l| &l.span),
            ),
            (
                "start_timeout",
                child.start_timeout.as_ref().map(|l| &l.span),
            ),
            ("place", child.place.as_ref().map(|l| &l.span)),
        ];
        for (entry, span) in stated {
            if let Some(span) = span {
                problems.note(
                    span,
                    key(entry),
                    "the root has no supervisor above it that could heed this",
                    None,
                );
            }
        }
        return;
    }
    check_place(
        &supervisor.path,
        &supervisor.span,
        &supervisor.key,
        shape,
        problems,
    );
    if let Some(parent) = supervisor.path.parent()
        && shape.strategy(&parent) == Some(Strategy::SimpleOneForOne)
    {
        problems.note(
            &supervisor.span,
            &supervisor.key,
            format!("{parent} is simple_one_for_one, its template is an agent, not a supervisor"),
            None,
        );
    }
    check_significant(
        &supervisor.child,
        &supervisor.path,
        &supervisor.key,
        shape,
        problems,
    );
}

/// A simple_one_for_one supervisor has exactly one agent below it: its template.
fn check_template(supervisor: &DeclaredSupervisor, shape: &Shape<'_>, problems: &mut Problems<'_>) {
    let mut templates: Vec<_> = shape
        .agents
        .values()
        .filter(|agent| agent.path.parent().as_ref() == Some(&supervisor.path))
        .collect();
    templates.sort_by_key(|agent| agent.span.start);
    match templates.as_slice() {
        [] => problems.note(
            &supervisor.span,
            &supervisor.key,
            "a simple_one_for_one supervisor needs a template: one agent below it",
            Some(format!(
                "[agent.\"{}/worker\"]",
                supervisor.path.as_str().trim_end_matches('/')
            )),
        ),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                problems.note(
                    &other.span,
                    &other.key,
                    format!(
                        "{} is simple_one_for_one and has its one template already, in line {}",
                        supervisor.path,
                        problems.line(&first.span)
                    ),
                    Some("strategy = \"one_for_one\"".to_owned()),
                );
            }
        }
    }
}

fn check_agent(
    agent: &DeclaredAgent,
    shape: &Shape<'_>,
    catalogue: &dyn BehaviourCatalogue,
    problems: &mut Problems<'_>,
) {
    if agent.path.is_root() {
        problems.note(
            &agent.span,
            &agent.key,
            "the root is a supervisor, not an agent",
            Some("[supervisor.\"/\"]".to_owned()),
        );
    } else {
        check_place(&agent.path, &agent.span, &agent.key, shape, problems);
        check_significant(&agent.child, &agent.path, &agent.key, shape, problems);
    }
    let is_template = agent
        .path
        .parent()
        .and_then(|parent| shape.strategy(&parent))
        == Some(Strategy::SimpleOneForOne);
    if let Some(registered) = &agent.registered
        && (agent.replicas.is_some() || is_template)
    {
        let why = if is_template {
            "a template"
        } else {
            "replicas"
        };
        problems.note(
            &registered.span,
            format!("{}.registered", agent.key),
            format!("impossible together with {why}: only one agent can have a name"),
            Some(format!("groups = [{:?}]", registered.value.as_str())),
        );
    }
    if let Some(choice) = &agent.on_name_conflict
        && agent.registered.is_none()
    {
        problems.note(
            &choice.span,
            format!("{}.on_name_conflict", agent.key),
            "of no use without `registered`: it has no name to lose",
            None,
        );
    }
    if let Some(declared) = &agent.wasm
        && let Err(fault) = catalogue.check_wasm(&declared.wasm)
    {
        let key = fault.key.as_deref().unwrap_or("wasm");
        let span = match &declared.durable_span {
            Some(span) if key == "durable" => span,
            _ => &declared.span,
        };
        let key = format!("{}.{key}", agent.key);
        problems.note(span, key, fault.message, fault.suggestion);
    }
    if let Some(declared) = &agent.wasm
        && declared.wasm.durable.is_some()
        && agent.mailbox.when_full == WhenFull::DropOldest
    {
        problems.note(
            &agent.span,
            format!("{}.mailbox.when_full", agent.key),
            "impossible together with `durable`: a durable agent's mailbox drops nothing",
            Some("when_full = \"wait\"".to_owned()),
        );
    }
    if let Some(behaviour) = &agent.behaviour {
        let names = catalogue.names();
        if !names.contains(&behaviour.value.as_str()) {
            let suggestion = match closest(behaviour.value.as_str(), names.iter().copied()) {
                Some(name) => format!("{name:?}"),
                None => format!("one of {}", names.join(", ")),
            };
            problems.note(
                &behaviour.span,
                format!("{}.behaviour", agent.key),
                format!(
                    "there is no behaviour {:?} in this program",
                    behaviour.value.as_str()
                ),
                Some(suggestion),
            );
        } else if agent.config.is_object()
            && let Err(ConfigFault {
                key,
                message,
                suggestion,
            }) = catalogue.check(behaviour.value.as_str(), &agent.config)
        {
            let key = match key {
                Some(key) => format!("{}.config.{key}", agent.key),
                None => format!("{}.config", agent.key),
            };
            problems.note(&agent.config_span, key, message, suggestion);
        }
    }
}

/// Its parent must be a declared supervisor.
fn check_place(
    path: &Path,
    span: &Range<usize>,
    key: &str,
    shape: &Shape<'_>,
    problems: &mut Problems<'_>,
) {
    let depth = path.segments().count();
    if depth > DEPTH_MAX {
        problems.note(
            span,
            key,
            format!("{depth} levels deep, a tree has at most {DEPTH_MAX}"),
            None,
        );
        return;
    }
    let Some(parent) = path.parent() else {
        return;
    };
    if shape.strategy(&parent).is_some() {
        return;
    }
    let (message, suggestion) = if shape.agents.contains_key(&parent) {
        (
            format!("{parent} is an agent; only supervisors have children"),
            format!("[supervisor.{:?}]", parent.as_str()),
        )
    } else {
        let mut paths: Vec<&str> = shape.supervisors.keys().map(Path::as_str).collect();
        paths.sort_unstable();
        let suggestion = match closest(parent.as_str(), paths) {
            Some(near) if near != "/" => {
                let name = path
                    .name()
                    .map_or_else(String::new, |name| name.as_str().to_owned());
                format!(
                    "{near}/{name}, or a section [supervisor.{:?}]",
                    parent.as_str()
                )
            }
            _ => format!("a section [supervisor.{:?}]", parent.as_str()),
        };
        (format!("there is no supervisor {parent}"), suggestion)
    };
    problems.note(span, key, message, Some(suggestion));
}

/// otp.md S34 and S35.
fn check_significant(
    child: &DeclaredChild,
    path: &Path,
    key: &str,
    shape: &Shape<'_>,
    problems: &mut Problems<'_>,
) {
    let Some(significant) = child
        .significant
        .as_ref()
        .filter(|significant| significant.value)
    else {
        return;
    };
    let restart = child
        .restart
        .as_ref()
        .map_or(Restart::Permanent, |restart| restart.value);
    if restart == Restart::Permanent {
        let message = if child.restart.is_some() {
            "impossible together with restart = \"permanent\": such a child never ends for good"
        } else {
            "impossible without `restart`: permanent is the default, and such a child never ends for good"
        };
        problems.note(
            &significant.span,
            format!("{key}.significant"),
            message,
            Some("restart = \"transient\"".to_owned()),
        );
    }
    let Some(parent) = path.parent() else {
        return;
    };
    if shape.auto_shutdown(&parent) == AutoShutdown::Never {
        problems.note(
            &significant.span,
            format!("{key}.significant"),
            format!("impossible while auto_shutdown of {parent} is \"never\""),
            Some(format!(
                "auto_shutdown = \"any_significant\" in [supervisor.{:?}]",
                parent.as_str()
            )),
        );
    }
}

fn check_registered(agents: &[DeclaredAgent], problems: &mut Problems<'_>) {
    let mut taken: HashMap<&Name, &Range<usize>> = HashMap::new();
    for agent in agents {
        let Some(registered) = &agent.registered else {
            continue;
        };
        match taken.get(&registered.value) {
            None => {
                taken.insert(&registered.value, &registered.span);
            }
            Some(first) => {
                let line = problems.line(first);
                problems.note(
                    &registered.span,
                    format!("{}.registered", agent.key),
                    format!(
                        "the name {:?} is taken in line {line}",
                        registered.value.as_str()
                    ),
                    None,
                );
            }
        }
    }
}

/// The replicas of an agent take the names `NAME-1` … beside it.
fn check_replica_names(declared: &Declared, shape: &Shape<'_>, problems: &mut Problems<'_>) {
    // Every declared path is looked at once; the replicas, which may be many, are not spelled out.
    let replicated: Vec<&DeclaredAgent> = declared
        .agents
        .iter()
        .filter(|agent| agent.replicas.is_some())
        .collect();
    for agent in &replicated {
        let replicas = agent.replicas.as_ref().map_or(1, |replicas| replicas.value);
        if Path::new(&format!("{}-{replicas}", agent.path)).is_err() {
            problems.note(
                &agent.span,
                &agent.key,
                format!("the replica's name {}-{replicas} is too long", agent.path),
                None,
            );
        }
    }
    let taken = declared
        .supervisors
        .iter()
        .map(|supervisor| (&supervisor.path, &supervisor.span, &supervisor.key))
        .chain(
            declared
                .agents
                .iter()
                .filter(|agent| agent.replicas.is_none())
                .map(|agent| (&agent.path, &agent.span, &agent.key)),
        );
    for (path, span, key) in taken {
        let Some((stem, number)) = path.as_str().rsplit_once('-') else {
            continue;
        };
        let Some(owner) = Path::new(stem)
            .ok()
            .and_then(|stem| shape.agents.get(&stem).copied())
        else {
            continue;
        };
        let Some(replicas) = &owner.replicas else {
            continue;
        };
        let is_replica = number
            .parse::<u32>()
            .is_ok_and(|n| n.to_string() == number && (1..=replicas.value).contains(&n));
        if is_replica {
            let line = problems.line(&owner.span);
            problems.note(
                span,
                key,
                format!("{path} is also a replica of {} in line {line}", owner.path),
                Some("another name for one of them".to_owned()),
            );
        }
    }
}

fn check_size(agents: &[DeclaredAgent], problems: &mut Problems<'_>) {
    let mut total = 0_u64;
    for agent in agents {
        total += u64::from(agent.replicas.as_ref().map_or(1, |replicas| replicas.value));
        if total > AGENTS_MAX {
            problems.note(
                &agent.span,
                &agent.key,
                format!("more than {AGENTS_MAX} agents up to here"),
                None,
            );
            return;
        }
    }
}
