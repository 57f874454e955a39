//! Named nodes: the file that holds them, and which node a command means.

use crate::cli::Global;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use swarm_protocols::Name;
use swarm_runtime::config::API_DEFAULT;

/// The most contexts that are kept.
const CONTEXTS_MAX: usize = 1000;

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// The one in use before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// By name.
    #[serde(default, rename = "context")]
    pub(crate) entries: BTreeMap<String, Context>,
}

/// One named node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where its API answers.
    pub(crate) node: String,
}

/// The node that a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) node: String,
    /// The context that named it, if one did.
    pub(crate) context: Option<String>,
    /// What named it, for failures.
    pub(crate) origin: &'static str,
}

/// Flag over environment over the context in use over the default; `--context` is a flag.
pub(crate) fn chosen(global: &Global) -> Result<Chosen, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    choose(
        global.node.as_deref(),
        global.context.as_deref(),
        &environment,
        read,
    )
}

fn choose(
    node: Option<&str>,
    context: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
    read: impl FnOnce() -> Result<Contexts, Failure>,
) -> Result<Chosen, Failure> {
    let named = |name: &str, contexts: Contexts, origin| match contexts.entries.get(name) {
        Some(context) => Ok(Chosen {
            node: context.node.clone(),
            context: Some(name.to_owned()),
            origin,
        }),
        None => Err(unknown(name, &contexts)),
    };
    let set = |name| environment(name).filter(|value: &String| !value.is_empty());
    let direct = |node: &str, origin| Chosen {
        node: node.to_owned(),
        context: None,
        origin,
    };
    if let Some(node) = node {
        return Ok(direct(node, "--node"));
    }
    if let Some(name) = context {
        return named(name, read()?, "--context");
    }
    if let Some(node) = set("SWARM_NODE") {
        return Ok(direct(&node, "SWARM_NODE"));
    }
    if let Some(name) = set("SWARM_CONTEXT") {
        return named(&name, read()?, "SWARM_CONTEXT");
    }
    let contexts = read()?;
    match contexts.current.clone() {
        Some(name) => named(&name, contexts, "swarmctl context use"),
        None => Ok(direct(&format!("http://{API_DEFAULT}"), "the default")),
    }
}

/// There is no context of that name.
pub(crate) fn unknown(name: &str, contexts: &Contexts) -> Failure {
    let known: Vec<&str> = contexts.entries.keys().map(String::as_str).collect();
    let next_step = if known.is_empty() {
        format!("swarmctl context add {name} --node URL")
    } else {
        format!("one of {}", known.join(", "))
    };
    Failure::new(
        ExitStatus::NotFound,
        "no-such-context",
        format!("there is no context {name:?}"),
        next_step,
    )
}

impl Contexts {
    /// Names a node; a name that is taken gets the new one.
    pub(crate) fn add(&mut self, name: &str, node: String) -> Result<(), Failure> {
        let name = Name::new(name).map_err(|error| {
            Failure::usage(
                format!("{name:?}: {error}"),
                "swarmctl context add staging --node URL",
            )
        })?;
        if self.entries.len() >= CONTEXTS_MAX && !self.entries.contains_key(name.as_str()) {
            return Err(Failure::new(
                ExitStatus::Refused,
                "too-many-contexts",
                format!("there are {CONTEXTS_MAX} contexts"),
                "swarmctl context rm NAME",
            ));
        }
        self.entries
            .insert(name.as_str().to_owned(), Context { node });
        Ok(())
    }

    /// Makes a context the one in use; `-` is the one before.
    pub(crate) fn use_context(&mut self, name: &str) -> Result<String, Failure> {
        let name = match (name, self.previous.clone()) {
            ("-", Some(previous)) => previous,
            ("-", None) => {
                return Err(Failure::new(
                    ExitStatus::NotFound,
                    "no-previous-context",
                    "no context was in use before this one",
                    "swarmctl context ls",
                ));
            }
            (name, _) => name.to_owned(),
        };
        if !self.entries.contains_key(&name) {
            return Err(unknown(&name, self));
        }
        if self.current.as_deref() != Some(&name) {
            self.previous = self.current.replace(name.clone());
        }
        Ok(name)
    }

    /// Forgets a context; none is in use when it was that one.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Context, Failure> {
        let Some(removed) = self.entries.remove(name) else {
            return Err(unknown(name, self));
        };
        for slot in [&mut self.current, &mut self.previous] {
            if slot.as_deref() == Some(name) {
                *slot = None;
            }
        }
        Ok(removed)
    }
}

/// Where the file is: `$XDG_CONFIG_HOME/swarm/contexts.toml`, else below `~/.config`.
fn file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CONFIG_HOME").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => folder,
        _ => PathBuf::from(set("HOME")?).join(".config"),
    };
    Some(base.join("swarm/contexts.toml"))
}

/// What the file holds; nothing where there is no file.
pub(crate) fn read() -> Result<Contexts, Failure> {
    let Some(file) = file() else {
        return Ok(Contexts::default());
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contexts::default()),
        Err(error) => return Err(Failure::file("read", &file, &error)),
    };
    toml::from_str(&text).map_err(|error| {
        Failure::usage(
            format!("{} is no list of contexts: {error}", file.display()),
            format!("mend or remove {}", file.display()),
        )
    })
}

/// Writes the file: beside, then renamed, so that there is always a whole one.
pub(crate) fn write(contexts: &Contexts) -> Result<(), Failure> {
    let Some(file) = file() else {
        return Err(Failure::usage(
            "there is no folder for settings: HOME is not set",
            "set HOME or XDG_CONFIG_HOME",
        ));
    };
    let text = toml::to_string(contexts).map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            "not-written",
            error.to_string(),
            "report this",
        )
    })?;
    replace(&file, &text).map_err(|error| Failure::file("write", &file, &error))
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let half = file.with_extension(format!("toml.{}", std::process::id()));
    let mut written = std::fs::File::create(&half)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&half, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Contexts {
        let mut contexts = Contexts::default();
        contexts.add("dev", "http://dev:1".into()).unwrap();
        contexts.add("prod", "http://prod:1".into()).unwrap();
        contexts
    }

    fn check(
        node: Option<&str>,
        context: Option<&str>,
        environment: &[(&str, &str)],
        contexts: &Contexts,
        expected: (&str, &str),
    ) {
        let environment = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let chosen = choose(node, context, &environment, || Ok(contexts.clone())).unwrap();
        assert_eq!((chosen.node.as_str(), chosen.origin), expected);
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_context_in_use() {
        let mut contexts = two();
        check(
            None,
            None,
            &[],
            &contexts,
            ("http://127.0.0.1:7590", "the default"),
        );
        contexts.use_context("dev").unwrap();
        let used = ("http://dev:1", "swarmctl context use");
        check(None, None, &[], &contexts, used);
        check(None, None, &[("SWARM_NODE", "")], &contexts, used);
        let all = [("SWARM_NODE", "env"), ("SWARM_CONTEXT", "prod")];
        check(None, None, &all, &contexts, ("env", "SWARM_NODE"));
        check(
            None,
            None,
            &all[1..],
            &contexts,
            ("http://prod:1", "SWARM_CONTEXT"),
        );
        check(
            None,
            Some("prod"),
            &all,
            &contexts,
            ("http://prod:1", "--context"),
        );
        check(Some("flag"), None, &all, &contexts, ("flag", "--node"));
    }

    #[test]
    fn a_dash_goes_back_and_forth() {
        let mut contexts = two();
        assert!(contexts.use_context("-").is_err());
        contexts.use_context("dev").unwrap();
        contexts.use_context("prod").unwrap();
        contexts.use_context("prod").unwrap();
        assert_eq!(contexts.use_context("-").unwrap(), "dev");
        assert_eq!(contexts.use_context("-").unwrap(), "prod");
    }

    #[test]
    fn a_removed_context_is_in_use_no_more() {
        let mut contexts = two();
        contexts.use_context("dev").unwrap();
        contexts.remove("dev").unwrap();
        assert_eq!(contexts.current, None);
        assert!(contexts.remove("dev").is_err());
        assert!(contexts.use_context("dev").is_err());
    }

    #[test]
    fn the_file_reads_back_as_it_was_written() {
        let mut contexts = two();
        contexts.use_context("dev").unwrap();
        let text = toml::to_string(&contexts).unwrap();
        assert_eq!(toml::from_str::<Contexts>(&text).unwrap(), contexts);
        assert!(toml::from_str::<Contexts>("[context.a]\nnod = \"x\"\n").is_err());
    }

    #[test]
    fn names_are_names() {
        assert!(two().add("Not A Name", "http://x".into()).is_err());
    }
}
