//! The sections of a manifest, each read by itself: types, names and ranges are right, relations are not yet checked.

use super::json;
use super::place::{self, ClusterSettings, Place};
use super::problem::Problems;
use super::reader::{Located, Section, Span, quoted, type_of};
use super::tools::{self, ToolSettings};
use super::tree::{Mailbox, OnCrash, WhenFull};
use super::wasm::{self, DeclaredWasm};
use crate::config::{self, LogFormat};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path as FilePath;
use std::time::Duration;
use swarm_actors::{OnNameConflict, SERVICES_PATH, is_service};
use swarm_cluster::placement::Labels;
use swarm_protocols::{Name, Path};
use swarm_supervisors::{AutoShutdown, Backoff, Restart, Shutdown, Strategy, Window};
use toml::de::{DeTable, DeValue};

const STRATEGIES: [(&str, Strategy); 4] = [
    ("one_for_one", Strategy::OneForOne),
    ("one_for_all", Strategy::OneForAll),
    ("rest_for_one", Strategy::RestForOne),
    ("simple_one_for_one", Strategy::SimpleOneForOne),
];

const AUTO_SHUTDOWNS: [(&str, AutoShutdown); 3] = [
    ("never", AutoShutdown::Never),
    ("any_significant", AutoShutdown::AnySignificant),
    ("all_significant", AutoShutdown::AllSignificant),
];

const WINDOWS: [(&str, Window); 2] = [
    ("whole-seconds", Window::WholeSeconds),
    ("exact", Window::Exact),
];

const RESTARTS: [(&str, Restart); 3] = [
    ("permanent", Restart::Permanent),
    ("transient", Restart::Transient),
    ("temporary", Restart::Temporary),
];

const WHEN_FULL: [(&str, WhenFull); 3] = [
    ("wait", WhenFull::Wait),
    ("fail", WhenFull::Fail),
    ("drop-oldest", WhenFull::DropOldest),
];

const ON_NAME_CONFLICT: [(&str, OnNameConflict); 3] = [
    ("keep-local", OnNameConflict::KeepLocal),
    ("stop", OnNameConflict::Stop),
    ("hand-over", OnNameConflict::HandOver),
];

const ON_CRASH: [(&str, OnCrash); 2] = [("keep", OnCrash::Keep), ("drop", OnCrash::Drop)];

/// Instances of one agent. A node holds a million sleeping agents, so this is not where the bound of memory is.
const REPLICAS_MAX: u32 = 1_000_000;
/// Messages in one mailbox.
const CAPACITY_MAX: u32 = 1_000_000;
/// Deliveries of one message after the first.
const REDELIVER_MAX: u32 = 255;
/// Restarts within a period. OTP has no bound; this one only keeps the number in its type.
const INTENSITY_MAX: u32 = u32::MAX;

/// The longest delay before a restart when only the first is given.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);

/// Everything that a text declares.
pub(super) struct Declared {
    pub(super) node: NodeSettings,
    pub(super) tools: ToolSettings,
    pub(super) cluster: ClusterSettings,
    pub(super) supervisors: Vec<DeclaredSupervisor>,
    pub(super) agents: Vec<DeclaredAgent>,
}

/// A setting as the file states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated<T> {
    /// The value.
    pub value: T,
    /// The line that says so.
    pub line: usize,
}

/// The table `[node]`: settings of the process, overridden by environment and flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// The node's name.
    pub name: Option<Stated<Name>>,
    /// The data folder, as written.
    pub data: Option<Stated<String>>,
    /// Where other nodes reach this one.
    pub listen: Option<Stated<SocketAddr>>,
    /// What other nodes are told to connect to.
    pub advertise: Option<Stated<String>>,
    /// What it is labelled with.
    pub labels: Option<Stated<Labels>>,
    /// How many agents it has at most.
    pub agents_max: Option<Stated<u32>>,
    /// Where the API answers.
    pub api: Option<Stated<SocketAddr>>,
    /// What is logged, as a filter.
    pub log: Option<Stated<String>>,
    /// How it is written.
    pub log_format: Option<Stated<LogFormat>>,
    /// How long an ordered stop may take.
    pub shutdown_deadline: Option<Stated<Duration>>,
    /// Whether the process ends with 1 when the tree fails.
    pub exit_on_tree_failure: Option<Stated<bool>>,
}

/// How a child is treated by its supervisor.
pub(super) struct DeclaredChild {
    pub(super) restart: Option<Located<Restart>>,
    pub(super) shutdown: Option<Located<Shutdown>>,
    pub(super) significant: Option<Located<bool>>,
    pub(super) restart_delay: Option<Located<Backoff>>,
    pub(super) start_timeout: Option<Located<Duration>>,
    pub(super) place: Option<Located<Place>>,
}

pub(super) struct DeclaredSupervisor {
    pub(super) path: Path,
    /// The place of the path in the text.
    pub(super) span: Range<usize>,
    pub(super) key: String,
    pub(super) strategy: Option<Located<Strategy>>,
    pub(super) intensity: Option<Located<u32>>,
    pub(super) period: Option<Located<Duration>>,
    pub(super) window: Option<Located<Window>>,
    pub(super) auto_shutdown: Option<Located<AutoShutdown>>,
    pub(super) children_max: Option<Located<u32>>,
    pub(super) child: DeclaredChild,
}

pub(super) struct DeclaredAgent {
    pub(super) path: Path,
    pub(super) span: Range<usize>,
    pub(super) key: String,
    pub(super) behaviour: Option<Located<Name>>,
    pub(super) wasm: Option<Box<DeclaredWasm>>,
    pub(super) replicas: Option<Located<u32>>,
    pub(super) child: DeclaredChild,
    pub(super) groups: Vec<Name>,
    pub(super) registered: Option<Located<Name>>,
    pub(super) on_name_conflict: Option<Located<OnNameConflict>>,
    pub(super) turn_deadline: Option<Located<Span>>,
    pub(super) sleep_after: Option<Located<Duration>>,
    pub(super) dedicated: Option<Located<bool>>,
    pub(super) mailbox: Mailbox,
    pub(super) config: serde_json::Value,
    pub(super) config_span: Range<usize>,
}

/// Reads a whole document.
pub(super) fn read(
    document: &DeTable<'_>,
    folder: &FilePath,
    problems: &mut Problems<'_>,
) -> Declared {
    let mut root = Section::new("", 0..0, document);
    let node = root
        .section(problems, "node")
        .map(|section| node(section, problems))
        .unwrap_or_default();
    let tools = tools::read(&mut root, problems);
    let cluster = root
        .section(problems, "cluster")
        .map(|section| place::cluster(section, problems))
        .unwrap_or_default();
    let mut supervisors = Vec::new();
    for_each_path(
        &mut root,
        problems,
        "supervisor",
        |path, span, section, problems| {
            supervisors.push(supervisor(path, span, section, problems));
        },
    );
    let mut agents = Vec::new();
    for_each_path(
        &mut root,
        problems,
        "agent",
        |path, span, section, problems| {
            agents.push(agent(path, span, section, folder, problems));
        },
    );
    root.finish(problems);
    Declared {
        node,
        tools,
        cluster,
        supervisors,
        agents,
    }
}

/// Hands every `[kind."/path"]` with a good path to `read`.
fn for_each_path<'a, 'i, 't>(
    root: &mut Section<'a, 'i>,
    problems: &mut Problems<'t>,
    kind: &'static str,
    mut read: impl FnMut(Path, Range<usize>, Section<'a, 'i>, &mut Problems<'t>),
) {
    let Some(value) = root.get(kind) else {
        return;
    };
    let DeValue::Table(table) = value.get_ref() else {
        problems.note(
            &value.span(),
            kind,
            format!(
                "expected tables with paths, found {}",
                type_of(value.get_ref())
            ),
            Some(format!("[{kind}.\"/name\"]")),
        );
        return;
    };
    for (path_text, value) in Section::entries(table) {
        let key = format!("{kind}.{}", quoted(path_text.get_ref()));
        let span = path_text.span();
        let path = match Path::new(path_text.get_ref()) {
            Ok(path) => path,
            Err(error) => {
                let repaired = format!("/{}", path_text.get_ref().trim_matches('/').to_lowercase());
                let suggestion = Path::new(&repaired)
                    .ok()
                    .map(|_| format!("[{kind}.{repaired:?}]"));
                problems.note(&span, key, error.to_string(), suggestion);
                continue;
            }
        };
        if is_service(&path) {
            problems.note(
                &span,
                key,
                format!("{SERVICES_PATH} and what is below it are the node's own"),
                Some(format!("[{kind}.\"/app\"]")),
            );
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                let section = Section::new(key, span.clone(), table);
                read(path, span, section, problems);
            }
            other => problems.note(
                &value.span(),
                key,
                format!("expected a table, found {}", type_of(other)),
                None,
            ),
        }
    }
}

fn node(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> NodeSettings {
    fn stated<T>(problems: &Problems<'_>, found: Option<Located<T>>) -> Option<Stated<T>> {
        found.map(|located| Stated {
            line: problems.line(&located.span),
            value: located.value,
        })
    }
    fn checked<T>(
        section: &mut Section<'_, '_>,
        problems: &mut Problems<'_>,
        entry: &'static str,
        check: impl Fn(&str) -> Result<T, config::SettingError>,
    ) -> Option<Stated<T>> {
        let text = section.text(problems, entry)?;
        match check(text.value) {
            Ok(value) => stated(
                problems,
                Some(Located {
                    value,
                    span: text.span,
                }),
            ),
            Err(error) => {
                problems.note(
                    &text.span,
                    section.key_of(entry),
                    error.message,
                    error.suggestion,
                );
                None
            }
        }
    }

    let name = section.name(problems, "name");
    let labels = place::labels(&mut section, problems, "labels");
    let agents_max = section.integer(problems, "agents_max", 1..=REPLICAS_MAX);
    let shutdown_deadline = section.duration(problems, "shutdown_deadline");
    let exit_on_tree_failure = section.boolean(problems, "exit_on_tree_failure");
    let settings = NodeSettings {
        name: stated(problems, name),
        labels: stated(problems, labels),
        agents_max: stated(problems, agents_max),
        data: checked(&mut section, problems, "data", config::check_data),
        listen: checked(&mut section, problems, "listen", config::check_listen),
        advertise: checked(&mut section, problems, "advertise", config::check_advertise),
        api: checked(&mut section, problems, "api", config::check_api),
        log: checked(&mut section, problems, "log", config::check_log),
        log_format: checked(
            &mut section,
            problems,
            "log_format",
            config::check_log_format,
        ),
        shutdown_deadline: stated(problems, shutdown_deadline),
        exit_on_tree_failure: stated(problems, exit_on_tree_failure),
    };
    section.finish(problems);
    settings
}

fn supervisor(
    path: Path,
    span: Range<usize>,
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> DeclaredSupervisor {
    let window = section.choice(problems, "window", &WINDOWS);
    let declared = DeclaredSupervisor {
        path,
        span,
        key: section.key.clone(),
        strategy: section.choice(problems, "strategy", &STRATEGIES),
        intensity: section.integer(problems, "intensity", 0..=INTENSITY_MAX),
        period: period(&mut section, window.as_ref(), problems),
        window,
        auto_shutdown: section.choice(problems, "auto_shutdown", &AUTO_SHUTDOWNS),
        children_max: section.integer(problems, "children_max", 1..=REPLICAS_MAX),
        child: child(&mut section, problems),
    };
    section.finish(problems);
    declared
}

/// OTP counts restarts in whole seconds, so a period is a whole number of them unless the window is exact.
fn period(
    section: &mut Section<'_, '_>,
    window: Option<&Located<Window>>,
    problems: &mut Problems<'_>,
) -> Option<Located<Duration>> {
    let period = section.duration(problems, "period")?;
    let exact = window.is_some_and(|window| window.value == Window::Exact);
    if period.value.subsec_nanos() != 0 && !exact {
        problems.note(
            &period.span,
            section.key_of("period"),
            "a period is a whole number of seconds, as restarts are stamped in whole seconds",
            Some(format!(
                "\"{}s\", or window = \"exact\" beside it",
                period.value.as_secs() + 1
            )),
        );
        return None;
    }
    Some(period)
}

fn child(section: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> DeclaredChild {
    let shutdown = section
        .span_of_time(problems, "shutdown", &["brutal_kill", "infinity"])
        .map(|located| Located {
            value: match located.value {
                Ok(duration) => Shutdown::Timeout(duration),
                Err("brutal_kill") => Shutdown::BrutalKill,
                Err(_) => Shutdown::Infinity,
            },
            span: located.span,
        });
    DeclaredChild {
        restart: section.choice(problems, "restart", &RESTARTS),
        shutdown,
        significant: section.boolean(problems, "significant"),
        restart_delay: restart_delay(section, problems),
        start_timeout: section.duration(problems, "start_timeout"),
        place: place::place(section, problems),
    }
}

fn restart_delay(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<Located<Backoff>> {
    let mut table = section.section(problems, "restart_delay")?;
    let span = table.span.clone();
    let key = table.key.clone();
    let initial = table.duration(problems, "initial");
    let max = table.duration(problems, "max");
    let jitter = table.share(problems, "jitter");
    if table.get("initial").is_none() {
        problems.note(
            &span,
            &key,
            "needs `initial`, the delay before the first restart",
            Some("initial = \"100ms\"".to_owned()),
        );
    }
    table.finish(problems);
    let initial = initial?.value;
    let cap = max.map_or(initial.max(RESTART_DELAY_MAX), |max| max.value);
    if cap < initial {
        problems.note(&span, key, "`max` is shorter than `initial`", None);
        return None;
    }
    let mut value = Backoff::exponential(initial, cap);
    if let Some(jitter) = jitter {
        value.jitter = jitter.value;
    }
    Some(Located { value, span })
}

fn agent(
    path: Path,
    span: Range<usize>,
    mut section: Section<'_, '_>,
    folder: &FilePath,
    problems: &mut Problems<'_>,
) -> DeclaredAgent {
    let behaviour = section.name(problems, "behaviour");
    let wasm = wasm::read(&mut section, folder, problems).map(Box::new);
    match (section.get("behaviour"), section.get("wasm")) {
        (None, None) => problems.note(
            &span,
            &section.key,
            "an agent needs a behaviour",
            Some("behaviour = \"echo\"".to_owned()),
        ),
        (Some(_), Some(wasm)) => problems.note(
            &wasm.span(),
            section.key_of("wasm"),
            "impossible together with `behaviour`: an agent's code is the one or the other",
            None,
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
    let replicas = section.integer(problems, "replicas", 1..=REPLICAS_MAX);
    let child = child(&mut section, problems);
    let groups = section.names(problems, "groups");
    let registered = section.name(problems, "registered");
    let on_name_conflict = section.choice(problems, "on_name_conflict", &ON_NAME_CONFLICT);
    let turn_deadline = section.deadline(problems, "turn_deadline");
    let sleep_after = section.duration(problems, "sleep_after");
    let dedicated = section.boolean(problems, "dedicated");
    let mailbox = section
        .section(problems, "mailbox")
        .map(|table| mailbox(table, problems))
        .unwrap_or_default();
    let (config, config_span) = match section.get("config") {
        None => (
            serde_json::Value::Object(serde_json::Map::new()),
            span.clone(),
        ),
        Some(value) if value.get_ref().is_table() => (
            json::from_toml(value, &section.key_of("config"), problems),
            value.span(),
        ),
        Some(value) => {
            problems.note(
                &value.span(),
                section.key_of("config"),
                format!("expected a table, found {}", type_of(value.get_ref())),
                None,
            );
            (serde_json::Value::Null, value.span())
        }
    };
    let declared = DeclaredAgent {
        path,
        span,
        key: section.key.clone(),
        behaviour,
        wasm,
        replicas,
        child,
        groups,
        registered,
        on_name_conflict,
        turn_deadline,
        sleep_after,
        dedicated,
        mailbox,
        config,
        config_span,
    };
    section.finish(problems);
    declared
}

fn mailbox(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> Mailbox {
    let defaults = Mailbox::default();
    let capacity = table.integer(problems, "capacity", 1..=CAPACITY_MAX);
    let when_full = table.choice(problems, "when_full", &WHEN_FULL);
    let on_crash = table.choice(problems, "on_crash", &ON_CRASH);
    let redeliver = table.integer(problems, "redeliver", 0..=REDELIVER_MAX);
    if let (Some(on_crash), Some(redeliver)) = (&on_crash, &redeliver)
        && on_crash.value == OnCrash::Drop
        && redeliver.value > 0
    {
        problems.note(
            &redeliver.span,
            table.key_of("redeliver"),
            "impossible together with on_crash = \"drop\": a dropped mailbox has nothing to deliver again",
            Some("on_crash = \"keep\"".to_owned()),
        );
    }
    let mailbox = Mailbox {
        capacity: capacity.map_or(defaults.capacity, |capacity| capacity.value),
        when_full: when_full.map_or(defaults.when_full, |when_full| when_full.value),
        on_crash: on_crash.map_or(defaults.on_crash, |on_crash| on_crash.value),
        redeliver: redeliver.map_or(defaults.redeliver, |redeliver| {
            u8::try_from(redeliver.value).unwrap_or(u8::MAX)
        }),
    };
    table.finish(problems);
    mailbox
}
