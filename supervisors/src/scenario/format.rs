//! The form of a scenario: what may be written in it, and its defaults, which are OTP's.

use crate::scenario::{MS_MAX, ScenarioError};
use crate::spec::{
    AutoShutdown, Restart, Shutdown, SpecError, Strategy, SupervisorFlags, check_flags,
};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;
use swarm_protocols::Name;

/// A tree and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The root.
    pub supervisor: SupervisorScript,
    /// What happens, and when. Entries of the same time happen at the same instant, in the order in which they stand.
    #[serde(default)]
    pub script: Vec<Entry>,
}

/// A supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupervisorScript {
    /// Who is restarted with whom.
    #[serde(default)]
    pub strategy: StrategyWord,
    /// How many restarts within the period are borne.
    #[serde(default = "default_intensity")]
    pub intensity: u32,
    /// The period; rounded up to whole seconds.
    #[serde(default = "default_period_ms")]
    pub period_ms: u64,
    /// Whether it ends with its significant children.
    #[serde(default)]
    pub auto_shutdown: AutoShutdownWord,
    /// Its children in start order; under `simple_one_for_one` the one template.
    #[serde(default)]
    pub children: Vec<ChildScript>,
}

fn default_intensity() -> u32 {
    SupervisorFlags::default().intensity
}

fn default_period_ms() -> u64 {
    5000
}

/// A child and how it behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChildScript {
    /// Its name below its supervisor. May be absent in the spec of a `start_child`, whose own `id` says it.
    #[serde(default)]
    pub id: String,
    /// When it is started again.
    #[serde(default)]
    pub restart: RestartWord,
    /// How it is stopped. Absent: 5000 ms for a worker, no limit for a supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<ShutdownWord>,
    /// Whether its end counts for automatic shutdown.
    #[serde(default)]
    pub significant: bool,
    /// The outcome of each start in turn; the last one repeats.
    #[serde(default = "default_start")]
    pub start: Vec<StartWord>,
    /// How long it takes to stop after it was told to.
    #[serde(default)]
    pub stop_ms: u64,
    /// What it looks after, where it is a supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<Box<SupervisorScript>>,
}

fn default_start() -> Vec<StartWord> {
    vec![StartWord::Ok]
}

/// A strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyWord {
    /// That child only.
    #[default]
    OneForOne,
    /// All children.
    OneForAll,
    /// That child and those after it.
    RestForOne,
    /// Instances of one template.
    SimpleOneForOne,
}

/// Automatic shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoShutdownWord {
    /// No.
    #[default]
    Never,
    /// With the first significant child.
    AnySignificant,
    /// With the last significant child.
    AllSignificant,
}

/// When a child is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartWord {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end.
    Transient,
    /// Never.
    Temporary,
}

/// The outcome of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartWord {
    /// It runs.
    Ok,
    /// It fails.
    Error,
    /// It does not want to run.
    Ignore,
}

/// How a child is stopped: a number of milliseconds, `"brutal_kill"` or `"infinity"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownWord {
    /// Told, and killed after so many milliseconds.
    Ms(u64),
    /// Killed.
    BrutalKill,
    /// Told and waited for.
    Infinity,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEntry", into = "RawEntry")]
pub struct Entry {
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// What.
    pub what: Happening,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A child ends by itself, or is killed by somebody.
    Exit {
        /// Its path.
        id: String,
        /// Why.
        reason: ExitWord,
    },
    /// Somebody calls a supervisor.
    Call(CallScript),
    /// Whoever stands above the root stops it.
    Shutdown,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallScript {
    /// Which.
    pub call: CallWord,
    /// The child's path; for `which_children` and `count_children` the supervisor's.
    pub id: String,
    /// The spec to start.
    pub spec: Option<ChildScript>,
}

/// Why a child ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitWord {
    /// It is done.
    Normal,
    /// It stops in an orderly way.
    Shutdown,
    /// It fails.
    Crash,
    /// It is killed.
    Kill,
}

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallWord {
    /// Add and start.
    StartChild,
    /// Stop.
    TerminateChild,
    /// Start again.
    RestartChild,
    /// Forget.
    DeleteChild,
    /// List.
    WhichChildren,
    /// Count.
    CountChildren,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ExitWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<CallWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<ChildScript>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shutdown: Option<bool>,
}

impl TryFrom<RawEntry> for Entry {
    type Error = &'static str;

    fn try_from(raw: RawEntry) -> Result<Self, &'static str> {
        let what = match raw {
            RawEntry {
                exit: Some(id),
                reason: Some(reason),
                call: None,
                id: None,
                spec: None,
                shutdown: None,
                ..
            } => Happening::Exit { id, reason },
            RawEntry {
                exit: Some(_),
                reason: None,
                ..
            } => return Err("an exit needs a reason: normal, shutdown, crash or kill"),
            RawEntry {
                exit: None,
                reason: None,
                call: Some(call),
                id,
                spec,
                shutdown: None,
                ..
            } => Happening::Call(CallScript {
                call,
                id: id.unwrap_or_default(),
                spec,
            }),
            RawEntry {
                exit: None,
                reason: None,
                call: None,
                id: None,
                spec: None,
                shutdown: Some(true),
                ..
            } => Happening::Shutdown,
            _ => {
                return Err(
                    "an entry of the script is one of: exit with reason; call with id and spec; shutdown: true",
                );
            }
        };
        Ok(Self {
            at_ms: raw.at_ms,
            what,
        })
    }
}

impl From<Entry> for RawEntry {
    fn from(entry: Entry) -> Self {
        let mut raw = Self {
            at_ms: entry.at_ms,
            exit: None,
            reason: None,
            call: None,
            id: None,
            spec: None,
            shutdown: None,
        };
        match entry.what {
            Happening::Exit { id, reason } => {
                raw.exit = Some(id);
                raw.reason = Some(reason);
            }
            Happening::Call(call) => {
                raw.call = Some(call.call);
                raw.id = (!call.id.is_empty()).then_some(call.id);
                raw.spec = call.spec;
            }
            Happening::Shutdown => raw.shutdown = Some(true),
        }
        raw
    }
}

impl Serialize for ShutdownWord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ms(ms) => to.serialize_u64(*ms),
            Self::BrutalKill => to.serialize_str("brutal_kill"),
            Self::Infinity => to.serialize_str("infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for ShutdownWord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = ShutdownWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of milliseconds, \"brutal_kill\" or \"infinity\"")
            }

            fn visit_u64<E: serde::de::Error>(self, ms: u64) -> Result<ShutdownWord, E> {
                Ok(ShutdownWord::Ms(ms))
            }

            fn visit_i64<E: serde::de::Error>(self, ms: i64) -> Result<ShutdownWord, E> {
                u64::try_from(ms)
                    .map(ShutdownWord::Ms)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(ms), &self))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ShutdownWord, E> {
                match word {
                    "brutal_kill" => Ok(ShutdownWord::BrutalKill),
                    "infinity" => Ok(ShutdownWord::Infinity),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }
        from.deserialize_any(Word)
    }
}

impl Scenario {
    /// Reads a scenario and checks it.
    ///
    /// # Errors
    /// [`ScenarioError`] with what is wrong and where.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text)?;
        check_objects("scenario", &serde_json::from_str(text)?)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks everything that can be known before the scenario is played.
    ///
    /// # Errors
    /// The first [`ScenarioError`] found.
    pub fn check(&self) -> Result<(), ScenarioError> {
        check_supervisor("/", &self.supervisor)?;
        for (n, entry) in self.script.iter().enumerate() {
            let at = || format!("script[{n}]");
            check_ms(at, entry.at_ms)?;
            match &entry.what {
                Happening::Exit { id, .. } => check_path(at, id, false)?,
                Happening::Call(call) => check_call(at, call)?,
                Happening::Shutdown => {}
            }
        }
        Ok(())
    }
}

/// Serde takes an array of values for a struct, too; whoever wrote one has mistaken a list of things for a thing.
fn check_objects(at: &str, value: &Value) -> Result<(), ScenarioError> {
    let Value::Object(object) = value else {
        return Err(ScenarioError::Part {
            at: at.to_owned(),
            problem: "this must be an object",
        });
    };
    for (key, value) in object {
        match (key.as_str(), value) {
            ("supervisor" | "spec", Value::Null) => {}
            ("supervisor" | "spec", value) => check_objects(&format!("{at}.{key}"), value)?,
            ("children" | "script", Value::Array(list)) => {
                for (n, value) in list.iter().enumerate() {
                    check_objects(&format!("{at}.{key}[{n}]"), value)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_call(at: impl Fn() -> String, call: &CallScript) -> Result<(), ScenarioError> {
    let part = |problem| ScenarioError::Part { at: at(), problem };
    match call.call {
        CallWord::WhichChildren | CallWord::CountChildren => check_path(&at, &call.id, true)?,
        CallWord::StartChild => {
            let name = call.child_name();
            if name.is_empty() {
                return Err(part("start_child needs the id of the child"));
            }
            check_path(&at, &call.id, true)?;
            check_name(&at, name)?;
            if let Some(spec) = &call.spec {
                if !spec.id.is_empty() && spec.id != name {
                    return Err(part("the last part of the id must be the id of the spec"));
                }
                check_child(&at, spec)?;
            }
        }
        CallWord::TerminateChild | CallWord::RestartChild | CallWord::DeleteChild => {
            check_path(&at, &call.id, false)?;
        }
    }
    if call.spec.is_some() && call.call != CallWord::StartChild {
        return Err(part("only start_child has a spec"));
    }
    Ok(())
}

impl CallScript {
    /// The path of the supervisor that is called, without slashes around it.
    pub(crate) fn supervisor(&self) -> &str {
        let id = self.id.trim_matches('/');
        match self.call {
            CallWord::WhichChildren | CallWord::CountChildren => id,
            CallWord::StartChild
            | CallWord::TerminateChild
            | CallWord::RestartChild
            | CallWord::DeleteChild => id.rsplit_once('/').map_or("", |(supervisor, _)| supervisor),
        }
    }

    /// The name of the child that the call is about.
    pub(crate) fn child_name(&self) -> &str {
        let id = self.id.trim_matches('/');
        if id.is_empty() {
            return self.spec.as_ref().map_or("", |spec| &spec.id);
        }
        id.rsplit_once('/').map_or(id, |(_, name)| name)
    }
}

fn check_supervisor(path: &str, script: &SupervisorScript) -> Result<(), ScenarioError> {
    let at = || format!("supervisor {path}");
    check_ms(at, script.period_ms)?;
    let spec = |cause| ScenarioError::Spec {
        supervisor: path.to_owned(),
        cause,
    };
    check_flags(&script.flags()).map_err(spec)?;
    if script.strategy == StrategyWord::SimpleOneForOne && script.children.len() != 1 {
        return Err(spec(SpecError::NotOneTemplate(script.children.len())));
    }
    let mut ids = HashSet::new();
    for child in &script.children {
        let child_path = format!("{}/{}", path.trim_end_matches('/'), child.id);
        let name = check_name(|| format!("supervisor {path}"), &child.id)?;
        if !ids.insert(&child.id) {
            return Err(spec(SpecError::DuplicateChild(name)));
        }
        if child.significant && child.restart == RestartWord::Permanent {
            return Err(spec(SpecError::SignificantAndPermanent(name)));
        }
        if child.significant && script.auto_shutdown == AutoShutdownWord::Never {
            return Err(spec(SpecError::SignificantWithoutAutoShutdown(name)));
        }
        check_child(|| format!("child {child_path}"), child)?;
        if let Some(nested) = &child.supervisor {
            check_supervisor(&child_path, nested)?;
        }
    }
    Ok(())
}

fn check_child(at: impl Fn() -> String, child: &ChildScript) -> Result<(), ScenarioError> {
    check_ms(&at, child.stop_ms)?;
    if let Some(ShutdownWord::Ms(ms)) = child.shutdown {
        check_ms(&at, ms)?;
    }
    if child.start.is_empty() {
        return Err(ScenarioError::Part {
            at: at(),
            problem: "start needs at least one outcome: ok, error or ignore",
        });
    }
    Ok(())
}

fn check_ms(at: impl Fn() -> String, ms: u64) -> Result<(), ScenarioError> {
    if ms > MS_MAX {
        return Err(ScenarioError::TooLong { at: at(), ms });
    }
    Ok(())
}

fn check_name(at: impl Fn() -> String, id: &str) -> Result<Name, ScenarioError> {
    Name::new(id).map_err(|cause| ScenarioError::Id {
        at: at(),
        id: id.to_owned(),
        cause,
    })
}

fn check_path(at: impl Fn() -> String, id: &str, may_be_root: bool) -> Result<(), ScenarioError> {
    let path = id.trim_matches('/');
    if path.is_empty() {
        if may_be_root || id == "/" {
            return Ok(());
        }
        return Err(ScenarioError::Part {
            at: at(),
            problem: "the id of a child is missing",
        });
    }
    for segment in path.split('/') {
        check_name(&at, segment)?;
    }
    Ok(())
}

impl SupervisorScript {
    pub(crate) fn flags(&self) -> SupervisorFlags {
        SupervisorFlags::new(match self.strategy {
            StrategyWord::OneForOne => Strategy::OneForOne,
            StrategyWord::OneForAll => Strategy::OneForAll,
            StrategyWord::RestForOne => Strategy::RestForOne,
            StrategyWord::SimpleOneForOne => Strategy::SimpleOneForOne,
        })
        .intensity(self.intensity, Duration::from_millis(self.period_ms))
        .auto_shutdown(match self.auto_shutdown {
            AutoShutdownWord::Never => AutoShutdown::Never,
            AutoShutdownWord::AnySignificant => AutoShutdown::AnySignificant,
            AutoShutdownWord::AllSignificant => AutoShutdown::AllSignificant,
        })
    }
}

impl From<RestartWord> for Restart {
    fn from(word: RestartWord) -> Self {
        match word {
            RestartWord::Permanent => Self::Permanent,
            RestartWord::Transient => Self::Transient,
            RestartWord::Temporary => Self::Temporary,
        }
    }
}

impl From<ShutdownWord> for Shutdown {
    fn from(word: ShutdownWord) -> Self {
        match word {
            ShutdownWord::Ms(ms) => Self::Timeout(Duration::from_millis(ms)),
            ShutdownWord::BrutalKill => Self::BrutalKill,
            ShutdownWord::Infinity => Self::Infinity,
        }
    }
}
