//! `place = { … }`: children that may run on any node of the cluster; and `[cluster]`: how they move, and what a partition does to them.

use super::BehaviourCatalogue;
use super::declared::{Declared, DeclaredAgent, DeclaredChild};
use super::problem::Problems;
use super::reader::{Located, Section, quoted, type_of};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use swarm_actors::OnNameConflict;
use swarm_cluster::partition::{self, PartitionParameters};
use swarm_cluster::placement::{
    DECLARED_MAX, LABELS_MAX, Labels, Mode, PLACED_MAX, PlacementParameters,
};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{Restart, Strategy};
use toml::de::DeValue;

const MODES: [(&str, Mode); 3] = [
    ("any", Mode::Any),
    ("spread", Mode::Spread),
    ("each-node", Mode::EachNode),
];

/// The longest time that a view must have been stable for. Longer, and nobody would wait for it.
const STABLE_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Moves per second of one node. A start costs some hundred microseconds, so more would be none of a bound.
const MOVES_MAX: u32 = 10_000;
/// Members that a quorum may ask for.
const QUORUM_MAX: u32 = 10_000;

/// Where in the cluster a child runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How it is spread over the nodes that may run it.
    pub mode: Mode,
    /// The labels that a node must have.
    pub labels: Labels,
}

/// What a manifest says of the cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// How placed children move.
    pub placement: PlacementParameters,
    /// What happens when some of the cluster cannot be seen.
    pub partition: PartitionParameters,
}

/// Reads `[cluster]`.
pub(super) fn cluster(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> ClusterSettings {
    let mut settings = ClusterSettings::default();
    if let Some(mut table) = section.section(problems, "placement") {
        let placement = &mut settings.placement;
        if let Some(after) = bounded(&mut table, problems, "stable_after", STABLE_AFTER_MAX) {
            placement.stable_after = after;
        }
        if let Some(moves) = table.integer(problems, "moves_per_second", 1..=MOVES_MAX) {
            placement.moves_per_second = moves.value;
        }
        table.finish(problems);
    }
    if let Some(table) = section.section(problems, "partition") {
        settings.partition = partition(table, problems);
    }
    section.finish(problems);
    settings
}

fn partition(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> PartitionParameters {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        None,
        KeepMajority,
        StaticQuorum,
    }
    let words = [
        ("none", Word::None),
        ("keep-majority", Word::KeepMajority),
        ("static-quorum", Word::StaticQuorum),
    ];
    let mut parameters = PartitionParameters::default();
    let word = table.choice(problems, "strategy", &words);
    let quorum = table.integer(problems, "quorum", 1..=QUORUM_MAX);
    if let Some(after) = bounded(&mut table, problems, "stable_after", STABLE_AFTER_MAX) {
        parameters.stable_after = after;
    }
    parameters.strategy = match (word, quorum) {
        (Some(word), Some(quorum)) if word.value == Word::StaticQuorum => {
            partition::Strategy::StaticQuorum { size: quorum.value }
        }
        (Some(word), None) if word.value == Word::StaticQuorum => {
            if table.get("quorum").is_none() {
                let message = "needs `quorum`: more than half of the nodes that there will ever be";
                let suggestion = Some("quorum = 2".to_owned());
                problems.note(&word.span, table.key_of("strategy"), message, suggestion);
            }
            partition::Strategy::None
        }
        (_, Some(quorum)) => {
            problems.note(
                &quorum.span,
                table.key_of("quorum"),
                "only with strategy = \"static-quorum\"",
                None,
            );
            partition::Strategy::None
        }
        (Some(word), None) if word.value == Word::KeepMajority => partition::Strategy::KeepMajority,
        (_, None) => partition::Strategy::None,
    };
    table.finish(problems);
    parameters
}

/// A duration above zero and not above `max`.
pub(super) fn bounded(
    table: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    entry: &'static str,
    max: Duration,
) -> Option<Duration> {
    let found = table.duration(problems, entry)?;
    if found.value > max {
        problems.note(
            &found.span,
            table.key_of(entry),
            format!("at most {}", crate::duration::show_duration(max)),
            None,
        );
        return None;
    }
    Some(found.value)
}

/// Reads the entry `place` of a child.
pub(super) fn place(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<Located<Place>> {
    let mut table = section.section(problems, "place")?;
    let span = table.span.clone();
    let mode = table.choice(problems, "mode", &MODES);
    let labels = labels(&mut table, problems, "labels");
    table.finish(problems);
    Some(Located {
        value: Place {
            mode: mode.map_or(Mode::Any, |mode| mode.value),
            labels: labels.map(|labels| labels.value).unwrap_or_default(),
        },
        span,
    })
}

/// Reads a table of labels: `{ zone = "a", disk = "ssd" }`.
pub(super) fn labels(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    entry: &'static str,
) -> Option<Located<Labels>> {
    let value = section.get(entry)?;
    let span = value.span();
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("expected a table, found {}", type_of(value.get_ref()));
        let suggestion = Some(format!("{entry} = {{ zone = \"a\" }}"));
        problems.note(&span, section.key_of(entry), message, suggestion);
        return None;
    };
    let mut found = BTreeMap::new();
    for (key, value) in Section::entries(table) {
        let at = section.key_of(&format!("{entry}.{}", quoted(key.get_ref())));
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("expected a string, found {}", type_of(value.get_ref()));
            problems.note(&value.span(), at, message, Some("\"yes\"".to_owned()));
            continue;
        };
        match (Name::new(key.get_ref()), Name::new(text)) {
            (Ok(name), Ok(value)) => {
                found.insert(name, value);
            }
            (Err(error), _) => problems.note(&key.span(), at, error.to_string(), None),
            (_, Err(error)) => problems.note(&value.span(), at, error.to_string(), None),
        }
    }
    match Labels::try_from(found) {
        Ok(value) => Some(Located { value, span }),
        Err(_) => {
            let message = format!("more than {LABELS_MAX} labels");
            problems.note(&span, section.key_of(entry), message, None);
            None
        }
    }
}

/// A child with a place, as the checks see it.
struct Placed<'d> {
    path: &'d Path,
    key: String,
    place: &'d Located<Place>,
    child: &'d DeclaredChild,
    replicas: Option<u32>,
}

/// Checks what no section shows by itself.
pub(super) fn check(
    declared: &Declared,
    strategy: &dyn Fn(&Path) -> Option<Strategy>,
    catalogue: &dyn BehaviourCatalogue,
    problems: &mut Problems<'_>,
) {
    let placed = placed(declared);
    if placed.is_empty() {
        return;
    }
    for placed in &placed {
        check_one(placed, strategy, problems);
    }
    let by_path: BTreeMap<&Path, &Placed<'_>> = placed.iter().map(|p| (p.path, p)).collect();
    let above = |path: &Path| {
        let mut above = path.parent();
        while let Some(path) = above {
            if let Some(placed) = by_path.get(&path) {
                return Some(*placed);
            }
            above = path.parent();
        }
        None
    };
    for inner in &placed {
        if let Some(outer) = above(inner.path) {
            let message = format!(
                "{} has a place already, and what is below it goes with it",
                outer.path
            );
            problems.note(&inner.place.span, &inner.key, message, None);
        }
    }
    for agent in &declared.agents {
        let own = || by_path.get(&agent.path).copied();
        if let Some(placed) = above(&agent.path).or_else(own) {
            check_agent(agent, placed, catalogue, problems);
        }
    }
    check_size(&placed, problems);
}

fn placed(declared: &Declared) -> Vec<Placed<'_>> {
    let supervisors = declared.supervisors.iter().filter_map(|supervisor| {
        Some(Placed {
            path: &supervisor.path,
            key: format!("{}.place", supervisor.key),
            place: supervisor.child.place.as_ref()?,
            child: &supervisor.child,
            replicas: None,
        })
    });
    let agents = declared.agents.iter().filter_map(|agent| {
        Some(Placed {
            path: &agent.path,
            key: format!("{}.place", agent.key),
            place: agent.child.place.as_ref()?,
            child: &agent.child,
            replicas: agent.replicas.as_ref().map(|replicas| replicas.value),
        })
    });
    supervisors.chain(agents).collect()
}

fn check_one(
    placed: &Placed<'_>,
    strategy: &dyn Fn(&Path) -> Option<Strategy>,
    problems: &mut Problems<'_>,
) {
    let mut note = |span: &Range<usize>, message: String, suggestion: Option<&str>| {
        problems.note(span, &placed.key, message, suggestion.map(str::to_owned));
    };
    let span = &placed.place.span;
    if let Some(parent) = placed.path.parent()
        && let Some(strategy) = strategy(&parent)
        && strategy != Strategy::OneForOne
    {
        note(
            span,
            format!(
                "{parent} restarts its children together or makes them from a template, so they are on one node; a child of a one_for_one supervisor may have a place, or {parent} itself"
            ),
            None,
        );
    }
    if let Some(restart) = &placed.child.restart
        && restart.value != Restart::Permanent
    {
        note(
            &restart.span,
            "impossible together with `place`: other nodes would start again what has ended for good".to_owned(),
            Some("restart = \"permanent\""),
        );
    }
    if placed.place.value.mode == Mode::EachNode && placed.replicas.is_some() {
        note(
            span,
            "impossible together with replicas: each node has one".to_owned(),
            Some("mode = \"spread\""),
        );
    }
}

fn check_agent(
    agent: &DeclaredAgent,
    placed: &Placed<'_>,
    catalogue: &dyn BehaviourCatalogue,
    problems: &mut Problems<'_>,
) {
    let durable_by_behaviour = agent
        .behaviour
        .as_ref()
        .filter(|behaviour| catalogue.is_durable(behaviour.value.as_str()))
        .map(|behaviour| &behaviour.span);
    let durable_by_setting = agent
        .wasm
        .as_ref()
        .filter(|declared| declared.wasm.durable.is_some())
        .and_then(|declared| declared.durable_span.as_ref());
    if let Some(span) = durable_by_behaviour.or(durable_by_setting) {
        problems.note(
            span,
            &placed.key,
            format!(
                "{} is durable: it stays at the node that has its journal",
                agent.path
            ),
            None,
        );
    }
    if let Some(choice) = &agent.on_name_conflict
        && choice.value != OnNameConflict::KeepLocal
    {
        problems.note(
            &choice.span,
            format!("{}.on_name_conflict", agent.key),
            "impossible together with `place`: what is placed is stopped where it is not placed, and its name follows",
            Some("on_name_conflict = \"keep-local\"".to_owned()),
        );
    }
    if let Some(registered) = &agent.registered
        && placed.place.value.mode == Mode::EachNode
    {
        problems.note(
            &registered.span,
            &placed.key,
            "impossible together with `registered`: only one of the cluster's agents can have a name",
            Some("groups".to_owned()),
        );
    }
}

fn check_size(placed: &[Placed<'_>], problems: &mut Problems<'_>) {
    let mut count = 0_u32;
    for (at, placed) in placed.iter().enumerate() {
        count = count.saturating_add(placed.replicas.unwrap_or(1));
        if count > PLACED_MAX || at >= DECLARED_MAX {
            problems.note(
                &placed.place.span,
                &placed.key,
                format!("more than {PLACED_MAX} children with a place, or {DECLARED_MAX} declarations of them, up to here"),
                None,
            );
            return;
        }
    }
}
