//! What a manifest says about an agent whose code is a WebAssembly component.

use super::durable;
use super::json::from_toml;
use super::problem::Problems;
use super::reader::{Located, Section, quoted, type_of};
use super::tools::BuiltIn;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;
use swarm_actors::durable::SnapshotPolicy;
use swarm_protocols::{Name, Path};
use swarm_tools::Arguments;
use toml::Spanned;
use toml::de::DeValue;

/// A component and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wasm {
    /// Where it is.
    pub source: Source,
    /// Its density class.
    pub class: Class,
    /// Its limits, where they are stated.
    pub limits: Limits,
    /// What it is granted.
    pub grants: Grants,
    /// For a durable agent, when it is saved.
    pub durable: Option<SnapshotPolicy>,
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this file. A relative name in a manifest starts from the manifest's folder.
    File(PathBuf),
    /// In the node's component store: `sha256:` and 64 digits.
    Digest(String),
}

/// What kind of place an agent's memory lives in; `docs/wasm.md` says what each costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// For compiled guests.
    #[default]
    Default,
    /// For very many small ones.
    Compact,
    /// For guests that bring an interpreter.
    Interpreter,
}

/// Limits; none: the default of the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes.
    pub memory: Option<u64>,
    /// Elements of a table.
    pub table_elements: Option<u32>,
    /// Computing time of a turn.
    pub turn_cpu: Option<Duration>,
    /// Fuel of a turn.
    pub turn_fuel: Option<u64>,
    /// One message, in bytes.
    pub message: Option<u64>,
    /// Messages out in a second.
    pub sends_per_second: Option<u32>,
    /// Log text in a second, in bytes.
    pub log_per_second: Option<u64>,
    /// What the host keeps for it, in bytes.
    pub host_memory: Option<u64>,
    /// Timers at a time.
    pub timers: Option<u32>,
    /// How long a tool call may take.
    pub tool_time: Option<Duration>,
}

/// Capabilities; what is not named is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whether it may send, and to whom.
    pub messaging: Option<Messaging>,
    /// The store that outlives a crash.
    pub state: bool,
    /// Timers.
    pub timers: bool,
    /// The time.
    pub clock: bool,
    /// Random numbers.
    pub random: bool,
    /// The log.
    pub log: bool,
    /// Tools, and with which arguments.
    pub tools: swarm_tools::Grants,
    /// Foreign imports, by prefix, that may be there and trap when they are called.
    pub trapped: Vec<String>,
}

/// To whom an agent may send, besides answering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messaging {
    /// Registered names.
    pub agents: Vec<Name>,
    /// Paths of agents, or of supervisors for all below.
    pub paths: Vec<Path>,
    /// Groups.
    pub groups: Vec<Name>,
}

const CLASSES: [(&str, Class); 3] = [
    ("default", Class::Default),
    ("compact", Class::Compact),
    ("interpreter", Class::Interpreter),
];

/// Units of sizes, the biggest first.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Class {
    /// The word that manifests use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Compact => "compact",
            Self::Interpreter => "interpreter",
        }
    }
}

/// What a section says about a component.
pub(super) struct DeclaredWasm {
    pub(super) wasm: Wasm,
    pub(super) span: Range<usize>,
    /// Where it says whether it is durable, if it does.
    pub(super) durable_span: Option<Range<usize>>,
}

/// Reads the keys `wasm`, `class`, `limits`, `grants` and `durable` of an agent's section.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    folder: &FilePath,
    problems: &mut Problems<'_>,
) -> Option<DeclaredWasm> {
    let source = section.text(problems, "wasm");
    let class = section.choice(problems, "class", &CLASSES);
    let limits = section.section(problems, "limits");
    let grants = section.section(problems, "grants");
    let durable = durable::read(section, problems);
    let Some(source) = source else {
        let class = class.map(|class| (class.span, "class"));
        let limits = limits.map(|limits| (limits.span, "limits"));
        let grants = grants.map(|grants| (grants.span, "grants"));
        if section.get("wasm").is_none() {
            for (span, key) in [class, limits, grants].into_iter().flatten() {
                let message = "only for an agent with `wasm`: a native behaviour has none of it";
                problems.note(&span, section.key_of(key), message, None);
            }
            if let Some((span, _)) = durable {
                let message = "only for an agent with `wasm`: a native behaviour is durable by itself, or not";
                problems.note(&span, section.key_of("durable"), message, None);
            }
        }
        return None;
    };
    let (durable_span, durable) = match durable {
        Some((span, durable)) => (Some(span), durable),
        None => (None, None),
    };
    let grants_at = grants.as_ref().map(|table| table.span.clone());
    let grants = grants
        .map(|table| read_grants(table, problems))
        .unwrap_or_default();
    if let (Some(span), Some(_)) = (grants_at, &durable) {
        durable::check_grants(&grants, &span, &section.key_of("grants"), problems);
    }
    Some(DeclaredWasm {
        span: source.span.clone(),
        durable_span,
        wasm: Wasm {
            source: source_of(&source, folder, section, problems),
            class: class.map(|class| class.value).unwrap_or_default(),
            limits: limits
                .map(|table| read_limits(table, problems))
                .unwrap_or_default(),
            grants,
            durable,
        },
    })
}

fn source_of(
    source: &Located<&str>,
    folder: &FilePath,
    section: &Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Source {
    if let Some(digits) = source.value.strip_prefix("sha256:") {
        if digits.len() != 64
            || !digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            let message = "a digest is sha256: and 64 hexadecimal digits in lower case";
            problems.note(&source.span, section.key_of("wasm"), message, None);
        }
        return Source::Digest(source.value.to_owned());
    }
    if source.value.is_empty() {
        let suggestion = Some("wasm = \"my-agent.wasm\"".to_owned());
        problems.note(
            &source.span,
            section.key_of("wasm"),
            "names no file",
            suggestion,
        );
    }
    Source::File(folder.join(source.value))
}

fn read_limits(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> Limits {
    let most = u64::from(u32::MAX);
    let limits = Limits {
        memory: size(&mut table, problems, "memory", 64 << 10, 4 << 30),
        table_elements: number(&mut table, problems, "table_elements", 10_000_000),
        turn_cpu: table
            .duration(problems, "turn_cpu")
            .map(|found| found.value),
        turn_fuel: size(&mut table, problems, "turn_fuel", 1, i64::MAX as u64),
        message: size(&mut table, problems, "message", 1, 256 << 20),
        sends_per_second: number(&mut table, problems, "sends_per_second", u32::MAX),
        log_per_second: size(&mut table, problems, "log_per_second", 1, most),
        host_memory: size(&mut table, problems, "host_memory", 1, 1 << 30),
        timers: number(&mut table, problems, "timers", 10_000),
        tool_time: table
            .duration(problems, "tool_time")
            .map(|found| found.value),
    };
    table.finish(problems);
    limits
}

fn number(
    table: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    key: &'static str,
    most: u32,
) -> Option<u32> {
    table
        .integer(problems, key, 1..=most)
        .map(|found| found.value)
}

/// A number of bytes: a whole number, or a text with a unit such as `"16MiB"`.
pub(super) fn size(
    table: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Option<u64> {
    let value = table.get(key)?;
    let number = match value.get_ref() {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        DeValue::String(text) => parse_size(text),
        _ => None,
    };
    if number.is_none() {
        let message = format!(
            "expected a size such as \"16MiB\" or 65536, found {}",
            described(value)
        );
        problems.note(&value.span(), table.key_of(key), message, None);
    }
    let number = number?;
    if !(least..=most).contains(&number) {
        let message = format!("{number} is not within {least} to {most}");
        problems.note(&value.span(), table.key_of(key), message, None);
        return None;
    }
    Some(number)
}

fn described(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("{text:?}"),
        other => type_of(other).to_owned(),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim_end();
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn read_grants(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> Grants {
    let mut flag = |key: &'static str, problems: &mut Problems<'_>| {
        table
            .boolean(problems, key)
            .is_some_and(|found| found.value)
    };
    let (state, timers) = (flag("state", problems), flag("timers", problems));
    let (clock, random) = (flag("clock", problems), flag("random", problems));
    let log = flag("log", problems);
    let messaging = table
        .section(problems, "messaging")
        .map(|table| read_messaging(table, problems));
    let tools = read_tools(&mut table, problems);
    let trapped = texts(&mut table, problems, "trapped")
        .into_iter()
        .map(|text| text.value)
        .collect();
    table.finish(problems);
    Grants {
        messaging,
        state,
        timers,
        clock,
        random,
        log,
        tools,
        trapped,
    }
}

fn read_messaging(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> Messaging {
    let agents = table.names(problems, "agents");
    let groups = table.names(problems, "groups");
    let mut paths = Vec::new();
    for text in texts(&mut table, problems, "paths") {
        match Path::new(&text.value) {
            Ok(path) => paths.push(path),
            Err(error) => {
                problems.note(&text.span, table.key_of("paths"), error.to_string(), None);
            }
        }
    }
    table.finish(problems);
    Messaging {
        agents,
        paths,
        groups,
    }
}

/// A list of names and patterns, or a table of them with the arguments of each.
fn read_tools(table: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> swarm_tools::Grants {
    let mut grants = swarm_tools::Grants::new();
    let key = table.key_of("tools");
    let mut add =
        |pattern: &str, arguments: Arguments, span: &Range<usize>, problems: &mut Problems<'_>| {
            if let Some(tool) = BuiltIn::ALL.into_iter().find(|tool| tool.name() == pattern)
                && let Err(bad) = tool.check_arguments(&arguments)
            {
                let message = format!("{pattern}: {bad}");
                problems.note(span, key.clone(), message, bad.suggestion);
            }
            match grants.clone().with_arguments(pattern, arguments) {
                Ok(more) => grants = more,
                Err(bad) => problems.note(span, key.clone(), bad.to_string(), None),
            }
        };
    match table.get("tools").map(Spanned::get_ref) {
        Some(DeValue::Table(named)) => {
            for (pattern, value) in Section::entries(named) {
                let key = format!("{}.{}", table.key_of("tools"), quoted(pattern.get_ref()));
                match from_toml(value, &key, problems) {
                    Value::Object(arguments) => {
                        add(pattern.get_ref(), arguments, &value.span(), problems);
                    }
                    _ => {
                        let message = "expected a table of arguments; without any: {}";
                        problems.note(&value.span(), key, message, None);
                    }
                }
            }
        }
        _ => {
            for pattern in texts(table, problems, "tools") {
                add(&pattern.value, Arguments::new(), &pattern.span, problems);
            }
        }
    }
    grants
}

/// A list of texts.
fn texts(
    table: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
    key: &'static str,
) -> Vec<Located<String>> {
    let Some(value) = table.get(key) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    let mut wrong = |value: &Spanned<DeValue<'_>>, expected: &str| {
        let message = format!("expected {expected}, found {}", type_of(value.get_ref()));
        problems.note(&value.span(), table.key_of(key), message, None);
    };
    match value.get_ref() {
        DeValue::Array(items) => {
            for item in items.iter() {
                match item.get_ref() {
                    DeValue::String(text) => texts.push(Located {
                        value: text.to_string(),
                        span: item.span(),
                    }),
                    _ => wrong(item, "a string"),
                }
            }
        }
        _ => wrong(value, "a list of strings"),
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1B", Some(1)),
            ("16MiB", Some(16 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("64KiB", Some(65_536)),
            ("64KB", None),
            ("KiB", None),
            ("-1B", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
