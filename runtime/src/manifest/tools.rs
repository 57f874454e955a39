//! The sections `[tool.NAME]` and `[mcp.NAME]`: which tools a node offers to its agents.

use super::problem::{Problems, closest};
use super::reader::{Located, Section, quoted, type_of};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use swarm_protocols::Name;
use swarm_tools::builtin::{KeyValue, Time};
use swarm_tools::fetch::HttpFetch;
use swarm_tools::mcp::{McpSpec, Reach};
use swarm_tools::{Arguments, BadArguments, Limits, Tool};
use toml::de::{DeTable, DeValue};

/// How many calls of one tool, or of one server's tools, may run at once at most.
const CALLS_MAX: u32 = 10_000;

/// The tools that a node offers. None of them can be called without a grant.
#[derive(Clone, Debug, Default)]
pub struct ToolSettings {
    /// The built-in tools.
    pub built_in: Vec<BuiltInTool>,
    /// The MCP servers.
    pub servers: Vec<McpSettings>,
}

/// A built-in tool that is offered.
#[derive(Clone, Debug)]
pub struct BuiltInTool {
    /// Which.
    pub which: BuiltIn,
    /// The bounds of its calls, where they are stated.
    pub bounds: Bounds,
}

/// The tools that can be offered by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// `time`.
    Time,
    /// `key-value`.
    KeyValue,
    /// `http-fetch`.
    HttpFetch,
}

/// Stated bounds of calls; the tool's own apply where nothing is stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// How long a call may take whose caller does not say.
    pub within: Option<Duration>,
    /// How long a call may take at most.
    pub within_max: Option<Duration>,
    /// How many may run at once.
    pub calls_max: Option<u32>,
}

/// An MCP server whose tools are offered.
#[derive(Clone, Debug)]
pub struct McpSettings {
    /// The server.
    pub spec: McpSpec,
    /// The environment variable that holds the bearer token, for one that is reached over HTTP. The token itself is never in
    /// a manifest.
    pub bearer_env: Option<String>,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Time, Self::KeyValue, Self::HttpFetch];

    /// Its name as a tool.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::KeyValue => "key-value",
            Self::HttpFetch => "http-fetch",
        }
    }

    /// Whether a grant of it may have these arguments.
    ///
    /// # Errors
    /// [`BadArguments`]: the first that it does not take, or lacks.
    pub fn check_arguments(self, arguments: &Arguments) -> Result<(), BadArguments> {
        match self {
            Self::Time => Time::new().check_arguments(arguments),
            Self::KeyValue => KeyValue::default().check_arguments(arguments),
            Self::HttpFetch => HttpFetch::new().check_arguments(arguments),
        }
    }
}

impl Bounds {
    /// These, where they are stated, else those.
    #[must_use]
    pub fn over(self, limits: Limits) -> Limits {
        let within_max = self.within_max.unwrap_or(limits.within_max);
        Limits {
            within_default: self.within.unwrap_or(limits.within_default).min(within_max),
            within_max,
            calls_max: self
                .calls_max
                .map_or(limits.calls_max, |calls| calls as usize),
            ..limits
        }
    }
}

pub(super) fn read(root: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> ToolSettings {
    let mut settings = ToolSettings::default();
    for_each_name(root, problems, "tool", |name, span, section, problems| {
        settings
            .built_in
            .extend(built_in(&name, &span, section, problems));
    });
    for_each_name(root, problems, "mcp", |name, _, section, problems| {
        settings.servers.extend(server(name, section, problems));
    });
    settings
}

/// Hands every `[kind.NAME]` with a good name to `read`.
fn for_each_name<'a, 'i, 't>(
    root: &mut Section<'a, 'i>,
    problems: &mut Problems<'t>,
    kind: &'static str,
    mut read: impl FnMut(Name, Range<usize>, Section<'a, 'i>, &mut Problems<'t>),
) {
    let Some(value) = root.get(kind) else {
        return;
    };
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!(
            "expected tables with names, found {}",
            type_of(value.get_ref())
        );
        problems.note(&value.span(), kind, message, Some(format!("[{kind}.NAME]")));
        return;
    };
    for (name, value) in Section::entries(table) {
        let key = format!("{kind}.{}", quoted(name.get_ref()));
        match (Name::new(name.get_ref()), value.get_ref()) {
            (Ok(good), DeValue::Table(table)) => {
                let section = Section::new(key, name.span(), table);
                read(good, name.span(), section, problems);
            }
            (Err(error), _) => problems.note(&name.span(), key, error.to_string(), None),
            (_, other) => {
                let message = format!("expected a table, found {}", type_of(other));
                problems.note(&value.span(), key, message, None);
            }
        }
    }
}

fn built_in(
    name: &Name,
    span: &Range<usize>,
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<BuiltInTool> {
    let bounds = bounds(&mut section, problems);
    let names = BuiltIn::ALL.map(BuiltIn::name);
    let which = BuiltIn::ALL
        .into_iter()
        .find(|tool| tool.name() == name.as_str());
    if which.is_none() {
        let suggestion = closest(name.as_str(), names).map(|name| format!("[tool.{name}]"));
        let message = format!(
            "there is no built-in tool {name}; there are {}",
            names.join(", ")
        );
        problems.note(span, section.key.clone(), message, suggestion);
    }
    section.finish(problems);
    Some(BuiltInTool {
        which: which?,
        bounds,
    })
}

fn bounds(section: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> Bounds {
    let within = section.duration(problems, "within");
    let within_max = section.duration(problems, "within_max");
    let calls_max = section.integer(problems, "calls_max", 1..=CALLS_MAX);
    if let (Some(within), Some(max)) = (&within, &within_max)
        && within.value > max.value
    {
        problems.note(
            &within.span,
            section.key_of("within"),
            "is longer than within_max beside it",
            None,
        );
    }
    Bounds {
        within: within.map(|located| located.value),
        within_max: within_max.map(|located| located.value),
        calls_max: calls_max.map(|located| located.value),
    }
}

fn server(
    name: Name,
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<McpSettings> {
    let bounds = bounds(&mut section, problems);
    let command = texts(&mut section, problems, "command");
    let environment = text_map(&mut section, problems, "environment");
    let folder = section.text(problems, "folder");
    let url = section.text(problems, "url");
    let bearer_env = section.text(problems, "bearer_env");
    for (entry, span, needed) in [
        (
            "environment",
            environment.as_ref().map(|l| &l.span),
            "command",
        ),
        ("folder", folder.as_ref().map(|l| &l.span), "command"),
        ("bearer_env", bearer_env.as_ref().map(|l| &l.span), "url"),
    ] {
        let there = if needed == "url" {
            url.is_some()
        } else {
            command.is_some()
        };
        if let (Some(span), false) = (span, there) {
            let message = format!("says nothing without {needed}");
            problems.note(span, section.key_of(entry), message, None);
        }
    }
    let stated = (
        section.get("command").is_some(),
        section.get("url").is_some(),
    );
    let spec = match (command, url) {
        (Some(command), None) => {
            let environment = environment.map(|l| l.value).unwrap_or_default();
            reach_by_command(&section, problems, command, environment, folder)
                .map(|reach| McpSpec::new(name, reach))
        }
        (None, Some(url)) => match McpSpec::http(name, url.value, None) {
            Ok(spec) => Some(spec),
            Err(bad) => {
                let suggestion = Some("\"https://example.com/mcp\"".to_owned());
                problems.note(
                    &url.span,
                    section.key_of("url"),
                    bad.to_string(),
                    suggestion,
                );
                None
            }
        },
        (Some(_), Some(url)) => {
            let message = "a server is reached by its command or by its url, not by both";
            problems.note(&url.span, section.key_of("url"), message, None);
            None
        }
        (None, None) => {
            if stated == (false, false) {
                problems.note(
                    &section.span,
                    section.key.clone(),
                    "says neither which command starts the server nor which url reaches it",
                    Some("command = [\"PROGRAM\", \"ARGUMENT\"]".to_owned()),
                );
            }
            None
        }
    };
    section.finish(problems);
    let mut spec = spec?;
    spec.limits = Bounds {
        calls_max: None,
        ..bounds
    }
    .over(spec.limits);
    if let Some(calls) = bounds.calls_max {
        spec.calls_max = calls as usize;
        spec.limits.calls_max = spec.limits.calls_max.min(spec.calls_max);
    }
    Some(McpSettings {
        spec,
        bearer_env: bearer_env.map(|located| located.value.to_owned()),
    })
}

fn reach_by_command(
    section: &Section<'_, '_>,
    problems: &mut Problems<'_>,
    command: Located<Vec<String>>,
    environment: BTreeMap<String, String>,
    folder: Option<Located<&str>>,
) -> Option<Reach> {
    let mut words = command.value.into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Some(Reach::Command {
            program: PathBuf::from(program),
            arguments: words.collect(),
            environment,
            folder: folder.map(|located| PathBuf::from(located.value)),
        }),
        _ => {
            let suggestion = Some("command = [\"PROGRAM\", \"ARGUMENT\"]".to_owned());
            problems.note(
                &command.span,
                section.key_of("command"),
                "names no program",
                suggestion,
            );
            None
        }
    }
}

/// A list of strings without NUL, which no program can be given.
fn texts(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    entry: &'static str,
) -> Option<Located<Vec<String>>> {
    let value = section.get(entry)?;
    let items = match value.get_ref() {
        DeValue::Array(items) => items
            .iter()
            .map(|item| plain_text(item.get_ref()))
            .collect(),
        _ => None,
    };
    note_unless(
        items,
        section,
        problems,
        entry,
        value.span(),
        "a list of strings without NUL",
    )
}

fn text_map(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    entry: &'static str,
) -> Option<Located<BTreeMap<String, String>>> {
    let value = section.get(entry)?;
    let map = match value.get_ref() {
        DeValue::Table(table) => variables(table),
        _ => None,
    };
    let expected = "a table of names (without = and NUL) and strings without NUL";
    note_unless(map, section, problems, entry, value.span(), expected)
}

fn variables(table: &DeTable<'_>) -> Option<BTreeMap<String, String>> {
    let variable = |key: &str| !key.is_empty() && !key.contains(['=', '\0']);
    let entries = Section::entries(table).into_iter();
    entries
        .map(|(key, value)| {
            let key: &str = key.get_ref();
            let value = plain_text(value.get_ref())?;
            variable(key).then(|| (key.to_owned(), value))
        })
        .collect()
}

fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) if !text.contains('\0') => Some(text.to_string()),
        _ => None,
    }
}

fn note_unless<T>(
    value: Option<T>,
    section: &Section<'_, '_>,
    problems: &mut Problems<'_>,
    entry: &str,
    span: Range<usize>,
    expected: &str,
) -> Option<Located<T>> {
    if value.is_none() {
        problems.note(
            &span,
            section.key_of(entry),
            format!("expected {expected}"),
            None,
        );
    }
    value.map(|value| Located { value, span })
}
